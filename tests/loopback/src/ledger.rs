//! The network's memory of what crossed it: every message by sender and id, every Signal counter, all the counts.
//!
//! This is what tests believe. It never forgets, so it grows with the traffic (about 200 bytes a message).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use wacore_binary::Jid;
use wacore_libsignal::protocol::{CiphertextMessage, SenderKeyMessage};

use crate::account::DeviceAddress;
use crate::routing::Envelope;
use crate::signal;

/// Counts since the network started.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Counts {
    /// TCP connections that completed the WebSocket upgrade.
    pub connections: u64,
    pub handshakes: u64,
    pub logins: u64,
    /// Logins that were answered with `<failure>`.
    pub refused_logins: u64,
    /// Connections that a second login of the same device took over.
    pub replaced_logins: u64,
    pub pairings: u64,
    /// Acks of messages, receipts and notifications by devices.
    pub acks: u64,
    /// Receipts by devices, retry receipts excepted.
    pub receipts: u64,
    /// Retry receipts, by devices and by the network's own endpoints.
    pub retry_receipts: u64,
    /// Those of linked devices: messages that a device could not open.
    pub device_retries: u64,
    /// Messages that devices asked their phone for, since they could not open them or never got them.
    pub placeholder_requests: u64,
    /// Messages to groups whose sender's hash of all members' devices was not the server's.
    pub stale_device_lists: u64,
    /// Requests to the media host, whatever their answer.
    pub media_uploads: u64,
    pub media_downloads: u64,
    /// Receipts of devices that could not fetch a file.
    pub media_retries: u64,
    /// Ciphertexts that a phone or customer could not open, or whose signatures did not verify.
    pub undecryptable: u64,
}

/// One Signal counter used for two ciphertexts: the breach that the whole design exists to prevent.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Reuse {
    pub from: String,
    /// The receiving device, or the group of a sender key.
    pub to: String,
    /// Ratchet key (hex) or sender key id.
    pub chain: String,
    pub counter: u32,
}

/// A stanza that a device refused for good: an ack with an error. WhatsApp never delivers it again, so a message refused this way
/// is lost.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Nack {
    pub device: String,
    /// Tag of the refused stanza.
    pub class: String,
    pub id: String,
    /// As the device gave it; whatsapp-rust says 487 of what it cannot parse and 500 of what fails otherwise.
    pub code: String,
}

/// A message as the server saw it.
#[derive(Debug, Clone, Serialize)]
pub struct WireMessage {
    pub id: String,
    /// The sending device.
    pub from: String,
    /// The chat it was addressed to.
    pub to: String,
    /// Among the apps of one account, of no chat.
    pub peer: bool,
    /// Unix time in milliseconds at which it was first seen.
    pub time: u64,
    /// How many stanzas carried this id from this device; resends that a retry receipt asked for are `resent`.
    pub seen: u32,
    pub resent: u32,
    /// Whether the server's ack has been sent.
    pub acked: bool,
    /// Devices that acknowledged its delivery.
    pub delivered: Vec<String>,
    /// Devices on which it was read or played.
    pub read: Vec<String>,
}

/// The key of a counter: a sending device, a receiving device or group, a ratchet or sender key.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Chain {
    from: DeviceAddress,
    to: String,
    chain: String,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) counts: Counts,
    messages: Vec<WireMessage>,
    by_id: HashMap<(DeviceAddress, String), usize>,
    chains: HashMap<Chain, HashMap<u32, u64>>,
    reuses: Vec<Reuse>,
    nacks: Vec<Nack>,
}

impl Ledger {
    /// Notes a message stanza. `time` is in milliseconds.
    pub(crate) fn message(&mut self, envelope: &Envelope<'_>, time: u64, resend: bool) {
        let key = (envelope.from, envelope.id.to_owned());
        let at = *self.by_id.entry(key).or_insert_with(|| {
            self.messages.push(WireMessage {
                id: envelope.id.to_owned(),
                from: envelope.from.to_string(),
                to: envelope.to.to_non_ad_string(),
                peer: envelope.category == Some("peer"),
                time,
                seen: 0,
                resent: 0,
                acked: false,
                delivered: Vec::new(),
                read: Vec::new(),
            });
            self.messages.len() - 1
        });
        let message = &mut self.messages[at];
        if resend {
            message.resent += 1;
        } else {
            message.seen += 1;
        }
    }

