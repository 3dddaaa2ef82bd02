//! JSON of strangers, within bounds.
//!
//! Owns [`JsonNode`], a tree that keeps the order of the source and holds an array of bytes as bytes, and the ways to it: from
//! a text ([`read`]), from the middle of a stream ([`NodeSeed`] behind a [`GuardedReader`]), from a text within a text
//! ([`unwrap_text`]). Promises that no input makes it use more memory than [`JsonBudget`] allows, or more stack than its
//! depth. Knows nothing of keys and sessions.

mod budget;
mod guard;
mod node;
mod seed;
mod spelling;

use base64::Engine;

pub use self::{
    budget::JsonBudget,
    guard::GuardedReader,
    node::JsonNode,
    seed::NodeSeed,
    spelling::{base64_bytes, bytes, integer},
};
use super::{ImportError, encoding};

/// How often a text may lie in a text: Evolution stringifies twice, and a bot's environment holds base64 of that.
const WRAPPINGS: usize = 4;

/// Parses one whole text. `what` names it in the error.
pub fn read(text: &[u8], what: &'static str, budget: &JsonBudget) -> Result<JsonNode, ImportError> {
    budget.spend_bytes(text.len());
    budget.check(what)?;
    let text = encoding::utf8(text);
    let mut parser = serde_json::Deserializer::from_slice(&text);
    let node = serde::de::DeserializeSeed::deserialize(NodeSeed::new(budget), &mut parser);
    budget.check(what)?;
    node.and_then(|node| parser.end().map(|()| node)).map_err(|error| ImportError::Json {
        what,
        line: error.line(),
        column: error.column(),
    })
}

/// Parses a text that may be JSON, base64 of it, or either of these as a JSON string, any of it more than once.
pub fn read_wrapped(text: &[u8], what: &'static str, budget: &JsonBudget) -> Result<JsonNode, ImportError> {
    let text = encoding::utf8(text);
    let text = text.trim_ascii();
    let first = text.first().copied();
    let decoded;
    let text = if matches!(first, Some(b'{' | b'[' | b'"')) {
        text
    } else {
        let packed: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        decoded = base64_bytes(&packed).ok_or(ImportError::Json { what, line: 1, column: 1 })?;
        decoded.as_slice()
    };
    unwrap_text(read(text, what, budget)?, what, budget)
}

/// While the node is a string that holds JSON, or base64 of it: what is in it.
pub fn unwrap_text(node: JsonNode, what: &'static str, budget: &JsonBudget) -> Result<JsonNode, ImportError> {
    let mut node = node;
    for _ in 0..WRAPPINGS {
        let JsonNode::Text(text) = &node else { return Ok(node) };
        let inner = text.trim();
        node = if inner.starts_with(['{', '[', '"']) {
            read(inner.as_bytes(), what, budget)?
        } else {
            if !may_wrap(inner.as_bytes()) {
                return Ok(node);
            }
            let decoded = base64_bytes(inner.as_bytes()).unwrap_or_default();
            if !matches!(decoded.trim_ascii().first(), Some(b'{' | b'[' | b'"')) {
                return Ok(node);
            }
            read(&decoded, what, budget)?
        };
    }
    Ok(node)
}

/// By the beginning alone, so that a large text that is something else is not decoded for nothing.
fn may_wrap(base64: &[u8]) -> bool {
    // Whole groups of four.
    let head = &base64[..base64.len().min(64)];
    base64_bytes(head).is_some_and(|head| matches!(head.trim_ascii().first(), None | Some(b'{' | b'[' | b'"')))
}

