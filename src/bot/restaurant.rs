//! The owner's settings besides the menu: hours, delivery, payment, the bot's manners. Owns the shapes of the old service's
//! `config/…` nodes and their validation; reads no clock by itself.

mod flaws;
mod hours;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub use self::{
    flaws::{SettingsError, SettingsFlaw},
    hours::{BusinessHours, DEFAULT_TIME_ZONE, DayHours},
};
use super::{external::ExternalBot, money::Money, payment::PaymentMethod, rules::ReplyRule, texts::Language};
use crate::pacing::PacingSettings;

const MOST_UNITS: u32 = 500;

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

impl DeliveryCost {
    /// The price of bringing an order of this subtotal.
    pub fn of(&self, subtotal: Money) -> Money {
        match self.free_delivery_min {
            Some(minimum) if minimum > Money::ZERO && subtotal >= minimum => Money::ZERO,
            _ => self.cost,
        }
    }
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
    /// Texts of the owner's own, by their keys; see [`TextKey`](super::texts::TextKey).
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

impl RestaurantSettings {
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
    use super::{DeliveryCost, RestaurantSettings};
    use crate::bot::money::Money;

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
}
