//! The phone's record of its chats, as it hands it to its devices: a page that one asks for, or all at once.
//!
//! A blob on the media host, compressed and encrypted, and a message that names it. What only changes another message
//! (reactions, votes, edits, revocations) is not in it.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use wacore::download::MediaType;
use wacore::proto_helpers::MessageExt as _;
use wacore_binary::Jid;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::conversation::EndOfHistoryTransferType;
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{HistorySyncNotification, HistorySyncType as NotifiedType, ProtocolMessage};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::archive::Archived;
use crate::compose::Chat;
use crate::world::World;

/// The nonsense that a broken phone hands out in place of its history.
#[derive(Debug, Clone)]
pub enum Lie {
    /// These bytes in place of a history's, compressed as they are.
    History(Vec<u8>),
    /// These bytes in place of the compressed.
    Blob(Vec<u8>),
    /// A history, under another path on the media host, or on another host.
    Path(String),
}

/// Pages are no longer than this, whatever a device asks for.
const MAX_PAGE: usize = 500;

impl World {
    /// A device wants what came in a chat before a message that it has.
    pub(crate) fn history_on_demand(&mut self, device: DeviceAddress, id: &str, request: &HistorySyncOnDemandRequest) {
        let Some(named) = request.chat_jid.as_deref().and_then(|jid| jid.parse::<Jid>().ok()) else {
            return;
        };
        let group = self.groups.find(&named).map(Chat::Group);
        let Some(chat) = group.or_else(|| self.directory.find(&named).map(Chat::Direct)) else {
            return;
        };
        let archive = &self.directory.get(device.account).contact.archive;
        let oldest = request.oldest_msg_id.as_deref().and_then(|id| archive.get(id)).map(|known| known.order);
        let before = oldest.unwrap_or(u64::MAX);
        let wanted = usize::try_from(request.on_demand_msg_count.unwrap_or_default()).unwrap_or_default().min(MAX_PAGE);
        let mut messages = self.record(device.account, chat, before);
        let more = messages.len() > wanted;
        messages.truncate(wanted);
        let conversation = self.conversation(device.account, &named, &messages, more);
        self.send_history(device, HistorySyncType::ON_DEMAND, NotifiedType::ON_DEMAND, vec![conversation], Some(id));
    }

    /// The phone sends a device all its chats, as it does after linking.
    pub(crate) fn send_all_history(&mut self, device: DeviceAddress) {
        let account = device.account;
        let archive = &self.directory.get(account).contact.archive;
        let mut chats: Vec<Chat> =
            archive.values().map(|archived| archived.chat).filter(|chat| *chat != Chat::Status).collect();
        chats.sort_unstable();
        chats.dedup();
        let conversations = chats
            .into_iter()
            .map(|chat| {
                let named = match chat {
                    Chat::Direct(peer) => Form::Pn.jid(peer.primary()),
                    Chat::Group(group) => group.jid(),
                    Chat::Status => Jid::status_broadcast(),
                };
                self.conversation(account, &named, &self.record(account, chat, u64::MAX), false)
            })
            .collect();
        self.send_history(device, HistorySyncType::RECENT, NotifiedType::RECENT, conversations, None);
    }

    /// An account's messages of a chat before a place in its record, newest first.
    fn record(&self, account: AccountId, chat: Chat, before: u64) -> Vec<(&String, &Archived)> {
        let archive = &self.directory.get(account).contact.archive;
        let mut messages: Vec<(&String, &Archived)> = archive
            .iter()
            .filter(|(_, archived)| archived.chat == chat && archived.order < before && stands_alone(&archived.message))
            .collect();
        messages.sort_unstable_by_key(|(_, archived)| std::cmp::Reverse(archived.order));
        messages
    }

