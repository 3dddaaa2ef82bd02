//! The takeover: how a process becomes the one owner of a tenant.
//!
//! The takeover document is created at the number after the last document read. From then on the old owner's next number
//! is occupied: it cannot append. Three things can have gone wrong, and are looked for:
//!
//! - The old owner was faster and the number is taken. By an entry: read on, try again. By another claimer's takeover:
//!   stand down.
//! - The answer is lost. Then the document tells: see [`super::flight`].
//! - The reader was so slow that the old owner has compacted what it was about to read, the number included, and the
//!   takeover stands in the past, where it fences no one. Entries are deleted only below the previous snapshot, so then
//!   there is a manifest at or above the number: the reader starts over. (When the document before it is gone too, the vault does not
//!   take it in the first place.)
//!
//! The document before the takeover can also be lost, and only the snapshot that stands after it be there. Found missing in two
//! readings, it is done without, and told.
//!
//! A takeover is never removed again, not even one in the past. There it harms no one: what is below a snapshot is not
//! read. But a claimer that finds a manifest above its number cannot always tell that from having been succeeded by another
//! owner, which has compacted since. Its takeover is then the one that keeps the owner before it from appending, and
//! removing it would let that one's next entry into the past. (The model test shows it.)

use jiff::Timestamp;

use super::{
    Context, OpenError,
    chain::{Follower, Frozen, Scribe},
    damage::Damage,
    flight::{AppendVerdict, PendingAppend, VaultRequest},
    hydrate::{self, HydrateError, Hydrated},
    pace::Patience,
};
use crate::{
    clock::Instant,
    crash,
    vault::{AppendError, Decision, DocumentKind, Footing, JournalDocument, Seq, VaultError},
};

/// How often a claimer starts over or reads on before it gives up for now.
const TRIES: usize = 20;
/// How often it asks a vault that does not answer.
const MAX_CLAIM_TRIES: u32 = 4;

/// What a takeover gives.
pub(super) struct Claimed {
    pub hydrated: Hydrated,
    /// When the takeover was asked for.
    pub confirmed_at: Instant,
    /// The takeover's own time.
    pub taken_at: Timestamp,
}

