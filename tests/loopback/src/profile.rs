//! Profiles: an account's picture, on the media host, and its "about" text. Groups have pictures too.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{AccountId, DeviceAddress};
use crate::groups::GroupId;
use crate::queue::Class;
use crate::stanza::{attr, attr_is, content, first_child, iq_error, iq_result, jid_attr};
use crate::world::World;

#[derive(Default)]
pub(crate) struct Profile {
    /// And since when, in seconds.
    about: Option<(String, u64)>,
    picture: Option<Picture>,
}

pub(crate) struct Picture {
    id: String,
    pub(crate) url: String,
    direct_path: String,
}

impl Picture {
    fn node(&self) -> Node {
        NodeBuilder::new("picture")
            .attr("id", self.id.as_str())
            .attr("type", "image")
            .attr("url", self.url.as_str())
            .attr("direct_path", self.direct_path.as_str())
            .build()
    }
}

/// An account's profile, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileInfo {
    pub name: String,
    pub about: Option<String>,
    /// The URL of its picture.
    pub picture: Option<String>,
}

impl World {
    pub(crate) fn profile_info(&self, account: AccountId) -> ProfileInfo {
        let account = self.directory.get(account);
        ProfileInfo {
            name: account.name.clone(),
            about: account.profile.about.as_ref().map(|(about, _)| about.clone()),
            picture: account.profile.picture.as_ref().map(|picture| picture.url.clone()),
        }
    }

    pub(crate) fn set_profile(&mut self, account: AccountId, about: Option<String>, picture: Option<Vec<u8>>) {
        let time = self.time();
        let picture = picture.map(|bytes| self.published(bytes));
        let profile = &mut self.directory.get_mut(account).profile;
        if let Some(about) = about {
            profile.about = Some((about, time));
        }
        if picture.is_some() {
            profile.picture = picture;
        }
    }

    fn published(&mut self, bytes: Vec<u8>) -> Picture {
        let digest = Sha256::digest(&bytes);
        let blob = self.media.publish(Bytes::from(bytes));
        let id = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).to_string();
        Picture { id, url: self.media.url(&blob), direct_path: blob.direct_path }
    }

    /// A group's picture, set or taken away by a device of a member; the others are told.
    fn set_group_picture(&mut self, id: GroupId, from: DeviceAddress, iq: &Node, bytes: Option<Vec<u8>>) -> Node {
        if !self.groups.get(id).may_describe(from.account) {
            return iq_error(iq, 403, "forbidden");
        }
        let picture = bytes.map(|bytes| self.published(bytes));
        let node = picture.as_ref().map(|picture| NodeBuilder::new("picture").attr("id", picture.id.as_str()).build());
        self.groups.get_mut(id).picture = picture;
        self.tell_picture(id, from);
        iq_result(iq, node)
    }

    fn tell_picture(&mut self, id: GroupId, by: DeviceAddress) {
        let group = self.groups.get(id);
        let change = match &group.picture {
            Some(picture) => NodeBuilder::new("set").attr("id", picture.id.as_str()),
            None => NodeBuilder::new("delete"),
        };
        let author = group.form.jid(by.account.primary());
        let change = change.attr("jid", id.jid()).attr("author", author).build();
        let devices: Vec<DeviceAddress> =
            self.group_devices(id).filter(|device| *device != by && device.device != 0).collect();
        let notification_id = self.stanza_id();
        let notification = NodeBuilder::new("notification")
            .attr("from", id.jid())
            .attr("type", "picture")
            .attr("id", notification_id.as_str())
            .attr("t", self.time())
            .children([change])
            .build();
        for device in devices {
            self.deliver(by, device, Class::Notification, &notification_id, notification.clone());
        }
    }

    /// `xmlns="w:profile:picture"` and `"status"`: a device asks for somebody's, or sets its own account's.
    pub(crate) fn profile_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let bytes = first_child(iq).and_then(content).map(<[u8]>::to_vec);
        let target: Option<Jid> = jid_attr(iq, "target");
        let group = target.as_ref().and_then(|jid| self.groups.find(jid));
        match (attr(iq, "xmlns").as_deref(), attr_is(iq, "type", "set")) {
            (Some("status"), true) => {
                let about = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
                self.set_profile(from.account, Some(about), None);
                iq_result(iq, [])
            }
            (Some("status"), false) => iq_error(iq, 501, "feature-not-implemented"),
            (_, true) if group.is_some() => {
                let group = group.expect("the guard has looked");
                self.set_group_picture(group, from, iq, bytes)
            }
            (_, true) => {
                match bytes {
                    Some(bytes) => self.set_profile(from.account, None, Some(bytes)),
                    None => self.directory.get_mut(from.account).profile.picture = None,
                }
                iq_result(iq, self.picture_id_node(from.account))
            }
            (_, false) => {
                let account = target.and_then(|jid| self.directory.find(&jid));
                let own = account.and_then(|account| self.directory.get(account).profile.picture.as_ref());
                match own.or_else(|| self.groups.get(group?).picture.as_ref()) {
                    Some(picture) => iq_result(iq, [picture.node()]),
                    None => {
                        let error = NodeBuilder::new("error").attr("code", 404u16).attr("text", "item-not-found");
                        iq_result(iq, [NodeBuilder::new("picture").children([error.build()]).build()])
                    }
                }
            }
        }
    }

    /// `<status>` of a user query.
    pub(crate) fn about_node(&self, account: AccountId) -> Node {
        match &self.directory.get(account).profile.about {
            Some((about, since)) => NodeBuilder::new("status").attr("t", *since).bytes(about.as_bytes()).build(),
            None => NodeBuilder::new("status").build(),
        }
    }

    /// `<picture id>`, for whoever has one.
    pub(crate) fn picture_id_node(&self, account: AccountId) -> Option<Node> {
        let picture = self.directory.get(account).profile.picture.as_ref()?;
        Some(NodeBuilder::new("picture").attr("id", picture.id.as_str()).build())
    }
}
