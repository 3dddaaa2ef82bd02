//! The owner's settings besides the menu: hours, delivery, payment, the bot's manners. Owns the shapes of the old service's
//! `config/…` nodes and their validation; reads no clock by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{
    Timestamp, ToSpan as _, Zoned,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::pacing::PacingSettings;

use super::{
    external::{ExternalBot, ExternalBotError},
    money::Money,
    payment::PaymentMethod,
    rules::{self, ReplyRule, RuleError},
    texts::{self, Language, TextFlaw},
};

pub const DEFAULT_TIME_ZONE: &str = "America/Bogota";
const MAX_EXCEPTIONS: usize = 400;
const MAX_DELIVERY_MINUTES: u32 = 24 * 60;
const MAX_TAKEOVER_MINUTES: u32 = 7 * 24 * 60;
const MAX_IDLE_MINUTES: u32 = 24 * 60;
const MAX_GATHER_MS: u32 = 30_000;
const MOST_UNITS: u32 = 500;
const MAX_MUTED: usize = 500;
const MAX_NAME_CHARS: usize = 80;
const MAX_ADDRESS_CHARS: usize = 200;
const MAX_BACK_WORD_CHARS: usize = 40;
const MAX_PAGE_URL_CHARS: usize = 500;
/// Customers whom an exception closes out for longer are told no time.
const OPENING_DAYS: i32 = 60;

/// One day's hours as the dashboard writes them: `"11:00"` to `"22:30"`. A close that is not after the open is on the
/// next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayHours {
    pub active: bool,
    pub open: String,
    pub close: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BusinessHours {
    /// Off: always open.
    #[serde(default)]
    pub enabled: bool,
    #[serde(default = "default_time_zone")]
    pub timezone: String,
    /// By English day names, in lower case.
    #[serde(default)]
    pub schedule: BTreeMap<String, DayHours>,
    /// Holidays and other days that are not like their weekday, by date (`2026-12-25`).
    #[serde(default)]
    pub exceptions: BTreeMap<String, DayHours>,
}

fn default_time_zone() -> String {
    DEFAULT_TIME_ZONE.to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryTime {
    /// Minutes.
    pub min: u32,
    pub max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryCost {
    pub cost: Money,
    /// From this subtotal on, delivery is free.
    #[serde(default)]
    pub free_delivery_min: Option<Money>,
    #[serde(default)]
    pub minimum_order: Option<Money>,
}

/// The answer of a bot that does not serve: none, or one text a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unavailability {
    Silent,
    #[default]
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestaurantSettings {
    pub name: String,
    /// The restaurant's own, as customers are told it.
    pub address: String,
    /// The owner's switch.
    pub active: bool,
    /// The tenant's membership has ended; the operator's switch.
    pub suspended: bool,
    pub quick_order_mode: bool,
    pub business_hours: Option<BusinessHours>,
    pub delivery_time: Option<DeliveryTime>,
    pub delivery_cost: Option<DeliveryCost>,
    /// None: customers are not asked.
    pub payment_methods: BTreeSet<PaymentMethod>,
    /// These are paid before the kitchen starts: such an order waits for its payment.
    pub prepay_methods: BTreeSet<PaymentMethod>,
    pub language: Language,
    /// Texts of the owner's own, by their keys; see [`texts::TextKey`].
    pub texts: BTreeMap<String, String>,
    pub delivers: bool,
    /// Customers may fetch their order.
    pub pick_up: bool,
    /// Ask for a phone to call at the door.
    pub ask_contact_phone: bool,
    pub when_closed: Unavailability,
    pub when_off: Unavailability,
    pub when_suspended: Unavailability,
    /// The bot stays silent in a chat for so long after the owner's last message.
    pub takeover_minutes: u32,
    /// The owner writes this into the chat, and the bot is back.
    pub back_word: String,
    /// A conversation without a message for so long is put aside, its basket kept.
    pub idle_minutes: u32,
    /// Messages of one customer within this time are one turn.
    pub gather_ms: u32,
    /// Replies come as a human would write them: read, typed for a while, sent.
    pub humanize: bool,
    /// Answers in a row that brought no order further: then a human looks, lest two bots talk for ever.
    pub loop_guard: u32,
    /// Orders with more units of one dish are for a human.
    pub most_units: u32,
    /// Phones (digits) or jids that the bot never answers.
    pub muted: BTreeSet<String>,
    /// A page that shows how an order gets on; `{token}` stands for the order's token. Empty: none is named.
    pub tracking_url: String,
    /// A page where an order is paid beforehand: `{order}` stands for its six digits, `{total}` for its amount, `{token}` for its token.
    /// Empty: none is named.
    pub payment_link: String,
    /// False: the rules answer, and nobody orders.
    pub takes_orders: bool,
    /// For a tenant that takes no orders; the first that is met answers.
    pub rules: Vec<ReplyRule>,
    /// For the same: it answers where no rule does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_bot: Option<ExternalBot>,
    /// What the parser could not read goes to the operator's language model, if there is one.
    pub language_model: bool,
    /// How much the tenant sends, all in all.
    pub pacing: PacingSettings,
}

impl Default for RestaurantSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            address: String::new(),
            active: false,
            suspended: false,
            quick_order_mode: false,
            business_hours: None,
            delivery_time: None,
            delivery_cost: None,
            payment_methods: BTreeSet::new(),
            prepay_methods: BTreeSet::new(),
            language: Language::default(),
            texts: BTreeMap::new(),
            delivers: true,
            pick_up: true,
            ask_contact_phone: true,
            when_closed: Unavailability::default(),
            when_off: Unavailability::Silent,
            when_suspended: Unavailability::Silent,
            takeover_minutes: 120,
            back_word: "#bot".to_owned(),
            idle_minutes: 30,
            gather_ms: 3_000,
            humanize: true,
            loop_guard: 12,
            most_units: MOST_UNITS,
            muted: BTreeSet::new(),
            tracking_url: String::new(),
            payment_link: String::new(),
            takes_orders: true,
            rules: Vec::new(),
            external_bot: None,
            language_model: false,
            pacing: PacingSettings::default(),
        }
    }
}

