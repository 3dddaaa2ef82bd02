//! A tenant's bot: reads the log from its place on, takes each chat's turns when they are due, and does what the API asks. One task a
//! session; it ends with it. While the bot is off it holds nothing and reads nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, oneshot,
    },
    time::{Instant, sleep},
};
use tracing::{debug, error, info, warn};
use ulid::Ulid;

use super::{
    BotContext, BotError, Changed,
    gathering::Gathering,
    hearing::{Heard, HeardEvent, MAX_AGE_AT_START_S, Oldest, heard},
    records::{self, BotPlace, OrderRecord, Versioned},
    restaurant,
    turn::{self, Cause, ChatTurn, DecidedTurn, TurnName, Undecided},
};
use crate::{
    bot::{
        conversation::Restaurant,
        menu::Menu,
        order::{OrderStage, PaymentStatus},
        restaurant::{RestaurantSettings, Unavailability},
    },
    crash,
    journal::{ChangeNo, Closed},
    message::{Event, EventBody, EventId, NotAccepted, Notice},
    session::Session,
    store::{Batch, StoreError},
};

const PAGE: usize = 64;

/// After the store failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// While nothing may be decided: only keeps the loop from spinning.
const BREATH: Duration = Duration::from_millis(250);

/// Changes that the vault has not confirmed: with more, no turn is taken.
const MAX_UNCONFIRMED: usize = 32;

/// Turns between two looks at what else there is to do.
const TURNS_AT_ONCE: usize = 16;

/// Events that concern nobody, after which the place is written all the same.
const MAX_UNWRITTEN: usize = 512;

/// Chats in which an owner's word is found ahead of what can be read.
const MAX_AHEAD: usize = 10_000;

/// A longer word of the owner's is not the one that brings the bot back.
const MAX_WORD_BYTES: usize = 200;

/// Between two looks for what nobody needs any more.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// What is asked of a desk.
pub enum BotCommand {
    PutMenu {
        menu: Menu,
        expected: Option<u64>,
        answer: oneshot::Sender<Changed<Versioned<Menu>>>,
    },
    PutSettings {
        settings: Box<RestaurantSettings>,
        expected: Option<u64>,
        answer: oneshot::Sender<Changed<Versioned<RestaurantSettings>>>,
    },
    Take {
        chat: String,
        answer: oneshot::Sender<Changed<()>>,
    },
    GiveBack {
        chat: String,
        answer: oneshot::Sender<Changed<()>>,
    },
    Move {
        id: String,
        to: OrderStage,
        answer: oneshot::Sender<Changed<OrderRecord>>,
    },
    NotePayment {
        id: String,
        answer: oneshot::Sender<Changed<OrderRecord>>,
    },
}

