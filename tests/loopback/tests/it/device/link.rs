//! The wire beneath the tests' device: dialing, both handshakes, frames.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use rand::rngs::StdRng;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_binary::util::unpack_bytes;
use wacore_binary::{Node, OwnedNodeRef, marshal};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{IkHandshakeState, IkServerHelloOutcome, NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

/// Nothing on loopback takes this long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// An encrypted connection.
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: FrameDecoder,
    send: (NoiseCipher, u32),
    receive: (NoiseCipher, u32),
}

impl Link {
    pub async fn send(&mut self, stanza: &Node) -> anyhow::Result<()> {
        let (cipher, counter) = &mut self.send;
        let sealed = cipher.encrypt_with_counter(*counter, &marshal(stanza)?)?;
        *counter += 1;
        let frame = Bytes::from(encode_frame(&sealed, None)?);
        Ok(self.socket.send(Message::binary(frame)).await?)
    }

    pub async fn receive(&mut self) -> anyhow::Result<Node> {
        loop {
            if let Some(mut frame) = self.decoder.decode_frame() {
                let (cipher, counter) = &mut self.receive;
                cipher.decrypt_in_place_with_counter(*counter, &mut frame)?;
                *counter += 1;
                return Ok(OwnedNodeRef::new(unpack_bytes(frame)?)?.to_owned_node());
            }
            let message = self.socket.next().await.context("the connection ended")??;
            ensure!(!message.is_close(), "the connection ended");
            self.decoder.feed(message.as_payload());
        }
    }
}

/// What the full handshake (XX) yields.
pub struct Full {
    pub link: Link,
    pub server_static: [u8; 32],
    pub chain: Vec<u8>,
}

impl Full {
    /// Shakes hands without knowing the server; its certificates must lead to `root`.
    pub async fn connect(
        url: &str,
        root: &[u8; 32],
        noise_key: &KeyPair,
        payload: &[u8],
        rng: &mut StdRng,
    ) -> anyhow::Result<Self> {
        let mut link = Dialed::dial(url).await?;
        let ephemeral = KeyPair::generate(rng);
        let hello = wa::HandshakeMessage {
            client_hello: MessageField::some(wa::handshake_message::ClientHello {
                ephemeral: Some(ephemeral.public_key.public_key_bytes().to_vec()),
                ..Default::default()
            }),
            ..Default::default()
        };
        link.send(&hello.encode_to_vec(), true).await?;
        let reply = wa::HandshakeMessage::decode_from_slice(&link.frame().await?)?;
        let hello = reply.server_hello.into_option().context("no ServerHello")?;
        let server_ephemeral = hello.ephemeral.context("no ephemeral")?;
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER)?;
        noise.authenticate(ephemeral.public_key.public_key_bytes());
        noise.authenticate(&server_ephemeral);
        noise.mix_shared_secret(ephemeral.private_key.serialize(), &server_ephemeral)?;
        let server_static = noise.decrypt(&hello.r#static.context("no static")?)?;
        noise.mix_shared_secret(ephemeral.private_key.serialize(), &server_static)?;
        let chain = noise.decrypt(&hello.payload.context("no certificate")?)?;
        verify_chain(&chain, root, &server_static)?;
        let sealed_static = noise.encrypt(noise_key.public_key.public_key_bytes())?;
        noise.mix_shared_secret(noise_key.private_key.serialize(), &server_ephemeral)?;
        let sealed_payload = noise.encrypt(payload)?;
        let finish = wa::HandshakeMessage {
            client_finish: MessageField::some(wa::handshake_message::ClientFinish {
                r#static: Some(sealed_static),
                payload: Some(sealed_payload),
                ..Default::default()
            }),
            ..Default::default()
        };
        link.send(&finish.encode_to_vec(), false).await?;
        let (write, read) = noise.finish()?;
        let server_static = server_static.try_into().map_err(|_| anyhow!("no key"))?;
        let link = link.established(write, read);
        Ok(Self { link, server_static, chain })
    }
}

/// Shakes hands with the server whose key is known (IK); `None` when the server answers with another one.
pub async fn connect_short(
    url: &str,
    known: [u8; 32],
    noise_key: &KeyPair,
    payload: Vec<u8>,
) -> anyhow::Result<Option<Link>> {
    let mut state = IkHandshakeState::new(noise_key.clone(), known, payload, &WA_CONN_HEADER)?;
    let mut link = Dialed::dial(url).await?;
    link.send(&state.build_client_hello()?, true).await?;
    let hello = link.frame().await?;
    Ok(match state.read_server_hello(&hello)? {
        IkServerHelloOutcome::Continue(outcome) => Some(link.established(outcome.write_cipher, outcome.read_cipher)),
        IkServerHelloOutcome::Fallback(_) => None,
    })
}

/// A socket before the handshake is over.
struct Dialed {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: FrameDecoder,
}

impl Dialed {
    async fn dial(url: &str) -> anyhow::Result<Self> {
        let (socket, _) = ClientBuilder::new().uri(url)?.connect().await?;
        Ok(Self { socket, decoder: FrameDecoder::new() })
    }

    async fn send(&mut self, frame: &[u8], first: bool) -> anyhow::Result<()> {
        let frame = encode_frame(frame, first.then_some(&WA_CONN_HEADER[..]))?;
        Ok(self.socket.send(Message::binary(Bytes::from(frame))).await?)
    }

    async fn frame(&mut self) -> anyhow::Result<BytesMut> {
        loop {
            if let Some(frame) = self.decoder.decode_frame() {
                return Ok(frame);
            }
            let message = timeout(PATIENCE, self.socket.next()).await?.context("closed in the handshake")??;
            ensure!(!message.is_close(), "closed in the handshake");
            self.decoder.feed(message.as_payload());
        }
    }

    fn established(self, write: NoiseCipher, read: NoiseCipher) -> Link {
        Link { socket: self.socket, decoder: self.decoder, send: (write, 0), receive: (read, 0) }
    }
}

/// Root signs intermediate, intermediate signs leaf, leaf holds the server's key.
fn verify_chain(chain: &[u8], root: &[u8; 32], server_static: &[u8]) -> anyhow::Result<()> {
    let chain = wa::CertChain::decode_from_slice(chain)?;
    let intermediate = chain.intermediate.into_option().context("no intermediate")?;
    let leaf = chain.leaf.into_option().context("no leaf")?;
    let mut issuer = root.to_vec();
    for certificate in [&intermediate, &leaf] {
        let details = certificate.details.as_deref().context("no details")?;
        let signature = certificate.signature.as_deref().context("no signature")?;
        let key = PublicKey::from_djb_public_key_bytes(&issuer)?;
        ensure!(key.verify_signature(details, signature), "a certificate's signature does not verify");
        issuer = Details::decode_from_slice(details)?.key.context("no key")?;
    }
    ensure!(issuer == server_static, "the leaf holds another key");
    Ok(())
}
