//! Each request of a vault, as the simulated one carries it out: with one moment, or several where the real ones have several.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use sessiond::{
    seal::Digest,
    tenant::{TenantId, TenantRecord},
    vault::*,
};

use super::ProcessLine;

#[async_trait]
impl Vault for ProcessLine {
    async fn ping(&self) -> Result<(), VaultError> {
        self.read("ping".into(), |_| ()).await
    }

    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let record = self.read("tenants".into(), |ground| ground.record.clone()).await?;
        Ok(record.into_iter().map(|record| (record.id.to_string(), Ok(record))).collect())
    }

    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let mut all = self.tenants().await?;
        let text = |record: &TenantRecord| match text {
            RecordText::PhoneNumber => record.phone_number.clone(),
            RecordText::Status => record.status.clone(),
        };
        all.retain(|(_, record)| {
            record.as_ref().is_ok_and(|record| text(record).is_some_and(|text| text.starts_with(prefix)))
        });
        Ok(all)
    }

    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        Ok(self.tenants().await?.into_iter().map(|(id, _)| id).collect())
    }

    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let mut all = self.tenants().await?;
        all.retain(|(_, record)| record.as_ref().is_ok_and(|record| record.whatsapp_connected));
        Ok(all)
    }

    async fn tenant(&self, _: &TenantId) -> Result<Option<TenantRecord>, VaultError> {
        self.read("tenant".into(), |ground| ground.record.clone()).await
    }

    async fn notice(&self, _: &TenantId, _: &TenantInfo) -> Result<(), VaultError> {
        self.call("notice".into(), true, |_| ()).await
    }

    async fn append(
        &self,
        _: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        let (documents, decision) = (documents.to_vec(), decision.cloned());
        let (first, kind) = (documents[0].seq.0, documents[0].kind);
        self.call(format!("append {first} x{} {kind:?}", documents.len()), true, move |ground| {
            ground.append(after, &documents, decision.as_ref())
        })
        .await?
    }

    async fn start_over(
        &self,
        _: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        let (footing, documents) = (footing.clone(), documents.to_vec());
        let (manifest, decision) = (manifest.cloned(), decision.clone());
        self.call(format!("start over at {}", documents[0].seq.0), true, move |ground| {
            ground.start_over(&footing, &documents, manifest.as_ref(), &decision)
        })
        .await?
    }

    async fn headings(&self, _: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        self.read(format!("headings {}..", first.0), move |ground| {
            let heading = |(seq, document): (&Seq, &JournalDocument)| {
                let JournalDocument { writer, at, .. } = document.clone();
                Heading { seq: *seq, writer, at }
            };
            ground.journal.range(first..).take(limit).map(heading).collect()
        })
        .await
    }

    async fn document(&self, _: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        self.read(format!("document {}", seq.0), move |ground| ground.journal.get(&seq).cloned()).await
    }

    /// In two steps: others write between them.
    async fn documents(&self, _: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        let mut documents: Vec<JournalDocument> = self
            .read(format!("documents {}..", first.0), move |ground| {
                let half = ground.journal.range(first..).count().div_ceil(2);
                ground.journal.range(first..).take(half).map(|(_, document)| document.clone()).collect()
            })
            .await?;
        let rest = documents.last().map_or(first, |last| last.seq.next());
        let more = self.read(format!("documents {}..", rest.0), move |ground| {
            ground.journal.range(rest..).map(|(_, document)| document.clone()).collect::<Vec<_>>()
        });
        documents.extend(more.await?);
        Ok(documents)
    }

    async fn takeovers(&self, _: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        self.read("takeovers".into(), |ground| {
            let takeovers = ground.journal.values().filter(|document| document.kind == DocumentKind::Takeover);
            takeovers.map(|document| (document.seq, document.at)).collect()
        })
        .await
    }

    async fn entries_below(&self, _: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        self.read(format!("entries below {}", end.0), move |ground| {
            let below = ground.journal.range(..end);
            below.filter(|(_, document)| document.kind != DocumentKind::Takeover).map(|(seq, _)| *seq).collect()
        })
        .await
    }

    async fn empty_document(&self, _: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        let document = document.clone();
        self.call(format!("empty {}", document.seq.0), true, move |ground| {
            let found = ground.journal.get_mut(&document.seq).filter(|found| found.payload == document.payload);
            let Some(found) = found else { return false };
            found.payload = Bytes::new();
            ground.usage.writes += 1;
            true
        })
        .await
    }

    /// One by one.
    async fn remove_documents(&self, _: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        for &seq in seqs {
            self.call(format!("remove {}", seq.0), true, move |ground| {
                ground.journal.remove(&seq);
                ground.usage.deletes += 1;
            })
            .await?;
        }
        Ok(())
    }

    async fn manifests(&self, _: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        self.read("manifests".into(), |ground| {
            let manifest = |(id, payload): (&SnapshotId, &Bytes)| Manifest { id: id.clone(), payload: payload.clone() };
            ground.manifests.iter().map(manifest).collect()
        })
        .await
    }

    async fn put_chunk(&self, _: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        let id = id.clone();
        self.call(format!("chunk {n} of {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.chunks.insert((id, n), payload);
            ground.usage.writes += 1;
        })
        .await
    }

    async fn put_manifest(&self, _: &TenantId, manifest: &Manifest, entry: Option<Digest>) -> Result<(), AppendError> {
        let Manifest { id, payload } = manifest.clone();
        self.call(format!("manifest {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.stand(&Footing::Document(id.seq, entry))?;
            ground.manifests.insert(id, payload);
            ground.usage.writes += 1;
            Ok(())
        })
        .await?
    }

    /// In two steps: others delete between them.
    async fn chunks(&self, _: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError> {
        let mut chunks = Vec::new();
        for part in 0..2u32 {
            let id = id.clone();
            let found = self.read(format!("chunks of {}-{}", id.seq.0, id.attempt), move |ground| {
                let range = ground.chunks.range((id.clone(), part)..=(id, if part == 0 { 0 } else { u32::MAX }));
                range.map(|((_, n), payload)| (*n, payload.clone())).collect::<Vec<_>>()
            });
            chunks.extend(found.await?);
        }
        Ok(chunks)
    }

    async fn snapshots(&self, _: &TenantId) -> Result<Vec<SnapshotId>, VaultError> {
        self.read("snapshots".into(), |ground| {
            let ids = ground.manifests.keys().chain(ground.chunks.keys().map(|(id, _)| id));
            ids.cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        })
        .await
    }

    async fn remove_snapshot(&self, _: &TenantId, id: &SnapshotId) -> Result<(), VaultError> {
        let (first, second) = (id.clone(), id.clone());
        self.call(format!("remove manifest {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.manifests.remove(&first);
        })
        .await?;
        self.call(format!("remove chunks {}-{}", id.seq.0, id.attempt), true, move |ground| {
            ground.chunks.retain(|(id, _), _| *id != second);
        })
        .await
    }

    async fn put_segment(&self, _: &TenantId, _: &str, _: Bytes) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn segment(&self, _: &TenantId, _: &str) -> Result<Option<Bytes>, VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn segments(&self, _: &TenantId) -> Result<Vec<String>, VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn remove_segments(&self, _: &TenantId, _: &[String]) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no segments".into()))
    }

    async fn put_instance(&self, _: &Instance) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no instances".into()))
    }

    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        Err(VaultError::Refused("this world has no instances".into()))
    }

    async fn remove_instance(&self, _: &InstanceId) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no instances".into()))
    }

    async fn put_letter(&self, _: &InstanceId, _: &InstanceId, _: Bytes) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no letters".into()))
    }

    async fn letters(&self, _: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        Err(VaultError::Refused("this world has no letters".into()))
    }

    async fn remove_letter(&self, _: &InstanceId, _: &InstanceId) -> Result<(), VaultError> {
        Err(VaultError::Refused("this world has no letters".into()))
    }

    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        Err(VaultError::Refused("this world has no check value".into()))
    }

    async fn create_check_value(&self, _: Bytes) -> Result<bool, VaultError> {
        Err(VaultError::Refused("this world has no check value".into()))
    }

    async fn replace_check_value(&self, _: Bytes, _: Bytes) -> Result<bool, VaultError> {
        Err(VaultError::Refused("this world has no check value".into()))
    }

    fn usage(&self) -> Usage {
        self.world.ground().usage
    }
}
