//! Decides what is told, and when. Pure: the time and what is seen come in from outside.
//!
//! A condition is told when it has lasted for its delay, and resolved when it has been gone for `alerts.clear`. When the first tenant's is
//! due, others are waited for as long as `alerts.gather`, and those for whom it is so for a third of the delay are told with it: so a cut
//! that is noticed session by session is one message. Of the same condition nobody is told anew within `alerts.repeat`, and what is
//! resolved is told when it is so for all, or after that time. What something worse has replaced is not told as resolved: when that is told
//! too, its end stands for both. What the process that has the file has told is not told here, but for the end of a tenant's that is served
//! here now; and that process hears what the others have told of theirs ([`AlertNote`]). All that is due at one moment is one message, and
//! there are at most `alerts.per_hour`: what would be one more is told later, if it is still so then.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    age,
    condition::{AlertCondition, RiseLimit},
    group::{AlertGroup, AlertMember},
    message::{AlertMessage, AlertState},
    note::AlertNote,
    rise::Rise,
};
use crate::config;

/// A condition and whose it is; empty: the daemon's.
pub type Alarm = (AlertCondition, String);

const HOUR: Duration = Duration::from_secs(3600);

/// What others have told and nobody has ended: of deleted tenants there is no end.
const MOST_TOLD_ELSEWHERE: usize = 10_000;

/// What is seen of the daemon at one moment.
#[derive(Debug, Clone, Default)]
pub struct AlertObservation {
    /// Whom this process knows and looks after. Others are nobody's business here.
    pub tenants: BTreeSet<String>,
    /// What is wrong; since when, where that is known.
    pub wrong: BTreeMap<Alarm, Option<Timestamp>>,
    /// Of what cannot be said whether it is so: what was told stays told.
    pub unsaid: BTreeSet<Alarm>,
    /// What is counted since some beginning.
    pub counts: BTreeMap<Alarm, u64>,
}

/// What was told and is not resolved, for the next process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldAlert {
    pub condition: AlertCondition,
    pub subject: String,
    pub since: Timestamp,
}

#[derive(Debug, Default)]
pub struct AlertEngine {
    groups: BTreeMap<AlertCondition, AlertGroup>,
    /// When messages were sent, in the last hour.
    sent: VecDeque<Timestamp>,
    rises: HashMap<Alarm, Rise>,
    /// What other processes have told and not resolved; since when it is so.
    told_elsewhere: BTreeMap<Alarm, Timestamp>,
    /// Those of these whose tenant was served here since: their end is ours to tell.
    inherited: BTreeSet<Alarm>,
    /// Another process has the file: what that one does not remember is over.
    has_no_file: bool,
    /// What is counted from now on has happened since; what was counted before, nobody knows.
    looks_since: Option<Timestamp>,
}

impl AlertEngine {
    /// What is to be told now, if anything is.
    pub fn on(
        &mut self,
        settings: &config::AlertsConfig,
        seen: &AlertObservation,
        now: Timestamp,
    ) -> Option<AlertMessage> {
        self.groups.retain(|condition, _| settings.conditions.contains_key(condition));
        self.inherit(settings, seen);
        let wrong = self.wrong(settings, seen, now);
        for (condition, delay) in &settings.conditions {
            self.groups.entry(*condition).or_default().note(*condition, *delay, settings.repeat, &wrong, seen, now);
        }
        for condition in settings.conditions.keys() {
            let replaced = self.replaced(*condition, seen);
            if let Some(group) = self.groups.get_mut(condition) {
                group.give_way(&replaced);
            }
        }
        self.sent.retain(|at| *at <= now && age(now, *at) < HOUR);
        if self.sent.len() >= settings.per_hour {
            return None;
        }
        let mut sections = Vec::new();
        for (condition, delay) in &settings.conditions {
            if let Some(group) = self.groups.get_mut(condition) {
                let is_anothers =
                    |alarm: &Alarm| self.told_elsewhere.contains_key(alarm) && !self.inherited.contains(alarm);
                sections.extend(group.due(*condition, *delay, settings, &is_anothers, now));
            }
        }
        if sections.is_empty() {
            return None;
        }
        for section in sections.iter().filter(|section| section.state == AlertState::Resolved) {
            for tenant in &section.tenants {
                self.told_elsewhere.remove(&(section.condition, tenant.clone()));
            }
        }
        self.sent.push_back(now);
        Some(AlertMessage { at: now, sections, is_last: self.sent.len() >= settings.per_hour })
    }

