//! Groups: who is in one, what it is called, and what its members are told of a change.
//!
//! Only a member sees a group, only an admin changes it or its members. How messages travel in one is in `group_chat`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::group_rules::Requests;
use crate::profile::Picture;
use crate::queue::Class;
use crate::stanza::{attr, child_content, content, first_child, iq_error, iq_result, jid_attr};
use crate::world::World;

/// Groups are numbered from here.
const FIRST_GROUP: u64 = 120_363_000_000_000_001;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(u32);

impl GroupId {
    pub(crate) fn jid(self) -> Jid {
        Jid::new((FIRST_GROUP + u64::from(self.0)).to_string(), Server::Group)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    Member,
    Admin,
    /// The group's maker.
    SuperAdmin,
}

impl Rank {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// A change of who is in a group, or what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Add,
    Remove,
    Promote,
    Demote,
}

impl Change {
    fn from_tag(tag: &str) -> Option<Self> {
        match tag {
            "add" => Some(Self::Add),
            "remove" => Some(Self::Remove),
            "promote" => Some(Self::Promote),
            "demote" => Some(Self::Demote),
            _ => None,
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }
}

/// The rights of members and admins in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GroupRules {
    /// Only admins change the subject, the description and the picture.
    pub info_by_admins: bool,
    /// Only admins write.
    pub messages_by_admins: bool,
    pub members_add: bool,
    pub members_share_history: bool,
    /// An admin must let in who comes by the code.
    pub approval: bool,
}

impl Default for GroupRules {
    /// Of a group that somebody makes on a phone here.
    fn default() -> Self {
        Self {
            info_by_admins: true,
            messages_by_admins: false,
            members_add: false,
            members_share_history: false,
            approval: false,
        }
    }
}

/// A group, as [`Network::group`](crate::Network::group) shows it.
#[derive(Debug, Clone, Serialize)]
pub struct GroupInfo {
    pub jid: String,
    pub subject: String,
    pub description: Option<String>,
    /// Numbers of the members.
    pub members: BTreeMap<String, Rank>,
    pub rules: GroupRules,
    /// The code by which one joins it.
    pub invite: String,
    /// Numbers of those who wait to be let in.
    pub requests: Vec<String>,
    /// The URL of its picture.
    pub picture: Option<String>,
}

pub(crate) struct Group {
    id: GroupId,
    subject: String,
    /// By whom and when, in seconds.
    subject_set: (AccountId, u64),
    description: Option<Description>,
    created: (AccountId, u64),
    pub(crate) members: BTreeMap<AccountId, Rank>,
    /// How members are named in it.
    pub(crate) form: Form,
    pub(crate) invite: String,
    pub(crate) rules: GroupRules,
    pub(crate) requests: Requests,
    pub(crate) picture: Option<Picture>,
}

struct Description {
    id: String,
    text: String,
    set: (AccountId, u64),
}

/// All groups.
#[derive(Default)]
pub(crate) struct Groups(Vec<Group>);

impl Groups {
    pub(crate) fn find(&self, jid: &Jid) -> Option<GroupId> {
        let at = jid.user.parse::<u64>().ok()?.checked_sub(FIRST_GROUP)?;
        let known = jid.server == Server::Group && at < self.0.len() as u64;
        known.then_some(GroupId(u32::try_from(at).ok()?))
    }

    pub(crate) fn find_text(&self, text: &str) -> Option<GroupId> {
        self.find(&text.parse().ok()?)
    }

    pub(crate) fn get(&self, id: GroupId) -> &Group {
        &self.0[id.0 as usize]
    }

    pub(crate) fn invited(&self, code: &str) -> Option<GroupId> {
        self.0.iter().find(|group| group.invite == code).map(|group| group.id)
    }

    pub(crate) fn get_mut(&mut self, id: GroupId) -> &mut Group {
        &mut self.0[id.0 as usize]
    }
}

impl Group {
    pub(crate) fn is_admin(&self, account: AccountId) -> bool {
        self.members.get(&account).is_some_and(|rank| *rank != Rank::Member)
    }

    /// Whether somebody may change what the group is called and looks like.
    pub(crate) fn may_describe(&self, account: AccountId) -> bool {
        self.is_admin(account) || (self.members.contains_key(&account) && !self.rules.info_by_admins)
    }

    /// Whether somebody may write in it.
    pub(crate) fn may_write(&self, account: AccountId) -> bool {
        self.is_admin(account) || (self.members.contains_key(&account) && !self.rules.messages_by_admins)
    }

