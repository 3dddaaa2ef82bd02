//! Hydration: a tenant's whole state read from the vault, and verified.
//!
//! The newest snapshot that is good, and every entry after it. A snapshot that does not open, or with which the state would be of no use
//! to its owner ([`Context::check`]), is passed over for an older one, only if the entries from there on are all present, up to where
//! the damaged one stood at least. An owner that compacts meanwhile
//! takes documents away under the reader, which looks like damage: so damage is believed only when two readings in a
//! row find the same.

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::{
    Context,
    chain::{Follower, Head},
    damage::{Damage, Document},
    format::{self, Guard},
    record::RecordMap,
};
use crate::{
    seal::{Digest, Kind, SealPosition, TenantSeal},
    vault::{Manifest, Seq, SnapshotId, VaultError},
};

/// How often a state that is never the same twice is read.
const READINGS: usize = 10;

/// What one reading came to.
#[derive(Debug)]
pub(super) struct JournalReading {
    /// At the end of the journal; the damage if there is no way to get there.
    pub state: Result<Follower, Damage>,
    /// A damaged snapshot that was passed over.
    pub passed_over: Option<Damage>,
    /// The snapshot that the state is built on.
    pub base: Option<Base>,
    /// There is nothing at all.
    pub empty: bool,
}

/// A snapshot that was read as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub id: SnapshotId,
    /// Sealed.
    pub bytes: u64,
}

impl JournalReading {
    fn damage(&self) -> Option<&Damage> {
        self.state.as_ref().err().or(self.passed_over.as_ref())
    }
}

/// A state that can be believed.
#[derive(Debug)]
pub(super) struct Hydrated {
    pub follower: Follower,
    pub passed_over: Option<Damage>,
    pub base: Option<Base>,
    pub empty: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum HydrateError {
    Vault(VaultError),
    Damaged(Damage),
}

impl From<VaultError> for HydrateError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Malformed(what) => Self::Damaged(Damage::NoDocument(what)),
            error => Self::Vault(error),
        }
    }
}

/// Reads until the reading can be believed.
pub(super) async fn hydrate(cx: &Context) -> Result<Hydrated, HydrateError> {
    let mut suspected = None;
    for _ in 0..READINGS {
        let JournalReading { state, passed_over, base, empty } = match read(cx).await {
            Ok(reading) if reading.damage() == suspected.as_ref() => reading,
            Ok(reading) => match reading.damage() {
                // Nothing wrong with it, whatever the reading before it saw.
                None => reading,
                Some(damage) => {
                    suspected = Some(damage.clone());
                    continue;
                }
            },
            Err(error) => return Err(error.into()),
        };
        let follower = state.map_err(HydrateError::Damaged)?;
        return Ok(Hydrated { follower, passed_over, base, empty });
    }
    Err(HydrateError::Vault(VaultError::Unavailable("the tenant's state changes faster than it can be read".into())))
}

/// Reads once.
pub(super) async fn read(cx: &Context) -> Result<JournalReading, VaultError> {
    let manifests = cx.vault.manifests(&cx.tenant).await?;
    let newest = manifests.last().map(|manifest| manifest.id.seq);
    let mut damage = None;
    for manifest in manifests.iter().rev() {
        let found = match load(cx, manifest).await? {
            Ok(snapshot) => {
                let base = Base { id: manifest.id.clone(), bytes: snapshot.bytes };
                let follower = Follower::new(cx.seal.clone(), snapshot.head, snapshot.state, snapshot.guards);
                let followed = follow_to_the_end(cx, follower, newest).await?;
                followed.and_then(|(follower, _)| match check(cx, &follower) {
                    Ok(()) => Ok((follower, base)),
                    Err(why) => Err(Damage::Unusable { document: Document::Manifest(manifest.id.clone()), why }),
                })
            }
            Err(damage) => Err(damage),
        };
        match found {
            Ok((follower, base)) => {
                return Ok(JournalReading { state: Ok(follower), passed_over: damage, base: Some(base), empty: false });
            }
            // The first one is the one to tell: what older snapshots lack follows from it.
            Err(found) => damage = damage.or(Some(found)),
        }
    }
    let start = Follower::new(cx.seal.clone(), Head::START, RecordMap::new(), Vec::new());
    let whole = follow_to_the_end(cx, start, newest).await?;
    let empty = manifests.is_empty() && matches!(whole, Ok((_, 0)));
    let whole = whole.and_then(|(follower, _)| match check(cx, &follower) {
        Ok(()) => Ok(follower),
        Err(why) => Err(Damage::Unusable { document: Document::Entry(follower.head.last), why }),
    });
    let state = match (whole, &damage) {
        (Ok(_), None) if empty && cx.expect_history => Err(Damage::NoHistory),
        (Ok(follower), _) => Ok(follower),
        (Err(_), Some(damage)) => Err(damage.clone()),
        (Err(damage), None) => Err(damage),
    };
    let passed_over = damage.filter(|_| state.is_ok());
    Ok(JournalReading { state, passed_over, base: None, empty })
}

