//! A vault with someone on the line: single requests are lost, lose their answer, or are held until a test lets them go.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use sessiond::{
    seal::Digest,
    tenant::{TenantId, TenantRecord},
    vault::*,
};
use tokio::sync::{Notify, Semaphore};

/// What happens to the next request of a kind.
#[derive(Debug, Clone)]
pub enum Act {
    /// It never arrives.
    Lose,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// The client is told that it is lost, and it arrives when the test says so.
    Late(Arc<Hold>),
    /// It waits before it is sent.
    Hold(Arc<Hold>),
}

/// A place where a request waits.
#[derive(Debug)]
pub struct Hold {
    reached: Semaphore,
    released: Semaphore,
    /// A late request has been carried out.
    landed: Notify,
}

impl Hold {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { reached: Semaphore::new(0), released: Semaphore::new(0), landed: Notify::new() })
    }

    /// Returns when a request waits here.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub fn release(&self) {
        self.released.add_permits(1);
    }

    pub async fn landed(&self) {
        self.landed.notified().await;
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }
}

/// Passes everything on to another vault, but for what the script says.
#[derive(Debug)]
pub struct Wire {
    inner: Arc<dyn Vault>,
    script: Mutex<VecDeque<(&'static str, Act)>>,
    /// Every write and delete that was sent, by its kind.
    sent: Mutex<Vec<&'static str>>,
    down: Mutex<bool>,
}

impl Wire {
    pub fn new(inner: Arc<dyn Vault>) -> Arc<Self> {
        Arc::new(Self { inner, script: Mutex::default(), sent: Mutex::default(), down: Mutex::new(false) })
    }

    /// The next request of this kind, after those that are planned already.
    pub fn next(&self, kind: &'static str, act: Act) {
        self.script.lock().unwrap().push_back((kind, act));
    }

    pub fn hold(&self, kind: &'static str) -> Arc<Hold> {
        let hold = Hold::new();
        self.next(kind, Act::Hold(hold.clone()));
        hold
    }

    /// From now on nothing arrives, or everything does again.
    pub fn down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    /// What was sent that writes or deletes.
    pub fn sent(&self) -> Vec<&'static str> {
        self.sent.lock().unwrap().clone()
    }

    async fn send<T: Send + 'static>(
        &self,
        kind: &'static str,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, VaultError> {
        if ["append", "start_over", "remove_documents", "put_chunk", "put_manifest", "remove_snapshot"].contains(&kind)
        {
            self.sent.lock().unwrap().push(kind);
        }
        let lost = || Err(VaultError::Unavailable("lost on the line".into()));
        let act = {
            let mut script = self.script.lock().unwrap();
            let at = script.iter().position(|(planned, _)| *planned == kind);
            at.and_then(|at| script.remove(at)).map(|(_, act)| act)
        };
        match act {
            Some(Act::Lose) => return lost(),
            Some(Act::LoseAnswer) => {
                request.await;
                return lost();
            }
            Some(Act::Late(hold)) => {
                tokio::spawn(async move {
                    hold.pass().await;
                    request.await;
                    hold.landed.notify_one();
                });
                return lost();
            }
            Some(Act::Hold(hold)) => hold.pass().await,
            None => {}
        }
        if *self.down.lock().unwrap() { lost() } else { Ok(request.await) }
    }
}

/// A request to the inner vault that lives as long as it has to.
macro_rules! pass_on {
    ($self:ident, $method:ident, $tenant:ident $(, $argument:ident)*) => {{
        let (inner, tenant) = ($self.inner.clone(), $tenant.clone());
        $(let $argument = $argument.to_owned();)*
        let request = async move { inner.$method(&tenant $(, &$argument)*).await };
        $self.send(stringify!($method), request).await?
    }};
}

