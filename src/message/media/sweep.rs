//! Retention: files go when they are old, when nobody knows their message any more, and the oldest when a tenant has too many. One
//! pass after the other, one file after the other, in the background. WhatsApp forgets its copy too: so a wall clock that is ahead removes
//! nothing ([`Clock::certain`]).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{ObjectMeta, path::Path};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{FileName, Keeper, MediaStoreError};
use crate::{clock::Clock, tenant::TenantId};

/// A file is kept shortly before its message is.
const NEW: Duration = Duration::from_secs(600);

/// Looks up whether a file's message still exists.
#[async_trait]
pub trait MessageLookup: Send + Sync + 'static {
    /// Whether there is the message whose file it is; `None` when nobody can tell now.
    async fn knows(&self, tenant: &TenantId, name: &FileName) -> Option<bool>;
}

pub struct Sweeper {
    pub keeper: Arc<Keeper>,
    pub witness: Arc<dyn MessageLookup>,
    pub clock: Arc<dyn Clock>,
}

impl Sweeper {
    /// Until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let sweeping = async {
            loop {
                tokio::time::sleep(self.keeper.settings.sweep).await;
                match self.pass().await {
                    Ok(0) => {}
                    Ok(removed) => debug!(removed, "old files were removed"),
                    Err(error) => warn!(event = "file_sweep_failed", %error, "old files could not be removed"),
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sweeping => {}
        }
    }

    /// Removes old files, and returns how many. A tenant that fails holds up no other.
    pub async fn pass(&self) -> Result<u64, MediaStoreError> {
        let mut removed = 0;
        for (tenant, place) in self.keeper.tenants().await? {
            match self.tenant(&tenant, &place).await {
                Ok(of_tenant) => removed += of_tenant,
                Err(error) => {
                    warn!(event = "file_sweep_failed", %tenant, %error, "old files of a tenant could not be removed")
                }
            }
        }
        Ok(removed)
    }

    async fn tenant(&self, tenant: &TenantId, place: &Path) -> Result<u64, MediaStoreError> {
        let settings = &self.keeper.settings;
        let mut files: Vec<ObjectMeta> = self.keeper.files(place).try_collect().await?;
        files.sort_by_key(|file| std::cmp::Reverse(file.last_modified));
        let newest = files.first().map_or(Timestamp::MIN, written_at);
        let now = self.clock.certain(newest);
        let (mut sum, mut removed) = (0, 0);
        for file in files {
            let age = age(now, &file);
            let goes = age > settings.keep
                || sum + file.size > settings.keep_bytes
                || (age > NEW && self.is_forgotten(tenant, &file).await);
            if goes {
                match self.keeper.delete(&file.location).await {
                    Ok(()) => {
                        removed += 1;
                        continue;
                    }
                    Err(error) => {
                        warn!(event = "file_sweep_failed", %tenant, %error, "an old file could not be removed")
                    }
                }
            }
            sum += file.size;
        }
        self.keeper.recount(tenant, sum);
        Ok(removed)
    }

    async fn is_forgotten(&self, tenant: &TenantId, file: &ObjectMeta) -> bool {
        // A file that is not ours stays until it is old.
        let Some(Ok(name)) = file.location.filename().map(str::parse) else { return false };
        self.witness.knows(tenant, &name).await == Some(false)
    }
}

fn written_at(file: &ObjectMeta) -> Timestamp {
    Timestamp::from_millisecond(file.last_modified.timestamp_millis()).unwrap_or(Timestamp::MIN)
}

