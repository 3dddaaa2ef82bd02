//! Keys: made, shown once, known to every process, refused once they are revoked; and what they cost the vault.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use sessiond::{
    api::{AuthError, Caller, Scope, Valid},
    vault::access::Rights,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    doorkeeper::{ADMIN, Doorkeeper, House},
    stage::LIMIT,
};

fn of(tenant: &str, scopes: &[Scope]) -> Rights {
    Rights::Tenant { tenant: tenant.parse().unwrap(), scopes: scopes.iter().copied().collect() }
}

async fn make(keeper: &Doorkeeper, rights: Rights) -> (String, String) {
    let (key, secret) = keeper.auth.keys.create(rights, true).await.unwrap();
    (key.id.to_string(), secret.expose().to_owned())
}

async fn refused(keeper: &Doorkeeper, key: &str) -> AuthError {
    keeper.auth.identify(key).await.map(|valid| valid.caller).unwrap_err()
}

async fn opens(keeper: &Doorkeeper, key: &str) -> Valid {
    keeper.auth.identify(key).await.unwrap()
}

#[tokio::test]
async fn a_key_opens_what_it_says_and_nothing_else() {
    let keeper = House::new().enter().await;
    assert_eq!(opens(&keeper, ADMIN).await.caller, Caller::Admin);
    let (_, key) = make(&keeper, of("a", &[Scope::Read])).await;
    let caller = opens(&keeper, &key).await.caller;
    let [own, other] = ["a", "b"].map(|id| id.parse().unwrap());
    assert!(caller.permit(&own, Scope::Read).is_ok() && caller.sees(&own));
    assert!(caller.permit(&own, Scope::Send).is_err() && caller.permit(&own, Scope::Control).is_err());
    assert!(Scope::ALL.iter().all(|scope| caller.permit(&other, *scope).is_err()) && !caller.sees(&other));
    assert!(caller.permit_admin().is_err() && caller.permit_metrics().is_err());
    let (_, key) = make(&keeper, Rights::Metrics).await;
    let caller = opens(&keeper, &key).await.caller;
    assert!(Scope::ALL.iter().all(|scope| caller.permit(&own, *scope).is_err()) && !caller.sees(&own));
    assert!(caller.permit_admin().is_err() && caller.permit_metrics().is_ok());
    let (_, key) = make(&keeper, Rights::Admin).await;
    assert_eq!(opens(&keeper, &key).await.caller, Caller::Admin);
}

#[tokio::test]
async fn a_key_is_nowhere_but_with_its_owner() {
    let house = House::new();
    let keeper = house.enter().await;
    let (id, key) = make(&keeper, of("trattoria", &[Scope::Read])).await;
    opens(&keeper, &key).await;
    let secret = key.strip_prefix("key_").unwrap();
    assert_eq!(secret.len(), 43, "256 bits in base64");
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let bytes = house.bytes();
    assert!(holds(&bytes, &id), "the record is there");
    assert!(!holds(&bytes, secret) && !holds(&bytes, &secret[8..30]));
    let shown = format!("{:?} {:?}", keeper.auth, keeper.auth.keys.list().await);
    assert!(shown.contains(&id) && !shown.contains(secret) && !shown.contains(ADMIN), "{shown}");
}

#[tokio::test]
async fn another_process_opens_a_new_key_at_once_and_refuses_a_revoked_one_at_its_next_look() {
    let house = House::new();
    let (one, two) = (house.enter().await, house.enter().await);
    let (id, key) = make(&one, of("a", &Scope::ALL)).await;
    let there = opens(&two, &key).await;
    assert!(one.auth.keys.revoke(&id).await.unwrap());
    assert_eq!(refused(&one, &key).await, AuthError::Wrong, "here at once");
    assert!(!there.gone.is_cancelled());
    two.auth.keys.refresh().await.unwrap();
    assert_eq!(refused(&two, &key).await, AuthError::Wrong);
    assert!(there.gone.is_cancelled(), "and its sockets end");
    assert!(!two.auth.keys.revoke(&id).await.unwrap(), "there is nothing to revoke any more");
    assert!(one.auth.keys.list().await.is_empty());
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let house = House::new();
    let keeper = house.enter().await;
    let (_, kept) = make(&keeper, of("a", &[Scope::Send])).await;
    let (id, gone) = make(&keeper, of("a", &[Scope::Send])).await;
    keeper.auth.keys.revoke(&id).await.unwrap();
    keeper.auth.stop().await;
    drop(keeper);
    let keeper = house.enter().await;
    let reads = keeper.vault.usage().reads;
    opens(&keeper, &kept).await;
    assert_eq!(keeper.vault.usage().reads, reads, "it was known before anybody asked");
    assert_eq!(refused(&keeper, &gone).await, AuthError::Wrong);
}

