//! From sender to receiver: messages split into one stanza a device, receipts, acks.
//!
//! A receiver who is addressed by one kind of name sees the sender under the same kind, with the other name beside
//! it.

use std::time::Instant;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, NodeContent, Server};

use crate::account::{AccountId, DeviceAddress, Form, HeldAck, Kind};
use crate::faults::{AckTrouble, Acked, FaultKind};
use crate::groups::other_participant;
use crate::queue::Class;
use crate::stanza::{attr, attr_is, child, content, jid_attr, server_ack};
use crate::statuses;
use crate::world::{ConnId, Effect, World};

/// How a message travels: the same for every device it goes to.
pub(crate) struct Envelope<'a> {
    pub(crate) from: DeviceAddress,
    /// The chat as the sender addressed it.
    pub(crate) to: &'a Jid,
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) category: Option<&'a str>,
    /// The effect of the message on another one, if it has one.
    pub(crate) edit: Option<&'a str>,
    pub(crate) device_identity: Option<&'a Node>,
    pub(crate) meta: Option<Node>,
    /// How people are named, where they are many: in a group, in statuses.
    pub(crate) group: Option<Form>,
}

impl World {
    /// A `<message>` by a linked device.
    pub(crate) fn message(&mut self, conn: ConnId, from: DeviceAddress, stanza: &Node) {
        let (Some(to), Some(id)) = (jid_attr(stanza, "to"), attr(stanza, "id")) else {
            return;
        };
        let time = self.time_ms();
        // A resend that a retry receipt asked for goes to one device and is no second message.
        let resend =
            attr_is(stanza, "device_fanout", "false") || enc_nodes(stanza).any(|e| e.attrs.contains_key("count"));
        let resend = resend || to.is_status_broadcast() && self.is_status_again(from, &id, stanza);
        let mut ack = server_ack(stanza, self.time());
        let chat = to.to_non_ad_string();
        let acked = Acked { by: from.account, id: &id, chat: &chat };
        let trouble = self.faults.ack_trouble(acked);
        if let Some(AckTrouble::Error(code)) = trouble {
            self.faults.spend_error_ack(acked);
            ack.attrs.insert("error", code.to_string());
            return self.send(conn, ack);
        }
        let group = self.groups.find(&to);
        let is_status = to.is_status_broadcast();
        let is_channel = to.server == Server::Newsletter;
        if is_channel {
            match self.channel_message(from, &to.to_string(), stanza) {
                Ok(number) => ack.attrs.insert("server_id", number.to_string()),
                Err(code) => ack.attrs.insert("error", code.to_string()),
            };
        }
        // A number that nobody has is confirmed as every other, though there is nobody to deliver to: so does WhatsApp.
        let category = attr(stanza, "category");
        let edit = attr(stanza, "edit");
        let envelope = Envelope {
            from,
            to: &to,
            id: &id,
            kind: &attr(stanza, "type").unwrap_or_else(|| "text".into()),
            category: category.as_deref(),
            edit: edit.as_deref(),
            device_identity: child(stanza, "device-identity"),
            meta: child(stanza, "meta").cloned(),
            group: group.map(|group| self.groups.get(group).form).or(is_status.then_some(statuses::FORM)),
        };
        self.ledger.message(&envelope, time, resend);
        if let Some(group) = group {
            for (name, value) in self.group_message(group, &envelope, stanza) {
                ack.attrs.insert(name, value);
            }
        } else if is_status {
            self.status_message(&envelope, stanza, resend);
        } else if !is_channel {
            self.direct_message(&envelope, stanza);
            // A sender whose list of devices is not the server's is told the server's.
            if !resend && let Some(hash) = self.stale_devices(&envelope, stanza) {
                ack.attrs.insert("phash", hash);
            }
        }
        let due = match trouble {
            None | Some(AckTrouble::Error(_)) => {
                self.ledger.acked(from, &id);
                return self.send(conn, ack);
            }
            Some(AckTrouble::Withheld) => None,
            Some(AckTrouble::Late(after)) => {
                let due = Instant::now() + after;
                self.effects.push(Effect::WakeAt(due));
                Some(due)
            }
        };
        if let Some(companion) = self.directory.companion_mut(from) {
            companion.held_acks.push(HeldAck { id: id.into_owned(), chat, due, ack });
        }
    }

    fn direct_message(&mut self, envelope: &Envelope<'_>, stanza: &Node) {
        // To a group that does not exist, for one.
        for enc in enc_nodes(stanza).filter(|enc| attr_is(enc, "type", "skmsg")) {
            self.ledger.group_ciphertext(envelope.from, envelope.to, content(enc).unwrap_or_default());
        }
        let mut reached = Vec::new();
        for (target, enc) in targets(stanza, envelope.to) {
            // Baileys sends the requester of a retry both a top-level `<enc>` and one in `<participants>`.
            if let Some(address) = self.directory.find_device(&target)
                && !reached.contains(&address)
            {
                reached.push(address);
                self.forward(envelope, &target, address, std::slice::from_ref(enc));
            }
        }
    }

