//! A tenant's bot: reads the log from its place on, takes each chat's turns when they are due, and does what the API asks. One task a
//! session; it ends with it. While the bot is off it holds nothing and reads nothing.

mod commands;
mod reading;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
        mpsc, watch,
    },
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, error, warn};
use ulid::Ulid;

pub use self::commands::BotCommand;
use super::{
    BotContext,
    gathering::Gathering,
    hearing::HeardEvent,
    records::{self, BotPlace, OrderRecord, Versioned},
    turn::{self, ChatTurn, DecideError, DecidedTurn},
    turn_cause::{Reopening, TurnCause, TurnName},
};
use crate::{
    bot::{
        conversation::Restaurant,
        menu::Menu,
        restaurant::{RestaurantSettings, Unavailability},
    },
    crash,
    journal::{ChangeNo, JournalClosedError},
    message::{EventId, FeedItem, OutboxError},
    pacing::PacingSettings,
    session::Session,
    store::{Batch, StoreError},
    telemetry::metrics::{self, label::BotTurnOutcome},
};

const PAGE: usize = 64;

/// After the store failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// While nothing may be decided: only keeps the loop from spinning.
const BREATH: Duration = Duration::from_millis(250);

/// Between two looks whether the owner's word, which is on its way, has come.
const OWNERS_BREATH_MS: i64 = 100;

/// Changes that the vault has not confirmed: with more, no turn is taken.
const MAX_UNCONFIRMED: usize = 32;

/// Turns between two looks at what else there is to do.
const TURNS_AT_ONCE: usize = 16;

/// Events that concern nobody, after which the place is written all the same.
const MAX_UNWRITTEN: usize = 512;

/// Between two looks for what nobody needs any more.
const TRIM_EVERY: Duration = Duration::from_secs(600);

pub struct BotDesk {
    session: Session,
    shared: Arc<BotContext>,
    menu: Versioned<Menu>,
    settings: Versioned<RestaurantSettings>,
    /// Made of both, when it is needed.
    restaurant: Option<Arc<Restaurant>>,
    place: BotPlace,
    /// False: it could not be read.
    has_place: bool,
    /// As far as the log was read.
    read: Option<EventId>,
    /// Events since the place was written.
    unwritten: usize,
    /// The log may have more than was read.
    more: bool,
    gathering: Gathering,
    /// The owner's last word in chats, beyond what was read; and how far was looked for it.
    ahead: HashMap<String, HeardEvent>,
    looked: Option<EventId>,
    wakes: BTreeSet<(Timestamp, Arc<str>)>,
    wake_of: HashMap<Arc<str>, Timestamp>,
    /// Chats in which the engine broke, or whose record does not parse.
    broken: HashSet<String>,
    /// What the vault has not confirmed yet.
    unconfirmed: FuturesUnordered<BoxFuture<'static, Result<(), JournalClosedError>>>,
    /// The last change of an order, for those who show orders elsewhere.
    order_changes: watch::Sender<ChangeNo>,
    /// The last change that asks the external bot or the language model something.
    asks: watch::Sender<ChangeNo>,
    trim_at: Instant,
    trimmed_to: Option<String>,
}

impl BotDesk {
    pub fn new(session: Session, shared: Arc<BotContext>) -> Self {
        Self {
            session,
            shared,
            menu: records::no_menu(),
            settings: records::no_settings(),
            restaurant: None,
            place: BotPlace::default(),
            has_place: true,
            read: None,
            unwritten: 0,
            more: false,
            gathering: Gathering::new(0),
            ahead: HashMap::new(),
            looked: None,
            wakes: BTreeSet::new(),
            wake_of: HashMap::new(),
            broken: HashSet::new(),
            unconfirmed: FuturesUnordered::new(),
            order_changes: watch::Sender::new(ChangeNo::ZERO),
            asks: watch::Sender::new(ChangeNo::ZERO),
            trim_at: Instant::now() + TRIM_EVERY,
            trimmed_to: None,
        }
    }

    pub fn order_changes(&self) -> watch::Receiver<ChangeNo> {
        self.order_changes.subscribe()
    }

    pub fn asks(&self) -> watch::Receiver<ChangeNo> {
        self.asks.subscribe()
    }

    pub async fn run(mut self: Box<Self>, mut commands: mpsc::Receiver<Box<BotCommand>>) {
        while let Err(error) = self.work(&mut commands).await {
            self.shared.busy.rests(self.session.tenant());
            self.forget_broken();
            if error.is_final() {
                debug!(%error, "the bot ends with its session");
                return;
            }
            warn!(event = "bot_restarted", %error, "the bot stumbles, and begins anew where it was");
            if !Box::pin(self.rest(error, &mut commands)).await {
                return;
            }
        }
        self.forget_broken();
    }

