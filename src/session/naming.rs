//! Conversations by name: from what people and programs write for one to a jid, and to the name that it has here. A person has two
//! names, a phone number and a LID; the number is the first, where it is known. A LID is never read as a number.

use std::{collections::HashMap, iter, sync::Mutex, time::Duration};

use phonenumber::country;
use tokio::{sync::OnceCell, task::spawn_blocking, time::Instant};
use whatsapp_rust::{Jid, Server, wacore_binary::JidExt as _};

use super::{
    AcceptError, Inner, RequestError, Session,
    requests::{self, pace::RequestKind},
};
use crate::{
    message::{Flaw, phone},
    store::StoreError,
    sync::lock,
};

/// The conversations that may be meant by what people and programs write for one, as jids: a phone number as it is typed, or a jid.
/// None: it cannot be one. Several: [`Session::which`] finds out.
pub async fn chats_of(text: &str, country: country::Id) -> Vec<String> {
    load_phone_rules().await;
    readings_of(text, country).iter().map(Jid::to_string).collect()
}

/// The first of them.
pub async fn chat_of(text: &str, country: country::Id) -> Option<String> {
    load_phone_rules().await;
    readings_of(text, country).first().map(Jid::to_string)
}

/// Returns when the rules of all countries are there. They are built once a process, by a thread that has nothing else to do: whoever
/// reads the first number would hold up a thread that all tenants need, and other processes would believe that this one is dead.
pub async fn load_phone_rules() {
    static LOADED: OnceCell<()> = OnceCell::const_new();
    let load = || async {
        // Should that thread not come to it, the first number is read all the same.
        let _ = spawn_blocking(phone::load).await;
    };
    LOADED.get_or_init(load).await;
}

/// After [`load_phone_rules`].
fn readings_of(text: &str, country: country::Id) -> Vec<Jid> {
    let text = phone::cleaned(text);
    match text.split_once('@') {
        None => {
            let forms = |number: String| {
                let other = phone::other_form(&number);
                iter::once(number).chain(other)
            };
            phone::readings(&text, country).into_iter().flat_map(forms).map(Jid::pn).collect()
        }
        Some((user, server)) => addressed(&text, user.trim(), server.trim()).into_iter().collect(),
    }
}

