//! The messages that an endpoint has seen or written, by id: for quotes, votes and devices that could not read one.

use wacore::proto_helpers::MessageExt;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::PollCreationMessage;

use crate::account::AccountId;
use crate::compose::Chat;
use crate::world::World;

pub(crate) struct Archived {
    pub(crate) message: wa::Message,
    /// Encoded fields beyond those that the protobuf has.
    pub(crate) beyond: Vec<u8>,
    /// Unix time in seconds.
    pub(crate) time: u64,
    pub(crate) sender: AccountId,
    pub(crate) chat: Chat,
    /// Its place in the endpoint's record; only grows.
    pub(crate) order: u64,
}

impl Archived {
    /// With what votes on it are sealed, if it is a poll.
    pub(crate) fn poll_secret(&self) -> Option<&[u8]> {
        poll_of(&self.message)?;
        self.message.message_context_info.as_option()?.message_secret.as_deref()
    }

    pub(crate) fn poll_options(&self) -> Vec<String> {
        let options = poll_of(&self.message).map(|poll| poll.options.as_slice()).unwrap_or_default();
        options.iter().filter_map(|option| option.option_name.clone()).collect()
    }
}

/// The poll of a message, whichever version carries it.
pub(crate) fn poll_of(message: &wa::Message) -> Option<&PollCreationMessage> {
    let base = message.get_base_message();
    base.poll_creation_message
        .as_option()
        .or_else(|| base.poll_creation_message_v2.as_option())
        .or_else(|| base.poll_creation_message_v3.as_option())
        .or_else(|| base.poll_creation_message_v5.as_option())
}

impl World {
    pub(crate) fn archive(
        &mut self,
        account: AccountId,
        sender: AccountId,
        chat: Chat,
        id: &str,
        message: &wa::Message,
    ) {
        let time = self.time();
        let archive = &mut self.directory.get_mut(account).contact.archive;
        let order = archive.len() as u64;
        let archived = Archived { message: message.clone(), beyond: Vec::new(), time, sender, chat, order };
        // A message that comes again keeps its place.
        archive.entry(id.to_owned()).or_insert(archived);
    }

    /// Adds the bytes that a message has beyond its protobuf.
    pub(crate) fn archive_beyond(&mut self, account: AccountId, id: &str, beyond: &[u8]) {
        if let Some(archived) = self.directory.get_mut(account).contact.archive.get_mut(id) {
            archived.beyond = beyond.to_vec();
        }
    }
}
