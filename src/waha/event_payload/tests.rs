//! Payloads say what they are about, and acks how far a message has come.

use serde_json::json;

use crate::{
    message::MessageTarget,
    waha::{event::names, message::tests::*},
};

use super::*;

pub fn customers() -> MessageTarget {
    MessageTarget { id: "A".into(), from_me: false, sender: "573009998877@s.whatsapp.net".into() }
}

pub fn received(content: Content) -> EventBody {
    EventBody::Received { message: message(content) }
}

#[test]
fn payloads_name_the_message_that_they_are_about() {
    let about = |content, name| json!(payload("trattoria", &received(content), name, view()));
    let reaction = Content::Reaction { target: customers(), emoji: "👍".into() };
    let found = about(reaction, EventName::MessageReaction);
    assert_eq!(found["reaction"], json!({ "text": "👍", "messageId": "false_573009998877@c.us_A" }));
    let found = about(Content::Revoke { target: customers() }, EventName::MessageRevoked);
    assert_eq!(
        (&found["revokedMessageId"], &found["after"]["id"]),
        (&json!("A"), &json!("false_573009998877@c.us_3EB0A"))
    );
    let edit = Content::Edit { target: customers(), content: Box::new(Content::plain("two")) };
    let found = about(edit, EventName::MessageEdited);
    assert_eq!((&found["editedMessageId"], &found["body"]), (&json!("A"), &json!("two")));
    let mine = MessageTarget { id: "P".into(), from_me: true, sender: ME.into() };
    let found = about(Content::Vote { poll: mine, options: vec!["Yes".into()] }, EventName::PollVote);
    assert_eq!(found["poll"]["id"], "true_573009998877@c.us_P");
    assert_eq!(
        (&found["poll"]["from"], &found["vote"]["from"]),
        (&json!("573001112233@c.us"), &json!("573009998877@c.us"))
    );
}

/// Whoever has a webhook learns why a message was not sent.
#[test]
fn an_ack_of_an_error_says_why() {
    let body = EventBody::Status {
        message_id: "A".into(),
        chat: "573009998877@s.whatsapp.net".into(),
        status: Delivery::Failed,
        by: None,
        failure: Some(Failure::refused(Some(463))),
    };
    assert_eq!(names(&body), [EventName::MessageAck]);
    let found = json!(payload("trattoria", &body, EventName::MessageAck, view()));
    assert_eq!((&found["ack"], &found["failure"]), (&json!(-1), &json!({ "reason": "refused", "code": 463 })));
}

#[test]
fn acks_have_wahas_numbers() {
    for (status, number, name) in [
        (Delivery::Failed, -1, "ERROR"),
        (Delivery::Accepted, 0, "PENDING"),
        (Delivery::Sent, 1, "SERVER"),
        (Delivery::Delivered, 2, "DEVICE"),
        (Delivery::Read, 3, "READ"),
        (Delivery::Played, 4, "PLAYED"),
    ] {
        let chat = "573009998877@s.whatsapp.net".to_owned();
        let body = EventBody::Status { message_id: "A".into(), chat, status, by: None, failure: None };
        let found = json!(payload("trattoria", &body, EventName::MessageAck, view()));
        assert_eq!((&found["ack"], &found["ackName"]), (&json!(number), &json!(name)));
        assert_eq!(found["id"], "true_573009998877@c.us_A");
        assert_eq!(found.get("failure"), None);
    }
}
