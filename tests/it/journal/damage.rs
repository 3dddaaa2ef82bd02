//! Damage in the vault is named, and nothing is written over it.

use bytes::Bytes;
use sessiond::{
    journal::{Context, Damage, Document, OpenError},
    tenant::TenantId,
    vault::{DocumentKind, JournalDocument, MAX_PAYLOAD, Manifest, Seq},
};

use crate::support::journal_bench::{Bench, noise, on_every_home, seal};

on_every_home! {
    damage_in_the_journal_is_named_and_nothing_is_written
    damage_in_a_snapshot_is_named_and_nothing_is_written
    a_connected_tenant_without_any_state_is_damaged
    ;
    another_tenants_entry_does_not_open
}

async fn damage_in_the_journal_is_named_and_nothing_is_written(bench: Bench) {
    {
        let owner = bench.open("owner").await;
        for n in 0..3 {
            owner.put("key", format!("{n}")).await;
        }
        owner.journal().close().await.unwrap();
    }
    // 1 is the takeover.
    let documents = bench.documents().await;
    let does_not_open = |damage: &Damage, seq: u64| matches!(damage, Damage::DoesNotOpen { document: Document::Entry(at), .. } if *at == Seq(seq));
    let mut altered = documents[2].clone();
    let mut payload = altered.payload.to_vec();
    *payload.last_mut().unwrap() ^= 1;
    altered.payload = payload.into();
    bench.replace(altered).await;
    bench.is_damaged("altered", |damage| does_not_open(damage, 3)).await;
    bench.replace(documents[2].clone()).await;

    let swapped = |at: usize, from: usize| JournalDocument { seq: documents[at].seq, ..documents[from].clone() };
    bench.replace(swapped(1, 2)).await;
    bench.replace(swapped(2, 1)).await;
    bench.is_damaged("swapped", |damage| does_not_open(damage, 2)).await;
    bench.replace(documents[1].clone()).await;
    bench.replace(documents[2].clone()).await;

    bench.vault.remove_documents(&bench.tenant, &[Seq(3)]).await.unwrap();
    bench.is_damaged("missing", |damage| *damage == Damage::MissingEntry(Seq(3))).await;
    bench.replace(documents[2].clone()).await;
    bench.vault.remove_documents(&bench.tenant, &[Seq(1)]).await.unwrap();
    bench.is_damaged("the first is missing", |damage| *damage == Damage::MissingEntry(Seq(1))).await;
    bench.replace(documents[0].clone()).await;

    // The last entry, made to look unfinished, would vanish.
    bench.replace(JournalDocument { kind: DocumentKind::Part, ..documents[3].clone() }).await;
    bench.is_damaged("its kind altered", |damage| matches!(damage, Damage::Malformed { .. })).await;
    bench.replace(documents[3].clone()).await;

    let keyless = Context { seal: seal(2, &bench.tenant), ..bench.context("reader") };
    match bench.try_open(keyless).await {
        Err(OpenError::Damaged(Damage::UnknownKey { document: Document::Takeover(Seq(1)), .. })) => {}
        other => panic!("{:?}", other.map(|owner| owner.found)),
    }
    assert_eq!(bench.documents().await, documents, "all is as it was");
    assert_eq!(bench.open("reader").await.has("key"), Some(&b"2"[..]));
}

/// Sealed with the same master key, for the same place.
async fn another_tenants_entry_does_not_open(bench: Bench) {
    bench.open("owner").await.put("key", "mine").await;
    let tenant: TenantId = "tenant2".parse().unwrap();
    let stranger = Context { seal: seal(1, &tenant), tenant: tenant.clone(), ..bench.context("owner") };
    bench.try_open(stranger).await.unwrap().put("key", "theirs").await;
    let foreign = bench.vault.document(&tenant, Seq(2)).await.unwrap().unwrap();
    bench.replace(foreign).await;
    let expected = |damage: &Damage| matches!(damage, Damage::DoesNotOpen { document: Document::Entry(Seq(2)), .. });
    bench.is_damaged("foreign", expected).await;
}

async fn damage_in_a_snapshot_is_named_and_nothing_is_written(bench: Bench) {
    let owner = bench.open("owner").await;
    owner.put("noise", noise(3 * MAX_PAYLOAD)).await;
    bench.compact_past(&owner, Seq(20)).await;
    owner.journal().close().await.unwrap();
    drop(owner);
    // With only one snapshot left there is no way around it.
    let manifests = bench.vault.manifests(&bench.tenant).await.unwrap();
    let (newest, older) = manifests.split_last().unwrap();
    for manifest in older {
        bench.vault.remove_snapshot(&bench.tenant, &manifest.id).await.unwrap();
    }
    let id = newest.id.clone();
    let chunks = bench.vault.chunks(&bench.tenant, &id).await.unwrap();
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    let put =
        async |n: u32, payload: &Bytes| bench.vault.put_chunk(&bench.tenant, &id, n, payload.clone()).await.unwrap();

    let mut altered = chunks[1].1.to_vec();
    altered[100] ^= 1;
    put(1, &altered.into()).await;
    let at = |n: u32| Document::Chunk(id.clone(), n);
    bench
        .is_damaged("altered", |damage| matches!(damage, Damage::DoesNotOpen { document, .. } if *document == at(1)))
        .await;
    put(1, &chunks[2].1).await;
    bench
        .is_damaged("swapped", |damage| matches!(damage, Damage::DoesNotOpen { document, .. } if *document == at(1)))
        .await;

    bench.vault.remove_snapshot(&bench.tenant, &id).await.unwrap();
    bench.vault.put_manifest(&bench.tenant, newest, None).await.unwrap();
    for (n, payload) in chunks.iter().filter(|(n, _)| *n != 2) {
        put(*n, payload).await;
    }
    bench.is_damaged("a chunk is missing", |damage| *damage == Damage::MissingChunk(at(2))).await;
    put(2, &chunks[2].1).await;

    let mut altered = newest.payload.to_vec();
    altered[50] ^= 1;
    bench.vault.put_manifest(&bench.tenant, &Manifest { id: id.clone(), payload: altered.into() }, None).await.unwrap();
    let manifest = Document::Manifest(id.clone());
    bench
        .is_damaged(
            "the manifest",
            |damage| matches!(damage, Damage::DoesNotOpen { document, .. } if *document == manifest),
        )
        .await;

    bench.vault.remove_snapshot(&bench.tenant, &id).await.unwrap();
    bench.is_damaged("no manifest at all", |damage| matches!(damage, Damage::MissingEntry(_))).await;
    for (n, payload) in &chunks {
        put(*n, payload).await;
    }
    bench.vault.put_manifest(&bench.tenant, newest, None).await.unwrap();
    assert_eq!(bench.open("reader").await.has("noise"), Some(&*noise(3 * MAX_PAYLOAD)));
}

async fn a_connected_tenant_without_any_state_is_damaged(bench: Bench) {
    let cx = Context { expect_history: true, ..bench.context("reader") };
    match bench.try_open(cx).await {
        Err(OpenError::Damaged(Damage::NoHistory)) => {}
        other => panic!("{:?}", other.map(|owner| owner.found)),
    }
    assert_eq!(bench.documents().await, []);
}
