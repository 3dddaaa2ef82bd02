//! Each home of the vault keeps these promises of appends: they land whole, behind the document that is meant, with their decision.

use serde_json::json;
use sessiond::{
    tenant::TenantRecord,
    vault::{AppendError, Decision, Footing, JournalDocument, Manifest, Seq, TenantInfo},
};
use tokio::task::JoinSet;

use super::{ContractVault, at, contract, document, record, scatter, seqs, snapshot, takeover, tenant};

contract! {
    an_append_lands_whole_or_not_at_all
    an_append_needs_the_document_before_it
    a_journal_starts_over_in_one_commit
    an_append_needs_the_very_document_that_is_meant
    what_starts_over_or_is_a_snapshot_needs_its_footing
    an_append_without_a_decision_needs_no_record
    a_decision_needs_the_record
    a_decision_changes_what_it_names
    of_two_appenders_of_a_number_one_wins
    another_process_sees_and_is_seen
}

async fn an_append_lands_whole_or_not_at_all(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    scatter(&*vault, &id, &[document(2, "there")]).await;
    let decision = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    let documents = [document(1, "x"), document(2, "y"), document(3, "z")];
    let result = vault.append(&id, None, &documents, Some(&decision)).await;
    assert!(matches!(result, Err(AppendError::Exists)), "{result:?}");
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), [document(2, "there")]);
    assert!(!record(&*vault, &id).await.whatsapp_connected);

    let documents = [document(3, "x"), document(4, "y"), document(5, "z")];
    vault.append(&id, None, &documents, Some(&decision)).await.unwrap();
    assert_eq!(vault.documents(&id, Seq(3)).await.unwrap(), documents);
    assert!(record(&*vault, &id).await.whatsapp_connected);
}

async fn an_append_needs_the_document_before_it(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    let decision = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    let is_gap = async |documents: &[JournalDocument], decision| {
        let result = vault.append(&id, None, documents, decision).await;
        assert!(matches!(result, Err(AppendError::Gap)), "{result:?}");
    };
    is_gap(&[document(2, "x")], None).await;
    is_gap(&[document(7, "x"), document(8, "x")], Some(&decision)).await;
    vault.append(&id, None, &[document(1, "x"), document(2, "x")], None).await.unwrap();
    is_gap(&[document(4, "x")], None).await;
    vault.append(&id, None, &[document(3, "x")], None).await.unwrap();
    vault.remove_documents(&id, &[Seq(3)]).await.unwrap();
    is_gap(&[document(4, "x")], Some(&decision)).await;
    // Another tenant's does not count.
    vault.append(&tenant("b"), None, &[document(1, "x"), document(2, "x"), document(3, "x")], None).await.unwrap();
    is_gap(&[document(4, "x")], None).await;
    assert_eq!(seqs(&*vault, &id, 1).await, [1, 2]);
    assert!(!record(&*vault, &id).await.whatsapp_connected);
    // Only the one before.
    vault.remove_documents(&id, &[Seq(1)]).await.unwrap();
    vault.append(&id, None, &[document(3, "x")], Some(&decision)).await.unwrap();
    // The record is missing, nothing else.
    home.remove_record(&id);
    let gone = vault.append(&id, None, &[document(4, "x")], Some(&decision)).await;
    assert!(matches!(gone, Err(AppendError::TenantGone)), "{gone:?}");
    assert_eq!(seqs(&*vault, &id, 1).await, [2, 3]);
}

async fn a_journal_starts_over_in_one_commit(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let decision =
        Decision { whatsapp_connected: Some(true), phone_number: Some(Some("57".into())), ..Decision::default() };
    let manifest = Manifest { id: snapshot(9, "a"), payload: "m".into() };
    vault.start_over(&id, &Footing::Nothing, &[takeover(9), takeover(2)], Some(&manifest), &decision).await.unwrap();
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), [takeover(2), takeover(9)]);
    assert_eq!(vault.manifests(&id).await.unwrap(), std::slice::from_ref(&manifest));
    let made = record(&*vault, &id).await;
    assert_eq!((made.whatsapp_connected, made.phone_number), (true, Some("57".into())));

    let other = Manifest { id: snapshot(12, "b"), payload: "m".into() };
    let dead = Decision { whatsapp_connected: Some(false), ..Decision::default() };
    let taken = vault.start_over(&id, &Footing::Nothing, &[takeover(12), takeover(2)], Some(&other), &dead).await;
    assert!(matches!(taken, Err(AppendError::Exists)), "{taken:?}");
    assert_eq!(seqs(&*vault, &id, 1).await, [2, 9]);
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest]);
    assert!(record(&*vault, &id).await.whatsapp_connected);

    // A decision leaves what it does not name; one that says nothing makes no record.
    vault.notice(&id, &TenantInfo { name: Some("Mario".into()), ..TenantInfo::default() }).await.unwrap();
    vault.start_over(&id, &Footing::Nothing, &[takeover(12)], None, &dead).await.unwrap();
    let changed = record(&*vault, &id).await;
    assert_eq!((changed.whatsapp_connected, changed.phone_number), (false, Some("57".into())));
    assert_eq!(changed.name.as_deref(), Some("Mario"));
    scatter(&*vault, &tenant("b"), &[takeover(3)]).await;
    assert_eq!(vault.tenant(&tenant("b")).await.unwrap(), None);
}

