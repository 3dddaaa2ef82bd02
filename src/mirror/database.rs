//! The Realtime Database over REST, as Google documents it: conditional writes by ETag, writes of several paths at once, and the stream of
//! what changes at a place. With the token of the service account.
//!
//! Promises: every answer is bounded in bytes and time, and few requests are made at the same time, so a silent database holds little. The
//! token goes to the address that the operator named, and where that redirects within Google's domains of such databases. Asks once
//! more with another token where one was not taken, and else leaves it to the caller to try again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH},
};
use serde_json::Value;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use super::stream::{EventCutter, StreamEnd, StreamEvent};
use crate::{
    config::{self, Credentials},
    import::{GoogleTokens, LiveError},
    outbound::{Outbound, OutboundAnswer, OutboundError, Request, SystemLookup},
};

/// For a request with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// For a token, with the credentials that it takes.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(25);
/// A stream is opened anew after this time: its token ends after an hour.
const STREAM_LIFE: Duration = Duration::from_secs(1_800);
/// Bytes of a stream.
const STREAM_BYTES: usize = 64 << 20;
/// The database says something every 30 seconds.
const STREAM_SILENCE: Duration = Duration::from_secs(90);
/// Bytes of an order, and of a refusal.
const ANSWER_BYTES: usize = 256 << 10;
/// Of all tenants at the same time.
const MAX_REQUESTS: usize = 32;
/// Where these databases are: streams are redirected from one name to another.
const GOOGLES: &[&str] = &[".firebaseio.com", ".firebasedatabase.app"];

const WANTS_ETAG: &str = "x-firebase-etag";

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the Realtime Database does not answer: {0}")]
    Silent(String),
    #[error("the Realtime Database does not let this service account in ({0})")]
    Denied(u16),
    #[error("the Realtime Database is not there, or is something else: it answers {0}")]
    Absent(u16),
    /// This value, and no other.
    #[error("the Realtime Database refuses a value ({0})")]
    Refused(u16),
    #[error("what is there has more than {0} bytes")]
    TooLarge(usize),
    #[error("an answer of the Realtime Database is no JSON")]
    Unreadable,
    #[error("a stream of the Realtime Database ended: {0}")]
    Ended(#[from] StreamEnd),
    #[error(transparent)]
    Account(#[from] LiveError),
}

impl DatabaseError {
    /// Other values may be written all the same. An answer that is no JSON is not the database's: somebody between has answered, or it
    /// was cut.
    pub fn is_of_one(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::TooLarge(_))
    }
}

impl From<OutboundError> for DatabaseError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::TooLarge(limit) => Self::TooLarge(limit),
            error => Self::Silent(error.to_string()),
        }
    }
}

pub struct MirrorDatabase {
    outbound: Outbound,
    /// The same, with a limit of time that is a stream's.
    streams: Outbound,
    credentials: Credentials,
    /// The machine may have its credentials only later.
    tokens: OnceCell<GoogleTokens>,
    root: Url,
    requests: Semaphore,
}

impl MirrorDatabase {
    /// Asks nobody anything.
    pub fn open(settings: &config::Import, rules: &config::OutboundConfig) -> Result<Self, LiveError> {
        let url = settings.database_url.as_deref().ok_or(LiveError::Unconfigured("import.database_url is not set"))?;
        let client = |limit| Outbound::new(rules.allow.clone(), limit, Arc::new(SystemLookup));
        let no_tls = |_| LiveError::Unconfigured("no connections with TLS can be made");
        let (outbound, streams) = (client(REQUEST_TIMEOUT).map_err(no_tls)?, client(STREAM_LIFE).map_err(no_tls)?);
        let refused = |refusal| LiveError::Refused {
            place: "the Realtime Database",
            why: format!("its address {refusal} (outbound.allow)"),
        };
        let mut root = outbound.check(url).map_err(refused)?;
        root.set_query(None);
        root.set_fragment(None);
        let (credentials, tokens) = (settings.credentials.clone(), OnceCell::new());
        Ok(Self { outbound, streams, credentials, tokens, root, requests: Semaphore::new(MAX_REQUESTS) })
    }

    /// What is at a place; `Null`: nothing.
    pub async fn read(&self, path: &[&str]) -> Result<Value, DatabaseError> {
        self.read_tagged(path).await.map(|(found, _)| found)
    }

