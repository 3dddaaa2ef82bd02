//! A condition, with all for whom it is so: who comes in, who is told of, and who is right again. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    age,
    condition::AlertCondition,
    engine::{Alarm, AlertObservation},
    message::{AlertSection, AlertState},
};
use crate::config;

/// A condition that has lasted for this part of its delay is told with another tenant's.
const RIPE: u32 = 3;

/// A condition, with all for whom it is so.
#[derive(Debug, Default)]
pub struct AlertGroup {
    pub members: BTreeMap<String, AlertMember>,
    /// The last message about it.
    last: Option<Timestamp>,
}

#[derive(Debug)]
pub struct AlertMember {
    pub since: Timestamp,
    pub told: bool,
    /// It is so no more, but something worse is.
    pub is_replaced: bool,
    /// It is so no more, since then.
    pub gone: Option<Timestamp>,
    /// Its tenant has no place here, since then.
    pub absent: Option<Timestamp>,
}

impl AlertMember {
    pub fn new(since: Timestamp) -> Self {
        Self { since, told: false, is_replaced: false, gone: None, absent: None }
    }

    /// It has happened once more, and people are told of that, too.
    pub fn begin_anew(&mut self, now: Timestamp) {
        *self = Self::new(now);
    }

    pub fn is_ripe(&self, delay: Duration, now: Timestamp) -> bool {
        age(now, self.since) >= delay / RIPE
    }
}

impl AlertGroup {
    /// Who is in it now. Of a tenant without a place here it stays told for so long as `patience`.
    pub fn note(
        &mut self,
        condition: AlertCondition,
        delay: Duration,
        patience: Duration,
        wrong: &BTreeMap<Alarm, Option<Timestamp>>,
        seen: &AlertObservation,
        now: Timestamp,
    ) {
        for ((_, subject), since) in wrong.iter().filter(|((of, _), _)| *of == condition) {
            let begun = since.unwrap_or(now);
            let member = self.members.entry(subject.clone());
            let member = member.or_insert(AlertMember::new(begun));
            // The oldest message of today is not that of yesterday.
            member.since = since.unwrap_or(member.since).min(now);
        }
        self.members.retain(|subject, member| {
            let alarm = (condition, subject.clone());
            // Deleted, or another process has it, which tells the end: that is not a word about it. After a start it may get its place
            // yet.
            if !subject.is_empty() && !seen.tenants.contains(subject) {
                member.gone = None;
                return member.told && age(now, *member.absent.get_or_insert(now)) < patience;
            }
            member.absent = None;
            // Of something that is always so, as that there is an oldest message, only an age is wrong.
            if wrong.contains_key(&alarm) && (!member.told || member.is_ripe(delay, now)) {
                member.gone = None;
                return true;
            }
            if member.told && seen.unsaid.contains(&alarm) {
                return true;
            }
            if !member.told || condition.is_event() {
                return false;
            }
            member.gone.get_or_insert(now);
            true
        });
    }

    /// What is gone for those in `replaced` waits for the end of what is worse; where people know of that (true), it is forgotten.
    pub fn give_way(&mut self, replaced: &BTreeMap<String, bool>) {
        self.members.retain(|subject, member| {
            let is_known = replaced.get(subject).filter(|_| member.gone.is_some());
            member.is_replaced = is_known.is_some();
            if member.is_replaced {
                member.gone = None;
            }
            is_known != Some(&true)
        });
    }

    /// What is to be told of it; it counts as told.
    pub fn due(
        &mut self,
        condition: AlertCondition,
        delay: Duration,
        settings: &config::AlertsConfig,
        is_anothers: &impl Fn(&Alarm) -> bool,
        now: Timestamp,
    ) -> Vec<AlertSection> {
        let may_tell_more = self.last.is_none_or(|last| last > now || age(now, last) >= settings.repeat);
        let resolved = self.resolved(condition, settings, now);
        let begun = if may_tell_more { self.begun(condition, delay, settings.gather, is_anothers, now) } else { None };
        let sections: Vec<_> = [resolved, begun].into_iter().flatten().collect();
        if !sections.is_empty() {
            self.last = Some(now);
        }
        sections
    }

    fn begun(
        &mut self,
        condition: AlertCondition,
        delay: Duration,
        gather: Duration,
        is_anothers: &impl Fn(&Alarm) -> bool,
        now: Timestamp,
    ) -> Option<AlertSection> {
        let left = self.members.values().filter(|member| member.told).count();
        let untold = self.members.iter_mut().filter(|(subject, member)| {
            !member.told && member.is_ripe(delay, now) && !is_anothers(&(condition, (*subject).clone()))
        });
        let untold: Vec<_> = untold.collect();
        if !untold.iter().any(|(_, member)| age(now, member.since) >= delay + gather) {
            return None;
        }
        let told = |(subject, member): (&String, &mut AlertMember)| {
            member.told = true;
            (subject.clone(), member.since)
        };
        let fresh = untold.into_iter().map(told).collect();
        section(condition, AlertState::Firing, fresh, left)
    }

    /// All of them together, but for those that others have kept waiting for long.
    fn resolved(
        &mut self,
        condition: AlertCondition,
        settings: &config::AlertsConfig,
        now: Timestamp,
    ) -> Option<AlertSection> {
        let gone_for = |member: &AlertMember| member.gone.map(|gone| age(now, gone));
        let is_clear = |member: &AlertMember| gone_for(member).is_some_and(|long| long >= settings.clear);
        let has_waited =
            |member: &AlertMember| gone_for(member).is_some_and(|long| long >= settings.clear + settings.repeat);
        let are_all_clear = self.members.values().filter(|member| member.told && !member.is_replaced).all(is_clear);
        if !are_all_clear && !self.members.values().any(has_waited) {
            return None;
        }
        let mut over = Vec::new();
        self.members.retain(|subject, member| {
            let is_over = member.told && is_clear(member);
            if is_over {
                over.push((subject.clone(), member.since));
            }
            !is_over
        });
        let left = self.members.values().filter(|member| member.told).count();
        section(condition, AlertState::Resolved, over, left)
    }
}

/// `None`: nobody is concerned.
fn section(
    condition: AlertCondition,
    state: AlertState,
    concerned: Vec<(String, Timestamp)>,
    left: usize,
) -> Option<AlertSection> {
    let since = concerned.iter().map(|(_, since)| *since).min()?;
    let tenants = concerned.into_iter().map(|(subject, _)| subject).filter(|subject| !subject.is_empty()).collect();
    Some(AlertSection { condition, state, tenants, left, since })
}
