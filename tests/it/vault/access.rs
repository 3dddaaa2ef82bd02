//! What every home of the vault promises of keys and members: the same list of tests on each.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan as _};
use sessiond::vault::{
    VaultError,
    access::{self, ApiKey, KeyChange, KeyCursor, KeyHash, Rights, Scope},
};
use tokio::task::JoinSet;

use crate::vault::contract::{ContractVault, contract};

contract! {
    a_key_comes_back_as_it_was
    what_changed_since_then_is_told_and_nothing_is_left_out
    a_revoked_key_does_not_come_back
    a_renewal_is_one_step
    a_use_is_no_change_and_revives_nothing
    what_was_revoked_is_told_until_it_is_forgotten
    a_key_that_does_not_parse_opens_nothing_and_keeps_no_other_out
    members_are_found_by_their_tenants
}

/// To the microsecond.
fn at(seconds: i64) -> Timestamp {
    "2026-11-24T10:00:00.123456Z".parse::<Timestamp>().unwrap() + seconds.seconds()
}

fn key(name: &str) -> ApiKey {
    let rights = Rights::Tenant { tenant: "trattoria".parse().unwrap(), scopes: [Scope::Read, Scope::Send].into() };
    let (hash, id) = (KeyHash::of(name), format!("key_id_{name}").into());
    ApiKey { hash, id, rights, active: true, created_at: at(0), last_used_at: None }
}

async fn changes(
    vault: &dyn access::FullVault,
    since: Option<KeyCursor>,
) -> (Vec<(KeyHash, Option<ApiKey>)>, KeyCursor) {
    let (changes, cursor) = vault.key_changes(since).await.unwrap();
    (changes.into_iter().map(|KeyChange { hash, key }| (hash, key.unwrap())).collect(), cursor)
}

/// What somebody knows who has applied the changes.
fn known(changes: Vec<(KeyHash, Option<ApiKey>)>) -> BTreeSet<KeyHash> {
    let mut known = BTreeSet::new();
    for (hash, key) in changes {
        if key.is_some() {
            known.insert(hash)
        } else {
            known.remove(&hash)
        };
    }
    known
}

async fn a_key_comes_back_as_it_was(home: &dyn ContractVault) {
    let (vault, other) = (home.vault(), home.other().await);
    assert_eq!(vault.key(&KeyHash::of("a")).await.unwrap(), None);
    let scopes = Rights::Tenant { tenant: "b-1_x".parse().unwrap(), scopes: Scope::ALL.into() };
    let none = Rights::Tenant { tenant: "c".parse().unwrap(), scopes: BTreeSet::new() };
    let keys = [
        key("a"),
        ApiKey { rights: Rights::Admin, ..key("admin") },
        ApiKey { rights: scopes, active: false, last_used_at: Some(at(9)), ..key("all") },
        ApiKey { rights: none, ..key("none") },
        ApiKey { rights: Rights::Metrics, ..key("metrics") },
    ];
    for key in &keys {
        vault.create_key(key).await.unwrap();
        assert_eq!(other.key(&key.hash).await.unwrap().as_ref(), Some(key));
        let twice = vault.create_key(&ApiKey { rights: Rights::Admin, ..key.clone() }).await;
        assert!(matches!(twice, Err(VaultError::Refused(_))), "{twice:?}");
    }
    let (all, _) = changes(&*other, None).await;
    let expected: Vec<_> = keys.iter().map(|key| (key.hash, Some(key.clone()))).collect();
    assert_eq!(BTreeSet::from_iter(all.iter().map(|(hash, _)| hash)).len(), all.len());
    for change in expected {
        assert!(all.contains(&change), "{change:?} in {all:?}");
    }
    let changed = ApiKey { rights: Rights::Admin, active: false, ..key("a") };
    assert!(other.change_key(&changed).await.unwrap());
    assert_eq!(vault.key(&changed.hash).await.unwrap(), Some(changed));
    let nobody = vault.create_key(&ApiKey { id: "".into(), ..key("nobody") }).await;
    assert!(matches!(nobody, Err(VaultError::Refused(_))), "{nobody:?}");
}