    pub(crate) fn participant(&self, account: AccountId) -> NodeBuilder {
        let (jid, other) = (self.form.jid(account.primary()), self.form.other().jid(account.primary()));
        let other_name = match self.form {
            Form::Pn => "lid",
            Form::Lid => "phone_number",
        };
        NodeBuilder::new("participant").attr("jid", jid).attr(other_name, other)
    }

    /// `<group>`: all that there is to know.
    pub(crate) fn node(&self) -> Node {
        let name = |account: AccountId| self.form.jid(account.primary());
        let mut children: Vec<Node> = self
            .members
            .iter()
            .map(|(account, rank)| match rank.name() {
                Some(rank) => self.participant(*account).attr("type", rank).build(),
                None => self.participant(*account).build(),
            })
            .collect();
        if let Some(description) = &self.description {
            let (by, time) = description.set;
            let body = NodeBuilder::new("body").bytes(description.text.as_bytes()).build();
            let node = NodeBuilder::new("description")
                .attr("id", description.id.as_str())
                .attr("participant", name(by))
                .attr("t", time);
            children.push(node.children([body]).build());
        }
        children.extend(self.rules.nodes());
        NodeBuilder::new("group")
            .attr("id", self.id.jid().user.as_str())
            .attr("subject", self.subject.as_str())
            .attr("s_o", name(self.subject_set.0))
            .attr("s_t", self.subject_set.1)
            .attr("creator", name(self.created.0))
            .attr("creation", self.created.1)
            .attr("addressing_mode", self.form.name())
            .attr("size", self.members.len())
            .children(children)
            .build()
    }
}

/// Changes to groups by the network itself, or by a test. `by` acts and must be allowed to.
impl World {
    pub(crate) fn create_group(&mut self, by: AccountId, subject: &str, members: &[AccountId]) -> GroupId {
        let id = GroupId(u32::try_from(self.groups.0.len()).expect("fewer than four billion groups"));
        let time = self.time();
        let ranks = members.iter().map(|account| (*account, Rank::Member)).chain([(by, Rank::SuperAdmin)]);
        let invite = self.message_id();
        self.groups.0.push(Group {
            id,
            subject: subject.to_owned(),
            subject_set: (by, time),
            description: None,
            created: (by, time),
            members: ranks.collect(),
            form: self.addressing,
            invite,
            rules: GroupRules::default(),
            requests: Requests::new(),
            picture: None,
        });
        let everybody: Vec<AccountId> = self.groups.get(id).members.keys().copied().collect();
        self.tell_created(id, by, &everybody);
        id
    }

