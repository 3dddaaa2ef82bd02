//! Sessions that go on where Node's libsignal left them.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::executor::block_on;
use rand_010::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use whatsapp_rust::wacore::libsignal::protocol::{
    CiphertextMessage, DeviceId, Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PrivateKey,
    ProtocolAddress, SessionRecord, SessionRecordComponents, SessionStore, SignalMessage, SignalProtocolError,
    message_decrypt_signal, message_encrypt,
};

use super::super::{
    EntryError, counters,
    json::{JsonBudget, base64_bytes, read},
    key,
    signal::{ConvertedSession, LocalDevice, node_session},
    *,
};

const PEERS: &str = include_str!("../../../tests/fixtures/import/node-peers.json");

type Protocol<T> = Result<T, SignalProtocolError>;

/// One of the two, with its session as it was in Node.
pub struct Peer {
    identity: IdentityKeyPair,
    registration_id: u32,
    sessions: HashMap<ProtocolAddress, SessionRecord>,
}

struct Identity(IdentityKeyPair, u32);
struct PeerSessions<'p>(&'p mut HashMap<ProtocolAddress, SessionRecord>);

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> Protocol<IdentityKeyPair> {
        Ok(self.0.clone())
    }

    async fn get_local_registration_id(&self) -> Protocol<u32> {
        Ok(self.1)
    }

    async fn save_identity(&mut self, _: &ProtocolAddress, _: &IdentityKey) -> Protocol<IdentityChange> {
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> Protocol<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _: &ProtocolAddress) -> Protocol<Option<IdentityKey>> {
        Ok(None)
    }
}

