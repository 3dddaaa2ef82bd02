//! A vault with someone on the line: single requests are lost, lose their answer, or are held until a test lets them go.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use sessiond::vault::{Vault, VaultError};
use tokio::sync::{Notify, Semaphore};

use crate::support::relay_vault::{Relay, RelayVault};

/// What happens to the next request of a kind.
#[derive(Debug, Clone)]
pub enum Act {
    /// It never arrives.
    Lose,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// The client is told that it is lost, and it arrives when the test says so.
    Late(Arc<Hold>),
    /// It waits before it is sent.
    Hold(Arc<Hold>),
}

/// A place where a request waits.
#[derive(Debug)]
pub struct Hold {
    reached: Semaphore,
    released: Semaphore,
    /// A late request has been carried out.
    landed: Notify,
}

impl Hold {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { reached: Semaphore::new(0), released: Semaphore::new(0), landed: Notify::new() })
    }

    /// Returns when a request waits here.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    pub fn release(&self) {
        self.released.add_permits(1);
    }

    pub async fn landed(&self) {
        self.landed.notified().await;
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }
}

/// Passes everything on to another vault, but for what the script says.
pub type Wire = RelayVault<WireScript>;

/// The plan of a wire, and the record of what went over it.
#[derive(Debug)]
pub struct WireScript {
    inner: Arc<dyn Vault>,
    planned: Mutex<VecDeque<(&'static str, Act)>>,
    /// Every write and delete that was sent, by its kind.
    sent: Mutex<Vec<&'static str>>,
    down: Mutex<bool>,
}

impl Wire {
    pub fn new(inner: Arc<dyn Vault>) -> Arc<Self> {
        let (planned, sent, down) = (Mutex::default(), Mutex::default(), Mutex::new(false));
        Arc::new(RelayVault(WireScript { inner, planned, sent, down }))
    }
}

impl WireScript {
    /// The next request of this kind, after those that are planned already.
    pub fn next(&self, kind: &'static str, act: Act) {
        self.planned.lock().unwrap().push_back((kind, act));
    }

    pub fn hold(&self, kind: &'static str) -> Arc<Hold> {
        let hold = Hold::new();
        self.next(kind, Act::Hold(hold.clone()));
        hold
    }

    /// From now on nothing arrives, or everything does again.
    pub fn down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    /// What was sent that writes or deletes.
    pub fn sent(&self) -> Vec<&'static str> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl Relay for WireScript {
    fn vault(&self) -> &Arc<dyn Vault> {
        &self.inner
    }

    async fn send<T, F>(&self, kind: &'static str, request: F) -> Result<T, VaultError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if ["append", "start_over", "remove_documents", "put_chunk", "put_manifest", "remove_snapshot"].contains(&kind)
        {
            self.sent.lock().unwrap().push(kind);
        }
        let lost = || Err(VaultError::Unavailable("lost on the line".into()));
        let act = {
            let mut planned = self.planned.lock().unwrap();
            let at = planned.iter().position(|(other, _)| *other == kind);
            at.and_then(|at| planned.remove(at)).map(|(_, act)| act)
        };
        match act {
            Some(Act::Lose) => return lost(),
            Some(Act::LoseAnswer) => {
                request.await;
                return lost();
            }
            Some(Act::Late(hold)) => {
                tokio::spawn(async move {
                    hold.pass().await;
                    request.await;
                    hold.landed.notify_one();
                });
                return lost();
            }
            Some(Act::Hold(hold)) => hold.pass().await,
            None => {}
        }
        if *self.down.lock().unwrap() { lost() } else { Ok(request.await) }
    }
}
