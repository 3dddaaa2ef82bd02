//! The bot at work: what customers write to a tenant, answered by the pure engine ([`super::conversation`]).
//!
//! Owns each tenant's menu and settings, the conversations, the orders, and the bot's place in the tenant's event log. A consumer of that
//! log, as webhooks are. Promises: what one turn decides (what is kept of the chat, its place, the replies, the orders, their events) is
//! one change, so whatever dies, each message is answered once and each order is placed once; while the vault does not answer nothing is
//! decided; a conversation that breaks costs its own chat alone; any message of the tenant's own that no bot decided silences
//! the bot in that chat, with what it had not yet sent there.
//!
//! Never sends: replies go into the outbox, which the courier carries. Orders are shown as documents by [`projection`], by the marks that
//! their changes leave.

mod asking;
mod busy;
mod desk;
mod fetching;
mod gathering;
mod hearing;
mod model_client;
mod order_steps;
mod projection;
mod records;
mod turn;
mod turn_cause;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use ulid::Ulid;

pub use self::model_client::ModelClient;
pub use self::records::{ConversationRecord, OrderRecord, Versioned};
use self::{
    busy::BusyDesks,
    desk::{BotCommand, BotDesk},
};
use super::{
    conversation::{self, Restaurant, Silence, Tried},
    menu::Menu,
    order::OrderStage,
    restaurant::RestaurantSettings,
};
use crate::{
    clock::Clock,
    config,
    fleet::SessionObserver,
    journal::ChangeNo,
    message::Feed,
    outbound::{Outbound, TargetError},
    session::Session,
    store::StoreError,
    sync::lock,
    tenant::TenantId,
};

/// How long the vault may take for what somebody changes.
const VAULT_PATIENCE: Duration = Duration::from_secs(5);

/// How long a desk may take for it: one turn, and its writes.
const DESK_PATIENCE: Duration = Duration::from_secs(20);

/// Orders that one request looks at, to find those of a stage.
const MAX_LOOKED_AT: usize = 2_000;

/// All bots of this process.
pub struct Bots {
    shared: Arc<BotContext>,
    /// A channel has room for 32 of its items from the start, in each session: so they are boxed.
    desks: Mutex<HashMap<TenantId, mpsc::Sender<Box<BotCommand>>>>,
}

/// What all bots share.
struct BotContext {
    feed: Feed,
    clock: Arc<dyn Clock>,
    settings: config::Bot,
    /// To external bots.
    outbound: Outbound,
    model: Option<ModelClient>,
    /// Conversations that broke and are not mended, as far as this process has met them.
    broken: AtomicU64,
    busy: BusyDesks,
}

/// Why something about a bot was not done.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    #[error("there is version {current} now")]
    WrongVersion { current: u64 },
    #[error("there is no such order")]
    NoOrder,
    #[error("an order that is {from} cannot become {to}")]
    NoStep { from: &'static str, to: &'static str },
    #[error("the order waits for no payment")]
    NoPaymentAwaited,
    #[error("the engine broke")]
    EngineBroke,
    #[error("the conversation is none of the bot's")]
    Conversation(serde_json::Error),
    /// The session is not open, or just ends.
    #[error("the session is not open")]
    Closed,
    /// Nothing was done.
    #[error("the vault does not answer")]
    VaultDown,
    /// It is in force, and goes to the vault when it answers.
    #[error("the vault has not confirmed it yet")]
    NotDurable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conversation, for those who look.
pub struct ShownConversation {
    /// A jid.
    pub chat: String,
    pub record: ConversationRecord,
    /// Why the bot is silent here for good.
    pub broken: Option<String>,
    /// Why it is silent here now, and until when.
    pub silence: Option<Silence>,
}

impl ShownConversation {
    fn new(chat: String, stored: records::StoredChat, now: Timestamp) -> Self {
        let silence = stored.record.conversation.silence(now).cloned();
        let broken = stored.unreadable.or_else(|| stored.record.broken.clone());
        Self { chat, record: stored.record, broken, silence }
    }
}

/// What a desk has done, and the change to wait for.
type Changed<T> = Result<(T, ChangeNo), BotError>;

impl Bots {
    /// `model`: reads what the parser could not, for tenants that want that.
    pub fn new(
        feed: Feed,
        clock: Arc<dyn Clock>,
        settings: config::Bot,
        outbound: Outbound,
        model: Option<ModelClient>,
    ) -> Arc<Self> {
        let (broken, busy) = (AtomicU64::new(0), BusyDesks::default());
        let shared = Arc::new(BotContext { feed, clock, settings, outbound, model, broken, busy });
        Arc::new(Self { shared, desks: Mutex::default() })
    }

