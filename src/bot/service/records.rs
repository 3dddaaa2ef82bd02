//! What the bot keeps in the tenant's state: conversations, orders, menu, settings, and its place in the events. Owns the forms in
//! which they are written, and what is read back; a record that does not parse is an error, never an absence.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use ulid::Ulid;

use super::hearing::HeardEvent;
pub use crate::bot::owner_records::{Versioned, no_menu, no_settings};
use crate::{
    bot::{
        conversation::ConversationState,
        menu::Menu,
        order::Order,
        owner_records::{MENU, PLACE, SETTINGS},
        restaurant::RestaurantSettings,
        rules::FiledReply,
    },
    message::{ClosedOrders, EventId},
    store::{
        Batch, Store, StoreError,
        key::{self, Key},
        parse_setting, space,
    },
};

/// Within [`space::BOT`], then an order's key and its revision: what [`super::projection`] has to write. Behind the other names there.
const UNPROJECTED: &str = "unprojected/";

/// Within [`space::BOT`], then a key: what the external bot or the language model is asked.
const ASKED: &str = "asked/";

/// The one that a question is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Respondent {
    #[default]
    ExternalBot,
    LanguageModel,
    /// Whoever has a rule's files.
    FileHosts,
}

/// A question that the engine wants asked elsewhere, until it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskRecord {
    /// The conversation knows it by this.
    pub id: String,
    /// An older build asked external bots alone.
    #[serde(default)]
    pub of: Respondent,
    /// A jid.
    pub chat: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub texts: Vec<String>,
    /// Of rules; each is said with its file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FiledReply>,
    /// A human is called with the answer.
    #[serde(default)]
    pub human: bool,
    pub asked_at: Timestamp,
}

/// How far the bot has come in the tenant's events. A chat's own place is in its conversation, and is ahead of this one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BotPlace {
    /// Every event up to here is done.
    pub cursor: Option<EventId>,
    /// When it was switched on: what is older is nobody's to answer.
    pub since: Timestamp,
    /// Up to here only the owner's words count: it was off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners_until: Option<EventId>,
}

/// A chat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConversationRecord {
    pub conversation: ConversationState,
    /// Every event of this chat up to here is done.
    pub seen: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// The id of the bot's last reply here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// The last turn, if it can be taken anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_turn: Option<Box<OpenTurn>>,
    /// As WhatsApp shows the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The engine broke on it: the bot says nothing more here until somebody gives the chat back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// A turn that did nothing but reply, and whose replies take their time: while none of them has left, it is taken anew together with what
/// the customer writes meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTurn {
    /// When it was taken first.
    pub since: Timestamp,
    pub events: Vec<HeardEvent>,
    /// As everything was before it.
    pub before: ConversationState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_before: Option<String>,
    /// Ids of what it says.
    pub replies: Vec<String>,
}

/// The part of a conversation that is read although the rest does not parse.
#[derive(Debug, Default, Deserialize)]
struct Outline {
    #[serde(default)]
    seen: Option<EventId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderRecord {
    pub order: Order,
    /// What the restaurant called itself then.
    pub restaurant: String,
    pub updated_at: Timestamp,
    /// Counts its changes; 0: an older build wrote it.
    #[serde(default)]
    pub revision: u64,
}

/// A change of an order that is to be shown elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionMark {
    pub order: Ulid,
    pub revision: u64,
}

impl ProjectionMark {
    fn key(self) -> Key {
        key::text(&format!("{UNPROJECTED}{}/{:020}", self.order, self.revision))
    }

    fn parse(key: &[u8]) -> Option<Self> {
        let (order, revision) = std::str::from_utf8(key).ok()?.strip_prefix(UNPROJECTED)?.split_once('/')?;
        Some(Self { order: order.parse().ok()?, revision: revision.parse().ok()? })
    }
}

pub async fn menu(store: &Store) -> Result<Versioned<Menu>, StoreError> {
    Ok(setting(store, MENU).await?.unwrap_or_else(no_menu))
}

