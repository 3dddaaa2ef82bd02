//! Each home of the vault keeps these promises of snapshots and segments.

use sessiond::vault::{MAX_PAYLOAD, Manifest, SnapshotId};

use super::{ContractVault, contract, document, is_refused, noise, scatter, snapshot, tenant};

contract! {
    a_snapshot_is_what_its_manifest_says
    a_late_chunk_of_another_attempt_stays_apart
    a_large_snapshot_comes_back
    segments_come_back_and_go
}

async fn a_snapshot_is_what_its_manifest_says(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    assert_eq!(vault.manifests(&id).await.unwrap(), []);
    let [first, second] = [snapshot(9, "b-1_x"), snapshot(10, "a")];
    for n in [11, 2, 0] {
        vault.put_chunk(&id, &second, n, format!("chunk {n}").into()).await.unwrap();
    }
    assert_eq!(vault.manifests(&id).await.unwrap(), [], "no manifest, no snapshot");
    assert_eq!(vault.snapshots(&id).await.unwrap(), std::slice::from_ref(&second), "but something to clear away");
    vault.put_chunk(&id, &second, 2, "chunk 2 again".into()).await.unwrap();
    let chunks = vault.chunks(&id, &second).await.unwrap();
    assert_eq!(chunks, [(0, "chunk 0".into()), (2, "chunk 2 again".into()), (11, "chunk 11".into())]);

    scatter(&*vault, &id, &[document(9, "x"), document(10, "x")]).await;
    let manifest = |id: &SnapshotId| Manifest { id: id.clone(), payload: format!("of {}", id.seq).into() };
    vault.put_manifest(&id, &manifest(&second), None).await.unwrap();
    vault.put_manifest(&id, &manifest(&first), None).await.unwrap();
    vault.put_manifest(&id, &manifest(&first), None).await.unwrap();
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest(&first), manifest(&second)]);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [first.clone(), second.clone()]);

    vault.remove_snapshot(&id, &second).await.unwrap();
    assert_eq!(vault.manifests(&id).await.unwrap(), [manifest(&first)]);
    assert_eq!(vault.chunks(&id, &second).await.unwrap(), []);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [first]);
}

async fn a_late_chunk_of_another_attempt_stays_apart(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let [failed, good] = [snapshot(5, "failed"), snapshot(5, "good")];
    scatter(&*vault, &id, &[document(5, "x")]).await;
    vault.put_chunk(&id, &good, 0, "good".into()).await.unwrap();
    vault.put_manifest(&id, &Manifest { id: good.clone(), payload: "m".into() }, None).await.unwrap();
    vault.put_chunk(&id, &failed, 0, "late".into()).await.unwrap();
    assert_eq!(vault.chunks(&id, &good).await.unwrap(), [(0, "good".into())]);
    assert_eq!(vault.manifests(&id).await.unwrap().len(), 1);
    assert_eq!(vault.snapshots(&id).await.unwrap(), [failed.clone(), good.clone()]);
    vault.remove_snapshot(&id, &failed).await.unwrap();
    assert_eq!(vault.snapshots(&id).await.unwrap(), std::slice::from_ref(&good));
    assert_eq!(vault.chunks(&id, &good).await.unwrap(), [(0, "good".into())]);
}

async fn a_large_snapshot_comes_back(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    let mut chunks = Vec::new();
    for n in 0..40 {
        chunks.push((n, noise(MAX_PAYLOAD)));
        vault.put_chunk(&id, &snapshot(1, "a"), n, chunks[n as usize].1.clone()).await.unwrap();
    }
    // Not by assert_eq!, which would print it.
    assert!(vault.chunks(&id, &snapshot(1, "a")).await.unwrap() == chunks);
}

async fn segments_come_back_and_go(home: &dyn ContractVault) {
    let (vault, id, other) = (home.vault(), tenant("a"), tenant("b"));
    assert_eq!(vault.segments(&id).await.unwrap(), [""; 0]);
    assert_eq!(vault.segment(&id, "01J-x-0000").await.unwrap(), None);
    let largest = noise(MAX_PAYLOAD);
    vault.put_segment(&id, "01J-x-0001", largest.clone()).await.unwrap();
    vault.put_segment(&id, "01J-x-0000", "one".into()).await.unwrap();
    vault.put_segment(&other, "01J-x-0000", "another's".into()).await.unwrap();
    assert_eq!(vault.segments(&id).await.unwrap(), ["01J-x-0000", "01J-x-0001"]);
    assert_eq!(vault.segment(&id, "01J-x-0000").await.unwrap(), Some("one".into()));
    assert!(vault.segment(&id, "01J-x-0001").await.unwrap() == Some(largest));
    for name in ["", "a/b", "..", "__x__", "ñ", &"x".repeat(129)] {
        is_refused(vault.put_segment(&id, name, "x".into()).await);
    }
    is_refused(vault.put_segment(&id, "large", noise(MAX_PAYLOAD + 1)).await);
    for _ in 0..2 {
        vault.remove_segments(&id, &["01J-x-0000".into(), "nothing".into()]).await.unwrap();
        assert_eq!(vault.segments(&id).await.unwrap(), ["01J-x-0001"]);
    }
    assert_eq!(vault.segment(&other, "01J-x-0000").await.unwrap(), Some("another's".into()));
}
