//! One attempt: builds the request, sends it, and says what the answer means.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};

use super::{
    queue::{AttemptOutcome, DeliveryRefusal},
    settings::Webhook,
};
use crate::{
    outbound::{Outbound, OutboundError, Request, signature},
    telemetry::metrics::label::DeliveryOutcome,
};

/// What is read of an answer, so that the connection can be used again.
const MAX_ANSWER: usize = 16 * 1024;

/// The longest that a receiver may make us wait by `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub outcome: AttemptOutcome,
    /// 410: the receiver wants nothing any more.
    pub gone: bool,
}

impl Attempt {
    pub fn counted_as(&self) -> DeliveryOutcome {
        match &self.outcome {
            AttemptOutcome::Taken => DeliveryOutcome::Taken,
            AttemptOutcome::Failed(DeliveryRefusal { status: Some(_), .. }) => DeliveryOutcome::Refused,
            AttemptOutcome::Failed(DeliveryRefusal { answered: true, .. }) => DeliveryOutcome::TimedOut,
            AttemptOutcome::Failed(_) => DeliveryOutcome::Unreachable,
        }
    }
}

/// Sends `body` under the id `id`.
pub async fn attempt(outbound: &Outbound, webhook: &Webhook, id: &str, body: Bytes, now: Timestamp) -> Attempt {
    let mut headers = signature::headers(id, now.as_millisecond(), &body, webhook.key.as_ref());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request {
        method: Method::POST,
        headers,
        secret_headers: webhook.custom_headers(),
        body,
        ..Request::get(webhook.url.clone())
    };
    match outbound.send(request, MAX_ANSWER).await {
        Ok(answer) => {
            let (status, headers) = (answer.status, answer.headers.clone());
            let _ = answer.bytes().await;
            judge(status, &headers, now)
        }
        Err(error) => {
            // A receiver that takes the request and does not answer is there.
            let answered = matches!(error, OutboundError::Timeout);
            let refusal =
                DeliveryRefusal { answered, not_now: false, after: None, status: None, error: error.to_string() };
            Attempt { outcome: AttemptOutcome::Failed(refusal), gone: false }
        }
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Attempt {
    if status.is_success() {
        return Attempt { outcome: AttemptOutcome::Taken, gone: false };
    }
    // These speak of the receiver, not of this request.
    let is_about_the_receiver = matches!(status.as_u16(), 408 | 410 | 425 | 429 | 502 | 503 | 504);
    let refusal = DeliveryRefusal {
        answered: !is_about_the_receiver,
        not_now: matches!(status.as_u16(), 410 | 429 | 503),
        after: matches!(status.as_u16(), 429 | 503).then(|| retry_after(headers, now)).flatten(),
        status: Some(status.as_u16()),
        error: format!("answered {status}"),
    };
    Attempt { outcome: AttemptOutcome::Failed(refusal), gone: status == StatusCode::GONE }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<&str>) -> Attempt {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        let now = "2015-10-21T07:27:00Z".parse().unwrap();
        judge(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    #[test]
    fn what_an_answer_means() {
        for status in [200, 201, 204] {
            assert_eq!(answered(status, None).outcome, AttemptOutcome::Taken);
        }
        let there = [(301, true), (400, true), (404, true), (500, true), (429, false), (502, false), (503, false)];
        for (status, is_there) in there {
            let AttemptOutcome::Failed(refusal) = answered(status, None).outcome else { panic!("{status}") };
            assert_eq!((refusal.answered, refusal.status, refusal.after), (is_there, Some(status), None));
        }
        let not_now = [410, 429, 500, 503].map(|status| match answered(status, None).outcome {
            AttemptOutcome::Failed(refusal) => refusal.not_now,
            AttemptOutcome::Taken => panic!("{status}"),
        });
        assert_eq!(not_now, [true, true, false, true]);
        assert!(answered(410, None).gone && !answered(404, None).gone);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let after = |status, value| match answered(status, Some(value)).outcome {
            AttemptOutcome::Failed(refusal) => refusal.after.map(|after| after.as_secs()),
            AttemptOutcome::Taken => None,
        };
        assert_eq!(after(429, "7"), Some(7));
        assert_eq!(after(503, "Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(after(503, "Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(after(503, "99999999"), Some(3600));
        assert_eq!(after(503, "soon"), None);
        assert_eq!(after(500, "7"), None);
    }
}
