//! Each home of the vault keeps these promises of tenants' records: a notice decides nothing, and one that does not parse costs itself.

use bytes::Bytes;
use serde_json::json;
use sessiond::{
    tenant::TenantRecord,
    vault::{Decision, Manifest, RecordText, Seq, SnapshotId, TenantInfo, VaultError},
};

use super::{ContractVault, at, contract, document, is_refused, record, tenant};

contract! {
    a_notice_touches_nothing_decisive
    records_are_found_by_what_their_texts_begin_with
    a_notice_refuses_what_firestore_could_not_hold
    a_tenant_without_a_record_is_remembered_by_its_journal
    a_record_that_does_not_parse_is_an_error_of_its_own
}

async fn a_notice_touches_nothing_decisive(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    assert_eq!(vault.tenant(&id).await.unwrap(), None);
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    let fresh = record(&*vault, &id).await;
    assert_eq!((fresh.whatsapp_connected, &fresh.phone_number, fresh.name), (false, &None, None));
    assert_eq!(vault.restorable().await.unwrap().len(), 0);

    let paired = Decision {
        whatsapp_connected: Some(true),
        phone_number: Some(Some("57300".into())),
        connected_at: Some(Some(at(0))),
    };
    vault.append(&id, None, &[document(1, "x")], Some(&paired)).await.unwrap();
    let notice = TenantInfo {
        name: Some("n".into()),
        status: Some("s".into()),
        last_error: Some(Some("e".into())),
        last_error_at: Some(Some(at(2))),
        deleted_at: Some(Some(at(3))),
        config: Some(json!({ "a": 1 })),
    };
    vault.notice(&id, &notice).await.unwrap();
    let clearing = TenantInfo {
        last_error: Some(None),
        last_error_at: Some(None),
        deleted_at: Some(None),
        config: Some(json!(null)),
        ..TenantInfo::default()
    };
    vault.notice(&id, &clearing).await.unwrap();
    let expected = TenantRecord {
        id: id.clone(),
        name: Some("n".into()),
        whatsapp_connected: true,
        phone_number: Some("57300".into()),
        connected_at: Some(at(0)),
        status: Some("s".into()),
        last_error: None,
        last_error_at: None,
        deleted_at: None,
        config: json!(null),
    };
    assert_eq!(record(&*vault, &id).await, expected);
    let restorable = vault.restorable().await.unwrap();
    assert_eq!(
        restorable.into_iter().map(|(id, found)| (id, found.unwrap())).collect::<Vec<_>>(),
        [("a".to_owned(), expected)]
    );
}

async fn records_are_found_by_what_their_texts_begin_with(home: &dyn ContractVault) {
    let vault = home.vault();
    let paired = |number: &str| Decision { phone_number: Some(Some(number.into())), ..Decision::default() };
    for (name, number, status) in [
        ("b", Some("57300"), "importing x 1"),
        ("a", Some("57300:5@s.whatsapp.net"), "importing"),
        ("c", Some("573001"), "importing y 1"),
        ("d", Some("5729"), "importing x 2"),
        ("e", Some("5731"), "connected"),
        ("f", Some("+57300"), "Importing x 1"),
        ("g", None, ""),
    ] {
        let id = tenant(name);
        vault.notice(&id, &TenantInfo { status: Some(status.into()), ..TenantInfo::default() }).await.unwrap();
        if let Some(number) = number {
            vault.append(&id, None, &[document(1, "x")], Some(&paired(number))).await.unwrap();
        }
    }
    for (text, prefix, expected) in [
        (RecordText::PhoneNumber, "57300", &["a", "b", "c"][..]),
        (RecordText::PhoneNumber, "573001", &["c"]),
        (RecordText::PhoneNumber, "+57300", &["f"]),
        (RecordText::PhoneNumber, "9", &[]),
        (RecordText::Status, "importing x ", &["b", "d"]),
        (RecordText::Status, "importing", &["a", "b", "c", "d"]),
        (RecordText::Status, "connected", &["e"]),
    ] {
        let found = vault.tenants_with(text, prefix).await.unwrap();
        let ids: Vec<_> = found.iter().map(|(id, record)| (id.as_str(), record.is_ok())).collect();
        assert_eq!(ids, expected.iter().map(|id| (*id, true)).collect::<Vec<_>>(), "{prefix}");
    }
    for prefix in ["", "x~", "é", "a\nb", &"x".repeat(129)] {
        is_refused(vault.tenants_with(RecordText::Status, prefix).await.map(drop));
    }
}

