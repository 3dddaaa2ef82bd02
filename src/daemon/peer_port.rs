//! The second port, for the other processes on the vault, and where those reach it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    num::NonZeroUsize,
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use tokio::{
    net::{TcpSocket, lookup_host},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::reserve;
use crate::{
    api::{self, Entrance},
    cluster::Introductions,
    config::{self, Advertise, Config},
    listener::{self, Room},
    session::Env,
};

/// A private network may come up a moment after its processes.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

pub struct PeerPort {
    socket: TcpSocket,
    /// `None`: it cannot be found out yet, and others do not forward to this process.
    pub advertised: watch::Receiver<Option<String>>,
}

impl PeerPort {
    pub async fn reserve(address: SocketAddr, advertise: &Advertise) -> anyhow::Result<Self> {
        let socket = reserve(address)?;
        let bound = socket.local_addr()?;
        let known = match advertise {
            Advertise::Listener => Some(bound.to_string()),
            Advertise::Address(address) if address.port().is_some() => Some(address.to_string()),
            Advertise::Address(address) => Some(format!("{}:{}", address.host(), bound.port())),
            Advertise::Beside(name) => own_address(name, bound.port()).await.map(|address| address.to_string()),
        };
        match &known {
            Some(advertised) => {
                info!(
                    event = "peer_port_opened",
                    address = %bound,
                    advertised,
                    "other processes may forward to this one"
                )
            }
            None => warn!(
                event = "peer_address_missing",
                "no address in the private network yet: other processes do not forward to this one"
            ),
        }
        let is_unknown = known.is_none();
        let (found, advertised) = watch::channel(known);
        if let Advertise::Beside(name) = advertise
            && is_unknown
        {
            tokio::spawn(look_on(name.clone(), bound.port(), found));
        }
        Ok(Self { socket, advertised })
    }

    /// Takes what peers bring, and nothing else.
    pub fn serve(
        self,
        router: Router,
        env: &Env,
        config: &Config,
        room: Room,
        stop: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = std::io::Result<()>> + use<>> {
        let listener = self.socket.listen(1024).context("the port for other processes cannot be opened")?;
        // All of a peer's come from one address.
        let per_address = NonZeroUsize::new(room.connections);
        let settings =
            config::ConnectionsConfig { most: room.connections, per_address, ..config.http.connections.clone() };
        let introductions = Introductions::new(env.instance.clone(), env.keyring.peer_keys());
        let router = Entrance::new(introductions, self.advertised, env.clock.clone()).before(router);
        let proxies = config::Proxies { trusted: Vec::new(), ..config.http.proxies.clone() };
        Ok(async move { listener::serve(listener, router, api::rejected, &settings, proxies, room, stop).await })
    }
}

/// This process's address towards a name that it may share with others.
async fn own_address(name: &str, port: u16) -> Option<SocketAddr> {
    let deadline = Instant::now() + LOOKUP_TIMEOUT;
    loop {
        let found = look_up(name, port).await;
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

async fn look_up(name: &str, port: u16) -> Option<SocketAddr> {
    let mut addresses = timeout(LOOKUP_TIMEOUT, lookup_host((name, port))).await.ok()?.ok()?;
    let address = addresses.find_map(|address| source_towards(address).ok())?;
    Some(SocketAddr::new(address, port))
}

/// Looks until the address is there, for as long as somebody may advertise it. Its record says it from the next announcement on.
async fn look_on(name: String, port: u16, found: watch::Sender<Option<String>>) {
    let looking = async {
        loop {
            if let Some(address) = look_up(&name, port).await {
                return address.to_string();
            }
            sleep(LOOKUP_TIMEOUT).await;
        }
    };
    tokio::select! {
        () = found.closed() => {}
        advertised = looking => {
            info!(event = "peer_port_opened", advertised, "other processes may forward to this one");
            found.send_replace(Some(advertised));
        }
    }
}

/// Sends nothing: the kernel only says from where it would.
fn source_towards(address: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_found_late_is_advertised() {
        let (found, advertised) = watch::channel(None);
        look_on("localhost".into(), 3001, found).await;
        let advertised = advertised.borrow().clone().unwrap();
        assert!(advertised.ends_with(":3001"), "{advertised}");
    }

    #[tokio::test]
    async fn a_process_finds_its_own_address_behind_a_name() {
        let found = own_address("localhost", 3001).await.unwrap();
        assert!(found.ip().is_loopback() && found.port() == 3001, "{found}");
        assert_eq!(source_towards("127.0.0.1:9".parse().unwrap()).unwrap(), Ipv4Addr::LOCALHOST);
    }
}
