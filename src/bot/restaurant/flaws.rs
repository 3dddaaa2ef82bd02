//! The mistakes of a restaurant's settings, each with the field that has it. Names all of them at once.

use thiserror::Error;

use super::{BusinessHours, DeliveryTime, MOST_UNITS, RestaurantSettings, hours::MAX_EXCEPTIONS};
use crate::bot::{
    external::{ExternalBot, ExternalBotError},
    money::Money,
    rules::{self, RuleError},
    texts::{self, TextFlaw},
};

const MAX_DELIVERY_MINUTES: u32 = 24 * 60;
const MAX_TAKEOVER_MINUTES: u32 = 7 * 24 * 60;
const MAX_IDLE_MINUTES: u32 = 24 * 60;
const MAX_GATHER_MS: u32 = 30_000;
const MAX_MUTED: usize = 500;
const MAX_NAME_CHARS: usize = 80;
const MAX_ADDRESS_CHARS: usize = 200;
const MAX_BACK_WORD_CHARS: usize = 40;
const MAX_PAGE_URL_CHARS: usize = 500;

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
}

#[cfg(test)]
mod tests {
    use super::RestaurantSettings;
    use crate::bot::{
        payment::PaymentMethod,
        restaurant::{BusinessHours, DEFAULT_TIME_ZONE, DayHours},
    };

    #[test]
    fn every_mistake_has_its_field() {
        let friday = DayHours { active: true, open: "25:00".into(), close: "18:00".into() };
        let hours = BusinessHours {
            enabled: true,
            timezone: DEFAULT_TIME_ZONE.into(),
            schedule: [("friday".to_owned(), friday)].into(),
            exceptions: Default::default(),
        };
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
            business_hours: Some(hours),
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
}
