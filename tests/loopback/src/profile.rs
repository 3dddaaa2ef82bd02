//! What people see of an account: its picture, on the media host, and what it says of itself.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{AccountId, DeviceAddress};
use crate::stanza::{attr, attr_is, content, first_child, iq_error, iq_result, jid_attr};
use crate::world::World;

#[derive(Default)]
pub(crate) struct Profile {
    /// And since when, in seconds.
    about: Option<(String, u64)>,
    picture: Option<Picture>,
}

struct Picture {
    id: String,
    url: String,
    direct_path: String,
}

impl World {
    pub(crate) fn set_profile(&mut self, account: AccountId, about: Option<String>, picture: Option<Vec<u8>>) {
        let time = self.time();
        let picture = picture.map(|bytes| {
            let digest = Sha256::digest(&bytes);
            let blob = self.media.publish(Bytes::from(bytes));
            let id = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).to_string();
            Picture { id, url: self.media.url(&blob), direct_path: blob.direct_path }
        });
        let profile = &mut self.directory.get_mut(account).profile;
        if let Some(about) = about {
            profile.about = Some((about, time));
        }
        if picture.is_some() {
            profile.picture = picture;
        }
    }

    /// `xmlns="w:profile:picture"` and `"status"`: a device asks for somebody's, or sets its own account's.
    pub(crate) fn profile_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let bytes = first_child(iq).and_then(content).map(<[u8]>::to_vec);
        match (attr(iq, "xmlns").as_deref(), attr_is(iq, "type", "set")) {
            (Some("status"), true) => {
                let about = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
                self.set_profile(from.account, Some(about), None);
                iq_result(iq, [])
            }
            (Some("status"), false) => iq_error(iq, 501, "feature-not-implemented"),
            (_, true) => {
                match bytes {
                    Some(bytes) => self.set_profile(from.account, None, Some(bytes)),
                    None => self.directory.get_mut(from.account).profile.picture = None,
                }
                iq_result(iq, self.picture_id_node(from.account))
            }
            (_, false) => {
                let asked: Option<Jid> = jid_attr(iq, "target");
                let account = asked.and_then(|jid| self.directory.find(&jid));
                match account.and_then(|account| self.directory.get(account).profile.picture.as_ref()) {
                    Some(picture) => {
                        let node = NodeBuilder::new("picture")
                            .attr("id", picture.id.as_str())
                            .attr("type", "image")
                            .attr("url", picture.url.as_str())
                            .attr("direct_path", picture.direct_path.as_str());
                        iq_result(iq, [node.build()])
                    }
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
