//! Calls, as far as they ring: somebody calls, a device declines. Nobody ever talks.

use serde::Serialize;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use rand::RngExt;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::queue::Class;
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
    #[serde(skip)]
    parties: (AccountId, AccountId, Form),
}

/// How a call ends that no linked device took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// The caller gave up.
    GivenUp,
    /// On the phone.
    Taken,
    /// On the phone.
    Declined,
}

impl World {
    /// It rings at all devices of the called that are there; the others hear of it when they are back.
    pub(crate) fn call(&mut self, from: AccountId, to: AccountId, form: Form) -> String {
        let id = hex::encode_upper(self.rng.random::<[u8; 16]>());
        let audio = |rate: u32| NodeBuilder::new("audio").attr("enc", "opus").attr("rate", rate).build();
        let offer = NodeBuilder::new("offer").children([audio(8000), audio(16_000)]);
        let parties = (from, to, form);
        self.tell_call(parties, &id, offer);
        let (from, to) = (self.directory.get(from).number(), self.directory.get(to).number());
        self.calls.push(Call { id: id.clone(), from, to, declined_by: None, parties });
        id
    }

    pub(crate) fn end_call(&mut self, id: &str, end: CallEnd) -> Result<(), String> {
        let call = self.calls.iter().find(|call| call.id == id).ok_or("no such call")?;
        let terminate = NodeBuilder::new("terminate");
        let terminate = match end {
            CallEnd::GivenUp => terminate,
            CallEnd::Taken => terminate.attr("reason", "accepted_elsewhere"),
            CallEnd::Declined => terminate.attr("reason", "rejected_elsewhere"),
        };
        self.tell_call(call.parties, id, terminate);
        Ok(())
    }

    fn tell_call(&mut self, (from, to, form): (AccountId, AccountId, Form), id: &str, action: NodeBuilder) {
        let caller = form.jid(from.primary());
        let stanza_id = self.stanza_id();
        let action = action.attr("call-id", id).attr("call-creator", caller.clone()).build();
        let stanza = |world: &Self| {
            NodeBuilder::new("call")
                .attr("from", caller.clone())
                .attr("id", stanza_id.as_str())
                .attr("notify", world.directory.get(from).name.as_str())
                .attr("t", world.time())
                .children([action.clone()])
        };
        let companions = self.directory.get(to).companions.iter();
        let there: Vec<_> = companions.map(|(device, it)| (to.device(*device), it.conn.is_some())).collect();
        for (device, is_there) in there {
            if is_there {
                self.tell(device, stanza(self).build());
            } else {
                let late = stanza(self).attr("offline", "0").build();
                self.deliver(from.primary(), device, Class::Call, &stanza_id, late);
            }
        }
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
