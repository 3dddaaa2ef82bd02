//! How much a tenant may send, lest WhatsApp take its account for a machine that writes to everybody. Pure: time comes in. Owns the limits,
//! their bounds, and the count of what was sent; sends nothing.
//!
//! Each limit is a bucket that leaks evenly: as many at once as it has room for, and then so many in its time. A bucket is one number,
//! the time at which it is empty, so that it is counted anew from the outbox after a restart.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// So much of a bucket stays free for answers: notices do not use it.
const RESERVE: u32 = 5;

/// A young number begins with so much of its day, in percent.
const YOUNG_PERCENT: i64 = 50;

/// Recipients and texts that are remembered before those are forgotten whose buckets are empty.
const MANY: usize = 1_000;

/// The longest rest after WhatsApp has said that it is too much, in first rests.
const LONGEST_REST: i64 = 30;

/// What an owner may set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PacingSettings {
    pub enabled: bool,
    pub per_minute: u32,
    pub per_hour: u32,
    pub per_day: u32,
    /// People to whom nobody has written before, and who have not written.
    pub new_contacts_per_day: u32,
    /// The same text, in messages that answer nobody.
    pub same_text_per_hour: u32,
    pub per_recipient_per_hour: u32,
    /// A number that has been here for less is young.
    pub warm_up_days: u32,
}

impl Default for PacingSettings {
    /// The limits of the service before; it had none for new contacts.
    fn default() -> Self {
        Self {
            enabled: true,
            per_minute: 25,
            per_hour: 150,
            per_day: 1_000,
            new_contacts_per_day: 50,
            same_text_per_hour: 10,
            per_recipient_per_hour: 50,
            warm_up_days: 14,
        }
    }
}

impl PacingSettings {
    /// Each setting by its name, with its bounds.
    pub fn ranges(&self) -> [(&'static str, u32, u32, u32); 7] {
        [
            ("perMinute", self.per_minute, 1, 10_000),
            ("perHour", self.per_hour, 1, 100_000),
            ("perDay", self.per_day, 1, 1_000_000),
            ("newContactsPerDay", self.new_contacts_per_day, 1, 100_000),
            ("sameTextPerHour", self.same_text_per_hour, 1, 100_000),
            ("perRecipientPerHour", self.per_recipient_per_hour, 1, 100_000),
            ("warmUpDays", self.warm_up_days, 0, 365),
        ]
    }
}

/// Why a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    PerMinute,
    PerHour,
    PerDay,
    NewContacts,
    SameText,
    PerRecipient,
    /// WhatsApp lets the account write to nobody new.
    WhatsappTimelock,
    /// WhatsApp lets it write to few new ones more.
    WhatsappNewChats,
    /// WhatsApp said that it is too much.
    WhatsappSlowDown,
}

impl HeldBy {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::PerMinute => "the limit of messages a minute",
            Self::PerHour => "the limit of messages an hour",
            Self::PerDay => "the limit of messages a day",
            Self::NewContacts => "the limit of new contacts a day",
            Self::SameText => "the limit of the same text an hour",
            Self::PerRecipient => "the limit of messages to one person an hour",
            Self::WhatsappTimelock => "WhatsApp keeps the account from writing to people who never wrote to it",
            Self::WhatsappNewChats => "WhatsApp allows the account few new chats more",
            Self::WhatsappSlowDown => "WhatsApp says that it is too much",
        }
    }
}

/// What keeps a message back, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Held {
    pub reason: HeldBy,
    /// Not before then; milliseconds since 1970.
    #[serde(rename = "untilMs")]
    pub until_ms: i64,
}

/// What counts of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Of the chat.
    pub recipient: u64,
    /// Of the text; 0: it has none.
    pub text: u64,
    /// It answers nobody: news of an order, what a program sends.
    pub is_notice: bool,
    /// Nobody has written in the chat before.
    pub is_first_contact: bool,
}

/// A name of a chat as a number, for this process.
pub fn recipient(chat: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    chat.hash(&mut hasher);
    hasher.finish()
}

/// So many in so long.
#[derive(Debug, Clone, Copy)]
struct Limit {
    count: u32,
    span_ms: i64,
}

