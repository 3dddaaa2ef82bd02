//! The other contents of a tenant's events: calls, the session's state, labels.

use serde::{Deserialize, Serialize};

use super::synced::Label;
use crate::tenant::State;

/// The session's state since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePoint {
    pub state: State,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// A call, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub id: String,
    /// The caller: a jid, by the phone number where it is known.
    pub from: String,
    pub stage: CallStage,
    pub video: bool,
    pub group: bool,
    /// Seconds since 1970.
    pub timestamp: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStage {
    Ringing,
    /// On another device of the tenant.
    Accepted,
    /// By the tenant, here or elsewhere.
    Rejected,
    /// The caller gave up, or the tenant was not connected.
    Missed,
}

/// A change of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelNews {
    pub id: String,
    pub label: Label,
    pub change: LabelChange,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelChange {
    /// New, or another name or colour.
    Written,
    Deleted,
    /// Put on a chat (a jid).
    Added(String),
    Removed(String),
}
