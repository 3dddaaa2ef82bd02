//! Bytes and numbers in every spelling that databases and JavaScript gave them.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::JsonNode;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Base64 of either alphabet, padded or not. Nothing else passes: Node would skip what it does not know.
pub fn base64_bytes(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// Bytes: a text is base64; a Buffer of Node in all forms that `JSON.stringify` and Baileys' replacers made of it; an array
/// of numbers, or the object that the Realtime Database makes of one; MongoDB's binary.
pub fn bytes(node: &JsonNode) -> Option<Vec<u8>> {
    match node {
        JsonNode::Text(text) => base64_bytes(text.as_bytes()),
        JsonNode::Bytes(bytes) => Some(bytes.clone()),
        JsonNode::Map(_) => {
            if node.get("type").and_then(JsonNode::text) == Some("Buffer")
                || node.get("buffer").is_some_and(JsonNode::is_true)
            {
                // Without data it was empty: the Realtime Database keeps no empty arrays.
                return node.get("data").or_else(|| node.get("value")).map_or(Some(Vec::new()), bytes);
            }
            if let Some(binary) = node.get("$binary").or_else(|| node.get("buffer")) {
                return binary.get("base64").map_or_else(|| bytes(binary), bytes);
            }
            numbered(node)
        }
        _ => None,
    }
}

/// `{"0": 17, "1": 4, …}`: every number from 0 on, once.
fn numbered(node: &JsonNode) -> Option<Vec<u8>> {
    let fields = node.fields().filter(|fields| !fields.is_empty())?;
    let mut bytes = vec![None; fields.len()];
    for (name, value) in fields {
        let place = bytes.get_mut(name.parse::<usize>().ok()?)?;
        let JsonNode::Integer(value) = value else { return None };
        *place = Some(u8::try_from(*value).ok()?);
    }
    bytes.into_iter().collect()
}

/// A whole number: as such, as a decimal text, as protobufjs' Long, as MongoDB's.
pub fn integer(node: &JsonNode) -> Option<i64> {
    match node {
        JsonNode::Integer(value) => Some(*value),
        // Exact up to here.
        JsonNode::Float(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => Some(*value as i64),
        JsonNode::Text(text) => text.trim().parse().ok(),
        JsonNode::Map(_) => {
            if let Some(number) = ["$numberLong", "$numberInt", "$date"].iter().find_map(|name| node.get(name)) {
                return integer(number);
            }
            let half = |name| node.get(name).and_then(integer).and_then(|half| u32::try_from(half & 0xffff_ffff).ok());
            Some((i64::from(half("high")?) << 32) | i64::from(half("low")?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{
        ImportLimits,
        json::{JsonBudget, read},
    };

    fn node(text: &str) -> JsonNode {
        read(text.as_bytes(), "a test", &JsonBudget::new(&ImportLimits::default())).expect("JSON")
    }

    #[test]
    fn bytes_in_every_spelling() {
        for text in [
            r#"{"type":"Buffer","data":"AQIDBPs="}"#,
            r#"{"type":"Buffer","data":[1,2,3,4,251]}"#,
            r#"{"type":"Buffer","data":{"4":251,"0":1,"1":2,"2":3,"3":4}}"#,
            r#"{"0":1,"1":2,"2":3,"3":4,"4":251}"#,
            r#"{"buffer":true,"data":"AQIDBPs="}"#,
            r#"{"buffer":true,"value":[1,2,3,4,251]}"#,
            r#""AQIDBPs=""#,
            r#""AQIDBPs""#,
            r#""AQIDBPs=""#,
            r#"[1,2,3,4,251]"#,
            r#"{"$binary":{"base64":"AQIDBPs=","subType":"00"}}"#,
            r#"{"$binary":"AQIDBPs=","$type":"00"}"#,
            r#"{"sub_type":0,"buffer":{"type":"Buffer","data":[1,2,3,4,251]},"position":5}"#,
            r#"{"sub_type":0,"buffer":"AQIDBPs=","position":5}"#,
        ] {
            assert_eq!(bytes(&node(text)), Some(vec![1, 2, 3, 4, 251]), "{text}");
        }
        assert_eq!(bytes(&node(r#""-_8""#)), Some(vec![251, 255]), "the other alphabet");
        for empty in [r#"{"type":"Buffer"}"#, r#"{"type":"Buffer","data":[]}"#, "[]", r#""""#] {
            assert_eq!(bytes(&node(empty)), Some(vec![]), "{empty}");
        }
        let many: Vec<String> = (0..300).map(|at| format!("\"{at}\":{}", at % 256)).collect();
        let many = bytes(&node(&format!("{{{}}}", many.join(",")))).expect("bytes");
        assert!(many[10] == 10 && many[299] == 43, "by number, not by text");
    }

    #[test]
    fn what_is_no_bytes() {
        for text in
            ["null", "7", "{}", "[1,256]", "[-1]", "[1,\"2\"]", r#"{"0":1,"2":3}"#, r#"{"0":1,"0":2}"#, r#""a b c""#]
        {
            assert_eq!(bytes(&node(text)), None, "{text}");
        }
    }

    #[test]
    fn integers_in_every_spelling() {
        for text in [
            "1790000000000",
            "\"1790000000000\"",
            "1.79e12",
            r#"{"low":-1001362432,"high":416,"unsigned":true}"#,
            r#"{"$numberLong":"1790000000000"}"#,
        ] {
            assert_eq!(integer(&node(text)), Some(1_790_000_000_000), "{text}");
        }
        assert_eq!(integer(&node("-1")), Some(-1));
        for text in ["null", "1.5", "\"x\"", "1e300", "[1]", "{}"] {
            assert_eq!(integer(&node(text)), None, "{text}");
        }
    }
}