/// A setting that cannot be used; names it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    #[error("{0:?} is no time zone")]
    TimeZone(String),
    #[error("{0:?} is no day of the week (monday to sunday)")]
    Day(String),
    #[error("{0:?} is no date (2026-12-25)")]
    Date(String),
    #[error("hours that count need at least one day: one that is left out is closed")]
    NoDay,
    #[error("the hours of {0} need times like 11:00")]
    Hours(String),
    #[error("more than {MAX_EXCEPTIONS} exceptions to the hours")]
    TooManyExceptions,
    #[error("the delivery time needs a minimum that is not above its maximum, within a day")]
    DeliveryTime,
    #[error("an amount of the delivery is not plausible")]
    Amount,
    #[error("the name is longer than {MAX_NAME_CHARS} characters, or of several lines")]
    Name,
    #[error("the address is longer than {MAX_ADDRESS_CHARS} characters, or of several lines")]
    Address,
    #[error("customers can neither fetch an order nor have it brought")]
    NoWay,
    #[error("a method that is paid beforehand is not among the payment methods")]
    Prepay,
    #[error("it needs to be between {least} and {most}")]
    Range { least: u32, most: u32 },
    #[error("the word that brings the bot back needs 2 to {MAX_BACK_WORD_CHARS} characters on one line")]
    BackWord,
    #[error("the list of muted customers has more than {MAX_MUTED} entries, or one that is neither digits nor a jid")]
    Muted,
    #[error("the page of an order needs to be an https address with {{token}} in it")]
    TrackingUrl,
    #[error("the page where an order is paid needs to be an https address with {{order}} in it")]
    PaymentLink,
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    ExternalBot(#[from] ExternalBotError),
    #[error(transparent)]
    Text(#[from] TextFlaw),
}

/// A mistake and its field, as the settings' JSON names it: `businessHours.schedule.monday`, `texts.welcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFlaw {
    pub field: String,
    pub error: SettingsError,
}

fn time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M", text.trim()).ok()
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

impl DayHours {
    fn validate(&self, day: &str) -> Result<(), SettingsError> {
        let valid = !self.active || time(&self.open).is_some() && time(&self.close).is_some();
        if valid { Ok(()) } else { Err(SettingsError::Hours(day.to_owned())) }
    }

    /// Open at this time of the day, or of the day after.
    fn covers(&self, at: Time, is_next_day: bool) -> bool {
        let (Some(open), Some(close)) = (time(&self.open), time(&self.close)) else { return false };
        let overnight = close <= open;
        self.active
            && match is_next_day {
                true => overnight && at < close,
                false => at >= open && (overnight || at < close),
            }
    }
}

