//! A Signal endpoint with everything in memory: what a phone, a customer, or a test's own device is made of.
//!
//! Promises to verify what it is given: pre-key signatures, message authentication, and that an identity seen once
//! at an address never changes. Does no I/O, so the asynchronous protocol functions always complete at once.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::{CryptoRng, RngExt};
use wacore_libsignal::protocol::{
    CiphertextMessage, CiphertextMessageType, Direction, GenericSignedPreKey, IdentityChange, IdentityKey,
    IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyBundle, PreKeyId, PreKeyRecord, PreKeySignalMessage, PreKeyStore,
    ProtocolAddress, SenderKeyDistributionMessage, SenderKeyName, SenderKeyRecord, SenderKeyStore, SessionRecord,
    SessionStore, SignalMessage, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp,
    UsePQRatchet, create_sender_key_distribution_message, group_decrypt, group_encrypt, message_decrypt,
    message_encrypt, process_prekey_bundle, process_sender_key_distribution_message,
};

type Result<T> = std::result::Result<T, SignalProtocolError>;

/// A ciphertext as it travels in `<enc>`.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The `type` attribute: `msg` or `pkmsg`.
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

/// The public half of an endpoint, as the server hands it out.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub registration: u32,
    pub identity: [u8; 32],
    pub signed: SignedKey,
    pub one_time: Option<(u32, [u8; 32])>,
    /// `ADVSignedDeviceIdentity` of a companion device.
    pub device_identity: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub struct SignedKey {
    pub id: u32,
    pub public: [u8; 32],
    pub signature: Vec<u8>,
}

/// One device's Signal state. A clone is what a backup is: used later, it repeats what was used since.
#[derive(Clone)]
pub struct Endpoint {
    identity: Identity,
    sessions: Sessions,
    pre_keys: PreKeys,
    signed_pre_keys: SignedPreKeys,
    next_pre_key: u32,
    sender_keys: SenderKeys,
}

impl Endpoint {
    pub fn generate(rng: &mut StdRng) -> Self {
        let pair = IdentityKeyPair::generate(rng);
        let registration = rng.random_range(1..0x3fff);
        let (current, record) = signed_key(&pair, 1, rng);
        Self {
            identity: Identity { pair, registration, peers: HashMap::new() },
            sessions: Sessions::default(),
            pre_keys: PreKeys::default(),
            signed_pre_keys: SignedPreKeys { current, records: HashMap::from([(1, record)]) },
            next_pre_key: 1,
            sender_keys: SenderKeys::default(),
        }
    }

    /// A new signed pre-key; what was started with the old one can still be opened.
    pub fn rotate_signed_key<R: CryptoRng>(&mut self, rng: &mut R) -> &SignedKey {
        let id = self.signed_pre_keys.current.id + 1;
        let (current, record) = signed_key(&self.identity.pair, id, rng);
        self.signed_pre_keys.records.insert(id, record);
        self.signed_pre_keys.current = current;
        &self.signed_pre_keys.current
    }

    pub fn registration(&self) -> u32 {
        self.identity.registration
    }

    pub fn identity(&self) -> [u8; 32] {
        let key = self.identity.pair.public_key().public_key_bytes();
        key.try_into().expect("a Curve25519 public key has 32 bytes")
    }

    pub fn identity_pair(&self) -> KeyPair {
        KeyPair::new(*self.identity.pair.public_key(), self.identity.pair.private_key().clone())
    }

    pub fn signed_key(&self) -> &SignedKey {
        &self.signed_pre_keys.current
    }

    pub fn sign<R: CryptoRng>(&self, message: &[u8], rng: &mut R) -> [u8; 64] {
        self.identity.pair.private_key().calculate_signature(message, rng).expect("a generated key signs")
    }

    /// A new one-time pre-key: its id and public key.
    pub fn new_pre_key<R: CryptoRng>(&mut self, rng: &mut R) -> (u32, [u8; 32]) {
        let id = self.next_pre_key;
        self.next_pre_key = id % 0xff_ffff + 1;
        let pair = KeyPair::generate(rng);
        self.pre_keys.0.insert(id, PreKeyRecord::new(PreKeyId::from(id), &pair));
        (id, raw(&pair))
    }

