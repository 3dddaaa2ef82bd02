//! A group's rights, its invitations, and its requests to join.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{AccountId, DeviceAddress};
use crate::groups::{Change, Group, GroupId, GroupRules, Rank};
use crate::stanza::{attr, attr_is, child, content, first_child, iq_error, iq_result, jid_attr};
use crate::world::World;

impl GroupRules {
    /// As `<group>` carries them.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        if self.info_by_admins {
            nodes.push(NodeBuilder::new("locked").build());
        }
        if self.messages_by_admins {
            nodes.push(NodeBuilder::new("announcement").build());
        }
        let mode = if self.members_add { "all_member_add" } else { "admin_add" };
        nodes.push(NodeBuilder::new("member_add_mode").string_content(mode).build());
        if self.approval {
            nodes.push(approval_node(true));
        }
        let mode = if self.members_share_history { "all_member_share" } else { "admin_share" };
        nodes.push(NodeBuilder::new("member_share_group_history_mode").string_content(mode).build());
        nodes
    }
}

fn approval_node(on: bool) -> Node {
    let state = NodeBuilder::new("group_join").attr("state", if on { "on" } else { "off" }).build();
    NodeBuilder::new("membership_approval_mode").children([state]).build()
}

impl World {
    /// Applies a setting from an admin's device; `None`: the request is no setting.
    pub(crate) fn group_setting(&mut self, id: GroupId, by: AccountId, request: &Node) -> Option<Result<(), String>> {
        let text = content(request).unwrap_or_default();
        let rules = self.groups.get(id).rules;
        let (rules, told) = match request.tag.as_ref() {
            "locked" => (GroupRules { info_by_admins: true, ..rules }, request.clone()),
            "unlocked" => (GroupRules { info_by_admins: false, ..rules }, request.clone()),
            "announcement" => (GroupRules { messages_by_admins: true, ..rules }, request.clone()),
            "not_announcement" => (GroupRules { messages_by_admins: false, ..rules }, request.clone()),
            "member_add_mode" if text == b"all_member_add" || text == b"admin_add" => {
                (GroupRules { members_add: text == b"all_member_add", ..rules }, request.clone())
            }
            "membership_approval_mode" => {
                let on = child(request, "group_join").is_some_and(|join| attr_is(join, "state", "on"));
                (GroupRules { approval: on, ..rules }, approval_node(on))
            }
            _ => return None,
        };
        Some(self.set_rules(id, by, rules, told))
    }

    pub(crate) fn set_rules(
        &mut self,
        id: GroupId,
        by: AccountId,
        rules: GroupRules,
        told: Node,
    ) -> Result<(), String> {
        if !self.groups.get(id).is_admin(by) {
            return Err("only an admin may do that".to_owned());
        }
        self.groups.get_mut(id).rules = rules;
        self.tell_members(id, by, told);
        Ok(())
    }

    /// An admin sets all of them on a phone.
    pub(crate) fn change_rules(&mut self, id: GroupId, by: AccountId, rules: GroupRules) -> Result<(), String> {
        if !self.groups.get(id).is_admin(by) {
            return Err("only an admin may do that".to_owned());
        }
        let before = std::mem::replace(&mut self.groups.get_mut(id).rules, rules);
        let named = |on: bool, yes: &'static str, no: &'static str| NodeBuilder::new(if on { yes } else { no }).build();
        let mut told = Vec::new();
        if before.info_by_admins != rules.info_by_admins {
            told.push(named(rules.info_by_admins, "locked", "unlocked"));
        }
        if before.messages_by_admins != rules.messages_by_admins {
            told.push(named(rules.messages_by_admins, "announcement", "not_announcement"));
        }
        if before.members_add != rules.members_add {
            let mode = if rules.members_add { "all_member_add" } else { "admin_add" };
            told.push(NodeBuilder::new("member_add_mode").string_content(mode).build());
        }
        if before.approval != rules.approval {
            told.push(approval_node(rules.approval));
        }
        for action in told {
            self.tell_members(id, by, action);
        }
        Ok(())
    }

    /// Sets who shares a group's past with new members; WhatsApp has its own request for that.
    pub(crate) fn share_history(&mut self, group: &Jid, by: AccountId, on: bool) -> Result<(), String> {
        let id = self.groups.find(group).ok_or("no such group")?;
        let rules = GroupRules { members_share_history: on, ..self.groups.get(id).rules };
        let mode = if on { "all_member_share" } else { "admin_share" };
        let told = NodeBuilder::new("member_share_group_history_mode").string_content(mode).build();
        self.set_rules(id, by, rules, told)
    }

    /// `<invite code>`: what it opens, or in.
    pub(crate) fn invitation(&mut self, from: DeviceAddress, iq: &Node, invite: &Node) -> Node {
        let code = attr(invite, "code").unwrap_or_default();
        let Some(id) = self.groups.invited(&code) else {
            return iq_error(iq, 406, "not-acceptable");
        };
        let group = self.groups.get(id);
        if attr_is(iq, "type", "get") {
            return iq_result(iq, [group.node()]);
        }
        let account = from.account;
        if group.members.contains_key(&account) {
            return iq_error(iq, 409, "conflict");
        }
        if group.rules.approval {
            self.ask_to_join(id, account);
            return iq_result(iq, [NodeBuilder::new("membership_approval_request").attr("jid", id.jid()).build()]);
        }
        self.let_in(id, account, account);
        iq_result(iq, [NodeBuilder::new("group").attr("jid", id.jid()).build()])
    }