pub async fn settings(store: &Store) -> Result<Versioned<RestaurantSettings>, StoreError> {
    Ok(setting(store, SETTINGS).await?.unwrap_or_else(no_settings))
}

pub async fn place(store: &Store) -> Result<BotPlace, StoreError> {
    Ok(setting(store, PLACE).await?.unwrap_or_default())
}

async fn setting<T: DeserializeOwned>(store: &Store, name: &'static str) -> Result<Option<T>, StoreError> {
    let stored = store.get(space::BOT, &key::text(name)).await?;
    stored.map(|stored| parse_setting(name, &stored)).transpose()
}

pub fn put_menu(batch: &mut Batch, menu: &Versioned<Menu>) {
    batch.put(space::BOT, key::text(MENU), plain(menu));
}

pub fn put_settings(batch: &mut Batch, settings: &Versioned<RestaurantSettings>) {
    batch.put(space::BOT, key::text(SETTINGS), plain(settings));
}

pub fn put_place(batch: &mut Batch, place: &BotPlace) {
    batch.put(space::BOT, key::text(PLACE), plain(place));
}

/// A chat as it is stored, under whichever of its names.
#[derive(Default)]
pub struct StoredChat {
    pub record: ConversationRecord,
    /// Why the record does not parse.
    pub unreadable: Option<String>,
    /// Names under which it is not to be found any more.
    pub former: Vec<String>,
}

/// The conversation of a chat that has these names. It may have begun before the first of them was known.
pub async fn conversation(store: &Store, names: &[String]) -> Result<StoredChat, StoreError> {
    let mut found: Option<StoredChat> = None;
    let mut former = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let Some(stored) = store.get(space::BOT_CONVERSATIONS, &key::text(name)).await? else { continue };
        if at > 0 {
            former.push(name.clone());
        }
        let read = read_conversation(&stored);
        match &mut found {
            None => found = Some(read),
            Some(first) => *first = joined(std::mem::take(first), read),
        }
    }
    let mut found = found.unwrap_or_default();
    found.former = former;
    Ok(found)
}

/// It was talked with under both names: what was said last counts, nothing that was promised under the other is lost, and nothing is
/// answered twice. While one of the two does not parse, the chat is as broken as that one.
fn joined(one: StoredChat, other: StoredChat) -> StoredChat {
    let is_later = other.record.updated_at > one.record.updated_at;
    let (later, earlier) = if is_later { (other, one) } else { (one, other) };
    let (now, before) = (later.record, earlier.record);
    let record = ConversationRecord {
        conversation: now.conversation.joined_with(before.conversation),
        seen: now.seen.max(before.seen),
        wake_at: now.wake_at.into_iter().chain(before.wake_at).min(),
        updated_at: now.updated_at,
        told: now.told.or(before.told),
        open_turn: None,
        name: now.name.or(before.name),
        broken: now.broken.or(before.broken),
    };
    StoredChat { record, unreadable: later.unreadable.or(earlier.unreadable), former: Vec::new() }
}

fn read_conversation(stored: &[u8]) -> StoredChat {
    match serde_json::from_slice(stored) {
        Ok(record) => StoredChat { record, unreadable: None, former: Vec::new() },
        Err(error) => {
            let Outline { seen } = serde_json::from_slice(stored).unwrap_or_default();
            // Where, not what: a customer's words are in it.
            let reason = format!("the record does not parse (line {}, column {})", error.line(), error.column());
            let record = ConversationRecord { seen, ..ConversationRecord::default() };
            StoredChat { record, unreadable: Some(reason), former: Vec::new() }
        }
    }
}

pub fn put_conversation(batch: &mut Batch, chat: &str, former: &[String], record: &ConversationRecord) {
    former.iter().for_each(|name| batch.delete(space::BOT_CONVERSATIONS, key::text(name)));
    batch.put(space::BOT_CONVERSATIONS, key::text(chat), plain(record));
}

