//! Linking a device to an account that has a passkey: what server and phone do between the scan, or the typed code, and the offer.
//!
//! 1. The server sends the client what the passkey must sign (`passkey_prologue_request`).
//! 2. The client asks for a reference, and sends what was signed with its ephemeral key and a commitment to a nonce
//!    (`passkey_prologue`). The server verifies the signature, the phone answers with its own key and nonce
//!    (`crsc_continuation`).
//! 3. The client shows its nonce (`companion_nonce`): both now show the same code, which their owner compares.
//! 4. The client sends its keys and a new secret, sealed under what the ephemeral keys agree on
//!    (`encrypted_pairing_request`). With that secret the pairing goes on as it always does.
//!
//! Whatever does not verify ends the ceremony with 401; the client then needs a new QR code.

use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use wacore::shortcake::ShortcakeUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::buffa::Message;
use waproto::whatsapp as wa;
use waproto::whatsapp::device_props::PlatformType;

use crate::account::AccountId;
use crate::cert::public;
use crate::stanza::{attr_is, child_content, content, iq_error, iq_result, leaf, server_jid};
use crate::world::{ConnId, Effect, Session, Ticket, World};

/// The site that passkeys of WhatsApp belong to, and where they are used for linking.
const RELYING_PARTY: &str = "whatsapp.com";
const ORIGIN: &str = "https://web.whatsapp.com";
/// Flags of an authenticator: the user was there, and was verified.
const PRESENT_AND_VERIFIED: u8 = 0x05;
/// A phone is not in the same room as the server. A client may count on that: whatsapp-rust 0.7 notes where it is a moment
/// after it has read the server's answer.
const PHONES_TURN: Duration = Duration::from_millis(250);

/// A passkey of an account, as WhatsApp knows it.
#[derive(Debug, Clone)]
pub struct Passkey {
    pub credential: Vec<u8>,
    /// On P-256; the uncompressed point.
    pub public_key: Vec<u8>,
    /// How long a challenge is good.
    pub patience: Duration,
}

/// One client's way from the scan to the offer.
pub(crate) struct Ceremony {
    pub(crate) account: AccountId,
    pub(crate) ticket: Ticket,
    /// The secret that the two share by the QR code or the typed code: it proves that the client is the one that was
    /// scanned.
    secret: [u8; 32],
    challenge: [u8; 32],
    options: String,
    until: Instant,
    reference: Option<String>,
    step: Step,
}

enum Step {
    Challenged,
    /// The client is bound to its nonce, and has the phone's key and nonce.
    Committed {
        identity: Vec<u8>,
        commitment: Vec<u8>,
        phone: Box<KeyPair>,
        phone_nonce: [u8; 32],
    },
    /// Both show the code; what comes next is sealed with this.
    Agreed([u8; 32]),
}

/// An answer, and what follows it when the phone has had its turn.
enum CeremonyReply {
    Only(Vec<Node>),
    Then(Node),
    Offer([u8; 32]),
}

type Verified<T> = Result<T, &'static str>;

impl World {
    /// The owner has let the client in: an account that has a passkey wants it first.
    pub(crate) fn link(
        &mut self,
        account: AccountId,
        conn: ConnId,
        secret: &[u8; 32],
        ticket: Ticket,
    ) -> Result<(), String> {
        match self.directory.get(account).phone.passkey.clone() {
            Some(passkey) => self.ask_for_passkey(account, conn, &passkey, secret, ticket),
            None => self.offer(account, conn, secret, ticket, Duration::ZERO),
        }
    }

