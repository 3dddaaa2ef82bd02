//! What is counted of requests: by route, method and status, so series appear as they are needed.

use std::{
    sync::{OnceLock, PoisonError, RwLock},
    time::Duration,
};

use http::{Method, StatusCode};
use metrics::{Counter, Histogram};

use super::{family, label, meters};

/// The meters of one route, by its path in the table of routes. Made once; its series appear with its first answer.
#[derive(Debug)]
pub struct HttpRoute {
    method: &'static str,
    path: &'static str,
    duration: OnceLock<Histogram>,
    /// By status: few.
    answers: RwLock<Vec<(StatusCode, Counter)>>,
}

impl HttpRoute {
    pub fn new(method: &Method, path: &'static str) -> Self {
        Self { method: label::method(method), path, duration: OnceLock::new(), answers: RwLock::default() }
    }

    pub fn answered(&self, status: StatusCode, took: Duration) {
        let Some(meters) = meters() else { return };
        self.duration.get_or_init(|| meters.histogram(&family::HTTP_DURATION, &[self.path])).record(took);
        let known = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == status) {
            return counter.increment(1);
        }
        drop(known);
        let counter = meters.counter(&family::HTTP_REQUESTS, &[self.path, self.method, status.as_str()]);
        counter.increment(1);
        // Two at once register the same series.
        self.answers.write().unwrap_or_else(PoisonError::into_inner).push((status, counter));
    }
}

/// A request was answered that no route is for: whatever its path, it is one series for each method.
pub fn http_unmatched(method: &Method, status: StatusCode) {
    let Some(meters) = meters() else { return };
    let labels = [label::UNMATCHED, label::method(method), status.as_str()];
    meters.counter(&family::HTTP_REQUESTS, &labels).increment(1);
}
