//! Accounts: phones and customers, their two names (phone number and LID), and the devices linked to them.
//!
//! Both names lead to the same account. Device 0 is the account's own endpoint (`contact`), which lives in this
//! process; every other device is a client that paired with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use serde::Deserialize;
use wacore_binary::{Jid, Node, Server};
use wacore_libsignal::protocol::{DeviceId, ProtocolAddress};

use crate::contact::Contact;
use crate::keys::UploadedKeys;
use crate::phone::PhoneState;
use crate::profile::Profile;
use crate::queue::Queue;
use crate::world::ConnId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AccountId(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceAddress {
    pub(crate) account: AccountId,
    pub(crate) device: u16,
}

impl AccountId {
    #[cfg(test)]
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn device(self, device: u16) -> DeviceAddress {
        DeviceAddress { account: self, device }
    }

    /// The account's own endpoint.
    pub(crate) fn primary(self) -> DeviceAddress {
        self.device(0)
    }

    /// The number is the id, so that it tells its account without a directory.
    fn number(self) -> u64 {
        self.0
    }

    fn lid(self) -> u64 {
        match self.0.checked_sub(FIRST_NUMBER) {
            Some(at) if at <= u64::from(u32::MAX) => FIRST_LID + at * LID_STEP,
            _ => OTHER_LIDS + self.0,
        }
    }
}

/// German mobile numbers that nobody was assigned: those who are given none are numbered from here.
const FIRST_NUMBER: u64 = 4_915_000_000_000;
const FIRST_LID: u64 = 180_000_000_000_001;
/// LIDs look random; a step keeps a wrong one from being somebody else's.
const LID_STEP: u64 = 7_919;
/// LIDs of numbers that somebody chose: beyond all others.
const OTHER_LIDS: u64 = 500_000_000_000_000_000;

impl DeviceAddress {
    /// The address under which endpoints of this network keep a session: one, however the peer was addressed.
    pub(crate) fn protocol_address(self) -> ProtocolAddress {
        ProtocolAddress::new(&self.account.lid().to_string(), DeviceId::from(u32::from(self.device)))
    }
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Form::Pn.jid(*self).fmt(f)
    }
}

/// Which of an account's two names a chat uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    #[default]
    Pn,
    Lid,
}

impl Form {
    pub(crate) fn of(jid: &Jid) -> Self {
        if jid.server.is_lid_family() { Self::Lid } else { Self::Pn }
    }

    pub(crate) fn jid(self, address: DeviceAddress) -> Jid {
        match self {
            Self::Pn => Jid::pn_device(address.account.number().to_string(), address.device),
            Self::Lid => Jid::lid_device(address.account.lid().to_string(), address.device),
        }
    }

    /// The `addressing_mode` of a group.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pn => "pn",
            Self::Lid => "lid",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Pn => Self::Lid,
            Self::Lid => Self::Pn,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Phone,
    Customer,
}

pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) kind: Kind,
    /// Sent along as the name the owner gave.
    pub(crate) name: String,
    pub(crate) contact: Contact,
    pub(crate) phone: PhoneState,
    pub(crate) profile: Profile,
    /// Nobody is told its number: it is known by its LID alone.
    pub(crate) hides_number: bool,
    /// It may begin no new chats until then, seconds since 1970; 0: it may.
    pub(crate) locked_until: u64,
    /// WhatsApp has warned it for the last time of too many new chats.
    pub(crate) warned_of_new_chats: bool,
    pub(crate) blocked: BTreeSet<AccountId>,
    pub(crate) companions: BTreeMap<u16, Companion>,
    /// Device ids are never given twice.
    pub(crate) next_device: u16,
    /// How many devices were ever linked: a rescan shows here.
    pub(crate) pairings: u64,
}

impl Account {
    pub(crate) fn number(&self) -> String {
        self.id.number().to_string()
    }
}

/// A linked device.
pub(crate) struct Companion {
    /// Its static Noise key: only its owner may log in.
    pub(crate) noise_key: [u8; 32],
    pub(crate) key_index: u32,
    pub(crate) keys: UploadedKeys,
    /// The account's key in the proof of a device that was linked elsewhere, where the account's phone is another.
    pub(crate) adopted_from: Option<[u8; 32]>,
    pub(crate) paired_at: u64,
    pub(crate) logins: u64,
    pub(crate) conn: Option<ConnId>,
    /// Since when there is no connection.
    pub(crate) offline_since: Option<Instant>,
    /// How long there was none before the last login.
    pub(crate) was_offline: Duration,
    /// The client has asked for its messages (`passive`/`active`) on this connection.
    pub(crate) active: bool,
    pub(crate) queue: Queue,
    /// Server acks that a fault keeps back.
    pub(crate) held_acks: Vec<HeldAck>,
    /// The phone shares its app state keys once.
    pub(crate) keys_shared: bool,
}

