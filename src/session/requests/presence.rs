//! Presence: what the tenant sees of others (only chats that it follows), and what it shows. Kept in memory only; each
//! new connection subscribes again.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::sleep;
use tracing::debug;
use whatsapp_rust::{
    Client, Jid, NodeFilter, Server,
    types::{
        events::{ChatPresenceUpdate, PresenceUpdate},
        presence::{ChatPresence, ChatPresenceMedia},
    },
};

use super::pace::RequestKind;
use crate::{
    session::{Inner, RequestError, Session},
    sync::lock,
};

/// The library tells of a stanza before it queues it for the wire, and does so at once. What is said after so long stands behind it.
const QUEUED: Duration = Duration::from_millis(100);

/// Chats that a session follows. The one that was asked for longest ago makes room.
const FOLLOWED: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceState {
    Online,
    Offline,
    Typing,
    Recording,
    /// Wrote, and stopped.
    Paused,
}

/// The presence of one member of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPresence {
    /// A jid.
    pub who: String,
    pub mood: PresenceState,
    /// Seconds since 1970; `None`: never seen, or not to be known.
    pub last_seen: Option<i64>,
}

/// The presences of the followed chats, and our own.
#[derive(Debug, Default)]
pub(in crate::session) struct Presences {
    followed: Mutex<Followed>,
    online: Mutex<Online>,
}

/// Whether the tenant is seen.
#[derive(Debug, Default)]
struct Online {
    /// As WhatsApp was last told.
    shown: bool,
    /// As whoever asked last wants it.
    wanted: bool,
    asked: u64,
}

#[derive(Debug, Default)]
struct Followed {
    asked: u64,
    chats: BTreeMap<String, FollowedChat>,
}

#[derive(Debug)]
struct FollowedChat {
    asked: u64,
    /// The person's other jid, by which WhatsApp may call the chat.
    also: Vec<String>,
    shown: Vec<MemberPresence>,
}

impl Presences {
    /// Forgets everything: the followed chats were another account's business.
    pub fn forget(&self) {
        *self.followed() = Followed::default();
        let mut online = self.online();
        *online = Online { asked: online.asked + 1, ..Online::default() };
    }

    fn online(&self) -> MutexGuard<'_, Online> {
        lock(&self.online)
    }

    /// Before it is said: what is said and not meant is taken back.
    fn show_online(&self, online: bool) -> Showing<'_> {
        let mut known = self.online();
        known.asked += 1;
        known.wanted = online;
        Showing { presences: self, online, asked: known.asked, is_shown: false }
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        lock(&self.followed)
    }

    fn follow(&self, chat: &str, also: Vec<String>) {
        let mut followed = self.followed();
        followed.asked += 1;
        let asked = followed.asked;
        // Its number was not known when it was asked for before.
        for name in &also {
            followed.chats.remove(name);
        }
        if let Some(chat) = followed.chats.get_mut(chat) {
            (chat.asked, chat.also) = (asked, also);
            return;
        }
        if followed.chats.len() >= FOLLOWED {
            let oldest = followed.chats.iter().min_by_key(|(_, chat)| chat.asked).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| followed.chats.remove(&oldest));
        }
        followed.chats.insert(chat.to_owned(), FollowedChat { asked, also, shown: Vec::new() });
    }

    /// The chat that shows something else now.
    pub fn heard_presence(&self, update: &PresenceUpdate) -> Option<String> {
        let from = update.from.to_non_ad_string();
        let mood = if update.unavailable { PresenceState::Offline } else { PresenceState::Online };
        let last_seen = update.last_seen.map(|at| at.timestamp());
        self.show(&from, MemberPresence { who: from.clone(), mood, last_seen })
    }

    /// As [`Self::heard_presence`], for typing and recording.
    pub fn heard_typing(&self, update: &ChatPresenceUpdate) -> Option<String> {
        let mood = match (&update.state, &update.media) {
            (ChatPresence::Composing, ChatPresenceMedia::Audio) => PresenceState::Recording,
            (ChatPresence::Composing, _) => PresenceState::Typing,
            (ChatPresence::Paused, _) => PresenceState::Paused,
        };
        let source = &update.source;
        let shown = MemberPresence { who: source.sender.to_non_ad_string(), mood, last_seen: None };
        self.show(&source.chat.to_non_ad_string(), shown)
    }

    /// Notes a presence in a followed chat. Keeps nothing of other chats: they may be thousands.
    fn show(&self, named: &str, mut new: MemberPresence) -> Option<String> {
        const MEMBERS: usize = 1024;
        let mut followed = self.followed();
        let is_it =
            |(name, chat): &(&String, &mut FollowedChat)| *name == named || chat.also.iter().any(|also| also == named);
        let (name, chat) = followed.chats.iter_mut().find(is_it)?;
        if new.who == named {
            new.who.clone_from(name);
        }
        if let Some(shown) = chat.shown.iter_mut().find(|shown| shown.who == new.who) {
            new.last_seen = new.last_seen.or(shown.last_seen);
            if *shown == new {
                return None;
            }
            *shown = new;
        } else if chat.shown.len() < MEMBERS {
            chat.shown.push(new);
        }
        Some(name.clone())
    }

    /// The tenant is to be shown as there.
    pub fn is_online(&self) -> bool {
        self.online().wanted
    }

    /// On a new connection: as it was on the last.
    pub async fn renew(&self, client: &Client) {
        let presence = client.presence();
        let shown = if self.is_online() {
            presence.set_available().await
        } else {
            // The library says "available" at each login; the owner's phone would stop notifying.
            presence.set_unavailable().await
        };
        if let Err(error) = shown {
            debug!(%error, "presence was not set");
        }
        let chats: Vec<String> = self.followed().chats.keys().cloned().collect();
        for jid in chats.iter().filter_map(|chat| chat.parse::<Jid>().ok()) {
            if let Err(error) = presence.subscribe(jid).await {
                debug!(%error, "a presence is not followed");
            }
        }
    }
}