/// Conversations after a chat, in the order of the names.
pub async fn conversations(
    store: &Store,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, StoredChat)>, StoreError> {
    const PAGE_BYTES: usize = 1 << 20;
    let after = after.map(key::text);
    let page = store.page(space::BOT_CONVERSATIONS, after.as_deref(), limit, PAGE_BYTES).await?;
    let chat =
        |(key, value): &(Key, bytes::Bytes)| Some((String::from_utf8(key.to_vec()).ok()?, read_conversation(value)));
    Ok(page.iter().filter_map(chat).collect())
}

/// Whether an order has these six digits, a former account's as well.
pub async fn is_order_id_taken(store: &Store, id: &str) -> Result<bool, StoreError> {
    Ok(store.get(space::BOT_ORDER_IDS, &key::text(id)).await?.is_some())
}

/// The key of an order that is placed now.
pub async fn next_order_key(store: &Store, now: Timestamp) -> Result<Ulid, StoreError> {
    Ok(ClosedOrders::read(store).await?.key_behind(Ulid::from_datetime(now.into())))
}

/// The order that people call by these six digits; with its key. `None` as well: it is a former account's.
pub async fn order(store: &Store, id: &str) -> Result<Option<(Ulid, OrderRecord)>, StoreError> {
    let Some(key) = store.get(space::BOT_ORDER_IDS, &key::text(id)).await? else { return Ok(None) };
    let Some(ulid) = parse_ulid(&key) else { return Ok(None) };
    if ClosedOrders::read(store).await?.has(ulid) {
        return Ok(None);
    }
    let stored = store.get(space::BOT_ORDERS, &ulid.to_bytes()).await?;
    let record = stored.map(|stored| parse_setting("order", &stored)).transpose()?;
    Ok(record.map(|record| (ulid, record)))
}

