//! What WAHA's API has and nobody can do here: each is answered with 501 and the reason, once the caller may do it at all.

use axum::Json;
use serde_json::Value;

use super::super::{
    auth::{Controlling, For, Reading, Sending},
    problem::Problem,
};

type No = Result<Json<Value>, Problem>;

/// The directory of channels, in which one searches.
pub async fn search_channels(_: For<Reading>) -> No {
    Err(Problem::not_implemented("WhatsApp's directory of channels is for its own apps"))
}

/// Channels.
pub async fn read_channels(_: For<Reading>) -> No {
    channels()
}

pub async fn control_channels(_: For<Controlling>) -> No {
    channels()
}

fn channels() -> No {
    Err(Problem::not_implemented("channels are not built yet"))
}

/// What is shown for a day to all contacts.
pub async fn status(_: For<Sending>) -> No {
    Err(Problem::not_implemented("statuses are not built yet"))
}

/// `GET /api/sessions/{session}/capping` and `…/timelock`
pub async fn limits(_: For<Reading>) -> No {
    Err(Problem::not_implemented("the limits that WhatsApp sets to an account are not asked for yet"))
}

/// `…/auth/passkey…`
pub async fn passkey(_: For<Controlling>) -> No {
    Err(Problem::not_implemented("pairing with a passkey is not built yet"))
}

/// `POST /api/{session}/media/convert/…`
pub async fn convert(_: For<Sending>) -> No {
    Err(Problem::not_implemented("converting voice and video needs ffmpeg, which is not here: send OGG/Opus and MP4"))
}

/// `POST /api/server/stop`
pub async fn stop_server() -> No {
    Err(Problem::not_implemented("the daemon is stopped by whoever started it: send it SIGTERM"))
}
