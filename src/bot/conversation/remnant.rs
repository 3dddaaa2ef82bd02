//! The rest of a conversation after its tenant became another account and kept the conversations: the customer's orders. The kitchen
//! has these still, and the customer is the same person: so they are told how an order goes on, and may ask.

use serde_json::{Map, Value, json};

/// The rest of a record that the bot's service stores; `None`: nothing stays.
pub fn conversation_remnant(record: &[u8]) -> Option<Vec<u8>> {
    let record: Map<String, Value> = serde_json::from_slice(record).ok()?;
    let orders =
        record.get("conversation")?.get("orders").and_then(Value::as_array).filter(|orders| !orders.is_empty())?;
    let (seen, updated_at) = (record.get("seen"), record.get("updated_at")?);
    Some(json!({ "conversation": { "orders": orders }, "seen": seen, "updated_at": updated_at }).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::conversation::ConversationState;

    #[test]
    fn orders_stay_and_words_do_not() {
        let order = json!({
            "id": "aaaaaa", "stage": "pendiente", "total": 1, "placedAt": "2026-03-01T12:00:00Z", "isPickUp": true,
            "isUnpaid": false,
        });
        let mut talk = json!(ConversationState::default());
        talk["orders"] = json!([order]);
        talk["lastText"] = json!("a secret");
        let record = json!({ "conversation": talk, "seen": null, "updated_at": "2026-03-01T12:00:00Z", "name": "Ana" });
        let kept = conversation_remnant(record.to_string().as_bytes()).expect("an order");
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        assert!(!kept.to_string().contains("secret"), "{kept}");
        let talk: ConversationState = serde_json::from_value(kept["conversation"].clone()).expect("a conversation");
        assert_eq!(talk.orders()[0].id, "aaaaaa");
        let empty = json!({ "conversation": ConversationState::default(), "updated_at": "2026-03-01T12:00:00Z" });
        assert_eq!(conversation_remnant(empty.to_string().as_bytes()), None);
        assert_eq!(conversation_remnant(b"{"), None);
    }
}
