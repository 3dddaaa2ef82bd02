//! Binds a tenant to its account: once paired, it stays the tenant's over logouts, restarts and lost disks. Refuses
//! another account's scan before WhatsApp gets an answer to it, and reports that; unless the owner allowed another
//! account, which counts once and for a day.

use std::{
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::{Instrument as _, error, info, warn};

use crate::{
    message::{EventBody, FormerConversations},
    session::{Inner, Session, SessionCommand, connection::disconnect::DisconnectReason},
    store::{ACCOUNT_CHANGE, Batch, OwnAccount, Store, StoreError, key, space},
    sync::lock,
};

/// How long an allowed change waits for the scan. A door that is left open for ever is forgotten.
const CHANGE_EXPIRES: Duration = Duration::from_secs(24 * 3600);

/// How long somebody who disowns a tenant waits for the vault.
const VAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Another account may scan, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChange {
    /// Whether the former account's conversations are kept or deleted.
    pub conversations: FormerConversations,
    pub until: Timestamp,
}

/// A refused scan, kept until the connection's end is reported.
#[derive(Debug, Default)]
pub struct RefusedScan(Mutex<Option<DisconnectReason>>);

impl RefusedScan {
    fn put(&self, signal: DisconnectReason) {
        *lock(&self.0) = Some(signal);
    }

    pub fn take(&self) -> Option<DisconnectReason> {
        lock(&self.0).take()
    }
}

impl Session {
    /// The account that the tenant is, paired or not; `None`: it never was any.
    pub async fn own_account(&self) -> Result<Option<OwnAccount>, StoreError> {
        self.0.store.own_account().await
    }

    /// The owner's word that another account may scan, as long as it counts.
    pub async fn account_change(&self) -> Result<Option<AccountChange>, StoreError> {
        self.0.account_change().await
    }

    /// Lets another account scan, once. Returns when it is durable.
    pub async fn allow_account_change(&self, conversations: FormerConversations) -> Result<AccountChange, StoreError> {
        let change = AccountChange { conversations, until: self.0.env.clock.now() + CHANGE_EXPIRES };
        let encoded = serde_json::to_vec(&change).expect("a change is plain data, which JSON always takes");
        let mut batch = Batch::default();
        batch.put(space::SETTINGS, key::text(ACCOUNT_CHANGE), encoded);
        let written = self.0.store.write(batch).await?;
        self.0.confirm(written).await?;
        info!(event = "account_change_allowed", ?conversations, "another account may scan, once");
        Ok(change)
    }

    /// The tenant, which is not linked, is nobody's from now on: any account may scan, and what was said stays closed until the former one
    /// comes back. Waits five seconds for it to be durable, and goes on when nobody waits any more.
    pub async fn disown(&self) -> Result<(), StoreError> {
        let inner = &self.0;
        let Some(own) = inner.store.own_account().await? else { return Ok(()) };
        let forgotten = inner.forget_files().await;
        // In a task of its own: whoever asked for it may go away.
        let session = inner.clone();
        let leaving = async move {
            let _forgotten = forgotten;
            session.outbox.change_account(own, None, FormerConversations::Keep).await?;
            session.presences.forget();
            session.set_status(|status| status.expected = None);
            Ok::<_, StoreError>(())
        };
        let leaving = inner.tasks.spawn(leaving.in_current_span());
        let left = timeout(VAULT_TIMEOUT, leaving).await.map_err(|_| StoreError::Unconfirmed)?;
        left.map_err(|_| StoreError::Interrupted)?
    }

    /// Takes that back.
    pub async fn forbid_account_change(&self) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.delete(space::SETTINGS, key::text(ACCOUNT_CHANGE));
        let written = self.0.store.write(batch).await?;
        self.0.confirm(written).await
    }
}

/// The directory says which number the tenant had before this daemon knew it: no other account may scan.
pub(in crate::session) async fn expect_number(store: &Store, number: &str) -> Result<(), StoreError> {
    if let Some(account) = OwnAccount::named(number) {
        store.expect_account(account).await?;
    }
    Ok(())
}

