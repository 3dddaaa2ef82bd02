//! What an owner sets besides the menu: hours, delivery, payment. Owns the shapes of the old service's `config/…`
//! nodes and their validation; reads no clock by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{
    Timestamp,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{money::Money, payment::PaymentMethod};

pub const DEFAULT_TIME_ZONE: &str = "America/Bogota";
const MAX_EXCEPTIONS: usize = 400;
const MAX_DELIVERY_MINUTES: u32 = 24 * 60;

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestaurantSettings {
    #[serde(default)]
    pub name: String,
    /// The owner's switch.
    pub active: bool,
    #[serde(default)]
    pub quick_order_mode: bool,
    #[serde(default)]
    pub business_hours: Option<BusinessHours>,
    #[serde(default)]
    pub delivery_time: Option<DeliveryTime>,
    #[serde(default)]
    pub delivery_cost: Option<DeliveryCost>,
    /// None: customers are not asked.
    #[serde(default)]
    pub payment_methods: BTreeSet<PaymentMethod>,
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
    #[error("the hours of {0} need times like 11:00")]
    Hours(String),
    #[error("more than {MAX_EXCEPTIONS} exceptions to the hours")]
    TooManyExceptions,
    #[error("the delivery time needs a minimum that is not above its maximum, within a day")]
    DeliveryTime,
    #[error("an amount of the delivery is not plausible")]
    Amount,
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
    pub fn validate(&self) -> Result<(), SettingsError> {
        TimeZone::get(&self.timezone).map_err(|_| SettingsError::TimeZone(self.timezone.clone()))?;
        for (day, hours) in &self.schedule {
            weekday(day).ok_or_else(|| SettingsError::Day(day.clone()))?;
            hours.validate(day)?;
        }
        if self.exceptions.len() > MAX_EXCEPTIONS {
            return Err(SettingsError::TooManyExceptions);
        }
        for (date, hours) in &self.exceptions {
            date.parse::<Date>().map_err(|_| SettingsError::Date(date.clone()))?;
            hours.validate(date)?;
        }
        Ok(())
    }

    fn of(&self, date: Date) -> Option<&DayHours> {
        let exception = self.exceptions.get(&date.to_string());
        exception.or_else(|| {
            self.schedule.iter().find(|(day, _)| weekday(day) == Some(date.weekday())).map(|(_, hours)| hours)
        })
    }

    /// Whether the restaurant is open. Hours that cannot be read close nobody's shop.
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
    /// What a delivery of this subtotal costs.
    pub fn of(&self, subtotal: Money) -> Money {
        match self.free_delivery_min {
            Some(minimum) if minimum > Money::ZERO && subtotal >= minimum => Money::ZERO,
            _ => self.cost,
        }
    }
}

impl RestaurantSettings {
    /// The first mistake, if there is one.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if let Some(hours) = &self.business_hours {
            hours.validate()?;
        }
        if self.delivery_time.is_some_and(|time| time.min > time.max || time.max > MAX_DELIVERY_MINUTES) {
            return Err(SettingsError::DeliveryTime);
        }
        let amounts =
            self.delivery_cost.iter().flat_map(|cost| [Some(cost.cost), cost.free_delivery_min, cost.minimum_order]);
        if amounts.flatten().all(Money::is_plausible) { Ok(()) } else { Err(SettingsError::Amount) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BusinessHours, DayHours, DeliveryCost, SettingsError};
    use crate::bot::money::Money;

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
}
