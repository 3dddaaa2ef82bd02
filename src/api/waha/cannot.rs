//! WAHA's routes that this daemon does not support: each answers 501 with the reason, after the caller's scope was
//! checked.

use std::convert::Infallible;

use super::{
    super::{
        auth::{Caller, Controlling, For, ReadingData, Sending},
        input::Path,
        problem::Problem,
    },
    groups::GroupPath,
};

type No = Result<Infallible, Problem>;

/// The directory of channels, in which one searches.
pub async fn search_channels(_: For<ReadingData>) -> No {
    Err(Problem::not_implemented("WhatsApp's directory of channels is for its own apps"))
}

/// `POST /api/{session}/media/convert/…`
pub async fn convert(_: For<Sending>) -> No {
    Err(Problem::not_implemented("converting voice and video needs ffmpeg, which is not here: send OGG/Opus and MP4"))
}

/// `DELETE /api/{session}/groups/{id}`
pub async fn delete_group(_: For<Controlling>, _: Path<GroupPath>) -> No {
    Err(Problem::not_implemented("WhatsApp has no way to delete a group: remove its members and leave it"))
}

/// `POST /api/server/stop`
pub async fn stop_server(_: Caller) -> No {
    Err(Problem::not_implemented("the daemon is stopped by whoever started it: send it SIGTERM"))
}
