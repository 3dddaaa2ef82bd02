//! What a copy may be sent with.

use whatsapp_rust::wacore::libsignal::protocol::{SenderKeyRecord, SessionRecord};

use super::*;

fn indexes(copy: &TenantCopy) -> Vec<u32> {
    let open = copy.sessions.values().map(|record| record.current_session.as_ref().expect("open"));
    open.map(|session| {
        session.sender_chain.as_ref().and_then(|chain| chain.chain_key.as_ref()?.index).expect("a chain")
    })
    .collect()
}

#[test]
fn a_final_copy_keeps_its_sessions_with_a_margin() {
    for fixture in [BAILEYS_7, BAILEYS_6] {
        let copy = read(&files(fixture)).expect("a copy");
        let before = indexes(&copy);
        let settled = copy.settle(Finality::Final, CounterMargin::default());
        assert_eq!(settled.sessions.len(), before.len());
        for ((address, stored), before) in settled.sessions.iter().zip(before) {
            let record = SessionRecord::deserialize(stored).expect("the library's record");
            let session = record.into_components().expect("components").current_session.expect("open");
            let index = session.sender_chain.and_then(|chain| chain.chain_key?.index).expect("a chain");
            assert_eq!(index, before + 200 + 64, "{address}");
        }
        assert!(settled.server_has_pre_keys);
        assert_eq!(settled.next_pre_key_id, settled.copy.device.next_pre_key_id);
        for (name, stored) in &settled.sender_keys {
            assert!(!SenderKeyRecord::deserialize(stored).expect(name).is_empty());
        }
        assert_eq!(settled.pre_keys.len(), 7);
        assert_eq!(settled.copy.tally.of(EntryKind::Session).dropped, 0);
    }
}

#[test]
fn a_copy_that_may_be_stale_keeps_none() {
    let settled = read(&files(BAILEYS_7)).expect("a copy").settle(Finality::MayBeStale, CounterMargin::default());
    assert!(settled.sessions.is_empty());
    let counts = settled.copy.tally.of(EntryKind::Session);
    assert_eq!((counts.kept, counts.dropped), (0, 5));
    assert!(!settled.sender_keys.is_empty(), "others' keys do no harm");
    assert!(!settled.copy.identities.is_empty(), "nor do identities");
    assert!(!settled.server_has_pre_keys);
    assert_eq!((settled.next_pre_key_id, settled.first_unuploaded_pre_key_id), (10_813, 10_813));
    assert_eq!(settled.pre_keys.len(), 7, "they are out there: whoever drew one can still write");
}

#[test]
fn keys_that_are_younger_than_the_credentials_keep_none() {
    let mut store = files(BAILEYS_7);
    let newer = store["pre-key-812.json"].clone();
    store.insert("pre-key-813.json".to_owned(), newer);
    let settled = read(&store).expect("a copy").settle(Finality::Final, CounterMargin::default());
    assert!(settled.sessions.is_empty());
    // WhatsApp has keys that these credentials know nothing of: fresh ones must not take their ids.
    assert!(!settled.server_has_pre_keys);
    assert_eq!((settled.next_pre_key_id, settled.first_unuploaded_pre_key_id), (10_813, 10_813));
    // In two places, the newest key must be there.
    let mut store = files(BAILEYS_7);
    store.remove("pre-key-812.json");
    let copy = read(&store).expect("a copy");
    assert!(copy.creds_fit_keys(), "in one folder it may be used up");
    let mut split = copy;
    split.is_split = true;
    assert!(split.settle(Finality::Final, CounterMargin::default()).sessions.is_empty());
}

#[test]
fn credentials_alone_get_new_pre_keys() {
    let creds = files(BAILEYS_7)["creds.json"].clone();
    let settled = document(&creds).expect("a copy").settle(Finality::Final, CounterMargin::default());
    assert!(!settled.server_has_pre_keys && settled.sessions.is_empty() && settled.pre_keys.is_empty());
    assert_eq!(settled.next_pre_key_id, 10_813);
    assert_eq!(super::super::counters::beyond(16_777_215), 10_000);
    assert_eq!(super::super::counters::beyond(16_767_215), 16_777_215, "the last id");
}

#[test]
fn margins_have_an_end() {
    assert!(CounterMargin::new(1936).is_some() && CounterMargin::new(1937).is_none());
    let copy = read(&files(BAILEYS_7)).expect("a copy");
    let before = indexes(&copy);
    let settled = copy.settle(Finality::Final, CounterMargin::new(1936).expect("the largest"));
    assert_eq!(settled.sessions.len(), before.len(), "none is lost by the largest");
}
