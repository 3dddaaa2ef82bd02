//! Whether a message can be sent at all: the tenant is still the account that accepted it, and its recipient is on WhatsApp.

use std::{slice, time::Duration};

use whatsapp_rust::{
    Client, Jid, SendError, Server,
    traits::SignalStore as _,
    usync::{
        UsyncContext, UsyncMode, UsyncOutcome, UsyncProtocol, UsyncProtocolKind, UsyncProtocolResult, UsyncQuery,
        UsyncUser,
    },
};

use super::judgement::LookupsSpentError;
use crate::{
    message::{Failure, FailureReason, Unsettled},
    session::{Inner, requests::pace::RequestKind},
    store::{key, space},
};

/// WhatsApp's word for what is not there.
const NOT_FOUND: u16 = 404;

/// Why the message cannot be sent at all, if that is so.
pub(super) async fn obstacle(
    session: &Inner,
    client: &Client,
    message: &Unsettled,
    chat: &Jid,
    names: &[Jid],
) -> Result<Option<Failure>, SendError> {
    let account = session.status.borrow().phone_number.clone();
    if !message.account.is_empty() && account.is_some_and(|account| account != message.account) {
        // A person who changes the number stays the same account.
        let own = session.store.own_account().await.map_err(|error| SendError::Internal(error.into()))?;
        if !own.is_some_and(|own| own.has_had(&message.account)) {
            return Ok(Some(FailureReason::OtherAccount.into()));
        }
    }
    if !message.audience.is_empty() || !matches!(chat.server, Server::Pn | Server::Lid) {
        return Ok(None);
    }
    // A recipient with devices exists. To any other the library would send only the copy for the tenant's own phone,
    // and WhatsApp would confirm that. The list may be under any of the names.
    let lists = names.iter().map(|name| key::text(&name.user)).collect();
    if session.store.get_all(space::DEVICE_LISTS, lists).await.is_ok_and(|lists| !lists.is_empty()) {
        return Ok(None);
    }
    let mut is_known = false;
    for name in names {
        is_known |= matches!(session.store.has_signal_state_for_user(&name.user).await, Ok(true));
    }
    if is_known && chat.server == Server::Lid {
        return Ok(None);
    }
    // WhatsApp may be asked freely about people with whom there is a conversation: their devices are forgotten with every restart.
    if !is_known {
        session.pace.has_room(RequestKind::Lookup).map_err(spent)?;
    }
    let is_missing = match chat.server {
        Server::Lid => has_no_devices(client, chat).await?,
        _ => {
            let found = client.contacts().is_on_whatsapp(slice::from_ref(chat)).await;
            let found = found.map_err(|error| SendError::Internal(error.into()))?;
            found.first().is_some_and(|found| !found.is_registered && found.contact_error.is_none())
        }
    };
    if is_missing {
        // Numbers that are tried count, not new customers. Those that are asked about at this moment may be some too many.
        let _ = session.pace.take(RequestKind::Lookup);
    }
    Ok(is_missing.then(|| FailureReason::NotOnWhatsapp.into()))
}

/// Whether nobody has this LID. A lookup by LID always "succeeds" in the library, so ask for devices instead: an
/// account has at least its phone. Not needed where Signal sessions exist: their keys came from a device.
async fn has_no_devices(client: &Client, lid: &Jid) -> Result<bool, SendError> {
    let internal = |error: whatsapp_rust::anyhow::Error| SendError::Internal(error);
    let (protocols, users) = (vec![UsyncProtocol::DevicesV2], vec![UsyncUser::from_jid(lid.clone())]);
    let query = UsyncQuery::new(UsyncMode::Query, UsyncContext::Message, protocols, users);
    let answer = client.query_usync(query.map_err(|error| internal(error.into()))?).await;
    let answer = answer.map_err(|error| internal(error.into()))?;
    let user = answer
        .users
        .iter()
        .find(|user| user.id.as_ref().is_some_and(|id| (&id.user, id.server) == (&lid.user, lid.server)));
    Ok(user.and_then(|user| user.protocol(UsyncProtocolKind::Devices)).is_some_and(says_nobody))
}

/// Only in so many words: an answer that leaves the devices out, or an error, says nothing, and the message goes.
fn says_nobody(devices: &UsyncProtocolResult) -> bool {
    match devices {
        UsyncProtocolResult::Devices(UsyncOutcome::Value(found)) => {
            found.device_list.as_ref().is_some_and(|list| list.devices.is_empty())
        }
        UsyncProtocolResult::Devices(UsyncOutcome::Error(error)) => error.code == Some(NOT_FOUND),
        _ => false,
    }
}

/// A message to strangers asks who is on WhatsApp, as a lookup does.
pub(super) fn count_lookup(session: &Inner) -> Result<(), SendError> {
    session.pace.take(RequestKind::Lookup).map_err(spent)
}

fn spent(wait: Duration) -> SendError {
    SendError::Internal(LookupsSpentError { wait }.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A message that fails as `not_on_whatsapp` has failed for good.
    #[test]
    fn nobody_is_there_only_if_whatsapp_says_so() {
        let says = |kind: &str, data: Value| {
            let outcome = json!({ "type": kind, "data": data });
            says_nobody(&serde_json::from_value(json!({ "type": "devices", "data": outcome })).unwrap())
        };
        assert!(says("value", json!({ "device_list": { "devices": [] } })));
        assert!(says("error", json!({ "code": 404 })));
        let phone = json!([{ "id": 0, "is_hosted": false }]);
        assert!(!says("value", json!({ "device_list": { "devices": phone } })));
        assert!(!says("value", json!({})), "the list is left out");
        assert!(!says("error", json!({ "code": 500 })) && !says("error", json!({})), "it cannot say it now");
    }
}
