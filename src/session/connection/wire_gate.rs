//! The last gate before the wire: no ciphertext leaves under a ratchet step that the vault does not have.
//!
//! A message that comes in may replace the sending chain of its session (a ratchet step). The library writes such a
//! step behind (25 ms) and does not hold back what it encrypts under it: the step inherits the lease of the chain
//! before, and only a raised lease makes a send flush (wacore 0.7.0 `SignalStoreCache::needs_pre_wire_flush`,
//! wacore-libsignal `rebase_lease_after_sender_chain_reset`). A process that dies in between comes back behind its
//! peer: neither can read the other, until both have asked for everything again. To flush before encrypting closes
//! nothing, since the step may come after the flush. So every frame that can carry a ciphertext is held here, at the
//! transport, where it is encrypted already, until the cache of sessions has been flushed once more.
//!
//! This is sound because:
//!
//! - Whatever the library encrypts, a text, the answer to a retry receipt, a request to the own phone, a sender key,
//!   leaves as `<message>` through `Client::send_node`, and so through
//!   [`Transport::send`](whatsapp_rust::transport::Transport::send) here.
//! - The encryption has put the session's record back into the cache, marked as changed, before the stanza is built
//!   (`message_encrypt`). A flush that begins later writes that record or a newer one, and our store returns from a
//!   write with a new chain or a raised lease only when the vault has it (`store::gates`), or queues the write behind
//!   the messages that are on their way, and the gate waits for that queue (`store::signal_queue`).
//! - A flush passes over a session that another encryption or decryption has taken out of the cache at that moment, and
//!   says nothing of it (`SignalStoreCache::flush`, `CheckedOut`). It is taken out for the time of that computation
//!   only: hence a second flush after the first, and a pause between them when the first had nothing to write. Only two
//!   computations on that one session, each just at one of the flushes, could still hide a step; the library does not
//!   let us see them.
//!
//! It cannot lock up: no task holds a lock of the cache while it waits for the wire. During the offline queue a flush
//! also needs the library's permit for processing, whose holders hand what they send to other tasks (`outbound_flush`,
//! `spawn_delivery_receipt`); and every wait here has its limit, after which the line is given up.
//!
//! It costs no write of the vault: a new chain is flushed within 25 ms anyway, and waited for. What is too small for a
//! ciphertext (acks, receipts, pings) is not held for its own sake, and before a connection's first `<message>` nothing is:
//! during the offline queue a flush commits what has come so far, and many small commits would be slow. But the library sends
//! with one task, one write after the other, and puts small frames that wait together into one: an ack behind a message that is
//! held here waits as long as that, and a write of several small frames may be held like one with a ciphertext.

use std::{
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use anyhow::Context as _;
use futures::channel::oneshot;
use tokio::time::{sleep, timeout};
use whatsapp_rust::{Client, NodeFilter, wacore_binary::Node};

use crate::{store::Store, sync::lock};

/// The smallest frame with a ciphertext: a Signal message is at least 66 bytes (version 1, ratchet key 35, counters 4,
/// one block 18, MAC 8), its frame adds 16 for the tag and 3 for the length. The stanza around it is not even counted.
const SMALLEST_CIPHERTEXT_FRAME: usize = 66 + 16 + 3;

/// How long a flush may take before the line is given up. Messages that were not sent stay in the outbox.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than a session is taken out of the cache for.
const COMPUTATION: Duration = Duration::from_millis(1);

/// Holds back the frames of one client.
pub struct WireGate {
    store: Arc<Store>,
    client: OnceLock<Weak<Client>>,
    /// Told of the first `<message>` that the client builds; `None` once that has happened.
    first_message: Mutex<Option<oneshot::Receiver<Arc<Node>>>>,
}

impl WireGate {
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, client: OnceLock::new(), first_message: Mutex::new(None) }
    }

    /// Names the client whose cache is flushed. It has not sent anything yet.
    pub fn attach(&self, client: &Arc<Client>) {
        let first_message = client.wait_for_sent_node(NodeFilter::tag("message"));
        *lock(&self.first_message) = Some(first_message);
        // Set once: a gate belongs to one client.
        let _ = self.client.set(Arc::downgrade(client));
    }

    /// Returns when a frame of that length may go out; whether it may carry a ciphertext.
    pub async fn pass(&self, length: usize) -> anyhow::Result<bool> {
        if length < SMALLEST_CIPHERTEXT_FRAME || !self.has_sent_messages() {
            return Ok(false);
        }
        let client = self.client.get().and_then(Weak::upgrade).context("the client is gone")?;
        timeout(FLUSH_TIMEOUT, self.flush(&client)).await.context("the ratchet steps are not durable in time")??;
        Ok(true)
    }

    /// Once true it stays so: between a message and a new waiter another might go unseen.
    fn has_sent_messages(&self) -> bool {
        let mut first_message = lock(&self.first_message);
        if let Some(waiter) = first_message.as_mut()
            && let Ok(None) = waiter.try_recv()
        {
            return false;
        }
        // Resolved, or given up by the library when a connection ended.
        *first_message = None;
        true
    }

    async fn flush(&self, client: &Client) -> anyhow::Result<()> {
        let before = self.store.signal_writes();
        client.flush_pending_signal_state().await?;
        if self.store.signal_writes() == before {
            sleep(COMPUTATION).await;
        }
        client.flush_pending_signal_state().await?;
        self.store.signal_is_durable().await
    }
}
