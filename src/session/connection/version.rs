//! Which version of WhatsApp Web the sessions claim: fetched once a process, and again when WhatsApp calls it outdated.
//!
//! One task fetches, for all. Promises: nobody waits for WhatsApp's web host longer than [`FetchLimits::wait`] after the first who needed
//! the version; after that, and while the host fails, all claim the last version that is known, or the one that is built in.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{info, warn};
use whatsapp_rust::wacore::{
    net::{HttpClient, HttpRequest},
    version::parse_sw_js,
};

/// Claimed while WhatsApp itself could not be asked.
const BUILT_IN: Version = (2, 3000, 1_026_131_876);

/// How long a web host is waited for.
#[derive(Debug, Clone, Copy)]
struct FetchLimits {
    /// By sessions that need a version. A host that answers does so within a fraction of it.
    wait: Duration,
    /// By the fetch.
    fetch: Duration,
    /// Before the next fetch, after one that failed.
    again: Duration,
}

const LIMITS: FetchLimits =
    FetchLimits { wait: Duration::from_secs(2), fetch: Duration::from_secs(60), again: Duration::from_secs(60) };

pub type Version = (u32, u32, u32);

pub struct Versions {
    fixed: Option<Version>,
    limits: FetchLimits,
    known: watch::Sender<ClaimedVersion>,
    /// Somebody needs a version that has to be fetched.
    needed: Notify,
}

struct ClaimedVersion {
    version: Version,
    /// WhatsApp has named it, and has not called it outdated.
    is_current: bool,
    /// The last that WhatsApp called outdated: its web host may still name it.
    outdated: Option<Version>,
    /// How long those who need a current one wait for it, once somebody does.
    until: Option<Instant>,
}

impl ClaimedVersion {
    fn is_settled(&self) -> bool {
        self.is_current || self.until.is_none_or(|until| until <= Instant::now())
    }
}

impl Versions {
    /// `fixed`: never asks.
    pub fn new(fixed: Option<Version>) -> Self {
        let known = ClaimedVersion { version: BUILT_IN, is_current: false, outdated: None, until: None };
        Self { fixed, limits: LIMITS, known: watch::Sender::new(known), needed: Notify::new() }
    }

    /// The version to claim now.
    pub async fn current(&self) -> Version {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let mut known = self.known.subscribe();
        self.known.send_if_modified(|known| {
            let is_first = !known.is_current && known.until.is_none();
            if is_first {
                known.until = Some(Instant::now() + self.limits.wait);
                self.needed.notify_one();
            }
            is_first
        });
        let until = known.borrow().until.unwrap_or_else(Instant::now);
        let _ = timeout_at(until, known.wait_for(ClaimedVersion::is_settled)).await;
        known.borrow().version
    }

    /// WhatsApp called `version` outdated: another is fetched, unless it is known already.
    pub fn outdated(&self, version: Version) {
        self.known.send_if_modified(|known| {
            let is_news = known.is_current && known.version == version;
            if is_news {
                (known.is_current, known.outdated) = (false, Some(version));
            }
            is_news
        });
    }

    /// Fetches the version whenever somebody needs it.
    pub async fn keep(&self, http: &Arc<dyn HttpClient>) -> Infallible {
        loop {
            self.needed.notified().await;
            let FetchLimits { fetch: limit, again, .. } = self.limits;
            let fetched = timeout(limit, fetch(http)).await;
            let fetched = fetched.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {limit:?}")));
            let outdated = self.known.borrow().outdated;
            match fetched.and_then(|version| match Some(version) == outdated {
                true => Err(anyhow::anyhow!("it still names the one that WhatsApp calls outdated")),
                false => Ok(version),
            }) {
                Ok(version) => {
                    info!(event = "version_claimed", version = ?version, "claiming WhatsApp Web's current version");
                    self.known.send_replace(ClaimedVersion { version, is_current: true, outdated: None, until: None });
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(
                        event = "version_unfetched",
                        error, "WhatsApp Web's version could not be fetched; claiming an old one"
                    );
                    self.known.send_modify(|known| known.until = Some(Instant::now()));
                    sleep(again).await;
                    // The next who needs it has it fetched anew.
                    self.known.send_modify(|known| known.until = None);
                }
            }
        }
    }
}

