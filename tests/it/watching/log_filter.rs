//! The operator sees more of a daemon that runs, and then less again; never what other crates would write.

use std::{fs, io::Write as _, net::TcpStream};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sessiond::demo::until;

use crate::support::stage::{Home, LIMIT, Stage};

const PATH: &str = "/api/server/log-filter";

/// What the daemon says, at DEBUG, of whoever speaks no HTTP.
const DETAIL: &str = "a connection ended early";

async fn filter(stage: &Stage) -> Value {
    stage.dashboard.get(PATH).await.unwrap().body["filter"].take()
}

async fn set(stage: &Stage, filter: &str) {
    let answer = stage.dashboard.put(PATH, json!({ "filter": filter })).await.unwrap();
    assert_eq!((answer.status, &answer.body["filter"]), (200, &json!(filter)), "{}", answer.body);
}

fn speak_no_http(stage: &Stage) {
    TcpStream::connect(stage.setup.address).unwrap().write_all(b"nonsense\r\n\r\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_changes_while_the_daemon_runs_and_the_cap_stays() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let file = stage.path("sessiond.toml");
    fs::write(&file, "").unwrap();
    let log = fs::File::create(&stage.setup.log).unwrap();
    let mut daemon = stage.setup.command().unwrap().arg("--config").arg(&file).stdout(log).spawn().unwrap();
    until(LIMIT, "the port", || async { stage.dashboard.get("/health").await.is_ok() }).await.unwrap();
    let says = async |words: &str| {
        let said = until(LIMIT, words, || std::future::ready(stage.log().contains(words))).await;
        said.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    };
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        kill_process(Pid::from_raw(daemon.id().unwrap().try_into().unwrap()).unwrap(), Signal::HUP).unwrap();
    };
    assert_eq!(filter(&stage).await, json!("info"), "as it is configured");

    for wrong in ["sessiond=loud".to_owned(), String::new(), "a".repeat(1025)] {
        let answer = stage.dashboard.put(PATH, json!({ "filter": wrong })).await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_input")), "{}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], json!("filter"), "{}", answer.body);
    }
    assert_eq!(filter(&stage).await, json!("info"), "as it was");

    let misspelt = stage.dashboard.put(PATH, json!({ "filter": "info,sesiond=debug" })).await.unwrap().body;
    assert_eq!(misspelt, json!({ "filter": "info,sesiond=debug", "unknownTargets": ["sesiond"] }));

    // All that there is: our own details, and not a word more of anybody else.
    set(&stage, "trace").await;
    let is_told = || async {
        speak_no_http(&stage);
        stage.log().contains(DETAIL)
    };
    until(LIMIT, "a detail", is_told).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.log()));
    says("log_filter_changed").await;
    says("the admin key, from 127.0.0.1").await;
    // A configuration that says what it said before is no reason to take that back.
    reload("[heartbeat]\ninterval = \"61s\"\n");
    says("SIGHUP: the configuration was read again").await;
    assert_eq!(filter(&stage).await, json!("trace"));

    reload("[log]\nfilter = \"info,sessiond::webhook=debug\"\n");
    let is_taken = || async { filter(&stage).await == json!("info,sessiond::webhook=debug") };
    until(LIMIT, "the configured filter", is_taken).await.unwrap();
    set(&stage, "info").await;
    let told = stage.log().matches(DETAIL).count();
    speak_no_http(&stage);
    reload("[log]\nfilter = \"info,sessiond::webhook=trace\"\n");
    let is_taken = || async { filter(&stage).await == json!("info,sessiond::webhook=trace") };
    until(LIMIT, "the next filter", is_taken).await.unwrap();
    assert_eq!(stage.log().matches(DETAIL).count(), told, "{}", stage.log());
    daemon.kill().await.unwrap();

    let lines: Vec<Value> = stage.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let details = lines.iter().filter(|line| ["DEBUG", "TRACE"].iter().any(|level| line["level"] == *level));
    let targets: Vec<_> = details.map(|line| line["target"].as_str().unwrap_or_default()).collect();
    assert!(!targets.is_empty() && targets.iter().all(|target| target.starts_with("sessiond")), "{targets:?}");

    // Nothing was kept of it.
    let daemon = stage.start().await;
    assert_eq!(filter(&stage).await, json!("info"));
    daemon.kill().await.unwrap();
}