    /// Conversations that broke and wait for somebody.
    pub fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Tenants whose desks have been at the same work for too long, and answer nobody meanwhile.
    pub fn stuck_tenants(&self) -> Vec<TenantId> {
        self.shared.busy.stuck(Instant::now())
    }

    /// Whether an external bot may be asked there, or a rule's file fetched. What its host stands for is decided at the connection.
    pub fn check_url(&self, url: &str) -> Result<Url, TargetError> {
        self.shared.outbound.check(url)
    }

    pub async fn menu(&self, session: &Session) -> Result<Versioned<Menu>, BotError> {
        Ok(records::menu(session.store()).await?)
    }

    pub async fn settings(&self, session: &Session) -> Result<Versioned<RestaurantSettings>, BotError> {
        Ok(records::settings(session.store()).await?)
    }

    /// Replaces the menu, which must be valid; `expected`: the version that it replaces. In force for the next message.
    pub async fn put_menu(
        &self,
        session: &Session,
        menu: Menu,
        expected: Option<u64>,
    ) -> Result<Versioned<Menu>, BotError> {
        self.change(session, |answer| BotCommand::PutMenu { menu, expected, answer }).await
    }

    /// The same of the settings. Switched on, the bot answers what comes from then on.
    pub async fn put_settings(
        &self,
        session: &Session,
        settings: RestaurantSettings,
        expected: Option<u64>,
    ) -> Result<Versioned<RestaurantSettings>, BotError> {
        self.change(session, |answer| BotCommand::PutSettings { settings: Box::new(settings), expected, answer }).await
    }

    /// Takes the menu and the settings away: the bot is off, as it was before anybody wrote some.
    pub async fn forget(&self, session: &Session) -> Result<(), BotError> {
        if is_written(self.settings(session).await)? {
            self.put_settings(session, records::no_settings().value, None).await?;
        }
        if is_written(self.menu(session).await)? {
            self.put_menu(session, records::no_menu().value, None).await?;
        }
        Ok(())
    }

    /// What the bot would answer; as if it were switched on. Touches no customer and no order. `conversation`: as the last such answer
    /// gave it.
    pub async fn try_out(&self, session: &Session, text: &str, conversation: Option<Value>) -> Result<Tried, BotError> {
        let before = conversation.map(serde_json::from_value).transpose().map_err(BotError::Conversation)?;
        let (menu, settings) = tokio::try_join!(self.menu(session), self.settings(session))?;
        let settings = RestaurantSettings { active: true, ..settings.value };
        let restaurant = self.shared.restaurant(menu.value.clone(), settings).await?;
        let (before, text) = (before.unwrap_or_default(), text.to_owned());
        let (known, moment) = (restaurant.clone(), turn::moment(&*self.shared.clock, None));
        let trying = tokio::task::spawn_blocking(move || conversation::try_text(&known, before, &text, moment));
        let tried = trying.await.map_err(|_| BotError::EngineBroke)?;
        // Of this text, and of a tenant that wants it: see `try_text`.
        let unread = tried.conversation.unread().map(|unread| unread.text().to_owned());
        let Some(unread) = unread else { return Ok(tried) };
        let lines = match &self.shared.model {
            Some(model) => model.ask(&menu.value, &unread).await,
            None => Vec::new(),
        };
        let moment = turn::moment(&*self.shared.clock, None);
        let trying =
            tokio::task::spawn_blocking(move || conversation::try_model_answer(&restaurant, tried, &lines, moment));
        trying.await.map_err(|_| BotError::EngineBroke)
    }

    /// Conversations after a chat, in the order of their names.
    pub async fn conversations(
        &self,
        session: &Session,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ShownConversation>, BotError> {
        let found = records::conversations(session.store(), after, limit).await?;
        let now = self.shared.clock.now();
        Ok(found.into_iter().map(|(chat, stored)| ShownConversation::new(chat, stored, now)).collect())
    }

    /// The conversation of a chat, whichever of its names is given. One that the bot has not met is empty.
    pub async fn conversation(&self, session: &Session, chat: &str) -> Result<ShownConversation, BotError> {
        let names = session.store().names(chat).await?;
        let stored = records::conversation(session.store(), &names).await?;
        let chat = names.into_iter().next().unwrap_or_else(|| chat.to_owned());
        Ok(ShownConversation::new(chat, stored, self.shared.clock.now()))
    }

    /// A human takes the chat over: the bot is silent there, and what it has not sent is not sent.
    pub async fn take(&self, session: &Session, chat: String) -> Result<(), BotError> {
        self.change(session, |answer| BotCommand::Take { chat, answer }).await
    }

    /// The bot answers there again; a conversation that broke begins anew.
    pub async fn give_back(&self, session: &Session, chat: String) -> Result<(), BotError> {
        self.change(session, |answer| BotCommand::GiveBack { chat, answer }).await
    }

    /// Orders before a key, the newest first; and the key to go on at, if there may be more.
    pub async fn orders(
        &self,
        session: &Session,
        stage: Option<OrderStage>,
        limit: usize,
        mut before: Option<Ulid>,
    ) -> Result<(Vec<OrderRecord>, Option<Ulid>), BotError> {
        const PAGE: usize = 100;
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = records::orders(session.store(), before, PAGE).await?;
            let is_last = page.is_empty();
            looked_at += page.len();
            for (key, record) in page {
                before = Some(key);
                if stage.is_none_or(|stage| record.order.stage == stage) {
                    found.push(record);
                }
                if found.len() == limit {
                    return Ok((found, before));
                }
            }
            if is_last {
                return Ok((found, None));
            }
            if looked_at >= MAX_LOOKED_AT {
                return Ok((found, before));
            }
        }
    }

