//! One tenant's mirror: reads the tenant's log from its place on, compares each order that changed here or there, and tells the flags. One
//! task a session; it ends with it.
//!
//! The log only says which order changed; what is written is the order as it is then. So the place may lag behind, and after a crash the
//! same orders are compared once more.

mod comparing;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, error, warn};

use super::{
    MirrorContext, Pause,
    database::DatabaseError,
    listening,
    shape::{self, ComparisonCause, Flags},
    stream::HeardOrders,
};
use crate::{
    bot::{order::OrderStage, service::BotError},
    message::{EventBody, EventId, FeedItem},
    session::Session,
    store::{Batch, StoreError, key, parse_setting, space},
    tenant::State,
};

/// Within [`space::SETTINGS`].
const PLACE: &str = "mirror/rtdb";

const PAGE: usize = 64;

/// Orders that wait to be compared, before the log is read on.
const MAX_DUE: usize = 256;

/// Open orders of which the kitchen's steps are listened for: the newest.
const MAX_OPEN: usize = 500;

/// Orders that are looked at to find these.
const MAX_LOOKED_AT: usize = 2_000;

/// Nobody listens for an order that was not touched for so long (in seconds).
const FORGOTTEN_S: i64 = 86_400;

/// Events of other kinds after which the place is written all the same.
const MAX_UNWRITTEN: usize = 512;

/// A connection that is made anew for longer than this is told.
const CONNECTING: Duration = Duration::from_secs(10);

/// After the store failed, and where the bot cannot do something just now.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// For the last word of a session that ends.
const LAST_WORD: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct MirrorPlace {
    /// Every event up to here is done.
    cursor: Option<EventId>,
}

/// An order that the kitchen has, as it was when it was compared last.
struct OpenOrder {
    stage: OrderStage,
    updated_at: Timestamp,
}

/// Events of which nobody can say any more which orders they changed.
#[derive(Debug, Clone, Copy)]
enum UnreadEvents {
    None,
    /// The mirror was never here.
    All,
    /// They were deleted before they were read.
    After(EventId),
}

#[derive(Debug, thiserror::Error)]
enum MirrorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the bot cannot take a step just now: {0}")]
    Bot(BotError),
    #[error("an order changes there all the time")]
    Busy,
}

pub struct TenantMirror {
    session: Session,
    cx: Arc<MirrorContext>,
    /// As far as the log was read.
    read: Option<EventId>,
    /// The log may have more.
    more: bool,
    /// Events since the place was written; and whether one was an order's.
    unwritten: usize,
    is_place_due: bool,
    /// Orders that changed here, and there.
    due: BTreeSet<String>,
    seen: BTreeSet<String>,
    open: BTreeMap<String, OpenOrder>,
    /// Taken off the board: looked for once more at that time, after so many looks.
    gone: BTreeMap<String, (Instant, usize)>,
    /// Words of the kitchen's pages that no stage has, as the log has them.
    told_stages: BTreeSet<String>,
    told: Option<Flags>,
    connecting_since: Option<Instant>,
    pause: Pause,
    try_at: Option<Instant>,
    wanted: watch::Sender<bool>,
    heard: mpsc::Receiver<HeardOrders>,
}

impl TenantMirror {
    pub async fn run(session: Session, cx: Arc<MirrorContext>) {
        let stop = session.stopping();
        let (wanted, is_wanted) = watch::channel(false);
        let (hears, heard) = mpsc::channel(16);
        let listening = listening::run(cx.clone(), session.tenant().clone(), is_wanted, hears);
        let mut mirror = Self {
            session,
            cx,
            read: None,
            more: true,
            unwritten: 0,
            is_place_due: false,
            due: BTreeSet::new(),
            seen: BTreeSet::new(),
            open: BTreeMap::new(),
            gone: BTreeMap::new(),
            told_stages: BTreeSet::new(),
            told: None,
            connecting_since: None,
            pause: Pause::default(),
            try_at: None,
            wanted,
            heard,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = mirror.keep() => {}
            () = listening => {}
        }
        let last_word = timeout(LAST_WORD, Box::pin(mirror.say_last_word()));
        if last_word.await.is_err() {
            debug!("the Realtime Database was not told of the end of a session");
        }
    }

    async fn keep(&mut self) {
        while let Err(error) = self.work().await {
            if error.is_final() {
                debug!(%error, "the mirror ends with its session");
                return;
            }
            warn!(event = "mirror_restarted", %error, "the mirror stumbles, and begins anew where it was");
            sleep(RETRY_DELAY).await;
        }
    }