/// Another one may have come to stand at its number, after a loss.
async fn an_append_needs_the_very_document_that_is_meant(home: &dyn ContractVault) {
    let (vault, other, id) = (home.vault(), home.other().await, tenant("a"));
    let digest = |payload: &'static str| Some(document(1, payload).digest());
    vault.append(&id, None, &[document(1, "one")], None).await.unwrap();
    vault.append(&id, digest("one"), &[document(2, "x"), document(3, "three")], None).await.unwrap();
    // Written by this process, or by another one.
    for vault in [&vault, &other] {
        let wrong = vault.append(&id, digest("four"), &[document(4, "y")], None).await;
        assert!(matches!(wrong, Err(AppendError::Gap)), "{wrong:?}");
    }
    other.append(&id, digest("three"), &[document(4, "four")], None).await.unwrap();
    vault.append(&id, digest("four"), &[document(5, "five")], None).await.unwrap();
    // The same number, by another's hand, and back again.
    other.remove_documents(&id, &[Seq(5)]).await.unwrap();
    other.append(&id, digest("four"), &[document(5, "another")], None).await.unwrap();
    let replaced = vault.append(&id, digest("five"), &[document(6, "six")], None).await;
    assert!(matches!(replaced, Err(AppendError::Gap)), "{replaced:?}");
    other.remove_documents(&id, &[Seq(5)]).await.unwrap();
    other.append(&id, digest("four"), &[document(5, "five")], None).await.unwrap();
    vault.append(&id, digest("five"), &[document(6, "six")], None).await.unwrap();
    assert_eq!(seqs(&*vault, &id, 1).await, [1, 2, 3, 4, 5, 6]);

    // Nothing more than the writes themselves, while one process follows itself.
    let start = vault.usage();
    vault.append(&id, digest("six"), &[document(7, "seven")], None).await.unwrap();
    vault.append(&id, digest("seven"), &[document(8, "eight")], None).await.unwrap();
    vault.documents(&id, Seq(8)).await.unwrap();
    vault.append(&id, digest("eight"), &[document(9, "nine")], None).await.unwrap();
    let end = vault.usage();
    assert_eq!((end.reads - start.reads, end.writes - start.writes), (1, 3));
}

async fn what_starts_over_or_is_a_snapshot_needs_its_footing(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let gap = |result: Result<(), AppendError>| assert!(matches!(result, Err(AppendError::Gap)), "{result:?}");
    let start_over = async |number, footing: Footing| {
        vault.start_over(&id, &footing, &[takeover(number)], None, &Decision::default()).await
    };
    let manifest = Manifest { id: snapshot(3, "a"), payload: "m".into() };
    let digest = |payload: &'static str| Some(document(1, payload).digest());
    gap(vault.put_manifest(&id, &manifest, None).await);
    gap(start_over(9, Footing::Manifest(manifest.id.clone())).await);
    gap(start_over(9, Footing::Document(Seq(3), None)).await);
    scatter(&*vault, &id, &[document(3, "three")]).await;
    gap(vault.put_manifest(&id, &manifest, digest("another")).await);
    assert_eq!(vault.manifests(&id).await.unwrap(), []);
    vault.put_manifest(&id, &manifest, digest("three")).await.unwrap();
    gap(start_over(9, Footing::Document(Seq(3), digest("another"))).await);
    assert_eq!(seqs(&*vault, &id, 1).await, [3]);
    start_over(9, Footing::Document(Seq(3), digest("three"))).await.unwrap();
    start_over(12, Footing::Document(Seq(9), None)).await.unwrap();
    start_over(14, Footing::Manifest(manifest.id.clone())).await.unwrap();
    gap(start_over(16, Footing::Manifest(snapshot(3, "b"))).await);
    assert_eq!(seqs(&*vault, &id, 1).await, [3, 9, 12, 14]);
    // A copy of a snapshot, while that one is there.
    let copy = Manifest { id: snapshot(3, "c"), payload: "copy".into() };
    let put = async |footing| vault.start_over(&id, &footing, &[], Some(&copy), &Decision::default()).await;
    gap(put(Footing::Manifest(snapshot(3, "b"))).await);
    assert_eq!(vault.manifests(&id).await.unwrap(), std::slice::from_ref(&manifest));
    put(Footing::Manifest(manifest.id.clone())).await.unwrap();
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest, copy.clone()]);
}