    /// A bundle with a fresh one-time pre-key.
    pub fn new_bundle<R: CryptoRng>(&mut self, rng: &mut R) -> Bundle {
        Bundle {
            registration: self.registration(),
            identity: self.identity(),
            signed: self.signed_key().clone(),
            one_time: Some(self.new_pre_key(rng)),
            device_identity: None,
        }
    }

    pub fn has_session(&self, peer: &ProtocolAddress) -> bool {
        self.sessions.0.contains_key(peer)
    }

    /// Starts a session from a bundle, whose signature and identity are verified; an earlier one is archived.
    pub fn start_session(&mut self, peer: &ProtocolAddress, bundle: &Bundle, rng: &mut StdRng) -> Result<()> {
        let key = |bytes: &[u8; 32]| wacore_libsignal::protocol::PublicKey::from_djb_public_key_bytes(bytes);
        let one_time = match &bundle.one_time {
            Some((id, public)) => Some((PreKeyId::from(*id), key(public)?)),
            None => None,
        };
        let bundle = PreKeyBundle::new(
            bundle.registration,
            peer.device_id(),
            one_time,
            SignedPreKeyId::from(bundle.signed.id),
            key(&bundle.signed.public)?,
            bundle.signed.signature.clone(),
            IdentityKey::new(key(&bundle.identity)?),
        )?;
        complete(process_prekey_bundle(peer, &mut self.sessions, &mut self.identity, &bundle, rng, UsePQRatchet::No))?;
        Ok(())
    }

    pub fn encrypt(&mut self, peer: &ProtocolAddress, plaintext: &[u8]) -> Result<Sealed> {
        let sealed = complete(message_encrypt(plaintext, peer, &mut self.sessions, &mut self.identity))?;
        let kind = match sealed.message_type() {
            CiphertextMessageType::PreKey => "pkmsg",
            _ => "msg",
        };
        Ok(Sealed { kind, bytes: sealed.serialize().to_vec() })
    }

    /// Opens a ciphertext. A one-time pre-key that it consumed is gone afterwards.
    pub fn decrypt(&mut self, peer: &ProtocolAddress, sealed: &CiphertextMessage, rng: &mut StdRng) -> Result<Vec<u8>> {
        let opened = complete(message_decrypt(
            sealed,
            peer,
            &mut self.sessions,
            &mut self.identity,
            &mut self.pre_keys,
            &self.signed_pre_keys,
            rng,
            UsePQRatchet::No,
        ))?;
        if let Some(id) = opened.consumed_prekey_id {
            self.pre_keys.0.remove(&u32::from(id));
        }
        Ok(opened.plaintext)
    }
}

/// Groups: a key of its own for each, which everybody else's device is given.
impl Endpoint {
    /// Its key of a group as it hands it out; the first time it makes one.
    pub fn group_key<R: CryptoRng>(&mut self, group: &str, rng: &mut R) -> Result<Vec<u8>> {
        let name = own_name(group);
        let key = complete(create_sender_key_distribution_message(&name, &mut self.sender_keys, rng))?;
        Ok(key.serialized().to_vec())
    }

    pub fn forget_group_key(&mut self, group: &str) {
        self.sender_keys.0.remove(&own_name(group));
    }

    pub fn group_encrypt<R: CryptoRng>(&mut self, group: &str, plaintext: &[u8], rng: &mut R) -> Result<Vec<u8>> {
        let message = complete(group_encrypt(&mut self.sender_keys, &own_name(group), plaintext, rng))?;
        Ok(message.serialized().to_vec())
    }

    /// Keeps a key that a peer handed out.
    pub fn learn_group_key(&mut self, group: &str, peer: &ProtocolAddress, key: &[u8]) -> Result<()> {
        let key = SenderKeyDistributionMessage::try_from(key)?;
        let name = SenderKeyName::from_parts(group, &peer.to_string());
        complete(process_sender_key_distribution_message(&name, &key, &mut self.sender_keys))
    }

