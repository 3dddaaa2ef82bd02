//! People: who is on WhatsApp, what they show of themselves, whom the tenant has blocked, and which two names one person has.

use std::{collections::HashSet, time::Duration};

use whatsapp_rust::{Jid, Server};

use super::pace::RequestKind;
use crate::{
    message::synced::{self, AddressBookEntry},
    session::{RequestError, Session, requests},
    store::StoreError,
};

/// Whether WhatsApp knows a number, and by which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// A jid; `None`: only the LID is known.
    pub number: Option<String>,
    pub lid: Option<String>,
}

/// One person's two names, each a jid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LidNumberPair {
    pub lid: String,
    pub number: String,
}

/// A person as the tenant knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// A jid.
    pub id: String,
    /// As the tenant saved it.
    pub saved: Option<AddressBookEntry>,
    /// The name that the person chose, known once a message of theirs came.
    pub push_name: Option<String>,
    pub is_me: bool,
    /// It wrote, or WhatsApp has told its LID. False: nobody has asked, and an address book has numbers that nobody uses there.
    pub is_on_whatsapp: bool,
    /// `None`: WhatsApp could not be asked.
    pub is_blocked: Option<bool>,
}

/// Conversations that are looked through for people.
const CHATS: usize = 10_000;

impl Session {
    /// `None`: nobody has that number.
    pub async fn account(&self, number: &str) -> Result<Option<Account>, RequestError> {
        self.account_among(vec![requests::person("phone", number)?]).await
    }

    /// Which of these forms of one number somebody has, by one question. WhatsApp may answer with another number, which then is the one.
    pub async fn number_among(&self, forms: &[String]) -> Result<Option<String>, RequestError> {
        let jids = forms.iter().map(|form| requests::person("phone", form)).collect::<Result<Vec<_>, _>>()?;
        let found = self.account_among(jids).await?;
        Ok(found.and_then(|found| match forms {
            // Under the name that was asked for.
            [form] => Some(form.clone()),
            forms => found.number.or_else(|| forms.first().cloned()),
        }))
    }

    async fn account_among(&self, jids: Vec<Jid>) -> Result<Option<Account>, RequestError> {
        let found = self
            .ask(RequestKind::Lookup, |client| async move { client.contacts().is_on_whatsapp(&jids).await })
            .await?;
        if let Some(found) = found.iter().find(|found| found.is_registered) {
            let number = if found.jid.is_lid() { found.pn_jid.as_ref() } else { Some(&found.jid) };
            let lid = found.lid.as_ref().or(found.jid.is_lid().then_some(&found.jid));
            return Ok(Some(Account {
                number: number.map(Jid::to_non_ad_string),
                lid: lid.map(Jid::to_non_ad_string),
            }));
        }
        if let Some(error) = found.iter().find_map(|found| found.contact_error.as_ref()) {
            let wait = Duration::from_secs(error.backoff.unwrap_or(60).into());
            return Err(RequestError::of_code(
                error.code.unwrap_or(500),
                error.text.as_deref().unwrap_or_default(),
                wait,
            ));
        }
        Ok(None)
    }

    /// A person's "about" text; `None`: there is none, or not for us.
    pub async fn about(&self, id: &str) -> Result<Option<String>, RequestError> {
        let jid = requests::person("contactId", id)?;
        let found = self
            .ask(RequestKind::Lookup, |client| async move { client.contacts().get_user_info(&[jid]).await })
            .await?;
        Ok(found.into_values().find_map(|info| info.status).filter(|about| !about.is_empty()))
    }

    /// Where a person's or a group's picture can be fetched for a while; `None`: it has none, or none for us.
    pub async fn picture(&self, id: &str) -> Result<Option<String>, RequestError> {
        self.picture_as(RequestKind::Lookup, id).await
    }

