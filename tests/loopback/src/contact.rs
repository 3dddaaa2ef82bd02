//! Device 0 of an account: what a phone or a customer does with a message, and how it writes one.
//!
//! It is a real endpoint: it opens what it gets or asks for it again, verifies the account's signature of a linked
//! device before it trusts it, sends delivery receipts, and answers retry receipts with a new ciphertext.

use std::collections::HashMap;

use rand::rngs::StdRng;
use serde::Serialize;
use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore::messages::{MessageUtils, decode_plaintext, unwrap_device_sent, wrap_device_sent};
use wacore::protocol::retry::{MAX_RETRY_COUNT, MIN_RETRY_COUNT_FOR_KEYS};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::{CiphertextMessage, SignalProtocolError};
use waproto::whatsapp as wa;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::keys::{read_retry_keys, retry_keys_node};
use crate::routing::{Envelope, enc_node};
use crate::signal::{Bundle, Endpoint, Sealed, parse};
use crate::stanza::{attr, child, child_content, content, jid_attr, leaf};
use crate::world::World;

/// A message that a phone or customer has opened.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    pub id: String,
    /// The sending device.
    pub from: String,
    /// The number of the other side of the chat: the sender, or for a copy of an own message its addressee.
    pub chat: String,
    pub text: Option<String>,
    /// Unix time in milliseconds at which it was first opened.
    pub time: u64,
    /// How often it came. More than once: the sender repeated it under the same id.
    pub arrivals: u32,
}

pub(crate) struct Contact {
    pub(crate) endpoint: Endpoint,
    inbox: Vec<Received>,
    by_id: HashMap<(AccountId, String), usize>,
    /// What it wrote, for retries.
    sent: HashMap<String, Sent>,
    /// Retry receipts it has sent, by device and message.
    retries: HashMap<(DeviceAddress, String), u8>,
    /// How each peer last addressed it.
    forms: HashMap<AccountId, Form>,
}

#[derive(Clone)]
struct Sent {
    to: AccountId,
    form: Form,
    message: wa::Message,
    category: Option<&'static str>,
}

#[derive(Debug, thiserror::Error)]
enum Refused {
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
            inbox: Vec::new(),
            by_id: HashMap::new(),
            sent: HashMap::new(),
            retries: HashMap::new(),
            forms: HashMap::new(),
        }
    }

    pub(crate) fn inbox(&self) -> &[Received] {
        &self.inbox
    }

    /// Counts one more arrival of a message it knows.
    fn arrived_again(&mut self, from: AccountId, id: &str) -> bool {
        let known = self.by_id.get(&(from, id.to_owned()));
        if let Some(at) = known {
            self.inbox[*at].arrivals += 1;
        }
        known.is_some()
    }

    fn keep(&mut self, from: AccountId, received: Received) {
        if !self.arrived_again(from, &received.id) {
            self.by_id
                .insert((from, received.id.clone()), self.inbox.len());
            self.inbox.push(received);
        }
    }
}

impl World {
    /// A `<message>` arrived at an account's own endpoint.
    pub(crate) fn contact_message(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        stanza: &Node,
    ) {
        let (Some(id), Some(from_jid)) = (attr(stanza, "id"), jid_attr(stanza, "from")) else {
            return;
        };
        let form = Form::of(&from_jid);
        if from.account != account {
            self.directory
                .get_mut(account)
                .contact
                .forms
                .insert(from.account, form);
        }
        match self.open(account, from, stanza) {
            Ok(message) => {
                self.read(account, from, stanza, message);
                self.delivered(account, from, form, stanza);
            }
            Err(Refused::Signal(SignalProtocolError::DuplicatedMessage(..))) => {
                self.directory
                    .get_mut(account)
                    .contact
                    .arrived_again(from.account, &id);
                self.delivered(account, from, form, stanza);
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
                self.ask_again(account, from, form, stanza, no_session);
            }
        }
    }

    fn open(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        stanza: &Node,
    ) -> Result<wa::Message, Refused> {
        let enc = child(stanza, "enc").ok_or(Refused::Empty)?;
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
        decode_plaintext(&plaintext, 2).map_err(|e| Refused::Plaintext(e.to_string()))
    }

