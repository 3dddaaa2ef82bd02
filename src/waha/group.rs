//! WAHA's forms of groups. Its document has no model for what `GET /groups` answers, since its engines differ there: ours has the
//! fields of its `GroupInfo` and beside them those of Baileys, which is the engine that most clients were written against.

use schemars::JsonSchema;
use serde::Serialize;

use super::id::chat_id;
use crate::session::groups::{self, Member, Rank};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupInfo {
    pub id: String,
    pub subject: String,
    /// Empty: there is none.
    pub description: String,
    pub members_can_add_new_member: bool,
    pub members_can_send_messages: bool,
    pub new_members_approval_required: bool,
    pub participants: Vec<GroupParticipant>,
    pub owner: Option<String>,
    /// Seconds since 1970.
    pub creation: Option<u64>,
    pub size: usize,
    /// Baileys' name of the description.
    pub desc: Option<String>,
    /// Only admins change subject, description and picture.
    pub restrict: bool,
    /// Only admins write.
    pub announce: bool,
    /// Beyond WAHA, of a group that was just made: who was to be in it and is not. Nobody has the number, or they let nobody add them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_added: Vec<String>,
}

impl From<groups::GroupCreation> for GroupInfo {
    fn from(made: groups::GroupCreation) -> Self {
        Self { not_added: made.left_out.iter().map(|who| chat_id(who)).collect(), ..made.group.into() }
    }
}

impl From<groups::Group> for GroupInfo {
    fn from(group: groups::Group) -> Self {
        let settings = group.settings;
        Self {
            id: group.id,
            subject: group.subject,
            description: group.description.clone().unwrap_or_default(),
            members_can_add_new_member: settings.members_add,
            members_can_send_messages: !settings.messages_by_admins,
            new_members_approval_required: settings.approval,
            participants: group.members.iter().map(GroupParticipant::from).collect(),
            owner: group.owner.as_deref().map(chat_id),
            creation: group.created,
            size: group.size,
            desc: group.description,
            restrict: settings.info_by_admins,
            announce: settings.messages_by_admins,
            not_added: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GroupParticipant {
    /// As the group names its members.
    pub id: String,
    /// With the phone number, where it is known.
    pub pn: Option<String>,
    pub role: GroupRole,
    /// Baileys' name of the role; null: a plain member.
    pub admin: Option<GroupRole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// Not in it any more.
    Left,
    Participant,
    Admin,
    SuperAdmin,
}

impl From<&Member> for GroupParticipant {
    fn from(member: &Member) -> Self {
        let role = match member.rank {
            Rank::Member => GroupRole::Participant,
            Rank::Admin => GroupRole::Admin,
            Rank::SuperAdmin => GroupRole::SuperAdmin,
        };
        let (id, pn) = (chat_id(&member.id), member.number.as_deref().map(chat_id));
        Self { id, pn, role: GroupRole::Participant, admin: None }.with(role)
    }
}

impl GroupParticipant {
    pub fn with(self, role: GroupRole) -> Self {
        let admin = matches!(role, GroupRole::Admin | GroupRole::SuperAdmin).then_some(role);
        Self { role, admin, ..self }
    }
}

/// Somebody who wants to join. WhatsApp does not tell this device who brought them, or how: those texts are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupJoinRequest {
    pub requester_id: String,
    pub requester_pn: Option<String>,
    pub added_by_id: &'static str,
    pub parent_group_id: &'static str,
    pub request_method: &'static str,
    /// Seconds since 1970.
    pub timestamp: u64,
}

impl From<&groups::JoinApplicant> for GroupJoinRequest {
    fn from(request: &groups::JoinApplicant) -> Self {
        Self {
            requester_id: chat_id(&request.who),
            requester_pn: request.number.as_deref().map(chat_id),
            added_by_id: "",
            parent_group_id: "",
            request_method: "",
            timestamp: request.at,
        }
    }
}

/// What came of it for one of those that were named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupChangeResult {
    pub id: String,
    /// The same, as lists of requests name it.
    pub requester_id: String,
    pub success: bool,
    /// WhatsApp's code of why not.
    pub error: Option<u16>,
}

impl From<&groups::MemberChangeResult> for GroupChangeResult {
    fn from(changed: &groups::MemberChangeResult) -> Self {
        let id = chat_id(&changed.who);
        Self { requester_id: id.clone(), id, success: changed.error.is_none(), error: changed.error }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JoinGroupResponse")]
pub struct Joined {
    pub id: String,
    /// An admin must let the tenant in first.
    pub pending_approval: bool,
}

impl From<groups::JoinResult> for Joined {
    fn from(joined: groups::JoinResult) -> Self {
        Self { id: joined.group, pending_approval: joined.pending }
    }
}
