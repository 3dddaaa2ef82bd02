//! Linking by phone number: the client shows a code of eight characters, the owner types it into the phone.
//!
//! Three steps. `companion_hello`: the client's ephemeral key, encrypted under the code. `primary_hello`: the phone's,
//! likewise. `companion_finish`: the client's identity and a random secret, encrypted under what the two ephemeral
//! keys agree on; only now does a wrong code show. From all of it both derive the secret that seals `pair-success`.

use rand::RngExt;
use wacore::crypto::hkdf_sha256_into;
use wacore::pair_code::PairCodeUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

use crate::account::AccountId;
use crate::cert::public;
use crate::stanza::{attr, child_array, child_content, iq_error, iq_result, jid_attr, leaf, server_jid};
use crate::world::{ConnId, Effect, Session, Ticket, World};

/// A client that waits for its code to be typed.
pub(crate) struct LinkRequest {
    conn: ConnId,
    reference: [u8; 32],
    /// Salt, initialisation vector, encrypted ephemeral key.
    wrapped: [u8; 80],
    entered: Option<Entered>,
}

/// The phone's side once the code is typed.
struct Entered {
    ephemeral: KeyPair,
    client_ephemeral: [u8; 32],
    ticket: Ticket,
}

/// The key that the phone computes from a typed code. Slow on purpose (PBKDF2), so it is computed outside the lock.
pub(crate) struct TypedCode {
    ephemeral: KeyPair,
    wrapped_ephemeral: [u8; 80],
    client_ephemeral: [u8; 32],
    reference: [u8; 32],
}

impl TypedCode {
    pub(crate) fn compute((reference, wrapped): ([u8; 32], [u8; 80]), code: &str) -> Result<Self, String> {
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
        if code.len() != 8 {
            return Err("a link code has eight characters".to_owned());
        }
        let client_ephemeral =
            PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, &code).map_err(|e| e.to_string())?;
        let ephemeral = KeyPair::generate(&mut rand::rng());
        let wrapped_ephemeral = PairCodeUtils::encrypt_ephemeral_pub(&public(&ephemeral), &code);
        Ok(Self { ephemeral, wrapped_ephemeral, client_ephemeral, reference })
    }
}

impl World {
    /// The request that waits for this phone's owner.
    pub(crate) fn link_request(&self, account: AccountId) -> Result<([u8; 32], [u8; 80]), String> {
        let request = self.link_requests.get(&account).ok_or("no client asks for a link code of this number")?;
        Ok((request.reference, request.wrapped))
    }

    /// The owner has typed a code.
    pub(crate) fn code_typed(&mut self, account: AccountId, typed: TypedCode) -> Result<Ticket, String> {
        let ticket = self.ticket();
        let id = self.stanza_id();
        let time = self.time();
        let identity = self.directory.get(account).contact.endpoint.identity();
        let request = self
            .link_requests
            .get_mut(&account)
            .filter(|request| request.reference == typed.reference)
            .ok_or("the client has gone, or has asked anew")?;
        let hello = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .children([
                leaf("link_code_pairing_wrapped_primary_ephemeral_pub", typed.wrapped_ephemeral),
                leaf("primary_identity_pub", identity),
                leaf("link_code_pairing_ref", request.reference),
            ])
            .build();
        let notification = NodeBuilder::new("notification")
            .attr("from", server_jid())
            .attr("type", "link_code_companion_reg")
            .attr("id", id)
            .attr("t", time)
            .children([hello])
            .build();
        request.entered =
            Some(Entered { ephemeral: typed.ephemeral, client_ephemeral: typed.client_ephemeral, ticket });
        let conn = request.conn;
        self.send(conn, notification);
        Ok(ticket)
    }

    /// `<link_code_companion_reg>` by a client; returns the answer.
    pub(crate) fn link_code_request(&mut self, conn: ConnId, iq: &Node, request: &Node) -> Option<Node> {
        let account = jid_attr(request, "jid").and_then(|jid| self.directory.find(&jid));
        let Some(account) = account else {
            return Some(iq_error(iq, 404, "item-not-found"));
        };
        match attr(request, "stage").as_deref() {
            Some("companion_hello") => {
                let wrapped = child_array(request, "link_code_pairing_wrapped_companion_ephemeral_pub");
                let Some(wrapped) = wrapped else {
                    return Some(iq_error(iq, 400, "bad-request"));
                };
                let reference = self.rng.random::<[u8; 32]>();
                let asked = LinkRequest { conn, reference, wrapped, entered: None };
                let former = self.link_requests.insert(account, asked);
                if let Some(entered) = former.and_then(|former| former.entered) {
                    let reason = "the client has asked for another code".to_owned();
                    self.effects.push(Effect::Paired(entered.ticket, Err(reason)));
                }
                let reply = NodeBuilder::new("link_code_companion_reg")
                    .attr("stage", "companion_hello")
                    .children([leaf("link_code_pairing_ref", reference)])
                    .build();
                Some(iq_result(iq, [reply]))
            }
            Some("companion_finish") => self.companion_finish(conn, account, iq, request),
            _ => Some(iq_error(iq, 400, "bad-request")),
        }
    }

