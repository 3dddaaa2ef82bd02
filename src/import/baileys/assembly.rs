//! From credentials and named keys, in any order, to a copy.
//!
//! Owns the rules that need more than one entry: what is ours, whose LID a number is, which of two names of an address counts.

use std::collections::btree_map::Entry;

use super::{creds, entry_name};
use crate::import::{
    AddressServer, ContactToken, EntryError, EntryKind, ImportError, ImportLimits, ImportOrigin, ImportTally,
    KeyMaterial, SignalAddress, SyncKeyCopy, TenantCopy,
    address::{self, is_user},
    counters::PRE_KEY_IDS,
    fingerprint,
    json::{self, JsonBudget, JsonNode},
    key,
    signal::{self, LocalDevice, node_sender_key, node_session},
};

/// The name of the credentials among the entries.
pub const CREDENTIALS: &str = "creds";
/// What the name of a key is called in a list of keys, and its value.
const LISTED_NAMES: [&str; 4] = ["id", "key", "name", "_id"];
const LISTED_VALUES: [&str; 3] = ["value", "data", "val"];
/// Devices of one user that are taken.
const DEVICES: usize = 256;

/// A store of Baileys as it comes in, piece by piece, within the limits of one tenant.
pub struct Assembly {
    origin: ImportOrigin,
    budget: JsonBudget,
    creds: Option<JsonNode>,
    entries: Vec<(EntryKind, String, JsonNode)>,
    tally: ImportTally,
    is_split: bool,
}

impl Assembly {
    pub fn new(origin: ImportOrigin, limits: &ImportLimits) -> Self {
        Self {
            origin,
            budget: JsonBudget::new(limits),
            creds: None,
            entries: Vec::new(),
            tally: ImportTally::default(),
            is_split: false,
        }
    }

    pub fn budget(&self) -> &JsonBudget {
        &self.budget
    }

    /// Credentials from another place than the keys; they win over those that lie among the keys.
    pub fn set_creds(&mut self, creds: JsonNode) {
        self.is_split = true;
        self.creds = Some(creds);
    }

    /// A text under its name without `.json`. One that does not parse costs that entry; of the credentials, the import.
    pub fn add_text(&mut self, name: &str, text: &[u8]) -> Result<(), ImportError> {
        if name == CREDENTIALS {
            let creds = json::read_wrapped(text, "creds", &self.budget)?;
            return self.add(name, creds);
        }
        let Some((kind, _)) = entry_name::parse(name) else {
            self.ignore(EntryKind::Unknown);
            return Ok(());
        };
        match json::read(text, "a key", &self.budget) {
            Ok(node) => self.add(name, node),
            Err(error @ ImportError::TooLarge { .. }) => Err(error),
            Err(_) => {
                self.leave_out(kind, name, EntryError::Json);
                Ok(())
            }
        }
    }

    pub fn add(&mut self, name: &str, node: JsonNode) -> Result<(), ImportError> {
        if name == CREDENTIALS {
            if !self.is_split {
                self.creds = Some(node);
            }
            return Ok(());
        }
        match entry_name::parse(name) {
            Some((kind, id)) => self.push(kind, id, node),
            None => {
                self.ignore(EntryKind::Unknown);
                Ok(())
            }
        }
    }

    /// All keys of a tenant. Where nothing of it is a key, and something is there, that is a problem: a tenant without its sessions must
    /// not pass for one that never had any.
    pub fn add_all_keys(&mut self, keys: JsonNode) -> Result<(), ImportError> {
        let before = self.entries.len();
        let is_nothing = holds_nothing(&keys);
        match keys {
            JsonNode::List(items) => {
                for (at, item) in items.into_iter().enumerate() {
                    self.add_listed(at, item)?;
                }
            }
            keys => self.add_keys(keys)?,
        }
        if !is_nothing && self.entries.len() == before {
            self.leave_out(EntryKind::Unknown, "keys", EntryError::Invalid("the shape of the keys"));
        }
        Ok(())
    }

    /// One of a list of keys, as databases with a row for each write them: `{"id": "session-…", "value": …}`.
    fn add_listed(&mut self, at: usize, item: JsonNode) -> Result<(), ImportError> {
        let item = self.unwrapped(item)?;
        if item == JsonNode::Null {
            return Ok(());
        }
        let name = LISTED_NAMES.iter().find_map(|field| item.get(field).and_then(JsonNode::text)).map(|name| {
            let kind = item.get("type").and_then(JsonNode::text);
            match kind.filter(|_| entry_name::parse(name).is_none()) {
                Some(kind) => format!("{kind}-{name}"),
                None => name.to_owned(),
            }
        });
        let mut fields = item.into_fields().into_iter().flatten().rev();
        let value = fields.find(|(field, _)| LISTED_VALUES.contains(&field.as_str()));
        match (name, value) {
            (Some(name), Some((_, value))) => self.add(&name, value),
            _ => {
                self.leave_out(EntryKind::Unknown, &format!("keys[{at}]"), EntryError::Invalid("the shape of the key"));
                Ok(())
            }
        }
    }