/// When it is empty, microseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket(i64);

impl Limit {
    fn one_us(self) -> i64 {
        self.span_ms.saturating_mul(1_000) / i64::from(self.count.max(1))
    }
}

impl Bucket {
    /// When the `nth` message from now on fits in beside `reserve` others, milliseconds since 1970.
    fn fits_at(self, limit: Limit, nth: u32, reserve: u32) -> i64 {
        let room = i64::from(nth).saturating_add(reserve.into());
        let at_us = self.0.saturating_add(limit.one_us().saturating_mul(room)).saturating_sub(limit.span_ms * 1_000);
        at_us.saturating_add(999) / 1_000
    }

    fn take(&mut self, limit: Limit, now_ms: i64) {
        self.0 = self.0.max(now_ms.saturating_mul(1_000)).saturating_add(limit.one_us());
    }

    fn is_empty(self, now_ms: i64) -> bool {
        self.0 <= now_ms.saturating_mul(1_000)
    }
}

/// How many messages may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendingAllowance {
    pub minute: u32,
    pub hour: u32,
    pub day: u32,
    pub is_young: bool,
}

/// What a tenant has sent, as far as it counts.
#[derive(Debug)]
pub struct Pacing {
    settings: PacingSettings,
    /// Since when the number is here, milliseconds since 1970.
    since_ms: i64,
    minute: Bucket,
    hour: Bucket,
    day: Bucket,
    new_contacts: Bucket,
    recipients: HashMap<u64, Bucket>,
    texts: HashMap<u64, Bucket>,
}

/// WhatsApp's word that it is too much (429): nothing is sent for a while, and twice as long when it says so again after that. It holds
/// for all of a tenant's messages, whether its owner limits them or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlowDown {
    until_ms: i64,
    rest_ms: i64,
}

impl SlowDown {
    /// It was said. `first_ms`: the first rest. What was on its way when it was said before is answered with the same word, which is no
    /// news.
    pub fn hear(&mut self, first_ms: i64, now_ms: i64) {
        if self.check(now_ms).is_err() {
            return;
        }
        let longest = first_ms.saturating_mul(LONGEST_REST);
        let is_again = self.rest_ms > 0 && now_ms.saturating_sub(self.until_ms) < longest;
        self.rest_ms = if is_again { self.rest_ms.saturating_mul(2).clamp(first_ms, longest) } else { first_ms };
        self.until_ms = now_ms.saturating_add(self.rest_ms);
    }

    pub fn check(&self, now_ms: i64) -> Result<(), Held> {
        // Further away than it was said to be: the clock was corrected.
        let left = self.until_ms.saturating_sub(now_ms);
        if left <= 0 || left > self.rest_ms {
            return Ok(());
        }
        Err(Held { reason: HeldBy::WhatsappSlowDown, until_ms: self.until_ms })
    }
}

impl Pacing {
    pub fn new(settings: PacingSettings, since_ms: i64) -> Self {
        Self {
            settings,
            since_ms,
            minute: Bucket::default(),
            hour: Bucket::default(),
            day: Bucket::default(),
            new_contacts: Bucket::default(),
            recipients: HashMap::new(),
            texts: HashMap::new(),
        }
    }

    /// An error says what keeps it back longest. Counts nothing.
    pub fn check(&self, parcel: Parcel, now_ms: i64) -> Result<(), Held> {
        let reserve = |limit: Limit| if parcel.is_notice { limit.count / RESERVE } else { 0 };
        let of = |buckets: &HashMap<u64, Bucket>, key: u64| buckets.get(&key).copied().unwrap_or_default();
        let (minute, hour, day) = (self.per_minute(), self.per_hour(), self.per_day(now_ms));
        let recipient = of(&self.recipients, parcel.recipient);
        let mut waits = vec![
            (HeldBy::PerMinute, self.minute.fits_at(minute, 1, reserve(minute))),
            (HeldBy::PerHour, self.hour.fits_at(hour, 1, reserve(hour))),
            (HeldBy::PerDay, self.day.fits_at(day, 1, reserve(day))),
            (HeldBy::PerRecipient, recipient.fits_at(self.per_recipient(), 1, 0)),
        ];
        if parcel.is_notice && parcel.text != 0 {
            waits.push((HeldBy::SameText, of(&self.texts, parcel.text).fits_at(self.same_text(), 1, 0)));
        }
        if self.is_new(parcel, now_ms) {
            waits.push((HeldBy::NewContacts, self.new_contacts.fits_at(self.new_per_day(now_ms), 1, 0)));
        }
        let held = waits.into_iter().filter(|(_, at)| *at > now_ms).max_by_key(|(_, at)| *at);
        held.map_or(Ok(()), |(reason, until_ms)| Err(Held { reason, until_ms }))
    }

