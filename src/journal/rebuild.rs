//! A vault that has lost what was in it, under the hands of the tenant's owner: everything that is in hand is written anew.
//!
//! It may have lost all of it (emptied, another disk), the end (an older copy put in its place), or the tenant's record. An append notices
//! it: the document before its own is not there. So does a confirmation. From then on nothing is said to be durable, until:
//!
//! - The chunks of a snapshot of the whole state are written, beside whatever is there.
//! - One commit ([`Vault::start_over`]) makes of them a snapshot: with a new takeover of ours, behind every number that was ever used,
//!   and the snapshot's manifest, which stands after that takeover; with a *fence*, another takeover at the number that whoever reads the
//!   vault as it is would take; and with the tenant's record. A reader sees the vault as it was found, or all of this.
//! - The snapshot was read back.
//!
//! A loss is told from being fenced by looking for takeovers: above our epoch, or later than ours, written by another process. Compaction
//! takes nothing away that comes after the previous snapshot, so it never looks like a loss to the owner itself; to an owner that was
//! stopped for long it does, and that one finds the takeover. Whoever reads the vault as it is and takes it over at the same time collides
//! with the fence: one of the two commits fails. If it is ours, the other process is the owner, and what was lost stays lost.
//!
//! An entry that is lost further down is not noticed, and does no harm once the next snapshot is written.

use std::sync::Weak;

use rand::{SeedableRng, rngs::SmallRng};

use super::{
    Closed, Loss, SnapshotError,
    book::Barrier,
    chain::{Head, Tail},
    record::{ChangeNo, Record, decide},
    snapshot::Photographer,
    writer::Writer,
};
#[cfg(doc)]
use crate::vault::Vault;
use crate::vault::{AppendError, JournalDocument, Manifest, Seq, VaultError};

/// Why the state is not in the vault yet.
enum NotYet {
    /// Try again after a while.
    Later(String),
    Closed(Closed),
}

impl From<VaultError> for NotYet {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Refused(why) => Self::Closed(Closed::Refused(why)),
            error => Self::Later(error.to_string()),
        }
    }
}

impl Writer {
    /// Brings the whole state into the vault, however long it takes.
    pub(super) async fn rebuild(&mut self, loss: Loss) -> Result<(), Closed> {
        // Where it would stand is lost.
        self.snapshot = None;
        let mut failures = 0;
        loop {
            match self.write_anew(loss).await {
                Ok(()) => {
                    let (tenant, epoch) = (&self.cx.tenant, self.head.epoch.0);
                    tracing::error!(%tenant, epoch, "the vault had lost {loss}: the tenant's state is in it again");
                    return Ok(());
                }
                Err(NotYet::Closed(closed)) => return Err(closed),
                Err(NotYet::Later(why)) => {
                    if failures == 0 {
                        tracing::error!(tenant = %self.cx.tenant, "the tenant's state is not in the vault yet: {why}");
                    }
                    self.suffer(format!("it has lost {loss}, and the state is not there again: {why}"));
                    self.back_off(failures).await?;
                    failures += 1;
                }
            }
        }
    }

    async fn write_anew(&mut self, loss: Loss) -> Result<(), NotYet> {
        let end = self.survey().await?;
        // Not fenced: so it is a loss.
        if self.shared.loss.send_replace(Some(loss)).is_none() {
            tracing::error!(tenant = %self.cx.tenant, "the vault has lost {loss}: writing the tenant's state anew");
        }
        let (records, upto) = self.everything().await?;

        let last = end.max(self.used).max(self.head.last);
        let at = self.cx.clock.now();
        let takeover = self.scribe.takeover(&Head { last, ..self.head }, at);
        let head = takeover.after;
        let mut documents = takeover.documents;
        if end < last {
            documents.extend(self.scribe.takeover(&Head { last: end, ..self.head }, at).documents);
        }
        self.used = head.last;

        let mut photographer = self.photographer();
        let chunks = photographer.write_chunks(records, &head).await?;
        let manifest = photographer.manifest(&chunks, &head, Vec::new(), None);
        let sent = self.cx.clock.instant();
        self.start_over(&documents, &manifest).await?;
        photographer.read_back(&manifest).await.map_err(|error| match error {
            SnapshotError::Vault(error) => NotYet::from(error),
            error => NotYet::Later(error.to_string()),
        })?;

        self.head = head;
        self.guards.clear();
        self.tail = Tail::default();
        self.good = Some(head.last);
        self.snapshot_bytes = chunks.bytes;
        self.taken_at = at;
        self.loss = None;
        self.pending_since = None;
        let mut book = self.shared.book();
        book.confirmed_at = sent;
        book.outage = false;
        drop(book);
        self.shared.loss.send_replace(None);
        self.shared.progress.send_modify(|now| now.durable = now.durable.max(upto));
        Ok(())
    }

