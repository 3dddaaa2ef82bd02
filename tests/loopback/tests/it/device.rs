//! A linked device of the tests' own, made of the protocol crates alone: what a client does, step by step, and
//! what none should do.
//!
//! It checks the server as a client would: the certificate chain against the network's root, the phone's seal and
//! signature at pairing, every bundle's signature.

mod link;

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use loopback::signal::{Bundle, Endpoint, Sealed, SignedKey, parse};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::Sha256;
use tokio::time::timeout;
use wacore::messages::{MessageUtils, decode_plaintext};
use wacore::pair::{DeviceState, PairUtils};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};
use wacore_libsignal::protocol::{DeviceId, KeyPair, ProtocolAddress};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use link::{Full, Link, PATIENCE, connect_short};

pub struct Device {
    pub endpoint: Endpoint,
    pub rng: StdRng,
    noise: KeyPair,
    secret: [u8; 32],
    /// Spoils the signature with which it answers the phone.
    pub forges: bool,
    root: [u8; 32],
    url: String,
    /// Known since pairing.
    pub jid: Option<Jid>,
    /// Its identity, signed by the phone and itself.
    pub identity: Option<Vec<u8>>,
    /// The server's static key, known since the first handshake.
    pub server_static: Option<[u8; 32]>,
    /// The certificate chain of the last full handshake.
    pub chain: Option<Vec<u8>>,
    link: Option<Link>,
    next_id: u32,
}

/// A message as the device got it.
#[derive(Debug)]
pub struct Incoming {
    pub id: String,
    pub from: Jid,
    pub offline: bool,
    pub text: Option<String>,
    pub message: Option<wa::Message>,
    pub stanza: Node,
}

