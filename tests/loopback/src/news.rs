//! The server's news of people: they link a device or lose one, install WhatsApp anew, change their number. It tells
//! those who have written to them, and an account's own devices.

use rand::RngExt as _;
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::compose::{Chat, Composed, Place};
use crate::faults::FaultKind;
use crate::groups::GroupId;
use crate::queue::Class;
use crate::routing::{Envelope, enc_node, targets};
use crate::say::Say;
use crate::stanza::attr;
use crate::world::World;
use crate::writing::Sent;

impl World {
    /// A device was linked, or is gone: `change` is `add` or `remove`.
    pub(crate) fn tell_of_device(&mut self, device: DeviceAddress, change: &'static str) {
        if self.faults.hits(FaultKind::WithholdDevices, device.account) {
            return;
        }
        let account = self.directory.get(device.account);
        let (time, signed) = account.key_index_list();
        let signed = (change == "add").then(|| signed.to_vec());
        let named = |form: Form| {
            let mut linked = NodeBuilder::new("device").attr("jid", form.jid(device));
            if let Some(companion) = account.companions.get(&device.device) {
                linked = linked.attr("key-index", companion.key_index);
            }
            let list = NodeBuilder::new("key-index-list").attr("ts", time);
            let list = match &signed {
                Some(signed) => list.bytes(signed.clone()),
                None => list,
            };
            NodeBuilder::new(change).children([linked.build(), list.build()]).build()
        };
        let (by_number, by_lid) = (named(Form::Pn), named(Form::Lid));
        for peer in self.correspondents(device.account) {
            let child = if self.hides_number(device.account) { by_lid.clone() } else { by_number.clone() };
            self.tell_of(device.account, peer, "devices", child);
        }
        self.tell_own_devices(device);
    }

    /// An account's devices are told which of them there are.
    fn tell_own_devices(&mut self, changed: DeviceAddress) {
        let account = self.directory.get(changed.account);
        let (time, signed) = account.key_index_list();
        let list = NodeBuilder::new("key-index-list").attr("ts", time).bytes(signed.to_vec()).build();
        let primary = NodeBuilder::new("device").attr("jid", Form::Pn.jid(changed.account.primary())).build();
        let linked = account.companions.iter().map(|(id, companion)| {
            let jid = Form::Pn.jid(changed.account.device(*id));
            NodeBuilder::new("device").attr("jid", jid).attr("key-index", companion.key_index).build()
        });
        let devices = std::iter::once(primary).chain(linked).chain([list]).collect::<Vec<_>>();
        let others: Vec<u16> = account.companions.keys().copied().filter(|id| *id != changed.device).collect();
        let id = self.stanza_id();
        let notification = NodeBuilder::new("notification")
            .attr("from", Form::Pn.jid(changed.account.primary()))
            .attr("type", "account_sync")
            .attr("id", id.as_str())
            .attr("t", self.time())
            .children([NodeBuilder::new("devices").attr("dhash", "2:unknown").children(devices).build()])
            .build();
        for other in others {
            let to = changed.account.device(other);
            self.deliver(changed, to, Class::Notification, &id, notification.clone());
        }
    }

    /// The owner takes another name on the phone: the account's devices are told.
    pub(crate) fn rename_owner(&mut self, account: AccountId, name: &str) {
        self.directory.get_mut(account).name = name.to_owned();
        let devices: Vec<u16> = self.directory.get(account).companions.keys().copied().collect();
        for device in devices {
            let id = self.stanza_id();
            let notification = NodeBuilder::new("notification")
                .attr("from", Form::Pn.jid(account.primary()))
                .attr("type", "account_sync")
                .attr("id", id.as_str())
                .attr("t", self.time())
                .attr("pushname", name)
                .build();
            self.deliver(account.primary(), account.device(device), Class::Notification, &id, notification);
        }
    }

    /// Those who have written to an account.
    fn correspondents(&self, account: AccountId) -> Vec<AccountId> {
        let mut known: Vec<_> = self.directory.get(account).contact.forms.keys().copied().collect();
        known.sort_unstable();
        known
    }

    /// Tells the linked devices of a peer something of an account.
    fn tell_of(&mut self, account: AccountId, peer: AccountId, kind: &'static str, child: Node) {
        let id = self.stanza_id();
        let mut notification =
            NodeBuilder::new("notification").attr("type", kind).attr("id", id.as_str()).attr("t", self.time());
        notification = match self.hides_number(account) {
            true => notification.attr("from", Form::Lid.jid(account.primary())),
            false => {
                notification.attr("from", Form::Pn.jid(account.primary())).attr("lid", Form::Lid.jid(account.primary()))
            }
        };
        let notification = notification.children([child]).build();
        let devices: Vec<u16> = self.directory.get(peer).companions.keys().copied().collect();
        for device in devices {
            self.deliver(account.primary(), peer.device(device), Class::Notification, &id, notification.clone());
        }
    }