    pub(in crate::session) async fn picture_as(
        &self,
        kind: RequestKind,
        id: &str,
    ) -> Result<Option<String>, RequestError> {
        let jid = requests::chat("chatId", id)?;
        let found =
            self.ask(kind, |client| async move { client.contacts().get_profile_picture(&jid, false).await }).await;
        match found {
            Ok(picture) => Ok(picture.map(|picture| picture.url)),
            // Of a stranger's: not ours to see.
            Err(RequestError::NotAllowed | RequestError::Unknown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub async fn block(&self, id: &str, blocked: bool) -> Result<(), RequestError> {
        let jid = requests::person("contactId", id)?;
        // WhatsApp goes by both names here.
        if self.names(&jid.to_string()).await?.is_none() {
            return Err(RequestError::Unknown("account at WhatsApp"));
        }
        self.ask(RequestKind::Change, |client| async move {
            if blocked { client.blocking().block(&jid).await } else { client.blocking().unblock(&jid).await }
        })
        .await
    }

    /// Saves a person under a name, in the phone's address book too.
    pub async fn save_person(&self, id: &str, first: &str, last: &str) -> Result<(), RequestError> {
        let jid = requests::person("chatId", id)?;
        let number = self.number_of(jid).await?;
        let full = format!("{} {}", first.trim(), last.trim()).trim().to_owned();
        if !requests::is_name(&full, 256) {
            return Err(RequestError::Input {
                field: "firstName",
                expected: "from 1 to 256 characters with the last name",
            });
        }
        let first = Some(first.trim().to_owned()).filter(|first| !first.is_empty());
        self.set(|client| async move { client.chat_actions().save_contact(&number, Some(full), first, true).await })
            .await
    }

    /// One person.
    pub async fn person(&self, id: &str) -> Result<Person, RequestError> {
        let jid = requests::person("contactId", id)?;
        let id = self.number_of(jid.clone()).await.unwrap_or(jid).to_string();
        let mut saved = None;
        let names = self.0.store.names(&id).await?;
        for name in &names {
            saved = saved.or(synced::person(&self.0.store, name).await?);
        }
        let turn = self.look_turn().await.ok_or(RequestError::ReadersBusy)?;
        let chats = self.unnamed_among(&HashSet::from([id.clone()]), 0, 1).await?;
        drop(turn);
        let mut person = Person { saved, ..self.stranger(id) };
        person.push_name = chats.into_iter().next().and_then(|chat| chat.name).or(person.push_name);
        person.is_on_whatsapp |= names.len() > 1 || person.push_name.is_some();
        Ok(self.with_blocks(vec![person]).await.swap_remove(0))
    }

    /// Everybody whom the tenant saved or talks with, by id.
    pub async fn people(&self) -> Result<Vec<Person>, RequestError> {
        let turn = self.look_turn().await.ok_or(RequestError::ReadersBusy)?;
        let mut known = self.people_by_id().await?;
        drop(turn);
        let mappings = self.0.store.mappings().await?;
        let named: HashSet<String> =
            mappings.iter().map(|entry| Jid::pn(entry.phone_number.as_str()).to_string()).collect();
        for person in &mut known {
            person.is_on_whatsapp |= named.contains(&person.id) || person.push_name.is_some();
        }
        Ok(self.with_blocks(known).await)
    }

    /// Those whom the tenant saved or talks with, without WhatsApp's word on them.
    pub(in crate::session) async fn people_by_id(&self) -> Result<Vec<Person>, StoreError> {
        let mut known = std::collections::BTreeMap::new();
        for (id, saved) in synced::people(&self.0.store).await? {
            // The phone may have told the LID alone.
            let id = self.0.store.names(&id).await?.swap_remove(0);
            known.insert(id.clone(), Person { saved: Some(saved), ..self.stranger(id) });
        }
        for chat in self.unnamed_chats(0, CHATS).await? {
            if requests::person("id", &chat.id).is_ok() {
                let person = known.entry(chat.id.clone()).or_insert_with(|| self.stranger(chat.id.clone()));
                person.push_name = chat.name;
            }
        }
        Ok(known.into_values().collect())
    }

    fn stranger(&self, id: String) -> Person {
        let is_me = self.me().is_some_and(|me| me == id);
        let push_name = self.status().push_name.filter(|_| is_me);
        let is_on_whatsapp = is_me || id.ends_with("@lid");
        Person { id, saved: None, push_name, is_me, is_on_whatsapp, is_blocked: None }
    }

    /// A list of people is worth something without WhatsApp's word on who is blocked.
    async fn with_blocks(&self, mut people: Vec<Person>) -> Vec<Person> {
        let Ok(blocked) =
            self.ask(RequestKind::Query, |client| async move { client.blocking().get_blocklist().await }).await
        else {
            return people;
        };
        let mut names: HashSet<String> = HashSet::new();
        for entry in blocked {
            if let Ok(number) = self.number_of(entry.jid.clone()).await {
                names.insert(number.to_non_ad_string());
            }
            names.insert(entry.jid.to_non_ad_string());
        }
        people.iter_mut().for_each(|person| person.is_blocked = Some(names.contains(&person.id)));
        people
    }

    /// The names that are known here, by LID.
    pub async fn all_names(&self) -> Result<Vec<LidNumberPair>, RequestError> {
        let known = self.0.store.mappings().await.map_err(RequestError::Store)?;
        let mut names: Vec<_> = known.into_iter().map(|entry| named(&entry.lid, &entry.phone_number)).collect();
        names.sort_by(|a, b| a.lid.cmp(&b.lid));
        Ok(names)
    }

    /// Both names of a person by one of them. Of a number that is not known here WhatsApp is asked; of a LID it tells nothing.
    pub async fn names(&self, id: &str) -> Result<Option<LidNumberPair>, RequestError> {
        let jid = requests::person("id", id)?;
        let store = &self.0.store;
        let known = match jid.server {
            Server::Lid => store.mapping_of_lid(&jid.user).await,
            _ => store.mapping_of_number(&jid.user).await,
        };
        let known = known.map_err(RequestError::Store)?;
        if let Some(entry) = known {
            return Ok(Some(named(&entry.lid, &entry.phone_number)));
        }
        if jid.is_lid() {
            return Ok(None);
        }
        let account = self.account(&jid.to_string()).await?;
        Ok(account.and_then(|account| Some(LidNumberPair { lid: account.lid?, number: account.number? })))
    }

    /// The name with the phone number, where it is known.
    async fn number_of(&self, jid: Jid) -> Result<Jid, RequestError> {
        if !jid.is_lid() {
            return Ok(jid);
        }
        let names = self.names(&jid.to_string()).await?.ok_or(RequestError::Unknown("phone number of this LID"))?;
        requests::person("id", &names.number)
    }
}

fn named(lid: &str, number: &str) -> LidNumberPair {
    LidNumberPair { lid: Jid::lid(lid).to_string(), number: Jid::pn(number).to_string() }
}
