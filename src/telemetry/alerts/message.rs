//! What is told, before it has words and a form.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::condition::AlertCondition;

/// One message: all that is due at one moment. Without sections it is a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertMessage {
    pub at: Timestamp,
    pub sections: Vec<AlertSection>,
    /// The last that may be sent for a while.
    #[serde(default)]
    pub is_last: bool,
}

/// One condition in a message, whatever the number of tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSection {
    pub condition: AlertCondition,
    pub state: AlertState,
    /// Whose; none for a condition of the daemon itself.
    pub tenants: Vec<String>,
    /// Of those that were told before and for whom it is still so, how many.
    pub left: usize,
    /// Since when, for the first of them.
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Firing,
    Resolved,
}

impl AlertState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}
