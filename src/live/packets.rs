//! Events as clients of Socket.IO see them: a name and a payload, in the old service's form where it had one.

use serde_json::json;

use super::EventOutlet;
use crate::{
    api::old_form,
    fleet::Fleet,
    message::{ConnectionState, Delivery, Event, EventBody, OrderChange, status::STATUS_CHAT},
    tenant::TenantId,
    waha::{self, KitchenOrder, View},
};

/// Where a message of the tenant begins: what its phone wrote is with WhatsApp, and no other event will say so.
async fn first_status(fleet: &Fleet, tenant: &TenantId, message_id: &str) -> Delivery {
    let Some(session) = fleet.session(tenant) else { return Delivery::Accepted };
    match session.delivery(message_id).await {
        Ok(None) => Delivery::Sent,
        Ok(Some(_)) | Err(_) => Delivery::Accepted,
    }
}

pub async fn emit_event(fleet: &Fleet, outlet: &EventOutlet, event: &Event) {
    let (tenant, at, id, links) = (&event.tenant, event.at_ms(), event.id, &fleet.env().media.links);
    // The old service never told of them, and its pages would take one for a conversation.
    if event.body.chat() == STATUS_CHAT {
        return;
    }
    match &event.body {
        EventBody::Received { message } | EventBody::Sent { message } if message.content.is_mark() => {
            let payload = json!({
                "tenantId": tenant, "message": old_form::message(tenant, message.clone(), links), "timestamp": at, "eventId": id,
            });
            outlet.emit("message:marked", &payload).await;
        }
        EventBody::Received { message } => {
            let payload = json!({
                "tenantId": tenant, "message": old_form::message(tenant, message.clone(), links), "timestamp": at, "eventId": id,
            });
            outlet.emit("message:received", &payload).await;
        }
        EventBody::Sent { message } => {
            let mut payload = json!({
                "tenantId": tenant, "message": old_form::message(tenant, message.clone(), links), "timestamp": at, "eventId": id,
            });
            payload["message"]["status"] = json!(first_status(fleet, tenant, &message.id).await.as_str());
            outlet.emit("message:sent", &payload).await;
        }
        EventBody::Status { message_id, chat, status, failure, .. } => {
            let status = status.as_str();
            let mut payload = json!({
                "tenantId": tenant, "messageId": message_id, "chat": chat, "status": status,
                "timestamp": at, "eventId": id,
            });
            if let Some(failure) = failure {
                payload["failure"] = json!(failure);
            }
            outlet.emit("message:status", &payload).await;
        }
        // The old service's kitchen page reads the order itself.
        EventBody::Order { change, restaurant, order } => {
            let event = match change {
                OrderChange::Created => "nuevo-pedido",
                OrderChange::Updated => "pedido:actualizado",
            };
            let mut payload = json!(KitchenOrder::new(tenant.as_str(), restaurant, order));
            payload["eventId"] = json!(id);
            outlet.emit(event, &payload).await;
        }
        // What the old contract has no word for: `call.received` is `call:received`, and its payload the `call`.
        body => {
            let Some(name) = waha::names(body).first() else { return };
            let event = name.as_str().replace(".v2.", ".").replace('.', ":");
            let about = event.split(':').next().unwrap_or_default();
            let payload = json!({
                "tenantId": tenant, about: waha::payload(tenant.as_str(), body, *name, View::plain("")),
                "timestamp": at, "eventId": id,
            });
            outlet.emit(&event, &payload).await;
        }
    }
}

pub async fn emit_connection(outlet: &EventOutlet, tenant: &TenantId, connection: &ConnectionState, now_ms: i64) {
    let (status, details) = match connection {
        ConnectionState::Connected { phone_number } => ("connected", json!({ "phoneNumber": phone_number })),
        ConnectionState::Connecting => ("connecting", json!({})),
        ConnectionState::Disconnected { reason, scan_needed } => {
            ("disconnected", json!({ "reason": reason, "scanNeeded": scan_needed }))
        }
    };
    let payload = json!({ "tenantId": tenant, "status": status, "details": details, "timestamp": now_ms });
    outlet.emit("connection:status", &payload).await;
}

pub async fn emit_qr(outlet: &EventOutlet, tenant: &TenantId, qr: &str, now_ms: i64) {
    outlet.emit("qr:updated", &json!({ "tenantId": tenant, "qr": qr, "timestamp": now_ms })).await;
}
