//! Sender keys that go on where Baileys left them.

use async_trait::async_trait;
use futures::executor::block_on;
use whatsapp_rust::wacore::libsignal::protocol::{
    SenderKeyName, SenderKeyRecord, SenderKeyRecordComponents, SenderKeyStore, SignalProtocolError, group_decrypt,
};

use super::{
    super::{
        json::{JsonBudget, JsonNode, base64_bytes},
        signal::node_sender_key::convert,
    },
    *,
};

const GROUP: &str = include_str!("../../../tests/fixtures/import/node-group.json");

struct SenderKeys(SenderKeyRecord);

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(
        &mut self,
        _: &SenderKeyName,
        record: SenderKeyRecord,
    ) -> Result<(), SignalProtocolError> {
        self.0 = record;
        Ok(())
    }

    async fn load_sender_key(&self, _: &SenderKeyName) -> Result<Option<SenderKeyRecord>, SignalProtocolError> {
        Ok(Some(self.0.clone()))
    }
}

fn fixture() -> Value {
    serde_json::from_str(GROUP).expect("a fixture")
}

fn bytes(value: &Value) -> Vec<u8> {
    base64_bytes(value.as_str().expect("base64").as_bytes()).expect("base64")
}

fn converted(record: JsonNode) -> SenderKeyRecordComponents {
    convert(record, &JsonBudget::new(&ImportLimits::default())).expect("converts")
}

#[test]
fn messages_of_both_keys_are_read() {
    let fixture = fixture();
    let record = converted(JsonNode::Bytes(bytes(&fixture["record"])));
    assert_eq!(record.states.len(), 2, "a key that was distributed twice is one");
    assert_eq!(record.states[0].key_id, 26_852_143, "the newest first");
    let record = SenderKeyRecord::from_components(record).expect("a record").serialize().expect("encodes");
    let mut keys = SenderKeys(SenderKeyRecord::deserialize(&record).expect("decodes"));
    let name = SenderKeyName::from_parts("120363000000000009@g.us", "180000000142543@lid.0");
    for (message, text) in [("next", "next"), ("lateOld", "late, by the old key"), ("skipped", "skipped")] {
        let read = block_on(group_decrypt(&bytes(&fixture[message]), &mut keys, &name));
        assert_eq!(read.map(|read| String::from_utf8(read).expect("a text")).expect(message), text);
        assert!(block_on(group_decrypt(&bytes(&fixture[message]), &mut keys, &name)).is_err(), "{message} again");
    }
}

#[test]
fn a_record_in_each_form_is_the_same() {
    let fixture = fixture();
    let text = bytes(&fixture["record"]);
    let expected = converted(JsonNode::Bytes(text.clone()));
    let budget = JsonBudget::new(&ImportLimits::default());
    let array = super::super::json::read(&text, "a record", &budget).expect("JSON");
    assert!(converted(array) == expected, "the array itself, as old versions keep it");
    let own = SenderKeyRecord::from_components(expected.clone()).expect("a record").serialize().expect("encodes");
    assert!(converted(JsonNode::Bytes(own)) == expected, "the library's own");
    for damaged in
        [JsonNode::Bytes(vec![]), JsonNode::Bytes(b"[]".to_vec()), JsonNode::Bytes(b"[{}]".to_vec()), JsonNode::Null]
    {
        assert!(convert(damaged.clone(), &budget).is_err(), "{damaged:?}");
    }
}

/// An all-zero, an empty and a missing private half are somebody else's key; any other is ours, and stays behind.
#[test]
fn our_own_keys_are_known_by_their_private_half() {
    let mut store = files(BAILEYS_7);
    let others = "sender-key-120363000000000001@g.us--4915000000001--0.json";
    let text = String::from_utf8(bytes(&value(&store, others)["data"])).expect("JSON");
    let own = format!("{:?}", [7; 32]).replace(' ', "");
    for (private, kept, ignored) in [("[]", 2, 1), ("[0,0,0]", 2, 1), (own.as_str(), 1, 2)] {
        let marked = text.replace(
            r#""private":{"type":"Buffer","data":[]}"#,
            &format!(r#""private":{{"type":"Buffer","data":{private}}}"#),
        );
        assert!(private == "[]" || marked != text);
        let buffer =
            serde_json::json!({ "type": "Buffer", "data": super::super::json::encode_base64(marked.as_bytes()) });
        store.insert(others.to_owned(), buffer.to_string());
        let copy = read(&store).expect("a copy");
        let counts = copy.tally.of(EntryKind::SenderKey);
        assert_eq!((counts.kept, counts.ignored, counts.dropped), (kept, ignored, 0), "{private}");
    }
}

/// And by their name, if the private half was lost.
#[test]
fn our_own_keys_are_known_by_their_name() {
    let mut store = files(BAILEYS_7);
    let others = store["sender-key-120363000000000001@g.us--4915000000001--0.json"].clone();
    for own in ["4915000000000--1", "180000000000001_1--1"] {
        store.insert(format!("sender-key-120363000000000001@g.us--{own}.json"), others.clone());
    }
    let counts = read(&store).expect("a copy").tally.of(EntryKind::SenderKey);
    assert_eq!((counts.kept, counts.ignored), (2, 2));
}
