//! WAHA's names: a person's jid ends in `@c.us`, and a message's id says whose it is and where:
//! `{fromMe}_{chatId}_{id}`, in groups with `_{participant}` behind it.

use std::{fmt, str::FromStr};

const OURS: &str = "@s.whatsapp.net";
const WAHAS: &str = "@c.us";

/// A jid as WAHA writes it: without a device, people at `c.us`.
pub fn chat_id(jid: &str) -> String {
    let Some((user, server)) = jid.split_once('@') else { return jid.to_owned() };
    let user = user.split(':').next().unwrap_or(user);
    let server = if server == &OURS[1..] { &WAHAS[1..] } else { server };
    format!("{user}@{server}")
}

/// The jid that WAHA means.
pub fn jid(chat_id: &str) -> String {
    match chat_id.strip_suffix(WAHAS) {
        Some(user) => format!("{user}{OURS}"),
        None => chat_id.to_owned(),
    }
}

/// A message's id with its chat. Chat and participant are jids in our form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId {
    pub from_me: bool,
    pub chat: String,
    pub id: String,
    /// Who wrote it, in a group.
    pub participant: Option<String>,
}

/// The text is no [`MessageId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an id like false_573001112233@c.us_3EB0C767D097B7C7C030")]
pub struct InvalidMessageId;

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.from_me, chat_id(&self.chat), self.id)?;
        match &self.participant {
            Some(participant) => write!(f, "_{}", chat_id(participant)),
            None => Ok(()),
        }
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let mut parts = text.splitn(4, '_');
        let from_me = match parts.next() {
            Some("true") => true,
            Some("false") => false,
            _ => return Err(InvalidMessageId),
        };
        let is_jid =
            |jid: &&str| jid.split_once('@').is_some_and(|(user, server)| !user.is_empty() && !server.is_empty());
        let chat = parts.next().filter(is_jid).ok_or(InvalidMessageId)?;
        let id = parts.next().filter(|id| !id.is_empty()).ok_or(InvalidMessageId)?;
        let participant = parts.next();
        if participant.as_ref().is_some_and(|participant| !is_jid(participant)) {
            return Err(InvalidMessageId);
        }
        Ok(Self { from_me, chat: jid(chat), id: id.to_owned(), participant: participant.map(jid) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jids_go_there_and_back() {
        for (ours, wahas) in [
            ("573001112233@s.whatsapp.net", "573001112233@c.us"),
            ("120363000000000001@g.us", "120363000000000001@g.us"),
            ("99887766@lid", "99887766@lid"),
            ("status@broadcast", "status@broadcast"),
            ("1203@newsletter", "1203@newsletter"),
        ] {
            assert_eq!(chat_id(ours), wahas);
            assert_eq!(jid(wahas), ours);
        }
        assert_eq!(chat_id("573001112233:12@s.whatsapp.net"), "573001112233@c.us");
    }

    #[test]
    fn message_ids_go_there_and_back() {
        for text in [
            "false_573001112233@c.us_3EB0C767D097B7C7C030",
            "true_120363000000000001@g.us_3EB0C767_573009998877@c.us",
            "false_status@broadcast_A_99887766@lid",
        ] {
            assert_eq!(text.parse::<MessageId>().unwrap().to_string(), text);
        }
        for text in
            ["", "3EB0", "maybe_1@c.us_A", "true_1@c.us", "true_1@c.us_", "true__A", "true_@c.us_A", "true_1@c.us_A_x"]
        {
            assert_eq!(text.parse::<MessageId>(), Err(InvalidMessageId), "{text:?}");
        }
    }
}