impl Device {
    pub fn new(network: &loopback::Network, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            endpoint: Endpoint::generate(&mut rng),
            noise: KeyPair::generate(&mut rng),
            secret: rng.random(),
            forges: false,
            root: network.root_public_key(),
            url: network.ws_url(),
            rng,
            jid: None,
            identity: None,
            server_static: None,
            chain: None,
            link: None,
            next_id: 0,
        }
    }

    /// The same device run by a second process.
    pub fn twin(&mut self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            rng: StdRng::seed_from_u64(self.rng.random()),
            noise: self.noise.clone(),
            secret: self.secret,
            forges: false,
            root: self.root,
            url: self.url.clone(),
            jid: self.jid.clone(),
            identity: self.identity.clone(),
            server_static: self.server_static,
            chain: self.chain.clone(),
            link: None,
            next_id: 0,
        }
    }

    /// A device that is linked, logged in and active, with `pre_keys` uploaded.
    pub async fn linked(network: &loopback::Network, number: &str, seed: u64, pre_keys: usize) -> anyhow::Result<Self> {
        let mut device = Self::new(network, seed);
        device.pair(network, number).await?;
        device.login().await?;
        device.upload(pre_keys).await?;
        // The phone's share of keys.
        for message in device.activate().await? {
            device.receipt(&message).await?;
        }
        Ok(device)
    }

    /// Connects without credentials; returns the QR code it would show.
    pub async fn register(&mut self) -> anyhow::Result<String> {
        let signed = self.endpoint.signed_key().clone();
        let payload = wa::ClientPayload {
            passive: Some(false),
            device_pairing_data: MessageField::some(DevicePairingRegistrationData {
                e_regid: Some(self.endpoint.registration().to_be_bytes().to_vec()),
                e_keytype: Some(vec![5]),
                e_ident: Some(self.endpoint.identity().to_vec()),
                e_skey_id: Some(signed.id.to_be_bytes()[1..].to_vec()),
                e_skey_val: Some(signed.public.to_vec()),
                e_skey_sig: Some(signed.signature),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.connect_xx(&payload).await?;
        let offer = self.receive_tag("iq").await?;
        let pair_device = offer.get_optional_child("pair-device").context("no pair-device")?;
        let reference = pair_device.get_optional_child("ref").and_then(bytes).context("no ref")?;
        let reference = String::from_utf8(reference)?;
        self.send(&reply_to(&offer, None)).await?;
        let key = |key: &[u8]| BASE64_STANDARD.encode(key);
        let noise = key(self.noise.public_key.public_key_bytes());
        Ok(format!("{reference},{noise},{},{},1", key(&self.endpoint.identity()), key(&self.secret)))
    }

    /// Shows a QR code, has it scanned, signs, and is told to log in.
    pub async fn pair(&mut self, network: &loopback::Network, number: &str) -> anyhow::Result<()> {
        let qr = self.register().await?;
        let (scanned, signed) = tokio::join!(network.scan(number, &qr), self.sign_pairing());
        signed?;
        scanned?;
        let restart = self.receive_tag("stream:error").await?;
        ensure!(restart.attrs.get("code").is_some_and(|c| c == "515"), "no 515 after pairing");
        self.disconnect();
        Ok(())
    }

    /// Receives `pair-success`, verifies the phone's part and adds its own.
    pub async fn sign_pairing(&mut self) -> anyhow::Result<()> {
        let success = self.receive_tag("iq").await?;
        let node = success.get_optional_child("pair-success").context("no pair-success")?;
        let sealed = node.get_optional_child("device-identity").and_then(bytes).context("no identity")?;
        let outer = wa::ADVSignedDeviceIdentityHMAC::decode_from_slice(&sealed)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret)?;
        mac.update(outer.details.as_deref().unwrap_or_default());
        mac.verify_slice(outer.hmac.as_deref().unwrap_or_default()).context("the seal is wrong")?;
        let state = DeviceState {
            identity_key: self.endpoint.identity_pair(),
            noise_key: self.noise.clone(),
            adv_secret_key: self.secret,
        };
        let (mut signed, key_index) = PairUtils::do_pair_crypto(&state, &sealed)?;
        if self.forges {
            // The device's signature comes last.
            *signed.last_mut().context("nothing signed")? ^= 1;
        }
        let device = node.get_optional_child("device").context("no device")?;
        self.jid = device.attrs.get("jid").and_then(|jid| jid.to_jid());
        let id = success.attrs.get("id").context("no id")?.to_string();
        self.send(&PairUtils::build_pair_success_response(&id, signed.clone(), key_index)).await?;
        self.identity = Some(signed);
        Ok(())
    }

    fn login_payload(&self) -> anyhow::Result<wa::ClientPayload> {
        let jid = self.jid.as_ref().context("not linked")?;
        Ok(wa::ClientPayload {
            username: Some(jid.user.parse()?),
            device: Some(u32::from(jid.device)),
            passive: Some(true),
            pull: Some(true),
            ..Default::default()
        })
    }

    /// Logs in as a new client does (XX). Returns `<success>`.
    pub async fn login(&mut self) -> anyhow::Result<Node> {
        let first = self.try_login().await?;
        ensure!(first.tag == "success", "login answered with {first:?}");
        self.receive_tag("ib").await.context("no edge routing")?;
        Ok(first)
    }

    /// Logs in; returns the first stanza, whatever it is.
    pub async fn try_login(&mut self) -> anyhow::Result<Node> {
        let payload = self.login_payload()?;
        self.connect_xx(&payload).await?;
        self.receive().await
    }

    /// Logs in with the cached static key of the server; false when the server answers with another one.
    pub async fn login_ik(&mut self) -> anyhow::Result<bool> {
        let known = self.server_static.context("no handshake so far")?;
        let payload = self.login_payload()?.encode_to_vec();
        self.link = connect_short(&self.url, known, &self.noise, payload).await?;
        if self.link.is_none() {
            return Ok(false);
        }
        let success = self.receive().await?;
        ensure!(success.tag == "success", "login answered with {success:?}");
        self.receive_tag("ib").await.context("no edge routing")?;
        Ok(true)
    }

    /// Asks for what waits; returns it, up to the marker that it was all. Nothing is acknowledged yet.
    pub async fn activate(&mut self) -> anyhow::Result<Vec<Incoming>> {
        self.request("set", "passive", NodeBuilder::new("active").build()).await?;
        let mut waiting = Vec::new();
        loop {
            let stanza = self.receive().await?;
            match stanza.tag.as_ref() {
                "message" => waiting.push(self.open(stanza)?),
                "ib" if stanza.get_optional_child("offline").is_some() => return Ok(waiting),
                _ => {}
            }
        }
    }

    pub async fn upload(&mut self, count: usize) -> anyhow::Result<()> {
        let keys: Vec<Node> = (0..count).map(|_| key_node(self.endpoint.new_pre_key(&mut self.rng))).collect();
        let signed = self.endpoint.signed_key().clone();
        let children = [
            leaf("registration", self.endpoint.registration().to_be_bytes()),
            leaf("type", [5]),
            leaf("identity", self.endpoint.identity()),
            NodeBuilder::new("list").children(keys).build(),
            skey_node(&signed),
        ];
        self.request_all("set", "encrypt", children).await?;
        Ok(())
    }

    /// Replaces the signed pre-key, here and at the server.
    pub async fn rotate(&mut self) -> anyhow::Result<()> {
        let skey = skey_node(self.endpoint.rotate_signed_key(&mut self.rng));
        let rotate = NodeBuilder::new("rotate").children([skey]).build();
        self.request("set", "encrypt", rotate).await.map(drop)
    }

    /// The next message, opened; everything else is skipped.
    pub async fn message(&mut self) -> anyhow::Result<Incoming> {
        let stanza = self.receive_tag("message").await?;
        self.open(stanza)
    }

    fn open(&mut self, stanza: Node) -> anyhow::Result<Incoming> {
        let from = stanza.attrs.get("from").and_then(|v| v.to_jid()).context("no from")?;
        let enc = stanza.get_optional_child("enc").context("no enc")?;
        let kind = enc.attrs.get("type").context("no enc type")?.to_string();
        let sealed = parse(&kind, &bytes(enc).context("empty enc")?)?;
        // One session a peer, by its phone number, however it is addressed.
        let peer = stanza.attrs.get("sender_pn").and_then(|v| v.to_jid()).unwrap_or_else(|| from.clone());
        let message = match self.endpoint.decrypt(&address(&peer), &sealed, &mut self.rng) {
            Ok(plain) => Some(wacore::messages::unwrap_device_sent(decode_plaintext(&plain, 2)?)),
            // A message that comes again: it is the stanza that counts.
            Err(wacore_libsignal::protocol::SignalProtocolError::DuplicatedMessage(..)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Incoming {
            id: stanza.attrs.get("id").context("no id")?.to_string(),
            from,
            offline: stanza.attrs.contains_key("offline"),
            text: message.as_ref().and_then(|m| m.conversation.clone()),
            message,
            stanza,
        })
    }

    /// Opens a message of a group: learns the sender's key, then reads what is under it.
    pub fn open_in_group(&mut self, stanza: &Node) -> anyhow::Result<wa::Message> {
        let named = stanza.attrs.get("participant").and_then(|v| v.to_jid()).context("no participant")?;
        let peer = stanza.attrs.get("participant_pn").and_then(|v| v.to_jid()).unwrap_or(named);
        let group = stanza.attrs.get("from").context("no group")?.to_string();
        let mut said = None;
        for enc in stanza.get_children_by_tag("enc") {
            let kind = enc.attrs.get("type").context("no enc type")?.to_string();
            let sealed = bytes(enc).context("empty enc")?;
            let plain = if kind == "skmsg" {
                self.endpoint.group_decrypt(&group, &address(&peer), &sealed)?
            } else {
                self.endpoint.decrypt(&address(&peer), &parse(&kind, &sealed)?, &mut self.rng)?
            };
            let message = decode_plaintext(&plain, 2)?;
            if let Some(key) = message.sender_key_distribution_message.as_option() {
                let key = key.axolotl_sender_key_distribution_message.as_deref().context("an empty key")?;
                self.endpoint.learn_group_key(&group, &address(&peer), key)?;
            }
            said = Some(message);
        }
        said.context("no ciphertext")
    }

    /// Acknowledges a message by its delivery receipt.
    pub async fn receipt(&mut self, message: &Incoming) -> anyhow::Result<()> {
        let receipt = NodeBuilder::new("receipt").attr("to", &message.from).attr("id", message.id.as_str());
        self.send(&receipt.build()).await
    }

    /// Sends a text to one device under a given id, as it encrypts it now. Returns the ciphertext.
    pub async fn send_text(&mut self, to: &Jid, id: &str, text: &str) -> anyhow::Result<Sealed> {
        let sealed = self.seal(to, text).await?;
        self.send_sealed(to, id, &sealed).await?;
        Ok(sealed)
    }

    pub async fn seal(&mut self, to: &Jid, text: &str) -> anyhow::Result<Sealed> {
        let conversation = Some(text.to_owned());
        self.seal_message(to, &wa::Message { conversation, ..Default::default() }).await
    }

    pub async fn seal_message(&mut self, to: &Jid, message: &wa::Message) -> anyhow::Result<Sealed> {
        if !self.endpoint.has_session(&address(to)) {
            let bundle = self.fetch_bundle(to).await?;
            self.endpoint.start_session(&address(to), &bundle, &mut self.rng)?;
        }
        Ok(self.endpoint.encrypt(&address(to), &MessageUtils::encode_and_pad(message))?)
    }

    pub async fn send_sealed(&mut self, to: &Jid, id: &str, sealed: &Sealed) -> anyhow::Result<()> {
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind).bytes(sealed.bytes.clone()).build();
        let entry = NodeBuilder::new("to").attr("jid", to).children([enc]).build();
        let participants = NodeBuilder::new("participants").children([entry]).build();
        let identity = leaf("device-identity", self.identity.clone().context("not linked")?);
        let stanza = NodeBuilder::new("message")
            .attr("to", to)
            .attr("id", id)
            .attr("type", "text")
            .children([participants, identity])
            .build();
        self.send(&stanza).await
    }

    pub async fn fetch_bundle(&mut self, of: &Jid) -> anyhow::Result<Bundle> {
        let user = NodeBuilder::new("user").attr("jid", of).build();
        let answer = self.request("get", "encrypt", NodeBuilder::new("key").children([user]).build()).await?;
        let list = answer.get_optional_child("list").context("no list")?;
        let user = list.get_optional_child("user").context("no user")?;
        let uint = |b: Vec<u8>| b.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
        let field = |node: &Node, tag: &str| {
            node.get_optional_child(tag).and_then(bytes).ok_or_else(|| anyhow!("bundle without {tag}"))
        };
        let array = |node: &Node, tag: &str| -> anyhow::Result<[u8; 32]> {
            field(node, tag)?.try_into().map_err(|_| anyhow!("{tag} is not 32 bytes"))
        };
        let skey = user.get_optional_child("skey").context("bundle without skey")?;
        let one_time = match user.get_optional_child("key") {
            Some(key) => Some((uint(field(key, "id")?), array(key, "value")?)),
            None => None,
        };
        Ok(Bundle {
            registration: uint(field(user, "registration")?),
            identity: array(user, "identity")?,
            signed: SignedKey {
                id: uint(field(skey, "id")?),
                public: array(skey, "value")?,
                signature: field(skey, "signature")?,
            },
            one_time,
            device_identity: user.get_optional_child("device-identity").and_then(bytes),
        })
    }

    /// A request with one child; returns the result.
    pub async fn request(&mut self, kind: &str, xmlns: &str, child: Node) -> anyhow::Result<Node> {
        self.request_all(kind, xmlns, [child]).await
    }

    /// A request to a group or to `@g.us`; returns the answer, whatever it is.
    pub async fn ask_group(&mut self, to: Jid, kind: &str, child: Node) -> anyhow::Result<Node> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let iq = NodeBuilder::new("iq")
            .attr("id", id.as_str())
            .attr("type", kind)
            .attr("xmlns", "w:g2")
            .attr("to", to)
            .children([child])
            .build();
        self.send(&iq).await?;
        loop {
            let answer = self.receive_tag("iq").await?;
            if answer.attrs.get("id").is_some_and(|v| v == id.as_str()) {
                return Ok(answer);
            }
        }
    }

    async fn request_all(
        &mut self,
        kind: &str,
        xmlns: &str,
        children: impl IntoIterator<Item = Node>,
    ) -> anyhow::Result<Node> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let iq = NodeBuilder::new("iq")
            .attr("id", id.as_str())
            .attr("type", kind)
            .attr("xmlns", xmlns)
            .attr("to", Jid::new("", Server::Pn))
            .children(children)
            .build();
        self.send(&iq).await?;
        loop {
            let answer = self.receive_tag("iq").await?;
            if answer.attrs.get("id").is_some_and(|v| v == id.as_str()) {
                ensure!(answer.attrs.get("type").is_some_and(|t| t == "result"), "refused: {answer:?}");
                return Ok(answer);
            }
        }
    }

    pub async fn ping(&mut self) -> anyhow::Result<()> {
        self.request("get", "w:p", NodeBuilder::new("ping").build()).await.map(drop)
    }

    pub async fn send(&mut self, stanza: &Node) -> anyhow::Result<()> {
        self.link.as_mut().context("not connected")?.send(stanza).await
    }

    pub async fn receive(&mut self) -> anyhow::Result<Node> {
        let link = self.link.as_mut().context("not connected")?;
        timeout(PATIENCE, link.receive()).await.context("no stanza in time")?
    }

    /// Whether nothing arrives for so long.
    pub async fn hears_nothing(&mut self, time: Duration) -> bool {
        match &mut self.link {
            Some(link) => timeout(time, link.receive()).await.is_err(),
            None => true,
        }
    }

    /// The next stanza with this tag; others are skipped.
    pub async fn receive_tag(&mut self, tag: &str) -> anyhow::Result<Node> {
        loop {
            let stanza = self.receive().await?;
            if stanza.tag == tag {
                return Ok(stanza);
            }
        }
    }

    /// Drops the socket.
    pub fn disconnect(&mut self) {
        self.link = None;
    }

    async fn connect_xx(&mut self, payload: &wa::ClientPayload) -> anyhow::Result<()> {
        let payload = payload.encode_to_vec();
        let full = Full::connect(&self.url, &self.root, &self.noise, &payload, &mut self.rng).await?;
        self.server_static = Some(full.server_static);
        self.chain = Some(full.chain);
        self.link = Some(full.link);
        Ok(())
    }
}

fn address(jid: &Jid) -> ProtocolAddress {
    ProtocolAddress::new(&jid.user, DeviceId::from(u32::from(jid.device)))
}

fn reply_to(request: &Node, child: Option<Node>) -> Node {
    let id = request.attrs.get("id").cloned().unwrap_or_default();
    let reply = NodeBuilder::new("iq").attr("to", Jid::new("", Server::Pn)).attr("id", id).attr("type", "result");
    reply.children(child).build()
}

fn key_node((id, public): (u32, [u8; 32])) -> Node {
    NodeBuilder::new("key").children([leaf("id", &id.to_be_bytes()[1..]), leaf("value", public)]).build()
}

pub fn skey_node(key: &SignedKey) -> Node {
    NodeBuilder::new("skey")
        .children([
            leaf("id", &key.id.to_be_bytes()[1..]),
            leaf("value", key.public),
            leaf("signature", key.signature.clone()),
        ])
        .build()
}

fn leaf(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

pub fn bytes(node: &Node) -> Option<Vec<u8>> {
    match node.content.as_ref()? {
        NodeContent::Bytes(bytes) => Some(bytes.clone()),
        NodeContent::String(text) => Some(text.as_bytes().to_vec()),
        NodeContent::Nodes(_) => None,
    }
}
