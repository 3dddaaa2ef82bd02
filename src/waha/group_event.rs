//! WAHA's events of groups.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    event_name::EventName,
    event_payload::Payload,
    group::{GroupInfo, GroupParticipant, GroupRole},
    id::chat_id,
};
use crate::message::{GroupChange, GroupSetting, Move};

/// The tenant is in a group from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GroupV2JoinEvent")]
pub struct Join {
    /// Seconds since 1970.
    timestamp: i64,
    group: GroupInfo,
    #[serde(rename = "_data")]
    data: NoData,
}

/// The tenant is not in a group any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GroupV2LeaveEvent")]
pub struct Leave {
    /// Seconds since 1970.
    timestamp: i64,
    group: GroupId,
    #[serde(rename = "_data")]
    data: NoData,
}

/// Members came, went, or are something else now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GroupV2ParticipantsEvent")]
pub struct Participants {
    r#type: Moved,
    /// Seconds since 1970.
    timestamp: i64,
    group: GroupId,
    participants: Vec<GroupParticipant>,
    #[serde(rename = "_data")]
    data: NoData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GroupV2ParticipantsType")]
enum Moved {
    Join,
    Leave,
    Promote,
    Demote,
}

/// Somebody wants to join, or does not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "GroupV2ParticipantsJoinRequestEvent")]
pub struct JoinRequestEvent {
    action: JoinRequestAction,
    requester_id: String,
    requester_pn: Option<String>,
    /// In WhatsApp's words, like `invite_link`.
    request_method: Option<String>,
    /// Seconds since 1970.
    timestamp: i64,
    group: GroupId,
    #[serde(rename = "_data")]
    data: NoData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GroupV2JoinRequestAction")]
enum JoinRequestAction {
    Created,
    /// By who asked, or refused by an admin: WhatsApp does not say which.
    Revoked,
}

/// What a group is called, or who may do what in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GroupV2UpdateEvent")]
pub struct Update {
    /// Seconds since 1970.
    timestamp: i64,
    group: Changes,
    #[serde(rename = "_data")]
    data: NoData,
}

/// What changed, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "GroupV2Changes")]
struct Changes {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Empty: taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members_can_add_new_member: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members_can_send_messages: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_members_approval_required: Option<bool>,
    /// Only admins change subject, description and picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    restrict: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GroupId")]
struct GroupId {
    id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "NoData")]
pub struct NoData {}

pub fn names(change: &GroupChange) -> &'static [EventName] {
    use EventName::{GroupJoin, GroupJoinRequest, GroupLeave, GroupParticipants, GroupUpdate};
    match change {
        GroupChange::Joined(_) => &[GroupJoin],
        GroupChange::Gone => &[GroupLeave],
        GroupChange::Members { what: Move::Leave, tenant: true, .. } => &[GroupLeave, GroupParticipants],
        GroupChange::Members { .. } => &[GroupParticipants],
        GroupChange::Asks { .. } => &[GroupJoinRequest],
        GroupChange::Subject(_) | GroupChange::Description(_) | GroupChange::Set(_) => &[GroupUpdate],
    }
}

pub fn payload(id: &str, timestamp: i64, change: &GroupChange, name: EventName) -> Payload {
    let (group, data) = (GroupId { id: id.to_owned() }, NoData {});
    let changes = Changes { id: id.to_owned(), ..Changes::default() };
    let update = |group| Payload::GroupUpdate(Update { timestamp, group, data: NoData {} });
    match change {
        GroupChange::Joined(group) => {
            Payload::GroupJoin(Box::new(Join { timestamp, group: GroupInfo::from((**group).clone()), data }))
        }
        GroupChange::Gone => Payload::GroupLeave(Leave { timestamp, group, data }),
        GroupChange::Members { .. } if name == EventName::GroupLeave => {
            Payload::GroupLeave(Leave { timestamp, group, data })
        }
        GroupChange::Members { what, members, .. } => {
            let (r#type, role) = match what {
                Move::Join => (Moved::Join, None),
                Move::Leave => (Moved::Leave, Some(GroupRole::Left)),
                Move::Promote => (Moved::Promote, Some(GroupRole::Admin)),
                Move::Demote => (Moved::Demote, Some(GroupRole::Participant)),
            };
            let participants = members.iter().map(|member| {
                let participant = GroupParticipant::from(member);
                match role {
                    Some(role) => participant.with(role),
                    None => participant,
                }
            });
            let participants = participants.collect();
            Payload::GroupParticipants(Participants { r#type, timestamp, group, participants, data })
        }
        GroupChange::Asks { who, number, by, withdrawn } => Payload::GroupJoinRequest(JoinRequestEvent {
            action: if *withdrawn { JoinRequestAction::Revoked } else { JoinRequestAction::Created },
            requester_id: chat_id(who),
            requester_pn: number.as_deref().map(chat_id),
            request_method: by.clone(),
            timestamp,
            group,
            data,
        }),
        GroupChange::Subject(subject) => update(Changes { subject: Some(subject.clone()), ..changes }),
        GroupChange::Description(text) => {
            update(Changes { description: Some(text.clone().unwrap_or_default()), ..changes })
        }
        GroupChange::Set(setting) => update(match *setting {
            GroupSetting::InfoByAdmins(on) => Changes { restrict: Some(on), ..changes },
            GroupSetting::MessagesByAdmins(on) => Changes { members_can_send_messages: Some(!on), ..changes },
            GroupSetting::MembersAdd(on) => Changes { members_can_add_new_member: Some(on), ..changes },
            GroupSetting::Approval(on) => Changes { new_members_approval_required: Some(on), ..changes },
            // WhatsApp does not tell of it.
            GroupSetting::MembersShareHistory(_) => changes,
        }),
    }
}
