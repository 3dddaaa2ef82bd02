//! WAHA's forms of groups. Its document has no model for what `GET /groups` answers, since its engines differ there: ours has the
//! fields of its `GroupInfo` and beside them those of Baileys, which is the engine that most clients were written against.

use serde_json::{Value, json};

use super::id::chat_id;
use crate::session::groups::{Changed, Group, Joined, Member, Rank, Request};

pub fn group(group: &Group) -> Value {
    let settings = group.settings;
    json!({
        "id": group.id,
        "subject": group.subject,
        "description": group.description.as_deref().unwrap_or_default(),
        "invite": null,
        "membersCanAddNewMember": settings.members_add,
        "membersCanSendMessages": !settings.messages_by_admins,
        "newMembersApprovalRequired": settings.approval,
        "participants": group.members.iter().map(member).collect::<Vec<_>>(),
        // Baileys' names.
        "owner": group.owner.as_deref().map(chat_id),
        "creation": group.created,
        "size": group.size,
        "desc": group.description,
        "restrict": settings.info_by_admins,
        "announce": settings.messages_by_admins,
        "memberAddMode": settings.members_add,
        "joinApprovalMode": settings.approval,
    })
}

/// `GroupParticipant`, with Baileys' `admin` beside.
pub fn member(member: &Member) -> Value {
    let (role, admin) = match member.rank {
        Rank::Member => ("participant", None),
        Rank::Admin => ("admin", Some("admin")),
        Rank::SuperAdmin => ("superadmin", Some("superadmin")),
    };
    json!({
        "id": chat_id(&member.id),
        "pn": member.number.as_deref().map(chat_id),
        "role": role,
        "admin": admin,
    })
}

/// `GroupJoinRequest`. WhatsApp does not tell this device who brought somebody, or how.
pub fn request(request: &Request) -> Value {
    json!({
        "requesterId": chat_id(&request.who),
        "requesterPn": request.number.as_deref().map(chat_id),
        "addedById": "",
        "parentGroupId": "",
        "requestMethod": "",
        "timestamp": request.at,
    })
}

/// `GroupJoinRequestResult`, with the name that the others of a list have beside.
pub fn changed(changed: &Changed) -> Value {
    let id = chat_id(&changed.who);
    json!({ "id": id, "requesterId": id, "success": changed.error.is_none(), "error": changed.error })
}

/// `JoinGroupResponse`.
pub fn joined(joined: &Joined) -> Value {
    json!({ "id": joined.group, "pendingApproval": joined.pending })
}
