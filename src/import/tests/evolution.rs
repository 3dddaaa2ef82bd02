//! Evolution API's three places, and WAHA's folder.

use serde_json::json;

use super::*;
use crate::import::{
    evolution::{redis, rows},
    waha,
};

const INSTANCE: &str = "6f1c7d1e-0000-4000-8000-1234567890ab";

fn read_rows(text: &str, instances: Option<&Path>) -> (Vec<SourceTenant>, Result<(), ImportError>) {
    collect(|take| rows::read(text.as_bytes(), instances, &ImportLimits::default(), take))
}

/// Stringified twice, as Evolution does.
fn stored_creds(files: &FixtureFiles) -> String {
    Value::String(files["creds.json"].clone()).to_string()
}

#[test]
fn rows_as_csv_and_as_json_with_the_folder_of_keys() {
    let store = files(BAILEYS_6);
    let folder = read(&store).expect("a copy");
    let instances = TempDir::new().expect("a folder");
    let mut keys = store.clone();
    keys.remove("creds.json");
    write(&instances.path().join(INSTANCE), &keys);
    let creds = stored_creds(&store);
    let quoted = creds.replace('"', "\"\"");
    let row = json!({ "id": "c1", "sessionId": INSTANCE, "creds": creds, "createdAt": "2026-01-01" });
    for text in [
        format!("id,sessionId,creds,createdAt\nc1,{INSTANCE},\"{quoted}\",2026-01-01\n"),
        format!("\"sessionId\";\"creds\"\r\n\"{INSTANCE}\";\"{quoted}\"\r\n"),
        json!([row]).to_string(),
        json!({ "Instance": [{ "id": INSTANCE }], "Session": [row] }).to_string(),
        row.to_string(),
        // MySQL's own: INTO OUTFILE with quotes, mysql --batch, phpMyAdmin.
        format!("\"sessionId\",\"creds\"\n\"{INSTANCE}\",\"{}\"\n", creds.replace('\\', "\\\\").replace('"', "\\\"")),
        format!("id\tsessionId\tcreds\nc1\t{INSTANCE}\t{}\n", creds.replace('\\', "\\\\")),
        json!([
            { "type": "header", "version": "5.2.1" },
            { "type": "database", "name": "evolution" },
            { "type": "table", "name": "Instance", "data": [{ "id": INSTANCE }] },
            { "type": "table", "name": "Session", "database": "evolution", "data": [row] },
        ])
        .to_string(),
        json!([{ "sessionId": INSTANCE, "creds": value(&store, "creds.json") }]).to_string(),
    ] {
        let (found, result) = read_rows(&text, Some(instances.path()));
        result.expect("rows");
        assert_eq!((found.len(), found[0].name.as_str()), (1, INSTANCE));
        let copy = found[0].copy.as_ref().expect("a copy");
        copy.verify(Some("4915000000005")).expect("whole");
        assert_same(copy, &folder);
        assert!(copy.is_split && copy.creds_fit_keys());
        let (found, _) = read_rows(&text, None);
        assert!(found[0].copy.as_ref().is_ok_and(|copy| copy.sessions.is_empty()));
    }
    assert_same(
        &crate::import::evolution::folder(
            &{
                write(&instances.path().join("whole"), &store);
                instances.path().join("whole")
            },
            &ImportLimits::default(),
        )
        .expect("a folder"),
        &folder,
    );
}

#[test]
fn a_bad_row_costs_itself() {
    let creds = stored_creds(&files(BAILEYS_6));
    let rows = json!([
        { "sessionId": "a", "creds": null },
        { "sessionId": "b", "creds": creds[..300] },
        { "sessionId": "c", "creds": creds },
        { "sessionId": "../../etc", "creds": creds },
        { "id": 7 },
    ]);
    let instances = TempDir::new().expect("a folder");
    let (found, result) = read_rows(&rows.to_string(), Some(instances.path()));
    result.expect("rows");
    let told: Vec<_> = found.iter().map(|tenant| (tenant.name.as_str(), tenant.copy.is_ok())).collect();
    assert_eq!(told, [("a", false), ("b", false), ("c", true), ("../../etc", true)]);
    // A row whose keys are not there is told of.
    let problems = |at: usize| &found[at].copy.as_ref().expect("a copy").tally.problems;
    assert_eq!((problems(2).len(), problems(3).len()), (1, 1));
    assert!(problems(2)[0].reason.contains("the folder of its keys") && problems(2)[0].entry == "c", "{found:?}");
    // The last names a folder outside: it was not even listed.
    assert!(found[3].copy.as_ref().is_ok_and(|copy| copy.tally.of(EntryKind::Unknown).ignored == 0));
    for text in ["", "a,b\n1,2\n", "[]", "{}", "[1,2]"] {
        assert!(matches!(read_rows(text, None).1, Err(ImportError::OtherFormat(_))), "{text}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc", instances.path().join("c")).expect("a link");
        let (found, _) = read_rows(&rows.to_string(), Some(instances.path()));
        assert!(matches!(found[2].copy, Err(ImportError::Link { .. })));
    }
}