    pub(crate) fn change_members(
        &mut self,
        id: GroupId,
        by: AccountId,
        change: Change,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, String> {
        if !self.may_change(id, by, change, accounts) {
            return Err("only an admin may do that".to_owned());
        }
        let before: Vec<AccountId> = self.groups.get(id).members.keys().copied().collect();
        let members = &mut self.groups.get_mut(id).members;
        let changed: Vec<AccountId> = accounts
            .iter()
            .copied()
            .filter(|account| match change {
                Change::Add if members.contains_key(account) => false,
                Change::Add => members.insert(*account, Rank::Member).is_none(),
                Change::Remove => members.remove(account).is_some(),
                Change::Promote => members
                    .get_mut(account)
                    .is_some_and(|rank| *rank == Rank::Member && std::mem::replace(rank, Rank::Admin) == Rank::Member),
                Change::Demote => members
                    .get_mut(account)
                    .is_some_and(|rank| *rank == Rank::Admin && std::mem::replace(rank, Rank::Member) == Rank::Admin),
            })
            .collect();
        if changed.is_empty() {
            return Ok(changed);
        }
        if change == Change::Remove {
            // A member who left must not read on: everybody who lives here starts a new sender key.
            for account in &before {
                self.directory.get_mut(*account).contact.forget_group(id);
            }
        }
        let group = self.groups.get(id);
        let nodes = changed.iter().map(|account| group.participant(*account).build());
        let action = NodeBuilder::new(change.tag()).children(nodes).build();
        self.tell_accounts(id, by, &before, action);
        if change == Change::Add {
            self.tell_created(id, by, &changed);
        }
        Ok(changed)
    }

    pub(crate) fn set_subject(&mut self, id: GroupId, by: AccountId, subject: &str) -> Result<(), String> {
        let time = self.time();
        let group = self.groups.get_mut(id);
        if !group.may_describe(by) {
            return Err("only an admin may do that".to_owned());
        }
        group.subject = subject.to_owned();
        group.subject_set = (by, time);
        let action = NodeBuilder::new("subject")
            .attr("subject", subject)
            .attr("s_o", group.form.jid(by.primary()))
            .attr("s_t", time)
            .build();
        self.tell_members(id, by, action);
        Ok(())
    }

    /// Its messages disappear after so many seconds from now on; 0: they stay.
    pub(crate) fn set_timer(&mut self, id: GroupId, by: AccountId, seconds: u32) -> Result<(), String> {
        if !self.groups.get(id).may_describe(by) {
            return Err("only an admin may do that".to_owned());
        }
        let action = match seconds {
            0 => NodeBuilder::new("not_ephemeral").build(),
            seconds => NodeBuilder::new("ephemeral").attr("expiration", seconds.to_string()).build(),
        };
        self.tell_members(id, by, action);
        Ok(())
    }

    /// An absent text takes the description away.
    pub(crate) fn set_description(&mut self, id: GroupId, by: AccountId, text: Option<&str>) -> Result<(), String> {
        let set = (by, self.time());
        let description_id = self.message_id();
        let group = self.groups.get_mut(id);
        if !group.may_describe(by) {
            return Err("only an admin may do that".to_owned());
        }
        let node = NodeBuilder::new("description").attr("id", description_id.as_str());
        let inner = match text {
            Some(text) => NodeBuilder::new("body").bytes(text.as_bytes()).build(),
            None => NodeBuilder::new("delete").build(),
        };
        group.description = text.map(|text| Description { id: description_id, text: text.to_owned(), set });
        self.tell_members(id, by, node.children([inner]).build());
        Ok(())
    }

    pub(crate) fn group_info(&self, id: GroupId) -> GroupInfo {
        let group = self.groups.get(id);
        let members = group.members.iter().map(|(account, rank)| (self.directory.get(*account).number(), *rank));
        GroupInfo {
            jid: id.jid().to_string(),
            subject: group.subject.clone(),
            description: group.description.as_ref().map(|description| description.text.clone()),
            members: members.collect(),
            rules: group.rules,
            invite: group.invite.clone(),
            requests: group.requests.keys().map(|account| self.directory.get(*account).number()).collect(),
            picture: group.picture.as_ref().map(|picture| picture.url.clone()),
        }
    }

    /// The hash of all members' devices, by which a sender knows whether its list of them is right.
    pub(crate) fn participant_hash(&self, id: GroupId) -> Option<String> {
        let form = self.groups.get(id).form;
        let devices: Vec<Jid> = self.group_devices(id).map(|device| form.jid(device)).collect();
        MessageUtils::participant_list_hash(&devices).ok()
    }

    /// All devices of all members.
    pub(crate) fn group_devices(&self, id: GroupId) -> impl Iterator<Item = DeviceAddress> {
        self.groups.get(id).members.keys().flat_map(|account| {
            let companions = self.directory.get(*account).companions.keys().map(|device| account.device(*device));
            std::iter::once(account.primary()).chain(companions)
        })
    }

    pub(crate) fn tell_created(&mut self, id: GroupId, by: AccountId, accounts: &[AccountId]) {
        let create = NodeBuilder::new("create").attr("type", "new").children([self.groups.get(id).node()]).build();
        self.tell_accounts(id, by, accounts, create);
    }

    pub(crate) fn tell_members(&mut self, id: GroupId, by: AccountId, action: Node) {
        let members: Vec<AccountId> = self.groups.get(id).members.keys().copied().collect();
        self.tell_accounts(id, by, &members, action);
    }

    pub(crate) fn tell_accounts(&mut self, id: GroupId, by: AccountId, accounts: &[AccountId], action: Node) {
        let form = self.groups.get(id).form;
        let notification_id = self.stanza_id();
        let notification = NodeBuilder::new("notification")
            .attr("from", id.jid())
            .attr("type", "w:gp2")
            .attr("id", notification_id.as_str())
            .attr("participant", form.jid(by.primary()))
            .attr(other_participant(form), form.other().jid(by.primary()))
            .attr("addressing_mode", form.name())
            .attr("notify", self.directory.get(by).name.as_str())
            .attr("t", self.time())
            .children([action])
            .build();
        let devices: Vec<DeviceAddress> = accounts
            .iter()
            .flat_map(|account| self.directory.get(*account).companions.keys().map(|device| account.device(*device)))
            .collect();
        for device in devices {
            self.deliver(by.primary(), device, Class::Notification, &notification_id, notification.clone());
        }
    }
}

/// Requests of linked devices about groups, `xmlns="w:g2"`.
impl World {
    pub(crate) fn group_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(request) = first_child(iq) else {
            return iq_error(iq, 400, "bad-request");
        };
        let account = from.account;
        let id = jid_attr(iq, "to").and_then(|jid| self.groups.find(&jid));
        match (request.tag.as_ref(), id) {
            ("participating", None) => {
                let groups = self.groups.0.iter().filter(|group| group.members.contains_key(&account));
                let groups: Vec<Node> = groups.map(Group::node).collect();
                iq_result(iq, [NodeBuilder::new("groups").children(groups).build()])
            }
            ("create", None) => {
                let members = self.participants(request);
                let refused = self.refused(request);
                let subject = attr(request, "subject").unwrap_or_default().into_owned();
                let id = self.create_group(account, &subject, &members);
                let adds = child_content(request, "member_add_mode") == Some(b"all_member_add");
                self.groups.get_mut(id).rules =
                    GroupRules { info_by_admins: false, members_add: adds, ..GroupRules::default() };
                let mut made = self.groups.get(id).node();
                if let Some(NodeContent::Nodes(children)) = &mut made.content {
                    children.extend(refused);
                }
                iq_result(iq, [made])
            }
            ("leave", None) => {
                let left = request.get_children_by_tag("group");
                let ids: Vec<GroupId> = left.filter_map(|group| self.groups.find(&jid_attr(group, "id")?)).collect();
                for id in ids {
                    // A person who is not in it has left it.
                    let _ = self.change_members(id, account, Change::Remove, &[account]);
                }
                iq_result(iq, [request.clone()])
            }
            ("invite", None) => self.invitation(from, iq, request),
            (_, None) => iq_error(iq, 404, "item-not-found"),
            (_, Some(id)) if !self.groups.get(id).members.contains_key(&account) => iq_error(iq, 403, "forbidden"),
            ("query", Some(id)) => iq_result(iq, [self.groups.get(id).node()]),
            ("subject", Some(id)) => {
                let subject = String::from_utf8_lossy(content(request).unwrap_or_default()).into_owned();
                answer(iq, self.set_subject(id, account, &subject))
            }
            ("description", Some(id)) => {
                let text = child_content(request, "body").map(|body| String::from_utf8_lossy(body).into_owned());
                answer(iq, self.set_description(id, account, text.as_deref()))
            }
            (tag, Some(id)) => {
                if let Some(change) = Change::from_tag(tag) {
                    return self.change_by_device(iq, id, account, change, request);
                }
                if let Some(set) = self.group_setting(id, account, request) {
                    return answer(iq, set);
                }
                let admission = self.admission_iq(from, iq, id, request);
                admission.unwrap_or_else(|| iq_error(iq, 501, "feature-not-implemented"))
            }
        }
    }

