//! Device 0 of an account: what a phone or a customer does with a message.
//!
//! It is a real endpoint: it opens what it gets or asks for it again, verifies the account's signature of a linked
//! device before it trusts it, and sends delivery receipts. How it writes is in `writing`, what it makes of what it
//! has opened in `inbox`.

use std::collections::{HashMap, HashSet};

use rand::rngs::StdRng;
use wacore::messages::{decode_plaintext, unwrap_device_sent};
use wacore::protocol::retry::{MAX_RETRY_COUNT, MIN_RETRY_COUNT_FOR_KEYS};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};
use wacore_libsignal::protocol::{CiphertextMessage, SignalProtocolError};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::ProtocolMessage;
use waproto::whatsapp::message::protocol_message::Type;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::archive::Archived;
use crate::compose::Chat;
use crate::groups::GroupId;
use crate::inbox::Inbox;
use crate::keys::retry_keys_node;
use crate::signal::{Endpoint, parse};
use crate::stanza::{attr, attr_is, child, child_content, content, jid_attr, leaf};
use crate::statuses;
use crate::world::World;
use crate::writing::Sent;

pub(crate) struct Contact {
    pub(crate) endpoint: Endpoint,
    pub(crate) inbox: Inbox,
    pub(crate) archive: HashMap<String, Archived>,
    /// The messages that it wrote, for retries.
    pub(crate) sent: HashMap<String, Sent>,
    /// Retry receipts it has sent, by device and message.
    retries: HashMap<(DeviceAddress, String), u8>,
    /// How each peer last addressed it.
    pub(crate) forms: HashMap<AccountId, Form>,
    /// Which devices hold its sender key of a group, or of its statuses.
    keys_given: HashMap<Chat, HashSet<DeviceAddress>>,
    /// The audience of each of its statuses.
    pub(crate) audiences: HashMap<String, HashSet<AccountId>>,
}

/// Where a message came from: how its sender named this account, or the group, or a status.
#[derive(Clone, Copy)]
enum Via {
    Direct(Form),
    Group(GroupId),
    Status,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Signal(#[from] SignalProtocolError),
    #[error("the stanza has no ciphertext")]
    Empty,
    #[error("the device's identity is not signed by its account")]
    Identity,
    #[error("{0}")]
    Plaintext(String),
    #[error("the device has no keys")]
    NoKeys,
}

impl Contact {
    pub(crate) fn generate(rng: &mut StdRng) -> Self {
        Self {
            endpoint: Endpoint::generate(rng),
            inbox: Inbox::default(),
            archive: HashMap::new(),
            sent: HashMap::new(),
            retries: HashMap::new(),
            forms: HashMap::new(),
            keys_given: HashMap::new(),
            audiences: HashMap::new(),
        }
    }

    pub(crate) fn holds_key(&self, chat: Chat, device: DeviceAddress) -> bool {
        self.keys_given.get(&chat).is_some_and(|devices| devices.contains(&device))
    }

    pub(crate) fn key_given(&mut self, chat: Chat, device: DeviceAddress) {
        self.keys_given.entry(chat).or_default().insert(device);
    }

    /// All keys are others; what is known of others is gone.
    pub(crate) fn reinstall(&mut self, rng: &mut StdRng) {
        self.endpoint = Endpoint::generate(rng);
        self.keys_given.clear();
        self.retries.clear();
    }

