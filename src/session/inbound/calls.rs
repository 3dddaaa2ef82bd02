//! Calls, which this daemon cannot take: it tells of them, and can decline them.
//!
//! Reports the end of a call once, and only if its start was reported: WhatsApp also reports calls that the tenant
//! makes. The library is built without voice and filters nothing, so every stanza about a call arrives here.

use std::{collections::VecDeque, sync::Mutex};

use whatsapp_rust::{
    Jid,
    types::call::{CallAction, IncomingCall, MissedCall},
};

use crate::{
    message::{Call, CallStage, EventBody},
    session::{Inner, RequestError, Session, requests, requests::pace::RequestKind},
    sync::lock,
};

/// Calls that a session remembers.
const REMEMBERED: usize = 32;

/// Calls that came: a refusal must name whoever began the call as WhatsApp did.
#[derive(Debug, Default)]
pub(in crate::session) struct Calls(Mutex<CallLog>);

#[derive(Debug, Default)]
struct CallLog {
    known: VecDeque<KnownCall>,
    /// Of which only the end was heard: the library tells of each call's stanzas in no certain order.
    ended: VecDeque<CallEnd>,
}

#[derive(Debug, Clone)]
struct CallEnd {
    id: String,
    stage: CallStage,
    timestamp: i64,
}

#[derive(Debug, Clone)]
struct KnownCall {
    from: Jid,
    creator: Jid,
    /// As it was told last.
    call: Call,
}

impl Calls {
    fn heard(&self) -> std::sync::MutexGuard<'_, CallLog> {
        lock(&self.0)
    }

    /// The events of a call that began: none if it is known already.
    fn begin(&self, new: KnownCall) -> Vec<Call> {
        let mut heard = self.heard();
        if heard.known.iter().any(|known| known.call.id == new.call.id) {
            return Vec::new();
        }
        let mut told = vec![new.call.clone()];
        let mut new = new;
        if let Some(end) = heard.ended.iter().find(|end| end.id == new.call.id) {
            told.extend(new.ends(end));
        }
        remember(&mut heard.known, new);
        told
    }

    /// `None`: nobody was told that it rings, or it does not any more.
    fn end(&self, end: CallEnd) -> Option<Call> {
        let mut heard = self.heard();
        match heard.known.iter_mut().find(|known| known.call.id == end.id) {
            Some(known) => known.ends(&end),
            None => {
                remember(&mut heard.ended, end);
                None
            }
        }
    }

    fn find(&self, id: &str) -> Option<KnownCall> {
        self.heard().known.iter().find(|known| known.call.id == id).cloned()
    }
}

impl KnownCall {
    fn ends(&mut self, end: &CallEnd) -> Option<Call> {
        (self.call.stage == CallStage::Ringing).then(|| {
            (self.call.stage, self.call.timestamp) = (end.stage, end.timestamp);
            self.call.clone()
        })
    }
}

fn remember<T>(list: &mut VecDeque<T>, new: T) {
    list.push_back(new);
    if list.len() > REMEMBERED {
        list.pop_front();
    }
}

/// How a call ends by what WhatsApp says; `None`: it does not.
fn end(action: &CallAction) -> Option<CallStage> {
    match action {
        CallAction::Accept { .. } => Some(CallStage::Accepted),
        // One device cannot take it; the others go on ringing.
        CallAction::Reject { reason, .. } => (reason.as_deref() != Some("busy")).then_some(CallStage::Rejected),
        CallAction::Terminate { reason, .. } => Some(match reason.as_deref() {
            Some("accepted_elsewhere") => CallStage::Accepted,
            Some("rejected_elsewhere") => CallStage::Rejected,
            _ => CallStage::Missed,
        }),
        _ => None,
    }
}

impl Inner {
    pub(in crate::session) async fn heard_call(&self, heard: &IncomingCall) {
        let action = &heard.action;
        let timestamp = heard.timestamp.timestamp();
        let (number, video, group) = match action {
            CallAction::Offer { caller_pn, is_video, group_jid, .. } => (caller_pn, *is_video, group_jid.is_some()),
            CallAction::OfferNotice { is_video, is_group, .. } => (&None, *is_video, *is_group),
            action => {
                let id = action.call_id().to_owned();
                let call = end(action).and_then(|stage| self.calls.end(CallEnd { id, stage, timestamp }));
                return self.tell_calls(call).await;
            }
        };
        let from = self.display_name_of(number.as_ref().unwrap_or(&heard.from)).await;
        let call = Call { id: action.call_id().to_owned(), from, stage: CallStage::Ringing, video, group, timestamp };
        let known = KnownCall { from: heard.from.clone(), creator: action.call_creator().clone(), call };
        self.tell_calls(self.calls.begin(known)).await;
    }

    /// It rang while nobody was connected.
    pub(in crate::session) async fn missed_call(&self, missed: &MissedCall) {
        let (from, timestamp) = (self.display_name_of(&missed.from).await, missed.timestamp.timestamp());
        let (video, group) = (false, false);
        let call = Call { id: missed.call_id.clone(), from, stage: CallStage::Missed, video, group, timestamp };
        let known = KnownCall { from: missed.from.clone(), creator: missed.from.clone(), call };
        self.tell_calls(self.calls.begin(known)).await;
    }

    async fn tell_calls(&self, calls: impl IntoIterator<Item = Call>) {
        for call in calls {
            self.publish_event(EventBody::Call { call }).await;
        }
    }
}

impl Session {
    /// Declines a call. One that is not known here may have come before a restart.
    pub async fn reject_call(&self, id: &str, from: &str) -> Result<(), RequestError> {
        let from = requests::person("from", from)?;
        if !(1..=128).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(RequestError::Input { field: "id", expected: "expected a call's id" });
        }
        let (from, creator) =
            self.0.calls.find(id).map_or_else(|| (from.clone(), from), |known| (known.from, known.creator));
        self.ask(RequestKind::Change, |client| async move { client.voip().reject_call(id, &from, &creator).await })
            .await?;
        let timestamp = self.0.env.clock.now().as_second();
        let end = CallEnd { id: id.to_owned(), stage: CallStage::Rejected, timestamp };
        self.0.tell_calls(self.0.calls.end(end)).await;
        Ok(())
    }
}
