//! Folders and single JSONs.

use serde_json::json;

use super::*;

fn addresses<T>(by_address: &BTreeMap<SignalAddress, T>) -> Vec<String> {
    by_address.keys().map(SignalAddress::to_string).collect()
}

#[test]
fn a_folder_of_version_7_is_read_whole() {
    let copy = read(&files(BAILEYS_7)).expect("a copy");
    copy.verify(Some("+49 1500 0000000")).expect("whole");
    assert_eq!((copy.number(), copy.device.me.device), ("4915000000000", 1));
    assert_eq!(copy.device.lid.as_ref().map(ToString::to_string).as_deref(), Some("180000000000001:1@lid.0"));
    assert_eq!(copy.device.push_name.as_deref(), Some("Trattoria"));
    assert_eq!(copy.device.platform.as_deref(), Some("android"));
    assert_eq!((copy.device.next_pre_key_id, copy.device.first_unuploaded_pre_key_id), (813, 813));
    assert_eq!(copy.pre_keys.keys().copied().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 811, 812]);
    assert_eq!(
        addresses(&copy.sessions),
        [
            "180000000000001@lid.0",
            "180000000007920@lid.0",
            "180000000015839@lid.0",
            "180000000023758@lid.0",
            "180000000031677@lid.0",
        ]
    );
    assert!(copy.sessions.keys().all(|address| copy.identities.contains_key(address)));
    assert!(copy.identities.keys().any(|address| address.to_string() == "4915000000000@c.us.0"), "our phone's");
    let senders: Vec<_> = copy.sender_keys.keys().map(|(group, sender)| format!("{group}:{sender}")).collect();
    assert_eq!(
        senders,
        [
            "120363000000000001@g.us:180000000007920@lid.0",
            "120363000000000001@g.us:180000000015839@lid.0",
            "120363000000000001@g.us:4915000000001@c.us.0",
            "120363000000000001@g.us:4915000000002@c.us.0",
        ]
    );
    assert_eq!(copy.lid_mappings.lid_of("4915000000004"), Some("180000000031677"));
    assert_eq!(copy.device_lists["4915000000001"], [0]);
    let (id, key) = copy.sync_keys.iter().next().expect("a sync key");
    assert_eq!((id.as_slice(), key.timestamp), ([0, 0, 0, 0, 0, 1].as_slice(), 1_795_938_482_161));
    // rawId 72215154, currentIndex 1, deviceIndexes [0, 1].
    assert_eq!(key.fingerprint, [0x08, 0xf2, 0xd4, 0xb7, 0x22, 0x10, 0x01, 0x1a, 0x02, 0x00, 0x01]);
    let own_sender_key = copy.tally.of(EntryKind::SenderKey);
    assert_eq!((own_sender_key.kept, own_sender_key.ignored, own_sender_key.dropped), (2, 1, 0));
    assert_eq!(copy.tally.of(EntryKind::SenderKeyMemory).ignored, 1);
    assert_eq!(copy.tally.problems, []);
}

#[test]
fn a_folder_of_version_6_names_no_domains() {
    let copy = read(&files(BAILEYS_6)).expect("a copy");
    copy.verify(Some("4915000000005")).expect("whole");
    assert_eq!(addresses(&copy.sessions), [5, 6, 7, 8, 9].map(|at| format!("491500000000{at}@c.us.0")));
    assert!(copy.sessions.keys().all(|address| copy.identities.contains_key(address)), "by the open sessions");
    let own_sender_key = copy.tally.of(EntryKind::SenderKey);
    assert_eq!((own_sender_key.kept, own_sender_key.ignored), (2, 1));
}

#[test]
fn a_lid_without_a_domain_is_told_from_a_number() {
    let mut store = files(BAILEYS_6);
    let session = store["session-4915000000006.0.json"].clone();
    store.insert("session-180000000047515.0.json".to_owned(), session.clone());
    store.insert("session-573001112233.14.json".to_owned(), session);
    let copy = read(&store).expect("a copy");
    let found = addresses(&copy.sessions);
    assert!(found.contains(&"180000000047515@lid.0".to_owned()), "{found:?}");
    assert!(found.contains(&"573001112233:14@c.us.0".to_owned()), "{found:?}");
    // What names its domain wins over what may be the same without it.
    let mut store = files(BAILEYS_7);
    let wrong = store["session-180000000031677_1.0.json"].clone();
    store.insert("session-180000000007920.0.json".to_owned(), wrong);
    let copy = read(&store).expect("a copy");
    assert!(copy.sessions == read(&files(BAILEYS_7)).expect("a copy").sessions);
    assert_eq!(copy.tally.of(EntryKind::Session).ignored, 1);
}

