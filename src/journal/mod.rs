//! One tenant's writer: cuts, sequence, takeover, fencing, snapshots; hydration.
//!
//! A stand-in in memory until the journal itself is merged: it numbers changes and is durable up to where it is told.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicBool, Ordering},
};

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
pub struct ChangeNo(u64);

impl ChangeNo {
    /// Before every change: always durable.
    pub const ZERO: Self = Self(0);
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error("another process has taken the tenant over")]
    Fenced,
    #[error("stopped")]
    Stopped,
}

pub trait Source: Send + Sync + 'static {
    fn read(&self, begun: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<Vec<Record>, String>>;
}

pub type Entry = (ChangeNo, Vec<Change>, Option<Decision>);

#[derive(Clone)]
pub struct Journal {
    log: Arc<Mutex<Vec<Entry>>>,
    answers: Arc<AtomicBool>,
    progress: watch::Sender<(ChangeNo, Option<Closed>)>,
    source: Arc<Mutex<Option<Weak<dyn Source>>>>,
}

impl Journal {
    pub fn stand_in() -> Self {
        Self {
            log: Arc::default(),
            answers: Arc::new(AtomicBool::new(true)),
            progress: watch::channel((ChangeNo::ZERO, None)).0,
            source: Arc::default(),
        }
    }

    pub fn record(&self, changes: Vec<Change>, decision: Option<Decision>) -> ChangeNo {
        let mut log = self.log.lock().expect("not poisoned");
        if changes.is_empty() && decision.is_none() {
            return ChangeNo(log.len() as u64);
        }
        let number = ChangeNo(log.len() as u64 + 1);
        log.push((number, changes, decision));
        if self.answers.load(Ordering::SeqCst) {
            self.progress.send_modify(|now| now.0 = number);
        }
        number
    }

    pub async fn wait(&self, number: ChangeNo) -> Result<(), Closed> {
        let mut progress = self.progress.subscribe();
        let now = progress.wait_for(|now| now.1.is_some() || now.0 >= number).await.expect("self holds the sender");
        now.1.clone().map_or(Ok(()), Err)
    }

    pub fn durable(&self) -> ChangeNo {
        self.progress.borrow().0
    }

    pub fn recorded(&self) -> ChangeNo {
        ChangeNo(self.log.lock().expect("not poisoned").len() as u64)
    }

    pub fn snapshots_from(&self, source: Weak<dyn Source>) {
        *self.source.lock().expect("not poisoned") = Some(source);
    }

    pub fn fence(&self) {
        self.progress.send_modify(|now| now.1 = Some(Closed::Fenced));
    }

    pub fn answer(&self, answers: bool) {
        self.answers.store(answers, Ordering::SeqCst);
        if answers {
            let all = self.recorded();
            self.progress.send_modify(|now| now.0 = all);
        }
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.log.lock().expect("not poisoned").clone()
    }

    pub fn source(&self) -> Arc<dyn Source> {
        let source = self.source.lock().expect("not poisoned");
        source.as_ref().and_then(Weak::upgrade).expect("a store lives")
    }
}