    fn change_by_device(&mut self, iq: &Node, id: GroupId, by: AccountId, change: Change, request: &Node) -> Node {
        let accounts = self.participants(request);
        if let Err(reason) = self.change_members(id, by, change, &accounts) {
            return answer(iq, Err(reason));
        }
        // Each is answered for: 404 for who does not exist.
        let asked = request.get_children_by_tag("participant");
        let answers = asked.map(|participant| {
            let jid = participant.attrs.get("jid").cloned().unwrap_or_default();
            let known = jid_attr(participant, "jid").is_some_and(|jid| self.directory.find(&jid).is_some());
            let answer = NodeBuilder::new("participant").attr("jid", jid);
            if known { answer.build() } else { answer.attr("error", "404").build() }
        });
        let answers: Vec<Node> = answers.collect();
        iq_result(iq, [NodeBuilder::new(change.tag()).children(answers).build()])
    }

    /// Those of a request who do not exist, as WhatsApp names them in its answer to who makes a group: among the members, with an error.
    fn refused(&self, request: &Node) -> Vec<Node> {
        let is_unknown = |jid: Option<Jid>| jid.is_none_or(|jid| self.directory.find(&jid).is_none());
        let unknown = request.get_children_by_tag("participant").filter(|one| is_unknown(jid_attr(one, "jid")));
        let refusal = |one: &Node| {
            let jid = one.attrs.get("jid").cloned().unwrap_or_default();
            NodeBuilder::new("participant").attr("jid", jid).attr("error", "404").build()
        };
        unknown.map(refusal).collect()
    }

    fn participants(&self, request: &Node) -> Vec<AccountId> {
        let named = request.get_children_by_tag("participant");
        named.filter_map(|participant| self.directory.find(&jid_attr(participant, "jid")?)).collect()
    }
}

fn answer(iq: &Node, result: Result<(), String>) -> Node {
    match result {
        Ok(()) => iq_result(iq, []),
        Err(reason) => iq_error(iq, 403, &reason),
    }
}

/// The attribute that names the author of a group's stanza in the form that the group does not use.
pub(crate) fn other_participant(form: Form) -> &'static str {
    match form {
        Form::Pn => "participant_lid",
        Form::Lid => "participant_pn",
    }
}
