//! Whether a copy is whole: its keys belong together, and to the account that it names.
//!
//! Pure. Owns [`CopyFlaw`]. Promises that a copy without flaws logs in as the device that it was, as far as keys decide it; a
//! creds file of one device with the identity of another, or one that was cut and mended by hand, has flaws. Whether WhatsApp
//! still knows the device only a login shows.

use super::{ImportError, TenantCopy, key};

/// Why a copy must not be used. All are looked for, and told at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyFlaw {
    #[error("the halves of {0} do not belong together")]
    Halves(&'static str),
    #[error("the signature of the signed pre-key is not this identity's")]
    SignedPreKey,
    #[error("the account did not sign this device")]
    AccountSignature,
    #[error("this device did not sign the account")]
    DeviceSignature,
    #[error("it is of the number {found}, not of {expected}")]
    OtherNumber { expected: String, found: String },
}

/// What signatures of the account and of the device begin with: of an ordinary account, and of one that Meta hosts.
const PREFIXES: [([u8; 2], [u8; 2]); 2] = [([6, 0], [6, 1]), ([6, 5], [6, 6])];

impl TenantCopy {
    /// Checks keys and signatures, and the number if one is expected (digits; signs and spaces do not count).
    pub fn verify(&self, expected: Option<&str>) -> Result<(), ImportError> {
        let mut flaws = self.flaws();
        if let Some(expected) = expected {
            let digits: String = expected.chars().filter(char::is_ascii_digit).collect();
            if digits != self.number() {
                flaws.push(CopyFlaw::OtherNumber { expected: digits, found: self.number().to_owned() });
            }
        }
        if flaws.is_empty() { Ok(()) } else { Err(ImportError::NotWhole(flaws)) }
    }

    fn flaws(&self) -> Vec<CopyFlaw> {
        let device = &self.device;
        let mut flaws = Vec::new();
        let pairs = [
            ("the noise key", &device.noise_key),
            ("the identity key", &device.identity_key),
            ("the signed pre-key", &device.signed_pre_key),
        ];
        flaws.extend(
            pairs.into_iter().filter(|(_, pair)| !pair.belong_together()).map(|(name, _)| CopyFlaw::Halves(name)),
        );
        let identity = &device.identity_key.public;
        if !key::signed_by(identity, &[&device.signed_pre_key.typed_public()], &device.signed_pre_key_signature) {
            flaws.push(CopyFlaw::SignedPreKey);
        }
        let account = &device.account;
        let by_account = |prefix: &[u8; 2]| {
            let parts: [&[u8]; 3] = [prefix, &account.details, identity];
            key::signed_by(&account.account_key, &parts, &account.account_signature)
        };
        let by_device = |prefix: &[u8; 2]| {
            let parts: [&[u8]; 4] = [prefix, &account.details, identity, &account.account_key];
            key::signed_by(identity, &parts, &account.device_signature)
        };
        match PREFIXES.iter().find(|(prefix, _)| by_account(prefix)) {
            None => flaws.push(CopyFlaw::AccountSignature),
            Some((_, prefix)) if !by_device(prefix) => flaws.push(CopyFlaw::DeviceSignature),
            Some(_) => {}
        }
        flaws
    }
}
