//! What left a tenant's state: closed pieces of its history, beside the journal.
//!
//! Owns what lies under `segments`. A piece is sealed and written once, under a name that no other try has, and means something only
//! to who holds its reference; so whoever writes the reference into the state, after the piece, has it or has nothing. The
//! reference carries the digest: a piece that was altered, swapped or lost is told from the one that was meant.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Context;
use crate::{
    seal::{Digest, Kind, OVERHEAD, SealPosition, TenantSeal, UnsealError},
    tenant::TenantId,
    vault::{Seq, Vault, VaultError},
};

/// A tenant's pieces. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(super) vault: Arc<dyn Vault>,
    pub(super) seal: TenantSeal,
    pub(super) tenant: TenantId,
    pub(super) max_payload: usize,
}

/// The reference to a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    name: String,
    /// Documents that it takes.
    parts: u32,
    /// Of the sealed bytes, in hex.
    digest: String,
}

/// Why a piece cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveError {
    /// Try again.
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("piece {piece} of the history is missing in the vault")]
    Missing { piece: String },
    #[error("piece {piece} of the history is not what was written there")]
    Altered { piece: String },
    #[error("piece {piece} of the history does not open: {error}")]
    Sealed { piece: String, error: UnsealError },
}

impl ArchiveError {
    /// Trying again is no use.
    pub fn is_lost(&self) -> bool {
        !matches!(self, Self::Vault(VaultError::Unavailable(_) | VaultError::Refused(_)))
    }
}

impl Piece {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = String> {
        (0..self.parts).map(|part| format!("{}-{part:04}", self.name))
    }
}

impl Archive {
    /// For who only reads: pieces of a tenant that another process may own.
    pub fn of(cx: &Context) -> Self {
        let (vault, seal, tenant) = (cx.vault.clone(), cx.seal.clone(), cx.tenant.clone());
        Self { vault, seal, tenant, max_payload: cx.policy.max_payload }
    }

    /// Writes a piece. `label` begins its name, and is authenticated: 1 to 64 characters of `A-Za-z0-9`. When it fails something
    /// may have been written that nothing refers to: [`Archive::sweep`] takes it away.
    pub async fn put(&self, label: &str, plain: &[u8]) -> Result<Piece, VaultError> {
        let pieces: Vec<_> = plain.chunks(self.max_payload - OVERHEAD).collect();
        let parts = pieces.len() as u32;
        let sealed: Vec<Bytes> =
            pieces.iter().zip(0..).map(|(plain, part)| self.seal.seal(&place(label, part, parts), plain)).collect();
        // The nonces are random: so is the digest, and with it the name.
        let digest = hex::encode(digest(&sealed).0);
        let piece = Piece { name: format!("{label}-{}", &digest[..16]), parts, digest };
        for (name, payload) in piece.documents().zip(sealed) {
            self.vault.put_segment(&self.tenant, &name, payload).await?;
        }
        Ok(piece)
    }

    pub async fn get(&self, label: &str, piece: &Piece) -> Result<Vec<u8>, ArchiveError> {
        let mut sealed = Vec::with_capacity(piece.parts as usize);
        for name in piece.documents() {
            let found = self.vault.segment(&self.tenant, &name).await?;
            sealed.push(found.ok_or_else(|| ArchiveError::Missing { piece: piece.name.clone() })?);
        }
        if hex::encode(digest(&sealed).0) != piece.digest {
            return Err(ArchiveError::Altered { piece: piece.name.clone() });
        }
        let mut plain = Vec::new();
        for (sealed, part) in sealed.iter().zip(0..) {
            let opened = self.seal.open(&place(label, part, piece.parts), sealed);
            plain.extend(opened.map_err(|error| ArchiveError::Sealed { piece: piece.name.clone(), error })?);
        }
        Ok(plain)
    }

    /// Deletes a piece. Its reference must be gone from the vault before.
    pub async fn remove(&self, piece: &Piece) -> Result<(), VaultError> {
        self.vault.remove_segments(&self.tenant, &piece.documents().collect::<Vec<_>>()).await
    }

    /// The documents that belong to none of `pieces`. They may be another owner's: to be deleted only when the vault has confirmed,
    /// later than this was answered, that the tenant is ours, since an owner writes pieces only after its takeover.
    pub async fn strays<'a>(&self, pieces: impl IntoIterator<Item = &'a Piece>) -> Result<Vec<String>, VaultError> {
        let known: HashSet<_> = pieces.into_iter().flat_map(Piece::documents).collect();
        let mut names = self.vault.segments(&self.tenant).await?;
        names.retain(|name| !known.contains(name));
        Ok(names)
    }

    /// Deletes strays.
    pub async fn sweep(&self, strays: &[String]) -> Result<(), VaultError> {
        self.vault.remove_segments(&self.tenant, strays).await
    }
}

fn place(label: &str, part: u32, parts: u32) -> SealPosition {
    SealPosition {
        kind: Kind::Segment,
        seq: Seq(0),
        part,
        parts,
        epoch: Seq(0),
        previous: Digest::of([label.as_bytes()]),
    }
}

fn digest(sealed: &[Bytes]) -> Digest {
    Digest::of(sealed.iter().map(|bytes| &bytes[..]))
}