    fn companion_finish(&mut self, conn: ConnId, account: AccountId, iq: &Node, request: &Node) -> Option<Node> {
        let open = self.link_requests.get_mut(&account).filter(|r| r.conn == conn);
        let Some(entered) = open.and_then(|r| r.entered.take()) else {
            return Some(iq_error(iq, 404, "item-not-found"));
        };
        let identity = self.directory.get(account).contact.endpoint.identity_pair();
        let registered = match self.sessions.get(&conn) {
            Some(Session::Registering(registration)) => registration.identity,
            _ => return None,
        };
        match shared_secret(&entered, &identity, &registered, request) {
            Ok(secret) => {
                self.link_requests.remove(&account);
                self.send(conn, iq_result(iq, []));
                if let Err(reason) = self.link(account, conn, &secret, entered.ticket) {
                    self.effects.push(Effect::Paired(entered.ticket, Err(reason)));
                }
                None
            }
            Err(reason) => {
                self.effects.push(Effect::Paired(entered.ticket, Err(reason.to_owned())));
                Some(iq_error(iq, 401, "not-authorized"))
            }
        }
    }

    /// The connection of a client ended that may have waited for a code.
    pub(crate) fn abandon_link_codes(&mut self, conn: ConnId) {
        let mut ended = Vec::new();
        self.link_requests.retain(|_, request| {
            if request.conn == conn {
                ended.extend(request.entered.take());
            }
            request.conn != conn
        });
        for entered in ended {
            let reason = "the client went away before the code was confirmed".to_owned();
            self.effects.push(Effect::Paired(entered.ticket, Err(reason)));
        }
    }
}

/// Opens the client's key bundle and derives the pairing's secret.
fn shared_secret(
    entered: &Entered,
    identity: &KeyPair,
    registered: &[u8; 32],
    request: &Node,
) -> Result<[u8; 32], &'static str> {
    const WRONG_CODE: &str = "the code is wrong: what the client sealed does not open";
    let bundle = child_content(request, "link_code_pairing_wrapped_key_bundle").ok_or("no key bundle")?;
    let client_identity: [u8; 32] = child_array(request, "companion_identity_public").ok_or("no companion identity")?;
    if client_identity != *registered {
        return Err("the identity differs from the registered one");
    }
    let ((salt, iv), sealed) = bundle
        .split_at_checked(44)
        .map(|(head, sealed)| (head.split_at(32), sealed))
        .ok_or("the key bundle is too short")?;
    let agree = |ours: &KeyPair, theirs: &[u8; 32]| {
        PublicKey::from_djb_public_key_bytes(theirs).and_then(|key| ours.calculate_agreement(&key))
    };
    let ephemeral_secret = agree(&entered.ephemeral, &entered.client_ephemeral).map_err(|_| WRONG_CODE)?;
    let mut key = [0; 32];
    hkdf_sha256_into(&ephemeral_secret, Some(salt), b"link_code_pairing_key_bundle_encryption_key", &mut key)
        .map_err(|_| WRONG_CODE)?;
    let iv: &[u8; 12] = iv.try_into().map_err(|_| WRONG_CODE)?;
    let mut opened = Vec::new();
    aes_256_gcm_decrypt(&key, iv, b"", sealed, &mut opened).map_err(|_| WRONG_CODE)?;
    let [companion, primary, random] = [opened.get(..32), opened.get(32..64), opened.get(64..96)];
    if companion != Some(&client_identity[..]) || primary != Some(&public(identity)[..]) {
        return Err("the key bundle names other identities");
    }
    let identity_secret = agree(identity, &client_identity).map_err(|_| "the companion identity is no key")?;
    let material = [&ephemeral_secret[..], &identity_secret, random.ok_or("the key bundle is too short")?].concat();
    let mut secret = [0; 32];
    hkdf_sha256_into(&material, None, b"adv_secret", &mut secret).map_err(|_| "key derivation failed")?;
    Ok(secret)
}