    /// Somebody installs WhatsApp anew: all keys are others, and the linked devices are gone. `told`: their correspondents hear of it.
    pub(crate) fn reinstall(&mut self, account: AccountId, told: bool) {
        let linked: Vec<u16> = self.directory.get(account).companions.keys().copied().collect();
        for device in linked {
            self.unlink(account.device(device));
        }
        self.directory.get_mut(account).contact.reinstall(&mut self.rng);
        self.renew_key_index_list(account);
        if told {
            for peer in self.correspondents(account) {
                self.tell_of(account, peer, "encrypt", NodeBuilder::new("identity").build());
            }
        }
    }

    /// A person goes from one number to another, which so far was nobody's: those who have written to the old one hear of it.
    pub(crate) fn tell_changed_number(&mut self, old: AccountId, new: AccountId) {
        let modify = NodeBuilder::new("modify")
            .attr("old", Form::Pn.jid(old.primary()))
            .attr("new", Form::Pn.jid(new.primary()))
            .attr("old_lid", Form::Lid.jid(old.primary()))
            .attr("new_lid", Form::Lid.jid(new.primary()))
            .build();
        for peer in self.correspondents(old) {
            self.tell_of(old, peer, "contacts", modify.clone());
        }
    }

    /// The hash of the devices that a direct message should have gone to, where it has gone to others.
    pub(crate) fn stale_devices(&mut self, envelope: &Envelope<'_>, stanza: &Node) -> Option<String> {
        let peer = self.directory.find(envelope.to)?;
        let reached = targets(stanza, envelope.to);
        if envelope.category.is_some() || attr(stanza, "participant").is_some() || reached.is_empty() {
            return None;
        }
        let form = Form::of(envelope.to);
        let mut there: Vec<DeviceAddress> = [peer, envelope.from.account]
            .into_iter()
            .flat_map(|account| {
                let linked = self.directory.get(account).companions.keys().map(move |device| account.device(*device));
                std::iter::once(account.primary()).chain(linked)
            })
            .filter(|device| *device != envelope.from)
            .collect();
        there.sort_unstable();
        there.dedup();
        let is_right = there.len() == reached.len()
            && reached.iter().all(|(jid, _)| self.directory.find_device(jid).is_some_and(|it| there.contains(&it)));
        if is_right {
            return None;
        }
        self.ledger.counts.stale_device_lists += 1;
        let there: Vec<Jid> = there.into_iter().map(|device| form.jid(device)).collect();
        MessageUtils::participant_list_hash(&there).ok()
    }

    /// Somebody writes to a broadcast list: each who is in it gets a message of their own, which says the list. Returns its id.
    pub(crate) fn broadcast(&mut self, account: AccountId, to: &[AccountId], say: &Say) -> Result<String, String> {
        let list = Jid::new(self.rng.random_range(1_700_000_000u32..1_800_000_000).to_string(), Server::Broadcast);
        let id = self.message_id();
        for peer in to {
            let form = self.form_for(account, *peer, "");
            let chat = Chat::Direct(*peer);
            let composed = self.compose(Place { author: account, chat, form }, say)?;
            let sent = Sent { to: chat, form, composed, category: None };
            self.directory.get_mut(account).contact.sent.insert(id.clone(), sent.clone());
            self.archive(account, account, chat, &id, &sent.composed.message);
            let plain = MessageUtils::pad_message_v2(sent.composed.encode());
            let mut envelope = sent.envelope(account.primary(), &list, &id, None);
            envelope.group = Some(form);
            let time = self.time_ms();
            self.ledger.message(&envelope, time, false);
            self.ledger.acked(account.primary(), &id);
            let linked: Vec<u16> = self.directory.get(*peer).companions.keys().copied().collect();
            for device in std::iter::once(0).chain(linked).map(|device| peer.device(device)) {
                let sealed = self.seal(account, device, &plain).map_err(|error| error.to_string())?;
                let enc = sent.enc(sealed.kind, sealed.bytes);
                self.forward(&envelope, &form.jid(device), device, &[enc]);
            }
        }
        self.deliver_mail();
        Ok(id)
    }

    /// A member hands its key of a group to all devices in it, and says nothing. Returns the id of that.
    pub(crate) fn hand_out_key(&mut self, account: AccountId, group: GroupId) -> Result<String, String> {
        let (jid, form) = (group.jid(), self.groups.get(group).form);
        let message = self.sender_key(account, &jid)?;
        let plain = MessageUtils::encode_and_pad(&message);
        let sent =
            Sent { to: Chat::Group(group), form, composed: Composed { message, beyond: Vec::new() }, category: None };
        let id = self.message_id();
        let envelope = sent.envelope(account.primary(), &jid, &id, None);
        let devices: Vec<DeviceAddress> =
            self.group_devices(group).filter(|device| device.account != account).collect();
        for device in devices {
            let sealed = self.seal(account, device, &plain).map_err(|error| error.to_string())?;
            self.directory.get_mut(account).contact.key_given(sent.to, device);
            self.forward(&envelope, &form.jid(device), device, &[enc_node(sealed.kind, sealed.bytes)]);
        }
        self.deliver_mail();
        Ok(id)
    }
}
