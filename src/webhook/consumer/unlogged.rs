//! Events that are in no log: who is online or types, and the receipts of a group's members. They are tried, not kept.

use std::sync::Arc;

use tokio::time::Instant;
use ulid::Ulid;

use super::DeliveryLoop;
use crate::{
    message::{EventBody, EventId},
    waha::{self, EventName, Payload},
    webhook::queue::{Job, JobSource},
};

/// Presences that wait for a receiver; the oldest give way.
const MAX_PRESENCES: usize = 16;

/// Their lane: no chat has this name.
const PRESENCES: &str = "presences";

/// The same of receipts that are in no log.
const MAX_RECEIPTS: usize = 256;
const RECEIPTS: &str = "receipts";

impl DeliveryLoop<'_> {
    pub(super) async fn owe_presence(&mut self, chat: &str) {
        if !self.cx.webhook.wants(EventName::PresenceUpdate) || self.gone {
            return;
        }
        let Some(shown) = self.cx.session.shown(chat).await else { return };
        let payload = Arc::new(Payload::Presence(waha::person::WAHAChatPresences::new(chat, &shown)));
        let id = EventId(Ulid::from_datetime(self.cx.shared.clock.now().into()));
        let (source, names) = (JobSource::News(payload), vec![EventName::PresenceUpdate]);
        let job = Job { id, source, names, attempts: 0, refusal: None };
        self.queue.push_bounded(PRESENCES, job, Instant::now(), MAX_PRESENCES);
    }

    /// Of a group's members, but for the first, of whom the log tells under both names.
    pub(super) fn owe_receipt(&mut self, receipt: &EventBody) {
        let Some(name) = waha::names(receipt).last().copied().filter(|name| self.cx.webhook.wants(*name)) else {
            return;
        };
        if self.gone {
            return;
        }
        let (me, session) = (self.cx.session.me().unwrap_or_default(), self.cx.session.tenant().as_str());
        let source = waha::Source::Api;
        let view = waha::View { me: &me, source, delivery: None, failure: None, media_url: None };
        let payload = Arc::new(waha::payload(session, receipt, name, view));
        let id = EventId(Ulid::from_datetime(self.cx.shared.clock.now().into()));
        let job = Job { id, source: JobSource::News(payload), names: vec![name], attempts: 0, refusal: None };
        self.queue.push_bounded(RECEIPTS, job, Instant::now(), MAX_RECEIPTS);
    }
}
