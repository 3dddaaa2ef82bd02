//! A file that a request brings, whole or by its URL.

use axum::http::StatusCode;
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        App,
        problem::Problem,
        upload::{self, Given},
    },
    files, flaw,
};
use crate::{
    message::media::Origin,
    outbound::{OutboundError, Request},
    session::{FileSource, Session},
};

/// One pixel, as an example.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// By its URL, or whole.
#[derive(Deserialize, JsonSchema)]
pub struct SmallFile {
    url: Option<String>,
    /// Base64.
    #[schemars(example = PICTURE)]
    data: Option<String>,
}

/// The bytes of a small file, such as a picture for a profile. One that is fetched takes one of the places that files by URL have: a host
/// that only drips costs its own tenant.
pub async fn small(app: &App, session: &Session, file: Option<SmallFile>, limit: usize) -> Result<Vec<u8>, Problem> {
    let file = file.ok_or_else(|| flaw("file", "is required"))?;
    match (file.data, file.url) {
        (Some(data), _) => upload::decode_small(&data, "file.data"),
        (None, Some(url)) => session.in_url_turn(fetch(app, &url, limit)).await?,
        (None, None) => Err(flaw("file", "url or data is required")),
    }
}

impl SmallFile {
    /// Finds its bytes, decoded if they are here; `fields`: the names of `url` and `data`. `None`: there is neither.
    pub async fn open(self, app: &App, fields: [&'static str; 2]) -> Result<Option<(Origin, FileSource)>, Problem> {
        let [url_field, data_field] = fields;
        let given = match (self.url.filter(|url| !url.is_empty()), self.data.filter(|data| !data.is_empty())) {
            (Some(_), Some(_)) => return Err(flaw(data_field, "either url or data")),
            (Some(url), None) => Given::Url(url),
            (None, Some(data)) => {
                // No longer than the body that it came in.
                let pen = app.fleet.env().media.spool.begin(data.len() as u64).await.map_err(upload::disk)?;
                Given::Bytes(upload::decode(&data, pen, data_field).await?)
            }
            (None, None) => return Ok(None),
        };
        files::source(app, given, url_field).map(Some)
    }
}

async fn fetch(app: &App, url: &str, limit: usize) -> Result<Vec<u8>, Problem> {
    let url: Url = url.parse().map_err(|_| flaw("file.url", "expected a URL"))?;
    let failed = |error: OutboundError| flaw("file.url", format!("could not be fetched: {error}"));
    let answer = app.fleet.env().files_from.send(Request::get(url), limit).await.map_err(failed)?;
    if answer.status != StatusCode::OK {
        return Err(flaw("file.url", format!("could not be fetched: status {}", answer.status.as_u16())));
    }
    Ok(answer.bytes().await.map_err(failed)?.to_vec())
}
