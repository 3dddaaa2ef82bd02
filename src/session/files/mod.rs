//! Files of messages between WhatsApp's hosts and the keeper.
//!
//! Promises: a file is kept only when it is what its message says; one that is not here is fetched when somebody asks for it, once
//! however many ask; nothing that a stranger wrote in a message leads anywhere but to WhatsApp's own hosts; what is sent is with
//! WhatsApp before it is accepted. Files are never whole in memory.

mod download;
mod eager;
mod from_url;
pub(super) mod reference;
mod upload;

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::{OwnedRwLockWriteGuard, RwLock, Semaphore, oneshot},
    time::{Instant, timeout},
};
use tracing::{Instrument as _, debug, info_span, warn};
use whatsapp_rust::waproto::codec;

use self::from_url::UrlTurns;
pub use self::{
    eager::eager,
    from_url::UrlPlaces,
    upload::{FileSource, Pictured, Uploaded},
};
use super::{
    Inner, Session,
    requests::pace::{RequestKind, RequestPace},
};
use crate::{
    message::{
        Message,
        media::{FileName, MediaStoreError, StoredFile},
    },
    store::StoreError,
    sync::lock,
    telemetry::metrics::{self, label::FetchOutcome},
};

/// How long somebody who asks for a file waits for it; it goes on being fetched.
const FILE_WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// Files that may be waited for at the same time, of one tenant.
const MAX_FLIGHTS: usize = 64;

/// A file of which it is known that it does not come is not fetched again before this.
const FINAL: Duration = Duration::from_secs(60);

/// The phone is not asked for the same file again before this.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// How many files are remembered that failed, and how many that the phone was asked for.
const REMEMBERED: usize = 256;

/// A file that many are sent is taken to WhatsApp again after this: it may be another one at the same URL.
const SHARED_FOR: Duration = Duration::from_secs(300);

/// Its URL, and the name and the type that are said of it.
type SharedFile = (String, Option<String>, Option<String>);

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("there is no such file")]
    Unknown,
    #[error("the session is not connected to WhatsApp")]
    Offline,
    /// Until the phone uploads it again.
    #[error("WhatsApp does not have the file any more, and the phone did not send it again")]
    Gone,
    #[error("the file is not the one that its message names")]
    Damaged,
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    #[error("WhatsApp's hosts do not give the file")]
    Hosts,
    #[error("the place where files are kept cannot be used")]
    Storage,
    #[error("the file is still being fetched")]
    Slow,
    /// The tenant asks WhatsApp for more of them than is good for the account.
    #[error("too many files are asked for")]
    TooMany { wait: Duration },
}

impl FileError {
    /// Whether it may be otherwise soon.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Offline | Self::Hosts | Self::Storage | Self::Slow | Self::TooMany { .. })
    }

    /// Whether another try would bring the same, and cost WhatsApp's hosts or the phone as much.
    fn is_final(&self) -> bool {
        matches!(self, Self::Gone | Self::Damaged | Self::TooLarge(_))
    }

    fn counted_as(&self) -> FetchOutcome {
        match self {
            Self::Unknown => FetchOutcome::Unknown,
            Self::Offline => FetchOutcome::Offline,
            Self::Gone => FetchOutcome::Gone,
            Self::Damaged => FetchOutcome::Damaged,
            Self::TooLarge(_) => FetchOutcome::TooLarge,
            Self::Hosts => FetchOutcome::Hosts,
            Self::Storage => FetchOutcome::Storage,
            Self::Slow => FetchOutcome::Slow,
            Self::TooMany { .. } => FetchOutcome::TooMany,
        }
    }
}

impl From<StoreError> for FileError {
    fn from(error: StoreError) -> Self {
        warn!(event = "message_lookup_failed", %error, "a message cannot be looked up");
        Self::Storage
    }
}

impl From<MediaStoreError> for FileError {
    fn from(error: MediaStoreError) -> Self {
        warn!(event = "files_unkept", %error, "files cannot be kept");
        Self::Storage
    }
}

/// Why a file is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FetchCause {
    /// Its message came: WhatsApp says how many do.
    Came,
    /// Somebody asks, as often as may be.
    Asked,
}

type SharedFetch = Shared<BoxFuture<'static, Result<StoredFile, FileError>>>;

/// One session's files.
pub struct Files {
    flights: Mutex<HashMap<FileName, SharedFetch>>,
    /// Why it did not come, and when that was.
    failures: Mutex<Memory<FileName, (FileError, Instant)>>,
    /// When the phone was asked.
    asked: Mutex<Memory<FileName, Instant>>,
    /// Files of bots that WhatsApp has.
    shared: Mutex<Memory<SharedFile, (Uploaded, Instant)>>,
    /// URLs of such files that could not be had, and when.
    missing: Mutex<Memory<String, Instant>>,
    /// Held while a file is kept; for writing, while the tenant becomes another account.
    keeping: Arc<RwLock<()>>,
    /// Downloads of this tenant.
    slots: Semaphore,
    /// Files that its phone is asked for.
    phone_turns: Semaphore,
    /// Files that it sends.
    sends: Semaphore,
    /// Files that it names by URL.
    urls: UrlTurns,
}

