//! Hands WhatsApp's acks to the senders that wait for them, and keeps the time of the last one: a connection with acks
//! is a good one, even if one message fails.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use tokio::{sync::oneshot, time::Instant};

use crate::sync::lock;

/// WhatsApp's answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendAnswer {
    /// It has the message, or has refused it for good.
    Settled,
    /// Not now, with its code.
    NotNow(u16),
}

#[derive(Default)]
pub struct Answers(Mutex<ExpectedAnswers>);

#[derive(Default)]
struct ExpectedAnswers {
    /// By message id.
    expected: HashMap<String, oneshot::Sender<SendAnswer>>,
    last: Option<Instant>,
    /// When a line last ended under a message.
    lost: Option<Instant>,
}

impl Answers {
    /// To be asked for before the message goes. One at a time for each message.
    pub fn expect(&self, id: &str) -> AwaitedAnswer<'_> {
        let (sender, answer) = oneshot::channel();
        self.book().expected.insert(id.to_owned(), sender);
        AwaitedAnswer { answers: self, id: id.to_owned(), answer }
    }

    /// Hands an answer to whoever expects it.
    pub fn give(&self, id: &str, answer: SendAnswer) {
        let expected = self.book().expected.remove(id);
        if let Some(expected) = expected {
            let _ = expected.send(answer);
        }
    }

    /// WhatsApp has answered a message, whichever.
    pub fn note(&self) {
        self.book().last = Some(Instant::now());
    }

    pub fn any_since(&self, then: Instant) -> bool {
        self.book().last.is_some_and(|last| last > then)
    }

    /// The line has ended under a message, or under a question that goes with one.
    pub fn note_loss(&self) {
        self.book().lost = Some(Instant::now());
    }

    /// Whether a line that was made at `then` has ended, or would end now, under a message.
    pub fn any_lost_since(&self, then: Instant) -> bool {
        let book = self.book();
        !book.expected.is_empty() || book.lost.is_some_and(|lost| lost > then)
    }

    fn book(&self) -> MutexGuard<'_, ExpectedAnswers> {
        lock(&self.0)
    }
}

/// An answer that is waited for until this is dropped.
pub struct AwaitedAnswer<'a> {
    answers: &'a Answers,
    id: String,
    answer: oneshot::Receiver<SendAnswer>,
}

impl AwaitedAnswer<'_> {
    pub async fn answer(&mut self) -> SendAnswer {
        // The sender goes only with an answer: nobody else takes it out while this lives.
        (&mut self.answer).await.unwrap_or(SendAnswer::Settled)
    }
}

impl Drop for AwaitedAnswer<'_> {
    fn drop(&mut self) {
        self.answers.book().expected.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_ends_under_a_message_is_told_from_one_that_ends_by_itself() {
        let (answers, began) = (Answers::default(), Instant::now());
        assert!(!answers.any_lost_since(began));
        let awaited = answers.expect("1");
        assert!(answers.any_lost_since(began), "it is on its way");
        drop(awaited);
        assert!(!answers.any_lost_since(began));
        answers.note_loss();
        let lost = answers.book().lost.unwrap();
        assert!(answers.any_lost_since(lost - std::time::Duration::from_millis(1)));
        assert!(!answers.any_lost_since(lost), "that was the line before");
    }
}
