//! WAHA's form of channels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::session::{self, ChannelRole};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WAChannel {
    pub id: String,
    pub name: String,
    /// The link to it; empty: there is none.
    pub invite: String,
    pub preview: Option<String>,
    pub picture: Option<String>,
    pub role: Role,
    pub description: Option<String>,
    pub verified: bool,
    pub subscribers_count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "ChannelRole")]
pub enum Role {
    Owner,
    Admin,
    Subscriber,
    Guest,
}

/// A post of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelMessage {
    pub message: super::WAMessage,
    /// How often each emoji.
    pub reactions: BTreeMap<String, u64>,
    pub view_count: u64,
}

impl From<session::Channel> for WAChannel {
    fn from(channel: session::Channel) -> Self {
        let link = |code: String| format!("https://www.whatsapp.com/channel/{code}");
        Self {
            id: channel.id,
            name: channel.name,
            invite: channel.invite.map(link).unwrap_or_default(),
            preview: None,
            picture: None,
            role: match channel.role {
                ChannelRole::Owner => Role::Owner,
                ChannelRole::Admin => Role::Admin,
                ChannelRole::Subscriber => Role::Subscriber,
                ChannelRole::Guest => Role::Guest,
            },
            description: channel.description,
            verified: channel.verified,
            subscribers_count: channel.subscribers,
        }
    }
}
