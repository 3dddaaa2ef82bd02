//! Channels: who made one, who follows it, what people see of it, what its owner writes there.
//!
//! Posts are not encrypted. They go to the linked devices of those who follow; phones and customers of this network do not read them.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use serde_json::{Value, json};
use wacore::iq::mex_operations as ops;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::{codec, whatsapp as wa};

use crate::account::{AccountId, DeviceAddress};
use crate::mex::{Data, MexError};
use crate::queue::Class;
use crate::stanza::{attr, attr_is, child, content, iq_error, iq_result, jid_attr};
use crate::world::World;

/// Channels are numbered from here.
const FIRST_CHANNEL: u64 = 120_363_900_000_000_001;

/// A channel, as [`Network::channels`](crate::Network::channels) shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelInfo {
    pub jid: String,
    pub name: String,
    pub invite: String,
    /// Numbers.
    pub followers: Vec<String>,
    pub muted_by: Vec<String>,
}

/// A post in a channel, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelPost {
    pub id: String,
    /// The protobuf; empty: it was deleted.
    pub message: wa::Message,
    pub deleted: bool,
    pub edited: bool,
    /// Numbers, each with its emoji.
    pub reactions: Vec<(String, String)>,
    /// How many stanzas brought it; one is enough.
    pub seen: u32,
}

struct Post {
    id: String,
    kind: String,
    time: u64,
    by: AccountId,
    plain: Vec<u8>,
    mediatype: Option<String>,
    deleted: bool,
    edited: bool,
    reactions: BTreeMap<AccountId, String>,
    seen: u32,
}

/// Of a channel's first post. Clients take smaller numbers for none.
const FIRST_POST: usize = 100;

pub(crate) struct Channel {
    jid: String,
    name: String,
    description: String,
    owner: AccountId,
    followers: BTreeSet<AccountId>,
    muted: BTreeSet<AccountId>,
    invite: String,
    gone: bool,
    posts: Vec<Post>,
}

impl Channel {
    fn form(&self, viewer: AccountId) -> Value {
        let role = if viewer == self.owner {
            "owner"
        } else if self.followers.contains(&viewer) {
            "subscriber"
        } else {
            "guest"
        };
        json!({
            "id": self.jid,
            "state": { "type": "active" },
            "thread_metadata": {
                "name": { "text": self.name },
                "description": { "text": self.description },
                "invite": self.invite,
                "subscribers_count": self.followers.len().to_string(),
                "verification": "UNVERIFIED",
                "creation_time": "1800000000",
            },
            "viewer_metadata": { "role": role },
        })
    }
}

impl World {
    pub(crate) fn create_channel(&mut self, owner: AccountId, name: &str, description: &str) -> usize {
        let invite = hex::encode_upper(self.rng.random::<[u8; 12]>());
        self.channels.push(Channel {
            jid: format!("{}@newsletter", FIRST_CHANNEL + self.channels.len() as u64),
            name: name.to_owned(),
            description: description.to_owned(),
            owner,
            followers: BTreeSet::new(),
            muted: BTreeSet::new(),
            invite,
            gone: false,
            posts: Vec::new(),
        });
        self.channels.len() - 1
    }

    pub(crate) fn channel_infos(&self) -> Vec<ChannelInfo> {
        let numbers = |accounts: &BTreeSet<AccountId>| {
            accounts.iter().map(|account| self.directory.get(*account).number()).collect()
        };
        let there = self.channels.iter().filter(|channel| !channel.gone);
        let info = |channel: &Channel| ChannelInfo {
            jid: channel.jid.clone(),
            name: channel.name.clone(),
            invite: channel.invite.clone(),
            followers: numbers(&channel.followers),
            muted_by: numbers(&channel.muted),
        };
        there.map(info).collect()
    }

    /// The posts of a channel, the oldest first.
    pub(crate) fn channel_posts(&self, jid: &str) -> Vec<ChannelPost> {
        let posts = self.channels.iter().find(|channel| channel.jid == jid).map(|channel| channel.posts.as_slice());
        let number = |account: &AccountId| self.directory.get(*account).number();
        let post = |post: &Post| ChannelPost {
            id: post.id.clone(),
            message: codec::message_decode(&post.plain).unwrap_or_default(),
            deleted: post.deleted,
            edited: post.edited,
            reactions: post.reactions.iter().map(|(by, emoji)| (number(by), emoji.clone())).collect(),
            seen: post.seen,
        };
        posts.unwrap_or_default().iter().map(post).collect()
    }

