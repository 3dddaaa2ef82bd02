//! The fingerprint of an app-state key: `{1 rawId, 2 currentIndex, 3 packed deviceIndexes}`, as JSON and as protobuf.
//!
//! Baileys keeps it as an object, whatsmeow and the library as the phone sent it.

use serde_json::{Value, json};

use super::{
    EntryError,
    json::{self as foreign, JsonNode},
};

/// Indexes of one fingerprint.
const INDEXES: usize = 256;

pub fn encode(node: &JsonNode) -> Result<Vec<u8>, EntryError> {
    let invalid = || EntryError::Invalid("fingerprint");
    let whole = |node: &JsonNode| {
        foreign::integer(node).and_then(|number| u32::try_from(number).ok()).map(u64::from).ok_or_else(invalid)
    };
    let number = |name| node.get(name).map_or(Ok(0), whole);
    let indexes = match node.get("deviceIndexes") {
        None => Vec::new(),
        Some(list) => list.clone().into_items().filter(|items| items.len() <= INDEXES).ok_or_else(invalid)?,
    };
    let mut packed = Vec::new();
    for index in &indexes {
        put(whole(index)?, &mut packed);
    }
    let mut message = vec![0x08];
    put(number("rawId")?, &mut message);
    message.push(0x10);
    put(number("currentIndex")?, &mut message);
    if !packed.is_empty() {
        message.push(0x1a);
        put(packed.len() as u64, &mut message);
        message.extend(packed);
    }
    Ok(message)
}

/// What else is in it Baileys does not know.
pub fn decode(message: &[u8]) -> Value {
    let (mut raw, mut current, mut indexes) = (0, 0, Vec::new());
    let mut rest = message;
    while let Some(tag) = take(&mut rest) {
        match (tag >> 3, tag & 7) {
            (1, 0) => raw = take(&mut rest).unwrap_or_default(),
            (2, 0) => current = take(&mut rest).unwrap_or_default(),
            (3, 0) => indexes.extend(take(&mut rest)),
            (3, 2) => {
                let length = usize::try_from(take(&mut rest).unwrap_or_default()).unwrap_or(usize::MAX);
                let Some((mut packed, after)) = rest.split_at_checked(length) else { break };
                rest = after;
                while let Some(index) = take(&mut packed) {
                    indexes.push(index);
                }
            }
            _ => break,
        }
    }
    json!({ "rawId": raw, "currentIndex": current, "deviceIndexes": indexes })
}

fn put(mut value: u64, message: &mut Vec<u8>) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::ImportLimits;

    #[test]
    fn both_forms_agree() {
        for text in [
            r#"{"rawId":72215154,"currentIndex":1,"deviceIndexes":[0,1]}"#,
            r#"{"rawId":4294967295,"currentIndex":0,"deviceIndexes":[0,300,4294967295]}"#,
            r#"{"rawId":0,"currentIndex":0,"deviceIndexes":[]}"#,
        ] {
            let node = foreign::read(text.as_bytes(), "a test", &foreign::JsonBudget::new(&ImportLimits::default()));
            let message = encode(&node.expect("JSON")).expect("a fingerprint");
            let expected: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(decode(&message), expected);
        }
        for message in [&b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..], b"\x08", b"\xff\xff\xff", b"\x22\x01a"] {
            decode(message);
        }
    }
}