impl Inner {
    /// The tenant is shown as there only where that is meant: by its owner, or while somebody types. The library says it by itself, at
    /// each login and whenever the account's name changes, in a task of its own (whatsapp-rust 0.7.0, `update_push_name_and_notify`), and
    /// the owner's phone stops notifying. Whoever has said it, it is taken back. As long as the connection lasts.
    pub(in crate::session) async fn stay_unseen(self: Arc<Self>, client: Arc<Client>) -> Infallible {
        let next = || client.wait_for_sent_node(NodeFilter::tag("presence").attr("type", "available"));
        let mut said = next();
        loop {
            let is_said = said.await.is_ok();
            // Before anything else: it may be said again meanwhile.
            said = next();
            if !is_said {
                // Within a pairing the library restarts the connection, and forgets who waits.
                continue;
            }
            sleep(QUEUED).await;
            if self.presences.is_online() || self.typing.is_anywhere() {
                continue;
            }
            if let Err(error) = client.presence().set_unavailable().await {
                debug!(%error, "the tenant is shown as there although nobody wants it");
            }
        }
    }
}

/// Takes a chat off again unless WhatsApp was asked about it: whoever asks may leave at any moment.
struct Following<'a> {
    presences: &'a Presences,
    /// `None`: it stays.
    chat: Option<&'a str>,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if let Some(chat) = self.chat {
            self.presences.followed().chats.remove(chat);
        }
    }
}

/// WhatsApp is being told whether the tenant is seen. If that fails, or whoever asked leaves, the tenant wants what WhatsApp knows, unless
/// somebody has asked since.
struct Showing<'a> {
    presences: &'a Presences,
    online: bool,
    asked: u64,
    is_shown: bool,
}

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        let mut known = self.presences.online();
        if self.is_shown {
            known.shown = self.online;
        }
        if known.asked == self.asked {
            known.wanted = known.shown;
        }
    }
}

impl Session {
    /// Shows the tenant as there or not there. While it is, the owner's phone does not notify.
    pub async fn show_online(&self, online: bool) -> Result<(), RequestError> {
        let mut showing = self.0.presences.show_online(online);
        let asked = self.ask(RequestKind::Presence, |client| async move {
            if online { client.presence().set_available().await } else { client.presence().set_unavailable().await }
        });
        let asked = asked.await;
        showing.is_shown = asked.is_ok();
        asked
    }

    /// Shows in a chat what the tenant does there.
    pub async fn show_mood(&self, chat: &str, mood: PresenceState) -> Result<(), RequestError> {
        let jid = self.conversation(chat).await?.swap_remove(0);
        self.ask(RequestKind::Presence, |client| async move {
            match mood {
                PresenceState::Typing => client.chatstate().send_composing(&jid).await,
                PresenceState::Recording => client.chatstate().send_recording(&jid).await,
                PresenceState::Online | PresenceState::Offline | PresenceState::Paused => {
                    client.chatstate().send_paused(&jid).await
                }
            }
        })
        .await
    }

    /// Asks WhatsApp to tell from now on who is there in a chat. It does so only while the tenant itself is shown as there.
    pub async fn follow_presence(&self, chat: &str) -> Result<(), RequestError> {
        let mut also = self.conversation(chat).await?;
        let jid = also.remove(0);
        let name = jid.to_string();
        let presences = &self.0.presences;
        let was_followed = presences.followed().chats.contains_key(&name);
        // Before: the answer may be here before this goes on, and says what is so until it changes.
        presences.follow(&name, also.iter().map(Jid::to_string).collect());
        let mut following = Following { presences, chat: (!was_followed).then_some(&name) };
        self.ask(RequestKind::Lookup, |client| async move { client.presence().subscribe(jid).await }).await?;
        following.chat = None;
        Ok(())
    }

