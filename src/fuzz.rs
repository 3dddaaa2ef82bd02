//! Entrances for fuzzing, in test builds only: each parser of bytes that somebody else wrote, with what must hold whatever they are.
//! A target panics when it does not.

use std::net::IpAddr;

use serde_json::Value;

use crate::{
    api,
    import::fuzz as import,
    journal,
    message::{
        EventBody, Message,
        media::{FileName, Links},
        phone,
    },
    outbound,
    seal::{Digest, Keyring, Kind, MasterKey, SealPosition},
    session,
    tenant::TenantId,
    vault::Seq,
    waha, webhook,
};

/// A parser to feed.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

pub const TARGETS: [Target; 17] = [
    Target { name: "envelope", run: envelope },
    Target { name: "entry", run: journal::read_anything },
    Target { name: "webhook", run: settings },
    Target { name: "url", run: url },
    Target { name: "names", run: names },
    Target { name: "message", run: normalisation },
    Target { name: "history", run: history },
    Target { name: "order", run: order },
    Target { name: "conversation", run: conversation },
    Target { name: "import_document", run: import::document },
    Target { name: "import_realtime", run: import::realtime },
    Target { name: "import_firestore", run: import::firestore },
    Target { name: "import_rows", run: import::rows },
    Target { name: "import_redis", run: import::redis },
    Target { name: "import_whatsmeow", run: import::database },
    Target { name: "import_session", run: import::session },
    Target { name: "import_folder", run: import::folder },
];

/// Messages of one customer, parted by ASCII's record separator: whatever they say, each basket can be priced.
fn order(bytes: &[u8]) {
    use crate::bot::{OrderState, Parser, basket, menu::Menu};
    static PARSER: std::sync::LazyLock<Parser> = std::sync::LazyLock::new(|| {
        let menu = include_str!("../tests/bot/menus/don-pollo.json");
        Parser::new(serde_json::from_str::<Menu>(menu).expect("a menu of ours"))
    });
    let mut state = OrderState::default();
    for text in String::from_utf8_lossy(bytes).split('\u{1e}').take(6) {
        state = PARSER.understand(text, &state, &[]).state;
        assert!(basket::total(&state.lines, PARSER.menu()).is_some(), "a basket without a price");
        assert!(state.lines.iter().all(|line| line.qty > 0), "a line of nothing");
    }
}