#[async_trait]
impl Vault for Wire {
    async fn ping(&self) -> Result<(), VaultError> {
        self.inner.ping().await
    }

    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.inner.tenants().await
    }

    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.inner.tenants_with(text, prefix).await
    }

    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        self.inner.remembered().await
    }

    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.inner.restorable().await
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
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        let (documents, decision) = (documents.to_owned(), decision.cloned());
        let request = async move { inner.append(&tenant, after, &documents, decision.as_ref()).await };
        self.send("append", request).await?
    }

    async fn start_over(
        &self,
        tenant: &TenantId,
        footing: &Footing,
        documents: &[JournalDocument],
        manifest: Option<&Manifest>,
        decision: &Decision,
    ) -> Result<(), AppendError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        let (footing, documents) = (footing.clone(), documents.to_owned());
        let (manifest, decision) = (manifest.cloned(), decision.clone());
        let request =
            async move { inner.start_over(&tenant, &footing, &documents, manifest.as_ref(), &decision).await };
        self.send("start_over", request).await?
    }

    async fn headings(&self, tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        self.send("headings", async move { inner.headings(&tenant, first, limit).await }).await?
    }

    async fn document(&self, tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        self.send("document", async move { inner.document(&tenant, seq).await }).await?
    }

    async fn documents(&self, tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        self.send("documents", async move { inner.documents(&tenant, first).await }).await?
    }

    async fn takeovers(&self, tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        pass_on!(self, takeovers, tenant)
    }

    async fn entries_below(&self, tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        self.send("entries_below", async move { inner.entries_below(&tenant, end).await }).await?
    }

    async fn empty_document(&self, tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        let (inner, tenant, document) = (self.inner.clone(), tenant.clone(), document.clone());
        self.send("empty_document", async move { inner.empty_document(&tenant, &document).await }).await?
    }

    async fn remove_documents(&self, tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        pass_on!(self, remove_documents, tenant, seqs)
    }

    async fn manifests(&self, tenant: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        pass_on!(self, manifests, tenant)
    }

    async fn put_chunk(&self, tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        let (inner, tenant, id) = (self.inner.clone(), tenant.clone(), id.clone());
        self.send("put_chunk", async move { inner.put_chunk(&tenant, &id, n, payload).await }).await?
    }

    async fn put_manifest(
        &self,
        tenant: &TenantId,
        manifest: &Manifest,
        entry: Option<Digest>,
    ) -> Result<(), AppendError> {
        let (inner, tenant, manifest) = (self.inner.clone(), tenant.clone(), manifest.clone());
        self.send("put_manifest", async move { inner.put_manifest(&tenant, &manifest, entry).await }).await?
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
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.to_owned());
        self.send("put_segment", async move { inner.put_segment(&tenant, &name, payload).await }).await?
    }

    async fn segment(&self, tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError> {
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.to_owned());
        self.send("segment", async move { inner.segment(&tenant, &name).await }).await?
    }

    async fn segments(&self, tenant: &TenantId) -> Result<Vec<String>, VaultError> {
        pass_on!(self, segments, tenant)
    }

    async fn remove_segments(&self, tenant: &TenantId, names: &[String]) -> Result<(), VaultError> {
        let (inner, tenant, names) = (self.inner.clone(), tenant.clone(), names.to_vec());
        self.send("remove_segments", async move { inner.remove_segments(&tenant, &names).await }).await?
    }

    async fn put_instance(&self, instance: &Instance) -> Result<(), VaultError> {
        self.inner.put_instance(instance).await
    }

    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        self.inner.instances().await
    }

    async fn remove_instance(&self, id: &InstanceId) -> Result<(), VaultError> {
        self.inner.remove_instance(id).await
    }

    async fn put_letter(&self, from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError> {
        self.inner.put_letter(from, to, body).await
    }

    async fn letters(&self, to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        self.inner.letters(to).await
    }

    async fn remove_letter(&self, from: &InstanceId, to: &InstanceId) -> Result<(), VaultError> {
        self.inner.remove_letter(from, to).await
    }

    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        self.inner.check_value().await
    }

    async fn create_check_value(&self, value: Bytes) -> Result<bool, VaultError> {
        self.inner.create_check_value(value).await
    }

    async fn replace_check_value(&self, old: Bytes, new: Bytes) -> Result<bool, VaultError> {
        self.inner.replace_check_value(old, new).await
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }
}
