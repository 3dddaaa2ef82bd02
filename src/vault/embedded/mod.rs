//! The vault on this machine: one SQLite file.
//!
//! Owns the file and one thread that holds its only connection ([`writer`]). Promises what [`Vault`] promises, and that an
//! answered write survives the loss of power (`synchronous=FULL`). A thousand tenants that write at the same time share an
//! fsync. A second process may open the same file; both then see each other's writes. A file that is deleted, replaced, written over or cut
//! under its hands is noticed before the next request ([`file`]), and told ([`Vault::doubts`]).

mod access;
mod columns;
mod directory;
mod file;
mod instances;
mod journal;
mod probe;
mod rescue;
mod schema;
mod segments;
mod snapshots;
mod suspicion;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::watch;

use self::{
    columns::{micros, payload, seq_to},
    directory::{decide, make_record, set, tenant_record},
    file::VaultFile,
    journal::{append, create, stand},
    snapshots::put_manifest,
    writer::{AccessMode, EmbeddedWriter, vault_error},
};
use super::{
    AppendError, Counters, Decision, DocumentKind, Footing, Heading, Instance, InstanceId, JournalDocument, Manifest,
    RecordText, Seq, SnapshotId, TenantInfo, Usage, Vault, VaultError, limits,
};
use crate::{
    seal::Digest,
    sync::lock,
    tenant::{TenantId, TenantRecord},
};

#[derive(Debug)]
pub struct Embedded {
    writer: EmbeddedWriter,
    doubts: watch::Receiver<u64>,
    renewals: Arc<AtomicU64>,
    counters: Counters,
    /// Where its file is.
    folder: PathBuf,
    /// See [`Embedded::with_floor`].
    floor: u64,
    /// See [`Embedded::with_sharing`].
    is_shared: bool,
    gave_back: Mutex<Option<Instant>>,
}

/// Between two times that pages are given back; longer than between two checkpoints.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(5);

impl Embedded {
    /// Opens the file or makes it, readable for its owner only. Blocks shortly.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let file = VaultFile::open(path)?;
        let (doubts, renewals) = (file.doubts(), file.renewals());
        let writer = EmbeddedWriter::start(file).map_err(|error| VaultError::Unavailable(error.to_string()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Ok(Self {
            writer,
            doubts,
            renewals,
            counters: Counters::default(),
            folder,
            floor: 0,
            is_shared: false,
            gave_back: Mutex::default(),
        })
    }

    /// With less than so many bytes free on its disk it takes no more entries, pieces and chunks: the rest is for takeovers,
    /// for deleting what is not needed any more, and for the working copies of the next start. With a disk that is full to
    /// the last byte nothing could be restored.
    pub fn with_floor(self, bytes: u64) -> Self {
        Self { floor: bytes, ..self }
    }

    /// Other processes may have the file open as well.
    pub fn with_sharing(self, is_shared: bool) -> Self {
        Self { is_shared, ..self }
    }

    async fn has_room(&self) -> Result<(), VaultError> {
        if self.floor == 0 {
            return Ok(());
        }
        // Where that cannot be said the write itself will tell.
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        if disk.f_bavail.saturating_mul(disk.f_frsize) >= self.floor {
            return Ok(());
        }
        // The file keeps the room of what was deleted, which the disk now needs. Seen by a later attempt.
        if self.may_give_back() {
            self.writer.run(AccessMode::Write, |connection| schema::give_back(connection).map_err(vault_error)).await?;
        }
        Err(VaultError::Unavailable(format!(
            "the disk is full: less than {} MiB are free",
            self.floor.div_ceil(1 << 20)
        )))
    }

    /// Once before each checkpoint: what is moved lies in the log until then, which must not fill what is left.
    fn may_give_back(&self) -> bool {
        let mut last = lock(&self.gave_back);
        let is_due = last.is_none_or(|at| at.elapsed() >= GIVE_BACK_PAUSE);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, VaultError> {
        self.writer.run(AccessMode::Read, |connection| work(connection).map_err(vault_error)).await
    }

    /// Reads a list, and counts it.
    async fn list<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Vec<T>> + Send + 'static,
    ) -> Result<Vec<T>, VaultError> {
        let list = self.read(work).await?;
        self.counters.read(list.len());
        Ok(list)
    }

    async fn write<T: Send + 'static>(
        &self,
        documents: usize,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, VaultError> {
        let result = self.writer.run(AccessMode::Write, |connection| work(connection).map_err(vault_error)).await?;
        self.counters.wrote(documents);
        Ok(result)
    }

    async fn records<const N: usize>(
        &self,
        query: &'static str,
        parameters: [String; N],
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.list(move |connection| {
            let mut statement = connection.prepare_cached(query)?;
            let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
                let id: String = row.get("id")?;
                let record = tenant_record(&id, row);
                Ok((id, record))
            })?;
            rows.collect()
        })
        .await
    }
}

