//! Who the tenant is at WhatsApp, as WAHA says it. Looks nothing up: the session's status has it.

use schemars::JsonSchema;
use serde::Serialize;

use super::id::chat_id;
use crate::session;

/// Who the tenant is at WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WAMe")]
pub struct Me {
    /// In WAHA's form.
    pub id: String,
    pub push_name: String,
    /// The account's other name, and its name with the device; left out until WhatsApp has told them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
}

impl Me {
    /// `None`: the session is not paired.
    pub fn of(status: &session::Status) -> Option<Self> {
        let number = status.phone_number.as_ref()?;
        Some(Self {
            id: chat_id(&format!("{number}@s.whatsapp.net")),
            push_name: status.push_name.clone().unwrap_or_default(),
            lid: status.lid.clone(),
            jid: status.jid.clone(),
        })
    }
}
