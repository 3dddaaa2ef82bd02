//! Shows read receipts and typing before a message that is sent at human speed. Owns which signs a message has had, and
//! which chats show typing; [`crate::humanize`] decides what comes next and when.
//!
//! A sign is worth nothing a moment later: one that fails is not repeated, and keeps no message back. WhatsApp shows typing only of an
//! account that is there, and while a linked device is there the owner's phone does not notify. So the tenant is shown as there while
//! somebody types in a chat, and not for longer, unless it is to be shown so.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::debug;
use whatsapp_rust::{Client, Jid};

use crate::{
    crash,
    humanize::{Act, ShownManners},
    message::WaitingMessage,
    session::{Inner, Session, requests::pace::RequestKind},
    sync::lock,
};

/// How long WhatsApp may take for a sign.
const SIGN_TIMEOUT: Duration = Duration::from_secs(3);

/// A message that goes next in its chat, and what was shown for it.
struct ShownSigns {
    id: Arc<str>,
    since: Instant,
    done: ShownManners,
}

/// By chat.
pub struct Manners {
    shown: HashMap<Arc<str>, ShownSigns>,
    typing: Typing,
}

/// The chats in which somebody is shown as typing.
#[derive(Clone, Default)]
pub struct Typing(Arc<Mutex<HashSet<Arc<str>>>>);

impl Typing {
    fn chats(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        lock(&self.0)
    }
}

impl Manners {
    pub fn new(typing: Typing) -> Self {
        Self { shown: HashMap::new(), typing }
    }

    /// Decides the next act for the first message of a chat. Gives each act once.
    pub fn act(&mut self, waiting: &WaitingMessage, now_ms: i64) -> Act {
        if waiting.timing.due_at_ms == 0 {
            return Act::Send;
        }
        let fresh = || ShownSigns { id: waiting.id.clone(), since: Instant::now(), done: ShownManners::default() };
        let shown = self.shown.entry(waiting.chat.clone()).or_insert_with(fresh);
        if shown.id != waiting.id {
            *shown = fresh();
        }
        let act = waiting.timing.act(now_ms, shown.since.elapsed(), shown.done);
        match act {
            Act::Read => shown.done.read = true,
            Act::Type => shown.done.typing = true,
            Act::Send => drop(self.shown.remove(&waiting.chat)),
            Act::Wait(_) => {}
        }
        act
    }

    /// Nothing waits in the chat.
    pub fn forget(&mut self, chat: &str) {
        self.shown.remove(chat);
    }

    /// Two chats are one.
    pub fn join(&mut self, from: &str, into: &Arc<str>) {
        self.shown.remove(from);
        let mut chats = self.typing.chats();
        if chats.remove(from) {
            chats.insert(into.clone());
        }
    }

    /// The line is another one: nobody is shown as typing there.
    pub fn begin_connection(&mut self) {
        self.shown.values_mut().for_each(|shown| shown.done.typing = false);
        self.typing.chats().clear();
    }

    pub fn is_typing(&self, chat: &str) -> bool {
        self.typing.chats().contains(chat)
    }

    pub fn typing(&self) -> Typing {
        self.typing.clone()
    }
}

impl Typing {
    /// Shows what is next in a chat.
    pub async fn show(&self, session: &Arc<Inner>, client: &Client, chat: &Arc<str>, act: Act) {
        let shown = match act {
            Act::Read => timeout(SIGN_TIMEOUT, read(session, chat)).await,
            Act::Type => timeout(SIGN_TIMEOUT, self.begin(session, client, chat)).await,
            Act::Wait(_) | Act::Send => return,
        };
        match shown {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, ?act, "not shown"),
            Err(_) => debug!(?act, "not shown in time"),
        }
    }

    async fn begin(&self, session: &Inner, client: &Client, chat: &Arc<str>) -> anyhow::Result<()> {
        let jid = name_of(session, chat).await?;
        session.pace.take(RequestKind::Presence).map_err(|_| anyhow::anyhow!("too many signs"))?;
        let is_first = {
            let mut chats = self.chats();
            chats.insert(chat.clone());
            chats.len() == 1
        };
        if is_first && !session.presences.is_online() {
            client.presence().set_available().await?;
        }
        client.chatstate().send_composing(&jid).await?;
        Ok(())
    }

    /// Nobody types in the chat any more.
    pub async fn end(&self, session: &Inner, client: &Client, chat: &str) {
        let is_last = {
            let mut chats = self.chats();
            if !chats.remove(chat) {
                return;
            }
            chats.is_empty()
        };
        let pausing = async {
            let jid = name_of(session, chat).await?;
            crash::pause("typing_ends").await;
            client.chatstate().send_paused(&jid).await?;
            anyhow::Ok(())
        };
        match timeout(SIGN_TIMEOUT, pausing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(error = format!("{error:#}"), "typing is shown although it has ended"),
            Err(_) => debug!("typing is shown although it has ended"),
        }
        // In a time of its own: a message that is held at the wire holds the signs behind it, and this one must not be left unsaid.
        if !is_last || self.is_anywhere() || session.presences.is_online() {
            return;
        }
        match timeout(SIGN_TIMEOUT, client.presence().set_unavailable()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "the tenant is shown as there although nobody types"),
            Err(_) => debug!("the tenant is shown as there until the line is free"),
        }
    }

    /// Somebody is shown as typing.
    pub fn is_anywhere(&self) -> bool {
        !self.chats().is_empty()
    }
}

async fn read(session: &Arc<Inner>, chat: &str) -> anyhow::Result<()> {
    Session(session.clone()).mark_read(chat, &[]).await?;
    Ok(())
}

/// The name that a chat has now.
async fn name_of(session: &Inner, chat: &str) -> anyhow::Result<Jid> {
    let names = session.names_of(&chat.parse()?).await?;
    names.into_iter().next().ok_or_else(|| anyhow::anyhow!("the chat has no name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{humanize::Timing, journal::ChangeNo, pacing::Parcel};

    fn waiting(id: &str, due_at_ms: i64) -> WaitingMessage {
        let timing = Timing { read_at_ms: 1_000, typing_ms: 3_000, due_at_ms };
        let (id, chat, parcel) = (id.into(), "chat".into(), Parcel::default());
        WaitingMessage {
            id,
            chat,
            expires_at_ms: i64::MAX,
            change: ChangeNo::ZERO,
            from_bot: true,
            timing,
            parcel,
            bytes: 0,
        }
    }

    #[test]
    fn each_message_has_its_own_signs_once() {
        let mut manners = Manners::new(Typing::default());
        let first = waiting("a", 9_000);
        assert_eq!(manners.act(&first, 2_000), Act::Read);
        assert_eq!(manners.act(&first, 2_000), Act::Wait(Duration::from_secs(4)));
        assert_eq!(manners.act(&first, 6_000), Act::Type);
        assert_eq!(manners.act(&first, 6_500), Act::Wait(Duration::from_millis(2_500)));
        // Another is in its place: it was taken back.
        let second = waiting("b", 12_000);
        assert_eq!(manners.act(&second, 6_500), Act::Read);
        // A line that is new shows nobody as typing.
        assert_eq!(manners.act(&second, 9_000), Act::Type);
        manners.begin_connection();
        assert_eq!(manners.act(&second, 9_100), Act::Type);
        assert_eq!(manners.act(&second, 12_000), Act::Send);
        assert_eq!(manners.act(&waiting("c", 0), 0), Act::Send);
    }
}