/// Base64 as Node and Go write it.
pub fn encode_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::ImportLimits;

    fn node(text: &str) -> Result<JsonNode, ImportError> {
        read_wrapped(text.as_bytes(), "a test", &JsonBudget::new(&ImportLimits::default()))
    }

    #[test]
    fn texts_within_texts_are_read() {
        let plain = r#"{"a":1}"#;
        let expected = node(plain).expect("JSON");
        let twice = serde_json::to_string(&serde_json::to_string(plain).expect("JSON")).expect("JSON");
        let packed = encode_base64(plain.as_bytes());
        let packed_twice = encode_base64(serde_json::to_string(&packed).expect("JSON").as_bytes());
        let lines = format!("{}\n{}\n", &packed[..4], &packed[4..]);
        for wrapped in [twice, packed, packed_twice, lines] {
            assert_eq!(node(&wrapped).expect("the same"), expected, "{wrapped}");
        }
        // The beginning alone says nothing yet.
        let blanks = encode_base64(format!("{}{plain}", " ".repeat(100)).as_bytes());
        let packed_text = serde_json::to_string(&blanks).expect("JSON");
        assert_eq!(node(&packed_text).expect("the same"), expected);
        let mut deep = plain.to_string();
        for _ in 0..=WRAPPINGS {
            deep = serde_json::to_string(&deep).expect("JSON");
        }
        assert!(matches!(node(&deep), Ok(JsonNode::Text(_))), "only so often");
    }

    #[test]
    fn what_is_no_json_ends_with_its_place() {
        for (text, at) in [("", 1), ("{\"a\":", 5), ("{} {}", 4), ("{\"a\":nul}", 9), ("\u{0}", 1), ("nonsense!", 1)] {
            match node(text) {
                Err(ImportError::Json { line: 1, column, .. }) => {
                    assert!(column.abs_diff(at) <= 1, "{text} at {column}")
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn bombs_end_in_an_error() {
        let limits = ImportLimits { tenant_bytes: 100_000, values: 1_000, depth: 20, ..ImportLimits::default() };
        let read = |text: &str| read(text.as_bytes(), "a bomb", &JsonBudget::new(&limits));
        let too_large = |text: &str| matches!(read(text), Err(ImportError::TooLarge { what: "a bomb", .. }));
        assert!(too_large(&format!("[{}null]", "null,".repeat(1_000))), "values");
        assert!(too_large(&format!("[{}]", "0,".repeat(60_000))), "bytes of the text");
        assert!(too_large(&format!("{}{}", "[".repeat(21), "]".repeat(21))), "depth");
        assert!(too_large(&"[".repeat(90_000)), "depth, without an end");
        assert!(too_large(&format!("{{{}\"z\":1}}", r#""a":{},"#.repeat(1_000))), "objects");
        assert!(read(&format!("{}{}", "[".repeat(20), "]".repeat(20))).is_ok());
        assert!(read(&format!("[{}0]", "255,".repeat(20_000))).is_ok(), "an array of bytes is one value");
        assert!(too_large(&format!("[{}\"x\"]", "1,".repeat(20_000))), "bytes that turn out to be numbers are values");
    }

    /// In a stream nobody has paid for the text: there are other tenants in it.
    #[test]
    fn a_bomb_of_bytes_in_a_stream_is_paid_for() {
        let limits = ImportLimits { tenant_bytes: 100_000, values: 1_000, ..ImportLimits::default() };
        let stream = |items: usize| {
            let text = format!("[{}1]", "1,".repeat(items - 1));
            let budget = JsonBudget::new(&limits);
            let mut parser = serde_json::Deserializer::from_reader(text.as_bytes());
            let node =
                serde::de::DeserializeSeed::deserialize(NodeSeed::in_stream(&budget), &mut parser).expect("JSON");
            parser.end().expect("all of it is read");
            (node, budget.check("a bomb").is_ok())
        };
        let (node, is_within) = stream(100_000);
        assert!(is_within && matches!(&node, JsonNode::Bytes(bytes) if bytes.len() == 100_000), "{node:?}");
        assert_eq!(stream(1_000_000), (JsonNode::Null, false), "nothing of it is kept");
        assert_eq!(node.into_items(), None, "nor is a value made of each byte");
    }
}
