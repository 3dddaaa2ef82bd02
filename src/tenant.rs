//! Tenants: who they are. Ground that every part may use; holds no state and does no I/O.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A tenant's name in every path, document id and URL of this daemon.
///
/// 1–64 characters of `A-Za-z0-9_-`, beginning with a letter or digit, and none of the words that routes use in
/// the same place. So it is safe as a file name, as a Firestore document id and in a URL without escaping.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

/// Path segments that stand beside `{session}` in the HTTP API and can therefore name no tenant.
const RESERVED: &[&str] = &[
    "sessions", "keys", "server", "contacts", "messages", "version", "baileys", "tenant", "tenants", "stats", "health",
    "events", "files", "ping", "send",
];

/// Why a text is no [`TenantId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenantId {
    #[error("must have 1 to 64 characters")]
    Length,
    #[error("may hold only A-Z, a-z, 0-9, _ and -, and must begin with a letter or digit")]
    Character,
    #[error("is a reserved word")]
    Reserved,
}

impl TenantId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenantId;

    fn from_str(text: &str) -> Result<Self, InvalidTenantId> {
        if text.is_empty() || text.len() > 64 {
            return Err(InvalidTenantId::Length);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !text.bytes().all(allowed) || !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(InvalidTenantId::Character);
        }
        if RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Err(InvalidTenantId::Reserved);
        }
        Ok(Self(text.into()))
    }
}

impl JsonSchema for TenantId {
    fn schema_name() -> Cow<'static, str> {
        "TenantId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A tenant's name. A few words that routes use cannot be one.",
            "minLength": 1,
            "maxLength": 64,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
            "examples": ["trattoria"],
        })
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenantId;
    fn try_from(text: String) -> Result<Self, InvalidTenantId> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the vault's directory says of a tenant (`tenants/{tenantId}`).
#[derive(Debug, Clone, PartialEq)]
pub struct TenantRecord {
    pub id: TenantId,
    pub name: Option<String>,
    /// Restored at start when true. Decisive: see [`crate::vault::Decision`].
    pub whatsapp_connected: bool,
    /// Digits, without `+`.
    pub phone_number: Option<String>,
    pub connected_at: Option<Timestamp>,
    /// The session's last state in words, for people who look at the document.
    pub status: Option<String>,
    pub last_error: Option<String>,
    pub last_error_at: Option<Timestamp>,
    /// When its session was deleted: there is none until somebody makes it anew.
    pub deleted_at: Option<Timestamp>,
    /// Settings of the tenant as JSON object; `Null` when there are none.
    pub config: serde_json::Value,
}

/// A session's state, in WAHA's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SessionState")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Not connected and not trying to be.
    Stopped,
    /// Connecting.
    Starting,
    /// Waiting for a scan or a code.
    ScanQrCode,
    /// WhatsApp asks for a passkey, to link this account.
    PasskeyRequired,
    /// A code must be compared with the phone's.
    PasskeyConfirmationRequired,
    Working,
    /// Not without help: see the reason.
    Failed,
}

impl State {
    pub const ALL: [Self; 7] = [
        Self::Stopped,
        Self::Starting,
        Self::ScanQrCode,
        Self::PasskeyRequired,
        Self::PasskeyConfirmationRequired,
        Self::Working,
        Self::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::ScanQrCode => "SCAN_QR_CODE",
            Self::PasskeyRequired => "PASSKEY_REQUIRED",
            Self::PasskeyConfirmationRequired => "PASSKEY_CONFIRMATION_REQUIRED",
            Self::Working => "WORKING",
            Self::Failed => "FAILED",
        }
    }

    /// In the middle of a passkey ceremony.
    pub fn is_ceremony(self) -> bool {
        matches!(self, Self::PasskeyRequired | Self::PasskeyConfirmationRequired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_old_service_are_ids() {
        for id in ["tenant1767900000000abc123xyz", "tenant_demo_1767900000000", "a", &"x".repeat(64)] {
            assert_eq!(id.parse::<TenantId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn what_could_escape_a_path_a_document_or_a_url_is_none() {
        for id in ["", ".", "..", "a/b", "a.b", "_x", "-x", "a b", "ä", "a%2f", "__x__", &"x".repeat(65), "a\0"] {
            assert!(id.parse::<TenantId>().is_err(), "{id:?}");
        }
        for id in ["sessions", "Health", "BAILEYS"] {
            assert_eq!(id.parse::<TenantId>(), Err(InvalidTenantId::Reserved));
        }
    }
}
