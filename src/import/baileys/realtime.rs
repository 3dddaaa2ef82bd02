//! Exports of a Realtime Database: `tenants/{t}/baileys_session`, and the older `baileys_sessions/{t}`.
//!
//! A stream: an export holds everything else of the old service too, and only one tenant of it is in memory at a time. Whatever
//! part of the tree was exported, an object that holds `creds` is a session, and the name above it is its tenant. A tenant that is in
//! both places comes out twice: [`read_newest`] decides. Its menu, hours and switches come with the session beside which they stand.

use std::{
    cell::RefCell,
    fmt,
    io::{Read, Seek, SeekFrom},
};

use jiff::Timestamp;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Assembly, document};
use crate::import::{
    EntryError, ImportError, ImportLimits, ImportOrigin, RestaurantCopy, SourceTenant, TenantCopy,
    json::{self, JsonBudget, JsonNode, NodeSeed},
    restaurant::{self, FoundPlace, RestaurantPlaces},
    source::{StreamSink, walk},
    versions::SourceVersions,
};

/// The current place of a session within its tenant.
const SESSION: &str = "baileys_session";
/// What the old service says of a tenant, and in it: whether it is connected, and its name for people.
const RESTAURANT: &str = "restaurant";
const CONNECTED: &str = "whatsappConnected";
const CALLED: &str = "name";
/// Where the old service says whose session it is: `whatsapp/baileys/phoneNumber` beside it.
const NUMBER: [&str; 3] = ["whatsapp", "baileys", "phoneNumber"];
/// Their children are tenants, whatever they are called.
const OF_TENANTS: [&str; 2] = ["tenants", "baileys_sessions"];
/// When a session was written, beside it: as text, and in milliseconds.
const TIMES: [&str; 2] = ["updatedAt", "savedAt"];
/// What else is read of a tenant: its restaurant's.
const PLACES: [&str; 3] = ["menu", "config", "bot"];
/// `tenants/{t}/whatsapp/baileys`, and two more for exports that begin above.
const LEVELS: usize = 6;

/// Reads an export. Tenants come out even when the rest of the source then turns out to be damaged.
pub fn read(
    source: impl Read,
    origin: ImportOrigin,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let shared = ExportWalk::new(origin, StreamSink::new(limits, take));
    let walked = walk(source, "the export", limits, |parser| match BranchSeed::root(&shared).deserialize(parser)? {
        Some(session) => shared.put(String::new(), session),
        None => Ok(()),
    });
    shared.sink.end(walked)?;
    if shared.sink.found() == 0 { Err(ImportError::NoCredentials) } else { Ok(()) }
}

/// The same of an export in which tenants may be twice: of each the newest copy alone. Reads it two times, since only one tenant has room
/// in memory. Of one that is damaged nothing comes out: the newer copies may be in the part that is missing.
pub fn read_newest(
    mut source: impl Read + Seek,
    origin: ImportOrigin,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let mut versions = SourceVersions::default();
    read(&mut source, origin, limits, &mut |tenant| versions.note(&tenant))?;
    source.seek(SeekFrom::Start(0))?;
    read(&mut source, origin, limits, &mut |tenant| {
        if let Some(tenant) = versions.judge(tenant) {
            take(tenant);
        }
    })
}

/// The same of one tenant, each place in a text of its own, as the live database answers for it. `null`, and no text at all, is no place.
pub fn read_places(
    name: &str,
    places: &[impl AsRef<[u8]>],
    origin: ImportOrigin,
    limits: &ImportLimits,
) -> SourceTenant {
    let read = |text: &[u8]| {
        if text.is_empty() {
            return SourceTenant::new(name, Err(ImportError::NoCredentials));
        }
        // What lies deeper, under names of its own, is somebody else's.
        let mut pass_over = |_: SourceTenant| {};
        let shared = ExportWalk::new(origin, StreamSink::new(limits, &mut pass_over));
        let found = walk(text, "the session", limits, |parser| BranchSeed::root(&shared).deserialize(parser));
        match found {
            Ok(Some(found)) => SourceTenant { saved_at: found.saved_at, ..SourceTenant::new(name, found.copy) },
            Ok(None) => SourceTenant::new(name, Err(ImportError::NoCredentials)),
            Err(error) => SourceTenant::new(name, Err(error)),
        }
    };
    let found: Vec<_> = places.iter().map(|place| read(place.as_ref())).collect();
    let mut versions = SourceVersions::default();
    found.iter().for_each(|tenant| versions.note(tenant));
    let judged = found.into_iter().filter_map(|tenant| versions.judge(tenant));
    let newest = judged.filter(|tenant| !matches!(tenant.copy, Err(ImportError::OlderCopy))).last();
    newest.unwrap_or_else(|| SourceTenant::new(name, Err(ImportError::NoCredentials)))
}