    /// Whether a message of that id has come from that device.
    pub(crate) fn has_seen(&self, from: DeviceAddress, id: &str) -> bool {
        self.by_id.contains_key(&(from, id.to_owned()))
    }

    pub(crate) fn acked(&mut self, from: DeviceAddress, id: &str) {
        if let Some(at) = self.by_id.get(&(from, id.to_owned())) {
            self.messages[*at].acked = true;
        }
    }

    pub(crate) fn delivered(&mut self, from: DeviceAddress, id: &str, by: &str) {
        if let Some(at) = self.by_id.get(&(from, id.to_owned())) {
            let delivered = &mut self.messages[*at].delivered;
            if !delivered.iter().any(|known| known == by) {
                delivered.push(by.to_owned());
            }
        }
    }

    pub(crate) fn read(&mut self, from: DeviceAddress, id: &str, by: &str) {
        if let Some(at) = self.by_id.get(&(from, id.to_owned())) {
            let read = &mut self.messages[*at].read;
            if !read.iter().any(|known| known == by) {
                read.push(by.to_owned());
            }
        }
    }

    /// Notes a ciphertext on its way to one device. Unparseable ones are the receiver's to complain about.
    pub(crate) fn ciphertext(&mut self, from: DeviceAddress, to: DeviceAddress, kind: &str, bytes: &[u8]) {
        let Ok(sealed) = signal::parse(kind, bytes) else {
            return;
        };
        let message = match &sealed {
            CiphertextMessage::PreKeySignalMessage(first) => first.message(),
            CiphertextMessage::SignalMessage(message) => message,
            _ => return,
        };
        let ratchet = hex::encode(message.sender_ratchet_key().public_key_bytes());
        self.counter(from, to.to_string(), ratchet, message.counter(), message.serialized());
    }

    /// Counters below `next` were used before this network knew of the device.
    pub(crate) fn sent_elsewhere(&mut self, from: DeviceAddress, to: DeviceAddress, ratchet: &[u8; 32], next: u32) {
        let chain = Chain { from, to: to.to_string(), chain: hex::encode(ratchet) };
        let seen = self.chains.entry(chain).or_default();
        for counter in 0..next {
            // No ciphertext is known by it.
            seen.entry(counter).or_insert(0);
        }
    }

    /// Notes a ciphertext under a sender key, which goes to all of a group alike.
    pub(crate) fn group_ciphertext(&mut self, from: DeviceAddress, group: &Jid, bytes: &[u8]) {
        if let Ok(message) = SenderKeyMessage::try_from(bytes) {
            let chain = message.chain_id().to_string();
            self.counter(from, group.to_string(), chain, message.iteration(), message.serialized());
        }
    }

    fn counter(&mut self, from: DeviceAddress, to: String, chain: String, counter: u32, bytes: &[u8]) {
        let digest = digest(bytes);
        let chain = Chain { from, to, chain };
        let seen = self.chains.entry(chain.clone()).or_default();
        if *seen.entry(counter).or_insert(digest) != digest {
            let Chain { from, to, chain } = chain;
            let from = from.to_string();
            self.reuses.push(Reuse { from, to, chain, counter });
        }
    }

    pub(crate) fn nack(&mut self, device: DeviceAddress, class: &str, id: &str, code: &str) {
        let [class, id, code] = [class, id, code].map(str::to_owned);
        self.nacks.push(Nack { device: device.to_string(), class, id, code });
    }

    pub(crate) fn messages(&self) -> &[WireMessage] {
        &self.messages
    }

    pub(crate) fn reuses(&self) -> &[Reuse] {
        &self.reuses
    }

    pub(crate) fn nacks(&self) -> &[Nack] {
        &self.nacks
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountId;

    #[test]
    fn what_a_device_has_sent_elsewhere_is_used() {
        let (from, to) = (AccountId::of(573_001_112_233).device(1), AccountId::of(573_009_998_877).primary());
        let mut ledger = Ledger::default();
        ledger.sent_elsewhere(from, to, &[7; 32], 3);
        let chain = hex::encode([7; 32]);
        for counter in [3, 4, 4] {
            ledger.counter(from, to.to_string(), chain.clone(), counter, b"new");
        }
        assert!(ledger.reuses().is_empty(), "{:?}", ledger.reuses());
        ledger.counter(from, to.to_string(), chain, 2, b"again");
        assert_eq!(ledger.reuses().len(), 1);
    }
}
