//! Linking a device: registration, the QR code a phone scans, and the identity that the phone signs.
//!
//! What follows a scanned QR or an entered code is the same: the phone signs the device's identity, sealed with the
//! secret that only the two share (`pair-success`); the device signs it too (`pair-device-sign`); both signatures
//! are verified here; the device exists; its stream is restarted (515) so that it logs in.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use sha2::Sha256;
use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::{ADVDeviceIdentity, ADVEncryptionType, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC};

use crate::account::{AccountId, Companion, Form, Kind};
use crate::faults::FaultKind;
use crate::keys::{UploadedKeys, verify_signed_key};
use crate::passkey::Ceremony;
use crate::queue::Queue;
use crate::signal::SignedKey;
use crate::stanza::{
    attr, attr_is, child, child_content, first_child, iq_result, iq_set, jid_attr, leaf, stream_error, uint,
};
use crate::world::{ConnId, Effect, Ending, Session, Ticket, World};

/// References a connection gets: 60 s for the first, 20 s for each other.
const REFS: usize = 6;
/// Random bytes of a reference. In base64, with `2@` before it, one has 102 characters, so that a client shows 239: so had those of which
/// the length was published in August 2026. Those of 2022 (Baileys#1206) had 82.
pub(crate) const REFERENCE_BYTES: usize = 75;
/// What precedes the account's signature of a device's identity.
const ACCOUNT_SIGNATURE_PREFIX: [u8; 2] = [6, 0];

/// A client that wants to be linked.
pub(crate) struct Registration {
    pub(crate) noise_key: [u8; 32],
    pub(crate) identity: [u8; 32],
    registration: u32,
    signed: SignedKey,
    refs: Vec<String>,
    /// What the account's passkey has yet to do.
    pub(crate) ceremony: Option<Ceremony>,
    offer: Option<Offer>,
}

/// A `pair-success` that the client has yet to sign.
struct Offer {
    account: AccountId,
    device: u16,
    iq: String,
    signed: ADVSignedDeviceIdentity,
    ticket: Ticket,
}

impl Registration {
    pub(crate) fn account(&self) -> Option<AccountId> {
        let asked = self.ceremony.as_ref().map(|ceremony| ceremony.account);
        self.offer.as_ref().map(|offer| offer.account).or(asked)
    }

    pub(crate) fn is_being_linked(&self) -> bool {
        self.account().is_some()
    }
}

/// The parts of a QR code.
pub(crate) struct Qr {
    reference: String,
    noise_key: [u8; 32],
    identity: [u8; 32],
    secret: [u8; 32],
}

impl Qr {
    /// `ref,noise,identity,secret[,client type]`, keys in base64; Baileys 7 puts a link and `#` in front.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = text.rsplit_once('#').map_or(text, |(_, fragment)| fragment);
        let fields: Vec<&str> = text.split(',').collect();
        let [reference, noise, identity, secret, ..] = fields[..] else {
            return Err(format!("a pairing QR has at least 4 fields, this has {}", fields.len()));
        };
        let key = |name: &str, field: &str| -> Result<[u8; 32], String> {
            let bytes = BASE64_STANDARD.decode(field).map_err(|e| format!("{name}: {e}"))?;
            bytes.try_into().map_err(|_| format!("{name} is not 32 bytes"))
        };
        Ok(Self {
            reference: reference.to_owned(),
            noise_key: key("noise key", noise)?,
            identity: key("identity", identity)?,
            secret: key("secret", secret)?,
        })
    }
}

impl World {
    /// A client without credentials: it gets references to show.
    pub(crate) fn register(&mut self, conn: ConnId, noise_key: [u8; 32], data: &DevicePairingRegistrationData) {
        let Some((identity, registration, signed)) = read_registration(data) else {
            self.sessions.insert(conn, Session::Mute(None));
            return self.end(conn, crate::stanza::failure(400));
        };
        let refs: Vec<String> = (0..REFS).map(|_| self.reference()).collect();
        for reference in &refs {
            self.refs.insert(reference.clone(), conn);
        }
        let nodes = refs.iter().map(|r| leaf("ref", r.as_bytes()));
        let offer = NodeBuilder::new("pair-device").children(nodes).build();
        let id = self.stanza_id();
        self.sessions.insert(
            conn,
            Session::Registering(Box::new(Registration {
                noise_key,
                identity,
                registration,
                signed,
                refs,
                ceremony: None,
                offer: None,
            })),
        );
        if self.faults.hits_everybody(FaultKind::WithholdLogin) || self.faults.hits_everybody(FaultKind::Silence) {
            return;
        }
        self.send(conn, iq_set(&id, offer));
    }

    fn reference(&mut self) -> String {
        let mut bytes = vec![0; self.reference_bytes];
        self.rng.fill(&mut bytes[..]);
        format!("2@{}", BASE64_STANDARD.encode(bytes))
    }

