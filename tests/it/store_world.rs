//! What the store's tests stand on: a store over a journal whose vault can fall silent, and Signal peers that keep their
//! state in it.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use rand_010::{make_rng, rngs::StdRng};
use sessiond::{
    journal::{Journal, Record},
    store::{Pool, PoolOptions, Store, StoreOptions, space::Space},
};
use tempfile::TempDir;
use whatsapp_rust::{
    store::{
        persistence_manager::PersistenceManager, signal_adapter::SignalProtocolStoreAdapter,
        signal_cache::SignalStoreCache, traits::Backend,
    },
    wacore::libsignal::protocol::{
        CiphertextMessage, IdentityKey, PreKeyBundle, ProtocolAddress, SenderKeyName, UsePQRatchet,
        create_sender_key_distribution_message, group_encrypt, message_decrypt, message_encrypt, process_prekey_bundle,
    },
};

/// How long something may take that must happen.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct World {
    _dir: TempDir,
    pub journal: Journal,
    pub store: Arc<Store>,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pool = Pool::new(PoolOptions::default()).unwrap();
        let journal = Journal::stand_in();
        let store = Store::create(&dir.path().join("tenant"), vec![], journal.clone(), &pool, StoreOptions::default())
            .await
            .unwrap();
        Self { _dir: dir, journal, store }
    }

    pub fn backend(&self) -> Arc<dyn Backend> {
        self.store.clone()
    }

    pub fn silence(&self) {
        self.journal.answer(false);
    }

    pub fn answer(&self) {
        self.journal.answer(true);
    }

    pub fn fence(&self) {
        self.journal.fence();
    }

    /// What a new owner would find in the vault.
    pub fn vault(&self) -> Vec<Record> {
        let mut state = std::collections::BTreeMap::new();
        for (number, changes, _) in self.journal.entries() {
            if number <= self.journal.durable() {
                for change in changes {
                    match change.value {
                        Some(value) => state.insert((change.space, change.key), value),
                        None => state.remove(&(change.space, change.key)),
                    };
                }
            }
        }
        state.into_iter().map(|((space, key), value)| Record { space, key, value }).collect()
    }

    /// The machine is lost; another one takes over.
    pub async fn restored(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pool = Pool::new(PoolOptions::default()).unwrap();
        let journal = Journal::stand_in();
        let folder = dir.path().join("tenant");
        let store =
            Store::create(&folder, self.vault(), journal.clone(), &pool, StoreOptions::default()).await.unwrap();
        Self { _dir: dir, journal, store }
    }

    /// All records of a space, in the order of their keys.
    pub async fn space(&self, space: Space) -> Vec<(Box<[u8]>, Bytes)> {
        self.store.scan(space, None, usize::MAX).await.unwrap()
    }

    /// Runs `call` while the vault is silent: it must write, and must not return. Then the vault answers, and it must.
    pub async fn waits<T>(&self, call: impl Future<Output = T>) -> T {
        self.silence();
        let mut call = pin!(call);
        let before = self.journal.recorded();
        self.stays_pending(call.as_mut()).await;
        assert!(self.journal.recorded() > before, "the call waits without having written");
        self.answer();
        soon(call).await
    }

    /// Drives `call` until the store has nothing to do for it any more. It must still be pending then.
    pub async fn stays_pending<F: Future>(&self, mut call: std::pin::Pin<&mut F>) {
        for _ in 0..10 {
            assert!(poll_once(call.as_mut()).await.is_pending(), "the call returned though the vault is silent");
            // A round trip on the tenant's thread, behind what the call has asked for.
            self.store.get(Space(0), b"").await.unwrap();
        }
    }

    /// Runs `call` while the vault is silent: it must return all the same.
    pub async fn passes<T>(&self, call: impl Future<Output = T>) -> T {
        self.silence();
        let answer = soon(call).await;
        self.answer();
        answer
    }
}