    fn conversation(
        &self,
        account: AccountId,
        named: &Jid,
        messages: &[(&String, &Archived)],
        more: bool,
    ) -> wa::Conversation {
        let group = self.groups.find(named).map(|group| self.groups.get(group).form);
        let message = |(id, archived): &(&String, &Archived)| {
            let from_me = archived.sender == account;
            let participant = group.filter(|_| !from_me).map(|form| form.jid(archived.sender.primary()).to_string());
            let info = wa::WebMessageInfo {
                key: MessageField::some(wa::MessageKey {
                    remote_jid: Some(named.to_string()),
                    from_me: Some(from_me),
                    id: Some((*id).clone()),
                    participant: participant.clone(),
                }),
                message: MessageField::some(archived.message.clone()),
                message_timestamp: Some(archived.time),
                participant,
                push_name: (!from_me).then(|| self.directory.get(archived.sender).name.clone()),
                ..Default::default()
            };
            wa::HistorySyncMsg { message: MessageField::some(info), msg_order_id: Some(archived.order) }
        };
        // As its last message has it.
        let timer = messages.iter().find_map(|(_, archived)| {
            let after = archived.message.get_base_message().get_ephemeral_expiration()?;
            (after > 0).then_some((after, archived.time))
        });
        wa::Conversation {
            ephemeral_expiration: timer.map(|(after, _)| after),
            ephemeral_setting_timestamp: timer.and_then(|(_, at)| i64::try_from(at).ok()),
            id: named.to_string(),
            messages: messages.iter().map(message).collect(),
            last_msg_timestamp: messages.first().map(|(_, archived)| archived.time),
            conversation_timestamp: messages.first().map(|(_, archived)| archived.time),
            pn_jid: self.directory.find(named).map(|peer| Form::Pn.jid(peer.primary()).to_string()),
            lid_jid: self.directory.find(named).map(|peer| Form::Lid.jid(peer.primary()).to_string()),
            end_of_history_transfer: Some(!more),
            end_of_history_transfer_type: Some(if more {
                EndOfHistoryTransferType::COMPLETE_BUT_MORE_MESSAGES_REMAIN_ON_PRIMARY
            } else {
                EndOfHistoryTransferType::COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY
            }),
            ..Default::default()
        }
    }

    fn send_history(
        &mut self,
        device: DeviceAddress,
        kind: HistorySyncType,
        notified: NotifiedType,
        conversations: Vec<wa::Conversation>,
        request: Option<&str>,
    ) {
        let sync = wa::HistorySync { sync_type: kind, conversations, progress: Some(100), ..Default::default() }
            .encode_to_vec();
        let (blob, path) = match self.directory.get(device.account).phone.lie.clone() {
            None => (compressed(&sync), None),
            Some(Lie::History(bytes)) => (compressed(&bytes), None),
            Some(Lie::Blob(blob)) => (Ok(blob), None),
            Some(Lie::Path(path)) => (compressed(&sync), Some(path)),
        };
        let sealed = blob.and_then(|blob| self.media.seal(&blob, MediaType::History, &mut self.rng));
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(reason) => {
                tracing::error!(reason, "cannot put a history on the media host");
                return;
            }
        };
        let notification = HistorySyncNotification {
            file_sha256: Some(sealed.file_sha256),
            file_length: Some(sealed.file_length),
            media_key: Some(sealed.media_key),
            file_enc_sha256: Some(sealed.file_enc_sha256),
            direct_path: Some(path.unwrap_or(sealed.direct_path)),
            sync_type: Some(notified),
            chunk_order: Some(1),
            progress: Some(100),
            peer_data_request_session_id: request.map(str::to_owned),
            ..Default::default()
        };
        self.write_protocol(
            device,
            ProtocolMessage {
                r#type: Some(Type::HISTORY_SYNC_NOTIFICATION),
                history_sync_notification: MessageField::some(notification),
                ..Default::default()
            },
        );
        self.deliver_mail();
    }
}

fn stands_alone(message: &wa::Message) -> bool {
    !message.reaction_message.is_set() && !message.poll_update_message.is_set() && !message.protocol_message.is_set()
}

fn compressed(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|e| e.to_string())
}