    /// The phone scans what the client shows.
    pub(crate) fn scan(&mut self, account: AccountId, qr: &Qr) -> Result<Ticket, String> {
        let conn = *self.refs.get(&qr.reference).ok_or("the code is unknown or has expired")?;
        let Some(Session::Registering(registration)) = self.sessions.get(&conn) else {
            return Err("the client that showed the code has gone".to_owned());
        };
        if registration.noise_key != qr.noise_key || registration.identity != qr.identity {
            return Err("the code's keys are not those of the connection that its reference belongs to".to_owned());
        }
        let ticket = self.ticket();
        self.link(account, conn, &qr.secret, ticket)?;
        Ok(ticket)
    }

    /// The phone signs the client's identity and sends it, sealed with their secret; after `wait`.
    pub(crate) fn offer(
        &mut self,
        account: AccountId,
        conn: ConnId,
        secret: &[u8; 32],
        ticket: Ticket,
        wait: Duration,
    ) -> Result<(), String> {
        let iq = self.stanza_id();
        let time = self.time();
        let owner = self.directory.get_mut(account);
        if owner.kind != Kind::Phone {
            return Err("only a phone can link devices".to_owned());
        }
        let Some(Session::Registering(registration)) = self.sessions.get_mut(&conn) else {
            return Err("the client has gone".to_owned());
        };
        if registration.is_being_linked() {
            return Err("the client is being linked already".to_owned());
        }
        let device = owner.next_device;
        owner.next_device += 1;
        let details = ADVDeviceIdentity {
            raw_id: Some(owner.phone.raw_id),
            timestamp: Some(time),
            key_index: Some(u32::from(device)),
            account_type: Some(ADVEncryptionType::E2EE),
            device_type: Some(ADVEncryptionType::E2EE),
        }
        .encode_to_vec();
        let message = [&ACCOUNT_SIGNATURE_PREFIX[..], &details, &registration.identity].concat();
        let signed = ADVSignedDeviceIdentity {
            details: Some(details),
            account_signature_key: Some(owner.contact.endpoint.identity().to_vec()),
            account_signature: Some(owner.contact.endpoint.sign(&message, &mut self.rng).to_vec()),
            device_signature: None,
        };
        let inner = signed.encode_to_vec();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(&inner);
        let sealed = ADVSignedDeviceIdentityHMAC {
            details: Some(inner),
            hmac: Some(mac.finalize().into_bytes().to_vec()),
            account_type: Some(ADVEncryptionType::E2EE),
        };
        let address = account.device(device);
        let mut parts = vec![
            leaf("device-identity", sealed.encode_to_vec()),
            NodeBuilder::new("device").attr("jid", Form::Pn.jid(address)).attr("lid", Form::Lid.jid(address)).build(),
            NodeBuilder::new("platform").attr("name", "android").build(),
        ];
        if !self.faults.hits(FaultKind::HideName, account) {
            // Baileys takes its own name from here; without one it is never "available".
            parts.push(NodeBuilder::new("biz").attr("name", owner.name.as_str()).build());
        }
        let success = NodeBuilder::new("pair-success").children(parts).build();
        let unsigned = self.faults.hits(FaultKind::DropSign, account).then(|| signed.encode_to_vec());
        let offer = Offer { account, device, iq: iq.clone(), signed, ticket };
        if let Some(unsigned) = unsigned {
            self.send_after(conn, iq_set(&iq, success), wait);
            self.linked(conn, &offer, unsigned);
            self.mute(conn);
            self.close(conn, Ending::Abrupt);
            return Ok(());
        }
        registration.offer = Some(offer);
        self.send_after(conn, iq_set(&iq, success), wait);
        Ok(())
    }

    /// A stanza by a client that is not linked yet.
    pub(crate) fn registering(&mut self, conn: ConnId, stanza: &Node) {
        if stanza.tag != "iq" {
            return;
        }
        if attr_is(stanza, "type", "set") || attr_is(stanza, "type", "get") {
            let asked = first_child(stanza).and_then(|request| jid_attr(request, "jid"));
            let by = asked.and_then(|jid| self.directory.find(&jid));
            if self.is_spoilt(conn, by, stanza) {
                return;
            }
            let reply = match first_child(stanza) {
                Some(request) if request.tag == "link_code_companion_reg" => {
                    self.link_code_request(conn, stanza, request)
                }
                Some(request) if attr_is(stanza, "xmlns", "md") => return self.ceremony_iq(conn, stanza, request),
                _ => Some(iq_result(stanza, [])),
            };
            if let Some(reply) = reply {
                self.send(conn, reply);
            }
            return;
        }
        let Some(Session::Registering(registration)) = self.sessions.get_mut(&conn) else {
            return;
        };
        let Some(offer) = registration.offer.take_if(|o| attr(stanza, "id").is_some_and(|id| id == o.iq)) else {
            return;
        };
        let refused = || {
            let error = child(stanza, "error").and_then(|e| attr(e, "text")).unwrap_or_default();
            format!("the client refused the pairing: {error}")
        };
        let result = if attr_is(stanza, "type", "error") {
            Err(refused())
        } else {
            verify_device_signature(stanza, &offer, &registration.identity)
        };
        match result {
            Ok(device_identity) => {
                self.linked(conn, &offer, device_identity);
                self.end(conn, stream_error(515));
            }
            Err(reason) => {
                self.effects.push(Effect::Paired(offer.ticket, Err(reason)));
                let last = stream_error(500);
                self.end(conn, last);
            }
        }
    }

