//! What stands around `/metrics`: the alert rules, the Grafana dashboard and the guide's table name what the daemon really shows.

use std::{collections::BTreeSet, path::Path, process::Stdio};

use serde_json::{Value, json};
use sessiond::{
    demo::{free_address, until},
    telemetry::metrics::family::{FAMILIES, MetricKind},
};
use tokio::process::Command;

use crate::{
    consumers::webhooks,
    support::{
        receiver::Receiver,
        scrape::{assert_clean, promtool, scrape},
        stage::{LIMIT, Stage},
    },
};

const RULES: &str = include_str!("../../../config/prometheus/alerts.yml");
const RULE_TESTS: &str = include_str!("../../../config/prometheus/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../../config/grafana/sessiond.json");
const PAGE: &str = include_str!("../../../src/guide/watching.md");

/// Prometheus itself says whether it could scrape.
const OF_PROMETHEUS: &str = "up";

/// Shown only while there is something to show.
const SOMETIMES: [&str; 1] = ["sessiond_outbox_oldest_timestamp_seconds"];

/// The names of metrics in an expression: words that are followed by labels or by nothing, and are no function's.
fn names(expression: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c: char| !is_word(c));
    let ours = |word: &&str| word.starts_with("sessiond_") || word.starts_with("process_") || *word == OF_PROMETHEUS;
    words.filter(ours).map(family_of).collect()
}

/// A histogram's own name.
fn family_of(name: &str) -> String {
    let ends = ["_bucket", "_sum", "_count"];
    let whole = ends.iter().find_map(|end| {
        let whole = name.strip_suffix(end)?;
        let family = FAMILIES.iter().find(|family| family.name == whole)?;
        matches!(family.kind, MetricKind::Histogram(_)).then_some(whole)
    });
    whole.unwrap_or(name).to_owned()
}

/// The expressions of the rules, each with its alert's name.
fn rules() -> Vec<(String, String)> {
    let mut rules: Vec<(String, String)> = Vec::new();
    for line in RULES.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            rules.push((name.to_owned(), String::new()));
        } else if let (Some(expression), Some(rule)) = (line.strip_prefix("expr: "), rules.last_mut()) {
            rule.1 = expression.to_owned();
        }
    }
    rules
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// Of the panels, and of the variables.
fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap().clone();
    let asked = variables.iter().filter_map(|variable| Some(variable["query"]["query"].as_str()?.to_owned()));
    let panels = panels();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).chain(asked).collect()
}

/// Everything that a rule or a panel asks for has a sample, after some traffic.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_really_shown() {
    let stage = webhooks::stage().await.set("SESSIOND_HEARTBEAT__FIRST", "0s");
    let daemon = stage.start().await;
    let receiver = Receiver::start().await;
    let conversation = stage.pair("trattoria").await;
    webhooks::put(&stage, "trattoria", json!([webhooks::webhook(&receiver.url(), &["message"], 3)])).await;
    let customer = &conversation.customers[0];
    stage.network.customer_send(customer, &conversation.number, "hello").await.unwrap();
    stage.dashboard.send("trattoria", customer, "an answer", "a").await.unwrap();
    receiver.until(LIMIT, "the message", |posts| !posts.is_empty()).await;
    // What WhatsApp allows is shown as it answered last.
    for question in ["capping", "timelock"] {
        let (status, answer) = webhooks::ask(&stage, "GET", &format!("/api/sessions/trattoria/{question}"), None).await;
        assert_eq!(status, 200, "{answer}");
    }
    scrape(&stage).await;
    let told = scrape(&stage).await;
    let shown = told.shown();
    let asked = rules().into_iter().map(|(_, expression)| expression).chain(dashboard_expressions());
    let asked: BTreeSet<String> = asked.flat_map(|expression| names(&expression)).collect();
    assert!(asked.len() > 40, "{asked:?}");
    let missing: Vec<_> = asked
        .iter()
        .filter(|name| *name != OF_PROMETHEUS && !SOMETIMES.contains(&name.as_str()))
        .filter(|name| !shown.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are asked for and not shown\n{}", told.text);
    assert!(SOMETIMES.iter().all(|name| told.types.contains_key(*name)));
    if let Some(output) = promtool(&["check", "metrics"], &told.text) {
        assert_clean(&output);
    }
    assert_prometheus_answers_every_panel(&stage).await;
    daemon.kill().await.unwrap();
}