/// A server ack that is not sent yet.
pub(crate) struct HeldAck {
    pub(crate) id: String,
    /// Where the message went, bare.
    pub(crate) chat: String,
    /// When it is to be sent, if that is known.
    pub(crate) due: Option<Instant>,
    pub(crate) ack: Node,
}

/// All accounts, by either name.
#[derive(Default)]
pub(crate) struct Directory {
    accounts: BTreeMap<AccountId, Account>,
    by_user: HashMap<(bool, String), AccountId>,
    /// How many were numbered from [`FIRST_NUMBER`] on.
    numbered: u64,
}

impl Directory {
    pub(crate) fn add(&mut self, kind: Kind, name: Option<String>, contact: Contact, phone: PhoneState) -> AccountId {
        let taken = |number: &u64| self.by_user.contains_key(&(false, number.to_string()));
        let free = (FIRST_NUMBER + self.numbered..).find(|number| !taken(number)).expect("not all numbers are taken");
        self.numbered = free + 1 - FIRST_NUMBER;
        self.insert(AccountId(free), kind, name, contact, phone)
    }

    /// An account of this number, if it is one and nobody has it.
    pub(crate) fn add_numbered(
        &mut self,
        number: &str,
        kind: Kind,
        name: Option<String>,
        contact: Contact,
        phone: PhoneState,
    ) -> Option<AccountId> {
        let is_number = (5..=15).contains(&number.len()) && !number.starts_with('0');
        let id = number.parse().ok().filter(|_| is_number).map(AccountId)?;
        (!self.by_user.contains_key(&(false, id.number().to_string())))
            .then(|| self.insert(id, kind, name, contact, phone))
    }

    fn insert(
        &mut self,
        id: AccountId,
        kind: Kind,
        name: Option<String>,
        contact: Contact,
        phone: PhoneState,
    ) -> AccountId {
        self.by_user.insert((false, id.number().to_string()), id);
        self.by_user.insert((true, id.lid().to_string()), id);
        let name = name.unwrap_or_else(|| match kind {
            Kind::Phone => format!("Phone {}", self.accounts.len()),
            Kind::Customer => format!("Customer {}", self.accounts.len()),
        });
        let account = Account {
            id,
            kind,
            name,
            contact,
            phone,
            profile: Profile::default(),
            hides_number: false,
            locked_until: 0,
            warned_of_new_chats: false,
            blocked: BTreeSet::new(),
            companions: BTreeMap::new(),
            next_device: 1,
            pairings: 0,
        };
        self.accounts.insert(id, account);
        id
    }

    pub(crate) fn get(&self, id: AccountId) -> &Account {
        &self.accounts[&id]
    }

    pub(crate) fn get_mut(&mut self, id: AccountId) -> &mut Account {
        self.accounts.get_mut(&id).expect("ids are given with their accounts")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(crate) fn companion(&self, address: DeviceAddress) -> Option<&Companion> {
        self.get(address.account).companions.get(&address.device)
    }

    pub(crate) fn companion_mut(&mut self, address: DeviceAddress) -> Option<&mut Companion> {
        self.get_mut(address.account).companions.get_mut(&address.device)
    }

    /// Another number that leads to the account, if nobody has it.
    pub(crate) fn add_number(&mut self, id: AccountId, number: &str) -> bool {
        let at = self.by_user.entry((false, number.to_owned()));
        *at.or_insert(id) == id
    }

    /// Whether the account has that device. Device 0 always exists.
    pub(crate) fn has_device(&self, address: DeviceAddress) -> bool {
        address.device == 0 || self.companion(address).is_some()
    }

    pub(crate) fn find(&self, jid: &Jid) -> Option<AccountId> {
        if !matches!(jid.server, Server::Pn | Server::Lid) {
            return None;
        }
        self.by_user.get(&(jid.server == Server::Lid, jid.user.to_string())).copied()
    }

    pub(crate) fn find_device(&self, jid: &Jid) -> Option<DeviceAddress> {
        self.find(jid).map(|account| account.device(jid.device))
    }

    /// By bare number, `+number`, or JID.
    pub(crate) fn find_text(&self, text: &str) -> Option<AccountId> {
        let text = text.trim().trim_start_matches('+');
        if text.contains('@') {
            return self.find(&text.parse().ok()?);
        }
        self.by_user.get(&(false, text.to_owned())).copied()
    }
}
