//! Access rights in the vault: the API's keys, and which tenants a person belongs to.
//!
//! Of a key there is only its hash. A key that was revoked is gone for good: no change that was on its way brings it back. Processes
//! learn of each other's changes by asking what changed since they last asked.

use std::{collections::BTreeSet, fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Vault, VaultError};
use crate::tenant::TenantId;

/// SHA-256 of a key. Enough, and quick: a key is 256 random bits, so there is nothing to guess that a slow hash would make
/// dearer, as it does for passwords. Being a hash it may be compared and looked up as it is: nobody can steer its bytes towards
/// another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// From its hex form, in which both homes write it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok()?;
        // One document, one hash: not in capitals, too.
        (hex::encode(hash) == text).then_some(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

/// A right to do something for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See its status, chats and messages.
    Read,
    /// Write to its customers.
    Send,
    /// Pair, disconnect, change its settings, delete it.
    Control,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Send, Self::Control];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Control => "control",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// The rights of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Admin,
    Tenant {
        tenant: TenantId,
        scopes: BTreeSet<Scope>,
    },
    /// The metrics of all tenants, and nothing else.
    Metrics,
}

/// As homes write the rights of [`Rights::Metrics`]: for a tenant of this name, which no tenant can have. An older build, which knows no
/// such rights, cannot read it, and so opens nothing; one without a tenant it would take for an admin's.
pub(super) const METRICS: (&str, &str) = ("*", "metrics");

impl Rights {
    pub fn allow(&self, tenant: &TenantId, scope: Scope) -> bool {
        match self {
            Self::Admin => true,
            Self::Tenant { tenant: own, scopes } => own == tenant && scopes.contains(&scope),
            Self::Metrics => false,
        }
    }
}

/// `apiKeys/{hash}`: what is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub hash: KeyHash,
    /// By which people and programs name it. Outlives a renewal.
    pub id: Arc<str>,
    pub rights: Rights,
    /// False: refused until it is made active again.
    pub active: bool,
    pub created_at: Timestamp,
    /// Within ten minutes or so.
    pub last_used_at: Option<Timestamp>,
}

/// A change of a key: its state now.
#[derive(Debug, Clone)]
pub struct KeyChange {
    pub hash: KeyHash,
    /// `None`: revoked. An error: what stands there cannot be read, so it opens nothing.
    pub key: Result<Option<ApiKey>, VaultError>,
}

/// A point in the history of changes, as one home counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCursor(pub(super) i64);

/// The part of a home that keeps the doors. Contract as [`Vault`]'s.
#[async_trait]
pub trait AccessVault: fmt::Debug + Send + Sync + 'static {
    /// Keys that changed after `since`; all of them without one. A change may come twice, but none is left out that was answered
    /// before this was asked. Those revoked are told until they are forgotten.
    async fn key_changes(&self, since: Option<KeyCursor>) -> Result<(Vec<KeyChange>, KeyCursor), VaultError>;
    async fn key(&self, hash: &KeyHash) -> Result<Option<ApiKey>, VaultError>;
    /// Refused when there is one of this hash.
    async fn create_key(&self, key: &ApiKey) -> Result<(), VaultError>;
    /// Sets rights and `active`. False: there is no such key, or no more.
    async fn change_key(&self, key: &ApiKey) -> Result<bool, VaultError>;
    /// Removes it, and puts a successor in its place in the same step. False: there is no such key, or no more; then there is no
    /// successor either.
    async fn revoke_key(&self, hash: &KeyHash, successor: Option<&ApiKey>) -> Result<bool, VaultError>;
    /// Notes a use; this is no change, and a key that is gone stays gone.
    async fn key_used(&self, hash: &KeyHash, at: Timestamp) -> Result<(), VaultError>;
    /// Forgets what was revoked before. Whoever has not asked for changes since must begin anew.
    async fn forget_revoked(&self, before: Timestamp) -> Result<(), VaultError>;

    /// The tenants in whose record `members` names this user. The embedded vault has none: nobody else writes into it.
    async fn memberships(&self, uid: &str) -> Result<BTreeSet<TenantId>, VaultError>;
}

/// Everything that a home keeps.
pub trait FullVault: Vault + AccessVault {}

impl<T: Vault + AccessVault> FullVault for T {}