#[test]
fn one_json_in_any_shape_is_the_same_tenant() {
    for fixture in [BAILEYS_7, BAILEYS_6] {
        let store = files(fixture);
        let folder = read(&store).expect("a copy");
        let whole = whole(&store);
        let mut by_type = serde_json::Map::new();
        let mut beside = json!({ "creds": whole["creds"], "savedAt": "2026-02-01" });
        for (name, key) in whole["keys"].as_object().expect("keys") {
            let (kind, id) = [
                "sender-key-memory",
                "sender-key",
                "app-state-sync-key",
                "identity-key",
                "lid-mapping",
                "device-list",
                "pre-key",
                "session",
            ]
            .iter()
            .find_map(|kind| Some((*kind, name.strip_prefix(kind)?.strip_prefix('-')?)))
            .expect("a type");
            by_type.entry(kind).or_insert_with(|| json!({}))[id] = key.clone();
            beside[format!("keys.{name}")] = key.clone();
        }
        let old_names = json!({
            "creds": whole["creds"],
            "keys": {
                "preKeys": by_type["pre-key"],
                "sessions": by_type["session"],
                "senderKeys": by_type["sender-key"],
                "appStateSyncKeys": by_type["app-state-sync-key"],
                "identity-key": by_type.get("identity-key").unwrap_or(&json!({})),
                "lid-mapping": by_type.get("lid-mapping").unwrap_or(&json!({})),
                "device-list": by_type.get("device-list").unwrap_or(&json!({})),
            },
        });
        let twice = Value::String(whole.to_string()).to_string();
        let inner = json!({ "creds": whole["creds"].to_string(), "keys": whole["keys"].to_string() });
        let each = |keys: &Value| -> Value {
            let keys = keys.as_object().expect("keys").iter();
            keys.map(|(name, key)| (name.clone(), Value::String(key.to_string()))).collect()
        };
        let mut each_of_a_type = by_type.clone();
        each_of_a_type.values_mut().for_each(|keys| *keys = each(keys));
        for (shape, text) in [
            ("as it is", whole.to_string()),
            ("by type", json!({ "creds": whole["creds"], "keys": by_type }).to_string()),
            ("beside", beside.to_string()),
            ("old names", old_names.to_string()),
            ("stringified", twice.clone()),
            ("stringified twice", Value::String(twice).to_string()),
            ("stringified inside", inner.to_string()),
            ("each stringified", json!({ "creds": whole["creds"], "keys": each(&whole["keys"]) }).to_string()),
            (
                "each stringified twice",
                json!({ "creds": whole["creds"], "keys": each(&each(&whole["keys"])) }).to_string(),
            ),
            ("each of a type stringified", json!({ "creds": whole["creds"], "keys": each_of_a_type }).to_string()),
            ("types stringified", json!({ "creds": whole["creds"], "keys": each(&json!(by_type)) }).to_string()),
            ("base64", super::super::json::encode_base64(whole.to_string().as_bytes())),
        ] {
            let copy = document(&text).unwrap_or_else(|error| panic!("{shape}: {error}"));
            assert_same(&copy, &folder);
        }
    }
}

