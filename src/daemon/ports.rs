//! The addresses that the process listens on.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    api::{self, App},
    config::{self, Config},
    listener::{self, Room},
};

pub(super) fn reserve(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("{address} cannot be used"))?;
    Ok(socket)
}

pub(super) async fn serve(
    listener: TcpListener,
    router: axum::Router,
    settings: config::Http,
    room: Room,
    stop: CancellationToken,
) -> std::io::Result<()> {
    listener::serve(listener, router, api::rejected, &settings.connections, settings.proxies, room, stop).await
}

/// Connections of who reads `/metrics` without a key, at the same time.
const WATCHERS: usize = 16;

/// Serves `/metrics` without a key, on its own address.
pub(super) fn watch(
    socket: TcpSocket,
    app: &App,
    config: &Config,
    reserve: u64,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>> + use<>> {
    let listener = socket.listen(64).context("the port for metrics cannot be opened")?;
    info!(event = "metrics_port_opened", address = %listener.local_addr()?, "metrics are served without a key");
    let room = Room { connections: WATCHERS, reserve };
    let settings = config::ConnectionsConfig { most: WATCHERS, per_address: None, ..config.http.connections.clone() };
    let (router, proxies) = (api::metrics_router(app.clone()), config.http.proxies.clone());
    Ok(async move { listener::serve(listener, router, api::rejected, &settings, proxies, room, stop).await })
}