impl From<HydrateError> for OpenError {
    fn from(error: HydrateError) -> Self {
        match error {
            HydrateError::Vault(error) => Self::Vault(error),
            HydrateError::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

/// `prepared`: a reading from before, while another process owned the tenant. Only what came since is read. `predecessor`: the only
/// takeover that may be before ours.
pub(super) async fn claim(
    cx: &mut Context,
    scribe: &Scribe,
    mut prepared: Option<Hydrated>,
    mut predecessor: Option<Seq>,
) -> Result<Claimed, OpenError> {
    let mut tries = 0..TRIES;
    let mut missing = None;
    'over: while tries.next().is_some() {
        let mut hydrated = match prepared.take() {
            Some(prepared) => match brought_up_to_date(cx, prepared).await? {
                Some(hydrated) => hydrated,
                None => continue 'over,
            },
            None => hydrate::hydrate(cx).await?,
        };
        if predecessor.is_some_and(|predecessor| predecessor != hydrated.follower.head.epoch) {
            return Err(OpenError::Taken);
        }
        loop {
            // A later takeover has a later time, whatever the clocks say.
            let at = cx.clock.now().max(hydrated.follower.latest);
            let head = hydrated.follower.head;
            let base = hydrated.base.as_ref().filter(|base| base.id.seq == head.last && missing == Some(head.last));
            let across = base.map(|base| Footing::Manifest(base.id.clone()));
            let takeover = scribe.takeover(&head, at);
            let number = takeover.after.last;
            match place(cx, takeover, across.as_ref()).await? {
                Placed::Yes { sent, documents } => {
                    predecessor = predecessor.map(|_| number);
                    if has_manifest_from(cx, number).await? {
                        continue 'over;
                    }
                    let [document] = <[_; 1]>::try_from(documents).expect("a takeover is one document");
                    hydrated.follower.follow(document).map_err(OpenError::Damaged)?;
                    crash::point("takeover");
                    if across.is_some() {
                        hydrated.passed_over.get_or_insert(Damage::MissingEntry(head.last));
                    }
                    return Ok(Claimed { hydrated, confirmed_at: sent, taken_at: at });
                }
                // Compacted away under the reader, or another owner's by now; lost, when it is still missing in a second reading.
                Placed::AfterNothing => {
                    missing = Some(head.last);
                    continue 'over;
                }
                Placed::No => {
                    if tries.next().is_none() || !read_on(cx, &mut hydrated.follower).await? {
                        continue 'over;
                    }
                }
            }
        }
    }
    Err(OpenError::Vault(VaultError::Unavailable("the tenant's owner writes faster than it can be taken over".into())))
}

/// A reading from before with what has come since; `None`: it is of no use any more. The owner then may have had successors, and snapshots:
/// one that is not the reading's own says that what the reading stands on may be gone.
async fn brought_up_to_date(cx: &mut Context, mut prepared: Hydrated) -> Result<Option<Hydrated>, OpenError> {
    let manifests = cx.vault.manifests(&cx.tenant).await.map_err(HydrateError::from)?;
    let base = prepared.base.as_ref().map(|base| &base.id);
    if prepared.passed_over.is_some() || manifests.last().map(|manifest| &manifest.id) != base {
        return Ok(None);
    }
    let next = prepared.follower.head.last.next();
    let documents = cx.vault.documents(&cx.tenant, next).await.map_err(HydrateError::from)?;
    let fits = documents.into_iter().try_for_each(|document| prepared.follower.follow(document)).is_ok()
        && prepared.follower.check_unfinished().is_ok();
    if !fits {
        return Ok(None);
    }
    prepared.empty &= prepared.follower.head.last == Seq(0);
    let useful = hydrate::check(cx, &prepared.follower).is_ok();
    Ok(useful.then_some(prepared))
}

enum Placed {
    Yes {
        sent: Instant,
        documents: Vec<JournalDocument>,
    },
    /// Something else has the number.
    No,
    /// The document before it is not there, or is another one.
    AfterNothing,
}

/// Creates the takeover document, whatever answers are lost; `across`: on this, instead of on the document before it.
async fn place(cx: &mut Context, takeover: Frozen, across: Option<&Footing>) -> Result<Placed, OpenError> {
    let mut flight = PendingAppend::new(takeover, usize::MAX);
    let mut patience = Patience::new(cx.policy.backoff, MAX_CLAIM_TRIES);
    loop {
        let sent = cx.clock.instant();
        let (verdict, lost) = match flight.ask() {
            VaultRequest::Append(before, documents, decision) => {
                let answer = match across {
                    Some(footing) => {
                        cx.vault.start_over(&cx.tenant, footing, documents, None, &Decision::default()).await
                    }
                    None => cx.vault.append(&cx.tenant, before, documents, decision).await,
                };
                let lost = match &answer {
                    Err(AppendError::Vault(error)) => Some(error.clone()),
                    _ => None,
                };
                (flight.appended(answer), lost)
            }
            VaultRequest::Document(seq) => {
                let answer = cx.vault.document(&cx.tenant, seq).await;
                let lost = answer.as_ref().err().cloned();
                (flight.saw(answer), lost)
            }
        };
        match verdict {
            AppendVerdict::Onward => {}
            AppendVerdict::Landed => return Ok(Placed::Yes { sent, documents: flight.frozen.documents }),
            AppendVerdict::Fenced => return Ok(Placed::No),
            AppendVerdict::BackOff if patience.once_more(&*cx.clock, &mut cx.rng).await => {}
            AppendVerdict::BackOff => {
                let silence = || VaultError::Unavailable("it contradicts itself".into());
                return Err(OpenError::Vault(lost.unwrap_or_else(silence)));
            }
            AppendVerdict::Refused(why) => return Err(OpenError::Vault(VaultError::Refused(why))),
            AppendVerdict::Lost(_) => return Ok(Placed::AfterNothing),
        }
    }
}

/// Follows what has come since. False when it does not fit what was read before: then everything has to be read again.
async fn read_on(cx: &mut Context, follower: &mut Follower) -> Result<bool, OpenError> {
    let next = follower.head.last.next();
    let mut patience = Patience::new(cx.policy.backoff, MAX_CLAIM_TRIES);
    let documents = loop {
        match cx.vault.documents(&cx.tenant, next).await {
            Err(VaultError::Unavailable(_)) if patience.once_more(&*cx.clock, &mut cx.rng).await => {}
            answer => break answer.map_err(HydrateError::from)?,
        }
    };
    // One of our own is what an earlier try of this process left behind when it lost its answer.
    if documents.iter().any(|document| document.kind == DocumentKind::Takeover && document.writer != cx.writer) {
        return Err(OpenError::Taken);
    }
    let fits = !documents.is_empty()
        && documents.into_iter().try_for_each(|document| follower.follow(document)).is_ok()
        && follower.check_unfinished().is_ok();
    Ok(fits)
}

/// Is there a snapshot at the number, or above it?
async fn has_manifest_from(cx: &mut Context, number: Seq) -> Result<bool, OpenError> {
    let mut patience = Patience::new(cx.policy.backoff, MAX_CLAIM_TRIES);
    loop {
        match cx.vault.manifests(&cx.tenant).await {
            Err(VaultError::Unavailable(_)) if patience.once_more(&*cx.clock, &mut cx.rng).await => {}
            answer => {
                let manifests = answer.map_err(HydrateError::from)?;
                return Ok(manifests.iter().any(|manifest| manifest.id.seq >= number));
            }
        }
    }
}