    /// The last number that is taken in the vault as it is, for a reader: by a document, or by a snapshot.
    async fn survey(&self) -> Result<Seq, NotYet> {
        let (vault, tenant) = (&self.cx.vault, &self.cx.tenant);
        for (seq, at) in vault.takeovers(tenant).await? {
            if seq <= self.head.epoch && at <= self.taken_at {
                continue;
            }
            // Our own, of a try whose answer was lost, is none.
            let found = vault.document(tenant, seq).await?;
            if found.is_none_or(|found| found.writer != self.cx.writer) {
                return Err(NotYet::Closed(Closed::Fenced));
            }
        }
        let document = vault.numbers(tenant, Seq(1), usize::MAX).await?.last().copied();
        let snapshot = vault.manifests(tenant).await?.last().map(|manifest| manifest.id.seq);
        Ok(document.max(snapshot).unwrap_or(Seq(0)))
    }

    /// The whole state, and the last change in it.
    async fn everything(&mut self) -> Result<(Vec<Record>, ChangeNo), NotYet> {
        let reading = {
            let mut book = self.shared.book();
            let Some(source) = book.source.as_ref().and_then(Weak::upgrade) else {
                return Err(NotYet::Later("there is no working copy yet".into()));
            };
            let asked = book.ask_barrier();
            drop(book);
            let shared = self.shared.clone();
            source.read(Box::new(move || shared.reach_barrier(asked)))
        };
        let limit = self.cx.clock.sleep(self.cx.policy.begin_limit);
        let read = tokio::select! {
            biased;
            read = reading => Some(read),
            () = limit => None,
        };
        // What was pending is in the state, whatever becomes of it now.
        let barrier = std::mem::take(&mut self.shared.book().barrier);
        let Barrier::Reached(cut, upto) = barrier else {
            return Err(NotYet::Later("the working copy is not read in time".into()));
        };
        if let Some(decision) = &cut.decision {
            decide(&mut self.decided, decision);
        }
        match read {
            Some(Ok(records)) => Ok((records, upto)),
            Some(Err(why)) => Err(NotYet::Later(self.photographer().refused(why).to_string())),
            None => Err(NotYet::Later("the working copy is not read in time".into())),
        }
    }

    fn photographer(&mut self) -> Photographer {
        let rng = SmallRng::from_rng(&mut self.cx.rng);
        Photographer::new(&self.cx, rng, self.shared.clone())
    }

    async fn start_over(&self, documents: &[JournalDocument], manifest: &Manifest) -> Result<(), NotYet> {
        let (vault, tenant) = (&self.cx.vault, &self.cx.tenant);
        let mut record = self.shared.book().record.clone();
        decide(&mut record, &self.decided);
        let why = match vault.start_over(tenant, documents, Some(manifest), &record).await {
            Ok(()) => return Ok(()),
            Err(AppendError::Vault(VaultError::Refused(why))) => return Err(NotYet::Closed(Closed::Refused(why))),
            Err(error) => error.to_string(),
        };
        // All of it or nothing; sent again it would be another one. An answer that comes late finds its numbers taken.
        let first = &documents[0];
        match vault.document(tenant, first.seq).await? {
            Some(found) if found.payload == first.payload => Ok(()),
            _ => Err(NotYet::Later(why)),
        }
    }
}
