//! Exports of a Realtime Database: `tenants/{t}/baileys_session`, and the older `baileys_sessions/{t}`.
//!
//! A stream: an export holds everything else of the old service too, and only one tenant of it is in memory at a time. Whatever
//! part of the tree was exported, an object that holds `creds` is a session, and the name above it is its tenant.

use std::{cell::RefCell, fmt, io::Read};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Assembly, document};
use crate::import::{
    ImportError, ImportLimits, ImportOrigin, SourceTenant, TenantCopy,
    json::{JsonNode, NodeSeed},
    source::{TenantSink, walk},
};

/// The current place of a session within its tenant.
const SESSION: &str = "baileys_session";
/// What the old service says of a tenant, and in it: whether it is connected.
const RESTAURANT: &str = "restaurant";
const CONNECTED: &str = "whatsappConnected";
/// `tenants/{t}/baileys_session`, and two more for exports that begin above.
const LEVELS: usize = 5;

/// Reads an export. Tenants come out even when the rest of the source then turns out to be damaged.
pub fn read(
    source: impl Read,
    origin: ImportOrigin,
    limits: &ImportLimits,
    take: &mut dyn FnMut(SourceTenant),
) -> Result<(), ImportError> {
    let shared = ExportWalk { origin, sink: RefCell::new(TenantSink::new(limits, take)), failure: RefCell::new(None) };
    let walked = walk(source, "the export", limits, |parser| {
        match (BranchSeed { walk: &shared, level: 0 }).deserialize(parser)? {
            Some(session) => shared.put(String::new(), session),
            None => Ok(()),
        }
    });
    shared.failure.into_inner().map_or(walked, Err)?;
    if shared.sink.borrow().found() == 0 { Err(ImportError::NoCredentials) } else { Ok(()) }
}

/// What all branches share; an error that is not the parser's own is kept beside the one that stops the parser.
struct ExportWalk<'s> {
    origin: ImportOrigin,
    sink: RefCell<TenantSink<'s>>,
    failure: RefCell<Option<ImportError>>,
}

/// A session whose name only the object around it knows.
struct FoundSession {
    copy: Result<TenantCopy, ImportError>,
    connected: Option<bool>,
}

impl ExportWalk<'_> {
    fn put<E: Error>(&self, name: String, FoundSession { copy, connected }: FoundSession) -> Result<(), E> {
        self.sink.borrow_mut().put(SourceTenant { name, connected, copy }).map_err(|error| {
            *self.failure.borrow_mut() = Some(error);
            E::custom("stopped")
        })
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
        let limits = self.walk.sink.borrow().limits();
        let mut session = None;
        let mut connected = None;
        let mut own: Option<(Assembly, Result<(), ImportError>)> = None;
        // Much else in a database may have keys, and much may be called `creds`.
        let mut has_creds = false;
        while let Some(name) = source.next_key::<String>()? {
            if name == "creds" || name == "keys" || name.starts_with("keys.") {
                let (assembly, added) = own.get_or_insert_with(|| (Assembly::new(self.walk.origin, &limits), Ok(())));
                let node = source.next_value_seed(NodeSeed::in_stream(assembly.budget()))?;
                let overfull = assembly.budget().check("the tenant").is_err();
                has_creds |= name == "creds" && (overfull || matches!(node, JsonNode::Map(_) | JsonNode::Text(_)));
                if added.is_ok() {
                    *added = document::add(assembly, JsonNode::Map(vec![(name, node)]));
                }
            } else if name == RESTAURANT {
                connected = source.next_value_seed(FlagSeed(CONNECTED))?;
            } else {
                let found = source.next_value_seed(BranchSeed { walk: self.walk, level: self.level + 1 })?;
                match found {
                    Some(found) if name == SESSION => session = Some(found.copy),
                    Some(found) => self.walk.put(name, found)?,
                    None if name == SESSION => session = Some(Err(ImportError::NoCredentials)),
                    None => {}
                }
            }
        }
        let own = own.filter(|_| has_creds).map(|(assembly, added)| added.and_then(|()| assembly.finish()));
        // A tenant that says it is connected, and has nothing to connect with, must not be missed.
        let nothing = (connected == Some(true)).then_some(Err(ImportError::NoCredentials));
        Ok(session.or(own).or(nothing).map(|copy| FoundSession { copy, connected }))
    }
}

/// A flag within an object; nothing else of it is kept.
struct FlagSeed(&'static str);

impl<'de> DeserializeSeed<'de> for FlagSeed {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<bool>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FlagSeed {
    type Value = Option<bool>;

    nothing_in_scalars!();

    fn visit_bool<E>(self, flag: bool) -> Result<Option<bool>, E> {
        Ok(self.0.is_empty().then_some(flag))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Option<bool>, A::Error> {
        let mut flag = None;
        while let Some(name) = source.next_key::<String>()? {
            if name == self.0 {
                // The flag itself: without a name.
                flag = source.next_value_seed(FlagSeed(""))?;
            } else {
                source.next_value::<IgnoredAny>()?;
            }
        }
        Ok(flag)
    }
}