/// Prometheus scrapes the daemon, and takes the query of every panel. `DASHBOARD_PICTURE` names a file for what it answers, drawn.
async fn assert_prometheus_answers_every_panel(stage: &Stage) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let settings = json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [config.join("prometheus/alerts.yml")],
        "scrape_configs": [{
            "job_name": "sessiond",
            "authorization": { "credentials": stage.setup.admin_key },
            "static_configs": [{ "targets": [stage.setup.address.to_string()] }],
        }],
    });
    // JSON is YAML, too.
    let file = stage.path("prometheus.yml");
    std::fs::write(&file, settings.to_string()).unwrap();
    let address = free_address().unwrap();
    let log = stage.path("prometheus.log");
    let started = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", stage.path("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut prometheus) = started else {
        assert!(std::env::var_os("CI").is_none(), "prometheus is missing: it is in Debian's package of that name");
        eprintln!("\n*** NOT RUN: the panels' queries need Debian's package prometheus ***\n");
        return;
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}");
    let has_scraped = || async {
        let asked = client.get(format!("{url}/api/v1/query?query=sessiond_tenants")).send().await;
        let Ok(answer) = asked else { return false };
        let answer: Value = answer.json().await.unwrap_or_default();
        answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
    };
    let waited = until(LIMIT, "a scrape", has_scraped).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{}", std::fs::read_to_string(&log).unwrap_or_default()));
    let drawn = Command::new("python3")
        .arg(config.join("grafana/picture.py"))
        .args(["--prometheus", &url, "--minutes", "5", "--tenant", "trattoria"])
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .output()
        .await
        .unwrap();
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let picture = String::from_utf8(drawn.stdout).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("One tenant: trattoria"), "{picture}");
    if let Some(file) = std::env::var_os("DASHBOARD_PICTURE") {
        std::fs::write(file, picture).unwrap();
    }
    prometheus.kill().await.unwrap();
}

#[test]
fn every_alert_is_played() {
    let rules = rules();
    assert!(rules.len() >= 20 && rules.iter().all(|(_, expression)| !expression.is_empty()), "{rules:?}");
    for (alert, _) in &rules {
        let quiet = format!("alertname: {alert}, exp_alerts: []");
        let fires = format!("        alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(RULE_TESTS.contains(&quiet) && RULE_TESTS.contains(&fires), "{alert} is not played");
    }
    let each = |word: &str| RULES.matches(word).count();
    assert_eq!((each("summary: "), each("do: "), each("severity: ")), (rules.len(), rules.len(), rules.len()));
    for arguments in [&["check", "rules", "alerts.yml"][..], &["test", "rules", "alerts_test.yml"]] {
        if let Some(output) = promtool(arguments, "") {
            assert_clean(&output);
        }
    }
    if let Some(output) = promtool(&["check", "config", "--syntax-only", "prometheus.yml"], "") {
        assert_clean(&output);
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    assert_eq!((&dashboard["uid"], &dashboard["title"]), (&json!("sessiond"), &json!("sessiond")));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let named: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(named[..4], ["datasource", "job", "instance", "tenant"]);
    let panels = panels();
    let rows: Vec<_> = panels.iter().filter(|panel| panel["type"] == "row").map(|row| &row["title"]).collect();
    let expected =
        ["Fleet", "Messages", "Outbox and webhooks", "Vault and cost", "WhatsApp's limits", "One tenant: $tenant"];
    assert_eq!(rows, expected);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
    }
    for expression in dashboard_expressions() {
        assert!(!names(&expression).is_empty(), "{expression} asks for nothing of ours");
        // A typing mistake in a variable makes a panel that is empty for ever.
        for variable in expression.split('$').skip(1) {
            let name: String = variable.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(named.contains(&&*name) || name == "__rate_interval", "${name} in {expression}");
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana/provisioning");
    let provisioning = std::fs::read_to_string(folder.join("dashboards.yml")).unwrap();
    assert!(provisioning.contains("apiVersion: 1") && provisioning.contains("/etc/grafana/dashboards/sessiond"));
}

/// The guide's table is the code's.
#[test]
fn the_guide_lists_every_metric() {
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows = PAGE.lines().filter(|line| line.starts_with("| `sessiond_") || line.starts_with("| `process_"));
    let listed: Vec<Vec<String>> = rows.map(|line| line.trim_matches('|').split('|').map(cell).collect()).collect();
    let there: Vec<Vec<String>> = FAMILIES
        .iter()
        .map(|family| {
            let kind = match family.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram(_) => "histogram",
            };
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = cell(&labels.join(", "));
            vec![family.name.to_owned(), kind.to_owned(), labels, family.help.trim_end_matches('.').to_owned()]
        })
        .collect();
    assert_eq!(listed.len(), there.len());
    for (listed, there) in listed.iter().zip(&there) {
        assert_eq!(listed, there);
    }
}
