//! The keeper: files in a store of objects, under `{prefix}/{tenant}/{name}`. Only validated names become paths. What it keeps was
//! checked before; it looks into no file but to tell what it is.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, Weak},
};

use bytes::Bytes;
use futures::{TryStreamExt as _, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, WriteMultipart, path::Path};
use tokio::sync::{OnceCell, OwnedMutexGuard};
use tracing::{debug, warn};

use super::{
    FileName, Links, Spool, Spooled, kind,
    quota::{Excess, Quota},
    reserve::DiskReserve,
};
use crate::{config, sync::lock, tenant::TenantId};

/// Larger files are written in pieces of this size; Google and Amazon take no smaller ones.
const PIECE: usize = 5 * 1024 * 1024;

/// One for the process.
pub struct Keeper {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    quota: Quota,
    /// The counts begin with what is there.
    counted: OnceCell<()>,
    making_room: RoomMakers,
    /// Of the folder's disk; clouds have none.
    reserve: Option<DiskReserve>,
    pub spool: Spool,
    pub links: Links,
    pub settings: config::MediaConfig,
}

/// A file that is here.
#[derive(Debug, Clone)]
pub struct StoredFile {
    meta: ObjectMeta,
}

/// The place where files are kept does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum MediaStoreError {
    #[error("the store of files: {0}")]
    Store(#[from] object_store::Error),
    #[error("the local disk: {0}")]
    Disk(#[from] std::io::Error),
    #[error("the file alone is more than the tenant may keep")]
    TooLarge,
}

impl Keeper {
    pub fn new(
        (store, prefix): (Arc<dyn ObjectStore>, Path),
        spool: Spool,
        links: Links,
        settings: config::MediaConfig,
    ) -> Self {
        let reserve = match &settings.home {
            config::MediaHome::Folder(folder) => Some(DiskReserve::new(folder.clone(), settings.reserve)),
            _ => None,
        };
        let (quota, counted, making_room) = (Quota::default(), OnceCell::new(), RoomMakers::default());
        Self { store, prefix, quota, counted, making_room, reserve, spool, links, settings }
    }

    /// The reserve of the folder's disk; `None`: files are kept in a cloud.
    pub fn reserve(&self) -> Option<&DiskReserve> {
        self.reserve.as_ref()
    }

    /// Bytes that are kept, of all tenants, as far as they were counted: with the first file that is kept.
    pub fn stored(&self) -> u64 {
        self.quota.kept()
    }

    /// The file, when it is here.
    pub async fn find(&self, tenant: &TenantId, name: &FileName) -> Result<Option<StoredFile>, MediaStoreError> {
        match self.store.head(&self.path(tenant, name)).await {
            Ok(meta) => Ok(Some(StoredFile { meta })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a file; it is there whole or not at all. The tenant's oldest files go where it is too much.
    pub async fn keep(
        &self,
        tenant: &TenantId,
        name: &FileName,
        file: &Spooled,
    ) -> Result<StoredFile, MediaStoreError> {
        if file.size > self.settings.keep_bytes.min(self.settings.keep_bytes_of_all) {
            return Err(MediaStoreError::TooLarge);
        }
        if let Err(error) = self.counted.get_or_try_init(|| self.count()).await {
            // A cloud may let us write and not list. What is kept from now on counts all the same.
            debug!(%error, "the files that are there already cannot be counted");
        }
        let coming = Coming::new(&self.quota, tenant, file.size);
        self.make_room(tenant).await?;
        if let Some(reserve) = &self.reserve {
            reserve.allow_soon(file.size).await?;
        }
        let kept = self.put(tenant, name, file).await?;
        coming.arrived();
        Ok(kept)
    }

    async fn count(&self) -> Result<(), MediaStoreError> {
        for (tenant, place) in self.tenants().await? {
            let sizes = self.files(&place).map_ok(|file| file.size);
            match sizes.try_fold(0, |sum, size| async move { Ok(sum + size) }).await {
                Ok(sum) => self.quota.set(&tenant, sum),
                Err(error) => {
                    warn!(event = "file_count_failed", %tenant, %error, "files of a tenant could not be counted")
                }
            }
        }
        Ok(())
    }

    async fn make_room(&self, tenant: &TenantId) -> Result<(), MediaStoreError> {
        let excess = |tenant| self.quota.excess(tenant, self.settings.keep_bytes, self.settings.keep_bytes_of_all);
        while let Some(Excess { tenant: of, .. }) = excess(tenant) {
            let _turn = self.making_room.take(&of).await;
            // The one before us may have made room already.
            let Some(Excess { coming, down_to, .. }) = excess(tenant).filter(|excess| excess.tenant == of) else {
                continue;
            };
            let mut files: Vec<ObjectMeta> = self.files(&self.folder(&of)).try_collect().await?;
            files.sort_by_key(|file| file.last_modified);
            let mut sum: u64 = files.iter().map(|file| file.size).sum();
            let mut removed = 0;
            for file in files {
                if sum + coming <= down_to {
                    break;
                }
                self.delete(&file.location).await?;
                sum -= file.size;
                removed += 1;
            }
            debug!(tenant = %of, removed, "the oldest files make room");
            self.quota.set(&of, sum);
            if of == *tenant || removed == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Notes the bytes that a look found of a tenant.
    pub(super) fn recount(&self, tenant: &TenantId, bytes: u64) {
        self.quota.set(tenant, bytes);
    }

    async fn put(&self, tenant: &TenantId, name: &FileName, file: &Spooled) -> Result<StoredFile, MediaStoreError> {
        let path = self.path(tenant, name);
        if file.size <= PIECE as u64 {
            let whole = file.read(0, PIECE).await?;
            self.store.put(&path, whole.into()).await?;
        } else {
            let upload = self.store.put_multipart(&path).await?;
            let mut pieces = WriteMultipart::new_with_chunk_size(upload, PIECE);
            let mut at = 0;
            while at < file.size {
                // One on its way, one being read.
                pieces.wait_for_capacity(1).await?;
                let piece = Bytes::from(file.read(at, PIECE).await?);
                at += piece.len() as u64;
                pieces.put(piece);
            }
            pieces.finish().await?;
        }
        Ok(StoredFile { meta: self.store.head(&path).await? })
    }

    /// The file's first bytes, which say what it is.
    pub async fn head(&self, kept: &StoredFile) -> Result<Bytes, MediaStoreError> {
        if kept.size() == 0 {
            return Ok(Bytes::new());
        }
        Ok(self.store.get_range(&kept.meta.location, 0..kept.size().min(kind::HEAD as u64)).await?)
    }

    /// Its bytes, as they come.
    pub async fn read(
        &self,
        kept: &StoredFile,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, MediaStoreError> {
        if range.is_empty() {
            return Ok(Box::pin(futures::stream::empty()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        Ok(self.store.get_opts(&kept.meta.location, options).await?.into_stream())
    }

    /// Tenants who have files, each with where they are.
    pub(super) async fn tenants(&self) -> Result<Vec<(TenantId, Path)>, MediaStoreError> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await?;
        let tenant = |path: Path| Some((path.filename()?.parse().ok()?, path));
        Ok(listed.common_prefixes.into_iter().filter_map(tenant).collect())
    }

    pub(super) fn files(&self, of: &Path) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(Some(of))
    }

    pub(super) async fn delete(&self, path: &Path) -> Result<(), MediaStoreError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes all files of a tenant.
    pub async fn forget(&self, tenant: &TenantId) -> Result<(), MediaStoreError> {
        let files: Vec<ObjectMeta> = self.files(&self.folder(tenant)).try_collect().await?;
        for file in files {
            self.delete(&file.location).await?;
        }
        self.quota.set(tenant, 0);
        Ok(())
    }

    fn path(&self, tenant: &TenantId, name: &FileName) -> Path {
        self.folder(tenant).join(name.as_str())
    }

    fn folder(&self, tenant: &TenantId) -> Path {
        self.prefix.clone().join(tenant.as_str())
    }
}

/// A file on its way, which counts whatever becomes of it: whoever waits for it may go away.
struct Coming<'a> {
    quota: &'a Quota,
    tenant: &'a TenantId,
    size: u64,
    is_kept: bool,
}

impl<'a> Coming<'a> {
    fn new(quota: &'a Quota, tenant: &'a TenantId, size: u64) -> Self {
        quota.begin(tenant, size);
        Self { quota, tenant, size, is_kept: false }
    }

    fn arrived(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.quota.end(self.tenant, self.size, self.is_kept);
    }
}

/// One at a time makes room for a tenant; a slow look at the files of one holds up no other.
#[derive(Default)]
struct RoomMakers(Mutex<HashMap<TenantId, Weak<tokio::sync::Mutex<()>>>>);

impl RoomMakers {
    async fn take(&self, tenant: &TenantId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.0);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(tenant).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(tenant.clone(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

impl StoredFile {
    /// Bytes.
    pub fn size(&self) -> u64 {
        self.meta.size
    }

    /// Changes when the file is kept anew.
    pub fn tag(&self) -> String {
        let given = self.meta.e_tag.clone().unwrap_or_else(|| self.meta.last_modified.timestamp_micros().to_string());
        let plain: String = given.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        format!("\"{plain}\"")
    }
}
