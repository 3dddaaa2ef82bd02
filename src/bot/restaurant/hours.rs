//! A restaurant's hours: a week of days, and the days that are not like their weekday. Reads no clock by itself.

use std::collections::BTreeMap;

use jiff::{
    Timestamp, ToSpan as _, Zoned,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use super::flaws::{SettingsError, SettingsFlaw};

pub const DEFAULT_TIME_ZONE: &str = "America/Bogota";
pub(super) const MAX_EXCEPTIONS: usize = 400;
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

#[cfg(test)]
mod tests {
    use super::{BusinessHours, DayHours, SettingsError};

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