/// Nothing, when it is from the future.
fn age(now: Timestamp, file: &ObjectMeta) -> Duration {
    Duration::try_from(now.duration_since(written_at(file))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Mutex};

    use super::*;
    use crate::{
        clock::Instant,
        config,
        message::media::{Links, Spool, open_place},
    };

    /// A wall clock, and how far it is ahead.
    #[derive(Debug)]
    struct Hands(Mutex<Timestamp>, Mutex<Duration>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        fn certain(&self, _known: Timestamp) -> Timestamp {
            self.now() - *self.1.lock().unwrap()
        }

        fn instant(&self) -> Instant {
            Instant::from_start(Duration::ZERO)
        }
    }

    /// Knows these; nothing can be said of a tenant of another name.
    struct TestArchive(Mutex<HashSet<FileName>>);

    #[async_trait]
    impl MessageLookup for TestArchive {
        async fn knows(&self, tenant: &TenantId, name: &FileName) -> Option<bool> {
            (tenant.as_str() == "trattoria").then(|| self.0.lock().unwrap().contains(name))
        }
    }

    struct House {
        _folder: tempfile::TempDir,
        clock: Arc<Hands>,
        archive: Arc<TestArchive>,
        sweeper: Sweeper,
        /// Of another process, which has larger shares.
        elsewhere: Arc<Keeper>,
    }

    const DAY: Duration = Duration::from_secs(86_400);

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut settings = config::Config::from_parts(None, &Default::default()).unwrap().media;
            settings.home = config::MediaHome::Folder(folder.path().join("media"));
            (settings.keep, settings.keep_bytes) = (7 * DAY, 2500);
            let spool = Spool::new(folder.path().join("spool"), 0).unwrap();
            let keeper = |settings: config::MediaConfig| {
                let place = open_place(&settings.home).unwrap();
                Arc::new(Keeper::new(place, spool.clone(), Links::new("http://localhost"), settings))
            };
            let elsewhere = keeper(config::MediaConfig { keep_bytes: u64::MAX, ..settings.clone() });
            let keeper = keeper(settings);
            let clock = Arc::new(Hands(Mutex::new(Timestamp::now()), Mutex::default()));
            let archive = Arc::new(TestArchive(Mutex::default()));
            let sweeper = Sweeper { keeper, witness: archive.clone(), clock: clock.clone() };
            Self { _folder: folder, clock, archive, sweeper, elsewhere }
        }

        async fn keep(&self, tenant: &str, name: &str, size: usize) -> FileName {
            self.keep_by(&self.sweeper.keeper, tenant, name, size).await
        }

        async fn keep_by(&self, keeper: &Keeper, tenant: &str, name: &str, size: usize) -> FileName {
            let name: FileName = format!("{name}_1@lid").parse().unwrap();
            let mut pen = keeper.spool.pen(10_000).unwrap();
            pen.write(&vec![7; size]).await.unwrap().unwrap();
            keeper.keep(&tenant.parse().unwrap(), &name, &pen.finish().await.unwrap()).await.unwrap();
            self.archive.0.lock().unwrap().insert(name.clone());
            name
        }

        async fn has(&self, tenant: &str, name: &FileName) -> bool {
            self.sweeper.keeper.find(&tenant.parse().unwrap(), name).await.unwrap().is_some()
        }

        fn passes(&self, span: Duration) {
            *self.clock.0.lock().unwrap() += span;
        }
    }

    #[tokio::test]
    async fn what_is_old_goes() {
        let house = House::new();
        let names = [house.keep("trattoria", "A", 10).await, house.keep("pizzeria", "B", 10).await];
        house.passes(6 * DAY);
        assert_eq!(house.sweeper.pass().await.unwrap(), 0);
        house.passes(2 * DAY);
        assert_eq!(house.sweeper.pass().await.unwrap(), 2);
        assert!(!house.has("trattoria", &names[0]).await && !house.has("pizzeria", &names[1]).await);
        assert_eq!(house.sweeper.pass().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_nobody_knows_goes_and_only_that() {
        let house = House::new();
        let (known, forgotten) = (house.keep("trattoria", "A", 10).await, house.keep("trattoria", "B", 10).await);
        let untold = house.keep("pizzeria", "C", 10).await;
        house.archive.0.lock().unwrap().clear();
        house.archive.0.lock().unwrap().insert(known.clone());
        assert_eq!(house.sweeper.pass().await.unwrap(), 0, "its message may be about to be accepted");
        house.passes(2 * NEW);
        assert_eq!(house.sweeper.pass().await.unwrap(), 1);
        assert!(house.has("trattoria", &known).await && !house.has("trattoria", &forgotten).await);
        assert!(house.has("pizzeria", &untold).await, "a tenant that is not open is no reason");
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_are_too_many() {
        let house = House::new();
        let mut names = Vec::new();
        for name in ["A", "B", "C"] {
            names.push(house.keep_by(&house.elsewhere, "trattoria", name, 1000).await);
            // The file system's clock is coarse.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let other = house.keep("pizzeria", "D", 2000).await;
        assert_eq!(house.sweeper.pass().await.unwrap(), 1);
        assert_eq!(house.sweeper.pass().await.unwrap(), 0);
        let left = [house.has("trattoria", &names[0]).await, house.has("trattoria", &names[1]).await];
        assert_eq!(left, [false, true]);
        assert!(house.has("trattoria", &names[2]).await && house.has("pizzeria", &other).await);
    }

    #[tokio::test]
    async fn a_clock_that_went_back_removes_nothing() {
        let house = House::new();
        let name = house.keep("trattoria", "A", 10).await;
        *house.clock.0.lock().unwrap() = Timestamp::UNIX_EPOCH;
        assert_eq!(house.sweeper.pass().await.unwrap(), 0);
        assert!(house.has("trattoria", &name).await);
        *house.clock.0.lock().unwrap() = Timestamp::MAX;
        assert_eq!(house.sweeper.pass().await.unwrap(), 1, "it is as late as that");
    }

    #[tokio::test]
    async fn a_wall_clock_that_is_ahead_removes_nothing() {
        let house = House::new();
        let known = house.keep("trattoria", "A", 10).await;
        let forgotten = house.keep("trattoria", "B", 10).await;
        house.archive.0.lock().unwrap().remove(&forgotten);
        house.passes(31 * DAY);
        *house.clock.1.lock().unwrap() = 31 * DAY;
        assert_eq!(house.sweeper.pass().await.unwrap(), 0);
        assert!(house.has("trattoria", &known).await && house.has("trattoria", &forgotten).await);
        house.passes(8 * DAY);
        assert_eq!(house.sweeper.pass().await.unwrap(), 2, "they are old by any clock");
    }

    /// Also where the others come behind it.
    #[tokio::test]
    async fn a_tenant_whose_files_cannot_be_listed_holds_up_nobody() {
        let house = House::new();
        let names = [house.keep("trattoria", "A", 10).await, house.keep("zeppelin", "B", 10).await];
        let broken = house._folder.path().join("media");
        let of_trattoria = std::fs::read_dir(&broken).unwrap().map(|entry| entry.unwrap().path());
        let of_trattoria = of_trattoria.into_iter().find(|path| path.ends_with("trattoria"));
        let of_trattoria = of_trattoria.unwrap_or_else(|| broken.join("trattoria"));
        std::os::unix::fs::symlink(&of_trattoria, of_trattoria.join("round")).unwrap();
        house.passes(8 * DAY);
        assert_eq!(house.sweeper.pass().await.unwrap(), 1);
        assert!(!house.has("zeppelin", &names[1]).await);
    }
}
