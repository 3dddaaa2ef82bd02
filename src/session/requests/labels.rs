//! Labels of conversations, which WhatsApp Business has. Read from what WhatsApp has told; changed at WhatsApp, which tells it back.

use std::{collections::HashSet, sync::Mutex};

use crate::{
    message::synced::{self, Label},
    session::{RequestError, Session},
    sync::lock,
};

/// WhatsApp Business has so many.
const MAX_LABELS: usize = 20;
const MAX_NAME: usize = 100;
pub const COLORS: std::ops::RangeInclusive<i32> = 0..=19;

/// The last number that was given to a label: two that are made at once have two numbers, although WhatsApp tells of each afterwards.
#[derive(Debug, Default)]
pub(in crate::session) struct LabelNumbers(Mutex<u32>);

impl LabelNumbers {
    fn next(&self, labels: &[Label]) -> u32 {
        let known = labels.iter().filter_map(|label| label.id.parse().ok()).max().unwrap_or(0);
        let mut last = lock(&self.0);
        *last = known.max(*last).saturating_add(1);
        *last
    }
}

/// Names that labels are being given: of two requests at once for one name the second is refused, as it is a moment later.
#[derive(Debug, Default)]
pub(in crate::session) struct LabelNames(Mutex<HashSet<String>>);

impl LabelNames {
    /// `None`: another label, or one that is being made, has the name.
    fn take(&self, name: &str, others: &[Label]) -> Option<TakenName<'_>> {
        let mut names = lock(&self.0);
        let is_free = others.iter().all(|label| label.name != name) && names.insert(name.to_owned());
        is_free.then(|| TakenName { names: self, name: name.to_owned() })
    }
}

struct TakenName<'a> {
    names: &'a LabelNames,
    name: String,
}

impl Drop for TakenName<'_> {
    fn drop(&mut self) {
        lock(&self.names.0).remove(&self.name);
    }
}

impl Session {
    pub async fn labels(&self) -> Result<Vec<Label>, RequestError> {
        let mut labels = synced::labels(&self.0.store).await?;
        labels.sort_by_key(|label| (label.id.parse::<u32>().unwrap_or(u32::MAX), label.id.clone()));
        Ok(labels)
    }

    /// Makes a label; WhatsApp numbers them.
    pub async fn create_label(&self, name: &str, color: Option<i32>) -> Result<Label, RequestError> {
        let labels = self.labels().await?;
        let _taken = self.0.label_names.take(name, &labels).ok_or(RequestError::NameTaken("label"))?;
        if labels.len() >= MAX_LABELS {
            return Err(RequestError::Full { most: MAX_LABELS, of: "labels" });
        }
        let free = || COLORS.clone().find(|color| labels.iter().all(|label| label.color != *color));
        let color = color.or_else(free).unwrap_or_default();
        let id = self.0.label_numbers.next(&labels).to_string();
        self.put_label(Label { id, name: name.to_owned(), color }).await
    }

    pub async fn change_label(&self, id: &str, name: &str, color: Option<i32>) -> Result<Label, RequestError> {
        let (known, mut others) = (self.label(id).await?, self.labels().await?);
        others.retain(|label| label.id != id);
        let _taken = self.0.label_names.take(name, &others).ok_or(RequestError::NameTaken("label"))?;
        self.put_label(Label { name: name.to_owned(), color: color.unwrap_or(known.color), ..known }).await
    }

    async fn put_label(&self, label: Label) -> Result<Label, RequestError> {
        if !super::is_name(&label.name, MAX_NAME) {
            return Err(RequestError::Input { field: "name", expected: "from 1 to 100 characters" });
        }
        if !COLORS.contains(&label.color) {
            return Err(RequestError::Input { field: "color", expected: "from 0 to 19" });
        }
        let new = label.clone();
        self.set(|client| async move { client.labels().create_label(&new.id, &new.name, new.color).await }).await?;
        Ok(label)
    }

    pub async fn delete_label(&self, id: &str) -> Result<(), RequestError> {
        let label = self.label(id).await?;
        self.set(|client| async move { client.labels().delete_label(&label.id).await }).await
    }

    /// The labels that a chat has.
    pub async fn labels_of(&self, chat: &str) -> Result<Vec<Label>, RequestError> {
        let names: Vec<_> = self.conversation(chat).await?.into_iter().map(|name| name.to_string()).collect();
        let mut found = Vec::new();
        for label in self.labels().await? {
            let chats = synced::chats_of(&self.0.store, &label.id).await?;
            if chats.iter().any(|chat| names.contains(chat)) {
                found.push(label);
            }
        }
        Ok(found)
    }

    /// Gives a chat these labels and no others.
    pub async fn label_chat(&self, chat: &str, wanted: &[String]) -> Result<(), RequestError> {
        let jid = self.conversation(chat).await?.swap_remove(0);
        for id in wanted {
            self.label(id).await?;
        }
        let has: Vec<_> = self.labels_of(chat).await?.into_iter().map(|label| label.id).collect();
        for id in has.iter().filter(|id| !wanted.contains(id)) {
            let (id, jid) = (id.clone(), jid.clone());
            self.set(|client| async move { client.labels().remove_chat_label(&id, &jid).await }).await?;
        }
        for id in wanted.iter().filter(|id| !has.contains(id)) {
            let (id, jid) = (id.clone(), jid.clone());
            self.set(|client| async move { client.labels().add_chat_label(&id, &jid).await }).await?;
        }
        Ok(())
    }

    /// The chats that have a label: jids.
    pub async fn chats_of_label(&self, id: &str) -> Result<Vec<String>, RequestError> {
        let label = self.label(id).await?;
        let mut chats = Vec::new();
        for chat in synced::chats_of(&self.0.store, &label.id).await? {
            let chat = self.0.store.names(&chat).await?.swap_remove(0);
            if !chats.contains(&chat) {
                chats.push(chat);
            }
        }
        Ok(chats)
    }

    async fn label(&self, id: &str) -> Result<Label, RequestError> {
        self.labels().await?.into_iter().find(|label| label.id == id).ok_or(RequestError::Unknown("label"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the second would rename the first.
    #[test]
    fn two_labels_that_are_made_at_once_have_two_numbers() {
        let numbers = LabelNumbers::default();
        let label = |id: &str| Label { id: id.into(), name: "VIP".into(), color: 0 };
        let labels = [label("4"), label("not a number")];
        assert_eq!([numbers.next(&labels), numbers.next(&labels)], [5, 6]);
        assert_eq!(numbers.next(&[label("9")]), 10, "the phone has made others");
    }

    #[test]
    fn a_name_is_given_once_at_a_time() {
        let names = LabelNames::default();
        let label = Label { id: "4".into(), name: "VIP".into(), color: 0 };
        assert!(names.take("VIP", &[label]).is_none());
        let taken = names.take("VIP", &[]).unwrap();
        assert!(names.take("VIP", &[]).is_none() && names.take("Vegan", &[]).is_some());
        drop(taken);
        assert!(names.take("VIP", &[]).is_some());
    }
}