async fn a_notice_refuses_what_firestore_could_not_hold(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let deep = |depth| (0..depth).fold(json!("x"), |inner, _| json!({ "in": inner }));
    let refused = [
        json!([1]),
        json!("text"),
        deep(21),
        json!({ "": 1 }),
        json!({ "__x__": 1 }),
        json!({ "a": [[1]] }),
        json!({ "a": u64::MAX }),
        json!({ "a": "x".repeat(256 * 1024) }),
    ];
    for config in refused {
        is_refused(vault.notice(&id, &TenantInfo { config: Some(config), ..TenantInfo::default() }).await);
    }
    is_refused(vault.notice(&id, &TenantInfo { name: Some("x".repeat(64 * 1024 + 1)), ..TenantInfo::default() }).await);
    assert_eq!(vault.tenant(&id).await.unwrap(), None);

    let taken = [deep(20), json!({}), json!({ "a": [1, { "b": [] }], "b.c/d `e`": i64::MIN, "f": 1e300 })];
    for config in taken {
        vault.notice(&id, &TenantInfo { config: Some(config.clone()), ..TenantInfo::default() }).await.unwrap();
        assert_eq!(record(&*vault, &id).await.config, config);
    }
}

async fn a_tenant_without_a_record_is_remembered_by_its_journal(home: &dyn ContractVault) {
    let vault = home.vault();
    assert_eq!(vault.remembered().await.unwrap(), Vec::<String>::new());
    vault.notice(&tenant("recorded"), &TenantInfo::default()).await.unwrap();
    vault.append(&tenant("journaled"), None, &[document(1, "entry")], None).await.unwrap();
    let manifest = Manifest { id: SnapshotId { seq: Seq(1), attempt: "a".into() }, payload: Bytes::from_static(b"m") };
    vault.append(&tenant("kept"), None, &[document(1, "entry")], None).await.unwrap();
    vault.put_manifest(&tenant("kept"), &manifest, None).await.unwrap();
    vault.remove_documents(&tenant("kept"), &[Seq(1)]).await.unwrap();
    vault.notice(&tenant("both"), &TenantInfo::default()).await.unwrap();
    vault.append(&tenant("both"), None, &[document(1, "entry")], None).await.unwrap();
    assert_eq!(vault.remembered().await.unwrap(), ["both", "journaled", "kept", "recorded"]);
    let listed: Vec<_> = vault.tenants().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed, ["both", "recorded"]);
}

async fn a_record_that_does_not_parse_is_an_error_of_its_own(home: &dyn ContractVault) {
    let (vault, good) = (home.vault(), tenant("good"));
    vault.notice(&good, &TenantInfo::default()).await.unwrap();
    let connected = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    vault.append(&good, None, &[document(1, "x")], Some(&connected)).await.unwrap();
    vault.notice(&tenant("idle"), &TenantInfo::default()).await.unwrap();
    home.spoil_records();
    for (list, expected) in [
        (vault.tenants().await.unwrap(), &["bad", "good", "idle", "sessions"][..]),
        (vault.restorable().await.unwrap(), &["bad", "good", "sessions"]),
    ] {
        assert_eq!(list.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), expected);
        for (id, record) in list {
            match record {
                Ok(record) => assert_eq!((record.id.as_str(), record.phone_number), (&*id, None)),
                Err(VaultError::Malformed(reason)) => {
                    assert!(id == "sessions" && reason.contains(&id), "{id}: {reason}");
                }
                Err(other) => panic!("{id}: {other:?}"),
            }
        }
    }
    // What only informs is as if it were not there.
    let bad = vault.tenant(&tenant("bad")).await.unwrap().unwrap();
    assert_eq!((bad.whatsapp_connected, bad.phone_number), (true, None));
}