impl Files {
    pub fn new(per_tenant: usize) -> Self {
        Self {
            flights: Mutex::default(),
            failures: Mutex::default(),
            asked: Mutex::default(),
            shared: Mutex::default(),
            missing: Mutex::default(),
            keeping: Arc::default(),
            slots: Semaphore::new(per_tenant),
            phone_turns: Semaphore::new(per_tenant),
            sends: Semaphore::new(per_tenant),
            urls: UrlTurns::new(per_tenant),
        }
    }

    /// Whether the phone may be asked to send this file again; it counts as asked. An error: it was asked for too many.
    fn may_ask(&self, name: &FileName, cause: FetchCause, pace: &RequestPace) -> Result<bool, FileError> {
        let mut asked = lock(&self.asked);
        if asked.get(name).is_some_and(|at| at.elapsed() <= ASK_AGAIN) {
            return Ok(false);
        }
        let kind = match cause {
            FetchCause::Came => RequestKind::UnaskedReupload,
            FetchCause::Asked => RequestKind::Reupload,
        };
        pace.take(kind).map_err(|wait| FileError::TooMany { wait })?;
        asked.put(name.clone(), Instant::now());
        Ok(true)
    }

    /// A file that was taken to WhatsApp a moment ago.
    fn uploaded(&self, file: &SharedFile) -> Option<Uploaded> {
        let shared = lock(&self.shared);
        let (uploaded, since) = shared.get(file)?;
        (since.elapsed() < SHARED_FOR).then(|| uploaded.clone())
    }

    fn note_uploaded(&self, file: SharedFile, uploaded: Uploaded) {
        lock(&self.shared).put(file, (uploaded, Instant::now()));
    }

    /// Why a file does not come, where that was found out a moment ago.
    fn known_failure(&self, name: &FileName) -> Option<FileError> {
        let failures = lock(&self.failures);
        let (failure, since) = failures.get(name)?;
        (failure.is_final() && since.elapsed() < FINAL).then(|| failure.clone())
    }
}

impl Session {
    /// The file of a message, fetched when it is not here.
    pub async fn file(&self, name: &FileName) -> Result<StoredFile, FileError> {
        if let Some(kept) = self.0.env.media.find(&self.0.tenant, name).await? {
            return Ok(kept);
        }
        if let Some(failure) = self.0.files.known_failure(name) {
            return Err(failure);
        }
        let flight = self.0.fly(name, FetchCause::Asked)?;
        timeout(FILE_WAIT_TIMEOUT, flight).await.unwrap_or(Err(FileError::Slow))
    }

    /// Where the file of a message is served; `None` when it has none.
    pub fn file_url(&self, message: &Message) -> Option<String> {
        self.0.env.media.links.of(&self.0.tenant, message)
    }

    /// Why the file of a message could not be fetched, when it was tried last.
    pub fn file_failure(&self, message: &Message) -> Option<FileError> {
        lock(&self.0.files.failures).get(&FileName::of(message)?).map(|(failure, _)| failure.clone())
    }

    /// A file that a bot sends could not be had at its URL: for a moment nobody waits for it again.
    pub fn note_missing_file(&self, url: &str) {
        lock(&self.0.files.missing).put(url.to_owned(), Instant::now());
    }

    /// Whether it could not be had a moment ago.
    pub fn is_missing_file(&self, url: &str) -> bool {
        lock(&self.0.files.missing).get(&url.to_owned()).is_some_and(|since| since.elapsed() < FINAL)
    }

    /// The name that the sender of a file gave to it, as far as its message is kept.
    pub async fn file_title(&self, name: &FileName) -> Option<String> {
        let (body, _) = reference::body(&self.0, name).await.ok()??;
        reference::title(&codec::message_decode(&body).ok()?)
    }

    /// Whether there is the message whose file it is.
    pub async fn knows_file(&self, name: &FileName) -> Result<bool, StoreError> {
        Ok(reference::body(&self.0, name).await?.is_some())
    }
}