async fn what_changed_since_then_is_told_and_nothing_is_left_out(home: &dyn ContractVault) {
    let (vault, other) = (home.vault(), home.other().await);
    let (nothing, cursor) = changes(&*vault, None).await;
    assert_eq!(nothing, []);
    vault.create_key(&key("a")).await.unwrap();
    let (first, next) = changes(&*other, Some(cursor)).await;
    assert_eq!(first, [(key("a").hash, Some(key("a")))]);

    // Many at once from two processes, read meanwhile by a third: whatever was answered is in one of the readings.
    let mut writers = JoinSet::new();
    for n in 0..40 {
        let vault = if n % 2 == 0 { vault.clone() } else { other.clone() };
        writers.spawn(async move { vault.create_key(&key(&format!("k{n}"))).await.unwrap() });
    }
    let (mut cursor, mut found) = (next, Vec::new());
    loop {
        let done = writers.is_empty();
        let (more, next) = changes(&*vault, Some(cursor)).await;
        found.extend(more);
        cursor = next;
        if done {
            break;
        }
        writers.join_next().await.unwrap().unwrap();
    }
    let found = known(found);
    for n in 0..40 {
        assert!(found.contains(&key(&format!("k{n}")).hash), "k{n}");
    }
    assert!(vault.change_key(&ApiKey { active: false, ..key("a") }).await.unwrap());
    let (last, _) = changes(&*other, Some(cursor)).await;
    let (_, a) = last.iter().rfind(|(hash, _)| *hash == key("a").hash).unwrap();
    assert!(!a.as_ref().unwrap().active);
}

async fn a_revoked_key_does_not_come_back(home: &dyn ContractVault) {
    let (vault, other) = (home.vault(), home.other().await);
    vault.create_key(&key("a")).await.unwrap();
    let (_, cursor) = changes(&*other, None).await;
    assert!(vault.revoke_key(&key("a").hash, None).await.unwrap());
    assert!(!other.revoke_key(&key("a").hash, None).await.unwrap(), "only once");
    assert!(!other.change_key(&key("a")).await.unwrap(), "a change that was on its way");
    other.key_used(&key("a").hash, at(5)).await.unwrap();
    assert_eq!(other.key(&key("a").hash).await.unwrap(), None);
    let (changes, _) = changes(&*other, Some(cursor)).await;
    assert_eq!(changes.last(), Some(&(key("a").hash, None)));
    assert!(!vault.revoke_key(&KeyHash::of("unknown"), Some(&key("heir"))).await.unwrap());
    assert_eq!(vault.key(&key("heir").hash).await.unwrap(), None, "nobody's heir");
}

async fn a_renewal_is_one_step(home: &dyn ContractVault) {
    let vault = home.vault();
    vault.create_key(&key("old")).await.unwrap();
    let (_, cursor) = changes(&*vault, None).await;
    let mut renewals = JoinSet::new();
    for n in 0..8 {
        let vault = vault.clone();
        renewals.spawn(async move {
            let heir = ApiKey { id: key("old").id, ..key(&format!("new{n}")) };
            vault.revoke_key(&key("old").hash, Some(&heir)).await.unwrap().then_some(heir)
        });
    }
    let heirs: Vec<_> = renewals.join_all().await.into_iter().flatten().collect();
    assert_eq!(heirs.len(), 1, "of many at once one wins: {heirs:?}");
    assert_eq!(vault.key(&key("old").hash).await.unwrap(), None);
    let (changes, _) = changes(&*vault, Some(cursor)).await;
    assert_eq!(known(changes), BTreeSet::from([heirs[0].hash]));
}

