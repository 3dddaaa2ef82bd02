//! A file that a request brings, whole or by its URL.

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{App, problem::Problem},
    flaw,
};
use crate::outbound::{OutboundError, Request};

/// One pixel, as an example.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// By its URL, or whole.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SmallFile")]
pub struct File {
    url: Option<String>,
    /// Base64.
    #[schemars(example = PICTURE)]
    data: Option<String>,
}

/// The bytes of a small file, such as a picture for a profile.
pub async fn small(app: &App, file: Option<File>, limit: usize) -> Result<Vec<u8>, Problem> {
    let file = file.ok_or_else(|| flaw("file", "is required"))?;
    match (file.data, file.url) {
        (Some(data), _) => BASE64.decode(data).map_err(|_| flaw("file.data", "expected base64")),
        (None, Some(url)) => fetch(app, &url, limit).await,
        (None, None) => Err(flaw("file", "url or data is required")),
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