#[tokio::test]
async fn a_vault_that_is_down_locks_nobody_out_who_is_known() {
    let house = House::new();
    let (one, two) = (house.enter().await, house.enter().await);
    let (id, known) = make(&one, of("a", &Scope::ALL)).await;
    let (_, unknown) = make(&two, of("a", &Scope::ALL)).await;
    one.vault.down.store(true, SeqCst);
    one.wait(Duration::from_secs(3 * 3600));
    assert!(one.auth.keys.refresh().await.is_err());
    opens(&one, &known).await;
    assert_eq!(refused(&one, &unknown).await, AuthError::Unavailable, "which is not to say that it is wrong");
    assert!(one.auth.keys.revoke(&id).await.is_err());
    // While it was away the others revoked and forgot.
    assert!(two.auth.keys.revoke(&id).await.unwrap());
    let forget_all = jiff::Timestamp::now() + Duration::from_secs(3600);
    make(&two, of("b", &[])).await;
    sessiond::vault::access::AccessVault::forget_revoked(&*two.vault, forget_all).await.unwrap();
    one.vault.down.store(false, SeqCst);
    one.auth.keys.refresh().await.unwrap();
    assert_eq!(refused(&one, &known).await, AuthError::Wrong);
    opens(&one, &unknown).await;
}

#[tokio::test]
async fn a_flood_of_wrong_keys_costs_a_bounded_number_of_reads() {
    let keeper = House::new().enter().await;
    let start = keeper.vault.usage().reads;
    let mut wrong = 0;
    for n in 0..5000 {
        match refused(&keeper, &format!("key_{n:043}")).await {
            AuthError::Wrong => wrong += 1,
            // Nobody has looked it up.
            other => assert_eq!(other, AuthError::Unavailable),
        }
    }
    assert!((60..100).contains(&wrong), "{wrong} of 5000");
    for wrong in ["", "x", "key_", "key_ü", ADMIN.trim_end_matches('s'), &"k".repeat(100_000), "a.b.c"] {
        assert_eq!(refused(&keeper, wrong).await, AuthError::Wrong);
    }
    let spent = keeper.vault.usage().reads - start;
    assert!((1..=60).contains(&spent), "{spent} reads");
    // One wrong key again and again is looked up once a minute.
    keeper.wait(Duration::from_secs(120));
    let start = keeper.vault.usage().reads;
    for _ in 0..100 {
        refused(&keeper, &format!("key_{:043}", 1)).await;
    }
    assert_eq!(keeper.vault.usage().reads - start, 1);
}

/// Somebody brings wrong keys all the time, so that none is looked up any more.
#[tokio::test]
async fn a_key_that_nobody_has_looked_up_is_not_called_wrong() {
    let house = House::new();
    let (one, two) = (house.enter().await, house.enter().await);
    let (_, key) = make(&two, of("a", &Scope::ALL)).await;
    let mut n = 0;
    while refused(&one, &format!("key_{n:043}")).await == AuthError::Wrong {
        n += 1;
        assert!(n < 1000, "all of them are looked up");
    }
    let address = Some("192.0.2.7".parse().unwrap());
    let mut tried = 0;
    // However often its owner tries, that is no wrong key; after a second there may be a lookup left.
    while let Err(denied) = one.auth.identify_from(address, &key).await {
        assert_eq!(denied, AuthError::Unavailable, "after {tried}");
        tried += 1;
        if tried == 1000 {
            break;
        }
    }
    assert!(tried > 0, "it was looked up");
    assert_eq!(refused(&one, &format!("key_{:043}", 0)).await, AuthError::Wrong, "that one is known to be none");
    one.auth.keys.refresh().await.unwrap();
    opens(&one, &key).await;
}