impl Inner {
    async fn account_change(&self) -> Result<Option<AccountChange>, StoreError> {
        let stored = self.store.get(space::SETTINGS, &key::text(ACCOUNT_CHANGE)).await?;
        let change: Option<AccountChange> = stored.and_then(|stored| serde_json::from_slice(&stored).ok());
        Ok(change.filter(|change| change.until > self.env.clock.now()))
    }

    /// See [`crate::store::StoreCallbacks::pairing`]. It may be the account that the tenant was before it was deleted.
    pub(in crate::session) async fn open_conversations_to(&self, account: &OwnAccount) {
        if let Err(error) = self.log.open_to(account).await {
            warn!(
                event = "conversations_unopened",
                %error,
                "former conversations could not be reopened: they show after the next start"
            );
        }
    }

    /// See [`crate::store::StoreCallbacks::another_account`].
    pub(in crate::session) async fn admit_account(&self, scanned: &OwnAccount) -> bool {
        let expected = match self.change_account(scanned).await {
            Ok(None) => return true,
            Ok(Some(own)) => own.number,
            // It may be durable: the session ends, and the next owner finds whose the tenant is. Neither yes nor no is true.
            Err(error) if error.is_final() => {
                warn!(event = "scan_unanswered", %error, "a scan is left without an answer: the session ends");
                self.line.cut();
                return false;
            }
            Err(error) => {
                error!(event = "account_change_unwritten", %error, "the change of the account cannot be written down");
                self.status.borrow().expected.clone().unwrap_or_default()
            }
        };
        self.refuse(expected, scanned).await;
        false
    }

    /// `None`: the tenant is the scanned account now. `Some`: it stays this one.
    async fn change_account(&self, scanned: &OwnAccount) -> Result<Option<OwnAccount>, StoreError> {
        let Some(own) = self.store.own_account().await?.filter(|own| !own.is_same(scanned)) else { return Ok(None) };
        let Some(change) = self.account_change().await? else { return Ok(Some(own)) };
        let forgotten = self.forget_files().await;
        // In a task of its own: the library may drop this call with its connection.
        let (outbox, to) = (self.outbox.clone(), scanned.clone());
        let changing = async move {
            let _forgotten = forgotten;
            outbox.change_account(own, Some(&to), change.conversations).await
        };
        self.tasks.spawn(changing.in_current_span()).await.map_err(|_| StoreError::Closed)??;
        self.presences.forget();
        warn!(
            event = "account_changed",
            conversations = ?change.conversations,
            "the tenant is another account from now on, as its owner allowed"
        );
        self.set_status(|status| status.expected = Some(scanned.number.clone()));
        // The library's saver may have been told that the device is saved when it was ignored.
        let client = self.client.borrow().clone();
        if let Some(client) = client {
            let device = client.persistence_manager().get_device_snapshot();
            let _ = whatsapp_rust::traits::DeviceStore::save(&*self.store, &device).await;
        }
        Ok(None)
    }

    async fn refuse(&self, expected: String, scanned: &OwnAccount) {
        let signal = DisconnectReason::OtherAccount { expected: hint(&expected), scanned: hint(&scanned.number) };
        warn!(event = "scan_refused", reason = %signal, "a scan is refused");
        self.seen.refused(&scanned.number, self.env.clock.now());
        self.refused_scan.put(signal);
        let client = self.client.borrow().clone();
        if let Some(client) = client {
            // Else it would connect again by itself, with the device that was refused.
            client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        }
        self.line.cut();
        // Full: then the end of the line says it.
        let _ = self.commands.try_send(SessionCommand::RefuseScan);
        self.publish_event(EventBody::AccountRefused { expected, scanned: scanned.number.clone() }).await;
    }
}

/// The last digits of a number: enough for its owner; logs and reasons show no more.
fn hint(number: &str) -> String {
    let digits = number.len().saturating_sub(4);
    format!("…{}", number.get(digits..).unwrap_or_default())
}