    async fn work(&mut self) -> Result<(), StoreError> {
        let mut feed = self.cx.feed.subscribe(self.session.tenant());
        let mut status = self.session.watch();
        Box::pin(self.load()).await?;
        let mut foreign = 0_usize;
        loop {
            status.borrow_and_update();
            self.read().await?;
            if self.try_at.is_none_or(|at| at <= Instant::now()) {
                self.try_at = None;
                Box::pin(self.bring_together()).await?;
            }
            if self.try_at.is_none() {
                self.write_place().await?;
                if self.more {
                    continue;
                }
            }
            self.want();
            let wake = self.wake();
            tokio::select! {
                Some(heard) = self.heard.recv() => self.hear(heard),
                changed = status.changed() => if changed.is_err() { return Ok(()) },
                notice = feed.recv() => match notice {
                    Ok(FeedItem::Event(event)) if !matches!(event.body, EventBody::Order { .. }) => {
                        foreign += 1;
                        if foreign > MAX_UNWRITTEN {
                            (foreign, self.more) = (0, true);
                        }
                    }
                    Ok(FeedItem::Event(_) | FeedItem::InLog) | Err(RecvError::Lagged(_)) => self.more = true,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Goes on where a former process was. The first time all open orders are due.
    async fn load(&mut self) -> Result<(), StoreError> {
        let stored = self.session.store().get(space::SETTINGS, &key::text(PLACE)).await?;
        let place = stored.and_then(|stored| match parse_setting::<MirrorPlace>("place of the mirror", &stored) {
            Ok(place) => Some(place),
            Err(error) => {
                warn!(
                    event = "mirror_restarted",
                    %error,
                    "the mirror begins anew: to write everything once more does no harm"
                );
                None
            }
        });
        let is_first = place.is_none();
        self.read = place.map_or_else(|| self.session.newest_event(), |place| place.cursor);
        (self.more, self.is_place_due) = (true, is_first);
        self.find_open(if is_first { UnreadEvents::All } else { UnreadEvents::None }).await
    }

    /// Finds the orders that the kitchen has, and has those compared that may have changed by events that cannot be read.
    async fn find_open(&mut self, unread: UnreadEvents) -> Result<(), StoreError> {
        const STEP: usize = 100;
        let (mut before, mut looked_at) = (None, 0);
        while looked_at < MAX_LOOKED_AT {
            let page = self.cx.bots.orders(&self.session, None, STEP, before).await;
            let (orders, next) = match page {
                Ok(page) => page,
                Err(BotError::Store(error)) => return Err(error),
                Err(_) => return Err(StoreError::Interrupted),
            };
            looked_at += orders.len();
            for record in orders {
                let is_open = !record.order.stage.is_final();
                let is_due = match unread {
                    UnreadEvents::None => false,
                    UnreadEvents::All => is_open,
                    UnreadEvents::After(read) => shape::may_differ_after(&record, read),
                };
                if is_due {
                    self.due.insert(record.order.id.clone());
                }
                if is_open {
                    self.note_open(&record);
                }
            }
            before = next;
            if before.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        while self.more && self.due.len() < MAX_DUE {
            if let Some(trimmed) = self.session.trimmed().filter(|trimmed| Some(*trimmed) > self.read) {
                if let Some(read) = self.read {
                    warn!(
                        event = "mirror_events_lost",
                        until = %trimmed,
                        "events were deleted before the mirror had read them: all that may have changed is compared"
                    );
                    self.due.extend(self.open.keys().cloned());
                    self.find_open(UnreadEvents::After(read)).await?;
                    self.is_place_due = true;
                }
                self.read = Some(trimmed);
            }
            let events = self.session.events_after(self.read, PAGE).await?;
            self.more = !events.is_empty();
            for event in events {
                self.read = Some(event.id);
                self.unwritten += 1;
                if let EventBody::Order { order, .. } = event.body {
                    self.due.insert(order.id);
                    self.is_place_due = true;
                }
            }
        }
        Ok(())
    }

    /// Tells and compares all that is due. What fails is tried again; the store's own failure is the caller's.
    async fn bring_together(&mut self) -> Result<(), StoreError> {
        match self.tell_and_compare().await {
            Ok(()) => self.pause = Pause::default(),
            Err(MirrorError::Store(error)) => return Err(error),
            Err(error @ MirrorError::Database(_)) => {
                let wait = self.pause.next();
                let waiting = self.due.len();
                warn!(
                    event = "mirror_behind",
                    %error,
                    waiting,
                    retry.ms = wait.as_millis() as u64,
                    "the mirror is behind: tried again"
                );
                self.try_at = Some(Instant::now() + wait);
            }
            Err(error @ (MirrorError::Bot(_) | MirrorError::Busy)) => {
                // A record of the bot's that does not parse is somebody's to mend.
                if matches!(error, MirrorError::Bot(BotError::Store(_))) {
                    warn!(event = "kitchen_order_delayed", %error, "an order of the kitchen's waits: tried again");
                } else {
                    debug!(%error, "an order waits: tried again");
                }
                self.try_at = Some(Instant::now() + RETRY_DELAY);
            }
        }
        Ok(())
    }

    async fn tell_and_compare(&mut self) -> Result<(), MirrorError> {
        self.tell_flags().await?;
        let now = Instant::now();
        let again = self.gone.iter().filter(|(_, (at, _))| *at <= now).map(|(id, _)| id.clone());
        self.seen.extend(again.collect::<Vec<_>>());
        let mut put_off = None;
        for cause in [ComparisonCause::Changed, ComparisonCause::Seen] {
            let mut after = None::<String>;
            while let Some(id) = next_id(self.waiting(cause), after.as_deref()) {
                match self.compare_one(&id, cause).await {
                    Ok(()) => {
                        self.waiting(cause).remove(&id);
                        self.seen.remove(&id);
                    }
                    // It holds up none after it.
                    Err(error @ (MirrorError::Bot(_) | MirrorError::Busy)) => put_off = Some(error),
                    Err(error) => return Err(error),
                }
                after = Some(id);
            }
        }
        put_off.map_or(Ok(()), Err)
    }

    fn waiting(&mut self, cause: ComparisonCause) -> &mut BTreeSet<String> {
        match cause {
            ComparisonCause::Changed => &mut self.due,
            ComparisonCause::Seen => &mut self.seen,
        }
    }

    /// Has the kitchen listened to while it has orders.
    fn want(&mut self) {
        let now = self.cx.clock.now().as_second();
        let is_wanted = self.open.values().any(|open| now - open.updated_at.as_second() < FORGOTTEN_S);
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, is_wanted) != is_wanted);
    }

    fn wake(&self) -> Option<Instant> {
        if self.try_at.is_some() {
            return self.try_at;
        }
        let connecting = self.connecting_since.map(|since| since + CONNECTING);
        let again = self.gone.values().map(|(at, _)| *at);
        // What was heard meanwhile is compared at once.
        let at_once = (!self.seen.is_empty() || !self.due.is_empty()).then(Instant::now);
        again.chain(connecting).chain(at_once).min()
    }

    async fn tell_flags(&mut self) -> Result<(), MirrorError> {
        let status = self.session.status();
        let flags = Flags::of(&status);
        if self.told.as_ref() == Some(&flags) {
            self.connecting_since = None;
            return Ok(());
        }
        if status.state == State::Starting {
            let since = *self.connecting_since.get_or_insert_with(Instant::now);
            if since.elapsed() < CONNECTING {
                return Ok(());
            }
        }
        self.connecting_since = None;
        let patch = flags.patch(self.cx.clock.now(), status.since);
        match self.cx.database.patch(&["tenants", self.session.tenant().as_str()], &patch).await {
            Err(error) if error.is_of_one() => {
                error!(event = "flags_unmirrored", %error, "the flags are not in the Realtime Database")
            }
            told => told?,
        }
        self.told = Some(flags);
        Ok(())
    }

    /// A tenant that was unlinked and ends with that is connected no more.
    async fn say_last_word(&mut self) {
        let is_unlinked = !Flags::of(&self.session.status()).is_linked;
        if is_unlinked
            && self.told.as_ref().is_some_and(|told| told.is_linked)
            && let Err(error) = self.tell_flags().await
        {
            debug!(%error, "the Realtime Database was not told of the end of a session");
        }
    }

    /// The place behind everything that is done.
    async fn write_place(&mut self) -> Result<(), StoreError> {
        if !self.due.is_empty() || !(self.is_place_due || self.unwritten > MAX_UNWRITTEN) {
            return Ok(());
        }
        let place = serde_json::to_vec(&MirrorPlace { cursor: self.read });
        let mut batch = Batch::default();
        batch.put(space::SETTINGS, key::text(PLACE), place.expect("a place is plain data, which JSON always takes"));
        // Nobody waits for it: it rides along.
        self.session.store().write(batch).await?;
        (self.is_place_due, self.unwritten) = (false, 0);
        Ok(())
    }
}

fn next_id(ids: &BTreeSet<String>, after: Option<&str>) -> Option<String> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    ids.range::<str, _>((from, Bound::Unbounded)).next().cloned()
}