    fn ask_for_passkey(
        &mut self,
        account: AccountId,
        conn: ConnId,
        passkey: &Passkey,
        secret: &[u8; 32],
        ticket: Ticket,
    ) -> Result<(), String> {
        let (id, time) = (self.stanza_id(), self.time());
        let challenge: [u8; 32] = self.rng.random();
        self.directory.get_mut(account).phone.passkey_code = None;
        let Some(Session::Registering(registration)) = self.sessions.get_mut(&conn) else {
            return Err("the client has gone".to_owned());
        };
        if registration.is_being_linked() {
            return Err("the client is being linked already".to_owned());
        }
        // As WhatsApp's own: the account finds its passkeys by itself.
        let options = json!({
            "challenge": BASE64_URL_SAFE_NO_PAD.encode(challenge),
            "timeout": u64::try_from(passkey.patience.as_millis()).unwrap_or(u64::MAX),
            "rpId": RELYING_PARTY,
            "allowCredentials": [],
            "userVerification": "required",
            "extensions": { "uvm": true },
        })
        .to_string();
        registration.ceremony = Some(Ceremony {
            account,
            ticket,
            secret: *secret,
            challenge,
            options: options.clone(),
            until: Instant::now() + passkey.patience,
            reference: None,
            step: Step::Challenged,
        });
        let options = leaf("passkey_request_options", options.as_bytes());
        self.send(conn, notification("passkey_prologue_request", id, time, options));
        Ok(())
    }

    /// Answers a client that is not linked, in the namespace `md`.
    pub(crate) fn ceremony_iq(&mut self, conn: ConnId, iq: &Node, request: &Node) {
        let Some(Session::Registering(registration)) = self.sessions.get_mut(&conn) else {
            return;
        };
        let identity = (registration.noise_key, registration.identity);
        let Some(mut ceremony) = registration.ceremony.take() else {
            return self.send(conn, iq_error(iq, 404, "item-not-found"));
        };
        match self.step(&mut ceremony, identity, iq, request) {
            Ok(CeremonyReply::Only(children)) => {
                self.go_on_with(conn, ceremony);
                self.send(conn, iq_result(iq, children));
            }
            Ok(CeremonyReply::Then(child)) => {
                let (id, time) = (self.stanza_id(), self.time());
                self.go_on_with(conn, ceremony);
                self.send(conn, iq_result(iq, []));
                self.send_after(conn, notification("crsc_continuation", id, time, child), PHONES_TURN);
            }
            Ok(CeremonyReply::Offer(secret)) => {
                self.send(conn, iq_result(iq, []));
                if let Err(reason) = self.offer(ceremony.account, conn, &secret, ceremony.ticket, PHONES_TURN) {
                    self.effects.push(Effect::Paired(ceremony.ticket, Err(reason)));
                }
            }
            Err(reason) => {
                self.effects.push(Effect::Paired(ceremony.ticket, Err(reason.to_owned())));
                self.send(conn, iq_error(iq, 401, "not-authorized"));
            }
        }
    }

    fn go_on_with(&mut self, conn: ConnId, ceremony: Ceremony) {
        if let Some(Session::Registering(registration)) = self.sessions.get_mut(&conn) {
            registration.ceremony = Some(ceremony);
        }
    }

    fn step(
        &mut self,
        ceremony: &mut Ceremony,
        identity: ([u8; 32], [u8; 32]),
        iq: &Node,
        request: &Node,
    ) -> Verified<CeremonyReply> {
        match (attr_is(iq, "type", "set"), request.tag.as_ref(), &ceremony.step) {
            (false, "passkey_request_options", _) => {
                Ok(CeremonyReply::Only(vec![leaf("passkey_request_options", ceremony.options.as_bytes())]))
            }
            (false, "ref", Step::Challenged) => {
                let reference = BASE64_STANDARD.encode(self.rng.random::<[u8; 48]>());
                ceremony.reference = Some(reference.clone());
                Ok(CeremonyReply::Only(vec![leaf("ref", reference.as_bytes())]))
            }
            (true, "passkey_prologue", Step::Challenged) => self.prologue(ceremony, request),
            (true, "companion_nonce", Step::Committed { .. }) => self.nonce(ceremony, request),
            (true, "encrypted_pairing_request", Step::Agreed(key)) => {
                Ok(CeremonyReply::Offer(open_pairing_request(key, identity, request)?))
            }
            _ => Err("this is not the ceremony's next step"),
        }
    }

