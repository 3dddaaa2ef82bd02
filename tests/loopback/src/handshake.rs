//! The responder's side of WhatsApp's Noise handshake: XX, IK, and XXfallback when the client's cached key is stale.
//!
//! Pure: bytes of a frame in, bytes of a frame out. Promises that an [`Established`] client has proved possession
//! of the static key it names.

use rand::CryptoRng;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{HandshakeError, NoiseCipher, NoiseHandshake};
use waproto::buffa::{DecodeError, Message, MessageField};
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};
use waproto::whatsapp::{ClientPayload, HandshakeMessage};

use crate::cert::{ServerIdentity, public};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Noise(#[from] HandshakeError),
    #[error("not a handshake message: {0}")]
    Decode(#[from] DecodeError),
    #[error("the handshake lacks {0}")]
    Missing(&'static str),
}

/// The outcome of a handshake. Encryption counters start at zero in both directions.
pub(crate) struct Established {
    pub(crate) client_static: [u8; 32],
    pub(crate) payload: ClientPayload,
    pub(crate) send: NoiseCipher,
    pub(crate) receive: NoiseCipher,
}

/// The server's answer to a ClientHello.
pub(crate) enum Reply {
    /// IK: the client is known after its first message.
    Established(Vec<u8>, Box<Established>),
    /// XX and XXfallback: the client's second message is needed.
    Pending(Vec<u8>, Box<Pending>),
}

pub(crate) struct Pending {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Whether a client begins with the static key that it knows of us.
pub(crate) fn is_ik(frame: &[u8]) -> bool {
    let hello = HandshakeMessage::decode_from_slice(frame).ok().and_then(|message| message.client_hello.into_option());
    hello.is_some_and(|hello| hello.r#static.is_some())
}

/// Answers a ClientHello. `prologue` is the connection header as the client sent it.
pub(crate) fn respond<R: CryptoRng>(
    server: &ServerIdentity,
    prologue: &[u8],
    frame: &[u8],
    rng: &mut R,
) -> Result<Reply, Error> {
    let hello = HandshakeMessage::decode_from_slice(frame)?
        .client_hello
        .into_option()
        .ok_or(Error::Missing("a ClientHello"))?;
    let client_ephemeral = key(hello.ephemeral.as_deref(), "the client's ephemeral key")?;
    if hello.r#static.is_none() {
        return respond_xx(server, NOISE_PATTERN_XX, prologue, &client_ephemeral, rng);
    }
    match respond_ik(server, prologue, &client_ephemeral, &hello, rng) {
        // The first ciphertext does not open: the client knows another static key of ours.
        Err(Error::Noise(_)) => respond_xx(server, NOISE_PATTERN_XXFALLBACK, prologue, &client_ephemeral, rng),
        result => result,
    }
}

fn respond_xx<R: CryptoRng>(
    server: &ServerIdentity,
    pattern: &str,
    prologue: &[u8],
    client_ephemeral: &[u8; 32],
    rng: &mut R,
) -> Result<Reply, Error> {
    let ephemeral = KeyPair::generate(rng);
    let mut noise = NoiseHandshake::new(pattern, prologue)?;
    noise.authenticate(client_ephemeral);
    noise.authenticate(&public(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let sealed_static = noise.encrypt(&server.static_public())?;
    noise.mix_shared_secret(server.static_key.private_key.serialize(), client_ephemeral)?;
    let sealed_chain = noise.encrypt(&server.chain)?;
    let reply = server_hello(&ephemeral, Some(sealed_static), sealed_chain);
    Ok(Reply::Pending(reply, Box::new(Pending { noise, ephemeral })))
}

fn respond_ik<R: CryptoRng>(
    server: &ServerIdentity,
    prologue: &[u8],
    client_ephemeral: &[u8; 32],
    hello: &ClientHello,
    rng: &mut R,
) -> Result<Reply, Error> {
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, prologue)?;
    noise.authenticate(&server.static_public());
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(server.static_key.private_key.serialize(), client_ephemeral)?;
    let opened = noise.decrypt(hello.r#static.as_deref().unwrap_or_default())?;
    let client_static = key(Some(&opened), "the client's static key")?;
    noise.mix_shared_secret(server.static_key.private_key.serialize(), &client_static)?;
    let payload = noise.decrypt(hello.payload.as_deref().ok_or(Error::Missing("a payload"))?)?;

    let ephemeral = KeyPair::generate(rng);
    noise.authenticate(&public(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    let sealed_chain = noise.encrypt(&server.chain)?;
    let reply = server_hello(&ephemeral, None, sealed_chain);
    Ok(Reply::Established(reply, Box::new(established(noise, client_static, &payload)?)))
}

impl Pending {
    /// Reads the ClientFinish.
    pub(crate) fn finish(mut self, frame: &[u8]) -> Result<Established, Error> {
        let finish = HandshakeMessage::decode_from_slice(frame)?
            .client_finish
            .into_option()
            .ok_or(Error::Missing("a ClientFinish"))?;
        let opened = self.noise.decrypt(finish.r#static.as_deref().ok_or(Error::Missing("a static key"))?)?;
        let client_static = key(Some(&opened), "the client's static key")?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = self.noise.decrypt(finish.payload.as_deref().ok_or(Error::Missing("a payload"))?)?;
        established(self.noise, client_static, &payload)
    }
}

fn established(noise: NoiseHandshake, client_static: [u8; 32], payload: &[u8]) -> Result<Established, Error> {
    // The library names the keys as the initiator uses them.
    let (client_writes, client_reads) = noise.finish()?;
    Ok(Established {
        client_static,
        payload: ClientPayload::decode_from_slice(payload)?,
        send: client_reads,
        receive: client_writes,
    })
}

fn server_hello(ephemeral: &KeyPair, sealed_static: Option<Vec<u8>>, sealed_chain: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: MessageField::some(ServerHello {
            ephemeral: Some(public(ephemeral).to_vec()),
            r#static: sealed_static,
            payload: Some(sealed_chain),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn key(bytes: Option<&[u8]>, what: &'static str) -> Result<[u8; 32], Error> {
    bytes.and_then(|b| b.try_into().ok()).ok_or(Error::Missing(what))
}

const EDGE_ROUTING: &[u8] = b"ED\0\x01";

/// Splits the connection header off the first bytes of a connection: an optional edge routing prefix
/// (`ED\0\1`, three bytes of length, that many bytes), then `WA`, protocol and dictionary version.
/// `None` while bytes are missing. The four `WA` bytes are the handshake's prologue.
pub(crate) fn split_header(bytes: &[u8]) -> Result<Option<([u8; 4], usize)>, Error> {
    let mut at = 0;
    if bytes.starts_with(EDGE_ROUTING) {
        let Some(length) = bytes.get(4..7) else {
            return Ok(None);
        };
        at = 7 + length.iter().fold(0, |n, b| n << 8 | usize::from(*b));
    } else if EDGE_ROUTING.starts_with(bytes) {
        return Ok(None);
    }
    let Some(header) = bytes.get(at..at + 4) else {
        return Ok(None);
    };
    if !header.starts_with(b"WA") {
        return Err(Error::Missing("WhatsApp's connection header"));
    }
    Ok(Some((header.try_into().expect("four bytes were taken"), at + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_found_behind_edge_routing_and_only_when_complete() {
        let plain = b"WA\x06\x03rest";
        assert_eq!(split_header(plain).ok(), Some(Some((*b"WA\x06\x03", 4))));
        let mut routed = b"ED\0\x01\0\0\x02ab".to_vec();
        routed.extend_from_slice(plain);
        assert_eq!(split_header(&routed).ok(), Some(Some((*b"WA\x06\x03", 13))));
        for cut in 0..13 {
            assert_eq!(split_header(&routed[..cut]).ok(), Some(None), "{cut} bytes");
        }
        assert!(split_header(b"GET / HTTP/1.1").is_err());
    }
}
