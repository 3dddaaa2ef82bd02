//! `src/ARCHITECTURE.md` names files and tests that are there: a map that lies is worse than none. And comments are read beside code:
//! none is much wider.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const MAP: &str = include_str!("../../../src/ARCHITECTURE.md");
const CONTRIBUTING: &str = include_str!("../../../.github/CONTRIBUTING.md");

/// In characters.
const WIDEST_COMMENT: usize = 140;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands between backticks.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_files_that_are_named_are_there() {
    let is_path =
        |name: &&str| ["src/", "tests/", "config/", ".ci/", ".github/"].iter().any(|start| name.starts_with(start));
    // A sentence may name a folder with what is in it, as in `tests/it/*.rs`.
    let missing: Vec<_> = named(MAP)
        .chain(named(CONTRIBUTING))
        .filter(is_path)
        .filter(|path| !path.contains(['*', '{', ' ']))
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Every test that this binary has, by module and function.
fn tests(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let inside = match (module, name.as_str()) {
            (module, "mod") => module.to_owned(),
            ("", name) => name.to_owned(),
            (module, name) => format!("{module}::{name}"),
        };
        if path.is_dir() {
            tests(&path, &inside, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("a file");
            let functions = source.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(functions.map(|function| format!("{inside}::{function}")));
        }
    }
}

#[test]
fn the_promises_name_tests_that_are_there() {
    let mut there = BTreeSet::new();
    tests(&root().join("tests/it"), "", &mut there);
    let (_, promises) = MAP.split_once("## The promises").expect("the chapter");
    let (promises, _) = promises.split_once("\n## ").expect("another one follows");
    let named: Vec<_> = named(promises).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 25, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Those that a command picks among the tests of this binary.
fn filters(command: &str) -> impl Iterator<Item = &str> {
    let picked = command.split_once("--test it -- ").map(|(_, picked)| picked);
    picked.into_iter().flat_map(str::split_whitespace).filter(|word| !word.starts_with('-') && *word != "…")
}

#[test]
fn the_commands_pick_tests_that_are_there() {
    let mut there = BTreeSet::new();
    tests(&root().join("tests/it"), "", &mut there);
    let picked: Vec<_> = named(CONTRIBUTING).flat_map(filters).collect();
    assert!(picked.len() > 7, "{picked:?}");
    let empty: Vec<_> = picked.iter().filter(|filter| !there.iter().any(|test| test.contains(**filter))).collect();
    assert!(empty.is_empty(), "{empty:#?}");
}

/// Every file of Rust below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_comment_is_too_wide_to_read() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 300, "{}", files.len());
    let mut wide = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a file");
        for (number, line) in (1..).zip(source.lines()) {
            let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
            // A row of a table has no place to be broken at.
            let is_row = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
            if !is_row && line.chars().count() > WIDEST_COMMENT {
                wide.push(format!("{}:{number}", file.display()));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}