/// Messages of one customer, parted as above; some bytes before them are the owner, the console, or time that passes. Whatever comes, the
/// record and the replies are bounded, nobody is answered while the owner talks, and no order has a total that was not shown last.
fn conversation(bytes: &[u8]) {
    use crate::bot::{
        Parser,
        conversation::{
            ConversationState, Customer, Effect, Input, MAX_RECORD_BYTES, MAX_REPLIES, MAX_REPLY_CHARS, Moment,
            Restaurant, Said, Utterance, step,
        },
        menu::Menu,
        restaurant::RestaurantSettings,
    };
    static RESTAURANT: std::sync::LazyLock<Restaurant> = std::sync::LazyLock::new(|| {
        let menu = include_str!("../tests/bot/menus/don-pollo.json");
        let menu = serde_json::from_str::<Menu>(menu).expect("a menu of ours");
        Restaurant::new(Parser::new(menu), RestaurantSettings { active: true, ..RestaurantSettings::default() })
    });
    let customer =
        Customer { chat: "573001112233@s.whatsapp.net".into(), name: None, phone: Some("573001112233".into()) };
    let mut talk = ConversationState::default();
    let mut now = jiff::Timestamp::UNIX_EPOCH;
    let mut shown = None;
    for (n, text) in String::from_utf8_lossy(bytes).split('\u{1e}').take(5).enumerate() {
        let id = format!("m{n}");
        let input = match text.chars().next() {
            Some('\u{1}') => Input::OwnerWrote { text: Some(text[1..].to_owned()) },
            Some('\u{2}') => Input::TakenOver,
            Some('\u{3}') => Input::GivenBack,
            Some('\u{4}') => Input::Edited { id: "m0".into(), text: text[1..].to_owned() },
            Some('\u{5}') => Input::Revoked { id: "m0".into() },
            Some('\u{6}') => {
                now = now.saturating_add(jiff::SignedDuration::from_mins(31)).unwrap_or(now);
                Input::Woken
            }
            _ => Input::Said(vec![Said { id, at: now, what: Utterance::Text(text.to_owned()) }]),
        };
        let is_silent = talk.silence(now).is_some() && !matches!(input, Input::GivenBack | Input::OwnerWrote { .. });
        let taken = step(talk, input, &customer, &RESTAURANT, Moment { now, chance: [n as u8; 16], told_at: None });
        assert!(!is_silent || taken.effects.is_empty(), "said while the owner talks");
        let mut replies = 0;
        for effect in &taken.effects {
            match effect {
                Effect::Reply(text) | Effect::Notice(text) => {
                    replies += 1;
                    assert!((1..=MAX_REPLY_CHARS).contains(&text.chars().count()), "a reply without bounds");
                    let total = text.rsplit_once("*Total: ").and_then(|(_, rest)| rest.split_once('*'));
                    shown = total.map(|(total, _)| total.to_owned()).or(shown);
                }
                Effect::Place(order) => {
                    assert_eq!(shown.take(), Some(order.total.to_string()), "not the total that was shown")
                }
                Effect::Cancel { .. }
                | Effect::CallOwner { .. }
                | Effect::Ask { .. }
                | Effect::AskFiles { .. }
                | Effect::File { .. }
                | Effect::AskModel { .. } => {}
            }
        }
        assert!(replies <= MAX_REPLIES, "{replies} replies");
        let record = serde_json::to_vec(&taken.conversation).expect("plain data");
        assert!(record.len() <= MAX_RECORD_BYTES, "{} bytes", record.len());
        talk = serde_json::from_slice(&record).expect("what was stored can be read");
    }
}

fn tenant() -> TenantId {
    "trattoria".parse().expect("a tenant's id")
}

/// What opens is exactly what was sealed, at its place.
fn envelope(bytes: &[u8]) {
    let key: MasterKey = "07".repeat(32).parse().expect("a key");
    let seal = Keyring::new(vec![key]).tenant(&tenant());
    let place =
        SealPosition { kind: Kind::Entry, seq: Seq(7), part: 0, parts: 1, epoch: Seq(1), previous: Digest::ZERO };
    assert!(seal.open(&place, bytes).is_err(), "forged");
    let sealed = seal.seal(&place, bytes);
    assert_eq!(seal.open(&place, &sealed).as_deref(), Ok(bytes));
    let Some(&first) = bytes.first() else { return };
    // One bit anywhere: which one, the input says.
    let mut altered = sealed.to_vec();
    let at = bytes.iter().fold(0usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte)) % altered.len();
    altered[at] ^= 1 << (first % 8);
    assert!(seal.open(&place, &altered).is_err(), "altered at {at}");
    let elsewhere = SealPosition { seq: Seq(8), ..place };
    assert!(seal.open(&elsewhere, &sealed).is_err(), "moved");
}

/// Settings that are taken are the same when they are stored and read again, and show no secret.
fn settings(bytes: &[u8]) {
    let Ok(given) = serde_json::from_slice::<Value>(bytes) else { return };
    let allow = outbound::Allow::default();
    let before = webhook::WebhookSettings::default();
    match webhook::WebhookSettings::parse(&given, &before, |url| outbound::check(url, &allow)) {
        Ok(taken) => {
            assert_eq!(webhook::WebhookSettings::restore(&taken.store()).as_ref(), Some(&taken));
            let shown = serde_json::to_value(taken.show()).expect("plain data");
            let again = webhook::WebhookSettings::parse(&shown, &taken, |url| outbound::check(url, &allow));
            assert_eq!(again.as_ref(), Ok(&taken), "what is shown can be sent back");
        }
        Err(flaws) => assert!(!flaws.is_empty()),
    }
}