    fn prologue(&mut self, ceremony: &mut Ceremony, request: &Node) -> Verified<CeremonyReply> {
        let passkey = self.directory.get(ceremony.account).phone.passkey.as_ref().ok_or("the passkey is gone")?;
        if Instant::now() > ceremony.until {
            return Err("the challenge has expired");
        }
        let credential = child_content(request, "credential_id").ok_or("no credential id")?;
        let assertion = child_content(request, "webauthn_assertion").ok_or("no assertion")?;
        verify_assertion(passkey, &ceremony.challenge, credential, assertion)?;
        let payload = child_content(request, "prologue_payload").ok_or("no prologue")?;
        if let Some(proof) = child_content(request, "pairing_handoff_proof") {
            verify_handoff(&ceremony.secret, payload, proof)?;
        }
        let payload = wa::ProloguePayload::decode_from_slice(payload).map_err(|_| "the prologue cannot be read")?;
        let identity = payload.companion_ephemeral_identity.ok_or("the prologue names no key")?;
        if read_identity(&identity)?.r#ref != ceremony.reference {
            return Err("the prologue is for another reference");
        }
        let commitment =
            payload.commitment.into_option().and_then(|c| c.hash).ok_or("the client does not commit itself")?;
        let (phone, phone_nonce) = (KeyPair::generate(&mut self.rng), self.rng.random::<[u8; 32]>());
        let answer = wa::PrimaryEphemeralIdentity {
            public_key: Some(public(&phone).to_vec()),
            nonce: Some(phone_nonce.to_vec()),
        };
        ceremony.step = Step::Committed { identity, commitment, phone: Box::new(phone), phone_nonce };
        Ok(CeremonyReply::Then(leaf("primary_ephemeral_identity", answer.encode_to_vec())))
    }

    fn nonce(&mut self, ceremony: &mut Ceremony, request: &Node) -> Verified<CeremonyReply> {
        let Step::Committed { identity, commitment, phone, phone_nonce } = &ceremony.step else {
            return Err("this is not the ceremony's next step");
        };
        let nonce: [u8; 32] = content(request).and_then(|bytes| bytes.try_into().ok()).ok_or("a nonce has 32 bytes")?;
        if ShortcakeUtils::commitment_hash(identity, &nonce)[..] != commitment[..] {
            return Err("the nonce is not the one that the client was bound to");
        }
        let code = ShortcakeUtils::derive_verification_code(&nonce, &public(phone), phone_nonce);
        self.directory.get_mut(ceremony.account).phone.passkey_code = Some(format!("{}-{}", &code[..4], &code[4..]));
        let client = read_identity(identity)?;
        let key: [u8; 32] =
            client.public_key.and_then(|key| key.try_into().ok()).ok_or("the ephemeral key has not 32 bytes")?;
        let secret = PublicKey::from_djb_public_key_bytes(&key)
            .and_then(|key| phone.private_key.calculate_agreement(&key))
            .map_err(|_| "the ephemeral key is no key")?;
        let device = client.device_type.unwrap_or(PlatformType::UNKNOWN);
        let reference = client.r#ref.unwrap_or_default();
        let key = ShortcakeUtils::derive_encryption_key_from_shared_secret(&secret, device, &reference)
            .map_err(|_| "key derivation failed")?;
        ceremony.step = Step::Agreed(key);
        Ok(CeremonyReply::Only(Vec::new()))
    }
}

fn notification(kind: &'static str, id: String, time: u64, child: Node) -> Node {
    // Clients take these two only from the bare server.
    NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("type", kind)
        .attr("id", id)
        .attr("t", time)
        .children([child])
        .build()
}

