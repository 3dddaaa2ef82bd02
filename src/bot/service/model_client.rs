//! The operator's language model, asked over HTTP. Owns the time limit, how many are asked at once, and the rest that a model gets which
//! does not answer. Promises that an answer comes within the limit, if only the one that there is none; and that neither what is asked
//! nor what is answered is logged.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::{debug, warn};

use crate::{
    bot::{
        language_model::{self, MAX_MODEL_ANSWER_BYTES, ModelAnswerError, ModelLine},
        menu::Menu,
    },
    config,
    outbound::{Allow, Outbound, OutboundError, Request, SystemLookup, TargetError},
    sync::lock,
    telemetry::metrics::{self, label::ModelOutcome},
};

/// Questions on their way, of all tenants.
const MAX_QUESTIONS: usize = 16;

/// Failures in a row, after which the model rests.
const MAX_FAILURES: u32 = 5;

/// Then one question tries whether it is there again.
const MODEL_REST: Duration = Duration::from_secs(60);

pub struct ModelClient {
    outbound: Outbound,
    /// Of the endpoint.
    url: Url,
    /// Whole, with its scheme.
    authorization: Option<HeaderValue>,
    model: String,
    limit: Duration,
    turns: Semaphore,
    breaker: Mutex<Breaker>,
}

#[derive(Debug, thiserror::Error)]
enum ModelError {
    #[error("it did not answer lately, and is asked again in a while")]
    Resting,
    #[error("too many are asking it")]
    Busy,
    #[error("no answer in time")]
    Late,
    #[error("its answer has the status {0}")]
    Status(u16),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("its answer is refused: {0}")]
    Answer(#[from] ModelAnswerError),
    #[error("the menu is empty, or too large for it")]
    Menu,
}

impl ModelError {
    fn outcome(&self) -> ModelOutcome {
        match self {
            Self::Resting => ModelOutcome::Resting,
            Self::Busy => ModelOutcome::Busy,
            Self::Late | Self::Outbound(OutboundError::Timeout) => ModelOutcome::Late,
            Self::Status(_) | Self::Outbound(_) => ModelOutcome::Failed,
            Self::Answer(_) => ModelOutcome::Refused,
            Self::Menu => ModelOutcome::Menu,
        }
    }

    /// The model was not asked. These are counted; a warning for each customer's turn would tell nothing new.
    fn is_unasked(&self) -> bool {
        matches!(self, Self::Resting | Self::Busy | Self::Menu)
    }
}

impl ModelClient {
    /// Asks nobody anything. `allow`: see `outbound.allow`.
    pub fn new(settings: &config::LanguageModel, allow: Allow) -> anyhow::Result<Self> {
        let outbound = Outbound::new(allow, settings.timeout, Arc::new(SystemLookup))?;
        let refused = |refusal: TargetError| anyhow::anyhow!("bot.language_model.url {refusal}");
        let url = outbound.check(&format!("{}/chat/completions", settings.url)).map_err(refused)?;
        let bearer = |key: &config::Secret| HeaderValue::from_str(&format!("Bearer {}", key.expose()));
        let mut authorization = settings.key.as_ref().map(bearer).transpose()?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self {
            outbound,
            url,
            authorization,
            model: settings.model.clone(),
            limit: settings.timeout,
            turns: Semaphore::new(MAX_QUESTIONS),
            breaker: Mutex::default(),
        })
    }

    /// The dishes that a customer's words order, as the model has it. None: it has found none, or does not help.
    pub async fn ask(&self, menu: &Menu, said: &str) -> Vec<ModelLine> {
        let (outcome, lines) = match self.read(menu, said).await {
            Ok(lines) if lines.is_empty() => (ModelOutcome::Nothing, lines),
            Ok(lines) => (ModelOutcome::Read, lines),
            Err(error) => {
                if error.is_unasked() {
                    debug!(%error, "the language model is not asked: the bot goes on without it");
                } else {
                    warn!(
                        event = "bot_model_silent",
                        %error,
                        "the language model does not help: the bot goes on without it"
                    );
                }
                (error.outcome(), Vec::new())
            }
        };
        metrics::model_asked(outcome);
        lines
    }

    async fn read(&self, menu: &Menu, said: &str) -> Result<Vec<ModelLine>, ModelError> {
        let question = language_model::question(&self.model, menu, said).ok_or(ModelError::Menu)?;
        let deadline = Instant::now() + self.limit;
        let turn = timeout_at(deadline, self.turns.acquire()).await.map_err(|_| ModelError::Busy)?;
        let turn = turn.expect("nobody closes the turns");
        if !self.breaker(|breaker| breaker.admits(Instant::now())) {
            return Err(ModelError::Resting);
        }
        let answered = timeout_at(deadline, self.post(question)).await.unwrap_or(Err(ModelError::Late));
        self.breaker(|breaker| breaker.note(answered.is_ok(), Instant::now()));
        drop(turn);
        Ok(language_model::read_lines(&answered?, menu)?)
    }

    async fn post(&self, question: Vec<u8>) -> Result<bytes::Bytes, ModelError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let key = self.authorization.clone().map(|value| (AUTHORIZATION, value));
        let request = Request {
            method: Method::POST,
            headers,
            secret_headers: HeaderMap::from_iter(key),
            body: question.into(),
            ..Request::get(self.url.clone())
        };
        let answer = self.outbound.send(request, MAX_MODEL_ANSWER_BYTES).await?;
        if !answer.status.is_success() {
            return Err(ModelError::Status(answer.status.as_u16()));
        }
        Ok(answer.bytes().await?)
    }

    fn breaker<T>(&self, act: impl FnOnce(&mut Breaker) -> T) -> T {
        act(&mut lock(&self.breaker))
    }
}

