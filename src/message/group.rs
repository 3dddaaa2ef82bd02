//! Groups, as WhatsApp tells them when it is asked, and what it tells of their changes.

use serde::{Deserialize, Serialize};

/// A group as WhatsApp tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// A jid.
    pub id: String,
    pub subject: String,
    pub description: Option<String>,
    /// Its maker: a jid.
    pub owner: Option<String>,
    /// Seconds since 1970.
    pub created: Option<u64>,
    pub members: Vec<Member>,
    /// As WhatsApp counts them: of a group that the tenant is not in, it does not tell who they are.
    pub size: usize,
    pub settings: GroupSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// A jid, as the group names its members.
    pub id: String,
    /// The jid with the phone number, where it is known.
    pub number: Option<String>,
    pub rank: Rank,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    Member,
    Admin,
    /// The group's maker.
    SuperAdmin,
}

/// The rights of members and admins in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Only admins change subject, description and picture.
    pub info_by_admins: bool,
    /// Only admins write.
    pub messages_by_admins: bool,
    pub members_add: bool,
    pub members_share_history: bool,
    /// An admin must let in who joins.
    pub approval: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupSetting {
    InfoByAdmins(bool),
    MessagesByAdmins(bool),
    MembersAdd(bool),
    MembersShareHistory(bool),
    Approval(bool),
}

/// A change of a group, as its members are told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupChange {
    /// The tenant is in it from now on.
    Joined(Box<Group>),
    Members {
        what: Move,
        members: Vec<Member>,
        /// The tenant is one of them.
        tenant: bool,
    },
    /// Somebody wants to join, or does not any more.
    Asks {
        /// A jid, as the group names its members.
        who: String,
        number: Option<String>,
        /// In WhatsApp's words, like `invite_link`.
        by: Option<String>,
        withdrawn: bool,
    },
    Subject(String),
    /// `None`: taken away.
    Description(Option<String>),
    Set(GroupSetting),
    /// There is no such group any more.
    Gone,
}

/// A change of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    Join,
    Leave,
    Promote,
    Demote,
}