    /// Sends one device its part of a message.
    pub(crate) fn forward(&mut self, envelope: &Envelope<'_>, target: &Jid, address: DeviceAddress, encs: &[Node]) {
        if !self.directory.has_device(address) || self.has_blocked(address.account, envelope.from.account) {
            return;
        }
        for enc in encs {
            if let (Some(kind), Some(bytes)) = (attr(enc, "type"), content(enc)) {
                self.ledger.ciphertext(envelope.from, address, &kind, bytes);
            }
        }
        let form = Form::of(target);
        let sender = envelope.from;
        let nameless = self.hides_number(sender.account);
        let mut message =
            NodeBuilder::new("message").attr("id", envelope.id).attr("type", envelope.kind).attr("t", self.time());
        message = match envelope.group {
            None => message.attr("from", form.jid(sender)),
            Some(form) => message
                .attr("from", envelope.to.clone())
                .attr("participant", form.jid(sender))
                .attr("addressing_mode", form.name()),
        };
        if let Some(form) = envelope.group {
            // In a group everybody is named the same way.
            if form == Form::Pn || !nameless {
                message = message.attr(other_participant(form), form.other().jid(sender.account.primary()));
            }
        } else if sender.account == address.account {
            if envelope.category.is_none() {
                message = message.attr("recipient", envelope.to.to_non_ad());
            }
        } else {
            let other = form.other().jid(sender.account.primary());
            message = match form {
                Form::Pn => message.attr("sender_lid", other),
                Form::Lid if nameless => message.attr("addressing_mode", "lid"),
                Form::Lid => message.attr("sender_pn", other).attr("addressing_mode", "lid"),
            };
        }
        if let Some(category) = envelope.category {
            message = message.attr("category", category);
        }
        if let Some(edit) = envelope.edit {
            message = message.attr("edit", edit);
        }
        message = message.attr("notify", self.directory.get(sender.account).name.as_str());
        let mut children = encs.to_vec();
        children.extend(envelope.meta.clone());
        if encs.iter().any(|enc| attr_is(enc, "type", "pkmsg")) {
            children.extend(envelope.device_identity.cloned());
        }
        self.deliver(sender, address, Class::Message, envelope.id, message.children(children).build());
    }

    /// A `<receipt>` by a linked device: settles the messages it names and goes on to who sent them.
    pub(crate) fn receipt(&mut self, conn: ConnId, from: DeviceAddress, stanza: &Node) {
        if attr_is(stanza, "type", "server-error") {
            let ack = server_ack(stanza, self.time());
            self.send(conn, ack);
            return self.media_retry(from, stanza);
        }
        let retry = attr_is(stanza, "type", "retry");
        let ids = receipt_ids(stanza);
        if retry {
            // Only an ack clears the message: should the connection end before it, the message comes again.
            self.ledger.counts.retry_receipts += 1;
            self.ledger.counts.device_retries += 1;
        } else {
            self.ledger.counts.receipts += 1;
            self.settle(from, &ids);
        }
        let ack = server_ack(stanza, self.time());
        self.send(conn, ack);
        // A device's receipt for a copy of its own account's message has no addressee in Baileys 7.
        let Some(to) = jid_attr(stanza, "to").or_else(|| jid_attr(stanza, "recipient")) else {
            return;
        };
        // Where many are: the chat, and how people are named there.
        let group = self.groups.find(&to).map(|group| self.groups.get(group).form);
        let many = group.or(to.is_status_broadcast().then_some(statuses::FORM)).map(|form| (to.clone(), form));
        // A message that came by a broadcast list is its sender's alone.
        let is_of_list = to.server == Server::Broadcast;
        let author = if many.is_some() || is_of_list { jid_attr(stanza, "participant") } else { None };
        let to = author.unwrap_or(to);
        let Some(address) = self.directory.find_device(&to) else {
            return;
        };
        let receivers = if retry { vec![address] } else { self.receivers(address) };
        for address in receivers {
            for id in ids.iter().filter(|_| !retry) {
                self.ledger.delivered(address, id, &from.to_string());
                if attr_is(stanza, "type", "read") || attr_is(stanza, "type", "played") {
                    self.ledger.read(address, id, &from.to_string());
                }
            }
            match &many {
                Some((chat, form)) => self.route_group_receipt(from, chat, *form, address, stanza),
                None => self.route_receipt(from, &to, address, stanza),
            }
        }
    }

    /// The devices that a receipt reaches: one that names no device (Baileys reports a chat as read, not a device's
    /// message) is for all of the account.
    pub(crate) fn receivers(&self, named: DeviceAddress) -> Vec<DeviceAddress> {
        if named.device != 0 {
            return vec![named];
        }
        let companions = self.directory.get(named.account).companions.keys();
        std::iter::once(named).chain(companions.map(|device| named.account.device(*device))).collect()
    }

