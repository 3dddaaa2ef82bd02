//! Requests to WhatsApp on the current connection, each with a deadline. No request is repeated; the caller gets the
//! outcome.

pub(super) mod account_limits;
pub(super) mod channels;
pub(super) mod chats;
pub(super) mod contacts;
pub mod groups;
pub(super) mod labels;
pub(super) mod pace;
pub(super) mod presence;
pub(super) mod profile;
pub(super) mod read_receipts;
pub(super) mod subjects;

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::time::timeout;
use tracing::debug;
use whatsapp_rust::{
    Client, Jid, Server,
    features::{GroupError, MexError},
    request::IqError,
};

use self::pace::RequestKind;
use super::{End, Session};
use crate::store::StoreError;

/// WhatsApp answers within a second; the library itself would wait for more than a minute.
pub(in crate::session) const WHATSAPP_ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why WhatsApp did not do what was asked, or was not asked.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("the session is not connected to WhatsApp")]
    NotConnected,
    /// Nothing was done. The next session can be asked.
    #[error("the session is over: {0}")]
    Ended(End),
    /// The line is down, or the answer did not come in time. Whether it was done is not known.
    #[error("WhatsApp does not answer")]
    Unreachable,
    /// WhatsApp answers, in a form that is not known here. Asking again would bring the same.
    #[error("WhatsApp's answer cannot be read")]
    Unreadable,
    /// The settings are sealed with keys that the phone has not shared.
    #[error("the phone has not shared the keys of its settings")]
    NoKeys,
    #[error("{field}: {expected}")]
    Input { field: &'static str, expected: &'static str },
    /// There is no such thing at WhatsApp, or not for this account.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    #[error("WhatsApp does not allow it to this account")]
    NotAllowed,
    /// It was changed by someone else at the same time, or is so already.
    #[error("WhatsApp has it otherwise")]
    Conflict,
    /// There is another one of this name.
    #[error("there is a {0} of this name")]
    NameTaken(&'static str),
    /// There are as many as WhatsApp allows.
    #[error("there are {most} {of}, and WhatsApp allows no more")]
    Full { most: usize, of: &'static str },
    /// So says WhatsApp, or the tenant's [`RequestKind`] allowance.
    #[error("WhatsApp wants fewer requests")]
    TooMany { wait: Duration },
    #[error("WhatsApp refuses: {0}")]
    WhatsApp(String),
    /// Too many read history: WhatsApp was not asked.
    #[error("too many conversations are being read at once")]
    ReadersBusy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<End> for RequestError {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl RequestError {
    /// Maps an error of the library.
    pub(in crate::session) fn of(error: &(impl Error + 'static)) -> Self {
        debug!(%error, "WhatsApp was asked in vain");
        if let Some(rejection) = whatsapp_rust::ErrorChainExt::server_rejection(error) {
            let wait = Duration::from_secs(rejection.backoff.unwrap_or(60).into());
            return Self::of_code(rejection.code, rejection.text, wait);
        }
        let sources = || whatsapp_rust::ErrorChainExt::sources(error);
        if let Some((code, text)) = sources().find_map(|error| graphql(&error.to_string())) {
            return Self::of_code(code, &text, Duration::from_secs(60));
        }
        sources().find_map(Self::of_cause).unwrap_or(Self::Unreachable)
    }

    /// `None`: it says nothing of an answer.
    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(IqError::ParseError(_) | IqError::UnexpectedResponseType { .. }) = cause.downcast_ref() {
            return Some(Self::Unreadable);
        }
        if let Some(MexError::PayloadParsing(_) | MexError::InvalidJid(_) | MexError::Json(_)) = cause.downcast_ref() {
            return Some(Self::Unreadable);
        }
        if let Some(GroupError::DescriptionConflict) = cause.downcast_ref() {
            return Some(Self::Conflict);
        }
        // The library has no types for these.
        let said = cause.to_string();
        match &*said {
            said if said.contains("no app state sync key") => Some(Self::NoKeys),
            said if said.starts_with("app-state patch for ") && said.contains("still conflicting") => {
                Some(Self::Conflict)
            }
            said if said.starts_with("app-state patch for ") && said.contains("rejected") => {
                Some(Self::WhatsApp(said.to_owned()))
            }
            said if said.starts_with("unreadable app-state patch response") => Some(Self::Unreadable),
            said if said.starts_with("app-state patch response collection mismatch") => Some(Self::Unreadable),
            _ => None,
        }
    }

    pub(in crate::session) fn of_code(code: u16, text: &str, wait: Duration) -> Self {
        match code {
            401 | 403 | 405 => Self::NotAllowed,
            404 | 410 => Self::Unknown("thing at WhatsApp"),
            409 => Self::Conflict,
            429 => Self::TooMany { wait },
            500..=599 if code != 501 => Self::Unreachable,
            code => Self::WhatsApp(format!("{code} {text}")),
        }
    }

    /// Says what was not found, where the caller knows.
    pub(in crate::session) fn about(self, what: &'static str) -> Self {
        if let Self::Unknown(_) = self { Self::Unknown(what) } else { self }
    }
}

impl Session {
    /// Asks on the connection that is up now, within the tenant's allowance for this kind.
    pub(in crate::session) async fn ask<T, E, F>(
        &self,
        kind: RequestKind,
        ask: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T, RequestError>
    where
        E: Error + 'static,
        F: Future<Output = Result<T, E>> + Send,
    {
        let client = self.connected()?;
        self.0.pace.take(kind).map_err(|wait| RequestError::TooMany { wait })?;
        // Boxed: the library's futures are deep and large, and a handler's would hold them all.
        match timeout(WHATSAPP_ANSWER_TIMEOUT, ask(client).boxed()).await {
            Ok(answered) => answered.map_err(|error| RequestError::of(&error)),
            Err(_) => Err(RequestError::Unreachable),
        }
    }

    /// Changes a setting that all of the tenant's devices have. WhatsApp tells it back before the library returns; what it told is
    /// durable when this returns.
    pub(in crate::session) async fn set<T, E, F>(&self, ask: impl FnOnce(Arc<Client>) -> F) -> Result<T, RequestError>
    where
        E: Error + 'static,
        F: Future<Output = Result<T, E>> + Send,
    {
        let set = self.ask(RequestKind::Change, ask).await?;
        let inner = &self.0;
        // The session's own, and not its client's: who goes away does not take what WhatsApp told along.
        let session = inner.clone();
        let _ = inner.tasks.spawn(async move { session.collected.write(&session).await }).await;
        match timeout(WHATSAPP_ANSWER_TIMEOUT, inner.store.wait(inner.journal.recorded())).await {
            Ok(waited) => waited.map_err(StoreError::from)?,
            // It is set all the same, and will be told again.
            Err(_) => debug!("a setting is not durable yet"),
        }
        Ok(set)
    }

    /// The client of the connection that is up now.
    pub(in crate::session) fn connected(&self) -> Result<Arc<Client>, RequestError> {
        // One that somebody stopped does not come back by itself.
        let comes_back = || self.status().paired && !self.is_stopped();
        let refusal = || if comes_back() { RequestError::Unreachable } else { RequestError::NotConnected };
        self.0.ready.borrow().clone().ok_or_else(|| self.not_ready_error(refusal()))
    }
}

/// Parses code and text out of the sentence that the library makes of a GraphQL refusal.
fn graphql(error: &str) -> Option<(u16, String)> {
    // Its own sentence for an answer without what was asked for.
    if error.contains("newsletter not found") {
        return Some((404, error.to_owned()));
    }
    let (code, text) = error.strip_prefix("MEX fatal error (")?.split_once("code=")?.1.split_once("): ")?;
    Some((code.parse().ok()?, text.to_owned()))
}

/// True for a name of so many characters at the most, of which something can be seen.
fn is_name(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && is_whole(text)
}

/// True for a text that does not end, for a phone, before its end.
fn is_whole(text: &str) -> bool {
    !text.contains('\0')
}

/// The jid of a person.
pub(in crate::session) fn person(field: &'static str, text: &str) -> Result<Jid, RequestError> {
    let jid = text.parse::<Jid>().ok().filter(|jid| matches!(jid.server, Server::Pn | Server::Lid));
    let flaw = RequestError::Input { field, expected: "expected a person's id like 573001112233@c.us" };
    jid.map(|jid| jid.to_non_ad()).filter(|jid| is_number(&jid.user)).ok_or(flaw)
}

/// The jid of a conversation: a person, a group, a channel or the status.
pub(in crate::session) fn chat(field: &'static str, text: &str) -> Result<Jid, RequestError> {
    let flaw = RequestError::Input { field, expected: "expected a chat id like 573001112233@c.us" };
    text.parse::<Jid>().map(|jid| jid.to_non_ad()).map_err(|_| flaw)
}

/// The jid of a group.
pub(in crate::session) fn group(field: &'static str, text: &str) -> Result<Jid, RequestError> {
    let jid = text.parse::<Jid>().ok().filter(|jid| jid.server == Server::Group);
    let flaw = RequestError::Input { field, expected: "expected a group's id like 120363000000000000@g.us" };
    // Groups of old are named by their maker's number and the time.
    jid.filter(|jid| jid.user.split('-').all(is_number)).ok_or(flaw)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit())
}