    /// A linked device is who its account says it is.
    fn verify_device(
        &self,
        device: DeviceAddress,
        signed: Option<&[u8]>,
        identity: &[u8; 32],
    ) -> Result<(), Refused> {
        let owner = self
            .directory
            .get(device.account)
            .contact
            .endpoint
            .identity();
        let by_owner = signed
            .and_then(|bytes| waproto::codec::adv_signed_device_identity_decode(bytes).ok())
            .is_some_and(|id| {
                id.account_signature_key
                    .is_none_or(|key| key.is_empty() || key == owner)
            });
        match validate_adv_with_identity_key(signed.unwrap_or_default(), identity, Some(&owner)) {
            AdvValidation::Valid if by_owner => Ok(()),
            _ => Err(Refused::Identity),
        }
    }

    /// Keeps what a person would see; answers what an app would.
    fn read(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        stanza: &Node,
        message: wa::Message,
    ) {
        let message = unwrap_device_sent(message);
        let id = attr(stanza, "id").unwrap_or_default();
        if let Some(protocol) = message.protocol_message.as_option() {
            return self.protocol_message(account, from, &id, protocol);
        }
        self.archive(account, from.account, &id, &message);
        let recipient = jid_attr(stanza, "recipient").and_then(|jid| self.directory.find(&jid));
        let chat = if from.account == account {
            recipient.unwrap_or(account)
        } else {
            from.account
        };
        let received = Received {
            id: id.into_owned(),
            from: from.to_string(),
            chat: self.directory.get(chat).number(),
            text: text_of(&message),
            time: self.time_ms(),
            arrivals: 1,
        };
        self.directory
            .get_mut(account)
            .contact
            .keep(from.account, received);
    }

    fn delivered(&mut self, account: AccountId, from: DeviceAddress, form: Form, stanza: &Node) {
        let id = attr(stanza, "id").unwrap_or_default();
        self.ledger
            .delivered(from, &id, &account.primary().to_string());
        if from.account == account {
            return;
        }
        let receipt = NodeBuilder::new("receipt").attr("id", id.as_ref()).build();
        self.route_receipt(account.primary(), &form.jid(from), from, &receipt);
    }

    /// Sends a retry receipt, with keys when there is no session to speak of or the first one did not help.
    fn ask_again(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        form: Form,
        stanza: &Node,
        no_session: bool,
    ) {
        let id = attr(stanza, "id").unwrap_or_default();
        let contact = &mut self.directory.get_mut(account).contact;
        let count = contact
            .retries
            .entry((from, id.clone().into_owned()))
            .or_default();
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
        let mut children = vec![
            retry,
            leaf(
                "registration",
                contact.endpoint.registration().to_be_bytes(),
            ),
        ];
        if no_session || count >= MIN_RETRY_COUNT_FOR_KEYS {
            children.push(retry_keys_node(&contact.endpoint.new_bundle(&mut self.rng)));
        }
        let mut receipt = NodeBuilder::new("receipt")
            .attr("id", id.as_ref())
            .attr("type", "retry");
        if from.account == account
            && let Some(recipient) = stanza.attrs.get("recipient")
        {
            receipt = receipt.attr("recipient", recipient.clone());
        }
        self.ledger.counts.retry_receipts += 1;
        let receipt = receipt.children(children).build();
        self.route_receipt(account.primary(), &form.jid(from), from, &receipt);
    }

    /// A `<receipt>` arrived. Only one that asks again wants anything.
    pub(crate) fn contact_receipt(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        stanza: &Node,
    ) {
        let Some(retry) = child(stanza, "retry") else {
            return;
        };
        let count: u8 = attr(retry, "count")
            .and_then(|c| c.parse().ok())
            .unwrap_or(1);
        let Some(id) = attr(stanza, "id") else { return };
        let Some(sent) = self
            .directory
            .get(account)
            .contact
            .sent
            .get(id.as_ref())
            .cloned()
        else {
            return;
        };
        let addressed = from.account == sent.to || from.account == account;
        if count >= MAX_RETRY_COUNT || !addressed {
            return;
        }
        let bundle = read_retry_keys(stanza).or_else(|| self.take_bundle(from));
        let Some(bundle) = bundle else { return };
        if let Err(reason) = self.start_session(account, from, &bundle) {
            tracing::warn!(message = %id, %from, %reason, "cannot answer a retry receipt");
            return;
        }
        self.write_to(account, &id, &sent, &[from], true);
    }