    /// Counts a message that leaves, or left then.
    pub fn count(&mut self, parcel: Parcel, now_ms: i64) {
        if self.is_new(parcel, now_ms) {
            self.new_contacts.take(self.new_per_day(now_ms), now_ms);
        }
        self.minute.take(self.per_minute(), now_ms);
        self.hour.take(self.per_hour(), now_ms);
        self.day.take(self.per_day(now_ms), now_ms);
        let (per_recipient, same_text) = (self.per_recipient(), self.same_text());
        self.recipients.entry(parcel.recipient).or_default().take(per_recipient, now_ms);
        if parcel.is_notice && parcel.text != 0 {
            self.texts.entry(parcel.text).or_default().take(same_text, now_ms);
        }
        for buckets in [&mut self.recipients, &mut self.texts] {
            if buckets.len() > MANY {
                buckets.retain(|_, bucket| !bucket.is_empty(now_ms));
            }
        }
    }

    /// What may leave in a minute, an hour and a day, and whether that is less than its owner has set, since the number is young.
    pub fn allowance(&self, now_ms: i64) -> SendingAllowance {
        SendingAllowance {
            minute: self.per_minute().count,
            hour: self.per_hour().count,
            day: self.per_day(now_ms).count,
            is_young: self.warmth(now_ms) < 100,
        }
    }

    /// When the first message to one more stranger leaves, behind so many that wait already.
    pub fn stranger_leaves_at(&self, waiting: usize, now_ms: i64) -> i64 {
        let nth = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(1);
        self.new_contacts.fits_at(self.new_per_day(now_ms), nth, 0).max(now_ms)
    }

    /// Whoever was just written to is no stranger, though nobody else knows that yet.
    fn is_new(&self, parcel: Parcel, now_ms: i64) -> bool {
        parcel.is_first_contact && self.recipients.get(&parcel.recipient).is_none_or(|bucket| bucket.is_empty(now_ms))
    }

    /// Percent of its day that the number may use by now: half at first, all after the days of its warm-up.
    fn warmth(&self, now_ms: i64) -> i64 {
        let days = i64::from(self.settings.warm_up_days);
        let age_ms = now_ms.saturating_sub(self.since_ms).max(0);
        if days == 0 || age_ms >= days * DAY_MS {
            return 100;
        }
        YOUNG_PERCENT + (100 - YOUNG_PERCENT) * age_ms / (days * DAY_MS)
    }

    fn warmed(&self, count: u32, now_ms: i64) -> u32 {
        u32::try_from(i64::from(count) * self.warmth(now_ms) / 100).unwrap_or(u32::MAX).max(1)
    }

    fn per_minute(&self) -> Limit {
        Limit { count: self.settings.per_minute, span_ms: MINUTE_MS }
    }

    fn per_hour(&self) -> Limit {
        Limit { count: self.settings.per_hour, span_ms: HOUR_MS }
    }

    fn per_day(&self, now_ms: i64) -> Limit {
        Limit { count: self.warmed(self.settings.per_day, now_ms), span_ms: DAY_MS }
    }

    fn new_per_day(&self, now_ms: i64) -> Limit {
        Limit { count: self.warmed(self.settings.new_contacts_per_day, now_ms), span_ms: DAY_MS }
    }

    fn per_recipient(&self) -> Limit {
        Limit { count: self.settings.per_recipient_per_hour, span_ms: HOUR_MS }
    }

    fn same_text(&self) -> Limit {
        Limit { count: self.settings.same_text_per_hour, span_ms: HOUR_MS }
    }
}