    /// Waits until it is worth another try. Where a record does not parse, whoever asks is told, and may write another in its place. False:
    /// the session ends.
    async fn rest(&mut self, error: StoreError, commands: &mut mpsc::Receiver<Box<BotCommand>>) -> bool {
        let stop = self.session.stopping();
        let StoreError::Setting { name, line, column } = error else {
            return stop.run_until_cancelled(sleep(RETRY_DELAY)).await.is_some();
        };
        let again = Instant::now() + RETRY_DELAY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep_until(again) => return true,
                command = commands.recv() => match command {
                    None => return false,
                    Some(command) => {
                        if self.mend(*command, || StoreError::Setting { name, line, column }).await {
                            return true;
                        }
                    }
                }
            }
        }
    }

    /// Reads what a former process has kept.
    async fn load(&mut self) -> Result<(), StoreError> {
        let store = self.session.store().clone();
        let (menu, settings, place) =
            tokio::join!(records::menu(&store), records::settings(&store), records::place(&store));
        // What is read is known, whatever else is not: whoever writes that anew counts its versions from here.
        self.has_place = place.is_ok();
        match menu {
            Ok(menu) => self.menu = menu,
            Err(error) => {
                self.settings = settings.unwrap_or_else(|_| records::no_settings());
                return Err(error);
            }
        }
        self.settings = settings?;
        // A former process may have left questions, also where nobody is to be asked any more: they are answered then.
        self.asks.send_modify(|_| {});
        self.session.set_pacing(pacing(&self.settings)).await?;
        self.place = place?;
        (self.read, self.unwritten, self.restaurant) = (self.place.cursor, 0, None);
        self.gathering = Gathering::new(self.settings.value.gather_ms);
        self.forget_ahead();
        self.wakes.clear();
        self.wake_of.clear();
        let mut after: Option<String> = None;
        loop {
            let page = records::conversations(&store, after.as_deref(), PAGE).await?;
            for (chat, stored) in &page {
                if stored.unreadable.is_some() || stored.record.broken.is_some() {
                    self.note_broken(chat);
                } else {
                    self.set_wake(chat, stored.record.wake_at);
                }
            }
            match page.last() {
                Some((chat, _)) => after = Some(chat.clone()),
                None => return Ok(()),
            }
        }
    }

    /// Boxed is all that it does now and then: the task lies in memory for as long as the session, and most tenants' bots are off.
    async fn work(&mut self, commands: &mut mpsc::Receiver<Box<BotCommand>>) -> Result<(), StoreError> {
        Box::pin(self.load()).await?;
        let stop = self.session.stopping();
        let clock = self.shared.clock.clone();
        let mut feed: Option<broadcast::Receiver<FeedItem>> = None;
        loop {
            if !self.is_on() {
                feed = None;
            } else if feed.is_none() {
                feed = Some(self.shared.feed.subscribe(self.session.tenant()));
                self.more = true;
            }
            let mut rest = None;
            if self.is_on() {
                self.shared.busy.begins(self.session.tenant());
                // In this order: a word of the owner's that is over by now is in the log, and is read.
                let owner_writes_to = self.session.owner_writes_to();
                self.more |= has_news(&mut feed);
                Box::pin(self.read()).await?;
                rest = Box::pin(self.take_turns(&owner_writes_to)).await?;
                self.shared.busy.rests(self.session.tenant());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    Some(command) => Box::pin(self.serve(*command)).await?,
                    None => break,
                },
                Some(confirmed) = self.unconfirmed.next() => confirmed?,
                notice = hear(&mut feed) => match notice {
                    Ok(FeedItem::Event(_) | FeedItem::InLog) | Err(RecvError::Lagged(_)) => self.more = true,
                    Ok(_) => {}
                    Err(RecvError::Closed) => break,
                },
                () = clock.sleep(rest.unwrap_or_default()), if rest.is_some() => {}
                () = sleep_until(self.trim_at), if self.is_on() => Box::pin(self.trim()).await?,
            }
        }
        if self.unwritten > 0 {
            self.write_place().await?;
        }
        Ok(())
    }

    fn is_on(&self) -> bool {
        listens(&self.settings)
    }

    /// Takes the turns that are due; gives in how long there is more to do. Nobody is answered to whom the owner is writing.
    async fn take_turns(&mut self, owner_writes_to: &HashSet<String>) -> Result<Option<Duration>, StoreError> {
        for _ in 0..TURNS_AT_ONCE {
            let now = self.shared.clock.now().as_millisecond();
            let heard = self.gathering.next();
            let woken = self.wakes.first().map(|(at, chat)| (at.as_millisecond(), chat.clone()));
            let Some(first) = heard.iter().chain(&woken).map(|(at, _)| *at).min() else { return Ok(None) };
            if first > now {
                return Ok(Some(Duration::from_millis(u64::try_from(first - now).unwrap_or(0))));
            }
            if !self.session.may_decide() || self.unconfirmed.len() >= MAX_UNCONFIRMED {
                return Ok(Some(BREATH));
            }
            let (chat, cause) = match (heard, woken) {
                (Some((at, chat)), _) if at <= now => {
                    // With the owner's word in it the turn answers nobody, and takes back what waits to be said.
                    if !owner_writes_to.is_empty() && !self.gathering.has_owners_word(&chat) {
                        let names = self.session.store().names(&chat).await?;
                        if names.iter().any(|name| owner_writes_to.contains(name)) {
                            self.gathering.postpone(&chat, now.saturating_add(OWNERS_BREATH_MS));
                            continue;
                        }
                    }
                    let events = self.gathering.take(&chat);
                    let ahead = self.ahead.get(&*chat).cloned();
                    (chat, TurnCause::Heard { events, ahead })
                }
                (_, Some((_, chat))) => (chat, TurnCause::Woken),
                _ => return Ok(None),
            };
            match Box::pin(self.decide(&chat, cause)).await {
                Ok(_) => {}
                Err(DecideError::NotNow(events)) => {
                    events.into_iter().for_each(|event| self.gathering.push(&chat, event));
                    return Ok(Some(BREATH));
                }
                Err(DecideError::Store(error)) => return Err(error),
            }
        }
        Ok(Some(Duration::ZERO))
    }

    /// Takes a turn and writes it.
    async fn decide(&mut self, chat: &str, cause: TurnCause) -> Result<(Option<OrderRecord>, ChangeNo), DecideError> {
        let restaurant = self.restaurant().await?;
        let (session, clock) = (self.session.clone(), self.shared.clock.clone());
        let place = self.place_now();
        let (mut name, mut reopening) = (TurnName::OfEvent, Reopening::Allowed);
        let (decided, change) = loop {
            let mut decided =
                ChatTurn::take(&session, &*clock, &restaurant, chat, cause.clone(), name, reopening).await?;
            records::put_place(&mut decided.decision.batch, &place);
            crash::point("bot_stepped");
            match session.decide(std::mem::take(&mut decided.decision)).await {
                Ok(change) => break (decided, change),
                Err(OutboxError::KeyReused) if name == TurnName::OfEvent => {
                    error!(
                        event = "bot_reply_id_taken",
                        "a reply of the bot has the id of another one: it is said under a new id. A bug"
                    );
                    name = TurnName::Fresh;
                }
                Err(OutboxError::KeyReused | OutboxError::Full) => return Err(StoreError::Interrupted.into()),
                Err(OutboxError::OnItsWay) => reopening = Reopening::Refused,
                Err(OutboxError::Store(error)) => return Err(error.into()),
                Err(OutboxError::Unconfirmed(closed)) => return Err(StoreError::from(closed).into()),
            }
        };
        let DecidedTurn { chat: kept_as, wake_at, broke, mended, moved, has_orders, has_asks, .. } = decided;
        let (outcome, order_outcomes) = (decided.outcome, decided.order_outcomes);
        crash::point("bot_written");
        metrics::bot_turn(outcome, self.waited(&cause).filter(|_| outcome == BotTurnOutcome::Replied));
        order_outcomes.into_iter().for_each(metrics::bot_order);
        if has_orders {
            self.order_changes.send_replace(change);
        }
        if has_asks {
            self.asks.send_replace(change);
        }
        self.place = place;
        self.unwritten = 0;
        if kept_as != chat {
            self.set_wake(chat, None);
        }
        self.set_wake(&kept_as, wake_at);
        if broke {
            self.note_broken(&kept_as);
        }
        if mended {
            self.note_mended(&kept_as);
        }
        self.await_vault(change);
        Ok((moved, change))
    }

    /// How long ago that was recorded which a turn answers. `None`: it answers nothing that a customer wrote.
    fn waited(&self, cause: &TurnCause) -> Option<Duration> {
        let TurnCause::Heard { events, .. } = cause else { return None };
        let first = events.iter().filter(|event| !event.is_owners()).map(|event| event.id.0.timestamp_ms()).min()?;
        let now = u64::try_from(self.shared.clock.now().as_millisecond()).unwrap_or_default();
        Some(Duration::from_millis(now.saturating_sub(first)))
    }

    /// The place behind everything that is done.
    fn place_now(&self) -> BotPlace {
        let cursor = self.gathering.first().map(turn::before).or(self.read);
        BotPlace { cursor, ..self.place.clone() }
    }

    /// The place of a bot that is switched on now. The owner may have talked with somebody meanwhile, and not be done.
    fn place_at_start(&self, settings: &RestaurantSettings) -> BotPlace {
        let (now, newest) = (self.shared.clock.now(), self.session.newest_event());
        let silence = i64::from(settings.takeover_minutes) * 60_000;
        let since = u64::try_from(now.as_millisecond().saturating_sub(silence)).unwrap_or(0);
        let since = EventId(Ulid::from_parts(since, 0));
        let cursor = newest.map(|newest| newest.min(since)).max(self.session.trimmed());
        BotPlace { cursor, since: now, owners_until: newest }
    }

    async fn write_place(&mut self) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        self.place = self.place_now();
        records::put_place(&mut batch, &self.place);
        // Nobody waits for it: it rides along.
        self.session.store().write(batch).await?;
        self.unwritten = 0;
        Ok(())
    }

    /// Events are published when the vault has them.
    fn await_vault(&self, change: ChangeNo) {
        let session = self.session.clone();
        self.unconfirmed.push(async move { session.settled(change).await }.boxed());
    }

    async fn restaurant(&mut self) -> Result<Arc<Restaurant>, StoreError> {
        if let Some(restaurant) = &self.restaurant {
            return Ok(restaurant.clone());
        }
        let made = self.shared.restaurant(self.menu.value.clone(), self.settings.value.clone()).await;
        // The API has read it before it was stored.
        let made = made.map_err(|_| StoreError::Interrupted)?;
        self.restaurant = Some(made.clone());
        Ok(made)
    }

    fn set_wake(&mut self, chat: &str, at: Option<Timestamp>) {
        if let Some((chat, before)) = self.wake_of.remove_entry(chat) {
            self.wakes.remove(&(before, chat));
        }
        if let Some(at) = at {
            let chat: Arc<str> = chat.into();
            self.wakes.insert((at, chat.clone()));
            self.wake_of.insert(chat, at);
        }
    }

    fn note_broken(&mut self, chat: &str) {
        if self.broken.insert(chat.to_owned()) {
            error!(
                event = "bot_conversation_broken",
                "a conversation of the bot's is broken: it waits for whoever gives it back"
            );
            self.shared.broken.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_mended(&mut self, chat: &str) {
        if self.broken.remove(chat) {
            self.shared.broken.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whoever opens the tenant next counts them anew.
    fn forget_broken(&mut self) {
        let count = self.broken.drain().count() as u64;
        self.shared.broken.fetch_sub(count, Ordering::Relaxed);
    }

    async fn trim(&mut self) -> Result<(), StoreError> {
        self.trim_at = Instant::now() + TRIM_EVERY;
        let now = self.shared.clock.now();
        let before = |keep: Duration| {
            let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
            now.checked_sub(keep).unwrap_or(Timestamp::MIN)
        };
        let settings = &self.shared.settings;
        let (conversations, orders) = (before(settings.keep_conversations), before(settings.keep_orders));
        let (mut batch, after) = (Batch::default(), self.trimmed_to.take());
        let store = self.session.store();
        self.trimmed_to = records::trim(store, &mut batch, after.as_deref(), conversations, orders).await?;
        store.write(batch).await?;
        Ok(())
    }
}

/// A tenant that has no settings is not limited.
fn pacing(settings: &Versioned<RestaurantSettings>) -> Option<PacingSettings> {
    (settings.version > 0).then(|| settings.value.pacing.clone())
}

/// One that is off may have something to say about it.
fn listens(settings: &Versioned<RestaurantSettings>) -> bool {
    let RestaurantSettings { active, when_off, .. } = &settings.value;
    settings.version > 0 && (*active || *when_off == Unavailability::Text)
}

/// What is published; nothing while nobody listens.
async fn hear(feed: &mut Option<broadcast::Receiver<FeedItem>>) -> Result<FeedItem, RecvError> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether something was published that is not read. One that has ended says so to whoever waits for it.
fn has_news(feed: &mut Option<broadcast::Receiver<FeedItem>>) -> bool {
    let Some(feed) = feed else { return false };
    let mut is_news = false;
    loop {
        match feed.try_recv() {
            Ok(FeedItem::Event(_) | FeedItem::InLog) | Err(TryRecvError::Lagged(_)) => is_news = true,
            Ok(_) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return is_news,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::future_size::future_size;

    /// Without boxes for what it does now and then it takes 27 KiB of each session, also where the bot is off.
    #[test]
    fn a_desk_that_waits_takes_little_room() {
        let size = future_size(|(desk, commands): (Box<BotDesk>, mpsc::Receiver<Box<BotCommand>>)| desk.run(commands));
        assert!(size < 6 * 1024, "{size}");
    }
}