/// Lets a model rest that did not answer several times in a row.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    rests_until: Option<Instant>,
}

impl Breaker {
    fn admits(&mut self, now: Instant) -> bool {
        match self.rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                // Others wait for what comes of this one.
                self.rests_until = Some(now + MODEL_REST);
                true
            }
            None => true,
        }
    }

    fn note(&mut self, has_answered: bool, now: Instant) {
        if has_answered {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            self.rests_until = Some(now + MODEL_REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_does_not_answer_rests_and_is_tried_once_a_minute() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..MAX_FAILURES {
            assert!(breaker.admits(now));
            breaker.note(false, now);
        }
        assert!(!breaker.admits(now));
        let later = now + MODEL_REST;
        assert!(breaker.admits(later), "one tries");
        assert!(!breaker.admits(later), "and others wait");
        breaker.note(false, later);
        assert!(!breaker.admits(later + MODEL_REST / 2));
        let latest = later + MODEL_REST;
        assert!(breaker.admits(latest));
        breaker.note(true, latest);
        assert!(breaker.admits(latest) && breaker.admits(latest));
        breaker.note(false, latest);
        assert!(breaker.admits(latest), "failures count in a row");
    }

    #[tokio::test]
    async fn a_silent_model_is_late_and_a_menu_without_dishes_is_not_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = config::LanguageModel {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            key: None,
            model: "small".to_owned(),
            timeout: Duration::from_millis(200),
        };
        let client = ModelClient::new(&settings, Allow::parse(["127.0.0.1/32"]).unwrap()).unwrap();
        let item = serde_json::json!({ "id": "aji", "name": "Ajiaco", "price": 24000, "category": "Sopas" });
        let mut menu: Menu = serde_json::from_value(serde_json::json!({ "name": "Carta", "items": [item] })).unwrap();
        let error = client.read(&menu, "frobozz").await.unwrap_err();
        assert!(matches!(error.outcome(), ModelOutcome::Late) && !error.is_unasked(), "{error}");
        menu.items.clear();
        let error = client.read(&menu, "frobozz").await.unwrap_err();
        assert!(matches!(error.outcome(), ModelOutcome::Menu) && error.is_unasked(), "{error}");
    }

    #[test]
    fn a_target_that_may_not_be_asked_and_a_key_that_is_none_are_found_at_the_start() {
        let settings = |url: &str, key: &str| config::LanguageModel {
            url: url.to_owned(),
            key: Some(config::Secret::new(key)),
            model: "small".to_owned(),
            timeout: Duration::from_secs(5),
        };
        let made = |url: &str, key: &str| ModelClient::new(&settings(url, key), Allow::default());
        let client = made("https://api.example.com/v1", "a-key").unwrap();
        assert_eq!(client.url.as_str(), "https://api.example.com/v1/chat/completions");
        assert!(client.authorization.is_some_and(|value| value.is_sensitive()));
        assert!(made("http://127.0.0.1:8000/v1", "a-key").is_err(), "outbound.allow does not name it");
        assert!(made("https://api.example.com/v1", "a\nkey").is_err());
    }
}
