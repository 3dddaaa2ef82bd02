//! Channels: who made one, who follows it, what people see of it. Nothing is ever said in one here.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::{Value, json};
use wacore::iq::mex_operations as ops;

use crate::account::{AccountId, DeviceAddress};
use crate::mex::{Data, Fault};
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

pub(crate) struct Channel {
    jid: String,
    name: String,
    description: String,
    owner: AccountId,
    followers: BTreeSet<AccountId>,
    muted: BTreeSet<AccountId>,
    invite: String,
    gone: bool,
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

    /// What a device asks of channels; `None`: something else.
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
            return Some(Err(Fault(404, "no such channel".to_owned())));
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
            id if id == ops::delete_newsletter::DOC_ID => Err(Fault(403, "only its owner may".to_owned())),
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