/// A URL that is taken leads to no address that is not public, as far as it names one.
fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(url) = outbound::check(text, &outbound::Allow::default()) else { return };
    assert!(matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if let Ok(address) = host.parse::<IpAddr>() {
        assert!(outbound::is_public(address), "{url}");
    }
    // Written and read again it is the same.
    assert_eq!(outbound::check(url.as_str(), &outbound::Allow::default()).as_ref(), Ok(&url));
}

/// What people type: ids of tenants and messages, phone numbers, texts of QR codes.
fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(tenant) = text.parse::<TenantId>() {
        assert!(tenant.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
    }
    if let Ok(id) = text.parse::<waha::MessageId>() {
        // `@s.whatsapp.net` is taken as well, devices are not shown: written once more, it stays.
        let shown = id.to_string();
        let again = shown.parse::<waha::MessageId>().map(|id| id.to_string());
        assert_eq!(again.as_deref(), Ok(shown.as_str()));
    }
    if let Ok(name) = text.parse::<FileName>() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@.:-".contains(&byte);
        assert!(name.as_str().len() <= 200 && name.as_str().bytes().all(plain) && name.as_str().contains('@'));
        assert_eq!(FileName::new(name.id(), name.chat(), name.sender()).as_ref(), Some(&name));
    }
    for country in [phonenumber::country::CO, phonenumber::country::US] {
        for number in phone::readings(text, country) {
            assert!((4..=17).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit()), "{number}");
        }
    }
    // A pairing string has some 240 characters; larger pictures only take time.
    if text.len() < 300 {
        let _ = api::qr_picture(text);
    }
}

/// What a phone tells of a chat is of that chat, not more than was asked for, and in the order of its times.
fn history(bytes: &[u8]) {
    for (chat, named) in [
        ("573009998877@s.whatsapp.net", "573009998877@s.whatsapp.net"),
        ("120000000000001@lid", "573009998877@s.whatsapp.net"),
        ("120363000000000001@g.us", "120363000000000001@g.us"),
    ] {
        let told = session::read_past(bytes, chat, named, 5);
        assert!(told.len() <= 5);
        for one in &told {
            assert_eq!((one.message.chat.as_str(), one.message.addressed.chat.as_str()), (named, chat));
            assert!(!one.message.id.is_empty() && one.file.len() <= bytes.len() + 64);
            let stored = serde_json::to_vec(&one.message).expect("plain data");
            assert!(serde_json::from_slice::<Message>(&stored).is_ok());
        }
        for (one, other) in told.iter().zip(told.iter().skip(1)) {
            if one.message.timestamp > other.message.timestamp && other.message.timestamp >= 0 {
                assert!(one.event() >= other.event());
            }
        }
    }
}

/// A message is read to its end, and its event is the same when it is stored and read again.
fn normalisation(bytes: &[u8]) {
    let Some(message) = session::read_anything(bytes) else { return };
    let event = EventBody::Received { message: message.clone() };
    let stored = serde_json::to_vec(&event).expect("an event is plain data");
    let again: EventBody = serde_json::from_slice(&stored).expect("what was stored can be read");
    // Read once more, since a number may come back as its neighbour.
    let stored = serde_json::to_vec(&again).expect("plain data");
    assert!(serde_json::from_slice::<EventBody>(&stored).is_ok());
    let view = waha::View {
        me: "573001112233@s.whatsapp.net",
        source: waha::Source::App,
        delivery: None,
        failure: None,
        media_url: None,
    };
    let _ = serde_json::to_vec(&waha::WAMessage::new(&message, view)).expect("plain data");
    let links = Links::new("http://localhost");
    let link = links.of(&tenant(), &message);
    assert!(link.is_none_or(|link| !link.contains("..") && link.bytes().all(|byte| byte.is_ascii_graphic())));
    if let Some(name) = FileName::of(&message) {
        assert_eq!(name.as_str().parse::<FileName>().as_ref(), Ok(&name));
    }
    let _ = message.content.text();
    let _ = serde_json::to_vec(&api::old_form::message(&tenant(), message, &links)).expect("plain data");
}
