//! The owner's side of a handover: which asks are new, and what was answered to each.

use std::collections::{BTreeMap, HashMap};

use super::{HandoverAnswer, HandoverAsk, HandoverVerdict};
use crate::{tenant::TenantId, vault::InstanceId};

#[derive(Debug, Default)]
pub struct Giver(HashMap<InstanceId, BTreeMap<TenantId, (u64, HandoverVerdict)>>);

impl Giver {
    /// What somebody asks for now. Gives what is new: each once, to be answered. What is no longer asked for needs no answer any more.
    pub fn asked(&mut self, by: &InstanceId, asks: &[HandoverAsk]) -> Vec<HandoverAsk> {
        let known = self.0.entry(by.clone()).or_default();
        known.retain(|tenant, (number, _)| asks.iter().any(|ask| ask.tenant == *tenant && ask.number == *number));
        let mut fresh = Vec::new();
        for ask in asks {
            if known.get(&ask.tenant).is_none_or(|(number, _)| *number != ask.number) {
                known.insert(ask.tenant.clone(), (ask.number, HandoverVerdict::Coming));
                fresh.push(ask.clone());
            }
        }
        if known.is_empty() {
            self.0.remove(by);
        }
        fresh
    }

    /// An ask that was taken back meanwhile is not answered.
    pub fn answer(&mut self, by: &InstanceId, ask: &HandoverAsk, verdict: HandoverVerdict) {
        let known = self.0.get_mut(by).and_then(|known| known.get_mut(&ask.tenant));
        if let Some((_, place)) = known.filter(|(number, _)| *number == ask.number) {
            *place = verdict;
        }
    }

    pub fn answers_to(&self, by: &InstanceId) -> Vec<HandoverAnswer> {
        let known = self.0.get(by).into_iter().flatten();
        known
            .map(|(tenant, (number, verdict))| HandoverAnswer {
                tenant: tenant.clone(),
                number: *number,
                verdict: *verdict,
            })
            .collect()
    }

    pub fn askers(&self) -> Vec<InstanceId> {
        self.0.keys().cloned().collect()
    }

    /// Whoever is gone needs no answers.
    pub fn forget(&mut self, by: &InstanceId) {
        self.0.remove(by);
    }
}
