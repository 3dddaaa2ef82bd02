//! Alerts by mail over SMTP: a real server (aiosmtpd) takes them over TLS, and without TLS nothing is said to it.
//!
//! Needs Python 3 with `venv`. Where it is missing the test says so and passes, unless `CI=true`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use sessiond::demo::Setup;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::{
    python,
    stage::{Home, LIMIT, Stage},
};

const USER: &str = "kds@kds.example";
const PASSWORD: &str = "a/secret:of@the-server";

/// [`USER`] and [`PASSWORD`], as a URL takes them.
const LOGIN: &str = "kds%40kds.example:a%2Fsecret%3Aof%40the-server";

/// The server. Ends with its standard input.
struct Postbox {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Postbox {
    async fn start(bin: &Path, certificate: &Path, kind: &str) -> Self {
        let mut child = Command::new(bin.join("python"))
            .arg("server.py")
            .arg(certificate)
            .arg(key_of(certificate))
            .args([kind, USER, PASSWORD])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut postbox = Self { _child: child, lines, port: 0 };
        postbox.port = postbox.line().await.parse().expect("a port");
        postbox
    }

    async fn line(&mut self) -> String {
        let line = timeout(LIMIT, self.lines.next_line()).await.expect("a line in time");
        line.expect("a line").expect("the server runs")
    }

    async fn mail(&mut self) -> Value {
        serde_json::from_str(&self.line().await).expect("a message")
    }
}

fn key_of(certificate: &Path) -> PathBuf {
    certificate.with_extension("key")
}

/// The output of `sessiond alert-test`, and whether all was taken.
async fn alert_test(setup: &Setup) -> (bool, String) {
    let output = setup.command().unwrap().arg("alert-test").output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(!said.contains(PASSWORD) && !said.contains(LOGIN), "{said}");
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_mailed_over_tls_and_never_without() {
    let Some((_, bin)) = python::environment("smtp") else { return };
    let stage = Stage::new(Home::Embedded).await.unwrap();
    let certificate = stage.path("server.pem");
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(key_of(&certificate), certified.signing_key.serialize_pem()).unwrap();
    let by = |scheme: &str, login: &str, port: u16| {
        let setup = stage.setup.clone();
        setup
            .set("SESSIOND_OUTBOUND__ALLOW", "localhost")
            .set("SESSIOND_ALERTS__SMTP_URL", format!("{scheme}://{login}@localhost:{port}"))
            .set("SESSIOND_ALERTS__SMTP_CA", certificate.to_string_lossy())
            .set("SESSIOND_ALERTS__MAIL_FROM", "KDS <sessiond@kds.example>")
            .set("SESSIOND_ALERTS__MAIL_TO", "night@kds.example")
    };

    let mut postbox = Postbox::start(&bin, &certificate, "tls").await;
    let setup = by("smtps", LOGIN, postbox.port);
    let (taken, said) = alert_test(&setup).await;
    assert!(taken && said.contains("mail") && said.contains("taken"), "{said}");
    let mail = postbox.mail().await;
    assert_eq!(mail["from"], "sessiond@kds.example", "{mail}");
    assert_eq!(mail["to"], json!(["night@kds.example"]), "{mail}");
    assert_eq!(mail["subject"], "sessiond: prueba");
    assert!(mail["text"].as_str().unwrap().starts_with("Prueba de alertas de sessiond"), "{mail}");
    assert!(mail["id"].as_str().unwrap().ends_with("@kds.example>"), "{mail}");

    // The daemon does it too.
    let disk = rustix::fs::statvfs(certificate.as_path()).unwrap();
    let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    let watching = setup
        .clone()
        .set("SESSIOND_DATA__RESERVE_MIB", (free_mib * 4).to_string())
        .set("SESSIOND_ALERTS__INTERVAL", "1s")
        .set("SESSIOND_ALERTS__GATHER", "0s")
        .set("SESSIOND_ALERTS__DISK_LOW", "0s");
    let daemon = watching.start(LIMIT).await.unwrap();
    assert_eq!(postbox.mail().await["subject"], "sessiond: El disco está casi lleno");
    daemon.kill().await.unwrap();
    assert!(!stage.log().contains(PASSWORD) && !stage.log().contains(LOGIN), "{}", stage.log());

    // Each fails by its name, and without the password.
    for (setup, why) in [
        (by("smtps", "kds%40kds.example:wrong", postbox.port), "answered 535"),
        (setup.clone().set("SESSIOND_ALERTS__SMTP_CA", ""), "certificate"),
        (setup.clone().set("SESSIOND_ALERTS__SMTP_CA", "/nowhere.pem"), "alerts.smtp_ca cannot be read"),
        (setup.set("SESSIOND_OUTBOUND__ALLOW", ""), "outbound.allow"),
    ] {
        let (taken, said) = alert_test(&setup).await;
        assert!(!taken && said.contains(why), "{why}: {said}");
    }

    let mut postbox = Postbox::start(&bin, &certificate, "starttls").await;
    let (taken, said) = alert_test(&by("smtp", LOGIN, postbox.port)).await;
    assert!(taken, "{said}");
    assert_eq!(postbox.mail().await["subject"], "sessiond: prueba");
    // It takes a login without TLS; nobody gives it one.
    let postbox = Postbox::start(&bin, &certificate, "plain").await;
    let (taken, said) = alert_test(&by("smtp", LOGIN, postbox.port)).await;
    assert!(!taken && said.contains("STARTTLS"), "{said}");
}