#[test]
fn a_list_of_keys_is_the_same_tenant() {
    let store = files(BAILEYS_7);
    let (folder, whole) = (read(&store).expect("a copy"), whole(&store));
    let keys = whole["keys"].as_object().expect("keys");
    for (name, value) in [("id", "value"), ("key", "data"), ("_id", "value")] {
        let listed: Vec<Value> = keys.iter().map(|(id, key)| json!({ name: id, value: key })).collect();
        let text = json!({ "creds": whole["creds"], "keys": listed }).to_string();
        let copy = document(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_same(&copy, &folder);
        let marked = format!("\u{feff}{text}");
        let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [marked.as_bytes(), wide.as_slice()] {
            let (origin, limits) = (ImportOrigin::Baileys, ImportLimits::default());
            let copy = super::super::baileys::document::read(text, origin, &limits).expect("as PowerShell writes it");
            assert_same(&copy, &folder);
        }
    }
}

#[test]
fn keys_of_no_known_shape_are_named() {
    let creds = value(&files(BAILEYS_7), "creds.json");
    let problems = |keys: Value| {
        let copy = document(&json!({ "creds": creds, "keys": keys }).to_string()).expect("the credentials are whole");
        copy.tally.problems.into_iter().map(|problem| problem.entry).collect::<Vec<_>>()
    };
    let item = json!({ "a": 1 });
    for (keys, entry) in [
        (json!("nonsense"), "keys"),
        (json!(7), "keys"),
        (json!({ "a": item, "b": item }), "keys"),
        (json!([item]), "keys[0]"),
        (json!({ "session": "nonsense" }), "session"),
    ] {
        assert!(problems(keys.clone()).contains(&entry.to_owned()), "{keys}");
    }
    for nothing in [json!(null), json!({}), json!([]), json!({ "session": {}, "pre-key": [] })] {
        assert_eq!(problems(nothing.clone()), [""; 0], "{nothing}");
    }
}

/// The Realtime Database takes no dots in names.
#[test]
fn names_without_dots_are_the_same_tenant() {
    let store = files(BAILEYS_7);
    let mut whole = whole(&store);
    let keys = whole["keys"].as_object_mut().expect("keys");
    *keys = std::mem::take(keys).into_iter().map(|(name, key)| (name.replace('.', "_"), key)).collect();
    let folder = read(&store).expect("a copy");
    assert_same(&document(&whole.to_string()).expect("a copy"), &folder);
    let numbered = respelled(&whole, &|bytes| {
        json!(
            bytes.iter().enumerate().map(|(at, byte)| (at.to_string(), json!(byte))).collect::<serde_json::Map<_, _>>()
        )
    });
    assert_same(&document(&numbered.to_string()).expect("bytes are no devices"), &folder);
}

#[test]
fn dots_taken_for_a_path_are_put_together() {
    let store = files(BAILEYS_7);
    let session = value(&store, "session-180000000007920_1.0.json");
    let text =
        json!({ "creds": value(&store, "creds.json"), "keys": { "session-180000000007920_1": { "0": session } } });
    let copy = document(&text.to_string()).expect("a copy");
    assert_eq!(addresses(&copy.sessions), ["180000000007920@lid.0"]);
}

/// What a database, or JavaScript, made of each `{"type":"Buffer","data":"…"}`.
fn respelled(node: &Value, spell: &dyn Fn(Vec<u8>) -> Value) -> Value {
    match node {
        Value::Object(fields) if fields.get("type") == Some(&json!("Buffer")) => spell(
            super::super::json::base64_bytes(fields["data"].as_str().expect("base64").as_bytes()).expect("base64"),
        ),
        Value::Object(fields) => fields.iter().map(|(name, node)| (name.clone(), respelled(node, spell))).collect(),
        Value::Array(items) => items.iter().map(|item| respelled(item, spell)).collect(),
        other => other.clone(),
    }
}

#[test]
fn bytes_in_every_spelling_are_the_same_tenant() {
    let store = files(BAILEYS_7);
    let folder = read(&store).expect("a copy");
    let text = |bytes: &[u8]| super::super::json::encode_base64(bytes);
    let numbered = |bytes: &[u8]| {
        bytes.iter().enumerate().map(|(at, byte)| (at.to_string(), json!(byte))).collect::<serde_json::Map<_, _>>()
    };
    let spellings: [&dyn Fn(Vec<u8>) -> Value; 8] = [
        &|bytes| json!({ "type": "Buffer", "data": bytes }),
        &|bytes| json!({ "type": "Buffer", "data": numbered(&bytes) }),
        &|bytes| json!(numbered(&bytes)),
        &|bytes| json!({ "buffer": true, "data": text(&bytes) }),
        &|bytes| json!({ "buffer": true, "value": bytes }),
        &|bytes| json!(text(&bytes)),
        &|bytes| json!(bytes),
        &|bytes| json!({ "$binary": { "base64": text(&bytes), "subType": "00" } }),
    ];
    for (at, spell) in spellings.into_iter().enumerate() {
        let copy =
            document(&respelled(&whole(&store), spell).to_string()).unwrap_or_else(|error| panic!("{at}: {error}"));
        copy.verify(None).expect("whole");
        assert_same(&copy, &folder);
    }
}

#[test]
fn a_damaged_key_costs_itself() {
    let mut store = files(BAILEYS_7);
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    for name in ["pre-key-3.json", "session-180000000007920_1.0.json", "lid-mapping-4915000000004.json"] {
        let half = cut(&store[name]);
        store.insert(name.to_owned(), half);
    }
    let mut foreign = value(&store, "pre-key-4.json");
    foreign["public"] = value(&store, "pre-key-5.json")["public"].clone();
    store.insert("pre-key-4.json".to_owned(), foreign.to_string());
    store.insert("session-..__..__x.json".to_owned(), "{}".to_owned());
    store.insert("pre-key-99999999999.json".to_owned(), store["pre-key-5.json"].clone());
    store.insert("notes.txt".to_owned(), "remember".to_owned());
    store.insert("bridge-session-1.0.json".to_owned(), "{}".to_owned());
    let copy = read(&store).expect("a copy");
    copy.verify(None).expect("whole");
    let counts = |kind| {
        let counts = copy.tally.of(kind);
        (counts.kept, counts.dropped)
    };
    assert_eq!(counts(EntryKind::PreKey), (5, 3));
    assert_eq!(counts(EntryKind::Session), (4, 2));
    assert_eq!(counts(EntryKind::LidMapping), (5, 1), "the other direction is there");
    assert_eq!(copy.tally.of(EntryKind::Unknown).ignored, 2);
    assert_eq!(copy.tally.problems.len(), 6);
    let told = serde_json::to_string(&copy.tally).expect("plain data");
    assert!(told.contains("halves"), "{told}");
}

/// Baileys keeps when it gave somebody a token of ours, also where it has none of theirs.
#[test]
fn a_token_that_nobody_gave_is_no_damage() {
    let mut store = files(BAILEYS_7);
    for (lid, token) in [
        ("180000000099997", "{}"),
        ("180000000099998", r#"{"token":{"type":"Buffer","data":"AQI="},"timestamp":"7"}"#),
        ("180000000099999", r#"{"token":{"type":"Buffer","data":""},"senderTimestamp":1800000000}"#),
    ] {
        store.insert(format!("tctoken-{lid}@lid.json"), token.to_owned());
    }
    let copy = read(&store).expect("a copy");
    assert_eq!(copy.contact_tokens.keys().collect::<Vec<_>>(), ["180000000099998"]);
    let EntryCounts { kept, dropped, ignored } = copy.tally.of(EntryKind::ContactToken);
    assert_eq!((kept, dropped, ignored), (1, 1, 1));
}

#[test]
fn keys_of_statuses_are_no_damage() {
    let mut store = files(BAILEYS_7);
    let before = read(&store).expect("a copy").tally.of(EntryKind::SenderKey);
    store.insert("sender-key-status@broadcast--180000000007920_1--0.json".to_owned(), "[]".to_owned());
    let copy = read(&store).expect("a copy");
    let after = copy.tally.of(EntryKind::SenderKey);
    assert_eq!((after.kept, after.dropped, after.ignored), (before.kept, before.dropped, before.ignored + 1));
}

#[test]
fn damaged_credentials_refuse_the_tenant() {
    let store = files(BAILEYS_7);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut creds = value(&store, "creds.json");
        change(&mut creds);
        let mut store = store.clone();
        store.insert("creds.json".to_owned(), creds.to_string());
        read(&store)
    };
    let remove = |name: &'static str| with(&move |creds| drop(creds.as_object_mut().expect("an object").remove(name)));
    assert!(matches!(remove("me"), Err(ImportError::NotPaired("me.id"))));
    assert!(matches!(remove("account"), Err(ImportError::NotPaired("account"))));
    for name in ["noiseKey", "signedIdentityKey", "signedPreKey", "registrationId"] {
        assert!(matches!(remove(name), Err(ImportError::Credentials(EntryError::Missing(_)))), "{name}");
    }
    for name in ["advSecretKey", "routingInfo", "signalIdentities", "platform", "myAppStateKeyId", "nextPreKeyId"] {
        remove(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(matches!(with(&|creds| creds["me"]["id"] = json!("somebody@g.us")), Err(ImportError::Credentials(_))));
    let phone_itself = with(&|creds| creds["me"]["id"] = json!("4915000000000@s.whatsapp.net"));
    assert!(matches!(phone_itself, Err(ImportError::NotPaired("the device's number in me.id"))));
    // Whose credentials are these?
    let other = value(&files(BAILEYS_6), "creds.json");
    let twice = |text: &str, name: &str| text.replacen('{', &format!("{{\"{name}\":{},", other[name]), 1);
    let creds = &store["creds.json"];
    let mut two = store.clone();
    two.insert("creds.json".to_owned(), twice(creds, "me"));
    assert!(matches!(read(&two), Err(ImportError::Credentials(EntryError::FieldTwice))));
    let two = format!("{{\"creds\":{other},\"creds\":{creds}}}");
    assert!(matches!(document(&two), Err(ImportError::Credentials(EntryError::FieldTwice))));
    let lid_as_number = with(&|creds| creds["me"]["lid"] = json!("180000000000001:1@s.whatsapp.net")).expect("mended");
    assert_eq!(lid_as_number.device.lid.map(|lid| lid.server), Some(AddressServer::Lid));
    // Every cut of the file is refused, none is taken for less.
    let text = &store["creds.json"];
    for at in (0..text.len()).step_by(97) {
        let mut store = store.clone();
        store.insert("creds.json".to_owned(), text[..at].to_owned());
        assert!(matches!(read(&store), Err(ImportError::Json { what: "creds", .. })), "cut at {at}");
    }
    let mut gone = store.clone();
    gone.remove("creds.json");
    assert!(matches!(read(&gone), Err(ImportError::NoCredentials)));
}

#[test]
fn flaws_are_found_and_told_at_once() {
    let (store, other) = (files(BAILEYS_7), files(BAILEYS_6));
    let flaws = |change: &dyn Fn(&mut Value, &Value)| {
        let (mut creds, other) = (value(&store, "creds.json"), value(&other, "creds.json"));
        change(&mut creds, &other);
        match document(&creds.to_string()).expect("it reads").verify(Some("4915000000000")) {
            Ok(()) => Vec::new(),
            Err(ImportError::NotWhole(flaws)) => flaws,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(flaws(&|_, _| {}), []);
    assert_eq!(
        flaws(&|creds, other| creds["signedIdentityKey"] = other["signedIdentityKey"].clone()),
        [CopyFlaw::SignedPreKey, CopyFlaw::AccountSignature]
    );
    assert_eq!(
        flaws(&|creds, other| creds["noiseKey"]["public"] = other["noiseKey"]["public"].clone()),
        [CopyFlaw::Halves("the noise key")]
    );
    assert_eq!(flaws(&|creds, other| creds["account"] = other["account"].clone()), [CopyFlaw::AccountSignature]);
    assert_eq!(
        flaws(&|creds, other| creds["account"]["deviceSignature"] = other["account"]["deviceSignature"].clone()),
        [CopyFlaw::DeviceSignature]
    );
    let foreign = flaws(&|creds, other| creds["me"] = other["me"].clone());
    assert!(matches!(foreign.as_slice(), [CopyFlaw::OtherNumber { .. }]));
}

#[test]
fn nothing_secret_is_ever_printed() {
    let copy = read(&files(BAILEYS_7)).expect("a copy");
    let sync_keys = format!("{:?}", copy.sync_keys);
    let printed = format!(
        "{copy:?} {:?} {:?} {sync_keys} {:?} {:?}",
        copy.device, copy.pre_keys, copy.sessions, copy.sender_keys
    );
    let secrets =
        [copy.device.noise_key.private.expose(), copy.device.adv_secret.as_ref().expect("it has one").expose()];
    for secret in secrets {
        for part in secret.chunks(4) {
            let listed = format!("{part:?}");
            assert!(!printed.contains(listed.trim_matches(['[', ']'])), "bytes");
        }
    }
    assert!(printed.contains("<secret>"));
}