fn read_identity(bytes: &[u8]) -> Verified<wa::CompanionEphemeralIdentity> {
    wa::CompanionEphemeralIdentity::decode_from_slice(bytes).map_err(|_| "the client's key cannot be read")
}

/// The result of `navigator.credentials.get`, as it travels.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    id: String,
    raw_id: String,
    r#type: String,
    response: PasskeyResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasskeyResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
}

#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
}

/// WebAuthn Level 3, section 7.2, as far as it is about one assertion.
fn verify_assertion(passkey: &Passkey, challenge: &[u8], credential: &[u8], json: &[u8]) -> Verified<()> {
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| "the assertion is not in base64url");
    let assertion: Assertion = serde_json::from_slice(json).map_err(|_| "the assertion cannot be read")?;
    if credential != passkey.credential
        || decode(&assertion.raw_id)? != credential
        || decode(&assertion.id)? != credential
    {
        return Err("the passkey is none of this account's");
    }
    let client_data = decode(&assertion.response.client_data)?;
    let read: ClientData = serde_json::from_slice(&client_data).map_err(|_| "the client data cannot be read")?;
    if assertion.r#type != "public-key" || read.r#type != "webauthn.get" || read.origin != ORIGIN {
        return Err("the assertion is for something else");
    }
    if decode(&read.challenge)? != challenge {
        return Err("the assertion is for another challenge");
    }
    let authenticator_data = decode(&assertion.response.authenticator_data)?;
    let (party, rest) = authenticator_data.split_at_checked(32).ok_or("the authenticator's data is too short")?;
    if party != &Sha256::digest(RELYING_PARTY)[..] {
        return Err("the assertion is for another site");
    }
    if rest.first().is_none_or(|flags| flags & PRESENT_AND_VERIFIED != PRESENT_AND_VERIFIED) {
        return Err("the user was not verified");
    }
    let signed = [&authenticator_data[..], &Sha256::digest(&client_data)].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &passkey.public_key)
        .verify(&signed, &decode(&assertion.response.signature)?)
        .map_err(|_| "the passkey's signature does not verify")
}

/// A client that was linked before may prove that it still has that secret.
fn verify_handoff(secret: &[u8; 32], payload: &[u8], proof: &[u8]) -> Verified<()> {
    let key = ShortcakeUtils::derive_pairing_handoff_hmac_key(secret).map_err(|_| "key derivation failed")?;
    let right = ShortcakeUtils::compute_pairing_handoff_proof(&key, payload);
    if right[..] == *proof { Ok(()) } else { Err("the client's proof does not verify") }
}

/// The new secret, when the request is by the client that is registered here.
fn open_pairing_request(
    key: &[u8; 32],
    (noise_key, identity): ([u8; 32], [u8; 32]),
    request: &Node,
) -> Verified<[u8; 32]> {
    const UNREADABLE: &str = "the pairing request does not open";
    let sealed =
        wa::EncryptedPairingRequest::decode_from_slice(content(request).ok_or(UNREADABLE)?).map_err(|_| UNREADABLE)?;
    let iv: [u8; 12] = sealed.iv.and_then(|iv| iv.try_into().ok()).ok_or(UNREADABLE)?;
    let mut opened = Vec::new();
    aes_256_gcm_decrypt(key, &iv, b"", &sealed.encrypted_payload.ok_or(UNREADABLE)?, &mut opened)
        .map_err(|_| UNREADABLE)?;
    let request = wa::PairingRequest::decode_from_slice(opened.as_slice()).map_err(|_| UNREADABLE)?;
    if request.companion_public_key.as_deref() != Some(&noise_key[..])
        || request.companion_identity_key.as_deref() != Some(&identity[..])
    {
        return Err("the pairing request names other keys than the registered ones");
    }
    request.adv_secret.and_then(|secret| secret.try_into().ok()).ok_or("a secret has 32 bytes")
}