    /// The presences that a chat shows now, with the chat's name here; follows it from now on.
    pub async fn presence(&self, chat: &str) -> Result<(String, Vec<MemberPresence>), RequestError> {
        let name = self.conversation(chat).await?.swap_remove(0).to_string();
        match self.shown(&name).await {
            Some(shown) => Ok((name, shown)),
            None => self.follow_presence(chat).await.map(|()| (name, Vec::new())),
        }
    }

    /// The presences of a chat that is followed; `None`: it is not.
    pub async fn shown(&self, chat: &str) -> Option<Vec<MemberPresence>> {
        let shown = self.0.presences.followed().chats.get(chat).map(|chat| chat.shown.clone())?;
        Some(self.by_number(chat, shown).await)
    }

    /// The presences of all followed chats, by jid.
    pub async fn presences(&self) -> Vec<(String, Vec<MemberPresence>)> {
        let chats: Vec<_> = {
            let followed = self.0.presences.followed();
            followed.chats.iter().map(|(name, chat)| (name.clone(), chat.shown.clone())).collect()
        };
        let mut presences = Vec::with_capacity(chats.len());
        for (name, shown) in chats {
            let shown = self.by_number(&name, shown).await;
            presences.push((name, shown));
        }
        presences
    }

    /// Names a group's members by their numbers, where these are known: WhatsApp calls them by LIDs, and other events by numbers.
    async fn by_number(&self, chat: &str, mut shown: Vec<MemberPresence>) -> Vec<MemberPresence> {
        let lids = lids_in_group(chat, &shown);
        if lids.is_empty() {
            return shown;
        }
        match self.0.store.names_of_each(lids.clone()).await {
            Ok(names) => name_anew(&mut shown, lids, names),
            Err(error) => debug!(%error, "the members of a group keep their LIDs"),
        }
        shown
    }
}

/// The members of a group who are called by a LID; nobody in another chat.
fn lids_in_group(chat: &str, shown: &[MemberPresence]) -> Vec<String> {
    let is_group = chat.parse::<Jid>().is_ok_and(|chat| chat.server == Server::Group);
    let is_lid = |who: &str| is_group && who.parse::<Jid>().is_ok_and(|who| who.is_lid());
    shown.iter().filter(|member| is_lid(&member.who)).map(|member| member.who.clone()).collect()
}

/// Calls each of these by the first of its names. Who was heard by both is there once, as heard by the LID.
fn name_anew(shown: &mut Vec<MemberPresence>, lids: Vec<String>, names: Vec<Vec<String>>) {
    for (lid, names) in lids.into_iter().zip(names) {
        let Some(name) = names.into_iter().next().filter(|name| *name != lid) else { continue };
        shown.retain(|member| member.who != name);
        for member in shown.iter_mut().filter(|member| member.who == lid) {
            member.who.clone_from(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt as _;

    use super::*;

    /// Else it would be taken for followed, and nobody would ask WhatsApp about it.
    #[test]
    fn whoever_leaves_while_whatsapp_is_asked_follows_nothing() {
        let presences = Presences::default();
        let ask = async |answer: bool| {
            presences.follow("chat", Vec::new());
            let mut following = Following { presences: &presences, chat: Some("chat") };
            if !answer {
                pending::<()>().await;
            }
            following.chat = None;
        };
        assert_eq!(ask(false).now_or_never(), None);
        assert!(!presences.followed().chats.contains_key("chat"));
        assert_eq!(ask(true).now_or_never(), Some(()));
        assert!(presences.followed().chats.contains_key("chat"));
    }

    #[test]
    fn what_failed_takes_back_nothing_that_somebody_else_wanted_since() {
        let presences = Presences::default();
        let first = presences.show_online(true);
        let mut second = presences.show_online(true);
        drop(first);
        assert!(presences.is_online(), "the second still wants it");
        second.is_shown = true;
        drop(second);
        assert!(presences.is_online());
        let fails = presences.show_online(false);
        assert!(!presences.is_online());
        drop(fails);
        assert!(presences.is_online(), "as WhatsApp knows it");
        let (first, second) = (presences.show_online(false), presences.show_online(false));
        drop((first, second));
        assert!(presences.is_online(), "neither was told");
    }

    #[test]
    fn a_groups_members_are_named_by_their_numbers_where_these_are_known() {
        let member = |who: &str, mood| MemberPresence { who: who.to_owned(), mood, last_seen: None };
        let number = "573001112233@s.whatsapp.net".to_owned();
        let mut shown = vec![
            member(&number, PresenceState::Paused),
            member("1@lid", PresenceState::Typing),
            member("2@lid", PresenceState::Recording),
        ];
        assert!(lids_in_group("1@lid", &shown).is_empty(), "a person is called as the chat is");
        let lids = lids_in_group("1203630@g.us", &shown);
        assert_eq!(lids, ["1@lid", "2@lid"]);
        let names = vec![vec![number.clone(), "1@lid".to_owned()], vec!["2@lid".to_owned()]];
        name_anew(&mut shown, lids, names);
        let expected = [member(&number, PresenceState::Typing), member("2@lid", PresenceState::Recording)];
        assert_eq!(shown, expected);
    }
}
