//! Each home of the vault keeps these promises of a journal's documents: they come back as they were, in order, each tenant's apart.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use sessiond::vault::{
    AppendError, DocumentKind, InstanceId, JournalDocument, MAX_APPEND, MAX_PAYLOAD, Manifest, Seq, TenantInfo,
    VaultError,
};

use super::{
    ContractVault, at, contract, document, instance, is_refused, noise, record, scatter, seqs, snapshot, takeover,
    tenant,
};

contract! {
    headings_come_in_order_and_no_further_than_asked
    documents_come_back_as_they_were_and_in_order
    reading_seeks_past_what_was_deleted
    takeovers_and_entries_are_told_apart
    removing_twice_is_removing
    a_document_is_emptied_as_it_is_and_keeps_its_number
    tenants_do_not_see_each_other
    the_largest_documents_fit_and_larger_ones_are_refused
    impossible_numbers_and_names_are_refused
    a_document_that_does_not_parse_is_an_error_of_its_tenant
}

async fn headings_come_in_order_and_no_further_than_asked(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let numbers = async |first, limit| {
        let headings = vault.headings(&id, Seq(first), limit).await.unwrap();
        for found in &headings {
            let whole = document(found.seq.0, "x");
            assert_eq!((&found.writer, found.at), (&whole.writer, whole.at));
        }
        headings.into_iter().map(|found| found.seq).collect::<Vec<_>>()
    };
    assert_eq!(numbers(1, 5).await, []);
    scatter(&*vault, &id, &[document(2, "x"), takeover(3), document(5, "x"), document(11, "x")]).await;
    assert_eq!(numbers(1, usize::MAX).await, [2, 3, 5, 11].map(Seq));
    assert_eq!(numbers(3, 2).await, [3, 5].map(Seq));
    assert_eq!(numbers(4, 9).await, [5, 11].map(Seq));
    assert_eq!(numbers(12, 9).await, []);
}

async fn documents_come_back_as_they_were_and_in_order(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let every_byte: Vec<u8> = (0..=255).collect();
    let odd = InstanceId("49170@s.whatsapp.net:5 ä%2f".into());
    let documents = [
        JournalDocument { writer: odd, payload: every_byte.into(), ..takeover(8) },
        JournalDocument { kind: DocumentKind::Part, ..document(9, "") },
        document(10, "x"),
        JournalDocument { at: Timestamp::UNIX_EPOCH - 1.microsecond(), ..document(11, "y") },
    ];
    for document in documents.iter().rev() {
        scatter(&*vault, &id, std::slice::from_ref(document)).await;
    }
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), documents);
    assert_eq!(vault.documents(&id, Seq(10)).await.unwrap(), documents[2..]);
    assert_eq!(vault.documents(&id, Seq(12)).await.unwrap(), []);
    assert_eq!(vault.document(&id, Seq(8)).await.unwrap().as_ref(), Some(&documents[0]));
}

async fn reading_seeks_past_what_was_deleted(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let documents: Vec<_> = (1..=1010).map(|seq| document(seq, "x")).collect();
    for group in documents.chunks(101) {
        vault.append(&id, None, group, None).await.unwrap();
    }
    let gone: Vec<_> = (1..=1000).map(Seq).collect();
    vault.remove_documents(&id, &gone).await.unwrap();
    assert_eq!(seqs(&*vault, &id, 1).await, Vec::from_iter(1001..=1010));
    let before = vault.usage();
    assert_eq!(seqs(&*vault, &id, 1006).await, Vec::from_iter(1006..=1010));
    assert_eq!(vault.usage().reads - before.reads, 5, "what is below costs nothing");
}

async fn takeovers_and_entries_are_told_apart(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    assert_eq!(vault.takeovers(&id).await.unwrap(), []);
    let part = JournalDocument { kind: DocumentKind::Part, ..document(3, "x") };
    let documents = [takeover(1), document(2, "x"), part, document(4, "x"), takeover(5), document(6, "x")];
    vault.append(&id, None, &documents, None).await.unwrap();
    assert_eq!(vault.takeovers(&id).await.unwrap(), [(Seq(1), at(1)), (Seq(5), at(5))]);
    let below = |end| vault.entries_below(&id, Seq(end));
    assert_eq!(below(6).await.unwrap(), [2, 3, 4].map(Seq));
    assert_eq!(below(4).await.unwrap(), [2, 3].map(Seq));
    assert_eq!(below(1).await.unwrap(), []);
    assert_eq!(below(u64::MAX).await.unwrap(), [2, 3, 4, 6].map(Seq));
}

