//! What happens to a tenant that another process has, for a client that is here.
//!
//! The process that has the client asks the tenant's owner for the events after the client's cursor, over the second port, and hands on
//! what comes, framed as its own would be. The owner ends the stream when it gives the tenant away. Then the next owner is asked, from
//! the last event that went to the client: there is no gap, since the log goes along with the tenant, and no repeat, since the cursor is
//! behind everything that was handed on.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, Request},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tracing::debug;

use super::{
    EventOutlet, LiveContext, MAX_UNREAD,
    following::{StreamPlace, follow, send_on},
};
use crate::{
    api::{ForwardError, Forwarded, Forwarder, Path, PeerLine, Problem},
    backoff::Backoff,
    fleet::{Fleet, PeerListener},
    message::EventId,
    tenant::TenantId,
};

const PATH: &str = "/internal/events";

/// A line without content, so that the reader knows that the line is good.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The longest event is an order or a text, of some hundred KiB.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// Between two tries to hear of a tenant, at first and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A tenant that was given away is looked for so long before its client is told to go elsewhere.
const HANDOVER_TIME: Duration = Duration::from_secs(3);

/// What is asked of the owner.
#[derive(Deserialize)]
struct PeerRegistration {
    after: Option<EventId>,
    /// The client has been told where it began.
    begun: bool,
    may_pair: bool,
}

#[derive(Deserialize)]
struct PeerEventsPath {
    tenant: TenantId,
}

/// The owner's side: a route for peers, who have asked the client for his key. At most so many clients: they stay, and the port is also for
/// requests.
pub(super) fn router(context: LiveContext, most: usize) -> Router {
    let room = Arc::new(Semaphore::new(most));
    Router::new().route(&format!("{PATH}/{{tenant}}"), get(serve)).layer(Extension(context)).layer(Extension(room))
}

async fn serve(
    Extension(context): Extension<LiveContext>,
    Extension(room): Extension<Arc<Semaphore>>,
    Path(PeerEventsPath { tenant }): Path<PeerEventsPath>,
    request: Request,
) -> Response {
    // Only the second port lets peers in.
    if request.extensions().get::<Forwarded>().is_none() {
        return Problem::not_found().into_response();
    }
    let Ok(axum::extract::Query(asked)) = axum::extract::Query::<PeerRegistration>::try_from_uri(request.uri()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match context.fleet.serving_here(&tenant).await {
        Ok(Some(_)) => {}
        Ok(None) => return Problem::owned_elsewhere().into_response(),
        Err(error) => return Problem::from(error).into_response(),
    }
    // After the look for the tenant: an asker must learn that it is not here, also while there is no room.
    let Ok(turn) = room.try_acquire_owned() else { return StatusCode::TOO_MANY_REQUESTS.into_response() };
    let (lines, reader) = mpsc::channel::<Bytes>(MAX_UNREAD);
    let (tasks, gone) = (context.tasks.clone(), lines.clone());
    tasks.spawn(async move {
        let _turn = turn;
        let mut place = StreamPlace { cursor: asked.after, is_begun: asked.begun };
        let outlet = EventOutlet::Peer(lines);
        tokio::select! {
            () = context.stop.cancelled() => {}
            () = gone.closed() => {}
            _ = follow(&context.fleet, &outlet, &tenant, &mut place, true, asked.may_pair, true) => {}
        }
    });
    let lines = stream::unfold(reader, |mut reader| async move {
        let line = match timeout(HEARTBEAT, reader.recv()).await {
            Ok(line) => line?,
            Err(_) => Bytes::from_static(b"\n"),
        };
        Some((Ok::<_, std::convert::Infallible>(line), reader))
    });
    Body::from_stream(lines).into_response()
}

/// Everything of a tenant to one client, whichever process has it.
pub(super) async fn follow_everywhere(
    context: &LiveContext,
    outlet: &EventOutlet,
    tenant: &TenantId,
    cursor: Option<EventId>,
    exists: bool,
    may_pair: bool,
) {
    let (fleet, mut failures) = (&context.fleet, 0_u32);
    let mut place = StreamPlace { cursor, is_begun: false };
    let Some(forwarder) = &context.forwarder else {
        let _ = follow(fleet, outlet, tenant, &mut place, exists, may_pair, false).await;
        return;
    };
    let mut owner = listener(fleet, tenant).await;
    let mut has_waited = false;
    loop {
        let heard = match &owner {
            Some(peer) => follow_peer(forwarder, peer, outlet, tenant, &mut place, may_pair).await,
            None => {
                let exists = exists || place.is_begun;
                if follow(fleet, outlet, tenant, &mut place, exists, may_pair, true).await.is_break() {
                    return;
                }
                Ok(true)
            }
        };
        let waits = matches!(heard, Err(ForwardError::Busy));
        if waits && !has_waited {
            outlet.emit("error", &crowded(tenant)).await;
        }
        has_waited = waits;
        failures = if matches!(heard, Ok(true)) { 0 } else { failures.saturating_add(1) };
        sleep(Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).whole(failures)).await;
        // Nothing has changed about whose the tenant is: the vault is not read for each that waits.
        owner = if waits { listener(fleet, tenant).await } else { next_listener(fleet, tenant).await };
        if owner.is_none() && fleet.is_leaving() && fleet.session(tenant).is_none() {
            // It has gone to a process that takes nothing from this one.
            return send_on(outlet).await;
        }
    }
}

