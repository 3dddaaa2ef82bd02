//! The second port, on which other processes bring what is for this one. Nobody else is let in.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use tokio::sync::watch;
use tracing::debug;

use super::{super::problem::Problem, Forwarded, ServedElsewhere};
use crate::{
    clock::Clock,
    cluster::{HELLO_HEADER, HELLO_PATH, Introductions, PROOF_HEADER, head_digest},
};

/// In the proof's header of an answer: the tenant is not here (any more).
pub const ELSEWHERE: &str = "elsewhere";

/// The same: whoever asks is no peer.
const REFUSED: &str = "refused";

pub struct Entrance {
    introductions: Introductions,
    /// The address at which others reach this process, as its record says.
    advertised: watch::Receiver<Option<String>>,
    clock: Arc<dyn Clock>,
}

impl Entrance {
    pub fn new(
        introductions: Introductions,
        advertised: watch::Receiver<Option<String>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { introductions, advertised, clock }
    }

    /// The same routes, for peers.
    pub fn before(self, router: Router) -> Router {
        let entrance = Arc::new(self);
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let entrance = entrance.clone();
            async move {
                let asks_who = request.uri().path() == HELLO_PATH;
                if asks_who { entrance.introduce(request.headers()) } else { entrance.pass(request, next).await }
            }
        }))
    }

    fn introduce(&self, headers: &HeaderMap) -> Response {
        let hello = text(headers, &HELLO_HEADER);
        let at = self.advertised.borrow().clone().unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "nobody may guess it")]
        let answer = self.introductions.introduce(hello, &at, rand::random(), self.clock.instant());
        let answer = answer.map(|answer| HeaderValue::from_str(&answer));
        match answer {
            Ok(Ok(answer)) => (StatusCode::NO_CONTENT, [(HELLO_HEADER, answer)]).into_response(),
            Ok(Err(_)) => StatusCode::BAD_REQUEST.into_response(),
            Err(error) => {
                debug!(%error, "somebody asks for an introduction as a peer, and is none");
                StatusCode::FORBIDDEN.into_response()
            }
        }
    }

    async fn pass(&self, request: Request, next: Next) -> Response {
        let (mut head, body) = request.into_parts();
        let checked =
            self.introductions.check(text(&head.headers, &PROOF_HEADER), &head_digest(&head), self.clock.instant());
        let client = match checked {
            Ok(client) => client,
            Err(error) => {
                debug!(%error, "a request does not come from a peer");
                let refused = Problem::forbidden("This port is for the other processes on the vault");
                return marked(refused.into_response(), REFUSED);
            }
        };
        head.headers.remove(PROOF_HEADER);
        head.extensions.insert(ConnectInfo(SocketAddr::new(client, 0)));
        head.extensions.insert(Forwarded);
        let answer = next.run(Request::from_parts(head, body)).await;
        match answer.extensions().get::<ServedElsewhere>() {
            Some(_) => marked(answer, ELSEWHERE),
            None => answer,
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn marked(mut answer: Response, mark: &'static str) -> Response {
    answer.headers_mut().insert(PROOF_HEADER, HeaderValue::from_static(mark));
    answer
}