/// A walk through an export; all branches share it.
struct ExportWalk<'s> {
    origin: ImportOrigin,
    sink: StreamSink<'s>,
    /// Found on the way down to [`NUMBER`], for the tenant above.
    number: RefCell<Option<String>>,
}

/// A session whose name only the object around it knows.
struct FoundSession {
    copy: Result<TenantCopy, ImportError>,
    connected: Option<bool>,
    saved_at: Option<Timestamp>,
    number: Option<String>,
}

impl<'s> ExportWalk<'s> {
    fn new(origin: ImportOrigin, sink: StreamSink<'s>) -> Self {
        Self { origin, sink, number: RefCell::default() }
    }

    fn put<E: Error>(&self, name: String, found: FoundSession) -> Result<(), E> {
        let FoundSession { copy, connected, saved_at, number } = found;
        self.sink.put(SourceTenant { connected, saved_at, number, ..SourceTenant::new(name, copy) })
    }
}

/// Values in which nothing is looked for.
macro_rules! nothing_in_scalars {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
            while source.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    };
}

/// An object somewhere in the tree. Its value is the session that it is, or holds.
struct BranchSeed<'a, 's> {
    walk: &'a ExportWalk<'s>,
    level: usize,
    /// How much of [`NUMBER`] leads here.
    towards_number: usize,
    is_of_tenants: bool,
}

impl<'a, 's> BranchSeed<'a, 's> {
    fn root(walk: &'a ExportWalk<'s>) -> Self {
        Self { walk, level: 0, towards_number: 0, is_of_tenants: false }
    }

    fn below(&self, name: &str) -> Self {
        let goes_on = name == NUMBER[self.towards_number];
        let towards_number = if goes_on { self.towards_number + 1 } else { usize::from(name == NUMBER[0]) };
        let is_of_tenants = OF_TENANTS.contains(&name);
        Self { walk: self.walk, level: self.level + 1, towards_number, is_of_tenants }
    }
}