/// Says why the state's owner could do nothing with it.
pub(super) fn check(cx: &Context, follower: &Follower) -> Result<(), String> {
    let Some(check) = cx.check else { return Ok(()) };
    follower.state.iter().try_for_each(|((space, key), value)| check(*space, key, value))
}

/// Follows all documents that there are after the follower's head: at least to `newest`. Counts them.
async fn follow_to_the_end(
    cx: &Context,
    mut follower: Follower,
    newest: Option<Seq>,
) -> Result<Result<(Follower, usize), Damage>, VaultError> {
    let documents = cx.vault.documents(&cx.tenant, follower.head.last.next()).await?;
    let count = documents.len();
    let followed = documents
        .into_iter()
        .try_for_each(|document| follower.follow(document))
        .and_then(|()| follower.check_unfinished())
        .and_then(|()| match newest {
            Some(newest) if follower.head.last < newest => Err(Damage::MissingEntry(follower.head.last.next())),
            _ => Ok((follower, count)),
        });
    Ok(followed)
}

/// A snapshot, verified.
pub(super) struct Snapshot {
    head: Head,
    pub state: RecordMap,
    guards: Vec<Guard>,
    bytes: u64,
}

async fn load(cx: &Context, manifest: &Manifest) -> Result<Result<Snapshot, Damage>, VaultError> {
    let id = &manifest.id;
    let opened = match open_manifest(&cx.seal, manifest) {
        Ok(opened) => opened,
        Err(damage) => return Ok(Err(damage)),
    };
    let chunks = cx.vault.chunks(&cx.tenant, id).await?;
    Ok(assemble(&cx.seal, id, opened, chunks))
}

pub(super) fn assemble(
    seal: &TenantSeal,
    id: &SnapshotId,
    manifest: OpenedManifest,
    chunks: Vec<(u32, Bytes)>,
) -> Result<Snapshot, Damage> {
    let mut plain = BytesMut::new();
    let mut chunks = chunks.into_iter().peekable();
    let parts = manifest.chunks.len() as u32;
    for (n, digest) in (0..).zip(&manifest.chunks) {
        let Some((_, chunk)) = chunks.next_if(|(found, _)| *found == n) else {
            return Err(Damage::MissingChunk(Document::Chunk(id.clone(), n)));
        };
        let place = chunk_place(id, n, &manifest.head);
        let opened = seal.open(&place, &chunk).map_err(|why| Damage::unopened(Document::Chunk(id.clone(), n), why))?;
        if Digest::of([&*chunk]) != *digest {
            let why = format!("it is not the one of {parts} that the manifest names");
            return Err(Damage::Malformed { document: Document::Chunk(id.clone(), n), why });
        }
        plain.extend_from_slice(&opened);
    }
    let state = format::decode_records(plain.freeze())
        .map_err(|why| Damage::Malformed { document: Document::Manifest(id.clone()), why })?;
    Ok(Snapshot { head: manifest.head, state, guards: manifest.guards, bytes: manifest.bytes })
}

/// A manifest whose seal was good.
#[derive(Clone)]
pub(super) struct OpenedManifest {
    /// At the entry that the snapshot stands after.
    pub head: Head,
    pub chunks: Vec<Digest>,
    pub bytes: u64,
    pub kept_until: Option<i64>,
    pub guards: Vec<Guard>,
}

pub(super) fn open_manifest(seal: &TenantSeal, manifest: &Manifest) -> Result<OpenedManifest, Damage> {
    let id = &manifest.id;
    let document = || Document::Manifest(id.clone());
    let plain = seal.open(&manifest_place(id), &manifest.payload).map_err(|why| Damage::unopened(document(), why))?;
    let malformed = |why: String| Damage::Malformed { document: document(), why };
    let manifest = format::ManifestRecord::decode(&*plain).map_err(|error| malformed(error.to_string()))?;
    let digest = |bytes: &[u8]| match bytes.try_into() {
        Ok(bytes) => Ok(Digest(bytes)),
        Err(_) => Err(malformed("a digest of another length".into())),
    };
    Ok(OpenedManifest {
        head: Head {
            last: id.seq,
            digest: digest(&manifest.entry)?,
            document: manifest.document.as_deref().map(digest).transpose()?,
            epoch: Seq(manifest.epoch),
        },
        chunks: manifest.chunks.iter().map(|bytes| digest(bytes)).collect::<Result<_, _>>()?,
        bytes: manifest.bytes,
        kept_until: manifest.kept_until,
        guards: manifest.guards,
    })
}

/// Where a manifest is sealed. Its reader knows nothing yet: what comes before is inside.
pub(super) fn manifest_place(id: &SnapshotId) -> SealPosition {
    let kind = Kind::Manifest { attempt: id.attempt.clone() };
    SealPosition { kind, seq: id.seq, part: 0, parts: 1, epoch: Seq(0), previous: Digest::ZERO }
}

/// Where a chunk is sealed. How many there are, the manifest says: it is written when all are.
pub(super) fn chunk_place(id: &SnapshotId, n: u32, head: &Head) -> SealPosition {
    let kind = Kind::Chunk { attempt: id.attempt.clone() };
    SealPosition { kind, seq: id.seq, part: n, parts: 0, epoch: head.epoch, previous: head.digest }
}
