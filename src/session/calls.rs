//! Calls, which this daemon cannot take: it can only decline them.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use whatsapp_rust::{Jid, types::call::IncomingCall};

use super::{Refused, Session, asking};

/// Calls that a session remembers.
const REMEMBERED: usize = 32;

/// Calls that came: a refusal must name whoever began the call as WhatsApp did.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<VecDeque<Call>>);

#[derive(Debug, Clone)]
struct Call {
    id: String,
    from: Jid,
    creator: Jid,
}

impl Calls {
    pub fn heard(&self, call: &IncomingCall) {
        let action = &call.action;
        let call =
            Call { id: action.call_id().to_owned(), from: call.from.clone(), creator: action.call_creator().clone() };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|known| known.id != call.id);
        calls.push_back(call);
        if calls.len() > REMEMBERED {
            calls.pop_front();
        }
    }

    fn find(&self, id: &str) -> Option<Call> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().find(|call| call.id == id).cloned()
    }
}

impl Session {
    /// Declines a call. One that is not known here may have come before a restart.
    pub async fn reject_call(&self, id: &str, from: &str) -> Result<(), Refused> {
        let from = asking::person("from", from)?;
        if !(1..=128).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Refused::Input { field: "id", expected: "expected a call's id" });
        }
        let unknown = || Call { id: id.to_owned(), from: from.clone(), creator: from.clone() };
        let call = self.0.calls.find(id).unwrap_or_else(unknown);
        self.ask(|client| async move { client.voip().reject_call(&call.id, &call.from, &call.creator).await }).await
    }
}