#[test]
fn a_dump_of_redis_in_each_form() {
    let store = files(BAILEYS_6);
    let folder = read(&store).expect("a copy");
    let fields: Vec<(String, &String)> =
        store.iter().map(|(name, text)| (name.trim_end_matches(".json").replace("--", "::"), text)).collect();
    let plain: String = fields.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect();
    let terminal: String = fields
        .iter()
        .flat_map(|(name, text)| [name.clone(), text.replace('\\', "\\\\").replace('"', "\\\"").replace('b', "\\x62")])
        .enumerate()
        .map(|(at, text)| format!("{}) \"{text}\"\n", at + 1))
        .collect();
    let object: serde_json::Map<String, Value> =
        fields.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
    let hash = format!("evolution:instance:{INSTANCE}");
    for (text, name) in [
        (plain, ""),
        (terminal, ""),
        (json!(object).to_string(), ""),
        (json!({ "other": { "a": "b" }, hash: object }).to_string(), INSTANCE),
    ] {
        let (found, result) = collect(|take| redis::read(text.as_bytes(), &ImportLimits::default(), take));
        result.expect("a dump");
        assert_eq!((found.len(), found[0].name.as_str()), (1, name));
        assert_same(found[0].copy.as_ref().expect("a copy"), &folder);
    }
    for text in ["", "creds", "pre-key-1\n{}\n", "{}", "{\"a\":{}}", "\u{1}\n\u{2}\n"] {
        let (found, result) = collect(|take| redis::read(text.as_bytes(), &ImportLimits::default(), take));
        assert!(found.is_empty() && result.is_err(), "{text}");
    }
}

#[test]
fn wahas_folder_at_every_level() {
    let root = TempDir::new().expect("a folder");
    let store = files(BAILEYS_7);
    let folder = read(&store).expect("a copy");
    write(&root.path().join("noweb/default"), &store);
    write(&root.path().join("noweb/second"), &files(BAILEYS_6));
    let gows = root.path().join("gows/third");
    fs::create_dir_all(&gows).expect("a folder");
    super::whatsmeow::database(&gows.join("gows.db"));
    fs::create_dir_all(root.path().join("noweb/empty")).expect("a folder");
    std::os::unix::fs::symlink("/etc", root.path().join("noweb/link")).expect("a link");
    let broken = root.path().join("gows/zbroken");
    fs::create_dir_all(&broken).expect("a folder");
    fs::write(broken.join("gows.db"), "nothing").expect("a file");
    let names = |path: &Path| {
        let (found, result) = collect(|take| waha::read(path, &ImportLimits::default(), take));
        result.expect("WAHA's folder");
        found.iter().map(|tenant| format!("{} {}", tenant.name, tenant.copy.is_ok())).collect::<Vec<_>>()
    };
    assert_eq!(names(root.path()), ["default true", "second true", "third true", "zbroken false"]);
    assert_eq!(names(&root.path().join("noweb")), ["default true", "second true"]);
    assert_eq!(names(&root.path().join("noweb/default")), ["default true"]);
    assert_eq!(names(&gows), ["third true"]);
    let (found, _) = collect(|take| waha::read(&root.path().join("noweb/default"), &ImportLimits::default(), take));
    assert_same(found[0].copy.as_ref().expect("a copy"), &folder);
    let (_, result) = collect(|take| waha::read(&root.path().join("noweb/empty"), &ImportLimits::default(), take));
    assert!(matches!(result, Err(ImportError::OtherFormat(_))));
}