#[async_trait]
impl SessionStore for PeerSessions<'_> {
    async fn load_session(&self, address: &ProtocolAddress) -> Protocol<Option<SessionRecord>> {
        Ok(self.0.get(address).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Protocol<bool> {
        Ok(self.0.contains_key(address))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> Protocol<()> {
        self.0.insert(address.clone(), record);
        Ok(())
    }
}

fn address() -> ProtocolAddress {
    ProtocolAddress::new("2@lid", DeviceId::new(0))
}

impl Peer {
    pub fn encrypt(&mut self, text: &str) -> Vec<u8> {
        let mut identity = Identity(self.identity.clone(), self.registration_id);
        let mut sessions = PeerSessions(&mut self.sessions);
        let sent =
            block_on(message_encrypt(text.as_bytes(), &address(), &mut sessions, &mut identity)).expect("encrypts");
        let CiphertextMessage::SignalMessage(sent) = sent else { panic!("no plain message") };
        sent.serialized().to_vec()
    }

    pub fn decrypt(&mut self, message: &[u8]) -> Protocol<String> {
        let mut identity = Identity(self.identity.clone(), self.registration_id);
        let mut sessions = PeerSessions(&mut self.sessions);
        let message = SignalMessage::try_from(message)?;
        let mut random = StdRng::seed_from_u64(1);
        let read = block_on(message_decrypt_signal(&message, &address(), &mut sessions, &mut identity, &mut random))?;
        Ok(String::from_utf8(read.plaintext.to_vec()).expect("a text"))
    }
}

pub fn fixture() -> Value {
    serde_json::from_str(PEERS).expect("a fixture")
}

fn bytes(value: &Value) -> Vec<u8> {
    base64_bytes(value.as_str().expect("base64").as_bytes()).expect("base64")
}

fn local(side: &Value) -> LocalDevice {
    LocalDevice {
        identity: key::public_key(&bytes(&side["identity"]["public"])).expect("a key"),
        registration_id: side["registration"].as_u64().expect("an id") as u32,
    }
}

fn convert(side: &Value, session: &Value) -> Result<ConvertedSession, EntryError> {
    let node =
        read(session.to_string().as_bytes(), "a session", &JsonBudget::new(&ImportLimits::default())).expect("JSON");
    node_session::convert(&node, &local(side))
}

/// The session after the rule of counters, if there is a margin.
pub fn peer(side: &Value, margin: Option<u32>) -> Peer {
    let mut record = convert(side, &side["session"]).expect("converts").record;
    if let Some(margin) = margin {
        record = counters::advance(record, CounterMargin::new(margin).expect("small enough")).expect("advances");
    }
    let stored = SessionRecord::from_components(record).expect("a record").serialize().expect("encodes");
    let record = SessionRecord::deserialize(&stored).expect("decodes");
    let private = PrivateKey::deserialize(&bytes(&side["identity"]["private"])).expect("a key");
    let identity = IdentityKey::new(private.public_key().expect("a key"));
    Peer {
        identity: IdentityKeyPair::new(identity, private),
        registration_id: local(side).registration_id,
        sessions: HashMap::from([(address(), record)]),
    }
}

fn wire(message: &Value) -> Vec<u8> {
    assert_eq!(message["type"], 1, "a plain message");
    bytes(&message["body"])
}

#[test]
fn messages_of_node_are_read_in_any_order() {
    let fixture = fixture();
    for margin in [None, Some(200), Some(1936)] {
        for order in [["skipped", "next", "turned", "late"], ["late", "turned", "next", "skipped"]] {
            let mut ours = peer(&fixture["ours"], margin);
            assert!(ours.decrypt(&wire(&fixture["seen"])).is_err(), "a repetition");
            for name in order {
                let text = ours.decrypt(&wire(&fixture[name])).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(text.starts_with(&name[..4]) || name == "turned", "{name}: {text}");
                assert!(ours.decrypt(&wire(&fixture[name])).is_err(), "{name} again");
            }
        }
    }
}

#[test]
fn with_a_margin_a_stale_copy_repeats_no_counter() {
    let fixture = fixture();
    let stale: Vec<_> = fixture["stale"].as_array().expect("messages").iter().map(wire).collect();
    for (margin, lost) in [(None, 3), (Some(0), 3), (Some(2), 0), (Some(200), 0), (Some(1936), 0)] {
        let mut theirs = peer(&fixture["theirs"], None);
        let mut ours = peer(&fixture["ours"], margin);
        for message in &stale {
            theirs.decrypt(message).expect("what the old service sent");
        }
        let sent: Vec<_> = (0..4).map(|at| ours.encrypt(&format!("ours {at}"))).collect();
        let read: Vec<_> = sent.iter().filter_map(|message| theirs.decrypt(message).ok()).collect();
        // The negative control: without a margin as many messages are lost as the old service sent after the copy.
        assert_eq!(sent.len() - read.len(), lost, "margin {margin:?}");
        let answer = theirs.encrypt("answer");
        assert_eq!(ours.decrypt(&answer).expect("the answer"), "answer");
        assert_eq!(theirs.decrypt(&ours.encrypt("and on")).expect("a step further"), "and on");
    }
}

#[test]
fn a_closed_session_skips_as_well() {
    let fixture = fixture();
    let indexes = |record: &SessionRecordComponents| -> Vec<u32> {
        let sessions = record.current_session.iter().chain(&record.previous_sessions);
        sessions
            .map(|session| {
                session.sender_chain.as_ref().and_then(|chain| chain.chain_key.as_ref()?.index).expect("a chain")
            })
            .collect()
    };
    let record = convert(&fixture["ours"], &fixture["ours"]["session"]).expect("converts").record;
    let before = indexes(&record);
    let after = indexes(&counters::advance(record, CounterMargin::default()).expect("advances"));
    assert_eq!(before.len(), 2);
    assert_eq!(after, before.iter().map(|index| index + 200 + 64).collect::<Vec<_>>());
    // And a late message on it, which makes it the open one, is answered.
    let (mut ours, mut theirs) = (peer(&fixture["ours"], Some(200)), peer(&fixture["theirs"], None));
    ours.decrypt(&wire(&fixture["late"])).expect("late");
    assert_eq!(theirs.decrypt(&ours.encrypt("on the old one")).expect("they kept it too"), "on the old one");
}

#[test]
fn a_bad_closed_session_costs_itself_and_a_bad_open_one_the_record() {
    let fixture = fixture();
    let ours = &fixture["ours"];
    let sessions = ours["session"]["_sessions"].as_object().expect("sessions");
    let find = |open: bool| {
        sessions.iter().find(|(_, entry)| (entry["indexInfo"]["closed"] == -1) == open).expect("one").0.clone()
    };
    let (open, closed) = (find(true), find(false));
    let damaged = |index: &str| {
        let mut session = ours["session"].clone();
        session["_sessions"][index]["currentRatchet"]["rootKey"] = "AAAA".into();
        convert(ours, &session)
    };
    let kept = damaged(&closed).expect("the open one is there");
    assert_eq!((kept.record.previous_sessions.len(), kept.archived_dropped), (0, 1));
    assert!(matches!(damaged(&open), Err(EntryError::Protocol(_))));
    let mut only_closed = ours["session"].clone();
    only_closed["_sessions"].as_object_mut().expect("sessions").remove(&open);
    assert!(matches!(convert(ours, &only_closed), Err(EntryError::NoOpenSession)));
    // A second that was left open counts as closed.
    let mut two = ours["session"].clone();
    two["_sessions"][&closed]["indexInfo"]["closed"] = (-1).into();
    let kept = convert(ours, &two).expect("one of them");
    assert_eq!((kept.record.previous_sessions.len(), kept.archived_dropped), (1, 0));
    // Before version 1 the record had the registration id.
    let mut old = ours["session"].clone();
    let id = old["_sessions"][&open]["registrationId"].take();
    old["_sessions"][&open].as_object_mut().expect("an entry").remove("registrationId");
    old["registrationId"] = id;
    assert!(convert(ours, &old).expect("old").record == convert(ours, &ours["session"]).expect("new").record);
    // The library's own form, as Baileys on Rust's libsignal keeps it.
    let record = convert(ours, &ours["session"]).expect("converts").record;
    let own = SessionRecord::from_components(record.clone()).expect("a record").serialize().expect("encodes");
    let buffer = serde_json::json!({ "type": "Buffer", "data": own });
    assert!(convert(ours, &buffer).expect("its own").record == record);
}

#[test]
fn a_record_comes_back_from_node_as_it_went() {
    let fixture = fixture();
    for side in [&fixture["ours"], &fixture["theirs"]] {
        let record = convert(side, &side["session"]).expect("converts").record;
        assert_eq!(record.previous_sessions.len(), 1);
        let node = export::session::to_node(record.clone()).expect("Node can express it");
        assert!(convert(side, &node).expect("converts").record == record);
    }
}
