//! WAHA's form of calls.

use schemars::JsonSchema;
use serde::Serialize;

use super::id::chat_id;
use crate::message::{self, CallStage};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallData {
    /// With `from` it is what `POST /api/{session}/calls/reject` takes.
    id: String,
    from: String,
    /// Seconds since 1970.
    timestamp: i64,
    is_video: bool,
    is_group: bool,
    #[serde(rename = "_data")]
    data: CallDetails,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "CallDetails")]
struct CallDetails {
    status: CallStatus,
}

/// In the words of Baileys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CallStatus {
    /// It rings.
    Offer,
    /// Taken on another device.
    Accept,
    /// Declined, here or on another device.
    Reject,
    /// Nobody took it.
    Timeout,
}

impl From<&message::Call> for CallData {
    fn from(call: &message::Call) -> Self {
        let status = match call.stage {
            CallStage::Ringing => CallStatus::Offer,
            CallStage::Accepted => CallStatus::Accept,
            CallStage::Rejected => CallStatus::Reject,
            CallStage::Missed => CallStatus::Timeout,
        };
        Self {
            id: call.id.clone(),
            from: chat_id(&call.from),
            timestamp: call.timestamp,
            is_video: call.video,
            is_group: call.group,
            data: CallDetails { status },
        }
    }
}