async fn a_use_is_no_change_and_revives_nothing(home: &dyn ContractVault) {
    let vault = home.vault();
    vault.create_key(&key("a")).await.unwrap();
    vault.key_used(&key("a").hash, at(7)).await.unwrap();
    assert_eq!(vault.key(&key("a").hash).await.unwrap().unwrap().last_used_at, Some(at(7)));
    assert!(vault.change_key(&ApiKey { rights: Rights::Admin, ..key("a") }).await.unwrap());
    let changed = vault.key(&key("a").hash).await.unwrap().unwrap();
    assert_eq!((changed.rights, changed.last_used_at), (Rights::Admin, Some(at(7))), "a change leaves the use");
    vault.key_used(&KeyHash::of("nobody"), at(7)).await.unwrap();
    assert_eq!(vault.key(&KeyHash::of("nobody")).await.unwrap(), None);
    let (all, _) = changes(&*vault, None).await;
    assert_eq!(all.len(), 1);
}

async fn what_was_revoked_is_told_until_it_is_forgotten(home: &dyn ContractVault) {
    let vault = home.vault();
    for name in ["a", "b", "c"] {
        vault.create_key(&key(name)).await.unwrap();
    }
    assert!(vault.revoke_key(&key("a").hash, None).await.unwrap());
    assert!(vault.revoke_key(&key("b").hash, None).await.unwrap());
    vault.forget_revoked(Timestamp::now() - 1.hour()).await.unwrap();
    let told = |changes: &[(KeyHash, Option<ApiKey>)]| changes.iter().filter(|(_, key)| key.is_none()).count();
    assert_eq!(told(&changes(&*vault, None).await.0), 2);
    assert!(vault.change_key(&key("c")).await.unwrap());
    vault.forget_revoked(Timestamp::now() + 1.hour()).await.unwrap();
    let (all, cursor) = changes(&*vault, None).await;
    assert_eq!((told(&all), known(all)), (0, BTreeSet::from([key("c").hash])));
    // And what comes after is told as before.
    vault.create_key(&key("d")).await.unwrap();
    let (more, _) = changes(&*vault, Some(cursor)).await;
    assert!(known(more).contains(&key("d").hash));
}

async fn a_key_that_does_not_parse_opens_nothing_and_keeps_no_other_out(home: &dyn ContractVault) {
    let vault = home.vault();
    vault.create_key(&key("a")).await.unwrap();
    vault.create_key(&key("b")).await.unwrap();
    let (_, cursor) = changes(&*vault, None).await;
    home.spoil_key(&key("a").hash);
    let read = vault.key(&key("a").hash).await;
    assert!(matches!(read, Err(VaultError::Malformed(_))), "{read:?}");
    for since in [None, Some(cursor)] {
        let (changes, _) = vault.key_changes(since).await.unwrap();
        let spoilt = changes.iter().find(|change| change.hash == key("a").hash).unwrap();
        assert!(matches!(spoilt.key, Err(VaultError::Malformed(_))), "{spoilt:?}");
        assert!(since.is_some() || changes.iter().any(|change| matches!(&change.key, Ok(Some(b)) if *b == key("b"))));
    }
}

async fn members_are_found_by_their_tenants(home: &dyn ContractVault) {
    let vault = home.vault();
    assert_eq!(vault.memberships("ana").await.unwrap(), BTreeSet::new());
    if !home.set_members("trattoria", &["ana", "luis"]) {
        return;
    }
    home.set_members("pizzeria", &["ana"]);
    // Names no tenant.
    home.set_members("sessions", &["ana"]);
    let tenants = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(vault.memberships("ana").await.unwrap(), tenants(&["pizzeria", "trattoria"]));
    assert_eq!(vault.memberships("luis").await.unwrap(), tenants(&["trattoria"]));
    assert_eq!(vault.memberships("").await.unwrap(), tenants(&[]));
    home.set_members("trattoria", &["luis"]);
    assert_eq!(vault.memberships("ana").await.unwrap(), tenants(&["pizzeria"]));
}
