//! Google's Firestore emulator, one for all tests of this process.
//!
//! `FIRESTORE_EMULATOR_HOST` names one that runs already; otherwise the jar (`FIRESTORE_EMULATOR_JAR`, or the Debian package
//! `google-cloud-cli-firestore-emulator`) is started by Java on a free port, at first use. It never outlives this process,
//! however that ends: a shell holds the other end of a pipe and kills Java when the pipe closes. Each test takes a project of
//! its own, which is a database of its own.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex},
    thread,
    time::{Duration, Instant},
};

use sessiond::vault::firestore::{Firestore, FirestoreConfig, FirestoreCredentials};

const MAIN: &str = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";
const START: Duration = Duration::from_secs(90);

/// `host:port`. `None`, with a loud word, where there is neither an emulator nor what starts one; under `CI=true` a failure.
pub fn host() -> Option<String> {
    static HOST: LazyLock<Result<String, String>> =
        LazyLock::new(|| env::var("FIRESTORE_EMULATOR_HOST").or_else(|_| start()));
    match &*HOST {
        Ok(host) => Some(host.clone()),
        Err(reason) => {
            assert!(env::var("CI").as_deref() != Ok("true"), "no Firestore emulator: {reason}");
            let test = thread::current().name().unwrap_or_default().to_owned();
            // To the terminal itself, past the test harness, which shows only what failed.
            writeln!(io::stderr(), "\n*** DID NOT RUN: {test}: no Firestore emulator: {reason}\n").ok();
            None
        }
    }
}

/// A project that no other test has.
pub fn project() -> String {
    format!("test-{:016x}", rand::random::<u64>())
}

pub fn config(host: &str, project: &str) -> FirestoreConfig {
    FirestoreConfig {
        project: project.into(),
        database: "(default)".into(),
        credentials: FirestoreCredentials::Emulator { host: host.into() },
        request_timeout: Duration::from_secs(20),
    }
}

/// The vault of a project on the shared emulator.
pub async fn vault(project: &str) -> Option<Firestore> {
    let config = config(&host()?, project);
    Some(Firestore::connect(config).await.expect("the emulator answers"))
}

/// Creates or replaces a document past the vault: `fields` as in Firestore's REST interface.
pub fn put(project: &str, path: &str, fields: serde_json::Value) {
    rest("PATCH", project, path, &serde_json::json!({ "fields": fields }).to_string());
}

/// Deletes a document past the vault.
pub fn delete(project: &str, path: &str) {
    rest("DELETE", project, path, "");
}

fn rest(method: &str, project: &str, path: &str, body: &str) {
    let host = host().expect("asked for only where there is one");
    let target = format!("/v1/projects/{project}/databases/(default)/documents/{path}");
    let answer = http(&host, method, &target, body).expect("the emulator answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
}

/// The answer's head and body. Reads no further: the emulator keeps the connection open, whatever it is asked.
fn http(host: &str, method: &str, target: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer owner\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut stream = BufReader::new(stream);
    let (mut answer, mut length) = (String::new(), 0);
    while !answer.ends_with("\r\n\r\n") && stream.read_line(&mut answer)? > 0 {
        let line = answer.trim_end().rsplit('\n').next().unwrap_or_default().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(answer + &String::from_utf8_lossy(&body))
}

fn start() -> Result<String, String> {
    let jar = jar()?;
    let java = Command::new("java").arg("-version").output();
    if !java.is_ok_and(|output| output.status.success()) {
        return Err("there is no java in PATH".into());
    }
    // A port that is free now may be taken before Java has it.
    let mut failure = String::new();
    for _ in 0..3 {
        match start_on(free_port(), &jar) {
            Ok(host) => return Ok(host),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn start_on(port: u16, jar: &Path) -> Result<String, String> {
    // Kept for as long as this process lives; a dropped one closes its pipe.
    static RUNNING: Mutex<Option<Child>> = Mutex::new(None);
    // Java takes the place of the shell. `cat` ends when our end of the pipe closes. Interrupts from the terminal go to the whole
    // group, and `cat` has to outlive them.
    const WATCHED: &str = r#"trap "" INT TERM HUP
        exec 3<&0
        (cat <&3 >/dev/null; kill -9 $$) &
        exec "$@" </dev/null 3<&-"#;
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("emulator-{port}.log"));
    let output = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    // It keeps all that was ever written: a long run with many tenants needs more, or it does nothing but collect garbage.
    let heap = format!("-Xmx{}", std::env::var("FIRESTORE_EMULATOR_HEAP").unwrap_or_else(|_| "1g".into()));
    // Without Java's second compiler: it takes more of a few minutes than it gives back.
    let mut child = Command::new("sh")
        .args(["-c", WATCHED, "sh", "java", "-Duser.language=en", heap.as_str(), "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jar)
        .args([MAIN, "--host", "127.0.0.1", "--port", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("sh: {error}"))?;
    let host = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + START;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        if http(&host, "GET", "/", "").is_ok_and(|answer| answer.trim_end().ends_with("Ok")) {
            *RUNNING.lock().expect("no test panics here") = Some(child);
            return Ok(host);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("the emulator did not start, see {}", log.display()))
}

fn jar() -> Result<PathBuf, String> {
    if let Some(jar) = env::var_os("FIRESTORE_EMULATOR_JAR") {
        return Ok(jar.into());
    }
    let missing =
        "FIRESTORE_EMULATOR_JAR is not set, and the package google-cloud-cli-firestore-emulator is not installed";
    let list = Command::new("dpkg").args(["-L", "google-cloud-cli-firestore-emulator"]).output();
    let list = String::from_utf8_lossy(&list.map_err(|_| missing)?.stdout).into_owned();
    Ok(list.lines().find(|line| line.ends_with("cloud-firestore-emulator.jar")).ok_or(missing)?.into())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("is bound").port()
}
