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
//! A loss is told from being fenced by looking for another process's documents: above the epoch that we began with, or later than ours.
//! Compaction takes nothing away that comes after the previous snapshot, so it never looks like a loss to the owner itself; to an owner
//! that was stopped for long it does, and that one finds the takeover.
//!
//! Whoever reads the vault as it is and takes it over at the same time is the owner if his commit comes first. The vault's end was looked
//! up before the others were looked for, and our commit stands on it ([`Footing`]): the end is still there, so a takeover can only be
//! behind it, where the fence is. Behind the fence nothing of before can land any more, however late: it would have to stand on a document
//! that is lost. An earlier attempt of ours stands on another end, so it finds its own number taken. The loser of the race is fenced; if it
//! is us, what was lost stays lost. So is an owner of whose takeover the vault knows nothing any more.
//!
//! A working copy that has failed meanwhile cannot be written anew: the journal ends ([`JournalClosedError::StateLost`]), and the
//! next owner finds what the vault still has.
//!
//! A vault may doubt itself besides ([`Vault::doubts`]). What is lost further down an audit notices ([`super::audit`]). A loss is a
//! reason to look after the other tenants as well ([`Vault::suspect`]).

use std::{
    collections::BTreeSet,
    sync::{Weak, atomic::Ordering::Relaxed},
};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::SmallRng};

use super::{
    JournalClosedError, Loss, SnapshotError,
    book::Barrier,
    chain::{Head, Tail},
    format::Guard,
    record::{ChangeNo, Record, decide},
    snapshot::{SnapshotWriter, is_old},
    writer::Writer,
};
#[cfg(doc)]
use crate::vault::Vault;
use crate::vault::{AppendError, Footing, Heading, JournalDocument, Manifest, Seq, VaultError};

/// The tenant's journal as the vault still has it.
struct Survey {
    /// The last number that is taken, for a reader: by a document, or by a snapshot.
    end: Seq,
    /// That one.
    footing: Footing,
    /// Where something of before may land yet: behind the last document, and earlier attempts of ours.
    free: BTreeSet<Seq>,
}

/// Why the state is not in the vault yet.
enum NotYet {
    /// Try again after a while.
    Later(String),
    Closed(JournalClosedError),
}

impl From<VaultError> for NotYet {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Refused(why) => Self::Closed(JournalClosedError::Refused(why)),
            error => Self::Later(error.to_string()),
        }
    }
}

impl Writer {
    /// Brings the whole state into the vault, however long it takes, as long as somebody has it.
    pub(super) async fn rebuild(&mut self, loss: Loss) -> Result<(), JournalClosedError> {
        // Where it would stand is lost.
        self.snapshot = None;
        let mut failures = 0;
        loop {
            match self.write_anew(loss).await {
                Ok(()) => {
                    let (tenant, epoch) = (&self.cx.tenant, self.head.epoch.0);
                    tracing::error!(
                        event = "vault_loss_mended",
                        %tenant,
                        epoch,
                        "the vault had lost {loss}: the tenant's state is in it again"
                    );
                    return Ok(());
                }
                Err(NotYet::Closed(closed)) => return Err(closed),
                Err(NotYet::Later(why)) => {
                    if failures == 0 {
                        tracing::error!(
                            event = "vault_loss_unmended",
                            tenant = %self.cx.tenant,
                            "the tenant's state is not in the vault yet: {why}"
                        );
                    }
                    self.suffer(format!("it has lost {loss}, and the state is not there again: {why}"));
                    self.back_off(failures).await?;
                    failures += 1;
                }
            }
        }
    }

