//! Messages in groups: one ciphertext under the sender's key for all, and that key to each device that lacks it.

use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::SenderKeyDistributionMessage;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::contact::{Refused, decode};
use crate::groups::GroupId;
use crate::queue::Class;
use crate::routing::{Envelope, enc_node, enc_nodes, targets};
use crate::stanza::{attr, attr_is, content, jid_attr};
use crate::world::World;
use crate::writing::Sent;

impl World {
    /// A `<message>` to a group by a linked device: every device of every member gets the ciphertext for all, and
    /// what is for it alone. Returns what the server's ack says besides.
    pub(crate) fn group_message(
        &mut self,
        group: GroupId,
        envelope: &Envelope<'_>,
        stanza: &Node,
    ) -> Vec<(&'static str, String)> {
        let from = envelope.from;
        if !self.groups.get(group).may_write(from.account) {
            return vec![("error", "403".to_owned())];
        }
        let shared: Vec<Node> = enc_nodes(stanza).filter(|enc| attr_is(enc, "type", "skmsg")).cloned().collect();
        for enc in &shared {
            self.ledger.group_ciphertext(from, envelope.to, content(enc).unwrap_or_default());
        }
        // An answer to a retry receipt goes to the device that asked.
        if let Some(one) = jid_attr(stanza, "participant") {
            let encs: Vec<Node> = enc_nodes(stanza).cloned().collect();
            if let Some(address) = self.directory.find_device(&one) {
                self.forward(envelope, &one, address, &encs);
            }
            return Vec::new();
        }
        let own = targets(stanza, envelope.to);
        let devices: Vec<DeviceAddress> = self.group_devices(group).filter(|device| *device != from).collect();
        for device in devices {
            let for_it = own.iter().filter(|(jid, _)| self.directory.find_device(jid) == Some(device));
            let encs: Vec<Node> = for_it.map(|(_, enc)| (*enc).clone()).chain(shared.iter().cloned()).collect();
            if !encs.is_empty() {
                let target = self.groups.get(group).form.jid(device);
                self.forward(envelope, &target, device, &encs);
            }
        }
        // A sender whose list of devices is not the server's is told the server's.
        let hash = self.participant_hash(group);
        match (attr(stanza, "phash"), hash) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                self.ledger.counts.stale_device_lists += 1;
                vec![("phash", ours)]
            }
            _ => Vec::new(),
        }
    }

    /// A receipt for messages of a group, or for a status, goes to who wrote them.
    pub(crate) fn route_group_receipt(
        &mut self,
        from: DeviceAddress,
        chat: &Jid,
        form: Form,
        to: DeviceAddress,
        stanza: &Node,
    ) {
        if !self.directory.has_device(to) || from == to {
            return;
        }
        let Some(id) = attr(stanza, "id") else { return };
        let mut receipt = NodeBuilder::new("receipt")
            .attr("from", chat.clone())
            .attr("participant", form.jid(from))
            .attr("id", id.as_ref())
            .attr("t", self.time());
        if let Some(kind) = stanza.attrs.get("type") {
            receipt = receipt.attr("type", kind.clone());
        }
        let receipt = receipt.apply_content(stanza.content.clone()).build();
        self.deliver(from, to, Class::Receipt, &id, receipt);
    }

    /// An endpoint writes to many under one key: to all of a group, or to whom a status is for.
    pub(crate) fn write_to_many(
        &mut self,
        account: AccountId,
        chat: &Jid,
        id: &str,
        sent: &Sent,
        devices: Vec<DeviceAddress>,
    ) -> Result<(), String> {
        let from = account.primary();
        let plain = MessageUtils::pad_message_v2(sent.composed.encode());
        let key = self.sender_key(account, chat)?;
        let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
        let bytes = endpoint.group_encrypt(&chat.to_string(), &plain, &mut self.rng).map_err(|e| e.to_string())?;
        self.ledger.group_ciphertext(from, chat, &bytes);
        let shared = sent.enc("skmsg", bytes);
        let edit = sent.edit();
        let envelope = sent.envelope(from, chat, id, edit.as_ref());
        let time = self.time_ms();
        self.ledger.message(&envelope, time, false);
        self.ledger.acked(from, id);
        for device in devices.into_iter().filter(|device| *device != from) {
            let mut encs = vec![shared.clone()];
            if !self.directory.get(account).contact.holds_key(sent.to, device) {
                match self.seal(account, device, &MessageUtils::encode_and_pad(&key)) {
                    Ok(sealed) => encs.insert(0, enc_node(sealed.kind, sealed.bytes)),
                    Err(reason) => {
                        tracing::warn!(message = %id, %device, %reason, "cannot hand out the sender key");
                        continue;
                    }
                }
                self.directory.get_mut(account).contact.key_given(sent.to, device);
            }
            self.forward(&envelope, &sent.form.jid(device), device, &encs);
        }
        Ok(())
    }

    /// Writes a message of a group, or a status, again to the one device that could not read it, with the sender key.
    pub(crate) fn write_again_in_group(
        &mut self,
        account: AccountId,
        chat: &Jid,
        id: &str,
        sent: &Sent,
        device: DeviceAddress,
    ) {
        let sealed = self.sender_key(account, chat).and_then(|key| {
            let mut message = sent.composed.message.clone();
            message.sender_key_distribution_message = key.sender_key_distribution_message;
            self.seal(account, device, &MessageUtils::encode_and_pad(&message)).map_err(|e| e.to_string())
        });
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(reason) => {
                tracing::warn!(message = %id, %device, %reason, "cannot write again");
                return;
            }
        };
        let edit = sent.edit();
        let envelope = sent.envelope(account.primary(), chat, id, edit.as_ref());
        let time = self.time_ms();
        self.ledger.message(&envelope, time, true);
        self.forward(&envelope, &sent.form.jid(device), device, &[sent.enc(sealed.kind, sealed.bytes)]);
    }

    /// The message that hands out an endpoint's key for a chat of many.
    pub(crate) fn sender_key(&mut self, account: AccountId, chat: &Jid) -> Result<wa::Message, String> {
        let chat = chat.to_string();
        let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
        let key = endpoint.group_key(&chat, &mut self.rng).map_err(|e| e.to_string())?;
        let distribution =
            SenderKeyDistributionMessage { group_id: Some(chat), axolotl_sender_key_distribution_message: Some(key) };
        Ok(wa::Message { sender_key_distribution_message: MessageField::some(distribution), ..Default::default() })
    }

    /// Opens a message of a group: learns the sender's key if it comes along, then reads what is under it.
    pub(crate) fn open_in_group(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        group: &Jid,
        stanza: &Node,
    ) -> Result<wa::Message, Refused> {
        let group = group.to_string();
        let mut said = None;
        for enc in enc_nodes(stanza) {
            let bytes = content(enc).ok_or(Refused::Empty)?;
            let message = if attr_is(enc, "type", "skmsg") {
                let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
                let plain = endpoint.group_decrypt(&group, &from.protocol_address(), bytes)?;
                decode(&plain)?
            } else {
                self.open(account, from, stanza, enc)?
            };
            if let Some(key) = message.sender_key_distribution_message.as_option() {
                let key = key.axolotl_sender_key_distribution_message.as_deref().unwrap_or_default();
                let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
                endpoint.learn_group_key(&group, &from.protocol_address(), key)?;
            }
            let mut rest = message.clone();
            rest.sender_key_distribution_message = MessageField::none();
            rest.message_context_info = MessageField::none();
            if !rest.encode_to_vec().is_empty() || attr_is(enc, "type", "skmsg") {
                said = Some(message);
            }
        }
        said.ok_or(Refused::Empty)
    }
}