async fn an_append_without_a_decision_needs_no_record(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.append(&id, None, &[document(1, "x")], None).await.unwrap();
    assert_eq!(vault.tenant(&id).await.unwrap(), None);
    assert_eq!(vault.document(&id, Seq(1)).await.unwrap(), Some(document(1, "x")));
    assert_eq!(vault.document(&id, Seq(2)).await.unwrap(), None);
}

async fn a_decision_needs_the_record(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo::default()).await.unwrap();
    home.remove_record(&id);
    let decisions = [Decision { whatsapp_connected: Some(true), ..Decision::default() }, Decision::default()];
    for decision in &decisions {
        let result = vault.append(&id, None, &[document(1, "x")], Some(decision)).await;
        assert!(matches!(result, Err(AppendError::TenantGone)), "{result:?}");
    }
    assert_eq!(seqs(&*vault, &id, 1).await, [] as [u64; 0]);
    assert_eq!(vault.tenant(&id).await.unwrap(), None, "and it was not made anew");
}

async fn a_decision_changes_what_it_names(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let config = json!({ "hours": { "open": "08:00", "days": [1, 2.5, true, null, { "x": "y" }] }, "emoji": "🍕" });
    let notice = TenantInfo {
        name: Some("Pizzería Ñandú".into()),
        status: Some("STARTING".into()),
        last_error: Some(Some("no answer".into())),
        last_error_at: Some(Some(at(0))),
        deleted_at: Some(Some(at(2))),
        config: Some(config.clone()),
    };
    vault.notice(&id, &notice).await.unwrap();
    let paired = Decision {
        whatsapp_connected: Some(true),
        phone_number: Some(Some("573001234567".into())),
        connected_at: Some(Some(at(1))),
    };
    vault.append(&id, None, &[document(1, "x")], Some(&paired)).await.unwrap();
    let mut expected = TenantRecord {
        id: id.clone(),
        name: notice.name,
        whatsapp_connected: true,
        phone_number: Some("573001234567".into()),
        connected_at: Some(at(1)),
        status: notice.status,
        last_error: Some("no answer".into()),
        last_error_at: Some(at(0)),
        deleted_at: Some(at(2)),
        config,
    };
    assert_eq!(record(&*vault, &id).await, expected);

    vault.append(&id, None, &[document(2, "x")], Some(&Decision::default())).await.unwrap();
    assert_eq!(record(&*vault, &id).await, expected, "nothing was decided");

    let dead = Decision { whatsapp_connected: Some(false), phone_number: Some(None), connected_at: Some(None) };
    vault.append(&id, None, &[document(3, "x")], Some(&dead)).await.unwrap();
    expected = TenantRecord { whatsapp_connected: false, phone_number: None, connected_at: None, ..expected };
    assert_eq!(record(&*vault, &id).await, expected);
}

async fn of_two_appenders_of_a_number_one_wins(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let other = home.other().await;
    vault.append(&id, None, &[document(1, "x")], None).await.unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..32u8 {
        let (vault, id) = (if racer % 2 == 0 { vault.clone() } else { other.clone() }, id.clone());
        racers.spawn(async move {
            (racer, vault.append(&id, None, &[document(2, vec![racer]), document(3, "")], None).await)
        });
    }
    let mut winners = Vec::new();
    for (racer, result) in racers.join_all().await {
        match result {
            Ok(()) => winners.push(racer),
            Err(AppendError::Exists) => {}
            other => panic!("racer {racer}: {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let found = vault.document(&id, Seq(2)).await.unwrap().unwrap();
    assert_eq!(found.payload[..], winners);
}

async fn another_process_sees_and_is_seen(home: &dyn ContractVault) {
    let (one, id) = (home.vault(), tenant("a"));
    let two = home.other().await;
    one.append(&id, None, &[document(1, "one")], None).await.unwrap();
    assert_eq!(two.document(&id, Seq(1)).await.unwrap(), Some(document(1, "one")));
    two.append(&id, None, &[document(2, "two")], None).await.unwrap();
    assert_eq!(seqs(&*one, &id, 1).await, [1, 2]);
    let late = one.append(&id, None, &[document(2, "late")], None).await;
    assert!(matches!(late, Err(AppendError::Exists)), "{late:?}");
}
