//! The audit: now and then the owner looks whether the vault still has all that the next owner would need.
//!
//! An append proves that the document before it is there, and nothing about what lies further down: an entry in the middle, a snapshot, a
//! chunk, or the journal of a tenant that writes nothing. While the owner has the whole state in hand a gap costs one snapshot
//! ([`super::rebuild`]); at the next start it would be a loss.
//!
//! It looks for what was read or written as good last: that snapshot's manifest, as many chunks as it names, and as many documents as there
//! are numbers from there to our last one. A newer snapshot that is whole stands in for it: the owner before may have written it while its
//! state was read here, and have taken away what was read. It counts, so it costs a read for each manifest and two more, however long the
//! journal is. What was altered and is still there it does not find: the seals and the chain tell that to whoever reads.
//!
//! It reads while nothing is appended, and compaction deletes only below the snapshot before the one that it looks for. So nothing that it
//! misses is on its way, or was taken away on purpose: but by another owner, and whoever rebuilds finds that one's takeover.

use std::time::Duration;

use rand::{Rng, rngs::SmallRng};

use super::{Loss, hydrate::open_manifest, writer::Writer};
use crate::{
    clock::Instant,
    vault::{Manifest, Seq, VaultError},
};

/// Nothing is appended while the vault takes its time with the answers: so long at the most.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The interval by this is how soon another audit follows one that came to nothing, and, at the earliest, a sign of trouble.
const RETRY_DIVISOR: u32 = 100;

/// When the next audit is due.
#[derive(Debug)]
pub(super) struct Audits {
    /// `None`: never.
    interval: Option<Duration>,
    due: Option<Instant>,
    last: Instant,
}

impl Audits {
    /// The state was read a moment ago.
    pub fn new(interval: Option<Duration>, now: Instant, rng: &mut SmallRng) -> Self {
        let mut audits = Self { interval, due: None, last: now };
        audits.done(now, rng);
        audits
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the audit is so overdue that pending writes must wait for it.
    fn is_overdue(&self, now: Instant) -> bool {
        let (Some(due), Some(interval)) = (self.due, self.interval) else { return false };
        now >= due + interval / 4
    }

    /// `quiet`: nothing else is to be done.
    pub fn is_due(&self, now: Instant, quiet: bool) -> bool {
        self.due.is_some_and(|due| due <= now) && (quiet || self.is_overdue(now))
    }

    /// The vault has everything. Tenants that were opened together are not looked at together.
    pub fn done(&mut self, now: Instant, rng: &mut SmallRng) {
        self.last = now;
        self.due = self.interval.map(|interval| now + interval.mul_f64(rng.random_range(0.75..1.0)));
    }

    fn failed(&mut self, now: Instant) {
        self.last = now;
        self.due = self.interval.map(|interval| now + interval / RETRY_DIVISOR);
    }

    /// The vault has lost something of another tenant.
    pub fn suspect(&mut self, now: Instant, rng: &mut SmallRng) {
        let Some(interval) = self.interval else { return };
        let part = interval / RETRY_DIVISOR;
        let soon = now.max(self.last + part) + part.mul_f64(rng.random());
        self.due = self.due.map(|due| due.min(soon));
    }
}

impl Writer {
    pub(super) async fn audit(&mut self) {
        let clock = self.cx.clock.clone();
        let found = tokio::select! {
            biased;
            found = self.missing() => found,
            () = clock.sleep(AUDIT_TIMEOUT) => Err(VaultError::Unavailable("it takes too long".into())),
        };
        let now = self.cx.clock.instant();
        match found {
            Ok(None) => self.audits.done(now, &mut self.cx.rng),
            Ok(Some(loss)) => {
                tracing::warn!(
                    event = "vault_loss_found",
                    tenant = %self.cx.tenant,
                    "audit: the vault has not got {loss}"
                );
                self.audits.done(now, &mut self.cx.rng);
                self.lose(loss);
            }
            Err(error) => {
                tracing::debug!(tenant = %self.cx.tenant, %error, "the vault could not be audited");
                self.audits.failed(now);
            }
        }
    }

    /// It opens, and has as many chunks as it names.
    async fn is_whole(&self, manifest: &Manifest) -> Result<bool, VaultError> {
        let Ok(opened) = open_manifest(&self.cx.seal, manifest) else { return Ok(false) };
        Ok(self.cx.vault.count_chunks(&self.cx.tenant, &manifest.id).await? >= opened.chunks.len() as u64)
    }

    /// What a reader would miss, if anything.
    async fn missing(&self) -> Result<Option<Loss>, VaultError> {
        let (vault, tenant, last) = (&self.cx.vault, &self.cx.tenant, self.head.last);
        let manifests = vault.manifests(tenant).await?;
        let good = self.good.as_ref();
        let mut base = None;
        let newer = manifests.iter().rev().filter(|manifest| good.is_none_or(|good| manifest.id.seq > good.seq));
        for manifest in newer.chain(manifests.iter().filter(|manifest| Some(&manifest.id) == good)) {
            if self.is_whole(manifest).await? {
                base = Some(manifest.id.seq);
                break;
            }
        }
        let first = match (base, good) {
            (Some(base), _) => base.next().min(last),
            (None, Some(good)) => return Ok(Some(Loss::Snapshot(good.seq))),
            (None, None) => Seq(1),
        };
        let count = vault.count_documents(tenant, first, last).await?;
        if count > last.0 - first.0 {
            return Ok(None);
        }
        let found = vault.headings(tenant, first, usize::MAX).await?;
        let missing =
            (first.0..=last.0).zip(found.iter().map(|found| Some(found.seq.0)).chain(std::iter::repeat(None)));
        Ok(missing.into_iter().find(|(seq, found)| Some(*seq) != *found).map(|(seq, _)| Loss::Entry(Seq(seq))))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: u64) -> Instant {
        Instant::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn an_audit_waits_for_what_is_to_be_written_but_not_for_ever() {
        let mut rng = SmallRng::seed_from_u64(1);
        let audits = Audits::new(Some(DAY), at(0), &mut rng);
        let due = audits.due().unwrap();
        assert!((at(64_800)..=at(86_400)).contains(&due), "{due:?}");
        assert!(!audits.is_due(at(64_000), true));
        assert!(audits.is_due(due, true));
        assert!(!audits.is_due(due, false));
        assert!(audits.is_due(due + DAY / 4, false));
    }

    #[test]
    fn signs_of_trouble_bring_it_forward_and_many_of_them_no_further() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut audits = Audits::new(Some(DAY), at(0), &mut rng);
        audits.suspect(at(3600), &mut rng);
        let due = audits.due().unwrap();
        assert!(due <= at(3600 + 864), "{due:?}");
        audits.done(due, &mut rng);
        audits.suspect(due, &mut rng);
        assert!(audits.due().unwrap() >= due + Duration::from_secs(864));
        let mut never = Audits::new(None, at(0), &mut rng);
        never.suspect(at(1), &mut rng);
        assert!(never.due().is_none() && !never.is_due(at(u32::MAX.into()), true));
    }
}