    /// Somebody who owns a channel writes there on a phone.
    pub(crate) fn write_in_channel(
        &mut self,
        by: AccountId,
        jid: &str,
        message: &wa::Message,
    ) -> Result<String, String> {
        let id = self.message_id();
        let plain = NodeBuilder::new("plaintext").bytes(codec::message_to_vec(message)).build();
        let kind = wacore::send::stanza_type_from_message(message);
        let stanza = NodeBuilder::new("message").attr("id", id.as_str()).attr("type", kind).children([plain]).build();
        self.channel_message(by.primary(), jid, &stanza).map_err(|code| format!("refused: {code}"))?;
        Ok(id)
    }

    /// A `<message>` to a channel; the number of the post that it makes or changes, or why it is refused.
    pub(crate) fn channel_message(&mut self, from: DeviceAddress, jid: &str, stanza: &Node) -> Result<u64, u16> {
        let time = self.time();
        let me = from.account;
        let channel = self.channels.iter_mut().find(|channel| !channel.gone && channel.jid == jid).ok_or(404u16)?;
        if attr_is(stanza, "type", "reaction") {
            let number = attr(stanza, "server_id").and_then(|number| number.parse::<usize>().ok()).ok_or(400u16)?;
            let post = number.checked_sub(FIRST_POST).and_then(|at| channel.posts.get_mut(at)).ok_or(404u16)?;
            let code = child(stanza, "reaction").and_then(|reaction| attr(reaction, "code")).unwrap_or_default();
            if code.is_empty() {
                post.reactions.remove(&me);
            } else {
                post.reactions.insert(me, code.into_owned());
            }
            return Ok(number as u64);
        }
        if channel.owner != me {
            return Err(403);
        }
        let plain = child(stanza, "plaintext").ok_or(400u16)?;
        let id = attr(stanza, "id").ok_or(400u16)?.into_owned();
        let body = content(plain).unwrap_or_default().to_vec();
        let known = channel.posts.iter().position(|post| post.id == id);
        let edit = attr(stanza, "edit").map(std::borrow::Cow::into_owned);
        let at = match (edit.as_deref(), known) {
            (None, Some(at)) => {
                channel.posts[at].seen += 1;
                return Ok((FIRST_POST + at) as u64);
            }
            (None, None) => {
                channel.posts.push(Post {
                    id: id.clone(),
                    kind: attr(stanza, "type").unwrap_or_default().into_owned(),
                    time,
                    by: me,
                    plain: body,
                    mediatype: attr(plain, "mediatype").map(std::borrow::Cow::into_owned),
                    deleted: false,
                    edited: false,
                    reactions: BTreeMap::new(),
                    seen: 1,
                });
                channel.posts.len() - 1
            }
            (Some(_), None) => return Err(404),
            (Some("3"), Some(at)) => {
                (channel.posts[at].plain, channel.posts[at].edited) = (body, true);
                at
            }
            (Some("8"), Some(at)) => {
                (channel.posts[at].plain, channel.posts[at].deleted) = (Vec::new(), true);
                at
            }
            (Some(_), Some(_)) => return Err(400),
        };
        let (readers, post) = (&channel.followers, &channel.posts[at]);
        let mut plain = NodeBuilder::new("plaintext");
        if let Some(mediatype) = &post.mediatype {
            plain = plain.attr("mediatype", mediatype.as_str());
        }
        let mut message = NodeBuilder::new("message")
            .attr("from", jid)
            .attr("id", id.as_str())
            .attr("t", time)
            .attr("type", post.kind.as_str())
            .attr("server_id", (FIRST_POST + at) as u64);
        if let Some(edit) = &edit {
            message = message.attr("edit", edit.as_str());
        }
        let message = message.children([plain.bytes(post.plain.clone()).build()]).build();
        let accounts: Vec<AccountId> = readers.iter().copied().chain([me]).collect();
        for account in accounts {
            let devices: Vec<_> = self.directory.get(account).companions.keys().map(|id| account.device(*id)).collect();
            for device in devices.into_iter().filter(|device| *device != from) {
                self.deliver(from, device, Class::Message, &id, message.clone());
            }
        }
        Ok((FIRST_POST + at) as u64)
    }