/// The part before the server is checked as strictly as a number that stands alone.
fn addressed(text: &str, user: &str, server: &str) -> Option<Jid> {
    if matches!(server, "c.us" | "s.whatsapp.net") {
        // Without its agent and its device.
        let user = user.split(['.', ':']).next().unwrap_or_default();
        return if user == WHATSAPP { Some(Jid::pn(user)) } else { phone::international(user).map(Jid::pn) };
    }
    let jid = text.parse::<Jid>().ok()?.to_non_ad();
    let is_number = |text: &str| (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = match jid.server {
        // Groups of old are named by their maker's number and the time.
        Server::Group | Server::Interop => jid.user.split('-').count() <= 2 && jid.user.split('-').all(is_number),
        Server::Broadcast => jid.is_status_broadcast() || is_number(&jid.user),
        Server::Pn | Server::Legacy | Server::Call => false,
        _ => is_number(&jid.user),
    };
    fits.then_some(jid)
}

/// Whether messages to this jid reach somebody. For other servers (bots, hosted devices, other messengers, lists that
/// the phone keeps) WhatsApp would confirm a message that nobody gets.
fn takes_messages(jid: &Jid) -> bool {
    match jid.server {
        Server::Pn => jid.user != WHATSAPP,
        Server::Lid | Server::Group | Server::Newsletter => true,
        Server::Broadcast => jid.is_status_broadcast(),
        _ => false,
    }
}

/// WhatsApp itself writes from here.
const WHATSAPP: &str = "0";

/// Digits of a LID, a group or a channel; those that are known have eighteen at the most.
const MAX_ID: usize = 20;

/// Whether two jids are two forms of one number.
fn are_forms(one: &str, other: &str) -> bool {
    let number = |jid: &str| jid.strip_suffix("@s.whatsapp.net").map(str::to_owned);
    number(one).and_then(|one| phone::other_form(&one)).is_some_and(|form| number(other) == Some(form))
}

/// Nobody had a number a moment ago: WhatsApp is not asked for it again for so long.
const NOBODYS_TIME: Duration = Duration::from_secs(300);

/// Chooses between numbers that the same digits may mean: the one that somebody has at WhatsApp. With it, for how long that is known.
#[derive(Debug, Default)]
pub(super) struct ChosenReadings(Mutex<HashMap<String, (String, Option<Instant>)>>);

impl ChosenReadings {
    /// People who are written to by ambiguous digits, at the same time.
    const MOST: usize = 1000;

    fn find(&self, readings: &[String]) -> Option<String> {
        let known = lock(&self.0);
        let (meant, until) = known.get(&readings.join(" "))?;
        until.is_none_or(|until| Instant::now() < until).then(|| meant.clone())
    }

    fn note(&self, readings: &[String], meant: &str, until: Option<Instant>) {
        let mut known = lock(&self.0);
        if known.len() >= Self::MOST {
            known.clear();
        }
        known.insert(readings.join(" "), (meant.to_owned(), until));
    }
}

const AMBIGUOUS: &str =
    "expected a plus and the country code: with these digits there are two people, one here and one abroad";

impl Session {
    /// Asks WhatsApp which of several conversations is there; when none is, the first is meant. Two forms of one number are one question,
    /// and none where one of them is known here. While WhatsApp does not answer it, the number is taken as it was written: that is what a
    /// message could always be accepted for.
    pub async fn which(&self, field: &'static str, readings: &[String]) -> Result<String, RequestError> {
        if let Some(known) = self.0.chosen_readings.find(readings) {
            return Ok(known);
        }
        let people: Vec<&[String]> = readings.chunk_by(|one, other| are_forms(one, other)).collect();
        if let [forms] = people.as_slice()
            && let Some(known) = self.known_form(forms).await?
        {
            return Ok(known);
        }
        let (mut there, mut is_unsaid) = (Vec::new(), false);
        // One by one: WhatsApp may answer under another name than it was asked for.
        for forms in &people {
            let found = self.number_among(forms).await.map_err(|refused| match refused {
                RequestError::NotAllowed
                | RequestError::Unknown(_)
                | RequestError::Conflict
                | RequestError::WhatsApp(_) => RequestError::Unreachable,
                other => other,
            });
            match found {
                Err(
                    RequestError::NotConnected
                    | RequestError::Unreachable
                    | RequestError::Unreadable
                    | RequestError::TooMany { .. },
                ) if people.len() == 1 => is_unsaid = true,
                found => there.extend(found?),
            }
        }
        if people.len() == 1 && !there.is_empty() {
            // Numbers that are tried count, not new customers, as where a message is about to leave (`recipient_check`).
            self.0.pace.give_back(RequestKind::Lookup);
        }
        match there.as_slice() {
            [] => {
                let first = readings.first().cloned();
                let first = first.ok_or(RequestError::Input { field, expected: "expected a phone number" })?;
                if !is_unsaid {
                    self.0.chosen_readings.note(readings, &first, Some(Instant::now() + NOBODYS_TIME));
                }
                Ok(first)
            }
            [one] => {
                self.0.chosen_readings.note(readings, one, None);
                Ok(one.clone())
            }
            _ => Err(RequestError::Input { field, expected: AMBIGUOUS }),
        }
    }

    /// The form of a number with which somebody has spoken here.
    async fn known_form(&self, forms: &[String]) -> Result<Option<String>, RequestError> {
        for form in forms {
            if self.0.store.names(form).await?.len() > 1 {
                return Ok(Some(form.clone()));
            }
        }
        Ok(None)
    }

    /// Every name of the conversation that a message is for, the one that it has here first. A repeat of message `id` goes where the
    /// first went.
    pub(super) async fn addressee(&self, to: &str, id: Option<&str>) -> Result<Vec<Jid>, AcceptError> {
        load_phone_rules().await;
        let jid = match readings_of(to, self.country()).as_slice() {
            [] => return Err(AcceptError::Recipient),
            [one] => one.clone(),
            several => self.meant(several, id).await?,
        };
        if !takes_messages(&jid) {
            return Err(AcceptError::Recipient);
        }
        let unreadable = |error: StoreError| self.lookup_error(&error);
        let names = self.0.names_to_write_to(&jid).await.map_err(unreadable)?;
        names.ok_or_else(|| Flaw { field: "to", expected: LID_AS_NUMBER.into() }.into())
    }

    async fn meant(&self, readings: &[Jid], id: Option<&str>) -> Result<Jid, AcceptError> {
        if let Some(id) = id
            && let Some(first) = self.accepted(id).await?
        {
            for reading in readings {
                let names = self.0.names_of(reading).await.map_err(|error| self.lookup_error(&error))?;
                if names.iter().any(|name| name.to_string() == first.chat) {
                    return Ok(reading.clone());
                }
            }
        }
        let readings: Vec<String> = readings.iter().map(Jid::to_string).collect();
        let meant = self.which("to", &readings).await?;
        meant.parse().map_err(|_| AcceptError::Recipient)
    }

    /// As [`Self::addressee`], for requests other than sends.
    pub(super) async fn conversation(&self, chat: &str) -> Result<Vec<Jid>, RequestError> {
        let names = self.0.names_to_write_to(&requests::chat("chatId", chat)?).await?;
        names.ok_or(RequestError::Input { field: "chatId", expected: LID_AS_NUMBER })
    }
}

const LID_AS_NUMBER: &str = "expected a phone number or a jid: these are the digits of a LID, which is …@lid";

impl Inner {
    /// The names that WhatsApp may give a chat: its phone number, where it is known, and its LIDs.
    pub(super) async fn names_of(&self, chat: &Jid) -> Result<Vec<Jid>, StoreError> {
        Ok(parsed(&self.store.names(&chat.to_string()).await?, chat))
    }

    /// As [`Self::names_of`], for a send. `None`: some program has taken a LID for a number, and somebody may have
    /// that number.
    async fn names_to_write_to(&self, chat: &Jid) -> Result<Option<Vec<Jid>>, StoreError> {
        let names = self.store.names_to_write_to(&chat.to_string()).await?;
        Ok(names.map(|names| parsed(&names, chat)))
    }
}

fn parsed(names: &[String], chat: &Jid) -> Vec<Jid> {
    let mut names: Vec<Jid> = names.iter().filter_map(|name| name.parse().ok()).collect();
    if names.is_empty() {
        names.push(chat.to_non_ad());
    }
    names
}
