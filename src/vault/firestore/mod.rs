//! The vault in Firestore.
//!
//! Owns the layout of `src/ARCHITECTURE.md`: collections `tenants` (with `journal`, `snapshots/…/chunks`, `segments` below each),
//! `instances`, `apiKeys`, and the document `vault/check`. Queries of large collections go by document id only, so that they need no
//! index: `config/firestore.indexes.json` takes the fields of journal, chunks and segments out of all of them. Payloads are bytes. Never
//! retries.

mod access;
mod config;
mod document;
mod footing;
mod paths;
mod statements;
mod wire;

use async_trait::async_trait;
use bytes::Bytes;
use firestore::gcloud_sdk::google::firestore::v1::{
    Cursor, Document, DocumentMask, Precondition, StructuredQuery, Write,
    precondition::ConditionType,
    structured_query::{
        CompositeFilter, Direction, FieldFilter, Filter, Order, composite_filter, field_filter::Operator,
        filter::FilterType,
    },
    write::Operation,
};
use jiff::Timestamp;

pub use self::config::{FirestoreConfig, FirestoreCredentials, ServiceAccountKey};
use self::{
    document::{Fields, FirestoreReader},
    footing::{LastDocuments, Uncommitted},
    paths::{instance_path, journal_path, letter_path, segment_path, snapshot_path, tenant_path},
    statements::{by_id, delete, field, only, require},
    wire::{RpcFailure, Wire},
};
use super::{
    AppendError, Counters, Decision, DocumentKind, Footing, Heading, Instance, InstanceId, JournalDocument, Manifest,
    RecordText, Seq, SnapshotId, TenantInfo, Usage, Vault, VaultError, limits,
};
use crate::{
    seal::Digest,
    tenant::{TenantId, TenantRecord},
};

const CHECK: &str = "vault/check";
/// Deletes in one commit. Firestore takes more, but not without end.
const DELETES: usize = 500;

#[derive(Debug)]
pub struct Firestore {
    wire: Wire,
    /// True if the server takes preconditions alone: see [`Wire::commit_after`].
    verifies: bool,
    last_documents: LastDocuments,
    counters: Counters,
}

impl Firestore {
    /// Connects and asks for something, so that a wrong project or missing credentials show here. `Refused`: trying again is no
    /// use. rustls needs its process-wide provider before.
    pub async fn connect(config: FirestoreConfig) -> Result<Self, VaultError> {
        let wire = Wire::connect(config).await?;
        let mut firestore =
            Self { wire, verifies: true, last_documents: LastDocuments::default(), counters: Counters::default() };
        firestore.ping().await?;
        firestore.verifies = firestore.wire.takes_verifications(firestore.wire.name(CHECK)).await?;
        if !firestore.verifies {
            tracing::warn!(
                event = "vault_unproven",
                "this Firestore proves no predecessor: a vault that loses entries is noticed at the next start only"
            );
        }
        Ok(firestore)
    }

    async fn get(&self, path: &str) -> Result<Option<FirestoreReader>, VaultError> {
        let found = self.wire.get(path).await?;
        self.counters.read(1);
        Ok(found.map(FirestoreReader::new))
    }

    async fn query<T>(
        &self,
        parent: &str,
        query: StructuredQuery,
        read: impl FnMut(FirestoreReader) -> T,
    ) -> Result<Vec<T>, VaultError> {
        let documents = self.wire.query(parent, query).await?;
        self.counters.read(documents.len());
        Ok(documents.into_iter().map(FirestoreReader::new).map(read).collect())
    }

    /// How many documents a query would find. Firestore bills a read for each thousand.
    async fn count(&self, parent: &str, query: StructuredQuery) -> Result<u64, VaultError> {
        let count = self.wire.count(parent, query).await?;
        self.counters.read(usize::try_from(count.div_ceil(1000)).unwrap_or(usize::MAX));
        Ok(count)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), RpcFailure> {
        let count = writes.len();
        self.wire.commit(writes).await?;
        self.counters.wrote(count);
        Ok(())
    }