/// Orders before a key, the newest first; none: there are no more. What does not parse is passed over, and told; so are a former account's,
/// without a word.
pub async fn orders(store: &Store, before: Option<Ulid>, limit: usize) -> Result<Vec<(Ulid, OrderRecord)>, StoreError> {
    let closed = ClosedOrders::read(store).await?;
    let mut before = before.map(|before| Key::from(before.to_bytes()));
    loop {
        let page = store.scan_back(space::BOT_ORDERS, before.as_deref(), limit).await?;
        let Some((oldest, _)) = page.last() else { return Ok(Vec::new()) };
        before = Some(oldest.clone());
        let found: Vec<_> = page.iter().filter_map(|(key, value)| read_order(key, value, &closed)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

fn read_order(key: &[u8], value: &[u8], closed: &ClosedOrders) -> Option<(Ulid, OrderRecord)> {
    let ulid = parse_ulid(key).filter(|ulid| !closed.has(*ulid))?;
    match serde_json::from_slice(value) {
        Ok(record) => Some((ulid, record)),
        Err(error) => {
            tracing::error!(
                event = "order_damaged",
                order = %ulid,
                line = error.line(),
                column = error.column(),
                "an order does not parse"
            );
            None
        }
    }
}

pub fn put_order(batch: &mut Batch, key: Ulid, record: &OrderRecord) {
    batch.put(space::BOT_ORDERS, key.to_bytes(), plain(record));
    batch.put(space::BOT_ORDER_IDS, key::text(&record.order.id), key.to_bytes().to_vec());
}

/// The same by its key.
pub async fn order_at(store: &Store, key: Ulid) -> Result<Option<OrderRecord>, StoreError> {
    let stored = store.get(space::BOT_ORDERS, &key.to_bytes()).await?;
    stored.map(|stored| parse_setting("order", &stored)).transpose()
}

/// Notes in the same change that an order has changed.
pub fn mark_for_projection(batch: &mut Batch, order: Ulid, revision: u64) {
    batch.put(space::BOT, ProjectionMark { order, revision }.key(), b"1".to_vec());
}

/// Those after a mark, the oldest orders' first.
pub async fn projection_marks(
    store: &Store,
    after: Option<ProjectionMark>,
    limit: usize,
) -> Result<Vec<ProjectionMark>, StoreError> {
    let after = after.map_or_else(|| key::text(UNPROJECTED), ProjectionMark::key);
    let page = store.scan(space::BOT, Some(&*after), limit).await?;
    Ok(page.iter().map_while(|(key, _)| ProjectionMark::parse(key)).collect())
}

/// Nobody waits for it: one that is found again is written again.
pub async fn remove_projection_mark(store: &Store, mark: ProjectionMark) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.delete(space::BOT, mark.key());
    store.write(batch).await?;
    Ok(())
}

pub fn put_ask(batch: &mut Batch, key: Ulid, ask: &AskRecord) {
    batch.put(space::BOT, ask_key(key), plain(ask));
}

pub fn remove_ask(batch: &mut Batch, key: Ulid) {
    batch.delete(space::BOT, ask_key(key));
}

/// Some questions to others, the oldest first.
pub struct AskPage {
    pub asks: Vec<(Ulid, AskRecord)>,
    /// Where there may be more: the key after which they are.
    pub next: Option<Ulid>,
}

/// Questions after a key. What does not parse is passed over, and told.
pub async fn asks(store: &Store, after: Option<Ulid>, limit: usize) -> Result<AskPage, StoreError> {
    let after = after.map_or_else(|| key::text(ASKED), ask_key);
    let page = store.scan(space::BOT, Some(&*after), limit).await?;
    let asked = page.iter().map_while(|(key, value)| {
        let ulid: Ulid = std::str::from_utf8(key).ok()?.strip_prefix(ASKED)?.parse().ok()?;
        Some((ulid, value))
    });
    let asked: Vec<(Ulid, &bytes::Bytes)> = asked.collect();
    let next = asked.last().filter(|_| asked.len() == limit).map(|(ulid, _)| *ulid);
    let read = |(ulid, value): (Ulid, &bytes::Bytes)| match serde_json::from_slice(value) {
        Ok(record) => Some((ulid, record)),
        Err(error) => {
            tracing::error!(
                event = "question_damaged",
                ask = %ulid,
                line = error.line(),
                column = error.column(),
                "a question does not parse"
            );
            None
        }
    };
    Ok(AskPage { asks: asked.into_iter().filter_map(read).collect(), next })
}

fn ask_key(key: Ulid) -> Key {
    key::text(&format!("{ASKED}{key}"))
}

/// Puts into the batch that some of what nobody needs any more goes, of the oldest orders and of the conversations after `chat`. Gives the
/// chat after which to go on; `None`: from the beginning.
pub async fn trim(
    store: &Store,
    batch: &mut Batch,
    after: Option<&str>,
    conversations_before: Timestamp,
    orders_before: Timestamp,
) -> Result<Option<String>, StoreError> {
    const STEP: usize = 64;
    for (key, value) in store.scan(space::BOT_ORDERS, None, STEP).await? {
        let Ok(record) = serde_json::from_slice::<OrderRecord>(&value) else { continue };
        // A kitchen that moves no order has as many open ones as it ever had.
        if record.updated_at >= orders_before {
            continue;
        }
        // The digits may be another's by now.
        let digits = key::text(&record.order.id);
        if store.get(space::BOT_ORDER_IDS, &digits).await?.as_deref() == Some(&*key) {
            batch.delete(space::BOT_ORDER_IDS, digits);
        }
        batch.delete(space::BOT_ORDERS, key);
    }
    let page = conversations(store, after, STEP).await?;
    for (chat, stored) in &page {
        let is_idle = stored.unreadable.is_none() && stored.record.updated_at < conversations_before;
        if is_idle && stored.record.wake_at.is_none() {
            batch.delete(space::BOT_CONVERSATIONS, key::text(chat));
        }
    }
    Ok(page.last().filter(|_| page.len() == STEP).map(|(chat, _)| chat.clone()))
}

fn parse_ulid(key: &[u8]) -> Option<Ulid> {
    Some(Ulid::from_bytes(key.try_into().ok()?))
}

fn plain(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record is plain data, which JSON always takes")
}