    /// An object of keys, however it is nested: by full names, by type and id, or with the dots of a name taken for a path.
    pub fn add_keys(&mut self, keys: JsonNode) -> Result<(), ImportError> {
        for (name, node) in keys.into_fields().unwrap_or_default() {
            if let Some(kind) = entry_name::parse_type(&name) {
                let node = self.unwrapped(node)?;
                // The Realtime Database makes an array of an object with the fields 0, 1, 2, …; nulls fill it up.
                let fields = match node {
                    JsonNode::List(items) => {
                        items.into_iter().enumerate().map(|(at, node)| (at.to_string(), node)).collect()
                    }
                    node if node.fields().is_some() || holds_nothing(&node) => node.into_fields().unwrap_or_default(),
                    _ => {
                        self.leave_out(kind, &name, EntryError::Invalid("the shape of the keys"));
                        continue;
                    }
                };
                for (id, node) in fields {
                    if node != JsonNode::Null {
                        self.push(kind, &id, node)?;
                    }
                }
                continue;
            }
            let node = self.unwrapped(node)?;
            match split_by_dots(&name, &node) {
                Some(devices) => {
                    for (device, node) in devices {
                        self.add(&format!("{name}.{device}"), node)?;
                    }
                }
                None => self.add(&name, node)?,
            }
        }
        Ok(())
    }

    /// An entry that the reader could not even read.
    pub fn leave_out(&mut self, kind: EntryKind, name: &str, reason: EntryError) {
        self.tally.drop_entry(kind, name, &reason);
    }

    /// An entry that is only counted.
    pub fn ignore(&mut self, kind: EntryKind) {
        self.tally.ignore(kind, 1);
    }

    fn push(&mut self, kind: EntryKind, id: &str, node: JsonNode) -> Result<(), ImportError> {
        let limit = self.budget.limits().entries;
        if self.entries.len() >= limit {
            return Err(ImportError::TooLarge { what: "the tenant", limit: limit as u64, unit: "entries" });
        }
        let node = self.unwrapped(node)?;
        self.entries.push((kind, id.to_owned(), node));
        Ok(())
    }

    /// What is in a text, where a store keeps each key stringified. A text that holds no JSON stays what it is: its kind decides.
    fn unwrapped(&self, node: JsonNode) -> Result<JsonNode, ImportError> {
        if !matches!(node, JsonNode::Text(_)) {
            return Ok(node);
        }
        match json::unwrap_text(node.clone(), "a key", &self.budget) {
            Err(error @ (ImportError::TooLarge { .. } | ImportError::TooSlow { .. })) => Err(error),
            Err(_) => Ok(node),
            inner => inner,
        }
    }

    /// Makes the copy. Only the credentials decide whether there is one.
    pub fn finish(self) -> Result<TenantCopy, ImportError> {
        self.budget.check("the tenant")?;
        let creds = self.creds.as_ref().filter(|creds| creds.fields().is_some()).ok_or(ImportError::NoCredentials)?;
        let mut copy = TenantCopy::new(self.origin, creds::device(creds)?);
        copy.is_split = self.is_split;
        copy.tally = self.tally;
        let mut joiner = EntryJoiner { local: copy.device.local(), budget: &self.budget, copy, later: Vec::new() };
        // Mappings first: the others ask them.
        let (mappings, rest): (Vec<_>, Vec<_>) =
            self.entries.into_iter().partition(|(kind, ..)| *kind == EntryKind::LidMapping);
        for (kind, id, node) in mappings.into_iter().chain(rest) {
            if let Err(reason) = joiner.take(kind, &id, node) {
                joiner.copy.tally.drop_entry(kind, &id, &reason);
            }
        }
        // What lies in a buffer is parsed only now.
        self.budget.check("the tenant")?;
        Ok(joiner.finish())
    }
}

/// Nothing is there, in whatever wrapping.
fn holds_nothing(node: &JsonNode) -> bool {
    match node {
        JsonNode::Null => true,
        JsonNode::Bytes(bytes) => bytes.is_empty(),
        JsonNode::Text(text) => matches!(text.trim(), "" | "{}" | "[]" | "null"),
        JsonNode::List(items) => items.iter().all(holds_nothing),
        JsonNode::Map(fields) => fields.iter().all(|(_, node)| holds_nothing(node)),
        JsonNode::Bool(_) | JsonNode::Integer(_) | JsonNode::Float(_) => false,
    }
}

