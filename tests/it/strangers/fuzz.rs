//! Parsers of untrusted bytes under mutated inputs, for a fixed time each: `FUZZ_SECONDS`, `FUZZ_SEED`. `.ci/fuzz`
//! has the same targets under libFuzzer, which sees what an input reaches.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::json;
use sessiond::fuzz::{TARGETS, Target};
use whatsapp_rust::{
    buffa::Message,
    waproto::{codec, whatsapp as wa},
};

/// Bytes that parsers stumble over.
const INTERESTING: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"@",
    b"_",
    b":",
    b"/",
    b"\\",
    b"%00",
    b"\r\n",
    b"[",
    b"{",
    b"\"",
    b"]",
    b"[::1]",
    b"0x7f.1",
    b"169.254.169.254",
    b"::ffff:",
    b"@g.us",
    b"+57",
    b"-1",
    b"1e999",
    b"null",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x92\xa9",
    b"\xc3\x28",
    b"\xed\xa0\x80",
];

const MAX_INPUT: usize = 4096;

/// One step away from `input`.
fn mutate(rng: &mut StdRng, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let at = if input.is_empty() { 0 } else { rng.random_range(0..input.len()) };
    let end = (at + rng.random_range(0..16)).min(input.len());
    match rng.random_range(0..9) {
        0 if !input.is_empty() => input[at] ^= 1 << rng.random_range(0..8),
        1 if !input.is_empty() => input[at] = rng.random(),
        2 => input.splice(at..at, INTERESTING.choose(rng).expect("some").iter().copied()).for_each(drop),
        3 => input.splice(at..end, INTERESTING.choose(rng).expect("some").iter().copied()).for_each(drop),
        4 => input.truncate(at),
        5 => input.drain(at..end).for_each(drop),
        6 => {
            let piece = input[at..end].to_vec();
            let copies = if rng.random_bool(0.05) { 200 } else { 2 };
            input.splice(at..at, piece.repeat(copies)).for_each(drop);
        }
        7 => {
            let other = pool.choose(rng).expect("some");
            let from = if other.is_empty() { 0 } else { rng.random_range(0..other.len()) };
            input.truncate(at);
            input.extend(&other[from..]);
        }
        _ => {
            let mut bytes = vec![0; rng.random_range(1..12)];
            rng.fill_bytes(&mut bytes);
            input.splice(at..at, bytes).for_each(drop);
        }
    }
    input.truncate(MAX_INPUT);
}