    /// Passes a receipt on, from whoever issued it.
    pub(crate) fn route_receipt(&mut self, from: DeviceAddress, to: &Jid, address: DeviceAddress, stanza: &Node) {
        if !self.directory.has_device(address) || from == address {
            return;
        }
        let Some(id) = attr(stanza, "id") else { return };
        let mut receipt = NodeBuilder::new("receipt")
            .attr("from", Form::of(to).jid(from))
            .attr("id", id.as_ref())
            .attr("t", self.time());
        for key in ["type", "recipient", "participant", "category"] {
            if let Some(value) = stanza.attrs.get(key) {
                receipt = receipt.attr(key, value.clone());
            }
        }
        let receipt = receipt.apply_content(stanza.content.clone()).build();
        self.deliver(from, address, Class::Receipt, &id, receipt);
    }

    /// An `<ack>` by a linked device, with or without an error, settles what it names.
    pub(crate) fn ack(&mut self, from: DeviceAddress, stanza: &Node) {
        let (Some(class), Some(id)) = (attr(stanza, "class"), attr(stanza, "id")) else {
            return;
        };
        if let Some(code) = attr(stanza, "error") {
            self.ledger.nack(from, &class, &id, &code);
        }
        let Some(class) = Class::from_tag(&class) else {
            return;
        };
        if let Some(companion) = self.directory.companion_mut(from)
            && companion.queue.acknowledge(class, &id)
        {
            self.ledger.counts.acks += 1;
        }
    }

    fn settle(&mut self, from: DeviceAddress, ids: &[String]) {
        let Some(companion) = self.directory.companion_mut(from) else {
            return;
        };
        let settled: usize = ids.iter().map(|id| companion.queue.settle(Class::Message, id)).sum();
        self.ledger.counts.acks += settled as u64;
    }

    /// Hands a stanza to one device: to its queue, or to the endpoint that lives here.
    pub(crate) fn deliver(&mut self, from: DeviceAddress, to: DeviceAddress, class: Class, id: &str, stanza: Node) {
        if to.device == 0 {
            self.mail.push_back((from, to, stanza));
        } else if let Some(companion) = self.directory.companion_mut(to) {
            companion.queue.push(class, id, stanza);
            self.flush(to);
        }
    }

    /// Lets the endpoints that live here read what came for them, and whatever that leads to.
    pub(crate) fn deliver_mail(&mut self) {
        while let Some((from, to, stanza)) = self.mail.pop_front() {
            if self.is_cut_off(to.account) {
                self.parked.push((from, to, stanza));
                continue;
            }
            match stanza.tag.as_ref() {
                "message" => self.contact_message(to.account, from, &stanza),
                "receipt" => self.contact_receipt(to.account, from, &stanza),
                _ => {}
            }
        }
    }

    /// Whether nobody is told the number of an account.
    pub(crate) fn hides_number(&self, account: AccountId) -> bool {
        self.directory.get(account).hides_number || self.faults.hits(FaultKind::HideNumber, account)
    }

    /// A fault that names a customer cuts its endpoint off.
    fn is_cut_off(&self, account: AccountId) -> bool {
        self.directory.get(account).kind == Kind::Customer
            && [FaultKind::Withhold, FaultKind::Silence].iter().any(|kind| self.faults.targets(*kind, account))
    }
}

pub(crate) fn enc_nodes(stanza: &Node) -> impl Iterator<Item = &Node> {
    stanza.get_children_by_tag("enc")
}

/// The receivers with their ciphertexts: the entries of `<participants>`, and a top-level `<enc>` for `to` itself.
pub(crate) fn targets<'a>(stanza: &'a Node, to: &Jid) -> Vec<(Jid, &'a Node)> {
    let participants = child(stanza, "participants").and_then(Node::children).unwrap_or_default();
    let mut targets: Vec<(Jid, &Node)> = participants
        .iter()
        .filter(|entry| entry.tag == "to")
        .filter_map(|entry| Some((jid_attr(entry, "jid")?, child(entry, "enc")?)))
        .collect();
    targets.extend(enc_nodes(stanza).map(|enc| (to.clone(), enc)));
    targets
}

/// The ids a receipt is for: its own and those of its list.
pub(crate) fn receipt_ids(stanza: &Node) -> Vec<String> {
    let listed = child(stanza, "list").and_then(Node::children).unwrap_or_default();
    attr(stanza, "id")
        .into_iter()
        .chain(listed.iter().filter_map(|item| attr(item, "id")))
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// `<enc>` around a ciphertext.
pub(crate) fn enc_node(kind: &str, bytes: Vec<u8>) -> Node {
    let mut node = NodeBuilder::new("enc").attr("v", "2").attr("type", kind).build();
    node.content = Some(NodeContent::Bytes(bytes));
    node
}