pub struct BotDesk {
    session: Session,
    shared: Arc<BotContext>,
    menu: Versioned<Menu>,
    settings: Versioned<RestaurantSettings>,
    /// Made of both, when it is needed.
    restaurant: Option<Arc<Restaurant>>,
    place: BotPlace,
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
    unconfirmed: FuturesUnordered<BoxFuture<'static, Result<(), Closed>>>,
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
            trim_at: Instant::now() + TRIM_EVERY,
            trimmed_to: None,
        }
    }

    pub async fn run(mut self, mut commands: mpsc::Receiver<BotCommand>) {
        let stop = self.session.stopping();
        while let Err(error) = self.work(&mut commands).await {
            self.forget_broken();
            if error.is_final() {
                debug!(%error, "the bot ends with its session");
                return;
            }
            warn!(%error, "the bot stumbles, and begins anew where it was");
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(RETRY_DELAY) => {}
            }
        }
        self.forget_broken();
    }

    /// Reads what a former process has kept.
    async fn load(&mut self) -> Result<(), StoreError> {
        let store = self.session.store().clone();
        (self.menu, self.settings) = (records::menu(&store).await?, records::settings(&store).await?);
        self.place = records::place(&store).await?;
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

    async fn work(&mut self, commands: &mut mpsc::Receiver<BotCommand>) -> Result<(), StoreError> {
        self.load().await?;
        let stop = self.session.stopping();
        let clock = self.shared.clock.clone();
        let mut feed: Option<broadcast::Receiver<Notice>> = None;
        loop {
            if !self.is_on() {
                feed = None;
            } else if feed.is_none() {
                feed = Some(self.shared.feed.subscribe(self.session.tenant()));
                self.more = true;
            }
            let mut rest = None;
            if self.is_on() {
                self.read().await?;
                rest = self.take_turns().await?;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    Some(command) => self.serve(command).await?,
                    None => break,
                },
                Some(confirmed) = self.unconfirmed.next() => confirmed?,
                notice = hear(&mut feed) => match notice {
                    Ok(Notice::Event(_) | Notice::InLog) | Err(RecvError::Lagged(_)) => self.more = true,
                    Ok(_) => {}
                    Err(RecvError::Closed) => break,
                },
                () = clock.sleep(rest.unwrap_or_default()), if rest.is_some() => {}
                () = tokio::time::sleep_until(self.trim_at), if self.is_on() => self.trim().await?,
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

    /// Takes from the log as much as there is room for.
    async fn read(&mut self) -> Result<(), StoreError> {
        while self.more && !self.gathering.is_full() {
            if let Some(trimmed) = self.session.trimmed().filter(|trimmed| Some(*trimmed) > self.read) {
                if self.read.is_some() {
                    warn!(until = %trimmed, "events were deleted before the bot had read them");
                }
                self.read = Some(trimmed);
            }
            let events = self.session.events_after(self.read, PAGE).await?;
            self.more = !events.is_empty();
            for event in events {
                self.read = Some(event.id);
                self.unwritten += 1;
                if let Some((chat, heard)) = self.heard(&event).await? {
                    self.gathering.push(&chat, heard);
                }
            }
            crash::point("bot_read");
        }
        if self.more {
            self.look_ahead().await?;
        } else {
            self.forget_ahead();
        }
        if self.unwritten > MAX_UNWRITTEN && self.gathering.next().is_none() {
            self.write_place().await?;
        }
        Ok(())
    }

    /// Looks for the owner's word in all that waits to be read: no customer is answered whom the owner has answered already.
    async fn look_ahead(&mut self) -> Result<(), StoreError> {
        loop {
            let events = self.session.events_after(self.looked.max(self.read), PAGE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            self.looked = Some(last.id);
            for event in &events {
                let Some((chat, mut heard)) = self.heard(event).await? else { continue };
                if let Heard::OwnerWrote { text } = &mut heard.what
                    && (self.ahead.len() < MAX_AHEAD || self.ahead.contains_key(&chat))
                {
                    text.take_if(|text| text.len() > MAX_WORD_BYTES);
                    self.ahead.insert(chat, heard);
                }
            }
        }
    }

    fn forget_ahead(&mut self) {
        self.ahead.clear();
        self.looked = None;
    }

    /// What an event is to the bot, and in which chat.
    async fn heard(&mut self, event: &Event) -> Result<Option<(String, HeardEvent)>, StoreError> {
        let since = self.place.since.as_second();
        let silence = i64::from(self.settings.value.takeover_minutes) * 60;
        let oldest =
            Oldest { customers: since.saturating_sub(MAX_AGE_AT_START_S), owners: since.saturating_sub(silence) };
        let Some(heard) = heard(event.id, &event.body, oldest) else { return Ok(None) };
        if heard.is_owners() {
            if is_bots(&self.session, &event.body).await? {
                return Ok(None);
            }
        } else if Some(event.id) <= self.place.owners_until {
            return Ok(None);
        }
        let mut names = self.session.store().names(event.body.chat()).await?;
        let status = self.session.status();
        let own = [self.session.me(), status.lid];
        if names.iter().any(|name| own.iter().flatten().any(|own| own == name)) {
            // Notes to oneself.
            return Ok(None);
        }
        Ok(Some((names.swap_remove(0), heard)))
    }

    /// Takes the turns that are due; gives in how long there is more to do.
    async fn take_turns(&mut self) -> Result<Option<Duration>, StoreError> {
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
                    let events = self.gathering.take(&chat);
                    let ahead = self.ahead.get(&*chat).cloned();
                    (chat, Cause::Heard { events, ahead })
                }
                (_, Some((_, chat))) => (chat, Cause::Woken),
                _ => return Ok(None),
            };
            match self.decide(&chat, cause).await {
                Ok(_) => {}
                Err(Undecided::NotNow(events)) => {
                    events.into_iter().for_each(|event| self.gathering.push(&chat, event));
                    return Ok(Some(BREATH));
                }
                Err(Undecided::Store(error)) => return Err(error),
            }
        }
        Ok(Some(Duration::ZERO))
    }

    /// Takes a turn and writes it.
    async fn decide(&mut self, chat: &str, cause: Cause) -> Result<(Option<OrderRecord>, ChangeNo), Undecided> {
        let restaurant = self.restaurant().await?;
        let (session, clock) = (self.session.clone(), self.shared.clock.clone());
        let place = self.place_now();
        let mut name = TurnName::OfEvent;
        let (decided, change) = loop {
            let mut decided = ChatTurn::take(&session, &*clock, &restaurant, chat, cause.clone(), name).await?;
            records::put_place(&mut decided.decision.batch, &place);
            crash::point("bot_stepped");
            match session.decide(std::mem::take(&mut decided.decision)).await {
                Ok(change) => break (decided, change),
                Err(NotAccepted::KeyReused) if name == TurnName::OfEvent => {
                    error!("a reply of the bot has the id of another one: it is said under a new id. A bug");
                    name = TurnName::Fresh;
                }
                Err(NotAccepted::KeyReused) => return Err(StoreError::Interrupted.into()),
                Err(NotAccepted::Store(error)) => return Err(error.into()),
                Err(NotAccepted::Unconfirmed(closed)) => return Err(StoreError::from(closed).into()),
            }
        };
        let DecidedTurn { chat: kept_as, wake_at, broke, mended, moved, .. } = decided;
        crash::point("bot_written");
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
        let made = restaurant(self.menu.value.clone(), self.settings.value.clone()).await;
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
            error!("a conversation of the bot's is broken: it waits for whoever gives it back");
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

    async fn serve(&mut self, command: BotCommand) -> Result<(), StoreError> {
        // Whoever asked may be gone: then nobody hears the answer.
        match command {
            BotCommand::PutMenu { menu, expected, answer } => {
                let _ = answer.send(self.put_menu(menu, expected).await);
            }
            BotCommand::PutSettings { settings, expected, answer } => {
                let _ = answer.send(self.put_settings(*settings, expected).await);
            }
            BotCommand::Take { chat, answer } => {
                let taken = self.act(&chat, Cause::TakenOver).await;
                let _ = answer.send(taken.map(|(_, change)| ((), change)));
            }
            BotCommand::GiveBack { chat, answer } => {
                let given = self.act(&chat, Cause::GivenBack).await;
                let _ = answer.send(given.map(|(_, change)| ((), change)));
            }
            BotCommand::Move { id, to, answer } => {
                let _ = answer.send(self.move_order(&id, to).await);
            }
            BotCommand::NotePayment { id, answer } => {
                let _ = answer.send(self.note_payment(&id).await);
            }
        }
        Ok(())
    }

    async fn put_menu(&mut self, menu: Menu, expected: Option<u64>) -> Changed<Versioned<Menu>> {
        let version = next_version(self.menu.version, expected)?;
        let written = Versioned { version, value: menu };
        let mut batch = Batch::default();
        records::put_menu(&mut batch, &written);
        let change = self.session.store().write(batch).await?;
        (self.menu, self.restaurant) = (written.clone(), None);
        info!(items = written.value.items.len(), version, "the bot has a new menu");
        Ok((written, change))
    }

    async fn put_settings(
        &mut self,
        settings: RestaurantSettings,
        expected: Option<u64>,
    ) -> Changed<Versioned<RestaurantSettings>> {
        let version = next_version(self.settings.version, expected)?;
        let written = Versioned { version, value: settings };
        let mut batch = Batch::default();
        records::put_settings(&mut batch, &written);
        let is_switched_on = listens(&written) && !self.is_on();
        let place = self.place_at_start(&written.value);
        if is_switched_on {
            records::put_place(&mut batch, &place);
        }
        let change = self.session.store().write(batch).await?;
        info!(active = written.value.active, version, "the bot has new settings");
        if is_switched_on {
            (self.read, self.place, self.unwritten) = (place.cursor, place, 0);
        }
        if is_switched_on || !listens(&written) {
            self.gathering.clear();
            self.forget_ahead();
        }
        self.gathering.set_window(written.value.gather_ms);
        (self.settings, self.restaurant) = (written.clone(), None);
        Ok((written, change))
    }

    async fn move_order(&mut self, id: &str, to: OrderStage) -> Changed<OrderRecord> {
        let (key, record) = records::order(self.session.store(), id).await?.ok_or(BotError::NoOrder)?;
        turn::check_move(&record, to)?;
        let chat = record.order.chat.clone();
        let (moved, change) = self.act(&chat, Cause::Moved { key, record: Box::new(record.clone()), to }).await?;
        Ok((moved.unwrap_or(record), change))
    }

    async fn note_payment(&mut self, id: &str) -> Changed<OrderRecord> {
        let (key, record) = records::order(self.session.store(), id).await?.ok_or(BotError::NoOrder)?;
        if record.order.payment_status == PaymentStatus::Paid {
            return Ok((record, ChangeNo::ZERO));
        }
        let paid = turn::paid(record, self.shared.clock.now())?;
        let chat = paid.order.chat.clone();
        let (_, change) = self.act(&chat, Cause::Paid { key, record: Box::new(paid.clone()) }).await?;
        Ok((paid, change))
    }

    /// A turn that somebody asks for.
    async fn act(&mut self, chat: &str, cause: Cause) -> Result<(Option<OrderRecord>, ChangeNo), BotError> {
        if self.session.is_vault_down() || self.unconfirmed.len() >= MAX_UNCONFIRMED {
            return Err(BotError::VaultDown);
        }
        self.decide(chat, cause).await.map_err(|undecided| match undecided {
            Undecided::NotNow(_) => BotError::VaultDown,
            Undecided::Store(error) => error.into(),
        })
    }
}

/// One that is off may have something to say about it.
fn listens(settings: &Versioned<RestaurantSettings>) -> bool {
    let RestaurantSettings { active, when_off, .. } = &settings.value;
    settings.version > 0 && (*active || *when_off == Unavailability::Text)
}

/// Two who change the same thing do not undo each other's work.
fn next_version(current: u64, expected: Option<u64>) -> Result<u64, BotError> {
    match expected {
        Some(expected) if expected != current => Err(BotError::WrongVersion { current }),
        _ => Ok(current + 1),
    }
}

/// Whether a bot decided a message of the tenant's own.
async fn is_bots(session: &Session, body: &EventBody) -> Result<bool, StoreError> {
    match body.message() {
        Some(message) => session.is_from_bot(&message.id).await,
        None => Ok(false),
    }
}

/// What is published; nothing while nobody listens.
async fn hear(feed: &mut Option<broadcast::Receiver<Notice>>) -> Result<Notice, RecvError> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}
