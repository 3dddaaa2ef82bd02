//! The loopback network as a program.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use loopback::{Network, NetworkConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A WhatsApp network on loopback, for tests and demonstrations.
#[derive(Parser)]
struct Arguments {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8099")]
    listen: SocketAddr,
    /// Where the HTTP control API listens.
    #[arg(long, default_value = "127.0.0.1:8098")]
    control: SocketAddr,
    /// Where the media host listens.
    #[arg(long, default_value = "127.0.0.1:8097")]
    media: SocketAddr,
    /// Makes everything random repeatable.
    #[arg(long)]
    seed: Option<u64>,
    /// Says whether a client of this build takes this network for WhatsApp, and ends.
    #[arg(long)]
    is_taken_for_whatsapp: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,loopback=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    if arguments.is_taken_for_whatsapp {
        println!("{}", loopback::is_taken_for_whatsapp());
        return Ok(());
    }
    let config = NetworkConfig {
        listen: arguments.listen,
        control: Some(arguments.control),
        media: arguments.media,
        seed: arguments.seed,
        ..NetworkConfig::default()
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let network = Network::start(config).await.with_context(|| {
        format!("cannot listen on {}, {} and {}", arguments.listen, arguments.control, arguments.media)
    })?;
    println!("clients: {}", network.ws_url());
    println!("control: {}", network.control_url().unwrap_or_default());
    println!("media: https://{}", network.media_host());
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    network.shutdown().await;
    Ok(())
}