#[async_trait]
impl Vault for Embedded {
    async fn ping(&self) -> Result<(), VaultError> {
        self.read(|connection| connection.query_row("SELECT count(*) FROM check_value", [], |_| Ok(()))).await
    }

    async fn tenants(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.records("SELECT * FROM tenants ORDER BY id", []).await
    }

    async fn restorable(&self) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        self.records("SELECT * FROM tenants WHERE whatsapp_connected = 1 ORDER BY id", []).await
    }

    async fn tenants_with(
        &self,
        text: RecordText,
        prefix: &str,
    ) -> Result<Vec<(String, Result<TenantRecord, VaultError>)>, VaultError> {
        let end = limits::prefix_end(prefix)?;
        let query = match text {
            RecordText::PhoneNumber => {
                "SELECT * FROM tenants WHERE phone_number >= ?1 AND phone_number < ?2
                 AND typeof(phone_number) = 'text' ORDER BY id"
            }
            RecordText::Status => {
                "SELECT * FROM tenants WHERE status >= ?1 AND status < ?2 AND typeof(status) = 'text' ORDER BY id"
            }
        };
        self.records(query, [prefix.to_owned(), end]).await
    }

    async fn remembered(&self) -> Result<Vec<String>, VaultError> {
        self.list(|connection| {
            let query = "SELECT id FROM tenants UNION SELECT tenant FROM journal UNION SELECT tenant FROM manifests
                         ORDER BY 1";
            connection.prepare_cached(query)?.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, VaultError> {
        let tenant = tenant.clone();
        let found = self
            .read(move |connection| {
                let mut statement = connection.prepare_cached("SELECT * FROM tenants WHERE id = ?1")?;
                statement.query_row([tenant.as_str()], |row| Ok(tenant_record(tenant.as_str(), row))).optional()
            })
            .await?;
        self.counters.read(1);
        found.transpose()
    }

    async fn notice(&self, tenant: &TenantId, notice: &TenantInfo) -> Result<(), VaultError> {
        limits::notice(notice)?;
        let (tenant, notice) = (tenant.clone(), notice.clone());
        self.write(1, move |connection| {
            make_record(connection, &tenant)?;
            let TenantInfo { name, status, last_error, last_error_at, deleted_at, config } = notice;
            set(connection, &tenant, "name", name)?;
            set(connection, &tenant, "status", status)?;
            set(connection, &tenant, "last_error", last_error)?;
            set(connection, &tenant, "last_error_at", last_error_at.map(|at| at.map(micros)))?;
            set(connection, &tenant, "deleted_at", deleted_at.map(|at| at.map(micros)))?;
            set(connection, &tenant, "config", config.map(|config| (!config.is_null()).then(|| config.to_string())))
        })
        .await
    }

    async fn append(
        &self,
        tenant: &TenantId,
        after: Option<Digest>,
        documents: &[JournalDocument],
        decision: Option<&Decision>,
    ) -> Result<(), AppendError> {
        limits::append(documents)?;
        if documents.iter().any(|document| document.kind != DocumentKind::Takeover) {
            self.has_room().await?;
        }
        let (tenant, documents, decision) = (tenant.clone(), documents.to_vec(), decision.cloned());
        let count = documents.len() + usize::from(decision.is_some());
        let work = move |connection: &Connection| append(connection, &tenant, after, &documents, decision.as_ref());
        self.writer.run(AccessMode::Write, work).await?;
        self.counters.wrote(count);
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
        limits::start_over(documents, manifest)?;
        let (tenant, documents, decision) = (tenant.clone(), documents.to_vec(), decision.clone());
        let (footing, manifest) = (footing.clone(), manifest.cloned());
        let count = documents.len() + usize::from(manifest.is_some()) + 1;
        let work = move |connection: &Connection| {
            create(connection, &tenant, &documents)?;
            stand(connection, &tenant, &footing)?;
            let rest = || {
                if let Some(manifest) = &manifest {
                    put_manifest(connection, &tenant, manifest)?;
                }
                if decision == Decision::default() {
                    return Ok(());
                }
                make_record(connection, &tenant)?;
                decide(connection, &tenant, &decision)
            };
            rest().map_err(|error| AppendError::Vault(vault_error(error)))
        };
        self.writer.run(AccessMode::Write, work).await?;
        self.counters.wrote(count);
        Ok(())
    }

    async fn document(&self, tenant: &TenantId, seq: Seq) -> Result<Option<JournalDocument>, VaultError> {
        let tenant = tenant.clone();
        let found = self.read(move |connection| journal::find(connection, &tenant, seq)).await?;
        self.counters.read(1);
        Ok(found)
    }

    async fn documents(&self, tenant: &TenantId, first: Seq) -> Result<Vec<JournalDocument>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| journal::read_from(connection, &tenant, first)).await
    }

    async fn takeovers(&self, tenant: &TenantId) -> Result<Vec<(Seq, Timestamp)>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| journal::takeovers(connection, &tenant)).await
    }

    async fn headings(&self, tenant: &TenantId, first: Seq, limit: usize) -> Result<Vec<Heading>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| journal::headings(connection, &tenant, first, limit)).await
    }

    async fn count_documents(&self, tenant: &TenantId, first: Seq, last: Seq) -> Result<u64, VaultError> {
        let tenant = tenant.clone();
        let count = self.read(move |connection| journal::count(connection, &tenant, first, last)).await?;
        self.counters.read(1);
        Ok(count.unsigned_abs())
    }

    async fn entries_below(&self, tenant: &TenantId, end: Seq) -> Result<Vec<Seq>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| journal::entries_below(connection, &tenant, end)).await
    }

    async fn empty_document(&self, tenant: &TenantId, document: &JournalDocument) -> Result<bool, VaultError> {
        let (tenant, document) = (tenant.clone(), document.clone());
        let emptied = self
            .write(0, move |connection| {
                let empty = "UPDATE journal SET payload = x'' WHERE tenant = ?1 AND seq = ?2 AND payload = ?3";
                connection.execute(empty, params![tenant.as_str(), seq_to(document.seq), &document.payload[..]])
            })
            .await?;
        self.counters.wrote(emptied);
        Ok(emptied == 1)
    }

    async fn remove_documents(&self, tenant: &TenantId, seqs: &[Seq]) -> Result<(), VaultError> {
        let (tenant, seqs, count) = (tenant.clone(), seqs.to_vec(), seqs.len());
        self.write(0, move |connection| journal::remove(connection, &tenant, &seqs)).await?;
        self.counters.deleted(count);
        Ok(())
    }

    async fn manifests(&self, tenant: &TenantId) -> Result<Vec<Manifest>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| snapshots::manifests(connection, &tenant)).await
    }

    async fn put_chunk(&self, tenant: &TenantId, id: &SnapshotId, n: u32, payload: Bytes) -> Result<(), VaultError> {
        limits::snapshot_id(id)?;
        limits::chunk(n, &payload)?;
        self.has_room().await?;
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write(1, move |connection| snapshots::put_chunk(connection, &tenant, &id, n, &payload)).await
    }

    async fn put_manifest(
        &self,
        tenant: &TenantId,
        manifest: &Manifest,
        entry: Option<Digest>,
    ) -> Result<(), AppendError> {
        limits::snapshot_id(&manifest.id)?;
        limits::payload(&manifest.payload)?;
        let (tenant, manifest) = (tenant.clone(), manifest.clone());
        let work = move |connection: &Connection| {
            stand(connection, &tenant, &Footing::Document(manifest.id.seq, entry))?;
            put_manifest(connection, &tenant, &manifest).map_err(|error| AppendError::Vault(vault_error(error)))
        };
        self.writer.run(AccessMode::Write, work).await?;
        self.counters.wrote(1);
        Ok(())
    }

    async fn chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<Vec<(u32, Bytes)>, VaultError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.list(move |connection| snapshots::chunks(connection, &tenant, &id)).await
    }

    async fn count_chunks(&self, tenant: &TenantId, id: &SnapshotId) -> Result<u64, VaultError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let count = self.read(move |connection| snapshots::count_chunks(connection, &tenant, &id)).await?;
        self.counters.read(1);
        Ok(count.unsigned_abs())
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<SnapshotId>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| snapshots::ids(connection, &tenant)).await
    }

    async fn remove_snapshot(&self, tenant: &TenantId, id: &SnapshotId) -> Result<(), VaultError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let deleted = self.write(0, move |connection| snapshots::remove(connection, &tenant, &id)).await?;
        self.counters.deleted(deleted);
        Ok(())
    }

    async fn put_segment(&self, tenant: &TenantId, name: &str, payload: Bytes) -> Result<(), VaultError> {
        limits::segment(name)?;
        limits::payload(&payload)?;
        self.has_room().await?;
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.write(1, move |connection| segments::put(connection, &tenant, &name, &payload)).await
    }

    async fn segment(&self, tenant: &TenantId, name: &str) -> Result<Option<Bytes>, VaultError> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        let found = self.read(move |connection| segments::find(connection, &tenant, &name)).await?;
        self.counters.read(1);
        Ok(found)
    }

    async fn segments(&self, tenant: &TenantId) -> Result<Vec<String>, VaultError> {
        let tenant = tenant.clone();
        self.list(move |connection| segments::names(connection, &tenant)).await
    }

    async fn remove_segments(&self, tenant: &TenantId, names: &[String]) -> Result<(), VaultError> {
        let (tenant, names, count) = (tenant.clone(), names.to_vec(), names.len());
        self.write(0, move |connection| segments::remove(connection, &tenant, &names)).await?;
        self.counters.deleted(count);
        Ok(())
    }

    async fn put_instance(&self, instance: &Instance) -> Result<(), VaultError> {
        limits::instance(instance)?;
        let instance = instance.clone();
        self.write(1, move |connection| instances::put(connection, instance)).await
    }

    async fn instances(&self) -> Result<Vec<Instance>, VaultError> {
        self.list(instances::all).await
    }

    async fn remove_instance(&self, id: &InstanceId) -> Result<(), VaultError> {
        let id = id.clone();
        self.write(0, move |connection| instances::remove(connection, &id)).await?;
        self.counters.deleted(1);
        Ok(())
    }

    async fn put_letter(&self, from: &InstanceId, to: &InstanceId, body: Bytes) -> Result<(), VaultError> {
        limits::letter(from, to, &body)?;
        let (from, to) = (from.clone(), to.clone());
        self.write(1, move |connection| instances::put_letter(connection, &from, &to, &body)).await
    }

    async fn letters(&self, to: &InstanceId) -> Result<Vec<(InstanceId, Bytes)>, VaultError> {
        let to = to.clone();
        self.list(move |connection| instances::letters(connection, &to)).await
    }

    async fn remove_letter(&self, from: &InstanceId, to: &InstanceId) -> Result<(), VaultError> {
        let (from, to) = (from.clone(), to.clone());
        self.write(0, move |connection| instances::remove_letter(connection, &from, &to)).await?;
        self.counters.deleted(1);
        Ok(())
    }

    async fn check_value(&self) -> Result<Option<Bytes>, VaultError> {
        let value = self
            .read(|connection| connection.query_row("SELECT value AS payload FROM check_value", [], payload).optional())
            .await?;
        self.counters.read(1);
        Ok(value)
    }

    async fn create_check_value(&self, value: Bytes) -> Result<bool, VaultError> {
        limits::payload(&value)?;
        let created = self
            .write(0, move |connection| {
                let put = "INSERT INTO check_value (only, value) VALUES (1, ?1) ON CONFLICT DO NOTHING";
                connection.execute(put, [&value[..]])
            })
            .await?;
        self.counters.wrote(created);
        Ok(created == 1)
    }

    async fn replace_check_value(&self, old: Bytes, new: Bytes) -> Result<bool, VaultError> {
        limits::payload(&new)?;
        if self.is_shared {
            // The others know their file by it, and would take this one for another vault's.
            return Err(VaultError::Refused(
                "other processes may share the file: end them, and open it for one alone".into(),
            ));
        }
        let replaced = self
            .write(0, move |connection| {
                let put = "UPDATE check_value SET value = ?2 WHERE value = ?1";
                let replaced = connection.execute(put, [&old[..], &new[..]])?;
                suspicion::note_check_value();
                Ok(replaced)
            })
            .await?;
        self.counters.wrote(replaced);
        Ok(replaced == 1)
    }

    fn usage(&self) -> Usage {
        self.counters.usage()
    }

    fn doubts(&self) -> watch::Receiver<u64> {
        let mut doubts = self.doubts.clone();
        // A new receiver has no doubts from before.
        doubts.mark_unchanged();
        doubts
    }

    fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