    /// The same, with the tag that [`Self::put_if`] takes.
    pub async fn read_tagged(&self, path: &[&str]) -> Result<(Value, HeaderValue), DatabaseError> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(WANTS_ETAG), HeaderValue::from_static("true"))]);
        let (answer, body) = self.ask(Request { headers, ..Request::get(self.at(path)) }).await?;
        judge(answer.status)?;
        let found = serde_json::from_slice(&body).map_err(|_| DatabaseError::Unreadable)?;
        // Without one a write is one of nobody's tags, and refused.
        let tag = answer.headers.get(ETAG).cloned().unwrap_or(HeaderValue::from_static("none"));
        Ok((found, tag))
    }

    /// Writes a place whole, if nobody has changed it since. False: somebody has.
    pub async fn put_if(&self, path: &[&str], value: &Value, tag: &HeaderValue) -> Result<bool, DatabaseError> {
        let mut request = self.write(Method::PUT, path, value);
        request.headers.insert(IF_MATCH, tag.clone());
        let (answer, _) = self.ask(request).await?;
        if answer.status == StatusCode::PRECONDITION_FAILED {
            return Ok(false);
        }
        judge(answer.status).map(|()| true)
    }

    /// Writes several places below one, all or none: an object whose names are paths.
    pub async fn patch(&self, path: &[&str], values: &Value) -> Result<(), DatabaseError> {
        let (answer, _) = self.ask(self.write(Method::PATCH, path, values)).await?;
        judge(answer.status)
    }

    /// Listens to a place.
    pub async fn listen(&self, path: &[&str]) -> Result<DatabaseStream, DatabaseError> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/event-stream"))]);
        let request = Request { headers, ..Request::get(self.at(path)) };
        let opening = async {
            let _turn = self.requests.acquire().await;
            self.send(&self.streams, request, STREAM_BYTES).await
        };
        let late = |_| DatabaseError::Silent("no stream in time".to_owned());
        let answer = timeout(REQUEST_TIMEOUT, opening).await.map_err(late)??;
        judge(answer.status)?;
        Ok(DatabaseStream { answer, cutter: EventCutter::default(), silent_at: Instant::now() + STREAM_SILENCE })
    }

    fn write(&self, method: Method, path: &[&str], value: &Value) -> Request {
        let mut url = self.at(path);
        url.set_query(Some("print=silent"));
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Request { method, headers, body: Bytes::from(value.to_string()), ..Request::get(url) }
    }

    /// Ids of tenants and orders are parts of a path as they are.
    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.root.clone();
        if let (Ok(mut parts), Some((last, above))) = (url.path_segments_mut(), path.split_last()) {
            parts.pop_if_empty().extend(above).push(&format!("{last}.json"));
        }
        url
    }

    async fn ask(&self, request: Request) -> Result<(AnswerHead, Bytes), DatabaseError> {
        // Waiting for a turn is no part of the limit of a request.
        let _turn = self.requests.acquire().await;
        let answer = self.send(&self.outbound, request, ANSWER_BYTES).await?;
        let head = AnswerHead { status: answer.status, headers: answer.headers.clone() };
        Ok((head, answer.bytes().await?))
    }

    async fn send(&self, through: &Outbound, request: Request, limit: usize) -> Result<OutboundAnswer, DatabaseError> {
        let mut is_first = true;
        loop {
            let authorization = self.authorization().await?;
            let secret_headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
            let request = Request { secret_headers, same_owner: GOOGLES, ..request.clone() };
            let answer = through.send(request, limit).await?;
            // It may have been too old, or revoked.
            let is_denied = matches!(answer.status.as_u16(), 401 | 403);
            if !(is_denied && std::mem::take(&mut is_first) && self.forget_token()) {
                return Ok(answer);
            }
        }
    }

    async fn authorization(&self) -> Result<HeaderValue, LiveError> {
        let asking = async {
            let is_plain = self.root.scheme() == "http";
            let open = || GoogleTokens::new(self.outbound.clone(), &self.credentials, is_plain);
            self.tokens.get_or_try_init(open).await?.authorization().await
        };
        let late = |_| LiveError::Silent {
            place: "what gives the service account its tokens",
            why: "no token in time".to_owned(),
        };
        timeout(TOKEN_TIMEOUT, asking).await.map_err(late)?
    }

    /// The token is not taken any more: the next request gets another one. False: there was none.
    pub fn forget_token(&self) -> bool {
        self.tokens.get().is_some_and(GoogleTokens::forget)
    }
}

struct AnswerHead {
    status: StatusCode,
    headers: HeaderMap,
}

fn judge(status: StatusCode) -> Result<(), DatabaseError> {
    match status.as_u16() {
        200..=299 => Ok(()),
        401 | 403 => Err(DatabaseError::Denied(status.as_u16())),
        400 | 413 => Err(DatabaseError::Refused(status.as_u16())),
        408 | 429 | 500.. => Err(DatabaseError::Silent(format!("it answers {}", status.as_u16()))),
        other => Err(DatabaseError::Absent(other)),
    }
}

/// What changes at a place, from the first word on, which is everything that is there.
pub struct DatabaseStream {
    answer: OutboundAnswer,
    cutter: EventCutter,
    /// It has said nothing for too long by then.
    silent_at: Instant,
}

impl DatabaseStream {
    /// The next events. Dropping the future loses none.
    pub async fn next(&mut self) -> Result<Vec<StreamEvent>, DatabaseError> {
        let silent = |_| DatabaseError::Silent("a stream says nothing any more".to_owned());
        let piece = timeout_at(self.silent_at, self.answer.chunk()).await.map_err(silent)??;
        self.silent_at = Instant::now() + STREAM_SILENCE;
        let piece = piece.ok_or_else(|| DatabaseError::Silent("a stream ended".to_owned()))?;
        self.cutter.push(&piece).map_err(|_| DatabaseError::TooLarge(super::stream::MAX_EVENT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Secret, outbound::Allow};

    #[tokio::test]
    async fn credentials_are_looked_for_when_they_are_needed_and_again_where_there_were_none() {
        let settings = config::Import {
            on_start: false,
            database_url: Some("https://kds-demo.firebaseio.com".to_owned()),
            project: String::new(),
            firestore_database: String::new(),
            credentials: Credentials::ServiceAccount(Secret::new("{}")),
            deadline: Duration::ZERO,
        };
        let rules = config::OutboundConfig { allow: Allow::default(), timeout: Duration::from_secs(1) };
        let mut database = MirrorDatabase::open(&settings, &rules).unwrap();
        let refused = database.authorization().await;
        assert!(matches!(refused, Err(LiveError::Unusable(_))), "{refused:?}");
        assert!(!database.forget_token());
        database.credentials = Credentials::Emulator("127.0.0.1:9".to_owned());
        assert_eq!(database.authorization().await.unwrap(), "Bearer owner");
    }
}
