//! One tenant's writer: cuts, sequence, takeover, fencing, snapshots; hydration.
//!
//! A stand-in in memory until the journal itself is merged: it numbers changes and is durable up to where it is told.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::vault::Decision;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u8);

#[derive(Clone)]
pub struct Change {
    pub space: Space,
    pub key: Box<[u8]>,
    pub value: Option<Bytes>,
}

#[derive(Clone)]
pub struct Record {
    pub space: Space,
    pub key: Box<[u8]>,
    pub value: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeNo(pub u64);

#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal is closed")]
pub struct Closed;

pub trait Source: Send + Sync {
    fn read(&self) -> BoxFuture<'_, anyhow::Result<Vec<Record>>>;
}

type Entry = (ChangeNo, Vec<Change>, Option<Decision>);

#[derive(Clone)]
pub struct Journal {
    log: Arc<Mutex<Vec<Entry>>>,
    durable: watch::Sender<Option<ChangeNo>>,
    source: Arc<Mutex<Option<Arc<dyn Source>>>>,
}

impl Journal {
    pub fn stand_in() -> Self {
        Self { log: Arc::default(), durable: watch::channel(Some(ChangeNo(0))).0, source: Arc::default() }
    }

    pub fn record(&self, changes: Vec<Change>, decision: Option<Decision>) -> ChangeNo {
        let mut log = self.log.lock().expect("not poisoned");
        let number = ChangeNo(log.len() as u64 + 1);
        log.push((number, changes, decision));
        number
    }

    pub async fn wait(&self, number: ChangeNo) -> Result<(), Closed> {
        let mut durable = self.durable.subscribe();
        let reached = durable.wait_for(|d| d.is_none_or(|d| d >= number)).await.map_err(|_| Closed)?;
        if reached.is_none() { Err(Closed) } else { Ok(()) }
    }

    pub fn durable(&self) -> ChangeNo {
        self.durable.borrow().unwrap_or(ChangeNo(0))
    }

    pub fn snapshots_from(&self, source: Arc<dyn Source>) {
        *self.source.lock().expect("not poisoned") = Some(source);
    }

    pub async fn close(&self) -> Result<(), Closed> {
        self.durable.send_replace(None);
        Ok(())
    }

    pub fn settle(&self) {
        let all = ChangeNo(self.log.lock().expect("not poisoned").len() as u64);
        self.durable.send_replace(Some(all));
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.log.lock().expect("not poisoned").clone()
    }

    pub fn source(&self) -> Arc<dyn Source> {
        self.source.lock().expect("not poisoned").clone().expect("a store was created")
    }
}