impl BusinessHours {
    /// Every mistake; the first one is the error of [`Self::validate`].
    pub fn flaws(&self) -> Vec<SettingsFlaw> {
        let mut flaws = Vec::new();
        let mut flaw = |field: String, error| flaws.push(SettingsFlaw { field, error });
        if TimeZone::get(&self.timezone).is_err() {
            flaw("timezone".to_owned(), SettingsError::TimeZone(self.timezone.clone()));
        }
        if self.enabled && self.schedule.is_empty() && self.exceptions.is_empty() {
            flaw("schedule".to_owned(), SettingsError::NoDay);
        }
        for (day, hours) in &self.schedule {
            if weekday(day).is_none() {
                flaw(format!("schedule.{day}"), SettingsError::Day(day.clone()));
            } else if let Err(error) = hours.validate(day) {
                flaw(format!("schedule.{day}"), error);
            }
        }
        if self.exceptions.len() > MAX_EXCEPTIONS {
            flaw("exceptions".to_owned(), SettingsError::TooManyExceptions);
            return flaws;
        }
        for (date, hours) in &self.exceptions {
            if date.parse::<Date>().is_err() {
                flaw(format!("exceptions.{date}"), SettingsError::Date(date.clone()));
            } else if let Err(error) = hours.validate(date) {
                flaw(format!("exceptions.{date}"), error);
            }
        }
        flaws
    }

    pub fn validate(&self) -> Result<(), SettingsError> {
        self.flaws().into_iter().next().map_or(Ok(()), |flaw| Err(flaw.error))
    }

    /// The next time at which the doors open.
    pub fn next_opening(&self, now: Timestamp) -> Option<Zoned> {
        let zone = TimeZone::get(&self.timezone).ok()?;
        let here = now.to_zoned(zone.clone());
        (0..=OPENING_DAYS).find_map(|days| {
            let date = here.date().checked_add(days.days()).ok()?;
            let hours = self.of(date).filter(|hours| hours.active)?;
            let opens = date.to_datetime(time(&hours.open)?).to_zoned(zone.clone()).ok()?;
            (opens > here).then_some(opens)
        })
    }

    /// The hours of a day, opening and closing, as they were set. `None`: closed all day.
    pub fn hours_on(&self, date: Date) -> Option<(&str, &str)> {
        let hours = self.of(date).filter(|hours| hours.active)?;
        Some((hours.open.trim(), hours.close.trim()))
    }

    fn of(&self, date: Date) -> Option<&DayHours> {
        let exception = self.exceptions.get(&date.to_string());
        exception.or_else(|| {
            self.schedule.iter().find(|(day, _)| weekday(day) == Some(date.weekday())).map(|(_, hours)| hours)
        })
    }

    /// Hours that cannot be read close nobody's shop.
    pub fn is_open(&self, now: Timestamp) -> bool {
        if !self.enabled || self.schedule.is_empty() && self.exceptions.is_empty() {
            return true;
        }
        let Ok(zone) = TimeZone::get(&self.timezone) else { return true };
        let here = now.to_zoned(zone).datetime();
        let today = self.of(here.date()).is_some_and(|hours| hours.covers(here.time(), false));
        let since_yesterday = here
            .date()
            .yesterday()
            .ok()
            .and_then(|date| self.of(date))
            .is_some_and(|hours| hours.covers(here.time(), true));
        today || since_yesterday
    }
}

impl DeliveryCost {
    /// The price of bringing an order of this subtotal.
    pub fn of(&self, subtotal: Money) -> Money {
        match self.free_delivery_min {
            Some(minimum) if minimum > Money::ZERO && subtotal >= minimum => Money::ZERO,
            _ => self.cost,
        }
    }
}

