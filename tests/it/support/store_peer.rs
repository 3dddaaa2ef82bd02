//! Signal peers: real sessions and sender keys, kept through the library's own cache.

use std::sync::Arc;

use rand_010::{make_rng, rngs::StdRng};
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
