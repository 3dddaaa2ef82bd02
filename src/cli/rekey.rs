//! `sessiond rekey`: all that the vault has is sealed with the first master key, and what is not is counted.
//!
//! A daemon that runs does it itself: it is asked over HTTP, at the address of the configuration or another one, with the admin key.
//! Without one the vault is written here, where no process has it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::sleep;
use ulid::Ulid;

use super::{import::owner::LivingDaemons, running_daemon::RunningDaemon};
use crate::{
    clock::SystemClock,
    config::{Config, VaultHome},
    daemon::{self, VaultLock},
    fleet::{RekeyReport, Rekeyer},
    import::ImportWriter,
    tenant::TenantId,
    vault::InstanceId,
};

/// Between two looks at how far the daemon is.
const LOOK: Duration = Duration::from_millis(500);

/// So many looks in a row may fail.
const MAX_FAILED_LOOKS: u32 = 20;

#[derive(Debug, clap::Args)]
pub struct RekeyOptions {
    /// Only count what needs another key than the first. Writes nothing.
    #[arg(long)]
    check: bool,
    /// The daemon to ask, instead of the one at `http.listen`; each of several processes has tenants of its own.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print an object instead of words.
    #[arg(long)]
    json: bool,
}

/// Something needs another key than the first.
#[derive(Debug, thiserror::Error)]
#[error("the other master keys are still needed")]
pub struct OlderKeysNeededError;

pub async fn run(config: Config, options: RekeyOptions) -> anyhow::Result<()> {
    let report = match ask(&config, &options).await? {
        Some(report) => report,
        None => serde_json::to_value(here(&config, &options).await?)?,
    };
    match options.json {
        true => println!("{report}"),
        false => print!("{}", words(&report)),
    }
    if is_complete(&report) { Ok(()) } else { Err(OlderKeysNeededError.into()) }
}

fn is_complete(report: &Value) -> bool {
    report["left"] == 0 && report["fault"].is_null() && report["undone"] == json!([])
}

/// `None`: no daemon runs at the address of the configuration.
async fn ask(config: &Config, options: &RekeyOptions) -> anyhow::Result<Option<Value>> {
    let Some(daemon) = RunningDaemon::find(config, options.url.as_deref()).await? else { return Ok(None) };
    let (http, base) = (&daemon.http, &daemon.base);
    let url = format!("{base}/api/server/rekey");
    let answer = async |request: reqwest::RequestBuilder| {
        let answer = daemon.ask(request).await?;
        daemon.expect_success(&answer)?;
        anyhow::Ok(serde_json::from_str::<Value>(&answer.text)?)
    };
    let body = json!({ "check": options.check }).to_string();
    let request = http.post(&url).header("content-type", "application/json").body(body);
    let begun = answer(request).await?;
    if begun["check"] != options.check {
        bail!("the daemon at {base} is at it already, with another --check: wait until it is done");
    }
    let mut failed = 0;
    loop {
        sleep(LOOK).await;
        match answer(http.get(&url)).await {
            Ok(report) if report["running"] == true => failed = 0,
            Ok(report) if report["finishedAt"].is_null() => bail!("the daemon at {base} was restarted: ask again"),
            Ok(report) => {
                let own = daemon::first_key(config)?.map(|key| key.to_string());
                if own.is_some_and(|own| report["firstKey"] != own.as_str()) {
                    bail!(
                        "the daemon at {base} runs with another first master key than this configuration: restart it"
                    );
                }
                return Ok(Some(report));
            }
            Err(error) if failed == MAX_FAILED_LOOKS => return Err(error),
            Err(_) => failed += 1,
        }
    }
}

/// No daemon does it.
async fn here(config: &Config, options: &RekeyOptions) -> anyhow::Result<RekeyReport> {
    let instance = InstanceId(Ulid::generate().to_string().into());
    let _lock = match &config.vault.home {
        VaultHome::Embedded { path, .. } if !path.exists() => bail!("there is no vault at {}", path.display()),
        // Counting disturbs nobody.
        VaultHome::Embedded { path, shared } if !options.check => Some(VaultLock::acquire(path, *shared, &instance)?),
        _ => None,
    };
    let (vault, keyring) = daemon::existing_vault(config).await?.context("there is no vault yet")?;
    let (clock, policy) = (SystemClock::shared(), daemon::journal_policy(config));
    let rekeyer =
        Rekeyer { vault: vault.clone(), keyring: keyring.clone(), clock: clock.clone(), policy: policy.clone() };
    if options.check {
        return Ok(rekeyer.run(None, |_| ()).await);
    }
    let writer = ImportWriter { vault, keyring, instance, clock, policy, unsearchable: Arc::default() };
    let (others, writer) = (Arc::new(LivingDaemons::of(config)), Arc::new(writer));
    let reseal = {
        let rekeyer = rekeyer.clone();
        move |tenant: TenantId| -> BoxFuture<'static, Result<(), String>> {
            let (rekeyer, others, writer) = (rekeyer.clone(), others.clone(), writer.clone());
            Box::pin(async move {
                let is_free = async {
                    if let Some(others) = &*others
                        && others.have(&writer, &tenant).await.map_err(|error| error.to_string())?
                    {
                        return Err("a daemon that runs has it: ask that one, with --url".to_owned());
                    }
                    Ok(())
                };
                rekeyer.reseal_unserved(&tenant, is_free).await
            })
        }
    };
    Ok(rekeyer.run(Some(&reseal), |_| ()).await)
}

fn words(report: &Value) -> String {
    let count = |name: &str| report[name].as_u64().unwrap_or_default();
    let mut words = format!("{} tenants looked through\n", count("lookedAt"));
    for undone in report["undone"].as_array().into_iter().flatten() {
        let text = |name: &str| undone[name].as_str().unwrap_or_default();
        words += &format!("not done     {}: {}\n", text("tenant"), text("reason"));
    }
    if let Some(fault) = report["fault"].as_str() {
        words += &format!("broken off   {fault}\n");
    }
    let kinds = [("leftSnapshots", "snapshots"), ("leftEntries", "entries"), ("leftSegments", "segments")];
    for (name, kind) in kinds.into_iter().chain([("leftCheckValue", "the check value")]) {
        if count(name) > 0 {
            words += &format!("left         {} ({kind})\n", count(name));
        }
    }
    words += &match count("left") {
        0 if is_complete(report) => "nothing needs another key than the first\n".to_owned(),
        0 if !report["fault"].is_null() => String::new(),
        0 => "nothing else needs another key than the first\n".to_owned(),
        left => format!("{left} documents need another key than the first\n"),
    };
    words
}
