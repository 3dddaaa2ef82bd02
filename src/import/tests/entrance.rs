//! The one entrance: by the format's name, and by what lies there.

use serde_json::json;

use super::*;

#[test]
fn each_format_finds_its_reader() {
    let root = TempDir::new().expect("a folder");
    let at = |name: &str| root.path().join(name);
    let (seven, six) = (files(BAILEYS_7), files(BAILEYS_6));
    write(&at("many/one"), &seven);
    write(&at("many/two"), &six);
    fs::create_dir_all(at("many/empty")).expect("a folder");
    fs::write(at("one.json"), whole(&seven).to_string()).expect("a file");
    fs::write(at("rtdb.json"), json!({ "baileys_sessions": { "t": whole(&seven) } }).to_string()).expect("a file");
    let row = json!([{ "sessionId": "i", "creds": six["creds.json"] }]);
    fs::write(at("rows.json"), row.to_string()).expect("a file");
    let hash: serde_json::Map<_, _> = six.iter().map(|(name, text)| (name.replace(".json", ""), json!(text))).collect();
    fs::write(at("hash.json"), json!(hash).to_string()).expect("a file");
    drop(super::whatsmeow::database(&at("wm.db")));
    for (format, source, names) in [
        (SourceFormat::Baileys, "many", vec!["one", "two"]),
        (SourceFormat::Baileys, "many/one", vec![""]),
        (SourceFormat::Baileys, "one.json", vec![""]),
        (SourceFormat::Evolution, "many", vec!["one", "two"]),
        (SourceFormat::Evolution, "rows.json", vec!["i"]),
        (SourceFormat::Evolution, "hash.json", vec![""]),
        (SourceFormat::RealtimeDatabase, "rtdb.json", vec!["t"]),
        (SourceFormat::Firestore, "rtdb.json", vec!["t"]),
        (SourceFormat::Waha, "many", vec!["one", "two"]),
        (SourceFormat::Whatsmeow, "wm.db", vec!["4915000000018:1@s.whatsapp.net"]),
    ] {
        let (found, result) =
            collect(|take| super::super::read(format, &at(source), None, &ImportLimits::default(), take));
        result.unwrap_or_else(|error| panic!("{format:?} {source}: {error}"));
        assert_eq!(found.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), names, "{format:?} {source}");
        for tenant in found {
            tenant
                .copy
                .and_then(|copy| copy.verify(None))
                .unwrap_or_else(|error| panic!("{format:?} {source}: {error}"));
        }
    }
    for format in
        [SourceFormat::Baileys, SourceFormat::Evolution, SourceFormat::Whatsmeow, SourceFormat::RealtimeDatabase]
    {
        for source in ["many/empty", "nowhere"] {
            let (found, result) =
                collect(|take| super::super::read(format, &at(source), None, &ImportLimits::default(), take));
            assert!(found.is_empty() && result.is_err(), "{format:?} {source}");
        }
    }
}
