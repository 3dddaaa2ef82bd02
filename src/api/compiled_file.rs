//! Files that are compiled in and served to everybody as they are: the console's and the guide's.
//!
//! Owns what a browser may do with them: load nothing from elsewhere, run nothing that is not one of these files, be framed by nobody.

use std::borrow::Cow;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::json_schema;
use sha2::{Digest as _, Sha256};

use super::openapi::{Gives, Operation};

/// The policy of a page. `blob:` is for pictures and sounds that were fetched with the key; `connect-src` covers the API and, from the
/// same origin, its WebSocket. Nothing in the pages writes HTML, so that Trusted Types cost nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const MEDIA_TYPES: [&str; 4] =
    ["text/html; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml", "text/javascript; charset=utf-8"];

fn media_type(name: &str) -> &'static str {
    let [html, css, svg, script] = MEDIA_TYPES;
    match name.rsplit_once('.') {
        Some((_, "html")) => html,
        Some((_, "css")) => css,
        Some((_, "svg")) => svg,
        _ => script,
    }
}

/// A file with its type and its tag.
pub struct CompiledFile {
    bytes: Cow<'static, [u8]>,
    media_type: &'static str,
    etag: String,
}

impl CompiledFile {
    /// The name's ending tells the type.
    pub fn new(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let bytes = bytes.into();
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
        Self { bytes, media_type: media_type(name), etag }
    }

    /// A browser keeps the file and asks each time whether it is still the same: a new version of the daemon shows its new pages at once.
    pub fn serve(&'static self, asked: &HeaderMap) -> ServedFile {
        let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
        // A proxy that compresses makes the tag a weak one.
        let mut known = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        ServedFile { file: self, is_known: known.any(|tag| tag == self.etag) }
    }
}

/// A file, or word that the browser has it.
pub struct ServedFile {
    file: &'static CompiledFile,
    is_known: bool,
}

impl IntoResponse for ServedFile {
    fn into_response(self) -> Response {
        let Self { file, is_known } = self;
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, file.media_type)], &*file.bytes).into_response()
        };
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ETAG, file.etag.as_str()),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl Gives for ServedFile {
    fn gives(operation: &mut Operation<'_>) {
        for media_type in MEDIA_TYPES {
            operation.gives_body(StatusCode::OK, media_type, json_schema!({ "type": "string" }));
        }
        operation.gives_nothing(StatusCode::NOT_MODIFIED);
    }
}

/// To another page, for this time.
pub struct Redirect(pub &'static str);

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, self.0)]).into_response()
    }
}

impl Gives for Redirect {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_nothing(StatusCode::TEMPORARY_REDIRECT);
    }
}
