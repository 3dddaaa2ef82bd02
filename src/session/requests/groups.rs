//! Groups: which there are, what they are, who is in them, and what an admin may do with them. WhatsApp has the state; nothing of it is
//! kept here.

use std::collections::HashMap;

use whatsapp_rust::{
    GroupCreateOptions, GroupDescription, GroupMetadata, GroupParticipant, GroupParticipantOptions, GroupSubject, Jid,
    JoinGroupResult, MemberAddMode, MemberShareHistoryMode, MembershipApprovalMode, ParticipantChangeResponse,
    ParticipantType, PreviousDescription, anyhow,
    wacore::{
        iq::{
            groups::{GetGroupInviteInfoIq, GroupInfoOutcome, GroupParticipatingIq, GroupQueryIq},
            spec::IqSpec,
        },
        request::InfoQuery,
    },
    wacore_binary::{NodeContentRef, NodeRef},
};

pub use crate::message::{Group, GroupSetting, GroupSettings, Member, Rank};

use super::pace::RequestKind;
use crate::session::{RequestError, Session, requests};

/// WhatsApp's limits.
const MAX_SUBJECT: usize = 100;
const MAX_DESCRIPTION: usize = 2048;
const MAX_MEMBERS: usize = 1023;

/// A change to some members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    Add,
    Remove,
    Promote,
    Demote,
    /// Lets in who wants to join, or does not.
    Approve,
    Reject,
}

/// The outcome for one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberChangeResult {
    /// A jid.
    pub who: String,
    /// WhatsApp's code of why not.
    pub error: Option<u16>,
}

/// Somebody who wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinApplicant {
    /// A jid, as the group names its members.
    pub who: String,
    pub number: Option<String>,
    /// Seconds since 1970.
    pub at: u64,
}

/// A group that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCreation {
    pub group: Group,
    /// Jids of those who were to be in it, and are not: nobody has the number, or they let nobody add them.
    pub left_out: Vec<String>,
}

/// The outcome of joining a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinResult {
    /// A jid.
    pub group: String,
    /// An admin must let the tenant in first.
    pub pending: bool,
}

