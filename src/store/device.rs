//! The device: own keys and account. Saving it, pairing it.
//!
//! **`save`** returns when the vault has a paired device, however long that takes, and never returns an error: ten in a
//! row stop the library's saver for good (whatsapp-rust `store/persistence_manager.rs`, `MAX_CONSECUTIVE_FAILURES`), and
//! an `Ok` clears its dirty flag. If it can never be durable any more (fenced, closed), the call does not return; it ends
//! with the library's task. A device that is not paired yet has nothing to lose, so its save does not wait.
//!
//! **Pairing.** Between `pair-success` and its answer the library sets number, account and LID in its memory, wakes its
//! saver, and awaits the backend once: `put_lid_mapping` with source `pairing` (whatsapp-rust `pair.rs`,
//! `handle_pair_success`; `client/lid_pn.rs`, `persist_and_migrate_lid_pn`). Neither is ordered after the other, and worse,
//! a wake that comes while the saver is saving is lost until its tick (30 s). So that call asks for a save itself
//! ([`StoreCallbacks::save_device`], which must call `PersistenceManager::flush`), then waits until the working copy holds a device
//! with this number, this LID and an account, and then until the vault has it. It does not return an error before: the
//! library would log it and answer all the same. The first save of such a device carries the [`Decision`] that the tenant
//! is connected, so that both are one commit of the vault.
//!
//! **Another account.** A tenant that was paired is one account's ([`super::account`]). A save of a device that is being paired with
//! another is ignored, and the call above asks the session ([`StoreCallbacks::another_account`]). Refused, it returns an error: the session
//! has cut the line before, so what the library would answer goes nowhere, and WhatsApp does not link the device.
//!
//! The library leaves the call out when its cache has the mapping already. That cache is warmed from the store, which is
//! why a wipe takes the mappings too.