    /// `xmlns="newsletter"`: the newest posts.
    pub(crate) fn channel_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let jid = jid_attr(iq, "to").map(|jid| jid.to_string()).unwrap_or_default();
        let Some(channel) = self.channels.iter().find(|channel| !channel.gone && channel.jid == jid) else {
            return iq_error(iq, 404, "item-not-found");
        };
        let Some(asked) = child(iq, "messages") else { return iq_error(iq, 400, "bad-request") };
        let count = attr(asked, "count").and_then(|count| count.parse().ok()).unwrap_or(usize::MAX);
        let from_number = channel.posts.len().saturating_sub(count);
        let posts = channel.posts.iter().enumerate().skip(from_number).map(|(at, post)| {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for emoji in post.reactions.values() {
                *counts.entry(emoji).or_default() += 1;
            }
            let reaction = |(code, count)| NodeBuilder::new("reaction").attr("code", code).attr("count", count).build();
            let mut node = NodeBuilder::new("message")
                .attr("id", post.id.as_str())
                .attr("server_id", (FIRST_POST + at) as u64)
                .attr("t", post.time)
                .attr("type", post.kind.as_str());
            if post.by == from.account {
                node = node.attr("is_sender", "true");
            }
            node.children([
                NodeBuilder::new("plaintext").bytes(post.plain.clone()).build(),
                NodeBuilder::new("reactions").children(counts.into_iter().map(reaction)).build(),
                NodeBuilder::new("views_count").attr("count", channel.followers.len() as u64).build(),
            ])
            .build()
        });
        let posts: Vec<Node> = posts.collect();
        iq_result(iq, [NodeBuilder::new("messages").attr("jid", jid).children(posts).build()])
    }

    /// Answers a device's question about channels; `None`: it asks something else.
    pub(crate) fn channel_mex(&mut self, from: DeviceAddress, id: &str, variables: &Value) -> Option<Data> {
        let me = from.account;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if id == ops::create_newsletter::DOC_ID {
            let input = &variables["input"];
            let at = self.create_channel(me, &text(&input["name"]), &text(&input["description"]));
            return Some(Ok(json!({ "xwa2_newsletter_create": self.channels[at].form(me) })));
        }
        if id == ops::fetch_all_newsletters_metadata::DOC_ID {
            let mine = self.channels.iter().filter(|channel| !channel.gone);
            let mine = mine.filter(|channel| channel.owner == me || channel.followers.contains(&me));
            return Some(Ok(json!({
                "xwa2_newsletter_subscribed": mine.map(|channel| channel.form(me)).collect::<Vec<_>>(),
            })));
        }
        if id == ops::fetch_newsletter::DOC_ID {
            let key = text(&variables["input"]["key"]);
            let found =
                self.channels.iter().find(|channel| !channel.gone && (channel.jid == key || channel.invite == key));
            return Some(Ok(json!({ "xwa2_newsletter": found.map(|channel| channel.form(me)) })));
        }
        let named = if id == ops::update_newsletter_user_setting::DOC_ID {
            text(&variables["input"]["newsletter_id"])
        } else {
            text(&variables["newsletter_id"])
        };
        let known = [
            ops::join_newsletter::DOC_ID,
            ops::leave_newsletter::DOC_ID,
            ops::delete_newsletter::DOC_ID,
            ops::update_newsletter_user_setting::DOC_ID,
        ];
        if !known.contains(&id) {
            return None;
        }
        let Some(channel) = self.channels.iter_mut().find(|channel| !channel.gone && channel.jid == named) else {
            return Some(Err(MexError(404, "no such channel".to_owned())));
        };
        Some(match id {
            id if id == ops::join_newsletter::DOC_ID => {
                channel.followers.insert(me);
                Ok(json!({ "xwa2_newsletter_join_v2": channel.form(me) }))
            }
            id if id == ops::leave_newsletter::DOC_ID => {
                channel.followers.remove(&me);
                Ok(json!({ "xwa2_newsletter_leave_v2": { "id": channel.jid } }))
            }
            id if id == ops::delete_newsletter::DOC_ID && channel.owner == me => {
                channel.gone = true;
                Ok(json!({ "xwa2_newsletter_delete_v2": { "id": channel.jid, "state": { "type": "DELETED" } } }))
            }
            id if id == ops::delete_newsletter::DOC_ID => Err(MexError(403, "only its owner may".to_owned())),
            _ => {
                let off = variables.to_string().contains("\"ON\"");
                if off {
                    channel.muted.insert(me)
                } else {
                    channel.muted.remove(&me)
                };
                Ok(json!({ "xwa2_newsletter_update_user_setting": { "id": channel.jid } }))
            }
        })
    }
}
