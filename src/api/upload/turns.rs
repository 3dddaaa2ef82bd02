//! Limits concurrent uploads, in all and per caller: a slow sender must not keep the others out.

use std::{collections::BTreeMap, sync::Mutex};

use crate::{api::auth::Caller, sync::lock};

pub(super) struct UploadTurns {
    taken: Mutex<BTreeMap<String, usize>>,
    all: usize,
    each: usize,
}

/// A place that is given back when it is dropped.
pub(super) struct UploadTurn<'a> {
    turns: &'a UploadTurns,
    who: String,
}

impl UploadTurns {
    pub const fn new(all: usize, each: usize) -> Self {
        Self { taken: Mutex::new(BTreeMap::new()), all, each }
    }

    /// `None`: there are too many already.
    pub fn take(&self, caller: &Caller) -> Option<UploadTurn<'_>> {
        let who = match caller {
            Caller::Admin | Caller::Anyone => String::new(),
            Caller::Key(key) => format!("key {}", key.id),
            Caller::User { uid, .. } => format!("user {uid}"),
        };
        let mut taken = lock(&self.taken);
        let (sum, own) = (taken.values().sum::<usize>(), taken.get(&who).copied().unwrap_or(0));
        // The operator's key may be a backend's, which sends for all tenants.
        let each = if who.is_empty() { self.all / 2 } else { self.each };
        if sum >= self.all || own >= each {
            return None;
        }
        *taken.entry(who.clone()).or_insert(0) += 1;
        Some(UploadTurn { turns: self, who })
    }
}

impl Drop for UploadTurn<'_> {
    fn drop(&mut self) {
        let mut taken = lock(&self.turns.taken);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_turns() {
        use std::{collections::BTreeSet, sync::Arc};
        let turns = UploadTurns::new(4, 2);
        let user = |uid: &str| Caller::User { uid: uid.into(), tenants: Arc::<BTreeSet<_>>::default() };
        let mut first: Vec<_> = (0..3).map(|_| turns.take(&user("ana"))).collect();
        assert!(first.pop().unwrap().is_none());
        let second = turns.take(&user("luis"));
        assert!(second.is_some() && turns.take(&Caller::Admin).is_some());
        drop(first);
        assert!(turns.take(&user("ana")).is_some());
        drop(second);
        assert!(turns.taken.lock().unwrap().is_empty());
    }
}
