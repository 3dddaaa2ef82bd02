//! ID tokens: which count, whose tenants they open, and what they cost Google and the vault.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use sessiond::{
    api::{AuthError, Caller},
    clock::Clock as _,
    config::Firebase,
};

use crate::support::{
    doorkeeper::{Doorkeeper, House},
    issuer::{Issuer, PROJECT, Signer, claims, claims_for},
};

async fn enter(issuer: &Issuer) -> Doorkeeper {
    let firebase = Firebase { project: PROJECT.into(), keys_url: issuer.url() };
    House::new().enter_with(Some(firebase)).await
}

async fn denied(keeper: &Doorkeeper, token: &str) -> Option<AuthError> {
    keeper.auth.identify(token).await.err()
}

async fn tenants(keeper: &Doorkeeper, token: &str) -> BTreeSet<String> {
    match keeper.auth.identify(token).await.unwrap().caller {
        Caller::User { tenants, .. } => tenants.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_token_counts_only_when_everything_in_it_is_right() {
    let (signer, stranger) = (Signer::new("one"), Signer::new("one"));
    let issuer = Issuer::start(&[&signer], "public, max-age=3600").await;
    let keeper = enter(&issuer).await;
    let now = Timestamp::now();
    let good = claims("ana", now);
    let valid = keeper.auth.identify(&signer.sign(&good)).await.unwrap();
    assert!(matches!(&valid.caller, Caller::User { uid, .. } if **uid == *"ana"), "{:?}", valid.caller);
    let until = valid.expires_at.unwrap().duration_since(now).as_secs();
    assert!((3600..3700).contains(&until), "{until}");

    let second = now.as_second();
    let changes: &[(&str, Value)] = &[
        ("aud", json!("another-project")),
        ("aud", json!([PROJECT])),
        ("aud", Value::Null),
        ("iss", json!("https://securetoken.google.com/another-project")),
        ("iss", json!(format!("https://accounts.google.com/{PROJECT}"))),
        ("iss", Value::Null),
        ("sub", json!("")),
        ("sub", json!("x".repeat(129))),
        ("sub", json!(7)),
        ("sub", Value::Null),
        ("exp", json!(second - 60)),
        ("exp", json!("never")),
        ("exp", json!(i64::MAX)),
        ("exp", Value::Null),
        ("iat", json!(second + 60)),
        ("iat", Value::Null),
        ("auth_time", json!(second + 60)),
    ];
    for (claim, value) in changes {
        let mut claims = good.clone();
        claims[*claim] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(*claim);
        }
        assert_eq!(denied(&keeper, &signer.sign(&claims)).await, Some(AuthError::Wrong), "{claim}: {value}");
    }

    let headers = [
        json!({ "alg": "none", "kid": "one" }),
        json!({ "alg": "HS256", "kid": "one" }),
        json!({ "alg": "RS512", "kid": "one" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "kid": "one", "crit": ["b64"], "b64": false }),
        json!({ "alg": "RS256", "kid": "ec" }),
        json!({ "alg": "RS256", "kid": "two" }),
    ];
    for header in &headers {
        assert_eq!(denied(&keeper, &signer.sign_as(header, &good)).await, Some(AuthError::Wrong), "{header}");
    }
    let token = signer.sign(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = stranger.sign(&good);
    let bent = format!("{}x.{signature}", &signed[..signed.len() - 1]);
    let long = signer.sign(&claims_for("ana", now, &json!("x".repeat(10_000))));
    for wrong in [&forged, &bent, &format!("{signed}."), &format!("{token}.x"), &long, "..", "a.b.c", "eyJ.é.x"] {
        assert_eq!(denied(&keeper, wrong).await, Some(AuthError::Wrong), "{wrong}");
    }
    assert_eq!(issuer.asked(), 1, "none of it made anybody ask again");
}

#[tokio::test]
async fn a_token_ends_with_its_hour() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer], "max-age=86400").await;
    let keeper = enter(&issuer).await;
    let token = signer.sign(&claims("ana", Timestamp::now()));
    keeper.auth.identify(&token).await.unwrap();
    keeper.wait(Duration::from_secs(3600 + 60));
    assert_eq!(denied(&keeper, &token).await, Some(AuthError::Wrong));
}

#[tokio::test]
async fn without_a_project_no_token_counts() {
    let keeper = House::new().enter().await;
    let token = Signer::new("one").sign(&claims("ana", Timestamp::now()));
    assert_eq!(denied(&keeper, &token).await, Some(AuthError::Wrong));
}

