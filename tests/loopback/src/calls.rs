//! Calls, as far as they ring: somebody calls, a device declines. Nobody ever talks.

use serde::Serialize;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use rand::RngExt;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::stanza::{attr, first_child};
use crate::world::World;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    pub id: String,
    /// Numbers.
    pub from: String,
    pub to: String,
    /// By which device.
    pub declined_by: Option<String>,
}

impl World {
    /// It rings at all devices of the called that are there.
    pub(crate) fn call(&mut self, from: AccountId, to: AccountId, form: Form) -> String {
        let id = hex::encode_upper(self.rng.random::<[u8; 16]>());
        let caller = form.jid(from.primary());
        let audio = |rate: u32| NodeBuilder::new("audio").attr("enc", "opus").attr("rate", rate).build();
        let offer = NodeBuilder::new("offer")
            .attr("call-id", id.as_str())
            .attr("call-creator", caller.clone())
            .children([audio(8000), audio(16_000)])
            .build();
        let stanza = NodeBuilder::new("call")
            .attr("from", caller)
            .attr("id", self.stanza_id())
            .attr("notify", self.directory.get(from).name.as_str())
            .attr("t", self.time())
            .children([offer])
            .build();
        let devices: Vec<DeviceAddress> =
            self.directory.get(to).companions.keys().map(|device| to.device(*device)).collect();
        for device in devices {
            self.tell(device, stanza.clone());
        }
        let (from, to) = (self.directory.get(from).number(), self.directory.get(to).number());
        self.calls.push(Call { id: id.clone(), from, to, declined_by: None });
        id
    }

    /// `<call>` by a linked device. One that does not name the call's maker as it was told declines nothing.
    pub(crate) fn call_stanza(&mut self, from: DeviceAddress, stanza: &Node) {
        let Some(reject) = first_child(stanza).filter(|action| action.tag == "reject") else {
            return;
        };
        let id = attr(reject, "call-id").unwrap_or_default();
        let creator = attr(reject, "call-creator").and_then(|jid| self.directory.find_text(&jid));
        let (creator, own) =
            (creator.map(|peer| self.directory.get(peer).number()), self.directory.get(from.account).number());
        let call =
            self.calls.iter_mut().find(|call| call.id == id && call.to == own && Some(&call.from) == creator.as_ref());
        if let Some(call) = call {
            call.declined_by.get_or_insert(from.to_string());
        }
    }
}
