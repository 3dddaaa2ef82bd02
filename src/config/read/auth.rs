//! `auth` and `limits`: who may come in, and how often.

use std::num::NonZeroU32;

use super::{SettingReader, is_safe};
use crate::config::{
    AuthConfig, Firebase, Limits, Rates, Secret, VaultConfig, VaultHome,
    secret::{MIN_LENGTH, fits_header},
};

impl SettingReader<'_> {
    pub(super) fn auth(&mut self, vault: Option<&VaultConfig>) -> Option<AuthConfig> {
        let admin_key = self.admin_key(vault);
        let legacy_open = self.flag("auth.legacy_open");
        let refresh = self.duration("auth.refresh", 1..=60);
        let project = self.parsed("auth.firebase_project", "the id of a Firebase project", |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_').then(|| text.to_owned())
        });
        // The keys from there decide who is who.
        let keys_url = self.parsed("auth.firebase_keys_url", "an https address (http on loopback)", |text| {
            is_safe(text).then(|| text.to_owned())
        });
        let (project, keys_url) = (project?, keys_url?);
        let firebase = (!project.is_empty()).then_some(Firebase { project, keys_url });
        Some(AuthConfig { admin_key: admin_key?, legacy_open, refresh: refresh?, firebase })
    }

    fn admin_key(&mut self, vault: Option<&VaultConfig>) -> Option<Option<Secret>> {
        let text = self.text("auth.admin_key");
        if text.is_empty() {
            if matches!(vault, Some(VaultConfig { home: VaultHome::Firestore { .. }, .. })) {
                self.mistake(
                    "auth.admin_key",
                    "must be set with Firestore: at least 16 characters (openssl rand -hex 24)",
                );
            }
            return Some(None);
        }
        if text.len() < MIN_LENGTH {
            self.mistake("auth.admin_key", "expected at least 16 characters");
            return None;
        }
        if !fits_header(&text) {
            self.mistake("auth.admin_key", "expected visible ASCII characters: nobody can show others in a header");
            return None;
        }
        Some(Some(Secret::new(text)))
    }

    pub(super) fn limits(&mut self) -> Option<Limits> {
        let mut rate = |key| {
            let count = self.count(key, 0..=100_000).and_then(|count| u32::try_from(count).ok());
            count.map(NonZeroU32::new)
        };
        let pairing = (rate("limits.pairing_per_key"), rate("limits.pairing_per_address"));
        let sending = (rate("limits.sending_per_key"), rate("limits.sending_per_address"));
        let failures_per_address = rate("limits.failures_per_address");
        Some(Limits {
            pairing: Rates { per_key: pairing.0?, per_address: pairing.1? },
            sending: Rates { per_key: sending.0?, per_address: sending.1? },
            failures_per_address: failures_per_address?,
        })
    }
}
