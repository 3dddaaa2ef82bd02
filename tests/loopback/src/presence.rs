//! Presence and typing. Told to those who are connected at that moment, never kept for later.
//!
//! Presence goes to those who subscribed to it, chat states to the other side of the chat.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::stanza::{attr, attr_is, first_child, jid_attr};
use crate::world::World;

/// Somebody's activity in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatState {
    Composing,
    Recording,
    Paused,
}

/// Another person's presence, as a person sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    pub number: String,
    pub available: bool,
    /// Unix time in seconds at which they were last there; absent when they never were, or are.
    pub last_seen: Option<u64>,
    /// The last thing they did in the chat with this person.
    pub chat_state: Option<ChatState>,
    /// All they did in it, oldest first.
    pub history: Vec<ChatState>,
}

#[derive(Default)]
pub(crate) struct Presence {
    available: HashSet<DeviceAddress>,
    last_seen: HashMap<AccountId, u64>,
    /// The subscriptions: who wants to know about whom, and by which name.
    subscriptions: HashMap<(DeviceAddress, AccountId), Jid>,
    /// What one did in the chat with the other.
    chats: HashMap<(AccountId, AccountId), Vec<ChatState>>,
}

impl Presence {
    fn is_available(&self, account: AccountId) -> bool {
        self.available.iter().any(|device| device.account == account)
    }
}

impl World {
    /// `<presence>` by a linked device.
    pub(crate) fn presence_stanza(&mut self, from: DeviceAddress, stanza: &Node) {
        if let Some(name) = attr(stanza, "name").filter(|name| !name.is_empty()) {
            // What the account calls itself from now on.
            self.directory.get_mut(from.account).name = name.into_owned();
        }
        let of = jid_attr(stanza, "to").and_then(|to| Some((self.directory.find(&to)?, to)));
        match (attr(stanza, "type").as_deref(), of) {
            (Some("subscribe"), Some((account, named))) => {
                self.presence.subscriptions.insert((from, account), named);
                self.tell_presence(from, account);
            }
            (Some("unsubscribe"), Some((account, _))) => {
                self.presence.subscriptions.remove(&(from, account));
            }
            (Some("unavailable"), None) => self.set_available(from, false),
            (Some("available"), None) => self.set_available(from, true),
            // A name alone says nothing of who is there.
            (None, None) if stanza.attrs.get("name").is_none() => self.set_available(from, true),
            _ => {}
        }
    }

    /// A device of an account is there, or is not any more.
    pub(crate) fn set_available(&mut self, device: DeviceAddress, available: bool) {
        let account = device.account;
        let before = self.presence.is_available(account);
        if available {
            self.presence.available.insert(device);
        } else {
            self.presence.available.remove(&device);
        }
        if self.presence.is_available(account) == before {
            return;
        }
        if before {
            let time = self.time();
            self.presence.last_seen.insert(account, time);
        }
        let subscribers: Vec<DeviceAddress> =
            self.presence.subscriptions.keys().filter(|(_, of)| *of == account).map(|(by, _)| *by).collect();
        for subscriber in subscribers {
            self.tell_presence(subscriber, account);
        }
    }

    fn tell_presence(&mut self, to: DeviceAddress, of: AccountId) {
        let Some(named) = self.presence.subscriptions.get(&(to, of)) else {
            return;
        };
        let mut presence = NodeBuilder::new("presence").attr("from", named.to_non_ad());
        if !self.presence.is_available(of) {
            presence = presence.attr("type", "unavailable");
            if let Some(last) = self.presence.last_seen.get(&of) {
                presence = presence.attr("last", *last);
            }
        }
        let presence = presence.build();
        self.tell(to, presence);
    }

    /// `<chatstate>` by a linked device.
    pub(crate) fn chat_state_stanza(&mut self, from: DeviceAddress, stanza: &Node) {
        let Some(to) = jid_attr(stanza, "to") else { return };
        let state = first_child(stanza).and_then(|state| match state.tag.as_ref() {
            "composing" if attr_is(state, "media", "audio") => Some(ChatState::Recording),
            "composing" => Some(ChatState::Composing),
            "paused" => Some(ChatState::Paused),
            _ => None,
        });
        let (Some(state), Some(peer)) = (state, self.directory.find(&to)) else {
            return;
        };
        self.set_chat_state(from, peer, Form::of(&to), state);
    }

    pub(crate) fn set_chat_state(&mut self, from: DeviceAddress, peer: AccountId, form: Form, state: ChatState) {
        self.presence.chats.entry((from.account, peer)).or_default().push(state);
        let child = match state {
            ChatState::Composing => NodeBuilder::new("composing"),
            ChatState::Recording => NodeBuilder::new("composing").attr("media", "audio"),
            ChatState::Paused => NodeBuilder::new("paused"),
        };
        let stanza = NodeBuilder::new("chatstate")
            .attr("from", form.jid(from.account.primary()))
            .children([child.build()])
            .build();
        let devices: Vec<DeviceAddress> =
            self.directory.get(peer).companions.keys().map(|device| peer.device(*device)).collect();
        for device in devices {
            self.tell(device, stanza.clone());
        }
    }

    /// Sends a device something that is worth nothing later.
    pub(crate) fn tell(&mut self, to: DeviceAddress, stanza: Node) {
        if !self.may_deliver(to.account) {
            return;
        }
        if let Some(companion) = self.directory.companion(to)
            && let (Some(conn), true) = (companion.conn, companion.active)
        {
            self.send(conn, stanza);
        }
    }

    /// What `account` sees of those who wrote to it or did something in a chat with it.
    pub(crate) fn seen_by(&self, account: AccountId) -> Vec<Seen> {
        let known = self.directory.get(account).contact.forms.keys().copied();
        let busy = self.presence.chats.keys().filter(|(_, with)| *with == account).map(|(by, _)| *by);
        let mut peers: Vec<AccountId> = known.chain(busy).collect();
        peers.sort_unstable();
        peers.dedup();
        let seen = peers.into_iter().map(|peer| {
            let available = self.presence.is_available(peer);
            let history = self.presence.chats.get(&(peer, account)).cloned().unwrap_or_default();
            Seen {
                number: self.directory.get(peer).number(),
                available,
                last_seen: self.presence.last_seen.get(&peer).copied().filter(|_| !available),
                chat_state: history.last().copied(),
                history,
            }
        });
        seen.collect()
    }
}