    pub async fn order(&self, session: &Session, id: &str) -> Result<OrderRecord, BotError> {
        let found = records::order(session.store(), id).await?;
        found.map(|(_, record)| record).ok_or(BotError::NoOrder)
    }

    /// The kitchen moves an order on; the customer is told, as the restaurant has it set.
    pub async fn move_order(&self, session: &Session, id: String, to: OrderStage) -> Result<OrderRecord, BotError> {
        self.change(session, |answer| BotCommand::Move { id, to, answer }).await
    }

    /// An order that waits for its payment is paid. One that is paid already stays so.
    pub async fn note_payment(&self, session: &Session, id: String) -> Result<OrderRecord, BotError> {
        self.change(session, |answer| BotCommand::NotePayment { id, answer }).await
    }

    /// Has a desk do something, and waits until the vault has it.
    async fn change<T>(
        &self,
        session: &Session,
        command: impl FnOnce(oneshot::Sender<Changed<T>>) -> BotCommand,
    ) -> Result<T, BotError> {
        let desk = self.desks().get(session.tenant()).cloned().ok_or(BotError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let sent =
            timeout(DESK_PATIENCE, desk.send(Box::new(command(answer)))).await.map_err(|_| BotError::VaultDown)?;
        sent.map_err(|_| BotError::Closed)?;
        // Whether it is done then shows later.
        let answered = timeout(DESK_PATIENCE, answered).await.map_err(|_| BotError::NotDurable)?;
        let (done, change) = answered.map_err(|_| BotError::Closed)??;
        match timeout(VAULT_PATIENCE, session.settled(change)).await {
            Ok(Ok(())) => Ok(done),
            _ => Err(BotError::NotDurable),
        }
    }

    fn desks(&self) -> MutexGuard<'_, HashMap<TenantId, mpsc::Sender<Box<BotCommand>>>> {
        lock(&self.desks)
    }
}

impl SessionObserver for Bots {
    fn opened(&self, session: &Session) {
        let (commands, received) = mpsc::channel(8);
        let mut desks = self.desks();
        // Those of sessions that have ended: their tenants may be gone.
        desks.retain(|_, desk| !desk.is_closed());
        desks.insert(session.tenant().clone(), commands.clone());
        drop(desks);
        let desk = Box::new(BotDesk::new(session.clone(), self.shared.clone()));
        session.attend(projection::run(session.clone(), desk.order_changes()));
        session.attend(asking::run(session.clone(), self.shared.clone(), commands, desk.asks()));
        session.attend(desk.run(received));
    }
}

/// One that does not parse is written too.
fn is_written<T>(kept: Result<Versioned<T>, BotError>) -> Result<bool, BotError> {
    match kept {
        Ok(kept) => Ok(kept.version > 0),
        Err(BotError::Store(StoreError::Setting { .. })) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The word of a stage, as the kitchen's page has it.
fn word(stage: OrderStage) -> &'static str {
    match stage {
        OrderStage::Pendiente => "pendiente",
        OrderStage::Cocinando => "cocinando",
        OrderStage::Listo => "listo",
        OrderStage::Entregado => "entregado",
        OrderStage::Cancelado => "cancelado",
    }
}

impl BotContext {
    /// A menu and its settings, ready for messages. Some milliseconds of work.
    async fn restaurant(&self, menu: Menu, mut settings: RestaurantSettings) -> Result<Arc<Restaurant>, BotError> {
        // Where the operator has none, a tenant's wish for one is not heard.
        settings.language_model &= self.model.is_some();
        let made = tokio::task::spawn_blocking(move || Restaurant::new(super::Parser::new(menu), settings));
        made.await.map(Arc::new).map_err(|_| BotError::EngineBroke)
    }
}