    async fn write_anew(&mut self, loss: Loss) -> Result<(), NotYet> {
        // What is lost from now on is written once more.
        self.doubts.mark_unchanged();
        let Survey { end, footing, free } = self.survey().await?;
        // Not fenced: so it is a loss.
        if self.shared.loss.send_replace(Some(loss)).is_none() {
            self.shared.losses.fetch_add(1, Relaxed);
            self.cx.vault.suspect();
            self.suspicions.mark_unchanged();
            tracing::error!(
                event = "vault_loss",
                tenant = %self.cx.tenant,
                "the vault has lost {loss}: writing the tenant's state anew"
            );
        }
        // A vault that loses one tenant's state has mostly lost all of them, and this process may have the only copy: it must not run out
        // of memory now.
        let rebuilds = self.cx.policy.rebuilds.clone();
        let Ok(_turn) = rebuilds.acquire_owned().await else { return Err(NotYet::Later("there is no turn".into())) };
        let (records, upto) = self.everything(loss).await?;

        let last = end.max(self.used).max(self.head.last);
        let at = self.cx.clock.now().max(self.written_at);
        let takeover = self.scribe.takeover(&Head { last, ..self.head }, at);
        let head = takeover.after;
        let mut fences = free;
        fences.insert(end.next());
        fences.remove(&head.last);
        let mut documents = takeover.documents;
        for before in fences.into_iter().map(|fence| fence.previous().unwrap_or(Seq(0))) {
            documents.extend(self.scribe.takeover(&Head { last: before, ..self.head }, at).documents);
        }
        self.used = head.last;
        // Documents that decided something stay where they are.
        let guards: Vec<_> = self.guards.iter().copied().filter(|guard| guard.seq() <= end).collect();

        let mut photographer = self.photographer();
        let chunks = photographer.write_chunks(records, &head).await?;
        let manifest = photographer.manifest(&chunks, &head, guards.clone(), None);
        let sent = self.cx.clock.instant();
        self.start_over(&footing, &documents, &manifest).await?;
        photographer.read_back(&manifest).await.map_err(|error| match error {
            SnapshotError::Vault(error) => NotYet::from(error),
            error => NotYet::Later(error.to_string()),
        })?;

        self.head = head;
        self.shared.head.store(head.last.0, Relaxed);
        self.written_at = at;
        self.guards = guards;
        self.tail = Tail::default();
        self.good = Some(manifest.id);
        self.snapshot_bytes = chunks.bytes;
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

    /// Looks at the vault as it is.
    async fn survey(&mut self) -> Result<Survey, NotYet> {
        let now = self.cx.clock.certain(Timestamp::UNIX_EPOCH);
        self.strays.retain(|stray| !is_old(stray.at, now, self.cx.policy.takeover_keep));
        let (vault, tenant) = (&self.cx.vault, &self.cx.tenant);
        let before = vault.headings(tenant, Seq(1), usize::MAX).await?;
        let manifests = vault.manifests(tenant).await?;
        let found = vault.headings(tenant, Seq(1), usize::MAX).await?;
        if found != before {
            return Err(NotYet::Later("it is changing".into()));
        }
        let foreign = |found: &Heading| found.writer != self.cx.writer || found.seq > self.used;
        if found.iter().any(|found| (found.seq > self.first || found.at > self.taken_at) && foreign(found)) {
            return Err(NotYet::Closed(JournalClosedError::Fenced));
        }
        let document = found.last().map(|last| last.seq);
        let strays = self.strays.iter().map(Guard::seq).filter(|seq| found.iter().all(|found| found.seq != *seq));
        let free = strays.chain([document.unwrap_or(Seq(0)).next()]).collect();
        if let Some(snapshot) = manifests.into_iter().next_back().filter(|last| Some(last.id.seq) > document) {
            return Ok(Survey { end: snapshot.id.seq, footing: Footing::Manifest(snapshot.id), free });
        }
        let Some(end) = document else { return Ok(Survey { end: Seq(0), footing: Footing::Nothing, free }) };
        match vault.document(tenant, end).await? {
            Some(found) => Ok(Survey { end, footing: Footing::Document(end, Some(found.digest())), free }),
            None => Err(NotYet::Later("it is losing more".into())),
        }
    }

    /// The whole state, and the last change in it.
    async fn everything(&mut self, loss: Loss) -> Result<(Vec<Record>, ChangeNo), NotYet> {
        let reading = {
            let mut book = self.shared.book();
            let Some(source) = book.source.as_ref().and_then(Weak::upgrade) else {
                return Err(match book.source.is_some() || book.closing {
                    true => NotYet::Closed(JournalClosedError::StateLost(loss)),
                    false => NotYet::Later("there is no working copy yet".into()),
                });
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
        if matches!(&read, Some(Err(error)) if error.is_final) {
            return Err(NotYet::Closed(JournalClosedError::StateLost(loss)));
        }
        // The state has the pending changes, whatever becomes of it now.
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

    fn photographer(&mut self) -> SnapshotWriter {
        let rng = SmallRng::from_rng(&mut self.cx.rng);
        SnapshotWriter::new(&self.cx, rng, self.shared.clone())
    }

    async fn start_over(
        &mut self,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: &Manifest,
    ) -> Result<(), NotYet> {
        let (vault, tenant) = (&self.cx.vault, &self.cx.tenant);
        let mut record = self.shared.book().record.clone();
        decide(&mut record, &self.decided);
        let first = &documents[0];
        self.strays.push(Guard { seq: first.seq.0, at: first.at.as_millisecond() });
        let answer = vault.start_over(tenant, footing, documents, Some(manifest), &record).await;
        // All of it or nothing; sent again it would be another one.
        let landed = match &answer {
            Ok(()) => true,
            Err(AppendError::Vault(VaultError::Refused(why))) => {
                return Err(NotYet::Closed(JournalClosedError::Refused(why.clone())));
            }
            Err(_) => vault.document(tenant, first.seq).await?.is_some_and(|found| found.payload == first.payload),
        };
        if landed || !matches!(answer, Err(AppendError::Vault(_))) {
            self.strays.pop();
        }
        match answer {
            Err(error) if !landed => Err(NotYet::Later(error.to_string())),
            _ => Ok(()),
        }
    }
}