/// `sw.js` names the client's revision; the same place that WhatsApp Web itself reads.
async fn fetch(http: &Arc<dyn HttpClient>) -> anyhow::Result<Version> {
    let request = HttpRequest::get("https://web.whatsapp.com/sw.js").with_header("sec-fetch-site", "none").with_header(
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    );
    let response = http.execute(request).await?;
    anyhow::ensure!(response.status_code == 200, "status {}", response.status_code);
    parse_sw_js(&response.body_string()?).ok_or_else(|| anyhow::anyhow!("no revision in it"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures::future::{join_all, pending};
    use whatsapp_rust::wacore::net::HttpResponse;

    use super::*;

    /// WhatsApp's web host: silent, or with a revision.
    #[derive(Default)]
    struct WebHost {
        revision: std::sync::Mutex<Option<u32>>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl HttpClient for WebHost {
        async fn execute(&self, _: HttpRequest) -> anyhow::Result<HttpResponse> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let revision = *self.revision.lock().unwrap();
            let Some(revision) = revision else { return pending().await };
            let body = format!(r#""client_revision":{revision},"#).into_bytes();
            Ok(HttpResponse { status_code: 200, body })
        }
    }

    struct VersionWorld {
        versions: Arc<Versions>,
        host: Arc<WebHost>,
    }

    const SHORT: FetchLimits = FetchLimits {
        wait: Duration::from_millis(300),
        fetch: Duration::from_millis(600),
        again: Duration::from_millis(100),
    };

    /// For a host that is silent for good.
    const PATIENT: FetchLimits = FetchLimits { fetch: Duration::from_secs(600), ..SHORT };

    impl VersionWorld {
        fn new(limits: FetchLimits) -> Self {
            let versions = Arc::new(Versions { limits, ..Versions::new(None) });
            let host = Arc::new(WebHost::default());
            let (kept, http) = (versions.clone(), host.clone() as Arc<dyn HttpClient>);
            tokio::spawn(async move { kept.keep(&http).await });
            Self { versions, host }
        }

        fn answers(&self, revision: Option<u32>) {
            *self.host.revision.lock().unwrap() = revision;
        }

        fn asked(&self) -> usize {
            self.host.asked.load(Ordering::Relaxed)
        }

        /// All claim the same version; and after how long.
        async fn claim(&self, sessions: usize) -> (Version, Duration) {
            let began = Instant::now();
            let all = join_all((0..sessions).map(|_| self.versions.current()));
            let claimed = timeout(LIMIT, all).await.expect("a session waits for WhatsApp's web host");
            assert!(claimed.iter().all(|version| *version == claimed[0]), "{claimed:?}");
            (claimed[0], began.elapsed())
        }
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_silent_host_costs_all_sessions_together_one_short_wait() {
        let world = VersionWorld::new(PATIENT);
        let (claimed, waited) = world.claim(100).await;
        assert_eq!(claimed, BUILT_IN);
        assert!(waited >= PATIENT.wait, "{waited:?}");
        // It was waited for already.
        let again = Instant::now();
        for _ in 0..100 {
            world.claim(1).await;
        }
        assert!(again.elapsed() < 10 * PATIENT.wait, "{:?}", again.elapsed());
        assert_eq!(world.asked(), 1, "one fetch at a time");
    }

    #[tokio::test]
    async fn an_outdated_version_is_fetched_anew_and_claimed_until_there_is_a_newer() {
        let world = VersionWorld::new(SHORT);
        world.answers(Some(7));
        assert_eq!(world.claim(3).await.0, (2, 3000, 7));
        world.versions.outdated(BUILT_IN);
        assert_eq!(world.claim(1).await.0, (2, 3000, 7));
        assert_eq!(world.asked(), 1, "it was another that is outdated");

        world.answers(None);
        world.versions.outdated((2, 3000, 7));
        assert_eq!(world.claim(3).await.0, (2, 3000, 7), "the last known is nearer than the one that is built in");
        world.answers(Some(8));
        let newer = async {
            while world.claim(1).await.0 != (2, 3000, 8) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, newer).await.expect("the next fetch");
    }

    /// WhatsApp calls a version outdated that its web host still names.
    #[tokio::test]
    async fn a_host_that_names_the_outdated_version_is_not_asked_without_end() {
        let world = VersionWorld::new(FetchLimits { again: Duration::from_secs(600), ..SHORT });
        world.answers(Some(7));
        world.claim(1).await;
        for _ in 0..20 {
            world.versions.outdated((2, 3000, 7));
            assert_eq!(world.claim(5).await.0, (2, 3000, 7));
        }
        assert_eq!(world.asked(), 2);
    }
}