    /// Somebody opens the group with its code.
    pub(crate) fn join_by_code(&mut self, account: AccountId, code: &str) -> Result<(), String> {
        let id = self.groups.invited(code).ok_or("the code opens nothing")?;
        if self.groups.get(id).members.contains_key(&account) {
            return Err("is in it".to_owned());
        }
        if self.groups.get(id).rules.approval {
            self.ask_to_join(id, account);
        } else {
            self.let_in(id, account, account);
        }
        Ok(())
    }

    fn ask_to_join(&mut self, id: GroupId, account: AccountId) {
        let time = self.time();
        let group = self.groups.get_mut(id);
        group.requests.insert(account, time);
        let asker = NodeBuilder::new("requested_user").attr("jid", group.form.jid(account.primary())).build();
        let told = NodeBuilder::new("created_membership_requests")
            .attr("request_method", "invite_link")
            .children([asker])
            .build();
        let admins: Vec<AccountId> =
            group.members.iter().filter(|(_, rank)| **rank != Rank::Member).map(|(account, _)| *account).collect();
        self.tell_accounts(id, account, &admins, told);
    }

    fn let_in(&mut self, id: GroupId, by: AccountId, account: AccountId) {
        let before: Vec<AccountId> = self.groups.get(id).members.keys().copied().collect();
        let group = self.groups.get_mut(id);
        group.requests.remove(&account);
        group.members.insert(account, Rank::Member);
        let added = NodeBuilder::new("add")
            .attr("reason", "invite")
            .children([self.groups.get(id).participant(account).build()])
            .build();
        self.tell_accounts(id, by, &before, added);
        self.tell_created(id, by, &[account]);
    }

    /// Answers an admin's device about invitations and requests to join; `None`: it asks something else.
    pub(crate) fn admission_iq(&mut self, from: DeviceAddress, iq: &Node, id: GroupId, request: &Node) -> Option<Node> {
        let known = ["invite", "membership_approval_requests", "membership_requests_action"];
        if !known.contains(&request.tag.as_ref()) {
            return None;
        }
        if !self.groups.get(id).is_admin(from.account) {
            return Some(iq_error(iq, 403, "forbidden"));
        }
        Some(match request.tag.as_ref() {
            "invite" => {
                if attr_is(iq, "type", "set") {
                    let code = self.message_id();
                    self.groups.get_mut(id).invite = code;
                }
                let code = self.groups.get(id).invite.as_str();
                iq_result(iq, [NodeBuilder::new("invite").attr("code", code).build()])
            }
            "membership_approval_requests" => {
                let group = self.groups.get(id);
                let requests = group.requests.iter().map(|(account, time)| {
                    NodeBuilder::new("membership_approval_request")
                        .attr("jid", group.form.jid(account.primary()))
                        .attr("request_time", *time)
                        .build()
                });
                iq_result(iq, [NodeBuilder::new("membership_approval_requests").children(requests).build()])
            }
            _ => self.decide(from, iq, id, request),
        })
    }

    fn decide(&mut self, from: DeviceAddress, iq: &Node, id: GroupId, request: &Node) -> Node {
        let Some(action) = first_child(request) else {
            return iq_error(iq, 400, "bad-request");
        };
        let mut answers = Vec::new();
        for participant in action.get_children_by_tag("participant") {
            let jid = participant.attrs.get("jid").cloned().unwrap_or_default();
            let account = jid_attr(participant, "jid").and_then(|jid| self.directory.find(&jid));
            let asked = account.filter(|account| self.groups.get(id).requests.contains_key(account));
            let answer = NodeBuilder::new("participant").attr("jid", jid);
            answers.push(match asked {
                Some(account) if action.tag == "approve" => {
                    self.let_in(id, from.account, account);
                    answer.build()
                }
                Some(account) => {
                    self.groups.get_mut(id).requests.remove(&account);
                    answer.build()
                }
                None => answer.attr("error", "404").build(),
            });
        }
        let action = NodeBuilder::new_dynamic(action.tag.to_string()).children(answers).build();
        iq_result(iq, [NodeBuilder::new("membership_requests_action").children([action]).build()])
    }

    /// Whether somebody may do that to the members of a group.
    pub(crate) fn may_change(&self, id: GroupId, by: AccountId, change: Change, accounts: &[AccountId]) -> bool {
        let group: &Group = self.groups.get(id);
        let member = group.members.contains_key(&by);
        let leaves = change == Change::Remove && accounts == [by] && member;
        let adds = change == Change::Add && group.rules.members_add && member;
        leaves || adds || group.is_admin(by)
    }
}

/// The people who wait to be let in, and since when (Unix time in seconds).
pub(crate) type Requests = BTreeMap<AccountId, u64>;
