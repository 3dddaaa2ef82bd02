//! Answers the requests of linked devices.
//!
//! Everything is answered: a client counts its unanswered requests against the connection. What this network has
//! no state for (experiments, privacy) gets the answer of an account that has none.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::faults::{Asked, IqTrouble};
use crate::keys::{LOW_WATER, bundle_node, low_notification};
use crate::queue::Class;
use crate::signal::Bundle;
use crate::stanza::{attr, attr_is, child, child_content, first_child, iq_error, iq_result, jid_attr};
use crate::world::{ConnId, Ending, World};

impl World {
    pub(crate) fn iq(&mut self, conn: ConnId, from: DeviceAddress, iq: &Node) {
        // Results answer requests of ours, none of which waits.
        if !attr_is(iq, "type", "get") && !attr_is(iq, "type", "set") {
            return;
        }
        let request = first_child(iq);
        let tag = request.map_or("", |r| r.tag.as_ref());
        let xmlns = attr(iq, "xmlns");
        if self.is_spoilt(conn, Some(from.account), iq) {
            return;
        }
        match (xmlns.as_deref().unwrap_or_default(), tag) {
            ("passive", "active") => {
                self.send(conn, iq_result(iq, []));
                self.activate(from);
            }
            ("md", "remove-companion-device") => {
                self.send(conn, iq_result(iq, []));
                self.unlink(from);
            }
            ("encrypt", _) => {
                let reply = self.encrypt_iq(from, iq, tag);
                self.send(conn, reply);
            }
            ("usync", "usync") => {
                let reply = request.map(|usync| self.usync(usync));
                self.send(conn, iq_result(iq, reply));
            }
            ("w:m", "media_conn") => {
                let reply = self.media_conn(from);
                self.send(conn, iq_result(iq, [reply]));
            }
            ("w:profile:picture" | "status", _) => {
                let reply = self.profile_iq(from, iq);
                self.send(conn, reply);
            }
            ("w:sync:app:state", _) => {
                let reply = self.app_state_iq(from, iq);
                self.send(conn, reply);
            }
            ("blocklist", _) => {
                let reply = self.blocklist_iq(from, iq);
                self.send(conn, reply);
            }
            ("w:mex", _) => {
                let reply = self.mex_iq(from, iq);
                self.send(conn, reply);
            }
            ("newsletter", _) => {
                let reply = self.channel_iq(from, iq);
                self.send(conn, reply);
            }
            ("w:g2", _) => {
                let reply = self.group_iq(from, iq);
                self.send(conn, reply);
            }
            (xmlns, tag) => self.send(conn, iq_result(iq, stateless(xmlns, tag))),
        }
    }

    /// Whether a fault hits a request. Then that is the answer.
    pub(crate) fn is_spoilt(&mut self, conn: ConnId, by: Option<AccountId>, iq: &Node) -> bool {
        let xmlns = attr(iq, "xmlns");
        let tag = first_child(iq).map_or("", |request| request.tag.as_ref());
        let mut named = Vec::new();
        name_all(iq, &mut named);
        let asked = Asked { by, xmlns: xmlns.as_deref().unwrap_or_default(), tag, named: &named };
        match self.faults.take_iq_trouble(asked) {
            Some(IqTrouble::Silence) => {}
            Some(IqTrouble::Drop) => {
                self.mute(conn);
                self.close(conn, Ending::Abrupt);
            }
            Some(IqTrouble::Nonsense) => self.send(conn, iq_result(iq, [NodeBuilder::new("nonsense").build()])),
            Some(IqTrouble::Error(code)) => self.send(conn, iq_error(iq, code, error_text(code))),
            None => return false,
        }
        true
    }

