//! Log lines are an interface: each warning and error has a stable name, the guide explains all names, and no name means two things.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Said in several files, of one and the same thing.
const SHARED: &[&str] = &["file_unwritten", "message_expired", "message_lookup_failed", "outbox_unwritten"];

/// A log line as it is written in the code.
struct LoggedEvent {
    file: String,
    line: usize,
    level: &'static str,
    /// `None`: it has no name, or another field comes first.
    event: Option<String>,
}

fn read(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).expect("a file")));
        }
    }
}

fn lines() -> Vec<LoggedEvent> {
    let (mut files, mut lines) = (Vec::new(), Vec::new());
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for (file, source) in &files {
        for (level, call) in [("error", "error!("), ("warn", "warn!("), ("info", "info!("), ("debug", "debug!(")] {
            for (at, _) in source.match_indices(call) {
                // The end of another macro's name.
                if source[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                    continue;
                }
                let fields = source[at + call.len()..].trim_start();
                let event = fields.strip_prefix("event = \"").and_then(|rest| rest.split('"').next());
                let line = source[..at].matches('\n').count() + 1;
                lines.push(LoggedEvent { file: file.clone(), line, level, event: event.map(str::to_owned) });
            }
        }
    }
    lines
}

/// The first cells of the page's tables.
fn explained() -> Vec<String> {
    let (_, page) = sessiond::guide::PAGES.iter().find(|(name, _)| *name == "log-events").expect("the page");
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(name, _)| name.to_owned()).filter(|name| name != "event").collect()
}

#[test]
fn every_warning_and_error_has_a_name() {
    let lines = lines();
    assert!(lines.len() > 300, "{} lines", lines.len());
    let nameless: Vec<_> = lines
        .iter()
        .filter(|line| ["warn", "error"].contains(&line.level) && line.event.is_none())
        .map(|line| format!("{}:{}", line.file, line.line))
        .collect();
    assert!(nameless.is_empty(), "a warning or an error begins with `event = \"…\"`: {nameless:#?}");
    for event in lines.iter().filter_map(|line| line.event.as_deref()) {
        let is_plain = event.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        assert!(is_plain && !event.is_empty(), "{event:?} is not in snake case");
    }
}

#[test]
fn the_guide_explains_every_name_and_no_other() {
    let names: BTreeSet<_> = lines().into_iter().filter_map(|line| line.event).collect();
    let rows = explained();
    let explained: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(explained.len(), rows.len(), "src/guide/log-events.md explains each once");
    let missing: Vec<_> = names.difference(&explained).collect();
    let gone: Vec<_> = explained.difference(&names).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in src/guide/log-events.md: {missing:?}; not in src: {gone:?}");
}

#[test]
fn no_name_means_two_things() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines() {
        if let Some(event) = line.event {
            files.entry(event).or_default().insert(line.file);
        }
    }
    for (event, files) in files {
        let is_shared = SHARED.contains(&event.as_str());
        assert_eq!(files.len() > 1, is_shared, "{event} is in {files:#?}; `SHARED` has what is said in several");
    }
}