    fn linked(&mut self, conn: ConnId, offer: &Offer, device_identity: Vec<u8>) {
        let Some(Session::Registering(registration)) = self.sessions.get(&conn) else {
            return;
        };
        let keys = UploadedKeys::new(
            registration.registration,
            registration.identity,
            registration.signed.clone(),
            device_identity,
        );
        let companion = Companion {
            noise_key: registration.noise_key,
            key_index: u32::from(offer.device),
            keys,
            adopted_from: None,
            paired_at: self.time(),
            logins: 0,
            conn: None,
            offline_since: None,
            was_offline: Duration::ZERO,
            active: false,
            queue: Queue::default(),
            held_acks: Vec::new(),
            keys_shared: false,
        };
        let owner = self.directory.get_mut(offer.account);
        owner.companions.insert(offer.device, companion);
        owner.pairings += 1;
        self.renew_key_index_list(offer.account);
        self.tell_of_device(offer.account.device(offer.device), "add");
        self.ledger.counts.pairings += 1;
        self.effects.push(Effect::Paired(offer.ticket, Ok(offer.device)));
    }

    /// The connection of a registration ended.
    pub(crate) fn abandon(&mut self, conn: ConnId, registration: Registration) {
        for reference in &registration.refs {
            self.refs.remove(reference);
        }
        self.abandon_link_codes(conn);
        if let Some(ceremony) = registration.ceremony {
            let reason = "the client went away before the passkey had done its part".to_owned();
            self.effects.push(Effect::Paired(ceremony.ticket, Err(reason)));
        }
        if let Some(offer) = registration.offer {
            let reason = "the client went away before it had signed its identity".to_owned();
            self.effects.push(Effect::Paired(offer.ticket, Err(reason)));
        }
    }
}

fn read_registration(data: &DevicePairingRegistrationData) -> Option<([u8; 32], u32, SignedKey)> {
    let identity: [u8; 32] = data.e_ident.as_deref()?.try_into().ok()?;
    let signed = SignedKey {
        id: uint(data.e_skey_id.as_deref()?)?,
        public: data.e_skey_val.as_deref()?.try_into().ok()?,
        signature: data.e_skey_sig.clone()?,
    };
    verify_signed_key(&identity, &signed).then_some(())?;
    Some((identity, uint(data.e_regid.as_deref()?)?, signed))
}

/// Reads `pair-device-sign`; returns the identity that both have signed, as peers of the device will get it.
fn verify_device_signature(stanza: &Node, offer: &Offer, identity: &[u8; 32]) -> Result<Vec<u8>, String> {
    let sign = child(stanza, "pair-device-sign").ok_or("the answer has no pair-device-sign")?;
    let node = child(sign, "device-identity").ok_or("the answer has no device-identity")?;
    if attr(node, "key-index").is_none_or(|index| index != offer.device.to_string()) {
        return Err("the answer's key-index is not the one that was given".to_owned());
    }
    let bytes = child_content(sign, "device-identity").ok_or("device-identity is empty")?;
    let mut both = ADVSignedDeviceIdentity::decode_from_slice(bytes).map_err(|e| e.to_string())?;
    if both.details != offer.signed.details || both.account_signature != offer.signed.account_signature {
        return Err("the client signed something else than it was given".to_owned());
    }
    // The client leaves the account's key out on the wire; its peers are sent the whole.
    both.account_signature_key.clone_from(&offer.signed.account_signature_key);
    let whole = both.encode_to_vec();
    match validate_adv_with_identity_key(&whole, identity, None) {
        AdvValidation::Valid => Ok(whole),
        AdvValidation::Invalid | AdvValidation::NoAccountKey => {
            Err("the device's signature of its identity does not verify".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_is_read_with_and_without_the_link_in_front() {
        let key = BASE64_STANDARD.encode([7; 32]);
        for prefix in ["", "https://wa.me/settings/linked_devices#"] {
            let qr = Qr::parse(&format!("{prefix}2@ref,{key},{key},{key},1")).expect("a valid code");
            assert_eq!((qr.reference.as_str(), qr.secret), ("2@ref", [7; 32]));
        }
        assert!(Qr::parse("2@ref,AAAA").is_err());
        assert!(Qr::parse(&format!("2@ref,{key},{key},AAAA")).is_err());
    }
}
