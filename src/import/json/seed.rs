//! From the parser's events to a [`JsonNode`], at a price.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{JsonBudget, JsonNode};

/// Reads the next value. Past its budget it reads on to the value's end and keeps nothing: then [`JsonBudget::check`] tells.
#[derive(Clone, Copy)]
pub struct NodeSeed<'b> {
    budget: &'b JsonBudget,
    depth: usize,
    counts_text: bool,
}

impl<'b> NodeSeed<'b> {
    /// For a text whose length is paid for.
    pub fn new(budget: &'b JsonBudget) -> Self {
        Self { budget, depth: 0, counts_text: false }
    }

    /// For a value within a stream: each string pays for itself.
    pub fn in_stream(budget: &'b JsonBudget) -> Self {
        Self { counts_text: true, ..Self::new(budget) }
    }

    fn text(self, text: &str) {
        if self.counts_text {
            self.budget.spend_bytes(text.len());
        }
    }

    /// A byte of an array of numbers is kept as one byte. It costs that and no value; a text that is paid for has two for it.
    fn byte(self) {
        if self.counts_text {
            self.budget.spend_bytes(1);
        }
    }

    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = JsonNode;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonNode, D::Error> {
        self.budget.spend_value();
        if self.budget.is_exceeded() {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| JsonNode::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = JsonNode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<JsonNode, E> {
        Ok(JsonNode::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonNode, E> {
        Ok(JsonNode::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonNode, E> {
        Ok(JsonNode::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonNode, E> {
        Ok(i64::try_from(value).map_or(JsonNode::Float(value as f64), JsonNode::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<JsonNode, E> {
        Ok(JsonNode::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<JsonNode, E> {
        self.text(value);
        Ok(JsonNode::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<JsonNode, E> {
        self.text(&value);
        Ok(JsonNode::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<JsonNode, A::Error> {
        self.budget.enter(self.depth + 1);
        let mut bytes = Vec::new();
        let mut items = Vec::new();
        while !self.budget.is_exceeded() {
            // A byte costs nothing but itself; whatever else comes first turns the array into a list.
            let Some(item) = source.next_element_seed(self.inner().item(items.is_empty()))? else { break };
            match item {
                JsonNode::Integer(value @ 0..=255) if items.is_empty() => {
                    self.byte();
                    bytes.push(value as u8);
                }
                other => {
                    // A value is 32 times as large as its byte: before each it is asked for.
                    for byte in bytes.drain(..) {
                        self.budget.spend_value();
                        if self.budget.is_exceeded() {
                            break;
                        }
                        items.push(JsonNode::Integer(i64::from(byte)));
                    }
                    items.push(other);
                }
            }
        }
        if self.budget.is_exceeded() {
            while source.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(JsonNode::Null);
        }
        Ok(if items.is_empty() { JsonNode::Bytes(bytes) } else { JsonNode::List(items) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<JsonNode, A::Error> {
        self.budget.enter(self.depth + 1);
        let mut fields = Vec::new();
        while !self.budget.is_exceeded() {
            let Some(name) = source.next_key::<String>()? else { break };
            self.text(&name);
            fields.push((name, source.next_value_seed(self.inner())?));
        }
        if self.budget.is_exceeded() {
            while source.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(JsonNode::Null);
        }
        Ok(JsonNode::Map(fields))
    }
}

/// An item of an array that so far holds bytes only: such an item is free.
struct ItemSeed<'b> {
    seed: NodeSeed<'b>,
    free_byte: bool,
}

impl<'b> NodeSeed<'b> {
    fn item(self, free_byte: bool) -> ItemSeed<'b> {
        ItemSeed { seed: self, free_byte }
    }
}

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = JsonNode;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonNode, D::Error> {
        let node = deserializer.deserialize_any(self.seed)?;
        if !(self.free_byte && matches!(node, JsonNode::Integer(0..=255))) {
            self.seed.budget.spend_value();
        }
        Ok(node)
    }
}