    /// What was told and is not resolved, here or by those who left notes.
    pub fn told(&self) -> Vec<ToldAlert> {
        let elsewhere = self.told_elsewhere.iter().filter_map(|((condition, subject), since)| {
            let member = self.groups.get(condition).and_then(|group| group.members.get(subject));
            let is_told_here = member.is_some_and(|member| member.told);
            let left = ToldAlert { condition: *condition, subject: subject.clone(), since: *since };
            (!is_told_here).then_some(left)
        });
        let told = |(condition, group): (&AlertCondition, &AlertGroup)| {
            let condition = *condition;
            let members = group.members.iter().filter(|(_, member)| member.told);
            let told =
                members.map(|(subject, member)| ToldAlert { condition, subject: subject.clone(), since: member.since });
            told.collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(told).chain(elsewhere).collect()
    }

    pub fn sent(&self) -> impl Iterator<Item = Timestamp> {
        self.sent.iter().copied()
    }

    /// Another process has told this, and does not live any more: nobody is told of it again, but when it is resolved.
    pub fn adopt(&mut self, told: Vec<ToldAlert>, sent: Vec<Timestamp>) {
        self.has_no_file = false;
        self.told_elsewhere.clear();
        let inherited = std::mem::take(&mut self.inherited);
        for ToldAlert { condition, subject, since } in told {
            // It is told here already, or its end was.
            if inherited.contains(&(condition, subject.clone())) {
                continue;
            }
            let members = &mut self.groups.entry(condition).or_default().members;
            members.entry(subject).or_insert(AlertMember::new(since)).told = true;
        }
        self.sent.extend(sent);
        self.sent.make_contiguous().sort_unstable();
    }

    /// Another process, which lives, has told this, and tells when it is resolved.
    pub fn leave_to_others(&mut self, told: Vec<ToldAlert>) {
        self.has_no_file = true;
        let told = told.into_iter().map(|told| ((told.condition, told.subject), told.since));
        self.told_elsewhere = told.collect();
        let told_elsewhere = &self.told_elsewhere;
        self.inherited.retain(|alarm| told_elsewhere.contains_key(alarm));
    }

    /// Others, who have no file, have told this of tenants of theirs, in this order. A tenant of which an end was told brings nothing with
    /// it when it comes, and one of which a beginning was told brings that.
    pub fn heed(&mut self, notes: Vec<AlertNote>) {
        for AlertNote { condition, subject, since, is_over } in notes {
            let alarm = (condition, subject);
            self.inherited.remove(&alarm);
            if is_over {
                self.told_elsewhere.remove(&alarm);
                if let Some(group) = self.groups.get_mut(&condition) {
                    group.members.remove(&alarm.1);
                }
            } else {
                self.told_elsewhere.insert(alarm, since);
            }
        }
        while self.told_elsewhere.len() > MOST_TOLD_ELSEWHERE {
            self.told_elsewhere.pop_first();
        }
    }

    /// What another process has told of tenants that are served here counts as told here, once: that one sees them no more.
    fn inherit(&mut self, settings: &config::AlertsConfig, seen: &AlertObservation) {
        if self.has_no_file {
            // It was away, and whoever has the file has heard of the end.
            let told_elsewhere = &self.told_elsewhere;
            for (condition, group) in &mut self.groups {
                group.members.retain(|subject, member| {
                    let has_come = member.told && member.absent.is_some() && seen.tenants.contains(subject);
                    !has_come || told_elsewhere.contains_key(&(*condition, subject.clone()))
                });
            }
        }
        // One that went back, and of which nothing is remembered here, is the other's again until it comes again.
        let groups = &self.groups;
        self.inherited.retain(|(condition, subject)| {
            seen.tenants.contains(subject)
                || groups.get(condition).is_some_and(|group| group.members.contains_key(subject))
        });
        for (alarm, since) in &self.told_elsewhere {
            let (condition, subject) = alarm;
            if !settings.conditions.contains_key(condition) || !seen.tenants.contains(subject) {
                continue;
            }
            if self.inherited.insert(alarm.clone()) {
                let members = &mut self.groups.entry(*condition).or_default().members;
                members.entry(subject.clone()).or_insert(AlertMember::new(*since)).told = true;
            }
        }
    }

    /// Nobody looks for a while: what is counted meanwhile is no news at the next look.
    pub fn pause(&mut self) {
        self.rises.clear();
        self.looks_since = None;
    }

    /// For whom something worse is so than this, and whether people were told that of them. Of what is so of the whole daemon nobody is
    /// told by name, so its end is not theirs.
    fn replaced(&self, condition: AlertCondition, seen: &AlertObservation) -> BTreeMap<String, bool> {
        let Some(group) = self.groups.get(&condition) else { return BTreeMap::new() };
        let successor = |subject: &String| {
            let mut told = None;
            for worse in condition.successors() {
                for whose in [subject.as_str(), ""] {
                    let member = self.groups.get(worse).and_then(|group| group.members.get(whose));
                    let is_told = member.is_some_and(|it| it.told && it.gone.is_none() && !it.is_replaced);
                    if is_told || seen.wrong.contains_key(&(*worse, whose.to_owned())) {
                        told = Some(told.unwrap_or(false) || (is_told && !whose.is_empty()));
                    }
                }
            }
            Some((subject.clone(), told?))
        };
        group.members.iter().filter(|(_, member)| member.told).filter_map(|(subject, _)| successor(subject)).collect()
    }

    /// What is wrong, with what has risen, and without what something else explains.
    fn wrong(
        &mut self,
        settings: &config::AlertsConfig,
        seen: &AlertObservation,
        now: Timestamp,
    ) -> BTreeMap<Alarm, Option<Timestamp>> {
        let mut wrong = seen.wrong.clone();
        self.rises.retain(|alarm, _| seen.counts.contains_key(alarm));
        for (alarm, count) in &seen.counts {
            let Some(limit) = alarm.0.rise_limit() else { continue };
            if *count == 0 && !self.rises.contains_key(alarm) {
                continue;
            }
            // At the first look nobody knows how long ago it was.
            let last = if self.looks_since.is_some() { 0 } else { *count };
            let rise = self.rises.entry(alarm.clone()).or_insert_with(|| Rise::new(last));
            if rise.see(*count, limit.within, now) >= limit.count {
                wrong.insert(alarm.clone(), None);
                let (condition, subject) = alarm;
                let member = self.groups.get_mut(condition).and_then(|group| group.members.get_mut(subject));
                if let Some(member) = member
                    && member.told
                    && condition.is_told_anew()
                    && rise.is_new(now)
                {
                    member.begin_anew(now);
                }
            }
        }
        let looks_since = self.looks_since.map_or(now, |since| since.min(now));
        self.looks_since = Some(looks_since);
        for (condition, group) in &self.groups {
            // What a former process counted is still so until it would be over here: nobody knows more.
            let is_unknown = |limit: RiseLimit| !condition.is_event() && age(now, looks_since) < limit.within;
            if condition.rise_limit().is_some_and(is_unknown) {
                let told = group.members.iter().filter(|(_, member)| member.told);
                wrong.extend(told.map(|(subject, _)| ((*condition, subject.clone()), None)));
            }
        }
        wrong.retain(|(condition, subject), _| {
            let is_so = |cause: &AlertCondition| {
                let delay = settings.conditions.get(cause).copied().unwrap_or_default();
                let members = self.groups.get(cause).map(|group| &group.members);
                let is_ripe = |subject: &str| {
                    let member = members.and_then(|members| members.get(subject));
                    member.is_some_and(|member| member.gone.is_none() && member.is_ripe(delay, now))
                };
                is_ripe(subject) || is_ripe("")
            };
            // What was told is not taken back by its cause.
            let is_told = self.groups.get(condition).and_then(|group| group.members.get(subject));
            is_told.is_some_and(|member| member.told) || !condition.causes().iter().any(is_so)
        });
        wrong
    }
}