pub async fn poll_once<F: Future>(mut call: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await
}

pub async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, call).await.expect("in time")
}

/// A device with real Signal state, written through the library's own cache.
pub struct Peer {
    pub address: ProtocolAddress,
    pub backend: Arc<dyn Backend>,
    manager: Arc<PersistenceManager>,
    cache: Arc<SignalStoreCache>,
    signal: SignalProtocolStoreAdapter,
}

impl Peer {
    pub async fn new(number: &str, backend: Arc<dyn Backend>) -> Self {
        let manager = Arc::new(PersistenceManager::new(backend.clone()).await.unwrap());
        let cache = Arc::new(SignalStoreCache::new());
        let signal = SignalProtocolStoreAdapter::new(manager.get_device_arc().await, cache.clone());
        let address = ProtocolAddress::new(&format!("{number}@c.us"), 0u32.into());
        Self { address, backend, manager, cache, signal }
    }

    /// A peer that keeps its state in memory.
    pub async fn remote(number: &str) -> Self {
        Self::new(number, Arc::new(whatsapp_rust::wacore::store::in_memory::InMemoryBackend::new())).await
    }

    pub async fn meet(&mut self, other: &Self) {
        let device = other.manager.get_device_snapshot();
        let bundle = PreKeyBundle::new(
            device.registration_id,
            1u32.into(),
            None,
            device.signed_pre_key_id.into(),
            device.signed_pre_key.public_key,
            device.signed_pre_key_signature.to_vec(),
            IdentityKey::new(device.identity_key.public_key),
        );
        process_prekey_bundle(
            &other.address,
            &mut self.signal.session_store,
            &mut self.signal.identity_store,
            &bundle.unwrap(),
            &mut make_rng::<StdRng>(),
            UsePQRatchet::No,
        )
        .await
        .unwrap();
    }

    pub async fn encrypt(&mut self, to: &ProtocolAddress) -> CiphertextMessage {
        let Self { signal, .. } = self;
        message_encrypt(b"text", to, &mut signal.session_store, &mut signal.identity_store).await.unwrap()
    }

    pub async fn decrypt(&mut self, from: &ProtocolAddress, message: &CiphertextMessage) {
        let Self { signal, .. } = self;
        message_decrypt(
            message,
            from,
            &mut signal.session_store,
            &mut signal.identity_store,
            &mut signal.pre_key_store,
            &signal.signed_pre_key_store,
            &mut make_rng::<StdRng>(),
            UsePQRatchet::No,
        )
        .await
        .unwrap();
    }

    /// Two peers that have written to each other, so that neither's next message is a first one.
    pub async fn know_each_other(one: &mut Self, other: &mut Self) {
        one.meet(other).await;
        let hello = one.encrypt(&other.address).await;
        other.decrypt(&one.address, &hello).await;
        let answer = other.encrypt(&one.address).await;
        one.decrypt(&other.address, &answer).await;
    }

    /// A message to a group, on the own sender key.
    pub async fn encrypt_for(&mut self, group: &str) {
        let name = SenderKeyName::from_parts(group, self.address.as_str());
        let rng = &mut make_rng::<StdRng>();
        create_sender_key_distribution_message(&name, &mut self.signal.sender_key_store, rng).await.unwrap();
        group_encrypt(&mut self.signal.sender_key_store, &name, b"text", rng).await.unwrap();
    }

    /// Forgets the own sender key, as the library does when a member leaves.
    pub async fn rotate(&self, group: &str) {
        self.cache.delete_sender_key(&self.sender_key_name(group)).await;
    }

    /// The key under which [`Self::encrypt_for`] keeps its sender key.
    pub fn sender_key_name(&self, group: &str) -> String {
        SenderKeyName::from_parts(group, self.address.as_str()).cache_key().to_owned()
    }

    /// What the library does 25 ms after a message came in, and before the wire where a lease was raised.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.cache.flush(&*self.backend).await
    }
}