    fn encrypt_iq(&mut self, from: DeviceAddress, iq: &Node, tag: &str) -> Node {
        if attr_is(iq, "type", "get") && tag == "key" {
            let asked = first_child(iq).and_then(Node::children).unwrap_or_default();
            let users: Vec<Node> =
                asked.iter().filter(|n| n.tag == "user").map(|user| self.user_bundle(user)).collect();
            return iq_result(iq, [NodeBuilder::new("list").children(users).build()]);
        }
        let Some(companion) = self.directory.companion_mut(from) else {
            return iq_error(iq, 401, "not-authorized");
        };
        let keys = &mut companion.keys;
        let result = match (attr_is(iq, "type", "get"), tag) {
            (true, "count") => {
                return iq_result(iq, [NodeBuilder::new("count").attr("value", keys.count()).build()]);
            }
            (true, "digest") if keys.count() == 0 => return iq_error(iq, 404, "item-not-found"),
            (true, "digest") => return iq_result(iq, [keys.digest()]),
            (false, "rotate") => first_child(iq).map_or(Err("nothing to rotate"), |rotate| keys.rotate(rotate)),
            (false, _) => keys.upload(iq),
            (true, _) => Err("unknown query"),
        };
        match result {
            Ok(()) => iq_result(iq, []),
            Err(reason) => {
                tracing::warn!(device = %from, reason, "keys refused");
                iq_error(iq, 406, "not-acceptable")
            }
        }
    }

    fn user_bundle(&mut self, user: &Node) -> Node {
        let address = jid_attr(user, "jid").and_then(|jid| self.directory.find_device(&jid));
        match address.and_then(|address| self.take_bundle(address)) {
            Some(bundle) => bundle_node(user, &bundle),
            None => {
                let error = NodeBuilder::new("error").attr("code", 404u16).attr("text", "item-not-found").build();
                let mut node = NodeBuilder::new("user");
                if let Some(jid) = user.attrs.get("jid") {
                    node = node.attr("jid", jid.clone());
                }
                node.children([error]).build()
            }
        }
    }

    /// A bundle of any device. A linked one whose keys run out is told.
    pub(crate) fn take_bundle(&mut self, address: DeviceAddress) -> Option<Bundle> {
        if address.device == 0 {
            let endpoint = &mut self.directory.get_mut(address.account).contact.endpoint;
            return Some(endpoint.new_bundle(&mut self.rng));
        }
        let keys = &mut self.directory.companion_mut(address)?.keys;
        let had = keys.count();
        let bundle = keys.take_bundle();
        if had == LOW_WATER {
            let left = keys.count();
            let (id, time) = (self.stanza_id(), self.time());
            let companion = self.directory.companion_mut(address)?;
            companion.queue.push(Class::Notification, &id, low_notification(&id, left, time));
            self.flush(address);
        }
        Some(bundle)
    }

    /// Devices, LIDs and membership of users, as asked for.
    fn usync(&self, usync: &Node) -> Node {
        let protocols: Vec<&str> = child(usync, "query")
            .and_then(Node::children)
            .unwrap_or_default()
            .iter()
            .map(|protocol| protocol.tag.as_ref())
            .collect();
        let users = child(usync, "list").and_then(Node::children).unwrap_or_default();
        let list = users.iter().filter(|n| n.tag == "user").map(|user| self.usync_user(user, &protocols));
        let mut reply = NodeBuilder::new("usync");
        for key in ["sid", "mode", "context", "index", "last"] {
            if let Some(value) = usync.attrs.get(key) {
                reply = reply.attr(key, value.clone());
            }
        }
        let results = protocols.iter().map(|p| NodeBuilder::new_dynamic((*p).to_owned()).build());
        reply
            .children([
                NodeBuilder::new("result").children(results).build(),
                NodeBuilder::new("list").children(list).build(),
            ])
            .build()
    }

