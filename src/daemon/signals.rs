//! Runs the daemon until a signal.

use std::path::Path;

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Daemon;
use crate::config::Config;

/// The signals that stop the process.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// From now on SIGHUP ends the process no more: called first of all, within a runtime. One that comes during the start is heard after it.
pub fn hear_hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Runs until a signal. A second signal, or a grace that is over, ends it at once. `file`: the configuration's, to be read again at SIGHUP
/// (`hangups`).
pub async fn run(config: &Config, file: Option<&Path>, mut hangups: Signal) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen()?;
    let mut last_read = config.clone();
    let told = CancellationToken::new();
    let starting = Daemon::start(config, told.clone());
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started?,
        signal = signals.next() => {
            info!(event = "stop_requested", signal, "stopping before the start is over");
            told.cancel();
            tokio::select! {
                started = &mut starting => started?,
                _ = signals.next() => bail!("stopped at once by a second signal"),
            }
        }
    };
    let Some(mut daemon) = started else { return Ok(()) };
    loop {
        tokio::select! {
            biased;
            // It was up in the same moment.
            () = told.cancelled() => break,
            signal = signals.next() => {
                info!(event = "stop_requested", signal, "stopping");
                break;
            }
            failure = daemon.failed() => {
                error!(event = "serving_failed", error = format!("{failure:#}"), "stopping after a fatal error");
                let _ = daemon.stop().await;
                return Err(failure);
            }
            Some(()) = hangups.recv() => daemon.reload(config, &mut last_read, Config::load(file)),
        }
    }
    tokio::select! {
        stopped = daemon.stop() => stopped,
        _ = signals.next() => bail!("stopped at once by a second signal"),
    }
}
