//! The sockets of each key, counted: whoever has one key shall not take the places of all others.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use crate::{api::Caller, listener::network_of, sync::lock, telemetry::metrics};

/// However few places there are.
const LEAST: usize = 8;

/// However many there are, of one key or person: each socket that does not read may hold a megabyte or three. Those without a key are
/// counted by their address, which a proxy may give to all.
const MOST: usize = 64;

/// The sockets that there are, by whose they are.
#[derive(Debug, Clone)]
pub struct Seats {
    most: usize,
    taken: Arc<Mutex<HashMap<Owner, usize>>>,
}

/// The owner of sockets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Admin,
    /// The key's id.
    Key(String),
    /// The person's id at Firebase.
    User(Arc<str>),
    /// Without a key, from this network.
    Anyone(Option<IpAddr>),
}

/// A socket's place: free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    owner: Owner,
    taken: Arc<Mutex<HashMap<Owner, usize>>>,
}

impl Seats {
    /// `sockets`: how many there may be in all.
    pub fn new(sockets: usize) -> Self {
        Self { most: (sockets / 4).max(LEAST), taken: Arc::default() }
    }

    /// `None`: there are as many as there may be.
    pub fn take(&self, caller: &Caller, address: Option<IpAddr>) -> Option<Seat> {
        let owner = match caller {
            Caller::Admin => Owner::Admin,
            Caller::Key(key) => Owner::Key(key.id.to_string()),
            Caller::User { uid, .. } => Owner::User(uid.clone()),
            Caller::Anyone => Owner::Anyone(address.map(network_of)),
        };
        let most = match owner {
            Owner::Admin | Owner::Anyone(_) => self.most,
            Owner::Key(_) | Owner::User(_) => self.most.min(MOST),
        };
        let mut taken = lock(&self.taken);
        let count = taken.entry(owner.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        metrics::socket_opened();
        Some(Seat { owner, taken: self.taken.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::socket_closed();
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_takes_no_more_however_many_there_are() {
        let seats = Seats::new(4096);
        let take = || seats.take(&Caller::User { uid: "ana".into(), tenants: Arc::default() }, None);
        let mine: Vec<_> = std::iter::from_fn(take).take(1000).collect();
        assert_eq!(mine.len(), MOST);
        assert!(seats.take(&Caller::Admin, None).is_some());
    }

    #[test]
    fn one_key_takes_a_quarter_and_gives_it_back() {
        let seats = Seats::new(40);
        let from = |text: &str| seats.take(&Caller::Anyone, Some(text.parse().unwrap()));
        let mine: Vec<_> = (0..10).map(|_| from("1.1.1.1").unwrap()).collect();
        assert!(from("1.1.1.1").is_none() && from("2.2.2.2").is_some() && seats.take(&Caller::Admin, None).is_some());
        drop(mine);
        assert!(from("1.1.1.1").is_some());
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
