//! The console's words, compared with what the daemon says: a new event, reason or problem without words in both languages fails here.

use std::{collections::BTreeSet, fs, path::Path};

use sessiond::waha::EventName;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All texts in double quotes.
fn literals(source: &str) -> Vec<String> {
    source.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Each stretch of `source` from a mark to the end that follows it.
fn stretches<'a>(source: &'a str, mark: &'a str, ends: &'a [&str]) -> impl Iterator<Item = &'a str> {
    source.split(mark).skip(1).map(|rest| {
        let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        &rest[..end]
    })
}

/// A sentence with `{}` for each of its values.
fn form(sentence: &str) -> String {
    let mut parts = sentence.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |form, part| form + "{}" + part.split_once('}').map_or("", |(_, rest)| rest))
}

#[test]
fn a_webhook_can_be_set_up_for_every_event() {
    let offered: BTreeSet<_> = literals(&read("console/assets/events.js"))
        .into_iter()
        .filter(|name| name.contains('.') || name == "message")
        .collect();
    let known: BTreeSet<_> = EventName::ALL.iter().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(offered, known);
}

#[test]
fn both_languages_have_all_words() {
    let keys = |file: &str| -> BTreeSet<String> {
        read(file)
            .lines()
            .filter_map(|line| Some(line.strip_prefix("  \"")?.split_once("\": ")?.0.to_owned()))
            .collect()
    };
    assert_eq!(keys("console/assets/words.en.js"), keys("console/assets/words.es.js"));
}

/// Whoever brings a tenant from another gateway is led to the page that says how.
#[test]
fn every_gateway_has_its_page_of_the_guide() {
    let script = read("console/assets/movein.js");
    let named: BTreeSet<_> = literals(&script).into_iter().filter(|name| name.starts_with("move-in-")).collect();
    let pages: BTreeSet<_> = sessiond::guide::PAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let own: BTreeSet<_> = pages.into_iter().filter(|name| name.starts_with("move-in-")).collect();
    assert_eq!(named, own);
}

/// Looks for reasons where they are written: in what is displayed of a disconnect and of an end, and wherever a reason is set.
#[test]
fn every_reason_of_a_session_is_said_in_spanish() {
    let mut said = BTreeSet::new();
    for file in ["session/connection/disconnect.rs", "session/end.rs"] {
        let source = read(file);
        said.extend(stretches(&source, "impl fmt::Display for", &["\n}"]).flat_map(literals));
    }
    let screen = read("session/pairing/screen.rs");
    said.extend(stretches(&screen, "//!", &["#[cfg(test)]"]).flat_map(literals));
    let code = read("session/pairing/code.rs");
    said.extend(stretches(&code, "pub fn pairing_error(", &["\n}"]).flat_map(literals));
    for file in [
        "session/connection/supervisor.rs",
        "session/connection/supervisor/unlink.rs",
        "session/connection/events.rs",
        "session/connection/mod.rs",
        "session/mod.rs",
        "session/open.rs",
        "session/end.rs",
        "fleet/opening.rs",
        "fleet/deletion.rs",
        "fleet/slot.rs",
    ] {
        let source = read(file);
        for (mark, ends) in [
            // Not a semicolon within a sentence.
            ("status.reason =", &[";\n"][..]),
            ("let reason =", &[";\n"]),
            ("STAYS_AWAY: &str =", &[";"]),
            ("Status::new(State::", &[")"]),
            ("NOT_PAIRED: &str =", &[";"]),
            ("LOGGED_OUT: &str =", &[";"]),
        ] {
            said.extend(stretches(&source, mark, ends).flat_map(literals));
        }
    }
    // A reason of its own, and not a part of one.
    let said: BTreeSet<_> = said.iter().map(|sentence| form(sentence)).filter(|form| form != "{}").collect();
    assert!(said.len() > 40, "the reasons are written elsewhere by now: {said:#?}");
    let spanish = read("console/assets/reasons.es.js");
    let known: BTreeSet<_> = stretches(&spanish, "\n  [", &["]"])
        .filter_map(|pair| literals(pair).first().map(|first| form(first)))
        .collect();
    let missing: Vec<_> = said.difference(&known).collect();
    assert!(missing.is_empty(), "no Spanish for {missing:#?}");
}

#[test]
fn every_problem_has_words() {
    let mut codes = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            for mark in
                ["::missing(", "::unavailable(", "::conflict(", "::unprocessable(", "Self::new(", "Problem::new("]
            {
                // The code comes first, after a status if there is one.
                let call = |call: &str| literals(&call.chars().take(120).collect::<String>()).into_iter().next();
                codes.extend(stretches(&source, mark, &[";"]).filter_map(call));
            }
        }
    }
    let is_code =
        |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let codes: BTreeSet<_> = codes.iter().filter(is_code).collect();
    assert!(codes.len() > 35, "problems are made elsewhere by now: {codes:?}");
    let words = read("console/assets/words.en.js");
    let missing: Vec<_> = codes.iter().filter(|code| !words.contains(&format!("\"problem.{code}\""))).collect();
    assert!(missing.is_empty(), "no words for {missing:?}");
    // Where the problem's `type` leads.
    let page = sessiond::guide::PAGES.iter().find(|(name, _)| *name == "problems").unwrap().1;
    let explained: BTreeSet<_> = sessiond::guide::render(page).headings.into_iter().map(|heading| heading.id).collect();
    let missing: Vec<_> = codes.iter().filter(|code| !explained.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "src/guide/problems.md does not explain {missing:?}");
}
