//! The people whom an account has blocked: their messages do not reach it, and they are not told.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, Server};

use crate::account::{AccountId, DeviceAddress, Form};
use crate::stanza::{attr, first_child, iq_error, iq_result, jid_attr};
use crate::world::World;

impl World {
    /// `xmlns="blocklist"`. WhatsApp wants both names of whom to block: the LID, and beside it the number.
    pub(crate) fn blocklist_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(item) = first_child(iq).filter(|item| item.tag == "item") else {
            let blocked = &self.directory.get(from.account).blocked;
            let items = blocked
                .iter()
                .map(|peer| NodeBuilder::new("item").attr("jid", Form::Lid.jid(peer.primary())).attr("t", 0u8).build());
            return iq_result(iq, [NodeBuilder::new("list").children(items).build()]);
        };
        let lid = jid_attr(item, "jid").filter(|jid| jid.server == Server::Lid);
        let peer = lid.and_then(|jid| self.directory.find(&jid));
        let number = jid_attr(item, "pn_jid").and_then(|jid| self.directory.find(&jid));
        let blocked = &mut self.directory.get_mut(from.account).blocked;
        match (attr(item, "action").as_deref(), peer) {
            (Some("block"), Some(peer)) if number == Some(peer) => blocked.insert(peer),
            (Some("unblock"), Some(peer)) => blocked.remove(&peer),
            _ => return iq_error(iq, 400, "bad-request"),
        };
        iq_result(iq, [])
    }

    pub(crate) fn has_blocked(&self, account: AccountId, peer: AccountId) -> bool {
        self.directory.get(account).blocked.contains(&peer)
    }
}
