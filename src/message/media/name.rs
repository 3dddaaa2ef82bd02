//! Names of files, and where they are served.

use std::{fmt, str::FromStr};

use super::{super::Message, kind};
use crate::tenant::TenantId;

/// The message whose file it is, by id, chat and sender as WhatsApp addressed them: `{id}_{chat}`, with `_{sender}` behind it where
/// the chat does not say who wrote it.
///
/// Ids and jids are written by strangers. Only plain characters become a name, so it is safe as a file's name, as an object's and in
/// a URL; a message that is not named so has no file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName {
    text: String,
    id: usize,
    chat: usize,
}

/// The text is no [`FileName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of a file")]
pub struct InvalidFileName;

/// File systems take 255 bytes; an ending and a suffix of the store's own must fit too.
const MAX: usize = 200;

impl FileName {
    /// `None`: the message is no file, or its id is none that a client of WhatsApp's makes.
    pub fn of(message: &Message) -> Option<Self> {
        message.content.media()?;
        Self::new(&message.id, &message.addressed.chat, &message.addressed.sender)
    }

    pub fn new(id: &str, chat: &str, sender: &str) -> Option<Self> {
        let text = if sender == chat { format!("{id}_{chat}") } else { format!("{id}_{chat}_{sender}") };
        text.parse().ok()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn id(&self) -> &str {
        &self.text[..self.id]
    }

    /// A jid.
    pub fn chat(&self) -> &str {
        &self.text[self.id + 1..self.chat]
    }

    /// A jid.
    pub fn sender(&self) -> &str {
        self.text.get(self.chat + 1..).unwrap_or_else(|| self.chat())
    }
}

impl FromStr for FileName {
    type Err = InvalidFileName;

    fn from_str(text: &str) -> Result<Self, InvalidFileName> {
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let is_jid = |jid: &str| {
            jid.split_once('@').is_some_and(|(user, server)| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-".contains(&byte);
                !user.is_empty()
                    && user.bytes().all(plain)
                    && server.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.')
            })
        };
        let mut parts = text.split('_');
        let (Some(id), Some(chat), sender, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidFileName);
        };
        if text.len() > MAX || !is_id(id) || !is_jid(chat) || !sender.is_none_or(is_jid) {
            return Err(InvalidFileName);
        }
        Ok(Self { text: text.to_owned(), id: id.len(), chat: id.len() + 1 + chat.len() })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where files are served.
#[derive(Debug, Clone)]
pub struct Links {
    base: String,
}

impl Links {
    /// `base`: the daemon's address as others reach it, without a slash at its end.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into() }
    }

    /// The file of a message; `None` when it has none.
    pub fn of(&self, tenant: &TenantId, message: &Message) -> Option<String> {
        let name = FileName::of(message)?;
        let ending = kind::ending(&message.content.media()?.mime);
        Some(format!("{}/api/files/{tenant}/{name}.{ending}", self.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (text, id, chat, sender) in [
            (
                "3EB0A_573001112233@s.whatsapp.net",
                "3EB0A",
                "573001112233@s.whatsapp.net",
                "573001112233@s.whatsapp.net",
            ),
            ("A-1_120363@g.us_99887766:3@lid", "A-1", "120363@g.us", "99887766:3@lid"),
        ] {
            let name: FileName = text.parse().unwrap();
            assert_eq!((name.as_str(), name.id(), name.chat(), name.sender()), (text, id, chat, sender));
        }
    }

    #[test]
    fn what_strangers_write_does_not_become_a_path() {
        for text in [
            "",
            ".",
            "..",
            "3EB0A",
            "_1@lid",
            "3EB0A_",
            "3EB0A_1",
            "3EB0A_@lid",
            "../x_1@lid",
            "a/b_1@lid",
            "a%2fb_1@lid",
            "a\\b_1@lid",
            "a\0_1@lid",
            "a b_1@lid",
            "ñ_1@lid",
            "3EB0A_..@../../x",
            "3EB0A_1@lid_2@lid_3@lid",
            "3EB0A_1@lid_",
            "3EB0A_1@LID/..",
        ] {
            assert_eq!(text.parse::<FileName>(), Err(InvalidFileName), "{text:?}");
        }
        assert!(format!("{}_1@lid", "A".repeat(300)).parse::<FileName>().is_err());
    }
}
