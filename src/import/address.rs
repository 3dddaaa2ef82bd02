//! Whom a session belongs to: one device of one account.
//!
//! Owns [`SignalAddress`], its library form and the forms of other gateways. Users are decimal digits and nothing else, so no
//! name from a foreign store reaches a key of ours unchecked.

use std::{fmt, str::FromStr};

use super::EntryError;

/// Digits of a user. Phone numbers have up to 15, LIDs as well.
const USER_DIGITS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressServer {
    Phone,
    Lid,
    Hosted,
    HostedLid,
}

impl AddressServer {
    /// As addresses of the library have it.
    fn signal(self) -> &'static str {
        match self {
            Self::Phone => "c.us",
            Self::Lid => "lid",
            Self::Hosted => "hosted",
            Self::HostedLid => "hosted.lid",
        }
    }

    /// As JIDs have it.
    pub fn jid(self) -> &'static str {
        match self {
            Self::Phone => "s.whatsapp.net",
            other => other.signal(),
        }
    }

    fn of_jid(name: &str) -> Option<Self> {
        Some(match name {
            "s.whatsapp.net" | "c.us" | "s_whatsapp_net" | "c_us" => Self::Phone,
            "lid" => Self::Lid,
            "hosted" => Self::Hosted,
            "hosted.lid" | "hosted_lid" => Self::HostedLid,
            _ => return None,
        })
    }

    /// The number that Baileys 7 calls a domain, and whatsmeow an agent.
    fn of_domain(number: &str) -> Option<Self> {
        Some(match number {
            "0" => Self::Phone,
            "1" => Self::Lid,
            "128" => Self::Hosted,
            "129" => Self::HostedLid,
            _ => return None,
        })
    }

    fn domain(self) -> Option<u8> {
        match self {
            Self::Phone => None,
            Self::Lid => Some(1),
            Self::Hosted => Some(128),
            Self::HostedLid => Some(129),
        }
    }
}

/// A device of an account. Its text is the library's key: `4917…:2@c.us.0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalAddress {
    pub user: String,
    pub server: AddressServer,
    pub device: u16,
}

impl SignalAddress {
    pub fn new(user: &str, server: AddressServer, device: u16) -> Result<Self, EntryError> {
        if !is_user(user) {
            return Err(EntryError::Address);
        }
        Ok(Self { user: user.to_owned(), server, device })
    }

    /// Baileys: `user[_domain].device`. The flag is false where no domain is named: version 6 names none, and then a LID looks
    /// like a phone number. No name of the Realtime Database has a dot: `user[_domain]_device` is the same, as all names end with a device.
    pub fn from_baileys(text: &str) -> Result<(Self, bool), EntryError> {
        let (name, device) = text.rsplit_once('.').or_else(|| text.rsplit_once('_')).ok_or(EntryError::Address)?;
        Self::from_name(name, '_', device)
    }

    /// whatsmeow: `user[_agent]:device`.
    pub fn from_whatsmeow(text: &str) -> Result<Self, EntryError> {
        let (name, device) = text.rsplit_once(':').ok_or(EntryError::Address)?;
        Ok(Self::from_name(name, '_', device)?.0)
    }

    /// `user[.agent][:device]@server`.
    pub fn from_jid(text: &str) -> Result<Self, EntryError> {
        let (name, server) = text.split_once('@').ok_or(EntryError::Address)?;
        let (name, device) = name.split_once(':').unwrap_or((name, "0"));
        let (user, _) = name.split_once(['.', '_']).unwrap_or((name, ""));
        let server = AddressServer::of_jid(server).ok_or(EntryError::Address)?;
        Self::new(user, server, device.parse().map_err(|_| EntryError::Address)?)
    }

    fn from_name(name: &str, separator: char, device: &str) -> Result<(Self, bool), EntryError> {
        let (user, domain) = match name.split_once(separator) {
            Some((user, domain)) => (user, Some(domain)),
            None => (name, None),
        };
        let server = AddressServer::of_domain(domain.unwrap_or("0")).ok_or(EntryError::Address)?;
        let device = device.parse().map_err(|_| EntryError::Address)?;
        Ok((Self::new(user, server, device)?, domain.is_some()))
    }

    /// The name under which Baileys 7 files it.
    pub fn to_baileys(&self) -> String {
        match self.server.domain() {
            None => format!("{}.{}", self.user, self.device),
            Some(domain) => format!("{}_{domain}.{}", self.user, self.device),
        }
    }

