//! The command line.

mod backup;
mod bot_eval;
mod export;
mod import;
mod rekey;
mod running_daemon;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    config::{Config, EXIT_CONFIG, VaultHome, shown_url},
    daemon::{self, EXIT_IN_USE, VaultLockError},
    telemetry::{self, LogStream},
};

/// Keeps many WhatsApp sessions alive and serves their dashboards.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// A configuration file; what it does not set has its default (config/default.toml).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Restore all sessions and serve (the default).
    Serve,
    /// Say what would be used, reach the vault, verify the master key.
    Check,
    /// Send a test to every channel of alerts.
    AlertTest,
    /// The bot's understanding of orders.
    #[command(subcommand)]
    Bot(BotSubcommand),
    /// Bring tenants of another gateway, with their WhatsApp session: nobody scans again. Or a restaurant's menu alone.
    Import(Box<import::ImportCommand>),
    /// Let a tenant leave for another gateway, with its WhatsApp session: it does not connect from here any more.
    Export(export::ExportOptions),
    /// Write one tenant into a file that only the master key opens. The tenant stays, and the daemon may run.
    Backup(backup::BackupOptions),
    /// Bring a tenant back from such a file, into a vault where it is not: nobody scans again.
    Restore(backup::RestoreOptions),
    /// Seal all that the vault has with the first of the master keys, so that the others may go. The daemon may run.
    Rekey(rekey::RekeyOptions),
    /// The whole main job on this machine: pair, die, lose the disk, come back.
    #[cfg(feature = "loopback")]
    Demo(crate::demo::DemoOptions),
}

#[derive(Debug, Subcommand)]
enum BotSubcommand {
    /// Read a corpus of utterances and dialogues and write what is understood. Needs no daemon and no vault.
    Eval(bot_eval::BotEvalOptions),
}

impl Cli {
    /// Runs the command. Prints errors; the exit code tells scripts.
    pub fn run(self) -> ExitCode {
        // State, keys and files of customers: nobody's but ours, whatever the shell says.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        // Two crates of the tree bring a provider each; rustls wants to be told which one to use.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if let Some(CliCommand::Bot(BotSubcommand::Eval(options))) = &self.command {
            return match bot_eval::run(options) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("sessiond: {error:#}");
                    ExitCode::FAILURE
                }
            };
        }
        #[cfg(feature = "loopback")]
        if let Some(CliCommand::Demo(options)) = self.command {
            return match runtime() {
                Ok(runtime) => block_on(runtime, crate::demo::run(options)),
                Err(code) => code,
            };
        }
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(code) => return code,
        };
        // Before anything is read: whoever manages services may tell a daemon to read its settings again as soon as there is one.
        let hangups = matches!(self.command, None | Some(CliCommand::Serve)).then(|| {
            let _context = runtime.enter();
            daemon::hear_hangups()
        });
        let config = match Config::load(self.config.as_deref()) {
            Ok(config) => config,
            Err(mistakes) => {
                eprintln!("{mistakes}");
                return ExitCode::from(EXIT_CONFIG);
            }
        };
        let stream = match self.command {
            Some(
                CliCommand::Import(_)
                | CliCommand::Export(_)
                | CliCommand::Rekey(_)
                | CliCommand::Backup(_)
                | CliCommand::Restore(_)
                | CliCommand::AlertTest,
            ) => LogStream::Stderr,
            _ => LogStream::Stdout,
        };
        telemetry::init(&config.log, stream);
        match self.command {
            Some(CliCommand::Check) => block_on(runtime, check(config)),
            Some(CliCommand::AlertTest) => block_on(runtime, test_alerts(config)),
            Some(CliCommand::Import(command)) => block_on(runtime, import::run(config, *command)),
            Some(CliCommand::Export(options)) => block_on(runtime, export::run(config, options)),
            Some(CliCommand::Backup(options)) => block_on(runtime, backup::back_up(config, options)),
            Some(CliCommand::Restore(options)) => block_on(runtime, backup::restore(config, options)),
            Some(CliCommand::Rekey(options)) => block_on(runtime, rekey::run(config, options)),
            _ => serve(runtime, async move {
                let hangups = hangups.context("SIGHUP is not heard")?.context("SIGHUP cannot be heard")?;
                daemon::run(&config, self.config.as_deref(), hangups).await
            }),
        }
    }
}

fn runtime() -> Result<Runtime, ExitCode> {
    daemon::give_back_large_blocks();
    tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(32).build().map_err(|error| {
        eprintln!("no threads: {error}");
        ExitCode::FAILURE
    })
}