/// `session-573….0` as a path: an object of devices under the name without its last part.
fn split_by_dots(name: &str, node: &JsonNode) -> Option<Vec<(String, JsonNode)>> {
    let (kind, id) = entry_name::parse(name)?;
    if !matches!(kind, EntryKind::Session | EntryKind::Identity) || id.contains('.') {
        return None;
    }
    let fields = node.fields()?;
    // Bytes may be written so, too.
    let is_device = |(device, node): &(String, JsonNode)| {
        device.len() <= 5 && is_user(device) && !matches!(node, JsonNode::Integer(_))
    };
    let devices = !fields.is_empty() && fields.iter().all(is_device);
    devices.then(|| fields.to_vec())
}

/// Takes entry after entry into the copy.
struct EntryJoiner<'b> {
    copy: TenantCopy,
    local: LocalDevice,
    budget: &'b JsonBudget,
    /// Entries under an address without a domain: they give way to those that name it.
    later: Vec<(SignalAddress, DomainlessEntry)>,
}

enum DomainlessEntry {
    Session(Box<signal::ConvertedSession>),
    Identity([u8; 32]),
}

impl EntryJoiner<'_> {
    fn take(&mut self, kind: EntryKind, id: &str, node: JsonNode) -> Result<(), EntryError> {
        match kind {
            EntryKind::LidMapping => self.mapping(id, &node),
            EntryKind::PreKey => self.pre_key(id, &node),
            EntryKind::Session => self.session(id, &node),
            EntryKind::Identity => self.identity(id, &node),
            EntryKind::SenderKey => self.sender_key(id, node),
            EntryKind::ContactToken => self.contact_token(id, &node),
            EntryKind::SyncKey => self.sync_key(id, &node),
            EntryKind::DeviceList => self.device_list(id, node),
            EntryKind::SenderKeyMemory
            | EntryKind::SyncVersion
            | EntryKind::ArchivedSession
            | EntryKind::MenuItem
            | EntryKind::BotSetting
            | EntryKind::Unknown => {
                self.copy.tally.ignore(kind, 1);
                Ok(())
            }
        }
    }

    /// `<pn>` → LID, and `<lid>_reverse` → number. Both are taken; they are one mapping.
    fn mapping(&mut self, id: &str, node: &JsonNode) -> Result<(), EntryError> {
        let other = node.text().ok_or(EntryError::Invalid("the mapping"))?;
        let (lid, number) = match id.strip_suffix("_reverse") {
            Some(lid) => (lid, other),
            None => (other, id),
        };
        let bare = |text: &str| text.split(['@', ':']).next().unwrap_or_default().to_owned();
        if self.copy.lid_mappings.insert(&bare(lid), &bare(number)) { Ok(()) } else { Err(EntryError::Address) }
    }

    fn pre_key(&mut self, id: &str, node: &JsonNode) -> Result<(), EntryError> {
        let id =
            id.parse().ok().filter(|id| (1..PRE_KEY_IDS).contains(id)).ok_or(EntryError::Invalid("the key's id"))?;
        let pair = creds::pair(Some(node), "the pre-key")?;
        if !pair.belong_together() {
            return Err(EntryError::Halves);
        }
        self.copy.pre_keys.insert(id, pair);
        Ok(())
    }

    fn session(&mut self, id: &str, node: &JsonNode) -> Result<(), EntryError> {
        let (address, is_named) = SignalAddress::from_baileys(id)?;
        let session = node_session::convert(node, &self.local)?;
        self.copy.tally.keep(EntryKind::ArchivedSession, session.record.previous_sessions.len());
        for _ in 0..session.archived_dropped {
            self.copy.tally.drop_entry(EntryKind::ArchivedSession, id, &EntryError::Invalid("a closed session"));
        }
        if is_named {
            self.copy.sessions.insert(address, session.record);
        } else {
            self.later.push((address, DomainlessEntry::Session(Box::new(session))));
        }
        Ok(())
    }

    fn identity(&mut self, id: &str, node: &JsonNode) -> Result<(), EntryError> {
        let (address, is_named) = SignalAddress::from_baileys(id)?;
        let identity = key::public_key(&json::bytes(node).ok_or(EntryError::Invalid("the identity key"))?)?;
        if is_named {
            self.copy.identities.insert(address, identity);
        } else {
            self.later.push((address, DomainlessEntry::Identity(identity)));
        }
        Ok(())
    }

    fn sender_key(&mut self, id: &str, node: JsonNode) -> Result<(), EntryError> {
        // A status that comes before its author has sent a key anew costs a retry.
        if id.split(['-', ':']).next().is_some_and(address::is_statuses) {
            self.copy.tally.ignore(EntryKind::SenderKey, 1);
            return Ok(());
        }
        let (group, sender, is_named) = entry_name::sender_key(id)?;
        let sender = if is_named { sender } else { self.place(sender) };
        if self.copy.device.is_me(&sender) {
            self.copy.tally.ignore(EntryKind::SenderKey, 1);
            return Ok(());
        }
        let record = node_sender_key::convert(node, self.budget)?;
        if !signal::is_foreign(&record) {
            self.copy.tally.ignore(EntryKind::SenderKey, 1);
            return Ok(());
        }
        self.copy.sender_keys.insert((group, sender), record);
        Ok(())
    }

    fn contact_token(&mut self, id: &str, node: &JsonNode) -> Result<(), EntryError> {
        // An index of the others.
        if id.starts_with("__") {
            self.copy.tally.ignore(EntryKind::ContactToken, 1);
            return Ok(());
        }
        let contact = SignalAddress::from_jid(id)?;
        let lid = match contact.server {
            AddressServer::Lid | AddressServer::HostedLid => contact.user,
            AddressServer::Phone | AddressServer::Hosted => {
                self.copy.lid_mappings.lid_of(&contact.user).ok_or(EntryError::NoLid)?.to_owned()
            }
        };
        let token = node.get("token").and_then(json::bytes).filter(|token| !token.is_empty());
        let number = |name| node.get(name).and_then(json::integer);
        let sender_timestamp = number("senderTimestamp");
        // Baileys notes here, too, that it gave somebody a token of ours, and has none of theirs.
        if token.is_none() && sender_timestamp.is_some() {
            self.copy.tally.ignore(EntryKind::ContactToken, 1);
            return Ok(());
        }
        let token = ContactToken {
            token: KeyMaterial::new(token.ok_or(EntryError::Missing("token"))?),
            timestamp: number("timestamp").unwrap_or(0),
            sender_timestamp,
        };
        self.copy.contact_tokens.insert(lid, token);
        Ok(())
    }

    fn sync_key(&mut self, id: &str, node: &JsonNode) -> Result<(), EntryError> {
        let id = entry_name::sync_key(id)?;
        let data = node.get("keyData").and_then(json::bytes).filter(|data| !data.is_empty());
        let key = SyncKeyCopy {
            key_data: KeyMaterial::new(data.ok_or(EntryError::Missing("keyData"))?),
            fingerprint: node.get("fingerprint").map(fingerprint::encode).transpose()?.unwrap_or_default(),
            timestamp: node.get("timestamp").and_then(json::integer).unwrap_or(0),
        };
        self.copy.sync_keys.insert(id, key);
        Ok(())
    }

    fn device_list(&mut self, user: &str, node: JsonNode) -> Result<(), EntryError> {
        let items = node.into_items().filter(|items| items.len() <= DEVICES).ok_or(EntryError::Invalid("the list"))?;
        let devices = items.iter().map(|item| json::integer(item).and_then(|device| u16::try_from(device).ok()));
        let devices = devices.collect::<Option<Vec<_>>>().ok_or(EntryError::Invalid("the list"))?;
        if !is_user(user) {
            return Err(EntryError::Address);
        }
        self.copy.device_lists.insert(user.to_owned(), devices);
        Ok(())
    }

    /// The address behind one without a domain. A wrong guess heals: the contact asks once for a new session.
    fn place(&self, address: SignalAddress) -> SignalAddress {
        let (user, device, mappings) = (&address.user, &self.copy.device, &self.copy.lid_mappings);
        let is_known_lid =
            device.lid.as_ref().is_some_and(|lid| lid.user == *user) || mappings.number_of(user).is_some();
        let is_known_number = device.me.user == *user || mappings.lid_of(user).is_some();
        let is_lid = is_known_lid || (!is_known_number && !address::is_phone_number(user));
        if is_lid { SignalAddress { server: AddressServer::Lid, ..address } } else { address }
    }

    fn finish(mut self) -> TenantCopy {
        for (address, unplaced) in std::mem::take(&mut self.later) {
            let placed = self.place(address);
            match unplaced {
                DomainlessEntry::Session(session) => match self.copy.sessions.entry(placed) {
                    // Baileys 7 moved it and never looks here again.
                    Entry::Occupied(_) => {
                        self.copy.tally.withdraw(EntryKind::ArchivedSession, session.record.previous_sessions.len());
                        self.copy.tally.ignore(EntryKind::Session, 1);
                    }
                    Entry::Vacant(place) => drop(place.insert(session.record)),
                },
                DomainlessEntry::Identity(identity) => {
                    self.copy.identities.entry(placed).or_insert(identity);
                }
            }
        }
        self.copy.complete();
        self.copy
    }
}
