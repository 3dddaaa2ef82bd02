//! What an alert may be about: the one table of conditions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        /// Something that is wrong with a tenant, or with the daemon. In the order in which a message names them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum AlertCondition { $($(#[$doc])* #[serde(rename = $key)] $name),* }

        impl AlertCondition {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in the settings, and in a message for programs.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key),* }
            }
        }
    };
}

conditions! {
    VaultDown = "vault_down",
    DiskLow = "disk_low",
    /// WhatsApp has logged the tenant out.
    ScanNeeded = "scan_needed",
    Banned = "banned",
    TenantFailed = "tenant_failed",
    /// No process serves it.
    Unowned = "unowned",
    /// It should be connected to WhatsApp, and is not.
    Offline = "offline",
    /// It is connected, and WhatsApp says nothing.
    Silent = "silent",
    Flapping = "flapping",
    Outdated = "outdated",
    OtherAccount = "other_account",
    Timelocked = "timelocked",
    /// WhatsApp has warned for the last time that it sees too many new chats.
    NewChats = "new_chats",
    OutboxOld = "outbox_old",
    WebhookFailing = "webhook_failing",
    WebhookParked = "webhook_parked",
    HandoverFailed = "handover_failed",
}

/// Of something that is counted: so many within this time are an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiseLimit {
    pub count: u64,
    pub within: Duration,
}

impl AlertCondition {
    /// `None`: it is, or it is not; nobody counts.
    pub fn rise_limit(self) -> Option<RiseLimit> {
        let limit = |count, minutes: u64| Some(RiseLimit { count, within: Duration::from_secs(60 * minutes) });
        match self {
            Self::Flapping => limit(5, 15),
            Self::OtherAccount | Self::HandoverFailed => limit(1, 60),
            _ => None,
        }
    }

    /// It happened, and is over with that: nobody is told that it is resolved.
    pub fn is_event(self) -> bool {
        matches!(self, Self::OtherAccount | Self::HandoverFailed)
    }

    /// Of something that happened: once more is news, also within its time. Of handovers, which fail together, one stands for the others.
    pub fn is_told_anew(self) -> bool {
        matches!(self, Self::OtherAccount)
    }

    /// What explains it: of the same tenant, or of the whole daemon. While one of these is so, nobody is told of this.
    pub fn causes(self) -> &'static [Self] {
        match self {
            Self::TenantFailed | Self::Unowned | Self::Offline => &[Self::VaultDown],
            Self::Silent | Self::Flapping => &[Self::VaultDown, Self::Offline],
            Self::OutboxOld => &[
                Self::VaultDown,
                Self::ScanNeeded,
                Self::Banned,
                Self::TenantFailed,
                Self::Unowned,
                Self::Offline,
                Self::Silent,
                Self::Timelocked,
                Self::NewChats,
            ],
            _ => &[],
        }
    }

    /// What is worse and may take its place. While one of these is so for the tenant, that this one is gone is no good news.
    pub fn successors(self) -> &'static [Self] {
        match self {
            Self::Banned => &[Self::VaultDown, Self::ScanNeeded, Self::TenantFailed, Self::Unowned],
            Self::TenantFailed => &[Self::VaultDown, Self::ScanNeeded, Self::Banned, Self::Unowned],
            Self::Unowned => &[Self::VaultDown, Self::ScanNeeded, Self::Banned, Self::TenantFailed],
            Self::Offline | Self::Outdated => {
                &[Self::VaultDown, Self::ScanNeeded, Self::Banned, Self::TenantFailed, Self::Unowned]
            }
            Self::Silent | Self::Flapping => {
                &[Self::VaultDown, Self::ScanNeeded, Self::Banned, Self::TenantFailed, Self::Unowned, Self::Offline]
            }
            _ => &[],
        }
    }
}
