//! The README and the guide: their commands run, their links lead somewhere, and the daemon serves them as pages that run nothing foreign.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use sessiond::guide::{CONTENTS, PAGES, SETTINGS, render};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    contracts::console,
    support::{
        node::program,
        stage::{Home, LIMIT, Stage},
    },
};

/// The languages of code blocks. Commands are either run or known not to be.
const LANGUAGES: &[(&str, &str)] = &[
    ("sh", "is run"),
    ("js", "is run"),
    ("console", "builds for minutes, needs Docker, Railway, systemd or a package, or shows what a command prints"),
    ("javascript", "is a part of somebody's page"),
    ("json", "is an answer, or a part of one"),
    ("ini", "is a unit of systemd"),
    ("yaml", "is a part of another program's configuration"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text with its path in the repository.
fn texts() -> Vec<(String, String)> {
    let pages = PAGES.iter().map(|(name, text)| (format!("src/guide/{name}.md"), (*text).to_owned()));
    let others = ["README.md", "src/ARCHITECTURE.md", ".github/CONTRIBUTING.md"];
    let others = others.map(|name| (name.to_owned(), std::fs::read_to_string(root().join(name)).expect("it is there")));
    let contents = ("src/guide/README.md".to_owned(), CONTENTS.to_owned());
    pages.chain(others).chain([contents]).collect()
}

/// The code blocks of a text, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, code))) => *code += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end: {open:?}");
    blocks
}

/// A text without its code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What the links of a text name.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let named = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    named.map(str::to_owned).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    render(text).headings.into_iter().map(|heading| heading.id).collect()
}