async fn removing_twice_is_removing(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.append(&id, None, &[document(1, "x"), document(2, "x"), document(3, "x")], None).await.unwrap();
    for _ in 0..2 {
        vault.remove_documents(&id, &[Seq(1), Seq(3), Seq(9)]).await.unwrap();
        assert_eq!(seqs(&*vault, &id, 1).await, [2]);
    }
    vault.remove_documents(&id, &[]).await.unwrap();
    vault.append(&id, None, &[document(1, "again")], None).await.unwrap();

    vault.put_chunk(&id, &snapshot(1, "a"), 0, "x".into()).await.unwrap();
    for _ in 0..2 {
        vault.remove_snapshot(&id, &snapshot(1, "a")).await.unwrap();
        assert_eq!(vault.snapshots(&id).await.unwrap(), []);
    }
}

async fn a_document_is_emptied_as_it_is_and_keeps_its_number(home: &dyn ContractVault) {
    let (vault, other, id) = (home.vault(), home.other().await, tenant("a"));
    let documents = [takeover(1), document(2, "x"), document(3, "y")];
    vault.append(&id, None, &documents, None).await.unwrap();
    assert!(!vault.empty_document(&id, &document(2, "z")).await.unwrap(), "it is not that one");
    assert!(!vault.empty_document(&id, &document(4, "x")).await.unwrap(), "there is none");
    for known in &documents[..2] {
        assert!(other.empty_document(&id, known).await.unwrap());
        assert!(!vault.empty_document(&id, known).await.unwrap(), "it is empty");
    }
    let empty = |document: JournalDocument| JournalDocument { payload: Bytes::new(), ..document };
    let found = vault.documents(&id, Seq(1)).await.unwrap();
    assert_eq!(found, [empty(takeover(1)), empty(document(2, "x")), document(3, "y")]);
    assert_eq!(vault.takeovers(&id).await.unwrap(), [(Seq(1), at(1))]);
    // Its number is taken, and nothing stands on what it was.
    let late = vault.append(&id, None, &[document(2, "late")], None).await;
    assert!(matches!(late, Err(AppendError::Exists)), "{late:?}");
    vault.remove_documents(&id, &[Seq(3)]).await.unwrap();
    let late = vault.append(&id, Some(document(2, "x").digest()), &[document(3, "late")], None).await;
    assert!(matches!(late, Err(AppendError::Gap)), "{late:?}");
}

async fn tenants_do_not_see_each_other(home: &dyn ContractVault) {
    let vault = home.vault();
    let ids = ["a", "A", "aa", "a-", "a_", "a1", &"x".repeat(64)].map(tenant);
    for id in &ids {
        vault.append(id, None, &[document(1, id.as_str().to_owned())], None).await.unwrap();
        vault.put_chunk(id, &snapshot(1, "s"), 0, id.as_str().to_owned().into()).await.unwrap();
        vault.notice(id, &TenantInfo { status: Some(id.as_str().into()), ..TenantInfo::default() }).await.unwrap();
    }
    vault.remove_documents(&ids[0], &[Seq(1)]).await.unwrap();
    vault.remove_snapshot(&ids[0], &snapshot(1, "s")).await.unwrap();
    for id in &ids[1..] {
        assert_eq!(vault.documents(id, Seq(1)).await.unwrap(), [document(1, id.as_str().to_owned())]);
        let chunks = vault.chunks(id, &snapshot(1, "s")).await.unwrap();
        assert_eq!(chunks, [(0, Bytes::from(id.as_str().to_owned()))]);
        assert_eq!(record(&*vault, id).await.status.as_deref(), Some(id.as_str()));
    }
    let listed: Vec<_> = vault.tenants().await.unwrap().into_iter().map(|(id, _)| id).collect();
    let sorted = BTreeSet::from_iter(ids.iter().map(|id| id.as_str().to_owned()));
    assert_eq!(listed, Vec::from_iter(sorted), "all, by id");
}