use std::{future::pending, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use whatsapp_rust::{
    store::error::{Result, StoreError as LibraryError},
    wacore::{
        stats::StorageResourceReport,
        store::{
            Device,
            traits::{DeviceStore, LidPnMappingEntry},
        },
    },
};

use super::{
    CopyFailure, Store, StoreError,
    account::{ACCOUNT_CHANGE, IMPORT_RECEIPT, IMPORTED_NAME, OwnAccount, RESTORED},
    copy::{TurnWrites, WorkingCopy},
    key,
    lookups::Lookups,
    records, space,
    turn::StoreTurn,
};
use crate::{
    journal::{ChangeNo, Record},
    vault::Decision,
};

/// How long a save that was refused rests before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The store's calls to the session above it.
#[async_trait]
pub trait StoreCallbacks: Send + Sync {
    /// Have the library save its device now: `client.persistence_manager().flush()`.
    async fn save_device(&self);

    /// Another account than the tenant's has scanned. True: it is the tenant's from now on, and the vault knows. False: the line to
    /// WhatsApp is cut.
    async fn another_account(&self, account: &OwnAccount) -> bool;

    /// The tenant is being paired with this account, which is its own from here on.
    async fn pairing(&self, account: &OwnAccount);

    /// The working copy failed: cut the line to WhatsApp, for good, before this returns. Called once, and before the call
    /// that met the failure has its answer, so the library can say nothing to WhatsApp that follows from it. Do not wait here.
    fn copy_failed(&self, failure: &CopyFailure);

    /// This message was delivered again, had been decrypted before, and is nowhere: it stays unacknowledged, and the
    /// phone should be asked for it. When it, or a placeholder for it, is in the inbox, the next delivery is acknowledged.
    fn lost_inbound(&self, chat: &str, sender: &str, id: &str);

    /// The phone has shared a key of its settings.
    fn app_state_key_came(&self);

    /// A LID and a number, as they are without their servers, were learned to be one person's. Do not wait here: the store does.
    fn met(&self, lid: &str, number: &str);
}

/// Keys that a wipe declared dead.
#[derive(PartialEq)]
pub(super) struct Wiped(Box<[u8]>);

impl Wiped {
    pub(super) fn of(device: &Device) -> Self {
        Self(own_key(device).into())
    }
}

fn connected(paired: &OwnAccount, now: Timestamp) -> Decision {
    Decision {
        whatsapp_connected: Some(true),
        phone_number: Some(Some(paired.number.clone())),
        connected_at: Some(Some(now)),
    }
}

fn own_key(device: &Device) -> &[u8] {
    device.noise_key.public_key.public_key_bytes()
}

#[async_trait]
impl DeviceStore for Store {
    async fn save(&self, device: &Device) -> Result<()> {
        let written = loop {
            match self.save_once(device.clone()).await {
                Ok(written) => break written,
                Err(error) if error.is_final() => pending().await,
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    tracing::error!(
                        event = "device_save_failed",
                        "the device cannot be saved and will be tried again: {error:#}"
                    );
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        if let Some(gate) = written.gate
            && self.wait(gate).await.is_err()
        {
            pending().await
        }
        Ok(())
    }

    async fn load(&self) -> Result<Option<Device>> {
        self.answer(self.device()).await
    }

    async fn exists(&self) -> Result<bool> {
        self.answer(async { Ok(self.get(space::DEVICE, &key::only()).await?.is_some()) }).await
    }

    /// The library knows several devices a store; here there is one, number 1.
    async fn create(&self) -> Result<i32> {
        let create = self.read(|turn| {
            if turn.get(space::DEVICE, &key::only())?.is_none() {
                turn.put(space::DEVICE, key::only(), records::device::encode(&Device::new())?.into())?;
            }
            Ok(1)
        });
        self.answer(create).await
    }

    /// The vault is the snapshot.
    async fn snapshot_db(&self, _name: &str, _extra_content: Option<&[u8]>) -> Result<()> {
        Ok(())
    }

    /// Unknown: the page cache belongs to the pool, which closes it when the tenant is idle.
    async fn resource_report(&self) -> StorageResourceReport {
        StorageResourceReport::default()
    }
}

/// Whether a state holds a device that WhatsApp has accepted.
pub fn is_paired(records: &[Record]) -> std::result::Result<bool, StoreError> {
    let device = records.iter().find(|record| record.space == space::DEVICE);
    let device = device.map(|record| records::device::decode(&record.value)).transpose()?;
    Ok(device.as_ref().and_then(OwnAccount::of).is_some())
}

impl Store {
    /// The device, if there is one.
    pub async fn device(&self) -> std::result::Result<Option<Device>, StoreError> {
        self.read(|turn| turn.device()).await
    }

    /// The account's name in the copy with which this device was imported; `None` also where it was paired here.
    pub async fn imported_name(&self) -> std::result::Result<Option<String>, StoreError> {
        let Some(kept) = self.get(space::SETTINGS, &key::text(IMPORTED_NAME)).await? else { return Ok(None) };
        let Some(device) = self.device().await? else { return Ok(None) };
        let name = kept.strip_prefix(device.noise_key.public_key.public_key_bytes());
        Ok(name.and_then(|name| std::str::from_utf8(name).ok()).map(str::to_owned))
    }

    /// Whether the tenant ever came from another place, be it out of a backup of ours: WhatsApp may have messages of which nothing is known
    /// here.
    pub async fn has_come_from_elsewhere(&self) -> std::result::Result<bool, StoreError> {
        for mark in [IMPORT_RECEIPT, IMPORTED_NAME, RESTORED] {
            if self.get(space::SETTINGS, &key::text(mark)).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says once more, in the commit of an entry, that the tenant is connected: its record says something else, by another hand. `None`:
    /// it is not paired.
    pub async fn affirm_pairing(&self) -> std::result::Result<Option<ChangeNo>, StoreError> {
        let now = self.copy.clock.now();
        let affirm = move |turn: &mut StoreTurn<'_>| {
            let Some(paired) = turn.device()?.as_ref().and_then(OwnAccount::of) else { return Ok(false) };
            turn.decision = Some(connected(&paired, now));
            Ok(true)
        };
        let (affirmed, written) = self.turn(affirm).await?;
        Ok(affirmed.then_some(written.change))
    }

    async fn save_once(&self, device: Device) -> std::result::Result<TurnWrites, StoreError> {
        let copy = self.copy.clone();
        let ((), written) = self.turn(move |turn| copy.save(turn, &device)).await?;
        Ok(written)
    }

    /// The write that the library awaits before it answers `pair-success`.
    pub(super) async fn put_pairing(&self, entry: &LidPnMappingEntry) -> Result<()> {
        let expected = OwnAccount::new(entry.phone_number.clone(), Some(entry.lid.clone()));
        let hooks = self.copy.hooks();
        let own = self.answer(self.own_account()).await?;
        if own.is_some_and(|own| !own.is_same(&expected)) {
            match &hooks {
                Some(hooks) if hooks.another_account(&expected).await => {}
                Some(_) => return Err(LibraryError::Database(Box::new(StoreError::OtherAccount))),
                None => pending().await,
            }
        }
        if let Some(hooks) = &hooks {
            hooks.pairing(&expected).await;
        }
        let mapped = self.put_mappings(std::slice::from_ref(entry)).await;
        if let Some(hooks) = hooks {
            hooks.save_device().await;
        }
        let mut paired = self.copy.paired.subscribe();
        let change = match paired.wait_for(|paired| paired.as_ref().is_some_and(|(is, _)| *is == expected)).await {
            Ok(paired) => paired.as_ref().map(|&(_, change)| change),
            Err(_) => None,
        };
        match change {
            Some(change) if self.wait(change).await.is_ok() => mapped,
            _ => pending().await,
        }
    }

    /// The account that the tenant is, paired or not; `None`: it never was any.
    pub async fn own_account(&self) -> std::result::Result<Option<OwnAccount>, StoreError> {
        match self.copy.known(Lookups::account) {
            Some(account) => Ok(account),
            None => self.read(|turn| turn.own_account()).await,
        }
    }

    /// Remembers of a tenant that was never paired here which account it is. False: it is one already.
    pub async fn expect_account(&self, account: OwnAccount) -> std::result::Result<bool, StoreError> {
        let (expected, _) = self
            .turn(move |turn| {
                if turn.own_account()?.is_some() {
                    return Ok(false);
                }
                turn.remember_account(&account)?;
                Ok(true)
            })
            .await?;
        Ok(expected)
    }
}

impl WorkingCopy {
    fn save(&self, turn: &mut StoreTurn<'_>, device: &Device) -> std::result::Result<(), StoreError> {
        if turn.dead.is_some_and(|wiped| *wiped == Wiped::of(device)) {
            tracing::warn!(event = "late_device_save", "a save of a wiped device was ignored");
            return Ok(());
        }
        let before = turn.device()?;
        let was = before.as_ref().and_then(OwnAccount::of);
        let is = OwnAccount::of(device);
        if was.is_none()
            && let (Some(own), Some(scanned)) = (turn.own_account()?, OwnAccount::claimed_by(device))
            && !own.is_same(&scanned)
        {
            tracing::debug!("a device that is being paired with another account is not saved");
            return Ok(());
        }
        if is.is_none() && was.is_some() && before.as_ref().map(own_key) == Some(own_key(device)) {
            // Two saves at a time (saver and flush) may arrive in the wrong order. Only a wipe unpairs.
            tracing::warn!(
                event = "late_device_save",
                "a save of the device from before its pairing came late and was ignored"
            );
            return Ok(());
        }
        turn.put(space::DEVICE, key::only(), records::device::encode(device)?.into())?;
        if let Some(paired) = &is {
            turn.gate();
            turn.remember_account(paired)?;
            if was.is_none() {
                turn.delete(space::SETTINGS, key::text(ACCOUNT_CHANGE))?;
                turn.forget_rejection()?;
                turn.decision = Some(connected(paired, self.clock.now()));
            }
        }
        turn.paired = Some(is);
        Ok(())
    }
}
