//! The operator's console: pages that are compiled in and served as they are, without a build step, to everybody. They hold no secret
//! and no rule; what they show they ask the API for, with the key that the operator types in.
//!
//! Owns the files in `assets/`, and what a browser may do with them: load nothing from elsewhere, run nothing that is not one of these
//! files, be framed by nobody.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::api::{Gives, Operation, Path, Problem};

/// What the pages may do. `blob:` is for pictures and sounds that were fetched with the key; `connect-src` covers the API and, from the
/// same origin, its WebSocket. Nothing in them writes HTML, so that Trusted Types cost nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

macro_rules! assets {
    ($($name:literal)*) => { &[$(($name, include_bytes!(concat!("assets/", $name)))),*] };
}

#[rustfmt::skip]
const ASSETS: &[(&str, &[u8])] = assets![
    "index.html" "icon.svg"
    "tokens.css" "base.css" "parts.css" "shell.css" "tenants.css" "talk.css"
    "main.js" "shell.js" "signin.js" "api.js" "wire.js" "live.js"
    "dom.js" "text.js" "marks.js" "format.js" "prefs.js" "words.js" "words.en.js" "words.es.js" "reasons.js" "reasons.es.js"
    "dialog.js" "icons.js" "tenants.js" "order.js" "names.js" "place.js" "tenant.js" "pairing.js"
    "talk.js" "chats.js" "thread.js" "bubble.js" "content.js" "files.js" "composer.js"
    "webhooks.js" "hookform.js" "events.js" "keys.js"
];

/// One of the files.
struct Asset {
    bytes: &'static [u8],
    kind: &'static str,
    etag: String,
}

static FILES: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
    let asset = |&(name, bytes): &(&'static str, &'static [u8])| {
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]));
        (name, Asset { bytes, kind: kind(name), etag })
    };
    ASSETS.iter().map(asset).collect()
});

const KINDS: [&str; 4] =
    ["text/html; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml", "text/javascript; charset=utf-8"];

fn kind(name: &str) -> &'static str {
    let [html, css, svg, script] = KINDS;
    match name.rsplit_once('.') {
        Some((_, "html")) => html,
        Some((_, "css")) => css,
        Some((_, "svg")) => svg,
        _ => script,
    }
}

/// To the console.
pub struct Entrance;

/// `GET /` and `GET /console`
pub async fn enter() -> Entrance {
    Entrance
}

impl IntoResponse for Entrance {
    fn into_response(self) -> Response {
        // Relative, so that it holds behind a proxy that serves us below a path of its own.
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "console/")]).into_response()
    }
}

impl Gives for Entrance {
    fn gives(operation: &mut Operation<'_>) {
        operation.gives_nothing(StatusCode::TEMPORARY_REDIRECT);
    }
}

/// A file, or word that the browser has it.
pub struct Served {
    asset: &'static Asset,
    is_known: bool,
}

#[derive(Deserialize, JsonSchema)]
pub struct Named {
    file: String,
}

/// `GET /console/`
pub async fn index(headers: HeaderMap) -> Result<Served, Problem> {
    serve("index.html", &headers)
}

/// `GET /console/{file}`
pub async fn file(Path(named): Path<Named>, headers: HeaderMap) -> Result<Served, Problem> {
    serve(&named.file, &headers)
}

/// A browser keeps what it has and asks each time whether it is still that: a new version of the daemon shows its new pages at once.
fn serve(name: &str, asked: &HeaderMap) -> Result<Served, Problem> {
    let asset = FILES.get(name).ok_or_else(Problem::not_found)?;
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    // A proxy that compresses makes the tag a weak one.
    let mut known = known.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    Ok(Served { asset, is_known: known.any(|tag| tag == asset.etag) })
}

impl IntoResponse for Served {
    fn into_response(self) -> Response {
        let Self { asset, is_known } = self;
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
        };
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ETAG, asset.etag.as_str()),
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

impl Gives for Served {
    fn gives(operation: &mut Operation<'_>) {
        for kind in KINDS {
            operation.gives_body(StatusCode::OK, kind, json_schema!({ "type": "string" }));
        }
        operation.gives_nothing(StatusCode::NOT_MODIFIED);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_in_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/assets");
        let there: BTreeSet<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let served: BTreeSet<_> = ASSETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, served);
    }

    /// What a page names is there, and nothing that it names is elsewhere.
    #[test]
    fn what_the_files_load_is_among_them() {
        for (name, bytes) in ASSETS {
            let text = std::str::from_utf8(bytes).unwrap();
            for (mark, end) in [("from \"./", '"'), ("import \"./", '"'), ("src=\"", '"'), ("href=\"", '"')] {
                for rest in text.split(mark).skip(1) {
                    let named = rest.split(end).next().unwrap();
                    assert!(FILES.contains_key(named) || named.starts_with('#'), "{name} names {named}");
                }
            }
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\"", "onclick=\""]
            {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
        }
    }
}