async fn the_largest_documents_fit_and_larger_ones_are_refused(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let largest = noise(MAX_PAYLOAD);
    let rest = noise(MAX_APPEND - 3 * MAX_PAYLOAD);
    let [one, two, three] = [1, 2, 3].map(|seq| document(seq, largest.clone()));
    let documents = [one, two, three, document(4, rest.clone())];
    vault.append(&id, None, &documents, None).await.unwrap();
    assert_eq!(vault.documents(&id, Seq(1)).await.unwrap(), documents);

    let too_large = noise(MAX_PAYLOAD + 1);
    let reason = is_refused(vault.append(&id, None, &[document(5, too_large.clone())], None).await);
    assert!(reason.contains(&too_large.len().to_string()), "{reason}");
    let [five, six, seven] = [5, 6, 7].map(|seq| document(seq, largest.clone()));
    let one_more = [&rest[..], b"x"].concat();
    let reason = is_refused(vault.append(&id, None, &[five, six, seven, document(8, one_more)], None).await);
    assert!(reason.contains(&MAX_APPEND.to_string()), "{reason}");
    assert_eq!(seqs(&*vault, &id, 5).await, [] as [u64; 0]);

    vault.put_chunk(&id, &snapshot(4, "a"), 0, largest.clone()).await.unwrap();
    vault.put_manifest(&id, &Manifest { id: snapshot(4, "a"), payload: largest }, None).await.unwrap();
    is_refused(vault.put_chunk(&id, &snapshot(4, "a"), 1, too_large.clone()).await);
    is_refused(vault.put_manifest(&id, &Manifest { id: snapshot(4, "b"), payload: too_large.clone() }, None).await);
    is_refused(vault.create_check_value(too_large).await);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [snapshot(4, "a")]);
}

async fn impossible_numbers_and_names_are_refused(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    is_refused(vault.append(&id, None, &[], None).await);
    is_refused(vault.append(&id, None, &[document(0, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(1, "x"), document(3, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(2, "x"), document(1, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(1, "x"), document(1, "x")], None).await);
    is_refused(vault.append(&id, None, &[document(u64::MAX, "x")], None).await);
    for name in ["", ".", "..", "a/b", "__x__", &"x".repeat(1501)] {
        let writer = InstanceId(name.into());
        is_refused(vault.append(&id, None, &[JournalDocument { writer, ..document(1, "x") }], None).await);
        is_refused(vault.put_instance(&instance(name)).await);
    }
    for attempt in ["", "a/b", ".", "a b", "ä", &"x".repeat(65)] {
        is_refused(vault.put_chunk(&id, &snapshot(1, attempt), 0, "x".into()).await);
        is_refused(vault.put_manifest(&id, &Manifest { id: snapshot(1, attempt), payload: "x".into() }, None).await);
    }
    is_refused(vault.put_chunk(&id, &snapshot(1, "a"), 10_000, "x".into()).await);
    assert_eq!(seqs(&*vault, &id, 1).await, [] as [u64; 0]);
    assert_eq!(vault.snapshots(&id).await.unwrap(), []);

    for name in ["__", "_x_", "...", "a b:c@d", "ünïcode", &"x".repeat(1500)] {
        vault.put_instance(&instance(name)).await.unwrap();
    }
    assert_eq!(vault.instances().await.unwrap().len(), 6);
    scatter(&*vault, &id, &[document(i64::MAX as u64, "x")]).await;
    assert_eq!(seqs(&*vault, &id, i64::MAX as u64).await, [i64::MAX as u64]);
}

async fn a_document_that_does_not_parse_is_an_error_of_its_tenant(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    for id in [&id, &tenant("b")] {
        vault.append(id, None, &[document(1, "x"), document(2, "x"), document(3, "x")], None).await.unwrap();
    }
    home.spoil_document(&id);
    let read = vault.documents(&id, Seq(1)).await;
    assert!(matches!(read, Err(VaultError::Malformed(_))), "{read:?}");
    let read = vault.document(&id, Seq(2)).await;
    assert!(matches!(read, Err(VaultError::Malformed(_))), "{read:?}");
    assert_eq!(seqs(&*vault, &id, 3).await, [3]);
    assert_eq!(seqs(&*vault, &tenant("b"), 1).await, [1, 2, 3]);
}
