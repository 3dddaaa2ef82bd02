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
use crate::compose::{Chat, Composed, Place};
use crate::contact::Refused;
use crate::groups::GroupId;
use crate::keys::read_retry_keys;
use crate::queue::Class;
use crate::routing::{Envelope, enc_node};
use crate::say::Say;
use crate::signal::{Bundle, Sealed};
use crate::stanza::{attr, child};
use crate::world::World;

/// A message that was written, kept for retries.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) to: Chat,
    pub(crate) form: Form,
    pub(crate) composed: Composed,
    pub(crate) category: Option<&'static str>,
}

impl Sent {
    pub(crate) fn edit(&self) -> Option<EditAttribute> {
        EditAttribute::infer_from_message(&self.composed.message)
    }

    pub(crate) fn envelope<'a>(
        &'a self,
        from: DeviceAddress,
        to: &'a Jid,
        id: &'a str,
        edit: Option<&'a EditAttribute>,
    ) -> Envelope<'a> {
        Envelope {
            from,
            to,
            id,
            kind: stanza_type_from_message(&self.composed.message),
            category: self.category,
            edit: edit.map(EditAttribute::to_string_val),
            device_identity: None,
            meta: meta_node(&self.composed.message),
            group: (!matches!(self.to, Chat::Direct(_))).then_some(self.form),
        }
    }

    /// `<enc>` with what it says of its content.
    pub(crate) fn enc(&self, kind: &str, bytes: Vec<u8>) -> Node {
        let mut enc = enc_node(kind, bytes);
        let message = &self.composed.message;
        if let Some(kind) = media_type_from_message(message) {
            enc.attrs.insert("mediatype", kind);
        }
        if should_hide_decrypt_fail_for_send(self.edit().as_ref(), message) {
            enc.attrs.insert("decrypt-fail", "hide");
        }
        enc
    }
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
        let addressed = match sent.to {
            Chat::Direct(peer) => from.account == peer || from.account == account,
            Chat::Group(group) => self.groups.get(group).members.contains_key(&from.account),
            Chat::Status => from.account == account || self.is_audience(account, &id, from.account),
        };
        if count >= MAX_RETRY_COUNT || !addressed {
            return;
        }
        let bundle = read_retry_keys(stanza).or_else(|| self.take_bundle(from));
        let Some(bundle) = bundle else { return };
        if let Err(reason) = self.start_session(account, from, &bundle) {
            tracing::warn!(message = %id, %from, %reason, "cannot answer a retry receipt");
            return;
        }
        match sent.to {
            Chat::Direct(peer) => self.write_to(account, peer, &id, &sent, &[from], true),
            Chat::Group(group) => self.write_again_in_group(account, &group.jid(), &id, &sent, from),
            Chat::Status => self.write_again_in_group(account, &Jid::status_broadcast(), &id, &sent, from),
        }
    }

    /// The owner of a phone or a customer writes: to every device of the addressee and every other of its own.
    pub(crate) fn write(&mut self, account: AccountId, to: &str, say: &Say) -> Result<String, String> {
        if let Some(group) = self.groups.find_text(to) {
            return self.write_in_group(account, group, say);
        }
        let peer = self.directory.find_text(to).ok_or_else(|| format!("nobody has the number {to}"))?;
        if peer == account {
            return Err("nobody writes to themselves here".to_owned());
        }
        let form = self.form_for(account, peer, to);
        let chat = Chat::Direct(peer);
        let composed = self.compose(Place { author: account, chat, form }, say)?;
        let sent = Sent { to: chat, form, composed, category: None };
        let id = self.message_id();
        let devices = |account: AccountId| {
            let companions = self.directory.get(account).companions.keys().map(move |d| account.device(*d));
            std::iter::once(account.primary()).chain(companions)
        };
        let targets: Vec<DeviceAddress> =
            devices(peer).chain(devices(account)).filter(|a| *a != account.primary()).collect();
        self.directory.get_mut(account).contact.sent.insert(id.clone(), sent.clone());
        self.archive(account, account, chat, &id, &sent.composed.message);
        if !sent.composed.beyond.is_empty() {
            // Its addressee's phone reads what others cannot.
            self.archive(peer, account, Chat::Direct(account), &id, &sent.composed.message);
            self.archive_beyond(peer, &id, &sent.composed.beyond);
        }
        self.write_to(account, peer, &id, &sent, &targets, false);
        self.deliver_mail();
        Ok(id)
    }

    /// A stanza without a ciphertext, for the devices of a peer: there is that child in it, or nothing.
    pub(crate) fn write_bare(&mut self, account: AccountId, peer: AccountId, child: Option<&'static str>) -> String {
        let id = self.message_id();
        let devices: Vec<u16> = self.directory.get(peer).companions.keys().copied().collect();
        for device in devices {
            let message = NodeBuilder::new("message")
                .attr("id", id.as_str())
                .attr("type", "text")
                .attr("t", self.time())
                .attr("from", Form::Pn.jid(account.primary()))
                .attr("sender_lid", Form::Lid.jid(account.primary()))
                .children(child.map(|tag| NodeBuilder::new(tag).build()))
                .build();
            self.deliver(account.primary(), peer.device(device), Class::Message, &id, message);
        }
        id
    }

    /// The same; the addressee's phone has the message, and tells it when it is asked.
    pub(crate) fn write_for_phone(&mut self, account: AccountId, peer: AccountId, say: &Say) -> Result<String, String> {
        let chat = Chat::Direct(peer);
        let composed = self.compose(Place { author: account, chat, form: Form::Pn }, say)?;
        let id = self.write_bare(account, peer, Some("unavailable"));
        self.archive(account, account, chat, &id, &composed.message);
        self.archive(peer, account, Chat::Direct(account), &id, &composed.message);
        Ok(id)
    }

    fn write_in_group(&mut self, account: AccountId, group: GroupId, say: &Say) -> Result<String, String> {
        if !self.groups.get(group).may_write(account) {
            return Err("may not write in this group".to_owned());
        }
        let (chat, form) = (Chat::Group(group), self.groups.get(group).form);
        let composed = self.compose(Place { author: account, chat, form }, say)?;
        let sent = Sent { to: chat, form, composed, category: None };
        let id = self.message_id();
        self.directory.get_mut(account).contact.sent.insert(id.clone(), sent.clone());
        self.archive(account, account, chat, &id, &sent.composed.message);
        let devices = self.group_devices(group).collect();
        self.write_to_many(account, &group.jid(), &id, &sent, devices)?;
        self.deliver_mail();
        Ok(id)
    }

    /// How an account names a peer: as the JID does, as the peer last named it, or as the network is told to.
    pub(crate) fn form_for(&self, account: AccountId, peer: AccountId, to: &str) -> Form {
        match to.parse::<Jid>() {
            Ok(jid) if to.contains('@') => Form::of(&jid),
            _ if self.hides_number(account) => Form::Lid,
            _ => self.directory.get(account).contact.forms.get(&peer).copied().unwrap_or(self.addressing),
        }
    }

    /// A phone writes to one of its own devices, as apps do among themselves.
    pub(crate) fn write_peer(&mut self, device: DeviceAddress, message: wa::Message) {
        let composed = Composed { message, beyond: Vec::new() };
        let sent = Sent { to: Chat::Direct(device.account), form: Form::Pn, composed, category: Some("peer") };
        let id = self.message_id();
        self.directory.get_mut(device.account).contact.sent.insert(id.clone(), sent.clone());
        self.write_to(device.account, device.account, &id, &sent, &[device], false);
    }

    fn write_to(
        &mut self,
        account: AccountId,
        peer: AccountId,
        id: &str,
        sent: &Sent,
        targets: &[DeviceAddress],
        resend: bool,
    ) {
        let from = account.primary();
        let chat = sent.form.jid(peer.primary());
        let plain = MessageUtils::pad_message_v2(sent.composed.encode());
        let copy = || MessageUtils::pad_message_v2(sent.composed.encode_device_sent(&chat));
        let edit = sent.edit();
        let envelope = sent.envelope(from, &chat, id, edit.as_ref());
        let time = self.time_ms();
        self.ledger.message(&envelope, time, resend);
        self.ledger.acked(from, id);
        for target in targets {
            let own = target.account == account && sent.category.is_none();
            let sealed = if own { self.seal(account, *target, &copy()) } else { self.seal(account, *target, &plain) };
            match sealed {
                Ok(sealed) => {
                    let enc = sent.enc(sealed.kind, sealed.bytes);
                    self.forward(&envelope, &sent.form.jid(*target), *target, &[enc]);
                }
                Err(reason) => tracing::warn!(message = %id, %target, %reason, "cannot encrypt"),
            }
        }
    }

    pub(crate) fn seal(&mut self, account: AccountId, to: DeviceAddress, plaintext: &[u8]) -> Result<Sealed, Refused> {
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
        let adopted = self.directory.companion(device).and_then(|companion| companion.adopted_from);
        let owner = adopted.unwrap_or_else(|| self.directory.get(device.account).contact.endpoint.identity());
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
