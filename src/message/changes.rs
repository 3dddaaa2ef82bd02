//! Which messages were edited or deleted, without the vault: for whoever answers one, passes it on, pins it or reacts to it. That is told
//! by the events in the state, and of older ones by their segments' references. What cannot be said so is read in the history.
//!
//! Extends [`Log`].

use ulid::Ulid;

use super::{Content, EventBody, Log, log::parse_key};
use crate::store::{StoreError, space};

/// Events read at a time.
const PAGE: usize = 256;

/// The id of the message that an event edits or deletes.
pub(super) fn changed(event: &EventBody) -> Option<&str> {
    let (EventBody::Received { message } | EventBody::Sent { message }) = event else { return None };
    match &message.content {
        Content::Edit { target, .. } | Content::Revoke { target } => Some(&target.id),
        _ => None,
    }
}

impl Log {
    /// Whether nothing that is told edits or deletes a message of this id, whoever wrote it. False too when that cannot be said without
    /// reading segments. `came_ms`: when it came, where that is known; what is older by a day does not speak of it.
    pub async fn is_untouched(&self, id: &str, came_ms: Option<i64>) -> Result<bool, StoreError> {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        // Before the segments: what leaves the state meanwhile is then seen twice, and not missed.
        let mut cursor = Ulid(u128::MAX);
        let written = serde_json::to_string(id).unwrap_or_default();
        loop {
            let page = self.live_before(cursor, PAGE).await?;
            if page.iter().any(|(_, value)| may_change(value, id, &written)) {
                return Ok(false);
            }
            match page.last().map(|(key, _)| parse_key(key)) {
                Some(Some(oldest)) => cursor = oldest,
                Some(None) => return Ok(false),
                None => break,
            }
        }
        let since_ms = came_ms.map(|came| came.saturating_sub(DAY_MS));
        let segments = self.segments().await?;
        if segments.len() < self.store.scan(space::SEGMENTS, None, usize::MAX).await?.len() {
            // A newer build wrote the others' references.
            return Ok(false);
        }
        let is_older = |ends_ms: u64| since_ms.is_some_and(|since| i64::try_from(ends_ms).is_ok_and(|end| end < since));
        Ok(segments
            .iter()
            .all(|segment| is_older(segment.ends_ms()) || segment.changes().is_some_and(|marks| !marks.may_have(id))))
    }
}

/// `written`: the id as it stands in an event, which most do not have.
fn may_change(event: &[u8], id: &str, written: &str) -> bool {
    if !std::str::from_utf8(event).is_ok_and(|text| text.contains(written)) {
        return false;
    }
    match serde_json::from_slice(event) {
        Ok(event) => changed(&event) == Some(id),
        // Of a newer build.
        Err(_) => true,
    }
}
