//! A chat of two names keeps what both have, and an import gives the bot its place.

use serde_json::json;

use super::*;
use crate::bot::owner_records::first_records;

fn stored(at: &str, conversation: serde_json::Value) -> Vec<u8> {
    let record = json!({ "conversation": conversation, "seen": null, "updated_at": at });
    serde_json::to_vec(&record).unwrap()
}

fn basket(item: &str) -> serde_json::Value {
    let mut shown = json!(ConversationState::default());
    shown["order"]["lines"] = json!([{ "item": item, "qty": 2, "note": [] }]);
    shown
}

fn known(id: &str) -> serde_json::Value {
    let placed_at = if id == "aaaaaa" { "2026-03-01T12:00:00Z" } else { "2026-03-01T12:30:00Z" };
    json!({ "id": id, "stage": "pendiente", "total": 1, "placedAt": placed_at, "isPickUp": true, "isUnpaid": false })
}

#[test]
fn who_was_talked_with_under_two_names_keeps_the_silence_the_orders_and_the_basket() {
    let mut earlier = basket("aji");
    earlier["orders"] = json!([known("aaaaaa")]);
    earlier["silence"] = json!({ "cause": "owner", "until": "2026-03-01T15:00:00Z" });
    let mut later = basket("lim");
    later["orders"] = json!([known("bbbbbb")]);
    later["silence"] = json!({ "cause": "humanCalled", "until": "2026-03-01T14:00:00Z" });
    let (earlier, later) = (stored("2026-03-01T12:00:00Z", earlier), stored("2026-03-01T13:00:00Z", later));
    for (one, other) in [(&earlier, &later), (&later, &earlier)] {
        let both = joined(read_conversation(one), read_conversation(other));
        assert_eq!(both.unreadable, None);
        let talk = both.record.conversation;
        let now = "2026-03-01T13:30:00Z".parse().unwrap();
        assert_eq!(talk.silence(now).map(|silence| silence.until.to_string()), Some("2026-03-01T15:00:00Z".into()));
        assert_eq!(talk.orders().iter().map(|order| &order.id).collect::<Vec<_>>(), ["aaaaaa", "bbbbbb"]);
        assert_eq!(talk.lines()[0].item, "lim");
        assert_eq!(json!(talk)["kept"]["lines"][0]["item"], "aji");
    }
}

/// It would answer all that the log has, had it no place.
#[test]
fn an_import_switches_the_bot_on_from_its_own_moment_on() {
    let now = "2026-03-01T13:30:00Z".parse().unwrap();
    let settings = RestaurantSettings { active: true, ..RestaurantSettings::default() };
    let records = first_records(None, Some(&settings), None, now, |_| Some(0));
    let names: Vec<_> = records.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [SETTINGS, PLACE]);
    let kept: Versioned<RestaurantSettings> = serde_json::from_slice(&records[0].1).unwrap();
    assert_eq!((kept.version, kept.value), (1, settings.clone()));
    let place: BotPlace = serde_json::from_slice(&records[1].1).unwrap();
    assert_eq!(place, BotPlace { cursor: None, since: now, owners_until: None });
    // Over a name that was deleted: what was answered there is not answered again.
    let before = BotPlace { cursor: Some(crate::message::EventId(ulid::Ulid::from_parts(7, 7))), ..place.clone() };
    let stored = serde_json::to_vec(&before).unwrap();
    let records = first_records(None, Some(&settings), Some(&stored), now, |_| Some(0));
    assert_eq!(serde_json::from_slice::<BotPlace>(&records[1].1).unwrap(), before);
    assert!(first_records(None, Some(&settings), None, now, |_| None).is_empty(), "an owner's own stay");
}

#[test]
fn a_name_whose_record_does_not_parse_is_not_overwritten_by_the_other() {
    let good = stored("2026-03-01T12:00:00Z", basket("aji"));
    for (one, other) in [(&good[..], &b"{"[..]), (&b"{"[..], &good[..])] {
        assert!(joined(read_conversation(one), read_conversation(other)).unreadable.is_some());
    }
}
