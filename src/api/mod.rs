//! The HTTP API. Turns requests into calls of the fleet and its answers into responses; holds no rules of its own.

mod auth;
mod baileys;
mod health;
mod problem;
mod webhooks;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

pub use self::auth::Keys;
use self::problem::Problem;
use crate::{fleet::Fleet, webhook::Webhooks};

/// What every handler has at hand.
#[derive(Clone)]
pub struct App {
    pub fleet: Arc<Fleet>,
    pub keys: Arc<Keys>,
    pub webhooks: Arc<Webhooks>,
}

/// The most bytes of a request's body. Messages are text for now.
const BODY_LIMIT: usize = 256 * 1024;

/// All routes. Everything needs a key but the two for probes.
pub fn router(app: App) -> Router {
    let keyed = Router::new()
        .route("/api/baileys/connect", post(baileys::connect))
        .route("/api/baileys/qr", get(baileys::qr))
        .route("/api/baileys/status", get(baileys::status))
        .route("/api/baileys/disconnect", post(baileys::disconnect))
        .route("/api/baileys/send", post(baileys::send))
        .route("/api/{session}/auth/request-code", post(baileys::request_code))
        .merge(webhooks::routes())
        .route_layer(middleware::from_fn_with_state(app.clone(), auth::require));
    Router::new()
        .route("/health", get(health::health))
        .route("/api/baileys/health", get(health::baileys))
        .merge(keyed)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback(|| async { Problem::not_found() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}