    /// Replaces the document if there is one.
    async fn put(&self, path: &str, fields: Fields) -> Result<(), VaultError> {
        Ok(self.commit(vec![self.write(path, fields)]).await?)
    }

    async fn delete(&self, names: Vec<String>) -> Result<(), VaultError> {
        for names in names.chunks(DELETES) {
            self.wire.commit(names.iter().map(|name| delete(name)).collect()).await?;
            self.counters.deleted(names.len());
        }
        Ok(())
    }

    async fn records(
        &self,
        query: StructuredQuery,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.query("", query, |document| (document.id().to_owned(), document.tenant())).await
    }

    fn write(&self, path: &str, fields: Fields) -> Write {
        let document = Document { name: self.wire.name(path), fields, ..Default::default() };
        Write { operation: Some(Operation::Update(document)), ..Default::default() }
    }

    /// Sets these fields of a document that must exist, and no others.
    fn update(&self, path: &str, fields: Fields) -> Write {
        let field_paths = fields.keys().cloned().collect();
        let write = Write { update_mask: Some(DocumentMask { field_paths }), ..self.write(path, fields) };
        require(write, true)
    }

    fn creations(&self, tenant: &TenantId, documents: &[JournalDocument]) -> Vec<Write> {
        let creation = |document: &JournalDocument| {
            self.create(&journal_path(tenant, document.seq), document::journal_fields(document))
        };
        documents.iter().map(creation).collect()
    }

    fn deletion(&self, path: &str) -> Write {
        delete(&self.wire.name(path))
    }

    fn create(&self, path: &str, fields: Fields) -> Write {
        require(self.write(path, fields), false)
    }

    fn journal_from(&self, tenant: &TenantId, first: Seq) -> Option<Cursor> {
        let first = document::reference(self.wire.name(&journal_path(tenant, first)));
        // Before the document of this name: so it is the first of what begins here, and the end of what ends here.
        Some(Cursor { values: vec![first], before: true })
    }
}

