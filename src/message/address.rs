//! People as consumers read them: by the phone number where there is one, else by the jid. The one place that puts a plus before
//! digits: those of a LID or a group are nobody's number, and an answer to them would reach a stranger.

use std::fmt;

/// A phone number with a plus; of whoever has none, here or at all, the jid without a device. Either may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// Digits with the country code.
    Number(&'a str),
    /// Somebody known by a LID alone, a group, any other chat.
    Jid { user: &'a str, server: &'a str },
    /// Anything that is no jid: it stays as it is.
    Other(&'a str),
}

impl<'a> Address<'a> {
    pub fn of(jid: &'a str) -> Self {
        let Some((user, server)) = jid.split_once('@') else { return Self::Other(jid) };
        let user = user.split(':').next().unwrap_or_default();
        let is_number = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit());
        match server {
            "s.whatsapp.net" | "c.us" if is_number => Self::Number(user),
            server => Self::Jid { user, server },
        }
    }

    /// Digits with the country code, of whoever has a number.
    pub fn number(self) -> Option<&'a str> {
        if let Self::Number(digits) = self { Some(digits) } else { None }
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(digits) => write!(f, "+{digits}"),
            Self::Jid { user, server } => write!(f, "{user}@{server}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn only_a_number_has_a_plus() {
        for (jid, address) in [
            ("573009998877@s.whatsapp.net", "+573009998877"),
            ("573009998877:12@s.whatsapp.net", "+573009998877"),
            ("573009998877@c.us", "+573009998877"),
            ("99887766@lid", "99887766@lid"),
            ("99887766:3@lid", "99887766@lid"),
            ("99887766@hosted.lid", "99887766@hosted.lid"),
            ("120363000000000001@g.us", "120363000000000001@g.us"),
            ("573009998877-1400000000@g.us", "573009998877-1400000000@g.us"),
            ("120363000000000001@newsletter", "120363000000000001@newsletter"),
            ("status@broadcast", "status@broadcast"),
            ("@s.whatsapp.net", "@s.whatsapp.net"),
            ("573009998877", "573009998877"),
            ("", ""),
        ] {
            assert_eq!(Address::of(jid).to_string(), address);
            assert_eq!(Address::of(jid).number().is_some(), address.starts_with('+'), "{jid}");
        }
    }
}
