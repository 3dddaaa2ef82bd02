//! A device that was linked elsewhere: on another network, or on this one before it was started anew.
//!
//! Its account here is another one under the same number: a fixture has the device's keys and none of its phone's. So the device is believed
//! by the proof that it brings, and by nothing else of that account. Nobody scanned: pairings are not counted. The ledger begins with the
//! device's first message here; what it sent before, whoever adopts it may say (`Network::has_sent`).

use std::time::Duration;

use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use waproto::buffa::Message as _;
use waproto::whatsapp::ADVSignedDeviceIdentity;

use crate::account::{AccountId, Companion, Kind};
use crate::keys::{UploadedKeys, verify_signed_key};
use crate::queue::Queue;
use crate::signal::SignedKey;
use crate::world::World;

/// A device as the server knew it that linked it, with the proof that the account gave it.
#[derive(Debug, Clone)]
pub struct AdoptedDevice {
    /// Which of the account's devices it is.
    pub id: u16,
    pub noise_key: [u8; 32],
    pub identity: [u8; 32],
    pub registration: u32,
    pub signed_pre_key: (u32, [u8; 32]),
    pub signed_pre_key_signature: Vec<u8>,
    /// Those that were uploaded and never given out.
    pub pre_keys: Vec<(u32, [u8; 32])>,
    /// Of `ADVSignedDeviceIdentity`.
    pub details: Vec<u8>,
    pub account_key: [u8; 32],
    pub account_signature: Vec<u8>,
    pub device_signature: Vec<u8>,
}

impl World {
    /// Takes the device for one of the account's, if its proof and its keys hold.
    pub(crate) fn adopt(&mut self, account: AccountId, device: AdoptedDevice) -> Result<(), String> {
        let owner = self.directory.get(account);
        if owner.kind != Kind::Phone {
            return Err("only a phone has devices".to_owned());
        }
        if device.id == 0 || owner.companions.contains_key(&device.id) {
            return Err(format!("the account has a device {} already", device.id));
        }
        let proof = ADVSignedDeviceIdentity {
            details: Some(device.details),
            account_signature_key: Some(device.account_key.to_vec()),
            account_signature: Some(device.account_signature),
            device_signature: Some(device.device_signature),
        }
        .encode_to_vec();
        match validate_adv_with_identity_key(&proof, &device.identity, None) {
            AdvValidation::Valid => {}
            AdvValidation::Invalid | AdvValidation::NoAccountKey => {
                return Err("the proof that the device belongs to an account does not verify".to_owned());
            }
        }
        let (id, public) = device.signed_pre_key;
        let signed = SignedKey { id, public, signature: device.signed_pre_key_signature };
        if !verify_signed_key(&device.identity, &signed) {
            return Err("the signed pre-key's signature does not verify".to_owned());
        }
        let mut keys = UploadedKeys::new(device.registration, device.identity, signed, proof);
        keys.adopt(device.pre_keys);
        let companion = Companion {
            noise_key: device.noise_key,
            key_index: u32::from(device.id),
            keys,
            adopted_from: Some(device.account_key),
            paired_at: self.time(),
            logins: 0,
            conn: None,
            offline_since: None,
            was_offline: Duration::ZERO,
            active: false,
            queue: Queue::default(),
            held_acks: Vec::new(),
            // It has them from its own phone; this one's are others.
            keys_shared: false,
        };
        let owner = self.directory.get_mut(account);
        owner.next_device = owner.next_device.max(device.id + 1);
        owner.companions.insert(device.id, companion);
        self.renew_key_index_list(account);
        self.tell_of_device(account.device(device.id), "add");
        Ok(())
    }
}