#[async_trait]
impl Vault for Firestore {
    async fn ping(&self) -> Result<(), VaultError> {
        self.get(CHECK).await.map(drop)
    }

    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.records(by_id("tenants")).await
    }

    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let connected = FieldFilter {
            field: Some(field("whatsappConnected")),
            op: Operator::Equal.into(),
            value: Some(document::boolean(true)),
        };
        let filter = Filter { filter_type: Some(FilterType::FieldFilter(connected)) };
        self.records(StructuredQuery { r#where: Some(filter), ..by_id("tenants") }).await
    }

    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let end = limits::prefix_end(prefix)?;
        let name = match text {
            RecordText::PhoneNumber => "phoneNumber",
            RecordText::Status => "status",
        };
        let bound = |op: Operator, value: &str| {
            let filter = FieldFilter { field: Some(field(name)), op: op.into(), value: Some(document::text(value)) };
            Filter { filter_type: Some(FilterType::FieldFilter(filter)) }
        };
        let filters = vec![bound(Operator::GreaterThanOrEqual, prefix), bound(Operator::LessThan, &end)];
        let both = CompositeFilter { op: composite_filter::Operator::And.into(), filters };
        let filter = Filter { filter_type: Some(FilterType::CompositeFilter(both)) };
        // An inequality wants its field first in the order; one field needs no index of our own.
        let order = Order { field: Some(field(name)), direction: Direction::Ascending.into() };
        let query = StructuredQuery { r#where: Some(filter), order_by: vec![order], ..by_id("tenants") };
        let mut found = self.records(query).await?;
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        let names = self.wire.names("", "tenants").await?;
        self.counters.read(names.len());
        let id = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(names.iter().map(id).collect())
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, VaultError> {
        self.get(&tenant_path(tenant)).await?.map(FirestoreReader::tenant).transpose()
    }

    async fn notice(&self, tenant: &TenantId, notice: &TenantInfo) -> Result<(), VaultError> {
        limits::notice(notice)?;
        let path = tenant_path(tenant);
        let set = document::notice_fields(notice);
        match self.commit(vec![self.update(&path, set.clone())]).await {
            Err(failure) if failure.missing() => {}
            done => return Ok(done?),
        }
        let mut all = set.clone();
        all.insert("whatsappConnected".into(), document::boolean(false));
        match self.commit(vec![self.create(&path, all)]).await {
            // Another notice made it meanwhile.
            Err(failure) if failure.exists() => Ok(self.commit(vec![self.update(&path, set)]).await?),
            done => Ok(done?),
        }
    }

    async fn append(
        &self,
        tenant: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        limits::append(documents)?;
        let mut writes = self.creations(tenant, documents);
        writes.extend(decision.map(|decision| self.update(&tenant_path(tenant), document::decision_fields(decision))));
        let before = documents[0].seq.previous();
        let footing = before.map_or(Footing::Nothing, |before| Footing::Document(before, after));
        let last = documents.last().map(|last| (documents.len() - 1, last));
        match self.commit_onto(tenant, &footing, writes, last).await {
            Err(Uncommitted::Missing(_)) if decision.is_some() => Err(AppendError::TenantGone),
            done => Ok(done?),
        }
    }

    async fn start_over(
        &self,
        tenant: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        limits::start_over(documents, manifest)?;
        let mut writes = self.creations(tenant, documents);
        if let Some(Manifest { id, payload }) = manifest {
            writes.push(self.write(&snapshot_path(tenant, id), document::payload_fields(payload)));
        }
        if *decision != Decision::default() {
            // Without the precondition it makes the record.
            let record = self.update(&tenant_path(tenant), document::decision_fields(decision));
            writes.push(Write { current_document: None, ..record });
        }
        Ok(self.commit_onto(tenant, footing, writes, documents.first().map(|first| (0, first))).await?)
    }

    async fn document(&self, tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        let Some(found) = self.get(&journal_path(tenant, seq)).await? else { return Ok(None) };
        let updated = found.updated();
        let document = found.journal_document()?;
        self.last_documents.remember(tenant, &document, updated);
        Ok(Some(document))
    }

    async fn documents(&self, tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        let query = StructuredQuery { start_at: self.journal_from(tenant, first), ..by_id("journal") };
        let read = |document: FirestoreReader| {
            let updated = document.updated();
            Ok((document.journal_document()?, updated))
        };
        let documents: Vec<_> =
            self.query(&tenant_path(tenant), query, read).await?.into_iter().collect::<Result<_, VaultError>>()?;
        if let Some((last, updated)) = documents.last() {
            self.last_documents.remember(tenant, last, *updated);
        }
        Ok(documents.into_iter().map(|(document, _)| document).collect())
    }

    async fn takeovers(&self, tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        // Not filtered by kind over there: that would need the index that these documents are spared.
        let query = StructuredQuery { select: only(&["kind", "at"]), ..by_id("journal") };
        let read = |mut document: FirestoreReader| match document.kind()? {
            DocumentKind::Takeover => Ok(Some((document.seq()?, document.time("at")?))),
            _ => Ok(None),
        };
        let documents = self.query(&tenant_path(tenant), query, read).await?;
        documents.into_iter().filter_map(Result::transpose).collect()
    }

    async fn headings(&self, tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        let query = StructuredQuery {
            select: only(&["writer", "at"]),
            start_at: self.journal_from(tenant, first),
            limit: i32::try_from(limit).ok(),
            ..by_id("journal")
        };
        self.query(&tenant_path(tenant), query, FirestoreReader::heading).await?.into_iter().collect()
    }

    async fn count_documents(&self, tenant: &TenantId, first: Seq, last: Seq) -> Result<u64, VaultError> {
        let query = StructuredQuery {
            start_at: self.journal_from(tenant, first),
            end_at: self.journal_from(tenant, last.next()),
            ..by_id("journal")
        };
        self.count(&tenant_path(tenant), query).await
    }

    async fn entries_below(&self, tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        let query =
            StructuredQuery { select: only(&["kind"]), end_at: self.journal_from(tenant, end), ..by_id("journal") };
        let read = |mut document: FirestoreReader| match document.kind()? {
            DocumentKind::Takeover => Ok(None),
            _ => document.seq().map(Some),
        };
        let documents = self.query(&tenant_path(tenant), query, read).await?;
        documents.into_iter().filter_map(Result::transpose).collect()
    }

    async fn empty_document(&self, tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        let path = journal_path(tenant, document.seq);
        let Some(found) = self.get(&path).await? else { return Ok(false) };
        let condition_type = found.updated().map(ConditionType::UpdateTime);
        if found.journal_document()?.payload != document.payload {
            return Ok(false);
        }
        let current_document = Some(Precondition { condition_type });
        let empty = self.update(&path, document::payload_fields(&Bytes::new()));
        match self.commit(vec![Write { current_document, ..empty }]).await {
            Err(failure) if failure.missing() || failure.changed() => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    async fn remove_documents(&self, tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        self.delete(seqs.iter().map(|&seq| self.wire.name(&journal_path(tenant, seq))).collect()).await
    }

    async fn manifests(&self, tenant: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        self.query(&tenant_path(tenant), by_id("snapshots"), FirestoreReader::manifest).await?.into_iter().collect()
    }

    async fn put_chunk(&self, tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        limits::snapshot_id(id)?;
        limits::chunk(n, &payload)?;
        let path = format!("{}/chunks/{n:04}", snapshot_path(tenant, id));
        self.put(&path, document::payload_fields(&payload)).await
    }

    async fn put_manifest(
        &self,
        tenant: &TenantId,
        Manifest { id, payload }: &Manifest,
        entry: Option<Digest>,
    ) -> Result<(), AppendError> {
        limits::snapshot_id(id)?;
        limits::payload(payload)?;
        let write = self.write(&snapshot_path(tenant, id), document::payload_fields(payload));
        Ok(self.commit_onto(tenant, &Footing::Document(id.seq, entry), vec![write], None).await?)
    }

    async fn chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError> {
        limits::snapshot_id(id)?;
        self.query(&snapshot_path(tenant, id), by_id("chunks"), FirestoreReader::chunk).await?.into_iter().collect()
    }

    async fn count_chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<u64, VaultError> {
        limits::snapshot_id(id)?;
        self.count(&snapshot_path(tenant, id), by_id("chunks")).await
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<SnapshotId>, VaultError> {
        let names = self.wire.names(&tenant_path(tenant), "snapshots").await?;
        self.counters.read(names.len());
        names.iter().map(|name| document::snapshot_id(name)).collect()
    }

    async fn remove_snapshot(&self, tenant: &TenantId, id: &SnapshotId) -> Result<(), VaultError> {
        limits::snapshot_id(id)?;
        let path = snapshot_path(tenant, id);
        self.delete(vec![self.wire.name(&path)]).await?;
        let query = StructuredQuery { select: only(&["__name__"]), ..by_id("chunks") };
        let chunks = self.query(&path, query, FirestoreReader::into_name).await?;
        self.delete(chunks).await
    }

    async fn put_segment(&self, tenant: &TenantId, name: &str, payload: Bytes) -> Result<(), VaultError> {
        limits::segment(name)?;
        limits::payload(&payload)?;
        self.put(&segment_path(tenant, name), document::payload_fields(&payload)).await
    }

    async fn segment(&self, tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError> {
        limits::segment(name)?;
        self.get(&segment_path(tenant, name)).await?.map(FirestoreReader::segment).transpose()
    }

    async fn segments(&self, tenant: &TenantId) -> Result<Vec<String>, VaultError> {
        let query = StructuredQuery { select: only(&["__name__"]), ..by_id("segments") };
        self.query(&tenant_path(tenant), query, |document| document.id().to_owned()).await
    }

    async fn remove_segments(&self, tenant: &TenantId, names: &[String]) -> Result<(), VaultError> {
        names.iter().try_for_each(|name| limits::segment(name))?;
        self.delete(names.iter().map(|name| self.wire.name(&segment_path(tenant, name))).collect()).await
    }

    async fn put_instance(&self, instance: &Instance) -> Result<(), VaultError> {
        limits::instance(instance)?;
        self.put(&instance_path(&instance.id), document::instance_fields(instance)).await
    }

    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        self.query("", by_id("instances"), FirestoreReader::instance).await
    }

    async fn remove_instance(&self, id: &InstanceId) -> Result<(), VaultError> {
        limits::instance_id(id)?;
        let letters = StructuredQuery { select: only(&["__name__"]), ..by_id("letters") };
        let senders = self.query(&instance_path(id), letters, |letter| InstanceId(letter.id().into())).await?;
        let letters = senders.iter().map(|from| letter_path(from, id));
        self.delete(letters.chain([instance_path(id)]).map(|path| self.wire.name(&path)).collect()).await
    }

    async fn put_letter(&self, from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError> {
        limits::letter(from, to, &body)?;
        self.put(&letter_path(from, to), document::payload_fields(&body)).await
    }

    async fn letters(&self, to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        limits::instance_id(to)?;
        let letters = self.query(&instance_path(to), by_id("letters"), FirestoreReader::letter).await?;
        Ok(letters.into_iter().filter_map(Result::ok).collect())
    }

    async fn remove_letter(&self, from: &InstanceId, to: &InstanceId) -> Result<(), VaultError> {
        limits::instance_id(from)?;
        limits::instance_id(to)?;
        self.delete(vec![self.wire.name(&letter_path(from, to))]).await
    }

    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        self.get(CHECK).await?.map(FirestoreReader::check_value).transpose()
    }

    async fn create_check_value(&self, value: Bytes) -> Result<bool, VaultError> {
        limits::payload(&value)?;
        let fields = document::fields([("value", document::bytes(&value))]);
        match self.commit(vec![self.create(CHECK, fields)]).await {
            Err(failure) if failure.exists() => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    async fn replace_check_value(&self, old: Bytes, new: Bytes) -> Result<bool, VaultError> {
        limits::payload(&new)?;
        let Some(found) = self.get(CHECK).await? else { return Ok(false) };
        let condition_type = found.updated().map(ConditionType::UpdateTime);
        if found.check_value()? != old {
            return Ok(false);
        }
        let current_document = Some(Precondition { condition_type });
        let fields = document::fields([("value", document::bytes(&new))]);
        match self.commit(vec![Write { current_document, ..self.write(CHECK, fields) }]).await {
            Err(failure) if failure.missing() || failure.changed() => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    fn has_order_documents(&self) -> bool {
        true
    }

    async fn put_order_document(
        &self,
        tenant: &TenantId,
        id: &str,
        revision: u64,
        order: &serde_json::Value,
    ) -> Result<(), VaultError> {
        const TRIES: usize = 5;
        limits::order_id(id)?;
        let path = format!("tenants/{tenant}/orders/{id}");
        let mut fields: Fields =
            order.as_object().into_iter().flatten().map(|(name, it)| (name.clone(), document::from_json(it))).collect();
        fields.insert(document::REVISION.into(), document::from_json(&revision.into()));
        let new = (order["timestamp"].as_i64().unwrap_or_default(), revision);
        for _ in 0..TRIES {
            let written = match self.get(&path).await? {
                None => self.commit(vec![self.create(&path, fields.clone())]).await,
                Some(found) if found.order_version() >= new => return Ok(()),
                Some(found) => {
                    let condition_type = found.updated().map(ConditionType::UpdateTime);
                    let current_document = Some(Precondition { condition_type });
                    let write = Write { current_document, ..self.write(&path, fields.clone()) };
                    self.commit(vec![write]).await
                }
            };
            match written {
                // Another process writes it, too.
                Err(failure) if failure.exists() || failure.missing() || failure.changed() => {}
                done => return Ok(done?),
            }
        }
        Err(VaultError::Unavailable("the document of an order changes all the time".into()))
    }

    fn usage(&self) -> Usage {
        self.counters.usage()
    }
}