/// The process that has the tenant; `None`: it is here, or nobody can be asked.
async fn listener(fleet: &Arc<Fleet>, tenant: &TenantId) -> Option<PeerListener> {
    if !fleet.has_peer_listeners() || fleet.session(tenant).is_some() {
        return None;
    }
    match fleet.known_listener(tenant) {
        Some(peer) => Some(peer),
        None => fleet.find_listener(tenant).await,
    }
}

/// The same after an owner had no more to say.
async fn next_listener(fleet: &Arc<Fleet>, tenant: &TenantId) -> Option<PeerListener> {
    if !fleet.is_leaving() {
        return match fleet.session(tenant) {
            Some(_) => None,
            None => fleet.find_listener(tenant).await,
        };
    }
    // Given away just now.
    let looking = async {
        loop {
            match listener(fleet, tenant).await {
                None if fleet.session(tenant).is_none() => sleep(FIRST_PAUSE * 5).await,
                found => return found,
            }
        }
    };
    timeout(HANDOVER_TIME, looking).await.unwrap_or_default()
}

/// The question to an owner. A client that registered while nobody had the tenant, and so has no cursor, begins where the owner's log
/// ends now: with `begun` it would get the whole log as news.
fn target(tenant: &TenantId, place: &StreamPlace, may_pair: bool) -> String {
    let after = place.cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
    let begun = place.is_begun && place.cursor.is_some();
    format!("{PATH}/{tenant}?begun={begun}&may_pair={may_pair}{after}")
}

fn crowded(tenant: &TenantId) -> Value {
    json!({
        "code": "busy", "tenantId": tenant,
        "error": "too many clients are here for this tenant of another process; registered as soon as there is room",
    })
}

/// What an owner says, until it says no more. True: it said something.
async fn follow_peer(
    forwarder: &Forwarder,
    peer: &PeerListener,
    outlet: &EventOutlet,
    tenant: &TenantId,
    place: &mut StreamPlace,
    may_pair: bool,
) -> Result<bool, ForwardError> {
    let target = target(tenant, place, may_pair);
    let asking = async {
        let turn = forwarder.registration_turn(tenant)?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = target.parse().expect("tenants and ids are safe in a path");
        PeerLine::open(forwarder, peer).await?.ask(request, Ipv4Addr::UNSPECIFIED.into(), turn).await
    };
    let answer = match asking.await {
        Ok(answer) if answer.status() == StatusCode::OK => answer,
        Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS => return Err(ForwardError::Busy),
        Ok(answer) => {
            debug!(%tenant, peer = %peer.instance.0, status = answer.status().as_u16(), "the tenant is not followed there");
            return Ok(false);
        }
        Err(error) => {
            debug!(%tenant, peer = %peer.instance.0, %error, "the tenant cannot be followed now");
            return Err(error);
        }
    };
    let (mut pieces, mut line, mut is_heard) = (answer.into_body().into_data_stream(), Vec::new(), false);
    // An error is an end as well: what was cut off comes again.
    while let Some(Ok(piece)) = pieces.next().await {
        let mut rest = &piece[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            if let Ok((event, payload)) = serde_json::from_slice::<(String, Value)>(&line) {
                is_heard = true;
                hand_on(outlet, place, &event, payload).await;
            }
            line.clear();
        }
        line.extend_from_slice(rest);
        if line.len() > LONGEST_LINE {
            break;
        }
    }
    Ok(is_heard)
}

async fn hand_on(outlet: &EventOutlet, place: &mut StreamPlace, event: &str, mut payload: Value) {
    let id = |field: &str| payload.get(field).and_then(|id| serde_json::from_value::<EventId>(id.clone()).ok());
    let cursor = match event {
        "registered" => id("cursor"),
        "events:gap" => id("until"),
        _ => id("eventId"),
    };
    if event == "registered" && place.is_begun {
        // The client has heard that already; only where it begins was not known.
        place.cursor = cursor.or(place.cursor);
        return;
    }
    if event == "registered" {
        payload["socketId"] = json!(outlet.client().map(|socket| socket.id));
    }
    outlet.emit(event, &payload).await;
    // After it has gone out: whoever is dropped before that begins before it again.
    place.cursor = cursor.or(place.cursor);
    place.is_begun |= event == "registered";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_registered_while_nobody_had_the_tenant_begins_where_its_next_owner_is() {
        let tenant: TenantId = "trattoria".parse().unwrap();
        let (lines, mut heard) = mpsc::channel(MAX_UNREAD);
        let outlet = EventOutlet::Peer(lines);
        let mut place = StreamPlace { cursor: None, is_begun: true };
        let begins = target(&tenant, &place, false);
        assert_eq!(
            begins, "/internal/events/trattoria?begun=false&may_pair=false",
            "all of the log would come as news"
        );
        let last = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        hand_on(&outlet, &mut place, "registered", json!({ "tenantId": tenant, "cursor": last })).await;
        assert!(heard.try_recv().is_err(), "it has registered once");
        let goes_on = format!("/internal/events/trattoria?begun=true&may_pair=false&after={last}");
        assert_eq!(target(&tenant, &place, false), goes_on);
        hand_on(&outlet, &mut place, "message:received", json!({ "tenantId": tenant, "eventId": last })).await;
        assert!(heard.try_recv().is_ok());
    }
}