#[tokio::test]
async fn the_claim_or_else_the_record_says_whose_tenants() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer], "max-age=3600").await;
    let keeper = enter(&issuer).await;
    let now = Timestamp::now();
    *keeper.vault.members.lock().unwrap() = vec![("trattoria", "ana"), ("pizzeria", "ana"), ("trattoria", "luis")];
    let with = |claim: Value| signer.sign(&claims_for("ana", now, &claim));
    assert_eq!(tenants(&keeper, &with(json!(["a", "b", "../etc", 7, "sessions"]))).await, ids(&["a", "b"]));
    for nothing in [json!([]), json!("a"), json!({ "a": true })] {
        assert_eq!(tenants(&keeper, &with(nothing)).await, ids(&[]), "a claim is the last word");
    }
    let ana = signer.sign(&claims("ana", now));
    assert_eq!(tenants(&keeper, &ana).await, ids(&["pizzeria", "trattoria"]));
    assert_eq!(tenants(&keeper, &signer.sign(&claims("luis", now))).await, ids(&["trattoria"]));
    assert_eq!(tenants(&keeper, &signer.sign(&claims("stranger", now))).await, ids(&[]));

    // No longer a member: within a minute. A vault that is down takes nobody's place away.
    keeper.vault.members.lock().unwrap().remove(0);
    keeper.wait(Duration::from_secs(61));
    assert_eq!(tenants(&keeper, &ana).await, ids(&["pizzeria"]));
    keeper.vault.down.store(true, SeqCst);
    keeper.wait(Duration::from_secs(61));
    assert_eq!(tenants(&keeper, &ana).await, ids(&["pizzeria"]));
    let rosa = signer.sign(&claims("rosa", now));
    assert_eq!(denied(&keeper, &rosa).await, Some(AuthError::Unavailable), "nobody can tell now");
}

#[tokio::test]
async fn googles_keys_are_asked_for_once_while_they_are_fresh() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer], "public, max-age=3000, must-revalidate").await;
    let keeper = Arc::new(enter(&issuer).await);
    assert_eq!(issuer.asked(), 0, "not before somebody brings a token");
    let mut crowd = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (keeper, token) = (keeper.clone(), signer.sign(&claims(&format!("u{n}"), Timestamp::now())));
        crowd.spawn(async move { keeper.auth.identify(&token).await.unwrap() });
    }
    crowd.join_all().await;
    assert_eq!(issuer.asked(), 1);
    let token = || signer.sign(&claims("ana", keeper.clock.now()));
    keeper.wait(Duration::from_secs(2900));
    keeper.auth.identify(&token()).await.unwrap();
    assert_eq!(issuer.asked(), 1);
    keeper.wait(Duration::from_secs(200));
    keeper.auth.identify(&token()).await.unwrap();
    assert_eq!(issuer.asked(), 2, "no longer fresh");
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_a_withdrawn_one_no_longer() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(&[&old], "max-age=3600").await;
    let keeper = enter(&issuer).await;
    let from = |signer: &Signer, keeper: &Doorkeeper| signer.sign(&claims("ana", keeper.clock.now()));
    keeper.auth.identify(&from(&old, &keeper)).await.unwrap();
    issuer.publish(&[&new]);
    keeper.wait(Duration::from_secs(61));
    keeper.auth.identify(&from(&new, &keeper)).await.unwrap();
    assert_eq!(denied(&keeper, &from(&old, &keeper)).await, Some(AuthError::Wrong));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn unknown_key_ids_make_nobody_ask_more_than_once_a_minute() {
    let signer = Signer::new("one");
    let issuer = Issuer::start(&[&signer], "max-age=86400").await;
    let keeper = enter(&issuer).await;
    keeper.auth.identify(&signer.sign(&claims("ana", Timestamp::now()))).await.unwrap();
    for minute in 0..5 {
        for n in 0..50 {
            let header = json!({ "alg": "RS256", "kid": format!("{minute}-{n}") });
            let token = signer.sign_as(&header, &claims("ana", keeper.clock.now()));
            assert_eq!(denied(&keeper, &token).await, Some(AuthError::Wrong));
        }
        assert_eq!(issuer.asked(), 1 + minute, "in minute {minute}");
        keeper.wait(Duration::from_secs(61));
    }
}

#[tokio::test]
async fn while_google_does_not_answer_known_keys_stay_good_for_a_while() {
    let (signer, other) = (Signer::new("one"), Signer::new("other"));
    let issuer = Issuer::start(&[&signer], "max-age=600").await;
    issuer.set_down(true);
    let keeper = enter(&issuer).await;
    let from = |signer: &Signer| signer.sign(&claims("ana", keeper.clock.now()));
    assert_eq!(denied(&keeper, &from(&signer)).await, Some(AuthError::Unavailable), "nothing to go by");
    issuer.set_down(false);
    keeper.wait(Duration::from_secs(6));
    keeper.auth.identify(&from(&signer)).await.unwrap();
    issuer.set_down(true);
    keeper.wait(Duration::from_secs(1200));
    keeper.auth.identify(&from(&signer)).await.unwrap();
    assert_eq!(denied(&keeper, &from(&other)).await, Some(AuthError::Unavailable));
    keeper.wait(Duration::from_secs(3600));
    assert_eq!(denied(&keeper, &from(&signer)).await, Some(AuthError::Unavailable), "too old to be believed");
    let before = issuer.asked();
    for _ in 0..50 {
        denied(&keeper, &from(&signer)).await;
    }
    assert_eq!(issuer.asked(), before, "and it is not asked all the time");
    issuer.set_down(false);
    keeper.wait(Duration::from_secs(6));
    keeper.auth.identify(&from(&signer)).await.unwrap();
}