#[tokio::test]
async fn a_renewed_key_keeps_its_name_and_the_old_one_is_refused() {
    let house = House::new();
    let (one, two) = (house.enter().await, house.enter().await);
    let (id, old) = make(&one, of("a", &[Scope::Read])).await;
    let valid = opens(&two, &old).await;
    let (key, new) = one.auth.keys.renew(&id).await.unwrap().unwrap();
    assert_eq!((&*key.id, &key.rights), (id.as_str(), &of("a", &[Scope::Read])));
    assert_eq!(refused(&one, &old).await, AuthError::Wrong);
    opens(&two, new.expose()).await;
    two.auth.keys.refresh().await.unwrap();
    assert_eq!(refused(&two, &old).await, AuthError::Wrong);
    assert!(valid.gone.is_cancelled());
    assert_eq!(one.auth.keys.list().await.len(), 1);
    assert!(one.auth.keys.renew("key_id_nobody").await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_that_opens_less_ends_what_it_opened() {
    let keeper = House::new().enter().await;
    let (id, key) = make(&keeper, of("a", &Scope::ALL)).await;
    let valid = opens(&keeper, &key).await;
    let change = async |rights, active| {
        let old = keeper.auth.keys.find(&id).await.unwrap().unwrap();
        keeper.auth.keys.change(&old, rights, active).await.unwrap().unwrap();
    };
    change(of("a", &Scope::ALL), true).await;
    keeper.auth.keys.refresh().await.unwrap();
    assert!(!valid.gone.is_cancelled(), "nothing changed");
    change(of("b", &[Scope::Read]), true).await;
    assert!(valid.gone.is_cancelled());
    let caller = opens(&keeper, &key).await.caller;
    assert!(caller.sees(&"b".parse().unwrap()) && !caller.sees(&"a".parse().unwrap()));
    change(of("b", &[Scope::Read]), false).await;
    assert_eq!(refused(&keeper, &key).await, AuthError::Wrong, "not active");
    change(of("b", &[Scope::Read]), true).await;
    opens(&keeper, &key).await;
    assert!(keeper.auth.keys.find("key_id_nobody").await.unwrap().is_none());
    let old = keeper.auth.keys.find(&id).await.unwrap().unwrap();
    assert!(keeper.auth.keys.revoke(&id).await.unwrap());
    assert!(keeper.auth.keys.change(&old, Rights::Admin, true).await.unwrap().is_none(), "revoked meanwhile");
    assert_eq!(refused(&keeper, &key).await, AuthError::Wrong);
}

#[tokio::test]
async fn the_last_use_is_told_exactly_and_written_seldom() {
    let house = House::new();
    let keeper = house.enter().await;
    let (_, key) = make(&keeper, of("a", &[Scope::Read])).await;
    let stop = CancellationToken::new();
    let _stop_at_the_end = stop.clone().drop_guard();
    let (auth, ended) = (keeper.auth.clone(), stop.clone());
    tokio::spawn(async move { auth.keys.keep(Duration::from_millis(5), ended).await });
    let listed = async || keeper.auth.keys.list().await[0].last_used_at;
    assert_eq!(listed().await, None);
    let start = keeper.vault.usage().writes;
    // Half an hour of constant use.
    for _ in 0..60 {
        keeper.wait(Duration::from_secs(30));
        for _ in 0..20 {
            opens(&keeper, &key).await;
        }
        assert!(listed().await.unwrap() > jiff::Timestamp::now(), "by the clock that was put forward");
        // Until it has looked again.
        let reads = keeper.vault.usage().reads;
        let looked = async || keeper.vault.usage().reads >= reads + 4;
        sessiond::demo::until(LIMIT, "another look", looked).await.unwrap();
    }
    let written = keeper.vault.usage().writes - start;
    assert!((3..=4).contains(&written), "{written} writes in half an hour");
    let later = house.enter().await;
    assert!(later.auth.keys.list().await[0].last_used_at.is_some(), "and it survives");
}
