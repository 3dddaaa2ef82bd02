//! The service on Railway, as `.railway/railway.ts` describes it: evaluated as Railway's CLI does it, and compared with the daemon's settings,
//! with the file that Railway still reads, and with the guide.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use sessiond::config::Config;

use crate::support::node::program;

/// Railway's CLI strips the types and imports what is left. It needs a newer Node for that than the tests do, so TypeScript strips them here.
const EVALUATE: &str = r#"
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { createRailwayContext } from "railway/iac";
import ts from "typescript";
const source = readFileSync("railway.ts", "utf8");
const { outputText } = ts.transpileModule(source, { compilerOptions: { module: "esnext", target: "es2023" } });
const file = `node_modules/.evaluated-${process.pid}.mjs`;
writeFileSync(file, outputText);
const { default: program } = await import(pathToFileURL(file));
rmSync(file);
console.log(JSON.stringify(await program(createRailwayContext({ environment: "production" }))));
"#;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file is in the repository")
}

fn service() -> Option<Value> {
    let folder = program("../.railway")?;
    let run = Command::new("node").args(["--input-type=module", "-e", EVALUATE]).current_dir(folder).output();
    let run = run.expect("node starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let project: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let [service] = &project["resources"].as_array().expect("resources")[..] else { panic!("one service: {project}") };
    Some(service.clone())
}

/// A variable that is given by value.
fn literal<'a>(service: &'a Value, name: &str) -> &'a str {
    service["variables"][name]["value"].as_str().unwrap_or_else(|| panic!("{name} in {service}"))
}

#[test]
fn a_deploy_on_railway_waits_for_the_restore_and_lets_the_old_daemon_end() {
    let Some(service) = service() else { return };
    let deploy = &service["deploy"];
    let seconds = |name: &str| Duration::from_secs(deploy[name].as_u64().unwrap_or_else(|| panic!("{name}: {deploy}")));
    let environment: BTreeMap<String, String> = service["variables"]
        .as_object()
        .expect("variables")
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value["value"].as_str()?.to_owned())))
        .collect();
    let config = Config::from_parts(None, &environment).expect("the daemon takes its variables");
    let grace = config.shutdown_grace.unwrap_or_else(|| sessiond::daemon::default_grace(usize::MAX));
    assert!(seconds("drainingSeconds") > grace, "SIGKILL comes before the daemon has ended");
    assert!(seconds("healthcheckTimeout") > config.restore.deadline, "a deploy fails before the restore is over");
    assert_eq!(deploy["overlapSeconds"], 0);
    assert_eq!(deploy["restartPolicyType"], "ON_FAILURE");
    assert_eq!(deploy["sleepApplication"], false);
    assert_eq!(deploy["numReplicas"], 1);
    assert!(sessiond::api::routes().iter().any(|route| deploy["healthcheckPath"] == route.path));
    assert!(read("Dockerfile").contains("ENTRYPOINT"));
    assert_eq!(service["build"], json!({ "builder": "DOCKERFILE", "dockerfilePath": "Dockerfile" }));
    for domain in service["networking"]["customDomains"].as_object().expect("domains").values() {
        assert_eq!(domain["port"].to_string(), literal(&service, "PORT"));
    }
    for secret in ["FIREBASE_SERVICE_ACCOUNT_KEY", "SESSIOND_MASTER_KEY", "SESSIOND_ADMIN_KEY"] {
        assert_eq!(service["variables"][secret], json!({ "type": "preserve" }), "{secret} is the dashboard's");
    }
}

/// The file that Railway reads until December, the variables and the guide say what the new file says.
#[test]
fn railways_two_files_its_variables_and_the_guide_agree() {
    let Some(service) = service() else { return };
    let deploy = &service["deploy"];
    let old: Value = toml::from_str(&read("railway.toml")).expect("TOML");
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, value) in old["deploy"].as_object().expect("a table") {
        assert_eq!(plain(value), plain(&deploy[name]), "{name}");
    }
    for (variable, name) in [
        ("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "drainingSeconds"),
        ("RAILWAY_DEPLOYMENT_OVERLAP_SECONDS", "overlapSeconds"),
        ("RAILWAY_HEALTHCHECK_TIMEOUT_SEC", "healthcheckTimeout"),
    ] {
        assert_eq!(literal(&service, variable), deploy[name].to_string(), "{variable}");
    }
    let page = read("src/guide/deploy.md");
    let (_, chapter) = page.split_once("## Railway").expect("the chapter");
    let (chapter, _) = chapter.split_once("\n## ").expect("another one follows");
    for name in service["variables"].as_object().expect("variables").keys() {
        assert!(chapter.contains(&format!("`{name}`")), "the guide does not name {name}");
    }
}
