//! Statuses: what somebody shows for a day to many, under a sender key as in a group. Each says whom it is for: the server knows of no
//! list of its own, and sends it to nobody else.

use std::collections::BTreeSet;

use wacore_binary::{Jid, Node};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::compose::{Chat, Place};
use crate::routing::{Envelope, enc_nodes, targets};
use crate::say::Say;
use crate::stanza::{attr_is, child, content, jid_attr};
use crate::world::World;
use crate::writing::Sent;

/// The chat of all statuses.
pub(crate) const CHAT: &str = "status@broadcast";

/// How people are named there.
pub(crate) const FORM: Form = Form::Lid;

impl World {
    /// A status by a linked device, or what is about one: every device of those that it names gets it; what a retry receipt asked for goes
    /// to who asked.
    pub(crate) fn status_message(&mut self, envelope: &Envelope<'_>, stanza: &Node, again: bool) {
        let from = envelope.from;
        let shared: Vec<Node> = enc_nodes(stanza).filter(|enc| attr_is(enc, "type", "skmsg")).cloned().collect();
        for enc in &shared {
            self.ledger.group_ciphertext(from, envelope.to, content(enc).unwrap_or_default());
        }
        let own = targets(stanza, envelope.to);
        let devices: BTreeSet<DeviceAddress> = if again {
            own.iter().filter_map(|(jid, _)| self.directory.find_device(jid)).collect()
        } else {
            named(stanza)
                .iter()
                .filter_map(|jid| self.directory.find(jid))
                .flat_map(|who| self.devices_of(who))
                .collect()
        };
        for device in devices.into_iter().filter(|device| *device != from) {
            let for_it = own.iter().filter(|(jid, _)| self.directory.find_device(jid) == Some(device));
            let encs: Vec<Node> = for_it.map(|(_, enc)| (*enc).clone()).chain(shared.iter().cloned()).collect();
            if !encs.is_empty() {
                self.forward(envelope, &FORM.jid(device), device, &encs);
            }
        }
    }

    /// Whether a status is what a retry receipt asked for: its id is known, and it is for one device. Nothing else tells it from a new one.
    pub(crate) fn is_status_again(&self, from: DeviceAddress, id: &str, stanza: &Node) -> bool {
        let for_one =
            targets(stanza, &Jid::status_broadcast()).iter().filter(|(jid, _)| jid.is_lid() || jid.is_pn()).count();
        named(stanza).len() == 1 && for_one == 1 && self.ledger.has_seen(from, id)
    }

    /// Whether a status of an endpoint is for that account.
    pub(crate) fn is_audience(&self, account: AccountId, id: &str, who: AccountId) -> bool {
        self.directory.get(account).contact.audiences.get(id).is_some_and(|audience| audience.contains(&who))
    }

    /// An endpoint posts a status, for the accounts named or, without any, for everybody who has written to it.
    pub(crate) fn post_status(
        &mut self,
        account: AccountId,
        audience: &[AccountId],
        say: &Say,
    ) -> Result<String, String> {
        let contact = &self.directory.get(account).contact;
        let known = contact.forms.keys().copied().filter(|_| audience.is_empty());
        let audience: BTreeSet<AccountId> = audience.iter().copied().chain(known).collect();
        let place = Place { author: account, chat: Chat::Status, form: FORM };
        let composed = self.compose(place, say)?;
        let sent = Sent { to: Chat::Status, form: FORM, composed, category: None };
        let id = self.message_id();
        let contact = &mut self.directory.get_mut(account).contact;
        contact.sent.insert(id.clone(), sent.clone());
        contact.audiences.insert(id.clone(), audience.iter().copied().collect());
        self.archive(account, account, Chat::Status, &id, &sent.composed.message);
        let devices = audience.into_iter().chain([account]).flat_map(|who| self.devices_of(who)).collect();
        self.write_to_many(account, &Jid::status_broadcast(), &id, &sent, devices)?;
        self.deliver_mail();
        Ok(id)
    }

    /// All devices of an account.
    fn devices_of(&self, account: AccountId) -> Vec<DeviceAddress> {
        let companions = self.directory.get(account).companions.keys().map(|device| account.device(*device));
        std::iter::once(account.primary()).chain(companions).collect()
    }
}

/// The audience of a status: people, or devices of theirs.
fn named(stanza: &Node) -> Vec<Jid> {
    let participants = child(stanza, "participants").and_then(Node::children).unwrap_or_default();
    participants.iter().filter(|entry| entry.tag == "to").filter_map(|entry| jid_attr(entry, "jid")).collect()
}