impl RestaurantSettings {
    /// Every mistake, field by field.
    pub fn flaws(&self) -> Vec<SettingsFlaw> {
        let mut flaws: Vec<SettingsFlaw> = Vec::new();
        for flaw in self.business_hours.iter().flat_map(BusinessHours::flaws) {
            flaws.push(SettingsFlaw { field: format!("businessHours.{}", flaw.field), error: flaw.error });
        }
        let mut check = |field: &str, is_valid: bool, error: SettingsError| {
            if !is_valid {
                flaws.push(SettingsFlaw { field: field.to_owned(), error });
            }
        };
        let is_line = |text: &str, most: usize| text.chars().count() <= most && !text.contains(char::is_control);
        check("name", is_line(&self.name, MAX_NAME_CHARS), SettingsError::Name);
        check("address", is_line(&self.address, MAX_ADDRESS_CHARS), SettingsError::Address);
        let in_day = |time: DeliveryTime| time.min <= time.max && time.max <= MAX_DELIVERY_MINUTES;
        check("deliveryTime", self.delivery_time.is_none_or(in_day), SettingsError::DeliveryTime);
        let mut amounts =
            self.delivery_cost.iter().flat_map(|cost| [Some(cost.cost), cost.free_delivery_min, cost.minimum_order]);
        check("deliveryCost", amounts.all(|amount| amount.is_none_or(Money::is_plausible)), SettingsError::Amount);
        check("pickUp", self.delivers || self.pick_up, SettingsError::NoWay);
        check("prepayMethods", self.prepay_methods.is_subset(&self.payment_methods), SettingsError::Prepay);
        for (field, value, least, most) in [
            ("takeoverMinutes", self.takeover_minutes, 1, MAX_TAKEOVER_MINUTES),
            ("idleMinutes", self.idle_minutes, 1, MAX_IDLE_MINUTES),
            ("gatherMs", self.gather_ms, 0, MAX_GATHER_MS),
            ("loopGuard", self.loop_guard, 2, 100),
            ("mostUnits", self.most_units, 1, MOST_UNITS),
        ] {
            check(field, (least..=most).contains(&value), SettingsError::Range { least, most });
        }
        for (name, value, least, most) in self.pacing.ranges() {
            check(&format!("pacing.{name}"), (least..=most).contains(&value), SettingsError::Range { least, most });
        }
        let is_word = is_line(&self.back_word, MAX_BACK_WORD_CHARS) && self.back_word.trim().chars().count() >= 2;
        check("backWord", is_word, SettingsError::BackWord);
        let is_person = |who: &String| {
            who.chars().count() <= 100
                && !who.is_empty()
                && (who.contains('@') || who.chars().all(|c| c.is_ascii_digit() || c == '+'))
        };
        check("muted", self.muted.len() <= MAX_MUTED && self.muted.iter().all(is_person), SettingsError::Muted);
        let is_page = |url: &str, placeholder: &str| {
            let is_https = url.starts_with("https://") && !url.contains(char::is_whitespace);
            url.is_empty() || is_https && url.contains(placeholder) && url.chars().count() <= MAX_PAGE_URL_CHARS
        };
        check("trackingUrl", is_page(&self.tracking_url, "{token}"), SettingsError::TrackingUrl);
        check("paymentLink", is_page(&self.payment_link, "{order}"), SettingsError::PaymentLink);
        for (field, error) in rules::flaws(&self.rules) {
            flaws.push(SettingsFlaw { field, error: error.into() });
        }
        for (field, error) in self.external_bot.iter().flat_map(ExternalBot::flaws) {
            flaws.push(SettingsFlaw { field: format!("externalBot.{field}"), error: error.into() });
        }
        for (key, flaw) in texts::flaws(&self.texts) {
            flaws.push(SettingsFlaw { field: format!("texts.{key}"), error: flaw.into() });
        }
        flaws
    }