impl Session {
    /// The groups that the tenant is in, by id.
    pub async fn groups(&self) -> Result<Vec<Group>, RequestError> {
        let query = WithModes(GroupParticipatingIq::new());
        let (found, modes) = self.ask(RequestKind::Query, |client| async move { client.execute(query).await }).await?;
        let groups = found.groups.into_iter().map(|group| modes.group(GroupMetadata::from(group)));
        let mut groups = self.with_numbers(groups.collect()).await?;
        self.0.subjects.note(&groups);
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    pub async fn group(&self, id: &str) -> Result<Group, RequestError> {
        let jid = requests::group("id", id)?;
        let query = WithModes(GroupQueryIq::new(&jid));
        let found = self.ask(RequestKind::Query, |client| async move { client.execute(query).await }).await;
        let (found, modes) = found.map_err(|refused| refused.about("group"))?;
        // The other outcome answers who says what he has, which we do not.
        let GroupInfoOutcome::Full(found) = found else { return Err(RequestError::Unreadable) };
        let group = modes.group(GroupMetadata::from(*found));
        Ok(self.with_numbers(vec![group]).await?.swap_remove(0))
    }

    /// Fills in members' phone numbers from the known LID mappings, where WhatsApp sent only the LID.
    async fn with_numbers(&self, mut groups: Vec<Group>) -> Result<Vec<Group>, RequestError> {
        let mut members: Vec<_> = groups.iter_mut().flat_map(|group| &mut group.members).collect();
        if members.iter().all(|member| member.number.is_some()) {
            return Ok(groups);
        }
        let known: HashMap<_, _> = self.all_names().await?.into_iter().map(|names| (names.lid, names.number)).collect();
        for member in members.iter_mut().filter(|member| member.number.is_none()) {
            member.number = known.get(&member.id).cloned();
        }
        Ok(groups)
    }

    pub async fn create_group(&self, subject: &str, members: &[String]) -> Result<GroupCreation, RequestError> {
        let subject = checked_subject("name", subject)?;
        let wanted = people(members)?;
        let options = GroupCreateOptions::new(subject.as_str())
            .with_participants(wanted.iter().cloned().map(GroupParticipantOptions::new).collect());
        let made =
            self.ask(RequestKind::Change, |client| async move { client.groups().create_group(options).await }).await?;
        let made = Group::from(made.metadata);
        if wanted.is_empty() {
            return Ok(GroupCreation { group: made, left_out: Vec::new() });
        }
        // WhatsApp's answer also has whom it did not let in, with an error that the library does not read. The group has its members alone.
        let group = self.group(&made.id).await.unwrap_or(made);
        let mut left_out = Vec::new();
        for who in wanted.iter().map(Jid::to_string) {
            // The group is made: what cannot be looked up now is no error of it.
            let names = self.0.store.names(&who).await.unwrap_or_else(|_| vec![who.clone()]);
            let is_there = |member: &Member| {
                [Some(&member.id), member.number.as_ref()].into_iter().flatten().any(|name| names.contains(name))
            };
            if !group.members.iter().any(is_there) {
                left_out.push(who);
            }
        }
        Ok(GroupCreation { group, left_out })
    }

    pub async fn leave_group(&self, id: &str) -> Result<(), RequestError> {
        let jid = requests::group("id", id)?;
        // WhatsApp answers the same to who is not in it.
        self.group(id).await?;
        self.ask(RequestKind::Change, |client| async move { client.groups().leave(jid).await }).await
    }

    pub async fn set_group_subject(&self, id: &str, subject: &str) -> Result<(), RequestError> {
        let (jid, subject) = (requests::group("id", id)?, checked_subject("subject", subject)?);
        let set = self
            .ask(RequestKind::Change, |client| async move { client.groups().set_subject(jid, subject).await })
            .await;
        set.map_err(|refused| refused.about("group"))
    }

    /// An empty one takes it away.
    pub async fn set_group_description(&self, id: &str, description: &str) -> Result<(), RequestError> {
        let jid = requests::group("id", id)?;
        let flaw = RequestError::Input { field: "description", expected: "at most 2048 characters" };
        if description.chars().count() > MAX_DESCRIPTION || !requests::is_whole(description) {
            return Err(flaw);
        }
        let new = match description {
            "" => None,
            text => Some(GroupDescription::new(text).map_err(|_| flaw)?),
        };
        let set = |client: std::sync::Arc<whatsapp_rust::Client>| async move {
            client.groups().set_description(jid, new, PreviousDescription::Resolve).await
        };
        self.ask(RequestKind::Change, set).await.map_err(|refused| refused.about("group"))
    }

    pub async fn set_group_picture(&self, id: &str, picture: Vec<u8>) -> Result<(), RequestError> {
        let jid = requests::group("id", id)?;
        let jpeg = self.portrait(picture).await?;
        let set = self
            .ask(RequestKind::Change, |client| async move { client.groups().set_profile_picture(jid, jpeg).await })
            .await;
        set.map(drop).map_err(|refused| refused.about("group"))
    }

    pub async fn remove_group_picture(&self, id: &str) -> Result<(), RequestError> {
        let jid = requests::group("id", id)?;
        let removed = self
            .ask(RequestKind::Change, |client| async move { client.groups().remove_profile_picture(jid).await })
            .await;
        removed.map(drop).map_err(|refused| refused.about("group"))
    }

    /// `None`: it has none.
    pub async fn group_picture(&self, id: &str) -> Result<Option<String>, RequestError> {
        requests::group("id", id)?;
        self.picture(id).await
    }

    pub async fn set_in_group(&self, id: &str, setting: GroupSetting) -> Result<(), RequestError> {
        let jid = requests::group("id", id)?;
        let set = self.ask(RequestKind::Change, |client| async move {
            let groups = client.groups();
            match setting {
                GroupSetting::InfoByAdmins(on) => groups.set_locked(jid, on).await,
                GroupSetting::MessagesByAdmins(on) => groups.set_announce(jid, on).await,
                GroupSetting::MembersAdd(on) => {
                    let mode = if on { MemberAddMode::AllMemberAdd } else { MemberAddMode::AdminAdd };
                    groups.set_member_add_mode(jid, mode).await
                }
                GroupSetting::MembersShareHistory(on) => {
                    let mode =
                        if on { MemberShareHistoryMode::AllMemberShare } else { MemberShareHistoryMode::AdminShare };
                    groups.set_member_share_history_mode(&jid, mode).await
                }
                GroupSetting::Approval(on) => {
                    let mode = if on { MembershipApprovalMode::On } else { MembershipApprovalMode::Off };
                    groups.set_membership_approval(jid, mode).await
                }
            }
        });
        set.await.map_err(|refused| refused.about("group"))
    }

    /// Changes members of a group. Returns the outcome for each.
    pub async fn change_group(
        &self,
        id: &str,
        change: MemberChange,
        who: &[String],
    ) -> Result<Vec<MemberChangeResult>, RequestError> {
        let (jid, who) = (requests::group("id", id)?, people(who)?);
        if who.is_empty() {
            return Err(RequestError::Input { field: "participants", expected: "at least one" });
        }
        let changed = self.ask(RequestKind::Change, |client| async move {
            let groups = client.groups();
            match change {
                MemberChange::Add => groups.add_participants(jid, &who).await,
                MemberChange::Remove => groups.remove_participants(jid, &who).await,
                MemberChange::Promote => groups.promote_participants(jid, &who).await,
                MemberChange::Demote => groups.demote_participants(jid, &who).await,
                MemberChange::Approve => groups.approve_membership_requests(jid, &who).await,
                MemberChange::Reject => groups.reject_membership_requests(jid, &who).await,
            }
        });
        let changed = changed.await.map_err(|refused| refused.about("group"))?;
        Ok(changed.into_iter().map(MemberChangeResult::from).collect())
    }

    pub async fn join_requests(&self, id: &str) -> Result<Vec<JoinApplicant>, RequestError> {
        let jid = requests::group("id", id)?;
        let found = self
            .ask(RequestKind::Query, |client| async move { client.groups().get_membership_requests(jid).await })
            .await;
        let mut requests = Vec::new();
        for request in found.map_err(|refused| refused.about("group"))? {
            let who = request.jid.to_non_ad_string();
            // WhatsApp is not asked who a stranger is: a tenant may ask that of few, and a group may have hundreds who wait.
            let number = match request.jid.is_lid() {
                true => self.names(&who).await.ok().flatten().map(|names| names.number),
                false => Some(who.clone()).filter(|_| request.jid.is_pn()),
            };
            requests.push(JoinApplicant { who, number, at: request.request_time.unwrap_or_default() });
        }
        Ok(requests)
    }

    /// The code of the link with which one joins; `renew`: the old one opens nothing any more.
    pub async fn invite_code(&self, id: &str, renew: bool) -> Result<String, RequestError> {
        let jid = requests::group("id", id)?;
        let link = self
            .ask(RequestKind::Query, |client| async move { client.groups().get_invite_link(jid, renew).await })
            .await;
        let link = link.map_err(|refused| refused.about("group"))?;
        Ok(link.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// The group that a code or a link opens.
    pub async fn invited_to(&self, code: &str) -> Result<Group, RequestError> {
        let code = invite(code)?;
        let query = WithModes(GetGroupInviteInfoIq::new(code));
        let found = self.ask(RequestKind::Query, |client| async move { client.execute(query).await }).await;
        let (found, modes) = found.map_err(of_invite)?;
        Ok(modes.group(GroupMetadata::from(found)))
    }

    pub async fn join_group(&self, code: &str) -> Result<JoinResult, RequestError> {
        let code = invite(code)?;
        let joined = self
            .ask(RequestKind::Change, |client| async move { client.groups().join_with_invite_code(&code).await })
            .await;
        let joined = joined.map_err(of_invite)?;
        let pending = matches!(joined, JoinGroupResult::PendingApproval(_));
        Ok(JoinResult { group: joined.group_jid().to_non_ad_string(), pending })
    }
}

fn checked_subject(field: &'static str, subject: &str) -> Result<GroupSubject, RequestError> {
    let flaw = RequestError::Input { field, expected: "from 1 to 100 characters" };
    if !requests::is_name(subject, MAX_SUBJECT) {
        return Err(flaw);
    }
    GroupSubject::new(subject).map_err(|_| flaw)
}

fn people(ids: &[String]) -> Result<Vec<Jid>, RequestError> {
    if ids.len() > MAX_MEMBERS {
        return Err(RequestError::Input { field: "participants", expected: "at most 1023" });
    }
    ids.iter().map(|id| requests::person("participants", id)).collect()
}

/// The code within a link, or alone.
fn invite(text: &str) -> Result<String, RequestError> {
    let text = text.trim();
    let code = text.strip_prefix("https://").unwrap_or(text);
    let code = code.strip_prefix("chat.whatsapp.com/").unwrap_or(code);
    let code = code.strip_prefix("invite/").unwrap_or(code);
    let code = code.split('?').next().unwrap_or_default();
    let plain = (8..=64).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let flaw = RequestError::Input { field: "code", expected: "expected a code like https://chat.whatsapp.com/…" };
    plain.then(|| code.to_owned()).ok_or(flaw)
}

/// WhatsApp has several words for a code that opens nothing.
fn of_invite(refused: RequestError) -> RequestError {
    match refused {
        RequestError::NotAllowed | RequestError::Unknown(_) => RequestError::Unknown("invitation"),
        RequestError::WhatsApp(said) if said.starts_with("406") => RequestError::Unknown("invitation"),
        other => other,
    }
}

/// A query of the library's for groups, with what it leaves unread: two settings whose values it takes only as strings of the
/// protocol's dictionary, in which they are not, so that they come as bytes.
struct WithModes<S>(S);

/// Of each group, by its number: who may add members, and who shares the past.
#[derive(Default)]
pub(in crate::session) struct Modes(HashMap<String, (Option<String>, Option<String>)>);

impl<S: IqSpec> IqSpec for WithModes<S> {
    type Response = (S::Response, Modes);

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        Ok((self.0.parse_response(response)?, Modes::read(response)))
    }
}

fn text(node: &NodeRef<'_>) -> Option<String> {
    match node.content.as_ref()? {
        NodeContentRef::String(text) => Some(text.to_string()),
        NodeContentRef::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        NodeContentRef::Nodes(_) => None,
    }
}

impl Modes {
    /// Reads the modes of the groups right in a node, or in a list in it.
    pub(in crate::session) fn read(node: &NodeRef<'_>) -> Self {
        let mut modes = Modes::default();
        let several = node.get_optional_child("groups");
        for group in
            node.get_children_by_tag("group").chain(several.iter().flat_map(|all| all.get_children_by_tag("group")))
        {
            if let Some(id) = group.get_attr("id") {
                let id = id.as_str();
                let id = id.split('@').next().unwrap_or_default().to_owned();
                let mode = |tag| group.get_optional_child(tag).and_then(text);
                modes.0.insert(id, (mode("member_add_mode"), mode("member_share_group_history_mode")));
            }
        }
        modes
    }

    pub(in crate::session) fn group(&self, group: GroupMetadata) -> Group {
        let modes = self.0.get(group.id.user.as_str());
        let mut group = Group::from(group);
        if let Some((adds, shares)) = modes {
            // A setting that WhatsApp does not name is as it was before there was a choice.
            group.settings.members_add = adds.as_deref() != Some("admin_add");
            group.settings.members_share_history = shares.as_deref() == Some("all_member_share");
        }
        group
    }
}

impl From<GroupMetadata> for Group {
    fn from(group: GroupMetadata) -> Self {
        let members: Vec<_> = group.participants.into_iter().map(Member::from).collect();
        Self {
            id: group.id.to_non_ad_string(),
            subject: group.subject,
            description: group.description,
            owner: group.creator_pn.or(group.creator).map(|jid| jid.to_non_ad_string()),
            created: group.creation_time,
            size: group.size.map_or(members.len(), |size| size as usize),
            members,
            settings: GroupSettings {
                info_by_admins: group.is_locked,
                messages_by_admins: group.is_announcement,
                // A setting that WhatsApp does not name is open to all.
                members_add: group.member_add_mode != Some(MemberAddMode::AdminAdd),
                members_share_history: group.member_share_history_mode == Some(MemberShareHistoryMode::AllMemberShare),
                approval: group.membership_approval,
            },
        }
    }
}

impl From<GroupParticipant> for Member {
    fn from(member: GroupParticipant) -> Self {
        let number = if member.jid.is_pn() { Some(&member.jid) } else { member.phone_number.as_ref() };
        Self {
            number: number.map(Jid::to_non_ad_string),
            rank: match member.participant_type {
                ParticipantType::SuperAdmin => Rank::SuperAdmin,
                ParticipantType::Admin => Rank::Admin,
                _ => Rank::Member,
            },
            id: member.jid.to_non_ad_string(),
        }
    }
}

impl From<ParticipantChangeResponse> for MemberChangeResult {
    fn from(changed: ParticipantChangeResponse) -> Self {
        Self {
            who: changed.phone_number.as_ref().unwrap_or(&changed.jid).to_non_ad_string(),
            error: changed.error.map(|code| code.parse().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::invite;

    #[test]
    fn an_invitation_is_a_code_or_a_link() {
        for text in
            ["AbCdEf123456", "https://chat.whatsapp.com/AbCdEf123456", "chat.whatsapp.com/invite/AbCdEf123456?x"]
        {
            assert_eq!(invite(text).unwrap(), "AbCdEf123456");
        }
        for text in ["", "short", "https://evil.example/AbCdEf123456", "AbCdEf 123456", "AbCd/../123456"] {
            assert!(invite(text).is_err(), "{text}");
        }
    }
}