fn feed(target: &Target, seeds: &[Vec<u8>]) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let budget = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(5));
    // Another place to begin each day, so that CI gets around.
    let today = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() / 86_400;
    let seed = number("FUZZ_SEED").unwrap_or(today);
    let mut rng = StdRng::seed_from_u64(seed);
    let (began, mut inputs) = (Instant::now(), 0u64);
    // On a busy machine it takes as long as it must to try something at all.
    while began.elapsed() < budget || inputs <= 100 && began.elapsed() < 12 * budget {
        let mut input = seeds.choose(&mut rng).expect("some").clone();
        if inputs >= seeds.len() as u64 {
            for _ in 0..rng.random_range(1..8) {
                mutate(&mut rng, &mut input, seeds);
            }
        }
        let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        assert!(ran.is_ok(), "{}, seed {seed}, input {inputs}: {}", target.name, hex::encode(&input));
        inputs += 1;
    }
    println!("{}: {inputs} inputs, seed {seed}", target.name);
    assert!(inputs > 100, "{} is too slow to be fuzzed: {inputs} inputs", target.name);
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "envelope" => {
            let header = [&[1, 1][..], &[0; 8], &1000u32.to_be_bytes(), &[3; 60]].concat();
            vec![Vec::new(), header, vec![b'a'; 300], b"\x01\x00".to_vec()]
        }
        // Two changes, one of them a removal; records of a snapshot; a manifest.
        "entry" => vec![
            b"\x0a\x0a\x08\x03\x12\x03key\x1a\x01v\x0a\x07\x08\x0b\x12\x03old\x10\x01".to_vec(),
            b"\x0a\x08\x03\x12\x03key\x1a\x01v\x07\x08\x04\x12\x01k\x1a\x00".to_vec(),
            b"\x0a\x04\x01\x02\x03\x04\x10\x05\x1a\x04\x01\x02\x03\x04\x20\x64\x28\x01\x32\x04\x08\x05\x10\x07"
                .to_vec(),
        ],
        "webhook" => [
            json!({ "webhooks": [{
                "url": "https://example.com/hook", "events": ["message", "*"], "hmac": { "key": "secret" },
                "retries": { "policy": "exponential", "delaySeconds": 2, "attempts": 15 },
                "customHeaders": [{ "name": "X-My", "value": "1" }],
            }], "metadata": { "user.id": "7" } }),
            json!({ "webhooks": [] }),
        ]
        .iter()
        .map(|settings| settings.to_string().into_bytes())
        .collect(),
        "url" => texts(&[
            "https://example.com/hook?a=b#c",
            "http://93.184.216.34:8080/",
            "http://[2606:2800:220:1::1]/",
            "https://user:password@host/",
            "http://0177.0.0.1/",
            "http://2130706433/",
        ]),
        "order" => texts(&[
            "dos hamburguesas sencillas, una sin cebolla\u{1e}mejor que sean tres\u{1e}quita una",
            "12 alitas y 1/2 pollo asado para la calle 72 # 10-34, pago con nequi",
            "no, perdón, la coca cámbiela por una limonada de coco\u{1e}otra igual\u{1e}ya no quiero nada",
            "- 2 perros calientes\n- 1 coca 1.5\n🍔 x 3",
        ]),
        "conversation" => texts(&[
            "dos perros calientes\u{1e}recoger\u{1e}sí\u{1e}sí\u{1e}cómo va mi pedido?\u{1e}cancelar\u{1e}sí",
            "una hamburguesa\u{1e}la 2\u{1e}listo\u{1e}1\u{1e}calle 10 # 20-30 apto 301\u{1e}3001234567\u{1e}sí",
            "menú\u{1e}2 del 4 y el 8\u{1e}\u{4}un pollo asado entero\u{1e}\u{1}ya le averiguo\u{1e}sí\u{1e}\u{3}\u{1e}hola\u{1e}sí",
            "Nombre: Ana\nDirección: calle 1 # 2-3\nPedido: dos perros calientes\u{1e}\u{6}\u{1e}sí\u{1e}\u{5}\u{1e}xyzzy",
        ]),
        "names" => texts(&[
            "trattoria-1_A",
            "true_573001112233@c.us_3EB0C767D097B7C7C030",
            "false_120363000000000001@g.us_ABC_573001112233:12@s.whatsapp.net",
            "+57 (300) 111-2233",
            "0057 3001112233",
            "2@abc,def,ghi,jkl,1",
        ]),
        "message" => messages().iter().map(codec::message_to_vec).collect(),
        "history" => pasts().iter().map(Message::encode_to_vec).collect(),
        import if import.starts_with("import_") => foreign_stores(import),
        other => panic!("{other} has no inputs to start from"),
    }
}

