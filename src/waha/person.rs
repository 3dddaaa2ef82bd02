//! WAHA's forms of people: contacts, presences, who a person is under its other name.

use serde_json::{Value, json};

use super::id::chat_id;
use crate::session::{Account, Mood, Names, Person, Profile, Shown};

/// A contact, with the names that WAHA's engines give its fields.
pub fn contact(person: &Person) -> Value {
    let id = chat_id(&person.id);
    let saved = person.saved.as_ref().filter(|entry| !entry.name.is_empty());
    json!({
        "number": id.split('@').next(),
        "id": id,
        "name": saved.map(|entry| &entry.name),
        "shortName": saved.map(|entry| &entry.short).filter(|short| !short.is_empty()),
        "pushname": person.push_name,
        "isMe": person.is_me,
        "isGroup": false,
        "isUser": true,
        "isWAContact": true,
        "isMyContact": saved.is_some(),
        "isBlocked": person.is_blocked,
    })
}

/// `WANumberExistResult`.
pub fn existence(account: Option<&Account>) -> Value {
    match account {
        Some(account) => {
            let number = chat_id(&account.number);
            json!({ "numberExists": true, "chatId": number, "pn": number })
        }
        None => json!({ "numberExists": false, "chatId": null, "pn": null }),
    }
}

/// `LidToPhoneNumber`.
pub fn names(names: &Names) -> Value {
    json!({ "lid": names.lid, "pn": chat_id(&names.number) })
}

/// `MyProfile`; without a picture its text is empty.
pub fn profile(profile: &Profile) -> Value {
    json!({
        "id": chat_id(&profile.id),
        "name": profile.name,
        "picture": profile.picture.as_deref().unwrap_or_default(),
    })
}

/// `WAHAChatPresences`.
pub fn presences(chat: &str, shown: &[Shown]) -> Value {
    let one = |shown: &Shown| {
        json!({
            "participant": chat_id(&shown.who),
            "lastSeen": shown.last_seen,
            "lastKnownPresence": mood(shown.mood),
        })
    };
    json!({ "id": chat_id(chat), "presences": shown.iter().map(one).collect::<Vec<_>>() })
}

fn mood(mood: Mood) -> &'static str {
    match mood {
        Mood::Online => "online",
        Mood::Offline => "offline",
        Mood::Typing => "typing",
        Mood::Recording => "recording",
        Mood::Paused => "paused",
    }
}

/// What WAHA calls one.
pub fn parse_mood(text: &str) -> Option<Mood> {
    [Mood::Online, Mood::Offline, Mood::Typing, Mood::Recording, Mood::Paused]
        .into_iter()
        .find(|known| mood(*known) == text)
}
