//! A scrape of `/metrics`, taken apart; and Prometheus' own tool.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::stage::Stage;

/// What a scrape shows.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    pub text: String,
    /// By name and labels, as they stand there.
    samples: BTreeMap<String, f64>,
    /// The names of families, each with its type.
    pub types: BTreeMap<String, String>,
}

impl Scrape {
    pub fn parse(text: String) -> Self {
        let mut scrape = Self { text, ..Self::default() };
        for line in scrape.text.lines().filter(|line| !line.is_empty()) {
            if let Some(head) = line.strip_prefix("# TYPE ") {
                let (name, kind) = head.split_once(' ').expect("a name and a type");
                let before = scrape.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} has two headings");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                let before = scrape.samples.insert(series.to_owned(), value.parse().expect("a number"));
                assert_eq!(before, None, "{series} is there twice");
            }
        }
        scrape
    }

    /// The value of a series, written as it stands there; 0 if it is not there.
    pub fn value(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or_default()
    }

    pub fn has(&self, series: &str) -> bool {
        self.samples.contains_key(series)
    }

    /// All series of which this is a part.
    pub fn containing(&self, part: &str) -> Vec<&str> {
        self.samples.keys().map(String::as_str).filter(|series| series.contains(part)).collect()
    }

    /// Families that have a sample, histograms by their own name.
    pub fn shown(&self) -> BTreeSet<String> {
        let name = |series: &String| {
            let name = series.split('{').next().unwrap_or_default();
            let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                let whole = name.strip_suffix(end)?;
                (self.types.get(whole).map(String::as_str) == Some("histogram")).then_some(whole)
            });
            whole.unwrap_or(name).to_owned()
        };
        self.samples.keys().map(name).collect()
    }
}

/// Reads `/metrics` with a credential, or without.
pub async fn ask(address: std::net::SocketAddr, credential: Option<&str>) -> reqwest::Response {
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{address}/metrics"));
    if let Some(credential) = credential {
        request = request.bearer_auth(credential);
    }
    request.send().await.unwrap()
}

/// As the operator.
pub async fn scrape(stage: &Stage) -> Scrape {
    let answer = ask(stage.setup.address, Some(&stage.setup.admin_key)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    Scrape::parse(answer.text().await.unwrap())
}

/// Runs Prometheus' tool in `config/prometheus`. `None`: it is missing, and that has been said.
pub fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing: it is in Debian's package prometheus");
        eprintln!("promtool is missing: {arguments:?} was not run");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

pub fn assert_clean(output: &Output) {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{error}");
}
