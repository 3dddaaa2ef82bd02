//! How device 0 of an account writes: to every device of the addressee and every other of its own, each with its
//! own ciphertext; and again to one that asks for it.

use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore::messages::MessageUtils;
use wacore::protocol::retry::MAX_RETRY_COUNT;
use wacore::send::{media_type_from_message, should_hide_decrypt_fail_for_send, stanza_type_from_message};
use wacore::types::message::EditAttribute;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::archive::poll_of;
use crate::compose::{Composed, Place};
use crate::contact::Refused;
use crate::keys::read_retry_keys;
use crate::routing::{Envelope, enc_node};
use crate::say::Say;
use crate::signal::{Bundle, Sealed};
use crate::stanza::{attr, child};
use crate::world::World;

/// A message that was written, kept for retries.
#[derive(Clone)]
pub(crate) struct Sent {
    to: AccountId,
    form: Form,
    composed: Composed,
    category: Option<&'static str>,
}

impl World {
    /// A `<receipt>` arrived. Only one that asks again wants anything.
    pub(crate) fn contact_receipt(&mut self, account: AccountId, from: DeviceAddress, stanza: &Node) {
        let Some(retry) = child(stanza, "retry") else {
            return;
        };
        let count: u8 = attr(retry, "count").and_then(|c| c.parse().ok()).unwrap_or(1);
        let Some(id) = attr(stanza, "id") else { return };
        let Some(sent) = self.directory.get(account).contact.sent.get(id.as_ref()).cloned() else {
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
    pub(crate) fn write(&mut self, account: AccountId, to: &str, say: &Say) -> Result<String, String> {
        let peer = self.directory.find_text(to).ok_or_else(|| format!("nobody has the number {to}"))?;
        if peer == account {
            return Err("nobody writes to themselves here".to_owned());
        }
        let form = self.form_for(account, peer, to);
        let composed = self.compose(Place { author: account, peer, form }, say)?;
        let sent = Sent { to: peer, form, composed, category: None };
        let id = self.message_id();
        let devices = |account: AccountId| {
            let companions = self.directory.get(account).companions.keys().map(move |d| account.device(*d));
            std::iter::once(account.primary()).chain(companions)
        };
        let targets: Vec<DeviceAddress> =
            devices(peer).chain(devices(account)).filter(|a| *a != account.primary()).collect();
        self.directory.get_mut(account).contact.sent.insert(id.clone(), sent.clone());
        self.archive(account, account, &id, &sent.composed.message);
        self.write_to(account, &id, &sent, &targets, false);
        self.deliver_mail();
        Ok(id)
    }

    /// How an account names a peer: as the JID does, as the peer last named it, or as the network is told to.
    pub(crate) fn form_for(&self, account: AccountId, peer: AccountId, to: &str) -> Form {
        match to.parse::<Jid>() {
            Ok(jid) if to.contains('@') => Form::of(&jid),
            _ => self.directory.get(account).contact.forms.get(&peer).copied().unwrap_or(self.addressing),
        }
    }

    /// A phone writes to one of its own devices, as apps do among themselves.
    pub(crate) fn write_peer(&mut self, device: DeviceAddress, message: wa::Message) {
        let composed = Composed { message, beyond: Vec::new() };
        let sent = Sent { to: device.account, form: Form::Pn, composed, category: Some("peer") };
        let id = self.message_id();
        self.directory.get_mut(device.account).contact.sent.insert(id.clone(), sent.clone());
        self.write_to(device.account, &id, &sent, &[device], false);
    }

    fn write_to(&mut self, account: AccountId, id: &str, sent: &Sent, targets: &[DeviceAddress], resend: bool) {
        let from = account.primary();
        let chat = sent.form.jid(sent.to.primary());
        let message = &sent.composed.message;
        let plain = MessageUtils::pad_message_v2(sent.composed.encode());
        let copy = || MessageUtils::pad_message_v2(sent.composed.encode_device_sent(&chat));
        let edit = EditAttribute::infer_from_message(message);
        let envelope = Envelope {
            from,
            to: &chat,
            id,
            kind: stanza_type_from_message(message),
            category: sent.category,
            edit: edit.as_ref().map(|edit| edit.to_string_val()),
            device_identity: None,
            meta: meta_node(message),
        };
        let time = self.time_ms();
        self.ledger.message(&envelope, time, resend);
        self.ledger.acked(from, id);
        for target in targets {
            let own = target.account == account && sent.category.is_none();
            let sealed = if own { self.seal(account, *target, &copy()) } else { self.seal(account, *target, &plain) };
            match sealed {
                Ok(sealed) => {
                    let mut enc = enc_node(sealed.kind, sealed.bytes);
                    if let Some(kind) = media_type_from_message(message) {
                        enc.attrs.insert("mediatype", kind);
                    }
                    if should_hide_decrypt_fail_for_send(edit.as_ref(), message) {
                        enc.attrs.insert("decrypt-fail", "hide");
                    }
                    self.forward(&envelope, &sent.form.jid(*target), *target, &[enc]);
                }
                Err(reason) => tracing::warn!(message = %id, %target, %reason, "cannot encrypt"),
            }
        }
    }

    fn seal(&mut self, account: AccountId, to: DeviceAddress, plaintext: &[u8]) -> Result<Sealed, Refused> {
        let peer = to.protocol_address();
        if !self.directory.get(account).contact.endpoint.has_session(&peer) {
            let bundle = self.take_bundle(to).ok_or(Refused::NoKeys)?;
            self.start_session(account, to, &bundle)?;
        }
        Ok(self.directory.get_mut(account).contact.endpoint.encrypt(&peer, plaintext)?)
    }

    fn start_session(&mut self, account: AccountId, with: DeviceAddress, bundle: &Bundle) -> Result<(), Refused> {
        if with.device != 0 {
            self.verify_device(with, bundle.device_identity.as_deref(), &bundle.identity)?;
        }
        let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
        Ok(endpoint.start_session(&with.protocol_address(), bundle, &mut self.rng)?)
    }

    /// A linked device is who its account says it is.
    pub(crate) fn verify_device(
        &self,
        device: DeviceAddress,
        signed: Option<&[u8]>,
        identity: &[u8; 32],
    ) -> Result<(), Refused> {
        let owner = self.directory.get(device.account).contact.endpoint.identity();
        let by_owner = signed
            .and_then(|bytes| waproto::codec::adv_signed_device_identity_decode(bytes).ok())
            .is_some_and(|id| id.account_signature_key.is_none_or(|key| key.is_empty() || key == owner));
        match validate_adv_with_identity_key(signed.unwrap_or_default(), identity, Some(&owner)) {
            AdvValidation::Valid if by_owner => Ok(()),
            _ => Err(Refused::Identity),
        }
    }
}

/// `<meta>` of a poll or a vote.
fn meta_node(message: &wa::Message) -> Option<Node> {
    let kind = if poll_of(message).is_some() {
        "creation"
    } else if message.poll_update_message.is_set() {
        "vote"
    } else {
        return None;
    };
    Some(NodeBuilder::new("meta").attr("polltype", kind).build())
}
