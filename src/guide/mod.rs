//! The guide: pages of Markdown that read on the repository's web page as they are, are compiled in, and are served at `/docs/guide/`, so
//! that what a daemon says of itself fits the version that runs.
//!
//! Owns the list of pages, and what stands around the text of each: the table of contents, the headings of the page, a field that finds
//! words on it. Never holds a secret: everybody may read it.

mod render;

use std::{collections::HashMap, fmt::Write as _, sync::LazyLock};

use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;

use self::render::escape;
pub use self::render::{PageHeading, Rendered, render};
use crate::{
    api::{CompiledFile, Path, Problem, Redirect, ServedFile},
    config::DEFAULTS,
};

macro_rules! pages {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!($name, ".md")))),*] };
}

/// Name and text of each page, in the order of the table of contents.
#[rustfmt::skip]
pub const PAGES: &[(&str, &str)] = pages![
    "getting-started" "deploy" "configuration" "pairing" "messages" "dashboards" "bot" "for-the-restaurant" "webhooks" "media" "keys" "problems"
    "move-in" "move-in-baileys" "move-in-evolution" "move-in-waha" "move-in-whatsmeow" "move-in-databases" "from-the-old-service" "from-waha" "console" "operation" "log-events" "disaster" "watching" "costs" "benchmark" "loopback" "limits" "glossary"
];

/// The table of contents; its name as the repository's web page wants it.
pub const CONTENTS: &str = include_str!("README.md");

/// The page that lists all settings with their defaults. It is no file of Markdown: `config/default.toml` is the text.
pub const SETTINGS: &str = "settings";

static FILES: LazyLock<HashMap<String, CompiledFile>> = LazyLock::new(|| {
    let settings = format!(
        "# All settings\n\nTheir defaults and meanings: `config/default.toml` of this version. [Configuration](configuration.md) says how \
         a setting is changed.\n\n```toml\n{DEFAULTS}```\n"
    );
    let texts = PAGES.iter().copied().chain([(SETTINGS, settings.as_str()), (INDEX, CONTENTS)]);
    let pages =
        texts.map(|(name, text)| (name.to_owned(), CompiledFile::new("page.html", html(name, text).into_bytes())));
    let assets = [("guide.css", include_str!("guide.css")), ("guide.js", include_str!("guide.js"))];
    let assets = assets.map(|(name, text)| (name.to_owned(), CompiledFile::new(name, text.as_bytes())));
    pages.chain(assets).collect()
});

/// The table of contents has no name in an address.
const INDEX: &str = "";

#[derive(Deserialize, JsonSchema)]
pub struct GuidePage {
    page: String,
}

/// `GET /docs/guide`
pub async fn enter() -> Redirect {
    // Relative, so that it holds behind a proxy that serves us below a path of its own.
    Redirect("guide/")
}

/// `GET /docs/guide/`
pub async fn index(headers: HeaderMap) -> Result<ServedFile, Problem> {
    serve(INDEX, &headers)
}

/// `GET /docs/guide/{page}`
pub async fn page(Path(named): Path<GuidePage>, headers: HeaderMap) -> Result<ServedFile, Problem> {
    serve(&named.page, &headers)
}

fn serve(name: &str, asked: &HeaderMap) -> Result<ServedFile, Problem> {
    Ok(FILES.get(name).ok_or_else(Problem::not_found)?.serve(asked))
}

/// A page as a browser gets it.
fn html(name: &str, markdown: &str) -> String {
    let Rendered { title, html, headings } = render(markdown);
    let mut pages = String::new();
    for (other, text) in PAGES.iter().copied().chain([(SETTINGS, "# All settings")]) {
        let current = if other == name { " aria-current=\"page\"" } else { "" };
        let title = escape(&render::title(text));
        let _ = write!(pages, "<li><a href=\"{other}\"{current}>{title}</a></li>");
    }
    let mut here = String::new();
    for PageHeading { level, id, text } in headings.iter().filter(|heading| (2..=3).contains(&heading.level)) {
        let _ = write!(here, "<li class=\"level{level}\"><a href=\"#{}\">{}</a></li>", escape(id), escape(text));
    }
    let title = escape(&title);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · sessiond</title>
<link rel="icon" href="../../console/icon.svg">
<link rel="stylesheet" href="../page.css">
<link rel="stylesheet" href="guide.css">
<script type="module" src="guide.js"></script>
</head>
<body>
<a class="skip" href="#text">Skip to the text</a>
<header>
<p class="brand"><a href="./">sessiond</a> <small>{version}</small></p>
<p class="links"><a href="../../console/">Console</a> <a href="../../docs">API</a></p>
<label for="find">Find on this page</label>
<input id="find" type="search" autocomplete="off" spellcheck="false">
<p id="count" role="status"></p>
<nav aria-label="On this page"><ul id="here">{here}</ul></nav>
<nav aria-label="Guide"><ul>{pages}</ul></nav>
</header>
<main id="text" tabindex="-1">
{html}</main>
</body>
</html>
"##
    )
}