/// A device of Baileys 6 as other gateways keep it. Whole stores are bent by the unit tests of `import`; these are short enough.
fn foreign_stores(target: &str) -> Vec<Vec<u8>> {
    let files: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(include_str!("../../fixtures/import/baileys-6.json")).expect("a fixture");
    let file = |name: &str| files[name].as_str().expect("a text").to_owned();
    let parsed = |name: &str| serde_json::from_str::<serde_json::Value>(&file(name)).expect("JSON");
    let (creds, key) = (parsed("creds.json"), parsed("pre-key-3.json"));
    let (address, session) = ("session-4915000000006.0", file("session-4915000000006.0.json"));
    match target {
        "import_document" => vec![
            file("creds.json").into(),
            json!({ "creds": creds, "keys": { "pre-key-3": key, "preKeys": { "4": key } } }).to_string().into(),
            json!({ "creds": creds, "keys": { address: parsed("session-4915000000006.0.json") } }).to_string().into(),
            json!(json!(file("creds.json")).to_string()).to_string().into(),
        ],
        "import_realtime" => vec![
            json!({ "tenants": { "t": { "baileys_session": { "creds": creds }, "restaurant": { "whatsappConnected": true } } } })
                .to_string()
                .into(),
            json!({ "baileys_sessions": { "t": { "keys": { "pre-key-3": key }, "creds": file("creds.json") } } }).to_string().into(),
            json!({ "tenants": { "t": { "whatsapp": { "baileys": { "phoneNumber": "4915000000005" } },
                "baileys_session": { "creds": creds, "updatedAt": 1 } } }, "baileys_sessions": { "t": { "creds": creds } } })
                .to_string()
                .into(),
            json!({ "creds": creds, "keys": { "pre-key-3": key.to_string() }, "savedAt": 1 }).to_string().into(),
        ],
        "import_folder" => {
            let folder = |files: &[(&str, String)]| -> Vec<u8> {
                let files: Vec<_> = files.iter().map(|(name, text)| format!("{name}\u{1f}{text}")).collect();
                files.join("\u{1e}").into()
            };
            let (creds, key) = (file("creds.json"), file("pre-key-3.json"));
            let row = json!([{ "sessionId": "i", "creds": json!(creds).to_string() }]).to_string();
            vec![
                folder(&[
                    ("creds.json", creds.clone()),
                    ("pre-key-3.json", key.clone()),
                    ("session-4915000000006.0.json", session),
                ]),
                folder(&[("noweb/default/creds.json", creds.clone()), ("noweb/default/pre-key-3.json", key.clone())]),
                folder(&[("gows/x/gows.db", "SQLite format 3".into()), ("one/creds.json", creds)]),
                folder(&[("rows", row), ("i/pre-key-3.json", key)]),
            ]
        }
        "import_firestore" => vec![
            json!({ "documents": [{ "name": "a/b/t", "fields": { "creds": { "stringValue": file("creds.json") },
                "keys.pre-key-3": { "mapValue": { "fields": { "private": { "bytesValue": "AQID" } } } } } }] })
            .to_string()
            .into(),
        ],
        "import_rows" => vec![
            json!([{ "sessionId": "i", "creds": json!(file("creds.json")).to_string() }]).to_string().into(),
            format!("sessionId,creds\ni,\"{}\"\n", file("creds.json").replace('"', "\"\"")).into(),
            format!("sessionId,creds\ni,\"{}\"\n", file("creds.json").replace('"', "\\\"")).into(),
            format!("sessionId\tcreds\ni\t{}\n", json!(file("creds.json")).to_string().replace('\\', "\\\\")).into(),
            json!([{ "type": "table", "data": [{ "sessionId": "i", "creds": file("creds.json") }] }]).to_string().into(),
        ],
        "import_redis" => vec![
            format!("creds\n{}\n{address}\n{session}\n", file("creds.json")).into(),
            format!("1) \"creds\"\n2) \"{}\"\n", file("creds.json").replace('"', "\\\"")).into(),
            json!({ "creds": file("creds.json"), address: session }).to_string().into(),
        ],
        "import_whatsmeow" => vec![
            b"SQLite format 3\0\x10\0\x01\x01\0\x40\x20\x20".to_vec(),
            b"COPY public.whatsmeow_device (jid, noise_key) FROM stdin;\n57300:1@s.whatsapp.net\t\\\\x0102\n\\.\n".to_vec(),
        ],
        "import_session" => vec![session.into(), file("pre-key-3.json").into(), br#"{"SessionState":{},"PreviousStates":[]}"#.to_vec()],
        other => panic!("{other} has no inputs to start from"),
    }
}

/// What phones tell of a chat.
fn pasts() -> Vec<wa::Conversation> {
    let told = |jid: &str, from_me: bool, (at, message): (u64, wa::Message)| {
        let key = wa::MessageKey {
            remote_jid: Some(jid.into()),
            from_me: Some(from_me),
            id: Some(format!("3EB0{at}")),
            participant: (!from_me).then(|| "120000000000002@lid".into()),
        };
        let info = wa::WebMessageInfo {
            key: key.into(),
            message: message.into(),
            message_timestamp: Some(1_700_000_000 - at),
            push_name: Some("Ana".into()),
            ..Default::default()
        };
        wa::HistorySyncMsg { message: info.into(), msg_order_id: Some(1000 - at) }
    };
    let chats = ["573009998877@s.whatsapp.net", "120000000000001@lid", "120363000000000001@g.us"];
    let of = |jid: &str, from_me: bool| wa::Conversation {
        id: jid.into(),
        messages: (0..).zip(messages()).map(|message| told(jid, from_me, message)).collect(),
        pn_jid: Some("573009998877@s.whatsapp.net".into()),
        end_of_history_transfer: Some(true),
        ..Default::default()
    };
    chats.iter().flat_map(|jid| [of(jid, false), of(jid, true)]).collect()
}

fn messages() -> Vec<wa::Message> {
    let quoted = wa::ContextInfo {
        stanza_id: Some("3EB0".into()),
        participant: Some("573009998877@s.whatsapp.net".into()),
        quoted_message: wa::Message { conversation: Some("before".into()), ..Default::default() }.into(),
        mentioned_jid: vec!["573001112233@s.whatsapp.net".into()],
        ..Default::default()
    };
    let reply = wa::message::ExtendedTextMessage {
        text: Some("a table".into()),
        context_info: quoted.into(),
        ..Default::default()
    };
    let image = wa::message::ImageMessage {
        mimetype: Some("image/jpeg".into()),
        caption: Some("the menu".into()),
        file_length: Some(1000),
        file_sha256: Some(vec![1; 32]),
        media_key: Some(vec![2; 32]),
        jpeg_thumbnail: Some(vec![3; 40]),
        ..Default::default()
    };
    let place = wa::message::LocationMessage {
        degrees_latitude: Some(4.6),
        degrees_longitude: Some(-74.1),
        name: Some("here".into()),
        ..Default::default()
    };
    let nowhere = wa::message::LocationMessage {
        degrees_latitude: Some(f64::NAN),
        degrees_longitude: Some(f64::INFINITY),
        ..Default::default()
    };
    let option = |name: &str| wa::message::poll_creation_message::Option {
        option_name: Some(name.into()),
        ..Default::default()
    };
    let poll = wa::message::PollCreationMessage {
        name: Some("when".into()),
        options: vec![option("eight"), option("nine")],
        selectable_options_count: Some(1),
        ..Default::default()
    };
    let key = wa::MessageKey {
        remote_jid: Some("573009998877@s.whatsapp.net".into()),
        id: Some("3EB0".into()),
        ..Default::default()
    };
    let reaction =
        wa::message::ReactionMessage { key: key.clone().into(), text: Some("👍".into()), ..Default::default() };
    let text = wa::Message { extended_text_message: reply.into(), ..Default::default() };
    let revoke = wa::message::ProtocolMessage { key: key.clone().into(), ..Default::default() };
    let edit = wa::message::ProtocolMessage {
        key: key.into(),
        r#type: Some(wa::message::protocol_message::Type::MessageEdit),
        edited_message: text.clone().into(),
        ..Default::default()
    };
    let mut all = vec![
        wa::Message { conversation: Some("ciao".into()), ..Default::default() },
        text,
        wa::Message { image_message: image.into(), ..Default::default() },
        wa::Message { location_message: place.into(), ..Default::default() },
        wa::Message { location_message: nowhere.into(), ..Default::default() },
        wa::Message { poll_creation_message: poll.into(), ..Default::default() },
        wa::Message { reaction_message: reaction.into(), ..Default::default() },
        wa::Message { protocol_message: revoke.into(), ..Default::default() },
        wa::Message { protocol_message: edit.into(), ..Default::default() },
    ];
    // Each of them wrapped, and wrapped again.
    for wrapped in all.clone() {
        let inner = wa::message::FutureProofMessage { message: wrapped.into() };
        let outer = wa::Message { ephemeral_message: inner.into(), ..Default::default() };
        let inner = wa::message::FutureProofMessage { message: outer.into() };
        all.push(wa::Message { view_once_message: inner.into(), ..Default::default() });
    }
    all
}

macro_rules! targets {
    ($($name:ident)+) => {$(
        #[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name)).expect("a target");
            feed(target, &seeds(target.name));
        }
    )+

        #[test]
        fn every_target_is_fed() {
            let fed = [$(stringify!($name)),+];
            assert_eq!(TARGETS.map(|target| target.name), fed);
        }
    };
}

targets! {
    envelope entry webhook url names message history order conversation
    import_document import_realtime import_firestore import_rows import_redis import_whatsmeow import_session
    import_folder
}
