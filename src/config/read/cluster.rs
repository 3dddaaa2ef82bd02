//! `cluster`: where this process takes what others forward, and how they reach it.

use std::net::SocketAddr;

use super::SettingReader;
use crate::config::{Advertise, Cluster};

impl SettingReader<'_> {
    pub(super) fn cluster(&mut self) -> Option<Cluster> {
        let listen = self.parsed("cluster.listen", "an address like [::]:3001, or nothing", |text| match text {
            "" => Some(None),
            text => text.parse::<SocketAddr>().ok().map(Some),
        });
        let given =
            self.parsed("cluster.advertise", "a host like 10.0.0.5 or 10.0.0.5:3001, or nothing", |text| match text {
                "" => Some(None),
                text => text.parse().ok().map(Some),
            });
        let (listen, given) = (listen?, given?);
        let domain = self.environment.get("RAILWAY_PRIVATE_DOMAIN").filter(|domain| !domain.is_empty());
        let advertise = match (given, domain) {
            (Some(address), _) => Advertise::Address(address),
            (None, Some(domain)) => Advertise::Beside(domain.clone()),
            (None, None) => Advertise::Listener,
        };
        if advertise == Advertise::Listener && listen.is_some_and(|listen| listen.ip().is_unspecified()) {
            self.mistake(
                "cluster.advertise",
                "expected the address of this process, since cluster.listen is every address",
            );
            return None;
        }
        Some(Cluster { listen, advertise })
    }
}