    fn usync_user(&self, user: &Node, protocols: &[&str]) -> Node {
        let number = child_content(user, "contact").and_then(|c| std::str::from_utf8(c).ok());
        let asked = jid_attr(user, "jid").or_else(|| jid_attr(user, "pn_jid"));
        let account = match &asked {
            Some(jid) => self.directory.find(jid),
            None => number.and_then(|n| self.directory.find_text(n)),
        };
        let mut reply = NodeBuilder::new("user");
        if let Some(jid) = user.attrs.get("jid") {
            reply = reply.attr("jid", jid.clone());
        } else if let Some(account) = account {
            reply = reply.attr("jid", Form::Pn.jid(account.primary()));
        } else if let Some(number) = number {
            // Somebody without an account is answered for by the number that was asked for.
            reply = reply.attr("jid", Jid::pn(number.trim_start_matches('+')));
        }
        let mut children = Vec::new();
        for protocol in protocols {
            match (*protocol, account) {
                ("contact", found) => {
                    let contact = NodeBuilder::new("contact").attr("type", if found.is_some() { "in" } else { "out" });
                    children.push(match number {
                        Some(number) => contact.string_content(number).build(),
                        None => contact.build(),
                    });
                }
                ("devices", Some(account)) => children.push(self.device_list(account)),
                // Nobody has it, in so many words.
                ("devices", None) if asked.as_ref().is_some_and(|jid| jid.server == Server::Lid) => {
                    let list = NodeBuilder::new("device-list").build();
                    children.push(NodeBuilder::new("devices").children([list]).build());
                }
                ("lid", Some(account)) => {
                    children.push(NodeBuilder::new("lid").attr("val", Form::Lid.jid(account.primary())).build());
                }
                ("status", Some(account)) => children.push(self.about_node(account)),
                ("picture", Some(account)) => children.extend(self.picture_id_node(account)),
                _ => {}
            }
        }
        reply.children(children).build()
    }

    fn device_list(&self, account: AccountId) -> Node {
        let account = self.directory.get(account);
        let primary = NodeBuilder::new("device").attr("id", 0u8).build();
        let companions = account.companions.iter().map(|(id, companion)| {
            NodeBuilder::new("device").attr("id", *id).attr("key-index", companion.key_index).build()
        });
        let list = NodeBuilder::new("device-list").children(std::iter::once(primary).chain(companions)).build();
        let mut devices = vec![list];
        if !account.companions.is_empty() {
            let (time, signed) = account.key_index_list();
            let list = NodeBuilder::new("key-index-list").attr("ts", time);
            devices.push(list.bytes(signed).build());
        }
        NodeBuilder::new("devices").children(devices).build()
    }
}

/// WhatsApp's text beside a code.
fn error_text(code: u16) -> &'static str {
    match code {
        400 => "bad-request",
        401 => "not-authorized",
        403 => "forbidden",
        404 => "item-not-found",
        406 => "not-acceptable",
        429 => "rate-overlimit",
        503 => "service-unavailable",
        _ => "internal-server-error",
    }
}

/// Everybody whom a request is about, bare: as a JID, or by number.
fn name_all(node: &Node, named: &mut Vec<String>) {
    let jids = ["jid", "to", "pn_jid"].into_iter().filter_map(|name| jid_attr(node, name));
    named.extend(jids.map(|jid| jid.to_non_ad_string()));
    if let Some(number) = child_content(node, "contact").and_then(|number| std::str::from_utf8(number).ok()) {
        named.push(Jid::pn(number.trim_start_matches('+')).to_string());
    }
    node.children().into_iter().flatten().for_each(|child| name_all(child, named));
}

/// Answers that depend on nothing but the question.
fn stateless(xmlns: &str, tag: &str) -> Option<Node> {
    match (xmlns, tag) {
        ("abt" | "w", "props") => Some(
            NodeBuilder::new("props").attr("protocol", 1u8).attr("hash", "none").attr("refresh", 86_400u32).build(),
        ),
        ("privacy", "privacy") => {
            // The privacy settings of an account that never changed any. Baileys goes by them when it sends read
            // receipts.
            let names = ["last", "online", "profile", "status", "readreceipts", "groupadd", "calladd"];
            let categories =
                names.map(|name| NodeBuilder::new("category").attr("name", name).attr("value", "all").build());
            Some(NodeBuilder::new("privacy").children(categories).build())
        }
        ("disappearing_mode", _) => {
            Some(NodeBuilder::new("disappearing_mode").attr("duration", 0u8).attr("t", 0u8).build())
        }
        _ => None,
    }
}