    /// The first mistake, if there is one.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.flaws().into_iter().next().map_or(Ok(()), |flaw| Err(flaw.error))
    }

    /// The place's clock, as its hours name it.
    pub fn time_zone(&self) -> TimeZone {
        let name = self.business_hours.as_ref().map_or(DEFAULT_TIME_ZONE, |hours| &hours.timezone);
        TimeZone::get(name).or_else(|_| TimeZone::get(DEFAULT_TIME_ZONE)).unwrap_or(TimeZone::UTC)
    }

    pub fn is_open(&self, now: Timestamp) -> bool {
        self.business_hours.as_ref().is_none_or(|hours| hours.is_open(now))
    }

    /// The digits or the jid of a customer are on the list.
    pub fn is_muted(&self, chat: &str, phone: Option<&str>) -> bool {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        self.muted.iter().any(|muted| match muted.contains('@') {
            true => muted == chat,
            false => phone.is_some_and(|phone| digits(phone) == digits(muted)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BusinessHours, DayHours, DeliveryCost, RestaurantSettings, SettingsError};
    use crate::bot::{money::Money, payment::PaymentMethod};

    fn hours(schedule: &[(&str, &str, &str)]) -> BusinessHours {
        let day = |(name, open, close): &(&str, &str, &str)| {
            ((*name).to_owned(), DayHours { active: true, open: (*open).to_owned(), close: (*close).to_owned() })
        };
        BusinessHours {
            enabled: true,
            timezone: super::default_time_zone(),
            schedule: schedule.iter().map(day).collect(),
            exceptions: Default::default(),
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        // Friday, 27 November 2026; Bogota is five hours behind UTC.
        let hours = hours(&[("friday", "18:00", "02:00")]);
        let open = |at: &str| hours.is_open(at.parse().unwrap());
        assert!(open("2026-11-28T00:30:00Z"), "Friday, 19:30");
        assert!(open("2026-11-28T06:30:00Z"), "Saturday, 01:30");
        assert!(!open("2026-11-28T07:00:00Z"), "Saturday, 02:00");
        assert!(!open("2026-11-27T06:30:00Z"), "Friday, 01:30: Thursday is closed");
    }

    #[test]
    fn a_holiday_is_not_like_its_weekday() {
        let mut hours = hours(&[("friday", "09:00", "18:00")]);
        let closed = DayHours { active: false, open: String::new(), close: String::new() };
        hours.exceptions.insert("2026-12-25".into(), closed);
        assert_eq!(hours.validate(), Ok(()));
        assert!(hours.is_open("2026-12-18T15:00:00Z".parse().unwrap()));
        assert!(!hours.is_open("2026-12-25T15:00:00Z".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(hours(&[("viernes", "09:00", "18:00")]).validate(), Err(SettingsError::Day("viernes".into())));
        assert_eq!(hours(&[("friday", "9 am", "18:00")]).validate(), Err(SettingsError::Hours("friday".into())));
        let mut elsewhere = hours(&[]);
        elsewhere.timezone = "Bogota".into();
        assert_eq!(elsewhere.validate(), Err(SettingsError::TimeZone("Bogota".into())));
    }

    #[test]
    fn delivery_is_free_from_its_minimum_on() {
        let cost =
            DeliveryCost { cost: Money::new(5_000), free_delivery_min: Some(Money::new(60_000)), minimum_order: None };
        assert_eq!(cost.of(Money::new(59_999)), Money::new(5_000));
        assert_eq!(cost.of(Money::new(60_000)), Money::ZERO);
    }

    #[test]
    fn settings_of_the_old_service_are_read_and_the_rest_has_defaults() {
        let old = r#"{"active": true, "quickOrderMode": true, "deliveryTime": {"min": 30, "max": 45},
            "deliveryCost": {"cost": 5000, "freeDeliveryMin": 60000}, "paymentMethods": ["efectivo"]}"#;
        let settings: RestaurantSettings = serde_json::from_str(old).unwrap();
        assert_eq!((settings.takeover_minutes, settings.idle_minutes, settings.back_word.as_str()), (120, 30, "#bot"));
        assert_eq!((settings.validate(), settings.flaws()), (Ok(()), vec![]));
        assert!(!serde_json::from_str::<RestaurantSettings>("{}").unwrap().active, "off until somebody switches it on");
        let stored = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<RestaurantSettings>(&stored).unwrap(), settings);
    }

    #[test]
    fn every_mistake_has_its_field() {
        let settings = RestaurantSettings {
            name: "a\nb".into(),
            delivers: false,
            pick_up: false,
            prepay_methods: [PaymentMethod::Nequi].into(),
            takeover_minutes: 0,
            loop_guard: 1,
            back_word: " ".into(),
            muted: ["nadie".to_owned()].into(),
            tracking_url: "http://example.com/{token}".into(),
            payment_link: "https://example.com/{token}".into(),
            texts: [("summary".to_owned(), "{items}".to_owned())].into(),
            business_hours: Some(hours(&[("friday", "25:00", "18:00")])),
            ..RestaurantSettings::default()
        };
        let fields: Vec<String> = settings.flaws().into_iter().map(|flaw| flaw.field).collect();
        let expected = [
            "businessHours.schedule.friday",
            "name",
            "pickUp",
            "prepayMethods",
            "takeoverMinutes",
            "loopGuard",
            "backWord",
            "muted",
            "trackingUrl",
            "paymentLink",
            "texts.summary",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn the_next_opening_knows_holidays() {
        let mut hours = hours(&[("friday", "11:00", "22:00"), ("saturday", "11:00", "22:00")]);
        let opens = |hours: &BusinessHours, at: &str| {
            hours.next_opening(at.parse().unwrap()).map(|opens| opens.strftime("%Y-%m-%d %H:%M").to_string())
        };
        // Friday, 27 November 2026, 08:00 and 23:00 in Bogota.
        assert_eq!(opens(&hours, "2026-11-27T13:00:00Z").as_deref(), Some("2026-11-27 11:00"));
        assert_eq!(opens(&hours, "2026-11-28T04:00:00Z").as_deref(), Some("2026-11-28 11:00"));
        let closed = DayHours { active: false, open: String::new(), close: String::new() };
        hours.exceptions.insert("2026-11-28".into(), closed);
        assert_eq!(opens(&hours, "2026-11-28T04:00:00Z").as_deref(), Some("2026-12-04 11:00"));
        hours.schedule.clear();
        assert_eq!(opens(&hours, "2026-11-28T04:00:00Z"), None);
    }
}
