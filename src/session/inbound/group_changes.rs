//! Turns WhatsApp's group notifications into our events. Leaves out what no dashboard shows: communities, invitations.

use whatsapp_rust::{
    GroupMetadata, Jid,
    types::events::GroupUpdate,
    wacore::{
        iq::groups::GroupInfoResponse,
        protocol::ProtocolNode,
        stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo, GroupParticipantType},
    },
    wacore_binary::Node,
};

use crate::{
    message::{EventBody, Group, GroupChange, GroupSetting, Member, Move, Rank},
    session::requests::groups::Modes,
    store::{Store, StoreError},
};

/// The events that a notification is. `me`: the tenant's own jids.
pub(in crate::session) fn events(update: &GroupUpdate, me: &[Jid]) -> Vec<EventBody> {
    let group = update.group_jid.to_non_ad_string();
    let timestamp = update.timestamp.timestamp();
    let event = |change: GroupChange| EventBody::Group { group: group.clone(), timestamp, change: change.bounded() };
    changes(&update.action, me).into_iter().map(event).collect()
}

fn changes(action: &Action, me: &[Jid]) -> Vec<GroupChange> {
    let moved = |what, participants: &[GroupParticipantInfo]| {
        let tenant = participants.iter().any(|who| is(who, me));
        vec![GroupChange::Members { what, members: participants.iter().map(member).collect(), tenant }]
    };
    let set = |setting| vec![GroupChange::Set(setting)];
    match action {
        Action::Add { participants, .. } => moved(Move::Join, participants),
        Action::Remove { participants, .. } => moved(Move::Leave, participants),
        Action::Promote { participants } => moved(Move::Promote, participants),
        Action::Demote { participants } => moved(Move::Demote, participants),
        Action::Create { raw } => joined(raw).map(|group| GroupChange::Joined(Box::new(group))).into_iter().collect(),
        Action::Delete { .. } => vec![GroupChange::Gone],
        Action::Subject { subject, .. } => vec![GroupChange::Subject(subject.clone())],
        Action::Description { description, .. } => vec![GroupChange::Description(description.clone())],
        Action::Locked { .. } => set(GroupSetting::InfoByAdmins(true)),
        Action::Unlocked => set(GroupSetting::InfoByAdmins(false)),
        Action::Announce => set(GroupSetting::MessagesByAdmins(true)),
        Action::NotAnnounce => set(GroupSetting::MessagesByAdmins(false)),
        Action::MemberAddMode { mode } => set(GroupSetting::MembersAdd(mode == "all_member_add")),
        Action::MembershipApprovalMode { enabled } => set(GroupSetting::Approval(*enabled)),
        Action::CreatedMembershipRequests { request_method, requests, .. } => {
            let by = Some(request_method.as_str().to_owned());
            let asks = |who: &GroupParticipantInfo| GroupChange::Asks {
                who: who.jid.to_non_ad_string(),
                number: number(who),
                by: by.clone(),
                withdrawn: false,
            };
            requests.iter().map(asks).collect()
        }
        Action::RevokedMembershipRequests { participants } => {
            let asks = |who: &Jid| GroupChange::Asks {
                who: who.to_non_ad_string(),
                number: who.is_pn().then(|| who.to_non_ad_string()),
                by: None,
                withdrawn: true,
            };
            participants.iter().map(asks).collect()
        }
        _ => Vec::new(),
    }
}

/// Fills in the numbers of those whom WhatsApp names by the LID alone, where they are known here: as lists of members have them.
pub(in crate::session) async fn fill_in_numbers(store: &Store, event: &mut EventBody) -> Result<(), StoreError> {
    let unnumbered = unnumbered(event);
    let ids: Vec<String> = unnumbered.iter().map(|(id, _)| id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let names = store.names_of_each(ids).await?;
    for ((id, number), names) in unnumbered.into_iter().zip(names) {
        *number = names.into_iter().next().filter(|name| *name != id);
    }
    Ok(())
}

/// Those who are named without a number, each with the place for it.
fn unnumbered(event: &mut EventBody) -> Vec<(String, &mut Option<String>)> {
    let EventBody::Group { change, .. } = event else { return Vec::new() };
    let members = match change {
        GroupChange::Joined(group) => &mut group.members,
        GroupChange::Members { members, .. } => members,
        GroupChange::Asks { who, number, .. } => {
            return if number.is_none() { vec![(who.clone(), number)] } else { Vec::new() };
        }
        GroupChange::Subject(_) | GroupChange::Description(_) | GroupChange::Set(_) | GroupChange::Gone => {
            return Vec::new();
        }
    };
    let unnumbered = members.iter_mut().filter(|member| member.number.is_none());
    unnumbered.map(|member| (member.id.clone(), &mut member.number)).collect()
}

/// The group within `<create>`.
fn joined(raw: &Node) -> Option<Group> {
    let raw = raw.as_node_ref();
    let group = raw.get_optional_child("group")?;
    let metadata = GroupMetadata::from(GroupInfoResponse::try_from_node_ref(group).ok()?);
    Some(Modes::read(&raw).group(metadata))
}

fn is(who: &GroupParticipantInfo, me: &[Jid]) -> bool {
    let named = [Some(&who.jid), who.phone_number.as_ref(), who.lid.as_ref()];
    named.into_iter().flatten().any(|name| me.iter().any(|me| me.to_non_ad() == name.to_non_ad()))
}

fn number(who: &GroupParticipantInfo) -> Option<String> {
    let number = if who.jid.is_pn() { Some(&who.jid) } else { who.phone_number.as_ref() };
    number.map(Jid::to_non_ad_string)
}

fn member(who: &GroupParticipantInfo) -> Member {
    Member {
        id: who.jid.to_non_ad_string(),
        number: number(who),
        rank: match who.r#type {
            Some(GroupParticipantType::SuperAdmin) => Rank::SuperAdmin,
            Some(GroupParticipantType::Admin) => Rank::Admin,
            _ => Rank::Member,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_number_is_looked_up_and_nobody_else() {
        let member = |id: &str, number: Option<&str>| Member {
            id: id.into(),
            number: number.map(str::to_owned),
            rank: Rank::Member,
        };
        let found = |change| {
            let mut event = EventBody::Group { group: "1203630@g.us".into(), timestamp: 7, change };
            unnumbered(&mut event).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        let members = vec![member("1@lid", Some("573001112233@s.whatsapp.net")), member("2@lid", None)];
        assert_eq!(found(GroupChange::Members { what: Move::Join, members, tenant: false }), ["2@lid"]);
        for number in [None, Some("573001112233@s.whatsapp.net".to_owned())] {
            let expected = Vec::from_iter(number.is_none().then(|| "3@lid".to_owned()));
            assert_eq!(found(GroupChange::Asks { who: "3@lid".into(), number, by: None, withdrawn: true }), expected);
        }
        assert!(found(GroupChange::Gone).is_empty());
    }
}