    pub fn to_jid(&self) -> String {
        match self.device {
            0 => format!("{}@{}", self.user, self.server.jid()),
            device => format!("{}:{device}@{}", self.user, self.server.jid()),
        }
    }

    /// Another name of the same device.
    pub fn renamed(&self, user: &str, server: AddressServer) -> Self {
        Self { user: user.to_owned(), server, device: self.device }
    }
}

impl fmt::Display for SignalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)?;
        if self.device != 0 {
            write!(f, ":{}", self.device)?;
        }
        write!(f, "@{}.0", self.server.signal())
    }
}

impl fmt::Debug for SignalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A key of the store, read again: for the way out.
impl FromStr for SignalAddress {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let (name, server) =
            text.strip_suffix(".0").and_then(|text| text.split_once('@')).ok_or(EntryError::Address)?;
        let (user, device) = name.split_once(':').unwrap_or((name, "0"));
        let server = AddressServer::of_jid(server).ok_or(EntryError::Address)?;
        Self::new(user, server, device.parse().map_err(|_| EntryError::Address)?)
    }
}

pub fn is_user(text: &str) -> bool {
    !text.is_empty() && text.len() <= USER_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is rather somebody's number than his LID. LIDs have 13 to 15 digits, as the longest numbers have; then the rules
/// of the countries decide.
pub fn is_phone_number(user: &str) -> bool {
    user.len() <= 12 || phonenumber::parse(None, format!("+{user}")).is_ok_and(|number| number.is_valid())
}

/// Groups only: `…@g.us`, with the digits and hyphens that group ids have.
pub fn is_group(text: &str) -> bool {
    text.strip_suffix("@g.us").is_some_and(|id| {
        !id.is_empty() && id.len() <= 60 && id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    })
}

/// The list to which statuses go: it has sender keys as a group has.
pub fn is_statuses(text: &str) -> bool {
    text == "status@broadcast"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_address() {
        for (baileys, library) in [
            ("573001112233.0", "573001112233@c.us.0"),
            ("573001112233.14", "573001112233:14@c.us.0"),
            ("180000000142543_1.0", "180000000142543@lid.0"),
            ("180000000142543_1.2", "180000000142543:2@lid.0"),
            ("573001112233_128.99", "573001112233:99@hosted.0"),
            ("180000000142543_129.99", "180000000142543:99@hosted.lid.0"),
        ] {
            let (address, _) = SignalAddress::from_baileys(baileys).expect(baileys);
            assert_eq!(address.to_string(), library);
            assert_eq!(address.to_baileys(), baileys);
            assert_eq!(library.parse::<SignalAddress>().as_ref(), Ok(&address));
            let colon = baileys.replace('.', ":");
            assert_eq!(SignalAddress::from_whatsmeow(&colon).as_ref(), Ok(&address));
            assert_eq!(SignalAddress::from_jid(&address.to_jid()).as_ref(), Ok(&address));
        }
        assert!(!SignalAddress::from_baileys("180000000142543.0").expect("an address").1, "no domain is named");
        for dotted in ["573001112233.0", "573001112233.14", "180000000142543_1.0", "180000000142543_129.99"] {
            let dotless = dotted.replace('.', "_");
            assert_eq!(SignalAddress::from_baileys(&dotless), SignalAddress::from_baileys(dotted), "{dotless}");
        }
        let old = SignalAddress::from_jid("4915000000018.0:1@s.whatsapp.net").expect("whatsmeow before version 5");
        assert_eq!(old.to_string(), "4915000000018:1@c.us.0");
    }

    #[test]
    fn hostile_names_are_no_addresses() {
        for text in ["", ".", "a.0", "1.x", "1_7.0", "1.65536", "1.-1", "../1.0", "1\u{0}.0", "1_1_1.0", "1.0\n", "१.0"]
        {
            assert!(SignalAddress::from_baileys(text).is_err(), "{text}");
        }
        assert!(SignalAddress::from_baileys(&format!("{}.0", "1".repeat(21))).is_err());
        for text in ["1@g.us", "1", "@lid", "1:x@lid", "x@lid"] {
            assert!(SignalAddress::from_jid(text).is_err(), "{text}");
        }
        assert!(is_group("120363000000000005@g.us") && is_group("573001112233-1600000000@g.us"));
        assert!(!is_group("status@broadcast") && !is_group("@g.us") && !is_group("../@g.us"));
    }
}
