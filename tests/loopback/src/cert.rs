//! The server's Noise identity: a static key and the certificate chain that vouches for it.
//!
//! The chain has WhatsApp's shape (root → intermediate → leaf, XEdDSA signatures) under a root of our own. Both
//! clients read it: the intermediate names issuer 0 explicitly (Baileys 7 refuses an absent serial) and the leaf's
//! issuer is the intermediate's serial (whatsapp-rust). A client that trusts only WhatsApp's root refuses it.

use rand::CryptoRng;
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{HandshakeError, HandshakeUtils};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::{NoiseCertificate, noise_certificate::Details};

const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;
/// 2023-11-14 to 2043-05-04: any date a test may pretend.
const NOT_BEFORE: u64 = 1_700_000_000;
const NOT_AFTER: u64 = 2_314_000_000;

#[derive(Clone)]
pub(crate) struct ServerIdentity {
    pub(crate) static_key: KeyPair,
    /// Encoded `CertChain`, sent in every handshake.
    pub(crate) chain: Vec<u8>,
    pub(crate) root_public: [u8; 32],
}

impl ServerIdentity {
    pub(crate) fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let root = KeyPair::generate(rng);
        let intermediate = KeyPair::generate(rng);
        let leaf = KeyPair::generate(rng);
        let chain = CertChain {
            intermediate: certificate(&root, INTERMEDIATE_SERIAL, 0, &intermediate, rng),
            leaf: certificate(&intermediate, LEAF_SERIAL, INTERMEDIATE_SERIAL, &leaf, rng),
        };
        Self { static_key: leaf, chain: chain.encode_to_vec(), root_public: public(&root) }
    }

    pub(crate) fn static_public(&self) -> [u8; 32] {
        public(&self.static_key)
    }
}

/// Whether a client of this build takes a network of this crate for WhatsApp: only one that was built not to check the chain.
pub fn is_taken_for_whatsapp() -> bool {
    let identity = ServerIdentity::generate(&mut rand::rng());
    let verified = HandshakeUtils::verify_server_cert(&identity.chain, &identity.static_public());
    // A chain that is refused for its shape would be refused by a client that checks nothing, too, and would prove nothing.
    !matches!(verified, Err(HandshakeError::CertVerification(reason)) if reason.contains("signature failed"))
}

fn certificate<R: CryptoRng>(
    issuer: &KeyPair,
    serial: u32,
    issuer_serial: u32,
    subject: &KeyPair,
    rng: &mut R,
) -> MessageField<NoiseCertificate> {
    let details = Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(public(subject).to_vec()),
        not_before: Some(NOT_BEFORE),
        not_after: Some(NOT_AFTER),
    }
    .encode_to_vec();
    let signature = issuer.calculate_signature(&details, rng).expect("a generated key signs");
    MessageField::some(NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) })
}

/// The 32 bytes of a Curve25519 public key, without Signal's type byte.
pub(crate) fn public(pair: &KeyPair) -> [u8; 32] {
    pair.public_key.public_key_bytes().try_into().expect("a Curve25519 public key has 32 bytes")
}