#[test]
fn every_page_is_in_the_table_of_contents_and_no_file_is_left_out() {
    let files = std::fs::read_dir(root().join("src/guide")).expect("the folder");
    let files = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let files: BTreeSet<_> = files.filter_map(|file| Some(file.strip_suffix(".md")?.to_owned())).collect();
    let served: BTreeSet<_> = PAGES.iter().map(|(name, _)| (*name).to_owned()).chain(["README".to_owned()]).collect();
    assert_eq!(files, served);
    for (name, text) in PAGES {
        assert!(CONTENTS.contains(&format!("]({name}.md)")), "{name} is not in the table of contents");
        assert!(text.starts_with("# "), "{name} has no title");
    }
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    assert!(readme.lines().count() <= 150, "{} lines: the guide is for the rest", readme.lines().count());
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut lost = Vec::new();
    for (path, text) in texts() {
        for link in links(&text).into_iter().filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = root().join(&path).parent().expect("a folder").to_owned();
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            if !target.exists() {
                lost.push(format!("{path}: {link}"));
            } else if !anchor.is_empty() {
                let there = std::fs::read_to_string(target).expect("text");
                if !anchors(&there).contains(anchor) {
                    lost.push(format!("{path}: {link}: no such heading"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn every_code_block_says_what_it_is() {
    for (path, text) in texts().into_iter().filter(|(path, _)| path.contains("guide") || path == "README.md") {
        for (language, code) in blocks(&text) {
            assert!(LANGUAGES.iter().any(|(known, _)| *known == language), "{path}: `{language}`:\n{code}");
            let forgets = language == "console" && code.starts_with("curl");
            assert!(!forgets, "{path}: a command that could run begins with a prompt or is `sh`:\n{code}");
        }
    }
}

/// All pages are there for everybody; what they link to is there; nothing in them is run but the page's own script.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_served_and_its_links_lead_on() {
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let client = reqwest::Client::new();
    let address = format!("http://{}", stage.setup.address);
    let names = PAGES.iter().map(|(name, _)| *name).chain(["", SETTINGS]);
    for name in names {
        let url = format!("{address}/docs/guide/{name}");
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let page = answer.text().await.unwrap();
        assert_eq!(page.matches("<script").count(), 1, "{url}");
        for forbidden in [" style=", " onclick=", "javascript:", "<img", "<iframe"] {
            assert!(!page.contains(forbidden), "{url} has {forbidden}");
        }
        for href in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            if href.starts_with("http") || href.starts_with('#') {
                continue;
            }
            let target = reqwest::Url::parse(&url).unwrap().join(href).unwrap();
            let answer = client.get(target.clone()).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{url} leads to {target}");
            if let Some(anchor) = target.fragment() {
                let there = answer.text().await.unwrap();
                assert!(there.contains(&format!("id=\"{anchor}\"")), "{url} leads to {target}");
            }
        }
    }
    let problem = stage.dashboard.get("/docs/guide/nothing").await.unwrap();
    assert_eq!((problem.status, &problem.body["code"]), (404, &json!("not_found")));
    // A problem's type leads to its explanation.
    let kind = problem.body["type"].as_str().unwrap().to_owned();
    let explained = client.get(format!("{address}{kind}")).send().await.unwrap().text().await.unwrap();
    assert!(explained.contains(&format!("id=\"{}\"", kind.split('#').next_back().unwrap())), "{kind}");
    let moved = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let moved = moved.get(format!("{address}/docs/guide")).send().await.unwrap();
    assert_eq!((moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()), (307, "guide/"));
    daemon.kill().await.unwrap();
}

/// In a real browser: words are found, nothing breaks the policy, nothing comes from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_on_a_page() {
    let (Some(folder), Some(chromium)) = (program("console"), console::chromium()) else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let address = format!("http://{}", stage.setup.address);
    let mut command = Command::new("node");
    command
        .arg("guide.mjs")
        .arg(chromium)
        .arg(&address)
        .args(std::env::var("CONSOLE_PICTURES").ok())
        .current_dir(folder)
        .kill_on_drop(true);
    let output = timeout(LIMIT * 2, command.output()).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let seen: Value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((&seen["troubles"], &seen["violations"]), (&json!([]), &json!([])), "{seen}");
    assert_eq!((&seen["found"], &seen["shown"]), (&json!("vault_down"), &json!(true)), "{seen}");
    assert_eq!((&seen["all"], &seen["wide"]), (&json!(true), &json!(false)), "{seen}");
    for request in seen["requests"].as_array().unwrap() {
        assert!(request.as_str().unwrap().starts_with(&address), "{request}");
    }
    daemon.kill().await.unwrap();
}

/// What stands before the commands of a page: the prompt's variables, a `curl` that fails where the daemon refuses, and a phone that scans
/// the QR code that would be drawn.
const PREAMBLE: &str = r#"
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }
qrencode() {
  local qr
  qr=$(cat)
  jq -n --arg qr "$qr" '{qr: $qr}' | curl --json @- "$NET/phones/$PHONE/scan" > /dev/null
  for _ in $(seq 600); do
    [ "$(curl -H "X-Api-Key: $KEY" "$A/api/baileys/status?tenantId=$NAME" | jq .connected)" = true ] && return
    sleep 0.1
  done
  echo "$NAME is not paired" >&2
  return 1
}
"#;

/// What the pages of a move-in take out of other gateways, under the names that they use; and the program itself, which looks at it.
fn other_gateways(folder: &Path, program: &Path) {
    const INSTANCE: &str = "6f1c7d1e-0000-4000-8000-1234567890ab";
    let fixtures = root().join("tests/fixtures/import");
    let store = |name: &str| -> BTreeMap<String, String> {
        serde_json::from_str(&std::fs::read_to_string(fixtures.join(name)).expect("a fixture")).expect("files")
    };
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    for (name, text) in store("baileys-7.json") {
        write(&format!("sessions/osteria/{name}"), &text);
        write(&format!(".sessions/noweb/osteria/{name}"), &text);
    }
    let creds: Value = serde_json::from_str(&store("baileys-7.json")["creds.json"]).expect("JSON");
    let tenant = json!({ "baileys_session": { "creds": creds }, "restaurant": { "whatsappConnected": true } });
    write("export.json", &json!({ "tenants": { "osteria": tenant } }).to_string());
    write("documents.json", &json!({ "baileys_sessions": { "osteria": { "creds": creds } } }).to_string());
    let six = store("baileys-6.json");
    let creds = Value::String(six["creds.json"].clone()).to_string().replace('"', "\"\"");
    write("Session.csv", &format!("sessionId,creds\n{INSTANCE},\"{creds}\"\n"));
    let hash: BTreeMap<_, _> = six.iter().map(|(name, text)| (name.trim_end_matches(".json"), text)).collect();
    write("hash.json", &json!(hash).to_string());
    for (name, text) in six.iter().filter(|(name, _)| *name != "creds.json") {
        write(&format!("instances/{INSTANCE}/{name}"), text);
    }
    std::fs::copy(fixtures.join("whatsmeow.db"), folder.join("whatsmeow.db")).expect("a database");
    std::fs::create_dir(folder.join("bin")).expect("a folder");
    std::os::unix::fs::symlink(program, folder.join("bin/sessiond")).expect("a link");
}

/// Whether `jq` is here; says so loudly where it is not.
fn has_jq() -> bool {
    let found = std::process::Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs jq for the guide's commands");
        let loud = "\n*** NOT RUN: the guide's commands need jq (apt-get install jq) ***\n";
        writeln!(std::io::stderr(), "{loud}").expect("stderr is writable");
    }
    found
}

/// The commands of every page, as they stand there, one page after the other. Only who lives on the network has other numbers.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_pages_run() {
    if !has_jq() {
        return;
    }
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let tenant = stage.pair("trattoria").await;
    let customer = tenant.customers[0].clone();
    // Of a chat in which nobody wrote there are no older messages.
    let id = stage.network.customer_send(&customer, &tenant.number, "Do you have a table?").await.unwrap();
    let came = || async {
        let path = format!("/api/baileys/messages?tenantId=trattoria&chatId={customer}");
        stage.dashboard.get(&path).await.is_ok_and(|answer| answer.body.to_string().contains(&id))
    };
    sessiond::demo::until(LIMIT, "the customer's message", came).await.unwrap();
    let mut ran = 0;
    for (path, text) in texts() {
        let commands: Vec<String> =
            blocks(&text).into_iter().filter(|(language, _)| language == "sh").map(|(_, code)| code).collect();
        if commands.is_empty() {
            continue;
        }
        ran += commands.len();
        // These two pages pair their tenant.
        let pairs = commands.iter().any(|code| code.contains("qrencode"));
        let name = if pairs {
            format!("trattoria-{}", if path == "README.md" { "readme" } else { "first" })
        } else {
            "trattoria".into()
        };
        let phone = stage.network.add_phone(None).await.number;
        let address = stage.setup.address.to_string();
        let script = commands
            .concat()
            .replace("localhost:3000", &address)
            .replace("restaurant1", &name)
            .replace("trattoria", &name)
            .replace("573009998877", &customer)
            .replace("573001112233", &phone);
        let folder = tempfile::tempdir().unwrap();
        let sessiond = stage.setup.command().unwrap();
        let sessiond = sessiond.as_std();
        other_gateways(folder.path(), Path::new(sessiond.get_program()));
        let settings = sessiond.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(format!("{PREAMBLE}PATH=$PWD/bin:$PATH\n{script}"))
            // The tests' own, which is no setting.
            .env_remove("SESSIOND_PROGRAM")
            .envs(settings)
            .env("KEY", &stage.setup.admin_key)
            .env("A", format!("http://{address}"))
            .env("NET", stage.network.control_url().unwrap())
            .env("PHONE", &phone)
            .env("NAME", &name)
            .current_dir(folder.path())
            .kill_on_drop(true);
        let output = timeout(2 * LIMIT, command.output()).await.expect("it ends in time").unwrap();
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{path}:\n{script}\n{said}\n{failed}\n{}", stage.log());
    }
    assert!(ran > 24, "{ran} blocks: the pages mark them otherwise by now");
    let orders = || async {
        let inbox = stage.network.customer_inbox(&customer).await.unwrap();
        inbox.iter().filter(|message| message.text.as_deref() == Some("Su pedido está listo")).count() == 3
    };
    sessiond::demo::until(LIMIT, "one message of each page that sends one", orders).await.unwrap();
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_socket_io_runs() {
    let Some(folder) = program("socketio") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let daemon = stage.start().await;
    let conversation = stage.pair("trattoria").await;
    let text = PAGES.iter().find(|(name, _)| *name == "dashboards").unwrap().1;
    let (_, code) = blocks(text).into_iter().find(|(language, _)| language == "js").expect("an example");
    let mut example = Command::new("node")
        .args(["--input-type=module", "-e"])
        .arg(code.replace("localhost:3000", &stage.setup.address.to_string()))
        .env("KEY", &stage.setup.admin_key)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(example.stdout.take().unwrap()).lines();
    let mut next = async |name: &str| {
        let found = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with(name) {
                    return line;
                }
            }
            panic!("it ended before {name}");
        };
        timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no {name} in {:?}", Duration::from_secs(60)))
    };
    next("registered").await;
    let customer = &conversation.customers[0];
    stage.network.customer_send(customer, &conversation.number, "una pizza").await.unwrap();
    assert!(next("message:received").await.contains("una pizza"));
    daemon.kill().await.unwrap();
}
