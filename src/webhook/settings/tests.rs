use std::time::Duration;

use serde_json::{Value, json};

use super::{
    MASK, Retries, RetryPolicy, WebhookFlaw, WebhookSettings,
    reader::{MAX_METADATA, MAX_REST},
};
use crate::{outbound::Allow, waha::EventName};

fn parse(given: Value, before: &WebhookSettings) -> Result<WebhookSettings, Vec<WebhookFlaw>> {
    let outbound = crate::outbound::Outbound::new(
        Allow::default(),
        Duration::from_secs(1),
        std::sync::Arc::new(crate::outbound::SystemLookup),
    )
    .unwrap();
    WebhookSettings::parse(&given, before, |url| outbound.check(url))
}

fn full() -> Value {
    json!({
        "metadata": { "user.id": "7" },
        "webhooks": [{
            "url": "https://example.com/hook",
            "events": ["message", "session.status", "presence.update"],
            "hmac": { "key": "your-secret-key" },
            "retries": { "policy": "exponential", "delaySeconds": 0.5, "attempts": 3 },
            "customHeaders": [{ "name": "Authorization", "value": "Bearer x" }],
        }],
    })
}

#[test]
fn wahas_form_is_taken_and_kept() {
    let settings = parse(full(), &WebhookSettings::default()).unwrap();
    let webhook = &settings.webhooks[0];
    assert_eq!(webhook.retries.policy, RetryPolicy::Exponential);
    assert_eq!((webhook.retries.delay, webhook.retries.attempts), (Duration::from_millis(500), 3));
    assert!(webhook.wants(EventName::Message) && !webhook.wants(EventName::MessageAny));
    assert_eq!(webhook.custom_headers()["authorization"], "Bearer x");
    assert_eq!(WebhookSettings::restore(&settings.store()), Some(settings));
}

#[test]
fn the_least_that_wahas_clients_send_is_enough() {
    let webhook =
        json!({ "url": "https://example.com/", "events": ["*"], "hmac": null, "retries": null, "customHeaders": null });
    let settings = parse(json!({ "webhooks": [webhook] }), &WebhookSettings::default()).unwrap();
    assert_eq!(settings.webhooks[0].retries, Retries::default());
    assert_eq!(settings.metadata, json!({}));
    assert_eq!(parse(json!({}), &WebhookSettings::default()).unwrap().webhooks, []);
}

#[test]
fn secrets_are_not_shown_and_their_masks_keep_them() {
    let settings = parse(full(), &WebhookSettings::default()).unwrap();
    let shown = json!(settings.show());
    assert!(!shown.to_string().contains("secret") && !shown.to_string().contains("Bearer"), "{shown}");
    assert!(!format!("{settings:?}").contains("your-secret-key"));
    assert_eq!(parse(shown.clone(), &settings).unwrap(), settings);
    // A mask is no key of a webhook that has none.
    assert!(parse(shown, &WebhookSettings::default()).is_err());
}

#[test]
fn what_wahas_clients_write_beside_is_kept_and_a_password_is_masked() {
    let mut given = full();
    given["noweb"] = json!({ "markOnline": true, "store": { "enabled": true, "fullSync": false } });
    given["proxy"] = json!({ "server": "proxy:3128", "username": "u", "password": "open sesame" });
    given["ignore"] = json!({ "status": null });
    given["webhooks"][0]["name"] = json!("orders");
    let settings = parse(given, &WebhookSettings::default()).unwrap();
    let shown = json!(settings.show());
    assert_eq!(shown["noweb"]["store"]["enabled"], true);
    assert_eq!((&shown["ignore"], &shown["webhooks"][0]["name"]), (&json!({ "status": null }), &json!("orders")));
    assert_eq!(shown["proxy"], json!({ "server": "proxy:3128", "username": "u", "password": MASK }));
    assert!(!format!("{settings:?}").contains("sesame"));
    assert_eq!(parse(shown.clone(), &settings).unwrap(), settings);
    assert_eq!(WebhookSettings::restore(&settings.store()), Some(settings));
    assert_eq!(parse(shown, &WebhookSettings::default()).unwrap_err().last().unwrap().field, "proxy.password");
    let much = json!({ "noweb": "x".repeat(MAX_REST) });
    assert_eq!(parse(much, &WebhookSettings::default()).unwrap_err()[0].field, "config");
}