/// Runs a command, whose user reads the terminal.
fn block_on(runtime: Runtime, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    run(runtime, work, |error| eprintln!("sessiond: {error:#}"))
}

/// Runs the daemon, whose operator reads the log.
fn serve(runtime: Runtime, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    run(runtime, work, |error| {
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!(event = "process_failed", error = format!("{error:#}"), "fatal");
        } else {
            eprintln!("sessiond: {error:#}");
        }
    })
}

/// Tells an error once.
fn run(runtime: Runtime, work: impl Future<Output = anyhow::Result<()>>, tell: fn(&anyhow::Error)) -> ExitCode {
    let ended = runtime.block_on(work);
    // Whatever still blocks a thread must not hold up the exit.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            exit_code(&error)
        }
    }
}

/// Scripts and service managers tell by it whether trying again helps.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(VaultLockError::InUse { .. }) = error.downcast_ref() {
        return ExitCode::from(EXIT_IN_USE);
    }
    if error.is::<daemon::MasterKeyError>() || error.is::<daemon::AdminKeyError>() {
        return ExitCode::from(EXIT_CONFIG);
    }
    ExitCode::FAILURE
}

/// Whoever checks waits in front of a screen.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

async fn check(config: Config) -> anyhow::Result<()> {
    match &config.vault.home {
        VaultHome::Embedded { path, .. } => println!("vault      embedded, {}", path.display()),
        VaultHome::Firestore { project, database, .. } => {
            println!("vault      Firestore, project {project}, database {database}")
        }
    }
    match (&config.vault.home, config.vault.master_keys.len()) {
        (VaultHome::Embedded { path, .. }, 0) => match path.with_extension("key") {
            file if file.exists() => println!("keys       the vault's own, {}", file.display()),
            file if path.exists() => {
                println!("keys       none: the vault is there, and its key {} is not", file.display())
            }
            file => println!("keys       none yet: the first start makes one, {}", file.display()),
        },
        (_, count) => println!("keys       {count} master key(s) configured"),
    }
    println!("http       {}", config.http.listen);
    println!("data       {}", config.data_dir.display());
    println!("whatsapp   {}", shown_url(&config.whatsapp.endpoint));
    can_be_written(&config.data_dir)
        .with_context(|| format!("the data folder {} cannot be made, or not be written", config.data_dir.display()))?;
    let silent = || format!("the vault did not answer within {CHECK_TIMEOUT:?}");
    timeout(CHECK_TIMEOUT, check_vault(&config)).await.with_context(silent)?
}

/// Whether a folder, or what would be made of it, takes files. Leaves nothing behind: a file without a name says more than the rights do,
/// which let the superuser write everywhere.
fn can_be_written(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(there).map(drop)
}

async fn check_vault(config: &Config) -> anyhow::Result<()> {
    let Some((vault, _)) = daemon::existing_vault(config).await? else {
        println!("new        there is no vault yet: the first start makes it, and its key if none is configured");
        return Ok(());
    };
    vault.ping().await?;
    let tenants = vault.tenants().await?;
    let connected = vault.restorable().await?.len();
    match vault.check_value().await? {
        Some(_) => println!("reached    the vault answers and the master key is its own"),
        None => println!("reached    the vault answers; no master key is its own yet: the first start's will be"),
    }
    println!("tenants    {}, of which {connected} would be restored", tenants.len());
    for (id, record) in tenants {
        if let Err(error) = record {
            println!("malformed  {id}: {error}");
        }
    }
    Ok(())
}

/// Sends one message to each channel. Needs no vault, and no daemon.
async fn test_alerts(config: Config) -> anyhow::Result<()> {
    let tests = daemon::alerts(&config)?.test().await;
    anyhow::ensure!(!tests.is_empty(), "no channel is set: see the section `alerts` of the configuration");
    for test in &tests {
        println!("{:10} {}", test.channel, test.error.as_deref().unwrap_or("taken"));
    }
    let failed = tests.iter().filter(|test| test.error.is_some()).count();
    anyhow::ensure!(failed == 0, "{failed} of {} channels did not take the test", tests.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_without_being_made() {
        let home = tempfile::tempdir().unwrap();
        can_be_written(&home.path().join("data/sessions")).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        can_be_written(&file.join("data")).unwrap_err();
        #[cfg(target_os = "linux")]
        can_be_written(Path::new("/proc/sessiond/data")).unwrap_err();
    }
}
