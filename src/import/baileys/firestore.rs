//! Firestore's documents as its REST interface and its tools write them: every value under the name of its type.
//!
//! One document, `{"documents": […]}` of a listing, or `[{"document": …}]` of a query; the last part of a document's name is its
//! tenant. Keys lie in the field `keys`, or in fields called `keys.<name>`, which `set(…, {merge: true})` made of dotted names.
//! Plain JSON of a collection has the shape that [`super::realtime`] reads.

use std::{fmt, io::Read};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Assembly, document};
use crate::import::{
    ImportError, ImportLimits, ImportOrigin, SourceTenant,
    json::{self, JsonNode, NodeSeed},
    source::{StreamSink, walk},
};

pub fn read(source: impl Read, limits: &ImportLimits, take: &mut dyn FnMut(SourceTenant)) -> Result<(), ImportError> {
    let reader = DocumentReader(StreamSink::new(limits, take));
    reader.0.end(walk(source, "the documents", limits, |parser| (&reader).deserialize(parser)))?;
    if reader.0.found() == 0 {
        return Err(ImportError::OtherFormat("documents with typed fields"));
    }
    Ok(())
}

struct DocumentReader<'s>(StreamSink<'s>);

impl DocumentReader<'_> {
    /// A document as a node; what is none is passed over.
    fn put<E: Error>(&self, mut assembly: Assembly, node: JsonNode) -> Result<(), E> {
        let node = match node.get("document") {
            Some(inner) => inner.clone(),
            None => node,
        };
        let name =
            node.get("name").and_then(JsonNode::text).and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let name = name.to_owned();
        let overfull = assembly.budget().check("the document");
        let copy = match (overfull, node.get("fields").and_then(JsonNode::fields)) {
            (Err(error), _) => Err(error),
            (Ok(()), None) => return Ok(()),
            (Ok(()), Some(fields)) => {
                let fields = fields.iter().map(|(name, value)| (name.replace('`', ""), untyped(value))).collect();
                document::add(&mut assembly, JsonNode::Map(fields)).and_then(|()| assembly.finish())
            }
        };
        self.0.put(SourceTenant::new(name, copy))
    }

    fn assembly(&self) -> Assembly {
        Assembly::new(ImportOrigin::Firestore, &self.0.limits())
    }
}

impl<'de> DeserializeSeed<'de> for &DocumentReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &DocumentReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        loop {
            let assembly = self.assembly();
            match source.next_element_seed(NodeSeed::in_stream(assembly.budget()))? {
                Some(node) => self.put(assembly, node)?,
                None => return Ok(()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        let assembly = self.assembly();
        let mut document = Vec::new();
        while let Some(name) = source.next_key::<String>()? {
            match name.as_str() {
                "documents" => source.next_value_seed(self)?,
                "name" | "fields" | "document" => {
                    document.push((name, source.next_value_seed(NodeSeed::in_stream(assembly.budget()))?));
                }
                _ => drop(source.next_value::<IgnoredAny>()?),
            }
        }
        if document.is_empty() { Ok(()) } else { self.put(assembly, JsonNode::Map(document)) }
    }
}

/// `{"stringValue": "x"}` → `"x"`, and so on, all the way down.
fn untyped(value: &JsonNode) -> JsonNode {
    let Some([(kind, inner)]) = value.fields() else { return JsonNode::Null };
    match kind.as_str() {
        "mapValue" => {
            let fields = inner.get("fields").and_then(JsonNode::fields).unwrap_or_default();
            JsonNode::Map(fields.iter().map(|(name, value)| (name.clone(), untyped(value))).collect())
        }
        "arrayValue" => {
            let items = inner.get("values").cloned().and_then(JsonNode::into_items).unwrap_or_default();
            let items: Vec<_> = items.iter().map(untyped).collect();
            // Arrays of numbers are bytes here as in plain JSON.
            let bytes = items.iter().map(|item| match item {
                JsonNode::Integer(byte) => u8::try_from(*byte).ok(),
                _ => None,
            });
            bytes.collect::<Option<Vec<_>>>().map_or(JsonNode::List(items.clone()), JsonNode::Bytes)
        }
        "bytesValue" => json::bytes(inner).map_or(JsonNode::Null, JsonNode::Bytes),
        "integerValue" => json::integer(inner).map_or(JsonNode::Null, JsonNode::Integer),
        "nullValue" => JsonNode::Null,
        // Texts, flags, times and places as they are.
        _ => inner.clone(),
    }
}