#[test]
fn secrets_follow_their_webhook_on_its_server_and_to_no_other() {
    let settings = parse(full(), &WebhookSettings::default()).unwrap();
    let mut shown = json!(settings.show());
    shown["webhooks"][0]["url"] = json!("https://example.com/another");
    let moved = parse(shown.clone(), &settings).unwrap();
    assert_eq!((&moved.webhooks[0].id, &moved.webhooks[0].key), (&settings.webhooks[0].id, &settings.webhooks[0].key));
    assert_eq!(moved.webhooks[0].headers, settings.webhooks[0].headers);
    for elsewhere in ["https://example.org/hook", "http://example.com/hook", "https://example.com:8443/hook"] {
        shown["webhooks"][0]["url"] = json!(elsewhere);
        let flaws = parse(shown.clone(), &settings).unwrap_err();
        let fields: Vec<_> = flaws.iter().map(|flaw| flaw.field.as_str()).collect();
        assert_eq!(fields, ["webhooks[0].hmac.key", "webhooks[0].customHeaders[0].value"], "{elsewhere}");
    }
}

#[test]
fn a_webhook_keeps_its_place_with_its_url() {
    let settings = parse(full(), &WebhookSettings::default()).unwrap();
    let mut given = full();
    given["webhooks"][0]["events"] = json!(["*"]);
    let twin = given["webhooks"][0].clone();
    given["webhooks"].as_array_mut().unwrap().push(twin);
    let changed = parse(given, &settings).unwrap();
    assert_eq!(changed.webhooks[0].id, settings.webhooks[0].id);
    assert_ne!(changed.webhooks[1].id, settings.webhooks[0].id);
}

/// Another build wrote it: with an event that this one does not know, and more of everything than this one takes.
#[test]
fn what_this_build_would_not_take_is_restored_all_the_same() {
    let mut stored: Value =
        serde_json::from_slice(&parse(full(), &WebhookSettings::default()).unwrap().store()).unwrap();
    let webhook = &mut stored["webhooks"][0];
    webhook["events"] = json!(["message", "x.y"]);
    webhook["retries"]["attempts"] = json!(1000);
    webhook["customHeaders"].as_array_mut().unwrap().push(json!({ "name": "Host", "value": "x" }));
    stored["metadata"] = json!({ "long": "x".repeat(2 * MAX_METADATA) });
    let bytes = serde_json::to_vec(&stored).unwrap();
    let settings = WebhookSettings::restore(&bytes).expect("it is a webhook");
    let webhook = &settings.webhooks[0];
    assert!(webhook.wants(EventName::Message) && !webhook.wants(EventName::MessageAny));
    assert_eq!(
        (webhook.id.as_str(), webhook.url.as_str()),
        (stored["webhooks"][0]["id"].as_str().unwrap(), "https://example.com/hook")
    );
    assert_eq!(webhook.events, ["message", "x.y"], "whoever knows it finds it again");
    assert_eq!(settings.metadata, stored["metadata"]);
    // What is shown can be written back.
    assert_eq!(WebhookSettings::restore(&settings.store()), Some(settings));
    for garbage in [&b"{"[..], b"[]", br#"{"webhooks":[{"id":"a"}]}"#] {
        assert!(WebhookSettings::restore(garbage).is_none());
    }
}

#[test]
fn every_flaw_is_named_with_its_field() {
    let given = json!({
        "metadata": 1,
        "webhooks": [
            {
                "url": "http://169.254.169.254/", "events": ["message", "mesage"], "hmac": { "key": 7 },
                "retries": { "policy": "often", "delaySeconds": -1, "attempts": 1000 },
                "customHeaders": [{ "name": "Host", "value": "x" }, { "name": "x" }, { "name": "X", "value": "a\r\nb" }],
            },
            { "events": [], "hmac": { "key": "whsec_!!" } },
            "https://example.com/",
        ],
    });
    let flaws = parse(given, &WebhookSettings::default()).unwrap_err();
    let fields: Vec<_> = flaws.iter().map(|flaw| flaw.field.as_str()).collect();
    let expected = [
        "metadata",
        "webhooks[0].url",
        "webhooks[0].events[1]",
        "webhooks[0].hmac.key",
        "webhooks[0].retries.policy",
        "webhooks[0].retries.delaySeconds",
        "webhooks[0].retries.attempts",
        "webhooks[0].customHeaders[0].name",
        "webhooks[0].customHeaders[1]",
        "webhooks[0].customHeaders[2].value",
        "webhooks[1].url",
        "webhooks[1].events",
        "webhooks[1].hmac.key",
        "webhooks[2].url",
        "webhooks[2].events",
    ];
    assert_eq!(fields, expected);
}
