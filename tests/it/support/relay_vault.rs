//! A vault that passes everything on to another one, through somebody who decides what becomes of each request: a test's hand on the line.

use std::{fmt, ops::Deref, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use sessiond::{
    seal::Digest,
    tenant::{TenantId, TenantRecord},
    vault::*,
};

/// Decides what becomes of requests about one tenant. Those about the vault, its directory and its processes pass untouched.
#[async_trait]
pub trait Relay: fmt::Debug + Send + Sync + 'static {
    /// The vault behind.
    fn vault(&self) -> &Arc<dyn Vault>;

    /// Carries out a request, now, later or never. Its kind is the name of the vault's method.
    async fn send<T, F>(&self, kind: &'static str, request: F) -> Result<T, VaultError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static;

    /// Hears of an append that was carried out and answered.
    fn appended(&self, _documents: &[JournalDocument], _decision: Option<&Decision>) {}
}

/// The vault that a test opens.
#[derive(Debug)]
pub struct RelayVault<R>(pub R);

impl<R> Deref for RelayVault<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.0
    }
}

/// A request to the vault behind that lives as long as it has to.
macro_rules! pass_on {
    ($self:ident, $method:ident, $tenant:ident $(, $argument:ident)*) => {{
        let (vault, tenant) = ($self.0.vault().clone(), $tenant.clone());
        $(let $argument = $argument.to_owned();)*
        let request = async move { vault.$method(&tenant $(, &$argument)*).await };
        $self.0.send(stringify!($method), request).await?
    }};
}

#[async_trait]
impl<R: Relay> Vault for RelayVault<R> {
    async fn ping(&self) -> Result<(), VaultError> {
        self.0.vault().ping().await
    }

    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.0.vault().tenants().await
    }

    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.0.vault().tenants_with(text, prefix).await
    }

    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        self.0.vault().remembered().await
    }

    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.0.vault().restorable().await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, VaultError> {
        pass_on!(self, tenant, tenant)
    }

    async fn notice(&self, tenant: &TenantId, notice: &TenantInfo) -> Result<(), VaultError> {
        pass_on!(self, notice, tenant, notice)
    }

    async fn append(
        &self,
        tenant: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        let (vault, tenant) = (self.0.vault().clone(), tenant.clone());
        let (sent, decided) = (documents.to_owned(), decision.cloned());
        let request = async move { vault.append(&tenant, after, &sent, decided.as_ref()).await };
        self.0.send("append", request).await??;
        self.0.appended(documents, decision);
        Ok(())
    }

    async fn start_over(
        &self,
        tenant: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        let (vault, tenant) = (self.0.vault().clone(), tenant.clone());
        let (footing, documents) = (footing.clone(), documents.to_owned());
        let (manifest, decision) = (manifest.cloned(), decision.clone());
        let request =
            async move { vault.start_over(&tenant, &footing, &documents, manifest.as_ref(), &decision).await };
        self.0.send("start_over", request).await?
    }

    async fn headings(&self, tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        let (vault, tenant) = (self.0.vault().clone(), tenant.clone());
        self.0.send("headings", async move { vault.headings(&tenant, first, limit).await }).await?
    }

    async fn document(&self, tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        let (vault, tenant) = (self.0.vault().clone(), tenant.clone());
        self.0.send("document", async move { vault.document(&tenant, seq).await }).await?
    }

    async fn documents(&self, tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        let (vault, tenant) = (self.0.vault().clone(), tenant.clone());
        self.0.send("documents", async move { vault.documents(&tenant, first).await }).await?
    }

    async fn takeovers(&self, tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        pass_on!(self, takeovers, tenant)
    }

    async fn entries_below(&self, tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        let (vault, tenant) = (self.0.vault().clone(), tenant.clone());
        self.0.send("entries_below", async move { vault.entries_below(&tenant, end).await }).await?
    }

    async fn empty_document(&self, tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        let (vault, tenant, document) = (self.0.vault().clone(), tenant.clone(), document.clone());
        self.0.send("empty_document", async move { vault.empty_document(&tenant, &document).await }).await?
    }

    async fn remove_documents(&self, tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        pass_on!(self, remove_documents, tenant, seqs)
    }

    async fn manifests(&self, tenant: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        pass_on!(self, manifests, tenant)
    }

    async fn put_chunk(&self, tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        let (vault, tenant, id) = (self.0.vault().clone(), tenant.clone(), id.clone());
        self.0.send("put_chunk", async move { vault.put_chunk(&tenant, &id, n, payload).await }).await?
    }

    async fn put_manifest(
        &self,
        tenant: &TenantId,
        manifest: &Manifest,
        entry: Option<Digest>,
    ) -> Result<(), AppendError> {
        let (vault, tenant, manifest) = (self.0.vault().clone(), tenant.clone(), manifest.clone());
        self.0.send("put_manifest", async move { vault.put_manifest(&tenant, &manifest, entry).await }).await?
    }

    async fn chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError> {
        pass_on!(self, chunks, tenant, id)
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<SnapshotId>, VaultError> {
        pass_on!(self, snapshots, tenant)
    }

    async fn remove_snapshot(&self, tenant: &TenantId, id: &SnapshotId) -> Result<(), VaultError> {
        pass_on!(self, remove_snapshot, tenant, id)
    }

    async fn put_segment(&self, tenant: &TenantId, name: &str, payload: Bytes) -> Result<(), VaultError> {
        let (vault, tenant, name) = (self.0.vault().clone(), tenant.clone(), name.to_owned());
        self.0.send("put_segment", async move { vault.put_segment(&tenant, &name, payload).await }).await?
    }

    async fn segment(&self, tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError> {
        let (vault, tenant, name) = (self.0.vault().clone(), tenant.clone(), name.to_owned());
        self.0.send("segment", async move { vault.segment(&tenant, &name).await }).await?
    }

    async fn segments(&self, tenant: &TenantId) -> Result<Vec<String>, VaultError> {
        pass_on!(self, segments, tenant)
    }

    async fn remove_segments(&self, tenant: &TenantId, names: &[String]) -> Result<(), VaultError> {
        let (vault, tenant, names) = (self.0.vault().clone(), tenant.clone(), names.to_vec());
        self.0.send("remove_segments", async move { vault.remove_segments(&tenant, &names).await }).await?
    }

    async fn put_instance(&self, instance: &Instance) -> Result<(), VaultError> {
        self.0.vault().put_instance(instance).await
    }

    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        self.0.vault().instances().await
    }

    async fn remove_instance(&self, id: &InstanceId) -> Result<(), VaultError> {
        self.0.vault().remove_instance(id).await
    }

    async fn put_letter(&self, from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError> {
        self.0.vault().put_letter(from, to, body).await
    }

    async fn letters(&self, to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        self.0.vault().letters(to).await
    }

    async fn remove_letter(&self, from: &InstanceId, to: &InstanceId) -> Result<(), VaultError> {
        self.0.vault().remove_letter(from, to).await
    }

    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        self.0.vault().check_value().await
    }

    async fn create_check_value(&self, value: Bytes) -> Result<bool, VaultError> {
        self.0.vault().create_check_value(value).await
    }

    async fn replace_check_value(&self, old: Bytes, new: Bytes) -> Result<bool, VaultError> {
        self.0.vault().replace_check_value(old, new).await
    }

    fn usage(&self) -> Usage {
        self.0.vault().usage()
    }
}