    /// Starts over with a new sender key at the next message.
    pub(crate) fn forget_group(&mut self, group: GroupId) {
        self.keys_given.remove(&Chat::Group(group));
        self.endpoint.forget_group_key(&group.jid().to_string());
    }
}

impl World {
    /// A `<message>` arrived at an account's own endpoint.
    pub(crate) fn contact_message(&mut self, account: AccountId, from: DeviceAddress, stanza: &Node) {
        let (Some(id), Some(from_jid)) = (attr(stanza, "id"), jid_attr(stanza, "from")) else {
            return;
        };
        let via = match self.groups.find(&from_jid) {
            Some(group) => Via::Group(group),
            None if from_jid.is_status_broadcast() => Via::Status,
            None => Via::Direct(Form::of(&from_jid)),
        };
        if let Via::Direct(form) = via
            && from.account != account
        {
            self.directory.get_mut(account).contact.forms.insert(from.account, form);
        }
        let opened = match via {
            Via::Direct(_) => {
                child(stanza, "enc").ok_or(Refused::Empty).and_then(|enc| self.open(account, from, stanza, enc))
            }
            Via::Group(_) | Via::Status => self.open_in_group(account, from, &from_jid, stanza),
        };
        match opened {
            Ok(message) => {
                self.read(account, from, via, stanza, message);
                self.delivered(account, from, via, stanza);
            }
            Err(Refused::Signal(SignalProtocolError::DuplicatedMessage(..))) => {
                self.directory.get_mut(account).contact.inbox.arrived_again(from.account, &id);
                self.delivered(account, from, via, stanza);
            }
            Err(reason) => {
                tracing::warn!(message = %id, %from, %reason, "undecryptable");
                self.ledger.counts.undecryptable += 1;
                let no_session = matches!(
                    reason,
                    Refused::Signal(
                        SignalProtocolError::SessionNotFound(_)
                            | SignalProtocolError::InvalidPreKeyId
                            | SignalProtocolError::InvalidSignedPreKeyId
                    )
                );
                self.ask_again(account, from, via, stanza, no_session);
            }
        }
    }

    /// Opens an `<enc>` that is for this endpoint alone.
    pub(crate) fn open(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        stanza: &Node,
        enc: &Node,
    ) -> Result<wa::Message, Refused> {
        let bytes = content(enc).ok_or(Refused::Empty)?;
        let sealed = parse(&attr(enc, "type").unwrap_or_default(), bytes)?;
        if let CiphertextMessage::PreKeySignalMessage(first) = &sealed
            && from.device != 0
        {
            let identity = first.identity_key().public_key().public_key_bytes();
            let identity = identity.try_into().map_err(|_| Refused::Identity)?;
            self.verify_device(from, child_content(stanza, "device-identity"), identity)?;
        }
        let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
        let plaintext = endpoint.decrypt(&from.protocol_address(), &sealed, &mut self.rng)?;
        decode(&plaintext)
    }

    /// Keeps what a person would see; answers what an app would.
    fn read(&mut self, account: AccountId, from: DeviceAddress, via: Via, stanza: &Node, message: wa::Message) {
        let message = unwrap_device_sent(message);
        let id = attr(stanza, "id").unwrap_or_default();
        if let Some(protocol) = message.protocol_message.as_option()
            && !is_of_chat(protocol)
        {
            return self.protocol_message(account, from, &id, protocol);
        }
        let recipient = jid_attr(stanza, "recipient").and_then(|jid| self.directory.find(&jid));
        let chat = if from.account == account { recipient.unwrap_or(account) } else { from.account };
        let mut received = self.behold(account, from.account, &id, &message);
        received.from = from.to_string();
        let chat = match via {
            Via::Group(group) => {
                received.chat = group.jid().to_string();
                Chat::Group(group)
            }
            Via::Status => {
                received.chat = statuses::CHAT.to_owned();
                Chat::Status
            }
            Via::Direct(_) => {
                received.chat = self.directory.get(chat).number();
                Chat::Direct(chat)
            }
        };
        self.archive(account, from.account, chat, &id, &message);
        self.directory.get_mut(account).contact.inbox.keep(from.account, received);
    }

    fn delivered(&mut self, account: AccountId, from: DeviceAddress, via: Via, stanza: &Node) {
        let id = attr(stanza, "id").unwrap_or_default();
        self.ledger.delivered(from, &id, &account.primary().to_string());
        if from.account == account {
            return;
        }
        let receipt = NodeBuilder::new("receipt").attr("id", id.as_ref()).build();
        self.issue(account, from, via, &receipt);
    }

