//! The operator's console: pages that are compiled in and served as they are, without a build step, to everybody. They hold no secret
//! and no rule; what they show they ask the API for, with the key that the operator types in.
//!
//! Owns the files in `assets/`. What a browser may do with them is the policy of [`CompiledFile`].

use std::{collections::HashMap, sync::LazyLock};

use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{CompiledFile, Path, Problem, Redirect, ServedFile};

macro_rules! assets {
    ($($name:literal)*) => { &[$(($name, include_bytes!(concat!("assets/", $name)))),*] };
}

#[rustfmt::skip]
const ASSETS: &[(&str, &[u8])] = assets![
    "index.html" "icon.svg"
    "tokens.css" "base.css" "parts.css" "shell.css" "overview.css" "tenants.css" "movein.css" "talk.css" "bot.css" "kitchen.css"
    "main.js" "shell.js" "signin.js" "api.js" "wire.js" "live.js"
    "dom.js" "gathering.js" "text.js" "marks.js" "format.js" "prefs.js" "words.js" "words.en.js" "words.es.js" "reasons.js" "reasons.es.js"
    "dialog.js" "icons.js" "overview.js" "plot.js" "tenants.js" "order.js" "names.js" "place.js" "tenant.js" "pairing.js" "movein.js"
    "talk.js" "chats.js" "thread.js" "thread_bot.js" "bot_chats.js" "bubble.js" "content.js" "files.js" "composer.js"
    "restaurant.css" "restaurant_basics.js" "restaurant_fields.js" "restaurant_hours.js" "restaurant_merge.js" "restaurant_money.js" "restaurant_rules.js" "restaurant_texts.js"
    "kitchenorders.js" "kitchencard.js" "kitchenmenu.js" "kitchenpaper.js" "kitchenbell.js"
    "webhooks.js" "hookform.js" "events.js" "keys.js" "kitchen.js" "bot.js" "menu.js" "restaurant.js" "tryout.js"
    "menu.css" "menu_table.js" "menu_dish.js" "menu_paste.js" "menu_reading.js" "menu_merge.js" "menu_import.js" "menu_conflicts.js" "menu_bar.js"
    "tryout.css" "tryout_heard.js" "tryout_teach.js"
];

static FILES: LazyLock<HashMap<&str, CompiledFile>> =
    LazyLock::new(|| ASSETS.iter().map(|(name, bytes)| (*name, CompiledFile::new(name, *bytes))).collect());

/// `GET /` and `GET /console`
pub async fn enter() -> Redirect {
    // Relative, so that it holds behind a proxy that serves us below a path of its own.
    Redirect("console/")
}

#[derive(Deserialize, JsonSchema)]
pub struct ConsoleFilePath {
    file: String,
}

/// `GET /console/`
pub async fn index(headers: HeaderMap) -> Result<ServedFile, Problem> {
    serve("index.html", &headers)
}

/// `GET /console/{file}`
pub async fn file(Path(named): Path<ConsoleFilePath>, headers: HeaderMap) -> Result<ServedFile, Problem> {
    serve(&named.file, &headers)
}

fn serve(name: &str, asked: &HeaderMap) -> Result<ServedFile, Problem> {
    Ok(FILES.get(name).ok_or_else(Problem::not_found)?.serve(asked))
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

    /// All files that a page names are there, and none that it names is elsewhere.
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
