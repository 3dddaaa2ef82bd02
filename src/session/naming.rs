//! Conversations by name: from what people and programs write for one to a jid, and to the name that it has here. A person has two
//! names, a phone number and a LID; the number is the first, where it is known. A LID is never read as a number.

use phonenumber::country;
use whatsapp_rust::{Jid, Server};

use super::{Inner, Refused, RefusedSend, Session, asking};
use crate::{
    message::{Flaw, phone},
    store::StoreError,
};

/// The jid of a conversation from what people and programs write for it: a phone number as it is typed, or a jid.
pub fn chat_of(text: &str, country: country::Id) -> Option<String> {
    named(text, country).map(|jid| jid.to_string())
}

fn named(text: &str, country: country::Id) -> Option<Jid> {
    let text = phone::trimmed(text);
    let Some((user, server)) = text.split_once('@') else { return phone::normalise(text, country).map(Jid::pn) };
    if matches!(server, "c.us" | "s.whatsapp.net") {
        // Without its device.
        let user = user.split(':').next().unwrap_or_default();
        return if user == WHATSAPP { Some(Jid::pn(user)) } else { phone::international(user).map(Jid::pn) };
    }
    let jid = text.parse::<Jid>().ok()?.to_non_ad();
    let fits = match jid.server {
        Server::Lid => (1..=MAX_LID).contains(&jid.user.len()) && jid.user.bytes().all(|byte| byte.is_ascii_digit()),
        _ => !jid.user.is_empty() && jid.user.bytes().all(|byte| byte.is_ascii_graphic()),
    };
    fits.then_some(jid)
}

/// WhatsApp itself writes from here.
const WHATSAPP: &str = "0";

/// Digits of a LID; those that are known have fifteen at the most.
const MAX_LID: usize = 20;

impl Session {
    /// Every name of the conversation that a message is for, the one that it has here first.
    pub(super) async fn addressee(&self, to: &str) -> Result<Vec<Jid>, RefusedSend> {
        let jid = named(to, self.country()).ok_or(RefusedSend::Recipient)?;
        let unreadable = |error: StoreError| self.unreadable(&error);
        let names = self.0.names_of(&jid).await.map_err(unreadable)?;
        if self.0.are_digits_of_lid(&names).await.map_err(unreadable)? {
            return Err(Flaw { field: "to", expected: LID_AS_NUMBER.into() }.into());
        }
        Ok(names)
    }

    /// The same of one that something else is wanted of.
    pub(super) async fn conversation(&self, chat: &str) -> Result<Vec<Jid>, Refused> {
        let names = self.0.names_of(&asking::chat("chatId", chat)?).await?;
        if self.0.are_digits_of_lid(&names).await? {
            return Err(Refused::Input { field: "chatId", expected: LID_AS_NUMBER });
        }
        Ok(names)
    }
}

const LID_AS_NUMBER: &str = "expected a phone number or a jid: these are the digits of a LID, which is …@lid";

impl Inner {
    /// The names that WhatsApp may give a chat: its phone number, where it is known, and its LIDs.
    pub(super) async fn names_of(&self, chat: &Jid) -> Result<Vec<Jid>, StoreError> {
        let names = self.store.names(&chat.to_string()).await?;
        let mut names: Vec<Jid> = names.iter().filter_map(|name| name.parse().ok()).collect();
        if names.is_empty() {
            names.push(chat.to_non_ad());
        }
        Ok(names)
    }

    /// Some program may have taken a LID for a number, and somebody may have that number.
    async fn are_digits_of_lid(&self, names: &[Jid]) -> Result<bool, StoreError> {
        match names {
            [alone] if alone.is_pn() => self.store.is_lid(&alone.user).await,
            _ => Ok(false),
        }
    }
}
