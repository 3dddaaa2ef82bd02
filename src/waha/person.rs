//! WAHA's forms of people: contacts, presences, who a person is under its other name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::chat_id;
use crate::{
    message::Address,
    session::{self, MemberPresence, Person, PresenceState},
};

/// A contact, with the names that WAHA's engines give its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WAContact {
    pub id: String,
    /// Digits; null: only the LID is known.
    pub number: Option<String>,
    /// As the tenant saved it.
    pub name: Option<String>,
    pub short_name: Option<String>,
    /// What the person calls itself.
    pub pushname: Option<String>,
    pub is_me: bool,
    pub is_group: bool,
    pub is_user: bool,
    /// Null: nobody has asked WhatsApp; `contacts/check-exists` does.
    #[serde(rename = "isWAContact")]
    pub is_wa_contact: Option<bool>,
    pub is_my_contact: bool,
    /// Null: WhatsApp could not be asked.
    pub is_blocked: Option<bool>,
}

impl From<&Person> for WAContact {
    fn from(person: &Person) -> Self {
        let id = chat_id(&person.id);
        let saved = person.saved.as_ref().filter(|entry| !entry.name.is_empty());
        let short = saved.map(|entry| &entry.short).filter(|short| !short.is_empty());
        Self {
            number: Address::of(&id).number().map(str::to_owned),
            id,
            name: saved.map(|entry| entry.name.clone()),
            short_name: short.cloned(),
            pushname: person.push_name.clone(),
            is_me: person.is_me,
            is_group: false,
            is_user: true,
            is_wa_contact: person.is_on_whatsapp.then_some(true),
            is_my_contact: saved.is_some(),
            is_blocked: person.is_blocked,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WANumberExistResult")]
pub struct Existence {
    pub number_exists: bool,
    pub chat_id: Option<String>,
    pub pn: Option<String>,
}

impl From<Option<session::Account>> for Existence {
    fn from(account: Option<session::Account>) -> Self {
        let Some(account) = account else { return Self { number_exists: false, chat_id: None, pn: None } };
        let pn = account.number.as_deref().map(chat_id);
        Self { number_exists: true, chat_id: pn.clone().or(account.lid), pn }
    }
}

/// One person's two names, as far as both are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LidToPhoneNumber {
    pub lid: Option<String>,
    pub pn: Option<String>,
}

impl From<&session::LidNumberPair> for LidToPhoneNumber {
    fn from(names: &session::LidNumberPair) -> Self {
        Self { lid: Some(names.lid.clone()), pn: Some(chat_id(&names.number)) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MyProfile {
    pub id: String,
    pub name: String,
    /// Empty: there is none.
    pub picture: String,
}

impl From<session::Profile> for MyProfile {
    fn from(profile: session::Profile) -> Self {
        Self { id: chat_id(&profile.id), name: profile.name, picture: profile.picture.unwrap_or_default() }
    }
}

/// What a chat shows of those who are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WAHAChatPresences {
    pub id: String,
    pub presences: Vec<PresenceData>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAHAPresenceData")]
pub struct PresenceData {
    pub participant: String,
    /// Seconds since 1970.
    pub last_seen: Option<i64>,
    pub last_known_presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "WAPresence")]
pub enum Presence {
    Offline,
    Online,
    Typing,
    Recording,
    Paused,
}

impl From<Presence> for PresenceState {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::Offline => Self::Offline,
            Presence::Online => Self::Online,
            Presence::Typing => Self::Typing,
            Presence::Recording => Self::Recording,
            Presence::Paused => Self::Paused,
        }
    }
}

impl From<PresenceState> for Presence {
    fn from(mood: PresenceState) -> Self {
        match mood {
            PresenceState::Offline => Self::Offline,
            PresenceState::Online => Self::Online,
            PresenceState::Typing => Self::Typing,
            PresenceState::Recording => Self::Recording,
            PresenceState::Paused => Self::Paused,
        }
    }
}

impl WAHAChatPresences {
    pub fn new(chat: &str, shown: &[MemberPresence]) -> Self {
        let one = |shown: &MemberPresence| PresenceData {
            participant: chat_id(&shown.who),
            last_seen: shown.last_seen,
            last_known_presence: shown.mood.into(),
        };
        Self { id: chat_id(chat), presences: shown.iter().map(one).collect() }
    }
}