    pub fn group_decrypt(&mut self, group: &str, peer: &ProtocolAddress, sealed: &[u8]) -> Result<Vec<u8>> {
        let name = SenderKeyName::from_parts(group, &peer.to_string());
        complete(group_decrypt(sealed, &mut self.sender_keys, &name))
    }
}

fn own_name(group: &str) -> SenderKeyName {
    SenderKeyName::from_parts(group, "self")
}

/// Parses the content of an `<enc type="msg|pkmsg">`.
pub fn parse(kind: &str, bytes: &[u8]) -> Result<CiphertextMessage> {
    match kind {
        "pkmsg" => Ok(CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes)?)),
        "msg" => Ok(CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes)?)),
        _ => Err(SignalProtocolError::InvalidArgument(format!("enc type {kind}"))),
    }
}

fn signed_key<R: CryptoRng>(identity: &IdentityKeyPair, id: u32, rng: &mut R) -> (SignedKey, SignedPreKeyRecord) {
    let pair = KeyPair::generate(rng);
    let signature =
        identity.private_key().calculate_signature(&pair.public_key.serialize(), rng).expect("a generated key signs");
    let since = Timestamp::from_epoch_millis(0);
    let record = SignedPreKeyRecord::new(SignedPreKeyId::from(id), since, &pair, &signature);
    let key = SignedKey { id, public: raw(&pair), signature: signature.to_vec() };
    (key, record)
}

fn raw(pair: &KeyPair) -> [u8; 32] {
    crate::cert::public(pair)
}

fn complete<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    future.now_or_never().expect("stores in memory never wait")
}

#[derive(Clone)]
struct Identity {
    pair: IdentityKeyPair,
    registration: u32,
    peers: HashMap<ProtocolAddress, IdentityKey>,
}

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.pair.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration)
    }

    async fn save_identity(&mut self, peer: &ProtocolAddress, key: &IdentityKey) -> Result<IdentityChange> {
        let before = self.peers.insert(peer.clone(), *key);
        Ok(IdentityChange::from_changed(before.is_some_and(|known| known != *key)))
    }

    async fn is_trusted_identity(&self, peer: &ProtocolAddress, key: &IdentityKey, _: Direction) -> Result<bool> {
        Ok(self.peers.get(peer).is_none_or(|known| known == key))
    }

    async fn get_identity(&self, peer: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(self.peers.get(peer).copied())
    }
}

#[derive(Default, Clone)]
struct Sessions(HashMap<ProtocolAddress, SessionRecord>);

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, peer: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(peer).cloned())
    }

    async fn has_session(&self, peer: &ProtocolAddress) -> Result<bool> {
        Ok(self.0.contains_key(peer))
    }

    async fn store_session(&mut self, peer: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.0.insert(peer.clone(), record);
        Ok(())
    }
}

#[derive(Default, Clone)]
struct PreKeys(HashMap<u32, PreKeyRecord>);

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        self.0.get(&u32::from(id)).cloned().ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        self.0.insert(u32::from(id), record.clone());
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.0.remove(&u32::from(id));
        Ok(())
    }
}

#[derive(Clone)]
struct SignedPreKeys {
    current: SignedKey,
    records: HashMap<u32, SignedPreKeyRecord>,
}

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        self.records.get(&u32::from(id)).cloned().ok_or(SignalProtocolError::InvalidSignedPreKeyId)
    }

    async fn save_signed_pre_key(&mut self, id: SignedPreKeyId, record: &SignedPreKeyRecord) -> Result<()> {
        self.records.insert(u32::from(id), record.clone());
        Ok(())
    }
}

#[derive(Default, Clone)]
struct SenderKeys(HashMap<SenderKeyName, SenderKeyRecord>);

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> Result<()> {
        self.0.insert(name.clone(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.get(name).cloned())
    }
}