impl Inner {
    /// The fetching of a file: one, however many wait for it.
    fn fly(self: &Arc<Self>, name: &FileName, cause: FetchCause) -> Result<SharedFetch, FileError> {
        if self.stop.is_cancelled() {
            return Err(FileError::Offline);
        }
        let mut flights = lock(&self.files.flights);
        if let Some(flight) = flights.get(name) {
            return Ok(flight.clone());
        }
        if flights.len() >= MAX_FLIGHTS {
            return Err(FileError::Slow);
        }
        let (landed, landing) = oneshot::channel();
        let flight = landing.map(|landed| landed.unwrap_or(Err(FileError::Offline))).boxed().shared();
        flights.insert(name.clone(), flight.clone());
        let (session, name) = (self.clone(), name.clone());
        // Not the asker's: who goes away does not end it for the others.
        self.tasks.spawn(
            async move {
                let fetched = tokio::select! {
                    () = session.stop.cancelled() => Err(FileError::Offline),
                    fetched = fetch(&session, &name, cause) => fetched,
                };
                session.note(&name, &fetched);
                lock(&session.files.flights).remove(&name);
                let _ = landed.send(fetched);
            }
            .instrument(info_span!("file", tenant = %self.tenant)),
        );
        Ok(flight)
    }

    /// Deletes the tenant's files, since they are served to whoever knows their names. None is kept as long as what is returned lives:
    /// by then the tenant must be another account. What is lost can be fetched again, as long as there is somebody to fetch it for.
    pub(in crate::session) async fn forget_files(&self) -> OwnedRwLockWriteGuard<()> {
        let forgetting = self.files.keeping.clone().write_owned().await;
        if let Err(error) = self.env.media.forget(&self.tenant).await {
            warn!(event = "former_files_kept", %error, "files of the former account stay until they are swept");
        }
        forgetting
    }

    fn note(&self, name: &FileName, fetched: &Result<StoredFile, FileError>) {
        let mut failures = lock(&self.files.failures);
        match fetched {
            Ok(_) => failures.remove(name),
            // It says nothing of the file.
            Err(FileError::TooMany { .. } | FileError::Slow) => {}
            Err(error) => {
                debug!(message.id = name.id(), %error, "a file was not fetched");
                failures.put(name.clone(), (error.clone(), Instant::now()));
            }
        }
    }
}

async fn fetch(session: &Arc<Inner>, name: &FileName, cause: FetchCause) -> Result<StoredFile, FileError> {
    let env = &session.env;
    // It may have come while this one waited for its turn.
    if let Some(kept) = env.media.find(&session.tenant, name).await? {
        return Ok(kept);
    }
    let reference = reference::find(session, name).await?.ok_or(FileError::Unknown)?;
    let file = download::download(session, name, reference, cause).await;
    let (outcome, bytes) = match &file {
        Ok(file) => (FetchOutcome::Fetched, file.size),
        Err(error) => (error.counted_as(), 0),
    };
    metrics::media_fetched(outcome, bytes);
    let file = file?;
    // A place where files are kept may hold pieces of each in memory.
    let _own = session.files.slots.acquire().await;
    let _keeping = session.files.keeping.read().await;
    // The tenant may be another account's by now, whom this file is no business of.
    reference::find(session, name).await?.ok_or(FileError::Unknown)?;
    Ok(env.media.keep(&session.tenant, name, &file).await?)
}

/// Remembers the last few.
struct Memory<K, V> {
    map: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self { map: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Eq + Hash + Clone, V> Memory<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    fn put(&mut self, key: K, value: V) {
        if self.map.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.map.remove(&oldest);
            }
        }
    }

    fn remove(&mut self, key: &K) {
        if self.map.remove(key).is_some() {
            self.order.retain(|known| known != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// A customer decides what comes: messages whose files WhatsApp never had make a phone busy, and not its owner wait.
    #[test]
    fn what_comes_leaves_the_owner_the_questions_to_the_phone() {
        let (files, pace) = (Files::new(1), RequestPace::new(SystemClock::shared()));
        let name =
            |n: usize| FileName::new(&format!("A{n}"), "573001112233@s.whatsapp.net", "573001112233@s.whatsapp.net");
        let ask = |n: usize, cause| files.may_ask(&name(n).unwrap(), cause, &pace);
        let refused = (0..100).find(|n| ask(*n, FetchCause::Came).is_err());
        assert!(refused.is_some_and(|n| n >= 30), "{refused:?}");
        assert_eq!(ask(100, FetchCause::Asked), Ok(true));
        assert_eq!(ask(100, FetchCause::Asked), Ok(false), "the same again so soon");
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for n in 0..2 * REMEMBERED {
            memory.put(n, n);
            memory.put(n, n + 1);
        }
        assert_eq!((memory.map.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!((memory.get(&0), memory.get(&(REMEMBERED + 1))), (None, Some(&(REMEMBERED + 2))));
        memory.remove(&(REMEMBERED + 1));
        assert_eq!((memory.map.len(), memory.order.len()), (REMEMBERED - 1, REMEMBERED - 1));
    }
}