    /// The owner of a phone or a customer writes: to every device of the addressee and every other of its own.
    pub(crate) fn write(
        &mut self,
        account: AccountId,
        to: &str,
        text: &str,
    ) -> Result<String, String> {
        let peer = self
            .directory
            .find_text(to)
            .ok_or_else(|| format!("nobody has the number {to}"))?;
        if peer == account {
            return Err("nobody writes to themselves here".to_owned());
        }
        let contact = &self.directory.get(account).contact;
        let form = match to.parse::<Jid>() {
            Ok(jid) if to.contains('@') => Form::of(&jid),
            _ => contact.forms.get(&peer).copied().unwrap_or(self.addressing),
        };
        let message = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        let sent = Sent {
            to: peer,
            form,
            message,
            category: None,
        };
        let id = self.message_id();
        let devices = |account: AccountId| {
            let companions = self
                .directory
                .get(account)
                .companions
                .keys()
                .map(move |d| account.device(*d));
            std::iter::once(account.primary()).chain(companions)
        };
        let targets: Vec<DeviceAddress> = devices(peer)
            .chain(devices(account))
            .filter(|a| *a != account.primary())
            .collect();
        self.directory
            .get_mut(account)
            .contact
            .sent
            .insert(id.clone(), sent.clone());
        self.archive(account, account, &id, &sent.message);
        self.write_to(account, &id, &sent, &targets, false);
        self.deliver_mail();
        Ok(id)
    }

    /// A phone writes to one of its own devices, as apps do among themselves.
    pub(crate) fn write_peer(&mut self, device: DeviceAddress, message: wa::Message) {
        let sent = Sent {
            to: device.account,
            form: Form::Pn,
            message,
            category: Some("peer"),
        };
        let id = self.message_id();
        self.directory
            .get_mut(device.account)
            .contact
            .sent
            .insert(id.clone(), sent.clone());
        self.write_to(device.account, &id, &sent, &[device], false);
    }

    fn write_to(
        &mut self,
        account: AccountId,
        id: &str,
        sent: &Sent,
        targets: &[DeviceAddress],
        resend: bool,
    ) {
        let from = account.primary();
        let chat = sent.form.jid(sent.to.primary());
        let plain = MessageUtils::encode_and_pad(&sent.message);
        let copy = || {
            MessageUtils::encode_and_pad(&wrap_device_sent(sent.message.clone(), chat.to_string()))
        };
        let envelope = Envelope {
            from,
            to: &chat,
            id,
            kind: "text",
            category: sent.category,
            device_identity: None,
        };
        let time = self.time_ms();
        self.ledger.message(&envelope, time, resend);
        self.ledger.acked(from, id);
        for target in targets {
            let own = target.account == account && sent.category.is_none();
            let sealed = if own {
                self.seal(account, *target, &copy())
            } else {
                self.seal(account, *target, &plain)
            };
            match sealed {
                Ok(sealed) => {
                    let enc = enc_node(sealed.kind, sealed.bytes);
                    self.forward(&envelope, &sent.form.jid(*target), *target, &[enc]);
                }
                Err(reason) => tracing::warn!(message = %id, %target, %reason, "cannot encrypt"),
            }
        }
    }

    fn seal(
        &mut self,
        account: AccountId,
        to: DeviceAddress,
        plaintext: &[u8],
    ) -> Result<Sealed, Refused> {
        let peer = to.protocol_address();
        if !self
            .directory
            .get(account)
            .contact
            .endpoint
            .has_session(&peer)
        {
            let bundle = self.take_bundle(to).ok_or(Refused::NoKeys)?;
            self.start_session(account, to, &bundle)?;
        }
        Ok(self
            .directory
            .get_mut(account)
            .contact
            .endpoint
            .encrypt(&peer, plaintext)?)
    }

    fn start_session(
        &mut self,
        account: AccountId,
        with: DeviceAddress,
        bundle: &Bundle,
    ) -> Result<(), Refused> {
        if with.device != 0 {
            self.verify_device(with, bundle.device_identity.as_deref(), &bundle.identity)?;
        }
        let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
        Ok(endpoint.start_session(&with.protocol_address(), bundle, &mut self.rng)?)
    }
}

fn text_of(message: &wa::Message) -> Option<String> {
    message.conversation.clone().or_else(|| {
        message
            .extended_text_message
            .as_option()
            .and_then(|extended| extended.text.clone())
    })
}