    /// Sends a receipt to the device that a message came from; what the phone wrote its companions show too.
    fn issue(&mut self, account: AccountId, from: DeviceAddress, via: Via, receipt: &Node) {
        let is_retry = attr_is(receipt, "type", "retry");
        for to in if is_retry { vec![from] } else { self.receivers(from) } {
            match via {
                Via::Direct(form) => self.route_receipt(account.primary(), &form.jid(to), to, receipt),
                Via::Group(group) => {
                    let form = self.groups.get(group).form;
                    self.route_group_receipt(account.primary(), &group.jid(), form, to, receipt);
                }
                Via::Status => {
                    let statuses = Jid::status_broadcast();
                    self.route_group_receipt(account.primary(), &statuses, statuses::FORM, to, receipt);
                }
            }
        }
    }

    /// The person looks at a message or plays it: its sender gets a receipt of that kind, `read` or `played`.
    pub(crate) fn look_at(&mut self, account: AccountId, id: &str, kind: &str) -> Result<(), String> {
        let contact = &self.directory.get(account).contact;
        let received = contact.inbox.messages().iter().find(|received| received.id == id);
        let received = received.ok_or_else(|| format!("there is no message {id}"))?;
        let group = self.groups.find_text(&received.chat);
        let from = received.from.parse();
        let from = from.ok().and_then(|jid| self.directory.find_device(&jid));
        let from = from.filter(|from| from.account != account).ok_or("it is an own message")?;
        let form = contact.forms.get(&from.account).copied().unwrap_or_default();
        let is_status = received.chat == statuses::CHAT;
        let via = group.map_or(if is_status { Via::Status } else { Via::Direct(form) }, Via::Group);
        let receipt = NodeBuilder::new("receipt").attr("id", id).attr("type", kind).build();
        self.ledger.read(from, id, &account.primary().to_string());
        self.issue(account, from, via, &receipt);
        self.deliver_mail();
        Ok(())
    }

    /// Sends a retry receipt, with keys when there is no session to speak of or the first one did not help.
    fn ask_again(&mut self, account: AccountId, from: DeviceAddress, via: Via, stanza: &Node, no_session: bool) {
        let id = attr(stanza, "id").unwrap_or_default();
        let contact = &mut self.directory.get_mut(account).contact;
        let count = contact.retries.entry((from, id.clone().into_owned())).or_default();
        *count += 1;
        let count = *count;
        if count >= MAX_RETRY_COUNT {
            return;
        }
        let retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("count", count)
            .attr("id", id.as_ref())
            .attr("t", attr(stanza, "t").unwrap_or_default().as_ref())
            .build();
        let mut children = vec![retry, leaf("registration", contact.endpoint.registration().to_be_bytes())];
        if no_session || count >= MIN_RETRY_COUNT_FOR_KEYS {
            children.push(retry_keys_node(&contact.endpoint.new_bundle(&mut self.rng)));
        }
        let mut receipt = NodeBuilder::new("receipt").attr("id", id.as_ref()).attr("type", "retry");
        if from.account == account
            && let Some(recipient) = stanza.attrs.get("recipient")
        {
            receipt = receipt.attr("recipient", recipient.clone());
        }
        self.ledger.counts.retry_receipts += 1;
        let receipt = receipt.children(children).build();
        self.issue(account, from, via, &receipt);
    }
}

pub(crate) fn decode(plaintext: &[u8]) -> Result<wa::Message, Refused> {
    decode_plaintext(plaintext, 2).map_err(|e| Refused::Plaintext(e.to_string()))
}

/// Whether people see it in the chat; the rest is among the apps of one account.
fn is_of_chat(protocol: &ProtocolMessage) -> bool {
    matches!(protocol.r#type, Some(Type::REVOKE | Type::MESSAGE_EDIT | Type::EPHEMERAL_SETTING))
}