impl<'de> DeserializeSeed<'de> for BranchSeed<'_, '_> {
    type Value = Option<FoundSession>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<FoundSession>, D::Error> {
        if self.level > LEVELS {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| None);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BranchSeed<'_, '_> {
    type Value = Option<FoundSession>;

    nothing_in_scalars!();

    fn visit_bool<E>(self, _: bool) -> Result<Option<FoundSession>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Option<FoundSession>, A::Error> {
        let limits = self.walk.sink.limits();
        let mut session = None;
        let (mut connected, mut number) = (None, None);
        let (mut saved_at, mut session_saved_at) = (None, None);
        let mut beside = RestaurantPlaces::default();
        let mut own: Option<(Assembly, Result<(), ImportError>)> = None;
        // Much else in a database may have keys, and much may be called `creds`.
        let mut has_creds = false;
        while let Some(name) = source.next_key::<String>()? {
            if name == "creds" || name == "keys" || name.starts_with("keys.") {
                let (assembly, added) = own.get_or_insert_with(|| (Assembly::new(self.walk.origin, &limits), Ok(())));
                let node = source.next_value_seed(NodeSeed::in_stream(assembly.budget()))?;
                let is_second = has_creds && name == "creds";
                let overfull = assembly.budget().check("the tenant").is_err();
                has_creds |= name == "creds" && (overfull || matches!(node, JsonNode::Map(_) | JsonNode::Text(_)));
                if is_second {
                    *added = Err(ImportError::Credentials(EntryError::FieldTwice));
                }
                if added.is_ok() {
                    *added = document::add(assembly, JsonNode::Map(vec![(name, node)]));
                }
            } else if TIMES.contains(&name.as_str()) {
                let budget = small(&limits);
                saved_at = saved_at.max(time(&source.next_value_seed(NodeSeed::in_stream(&budget))?));
            } else if name == RESTAURANT {
                if let Some((flag, called)) = source.next_value_seed(RestaurantSeed(&limits))? {
                    (connected, beside.name) = (flag, called);
                }
            } else if !self.is_of_tenants && PLACES.contains(&name.as_str()) {
                let budget = restaurant::budget(&limits);
                let node = source.next_value_seed(NodeSeed::in_stream(&budget))?;
                let place = match (budget.check("a place"), node) {
                    (Err(_), _) => FoundPlace::Unreadable(EntryError::TooLarge),
                    (Ok(()), JsonNode::Null) => FoundPlace::Nothing,
                    (Ok(()), node) => FoundPlace::Value(node),
                };
                beside.put(&name, place);
            } else if self.towards_number == 2 && name == NUMBER[2] {
                let budget = small(&limits);
                let node = source.next_value_seed(NodeSeed::in_stream(&budget))?;
                *self.walk.number.borrow_mut() = node.text().and_then(stated_number);
            } else {
                let found = source.next_value_seed(self.below(&name))?;
                if name == NUMBER[0] {
                    number = self.walk.number.take();
                }
                match found {
                    Some(found) if name == SESSION => {
                        session = Some(found.copy);
                        session_saved_at = found.saved_at;
                    }
                    Some(found) => self.walk.put(name, found)?,
                    None if name == SESSION => session = Some(Err(ImportError::NoCredentials)),
                    None => {}
                }
            }
        }
        let own = own.filter(|_| has_creds).map(|(assembly, added)| added.and_then(|()| assembly.finish()));
        // A tenant that says it is connected, and has nothing to connect with, must not be missed.
        let nothing = (connected == Some(true)).then_some(Err(ImportError::NoCredentials));
        let saved_at = if session.is_some() { session_saved_at } else { saved_at };
        let mut copy = session.or(own).or(nothing);
        if let Some(Ok(copy)) = &mut copy {
            copy.restaurant = RestaurantCopy::read(beside, &mut copy.tally);
        }
        Ok(copy.map(|copy| FoundSession { copy, connected, saved_at, number }))
    }
}

/// A number as the old service states it beside a session. Whatever else stands there states none.
pub fn stated_number(text: &str) -> Option<String> {
    let is_number = (5..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.to_owned())
}

/// ISO 8601, milliseconds, or Firestore's object of seconds.
fn time(node: &JsonNode) -> Option<Timestamp> {
    if let Some(seconds) = node.get("_seconds").or_else(|| node.get("seconds")) {
        return Timestamp::from_second(json::integer(seconds)?).ok();
    }
    match node.text().and_then(|text| text.parse().ok()) {
        Some(time) => Some(time),
        None => Timestamp::from_millisecond(json::integer(node)?).ok(),
    }
}

/// What is known of a tenant beside its session: whether it is connected, and what the restaurant is called. Nothing else of it is kept.
struct RestaurantSeed<'l>(&'l ImportLimits);

impl<'de> DeserializeSeed<'de> for RestaurantSeed<'_> {
    type Value = Option<(Option<bool>, FoundPlace)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RestaurantSeed<'_> {
    type Value = Option<(Option<bool>, FoundPlace)>;

    nothing_in_scalars!();

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let (mut connected, mut called) = (None, FoundPlace::Nothing);
        while let Some(name) = source.next_key::<String>()? {
            if ![CONNECTED, CALLED].contains(&name.as_str()) {
                source.next_value::<IgnoredAny>()?;
                continue;
            }
            let budget = small(self.0);
            let node = source.next_value_seed(NodeSeed::in_stream(&budget))?;
            match node {
                JsonNode::Bool(flag) if name == CONNECTED => connected = Some(flag),
                node if name == CALLED => called = FoundPlace::Value(node),
                _ => connected = None,
            }
        }
        Ok(Some((connected, called)))
    }
}

/// For a value that is small, whatever a stranger put there.
fn small(limits: &ImportLimits) -> JsonBudget {
    JsonBudget::new(&ImportLimits { values: 16, tenant_bytes: 256, ..*limits })
}
