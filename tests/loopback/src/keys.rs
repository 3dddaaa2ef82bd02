//! The keys a linked device uploads, and what the server makes of them: bundles, counts, the digest.
//!
//! Only the signed pre-key's signature is checked here; whoever starts a session checks the bundle again.

use std::collections::BTreeMap;

use wacore::prekeys::compute_key_bundle_digest;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::PublicKey;

use crate::signal::{Bundle, SignedKey};
use crate::stanza::{child, child_array, child_content, child_uint, leaf};

/// At this many one-time keys left, the device is told.
pub(crate) const LOW_WATER: usize = 10;

pub(crate) struct UploadedKeys {
    pub(crate) registration: u32,
    pub(crate) identity: [u8; 32],
    pub(crate) signed: SignedKey,
    pub(crate) device_identity: Vec<u8>,
    one_time: BTreeMap<u32, [u8; 32]>,
}

impl UploadedKeys {
    pub(crate) fn new(registration: u32, identity: [u8; 32], signed: SignedKey, device_identity: Vec<u8>) -> Self {
        Self { registration, identity, signed, device_identity, one_time: BTreeMap::new() }
    }

    /// Keys that were uploaded elsewhere.
    pub(crate) fn adopt(&mut self, keys: impl IntoIterator<Item = (u32, [u8; 32])>) {
        self.one_time.extend(keys);
    }

    pub(crate) fn count(&self) -> usize {
        self.one_time.len()
    }

    /// The highest id that is left.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.one_time.keys().next_back().copied()
    }

    /// `<iq xmlns="encrypt" type="set">` with a `<list>` of keys and an `<skey>`. The identity must be the paired one.
    pub(crate) fn upload(&mut self, request: &Node) -> Result<(), &'static str> {
        if child_array(request, "identity") != Some(self.identity) {
            return Err("identity differs from the paired one");
        }
        let signed = read_signed_key(child(request, "skey").ok_or("no skey")?, &self.identity)?;
        let list = child(request, "list").ok_or("no list")?;
        for key in list.get_children_by_tag("key") {
            let (id, public) = read_key(key).ok_or("malformed key")?;
            self.one_time.insert(id, public);
        }
        self.registration = child_uint(request, "registration").ok_or("no registration")?;
        self.signed = signed;
        Ok(())
    }

    /// `<rotate><skey>`: a new signed pre-key; bundles carry it from now on.
    pub(crate) fn rotate(&mut self, rotate: &Node) -> Result<(), &'static str> {
        self.signed = read_signed_key(child(rotate, "skey").ok_or("no skey")?, &self.identity)?;
        Ok(())
    }

    /// A bundle, with a one-time key while there are any; each is handed out once.
    pub(crate) fn take_bundle(&mut self) -> Bundle {
        Bundle {
            registration: self.registration,
            identity: self.identity,
            signed: self.signed.clone(),
            one_time: self.one_time.pop_first(),
            device_identity: Some(self.device_identity.clone()),
        }
    }

    /// `<digest>`: what the device compares with its own keys.
    pub(crate) fn digest(&self) -> Node {
        let publics: Vec<&[u8]> = self.one_time.values().map(<[u8; 32]>::as_slice).collect();
        let hash = compute_key_bundle_digest(&self.identity, &self.signed.public, &self.signed.signature, &publics);
        let ids = self.one_time.keys().map(|id| leaf("id", three_bytes(*id)));
        NodeBuilder::new("digest")
            .children([
                leaf("registration", self.registration.to_be_bytes()),
                leaf("type", [5]),
                leaf("identity", self.identity),
                signed_key_node(&self.signed),
                NodeBuilder::new("list").children(ids).build(),
                leaf("hash", hash),
            ])
            .build()
    }
}

/// Reads `<key><id/><value/></key>`.
pub(crate) fn read_key(key: &Node) -> Option<(u32, [u8; 32])> {
    Some((child_uint(key, "id")?, child_array(key, "value")?))
}

/// Reads an `<skey>`, verifying its signature.
pub(crate) fn read_signed_key(skey: &Node, identity: &[u8; 32]) -> Result<SignedKey, &'static str> {
    let key = SignedKey {
        id: child_uint(skey, "id").ok_or("skey without id")?,
        public: child_array(skey, "value").ok_or("skey without value")?,
        signature: child_content(skey, "signature").ok_or("skey without signature")?.to_vec(),
    };
    if !verify_signed_key(identity, &key) {
        return Err("the signed pre-key's signature does not verify");
    }
    Ok(key)
}

/// The identity signs the key in Signal's form, with its type byte.
pub(crate) fn verify_signed_key(identity: &[u8; 32], key: &SignedKey) -> bool {
    let (Ok(identity), Ok(public)) =
        (PublicKey::from_djb_public_key_bytes(identity), PublicKey::from_djb_public_key_bytes(&key.public))
    else {
        return false;
    };
    identity.verify_signature(&public.serialize(), &key.signature)
}

/// `<user>` of a key query's answer. Echoes the JID as it was asked for.
pub(crate) fn bundle_node(asked: &Node, bundle: &Bundle) -> Node {
    let mut children = vec![
        leaf("registration", bundle.registration.to_be_bytes()),
        leaf("type", [5]),
        leaf("identity", bundle.identity),
        signed_key_node(&bundle.signed),
    ];
    children.extend(bundle.one_time.map(|(id, public)| one_time_node(id, public)));
    children.extend(bundle.device_identity.as_ref().map(|bytes| leaf("device-identity", bytes.clone())));
    let mut user = NodeBuilder::new("user");
    if let Some(jid) = asked.attrs.get("jid") {
        user = user.attr("jid", jid.clone());
    }
    user.children(children).build()
}

/// `<keys>` of a retry receipt.
pub(crate) fn retry_keys_node(bundle: &Bundle) -> Node {
    let mut children = vec![leaf("type", [5]), leaf("identity", bundle.identity)];
    children.extend(bundle.one_time.map(|(id, public)| one_time_node(id, public)));
    children.push(signed_key_node(&bundle.signed));
    NodeBuilder::new("keys").children(children).build()
}

/// Reads the `<keys>` of a device's retry receipt.
pub(crate) fn read_retry_keys(receipt: &Node) -> Option<Bundle> {
    let keys = child(receipt, "keys")?;
    let identity = child_array(keys, "identity")?;
    Some(Bundle {
        registration: child_uint(receipt, "registration")?,
        identity,
        signed: read_signed_key(child(keys, "skey")?, &identity).ok()?,
        one_time: child(keys, "key").and_then(read_key),
        device_identity: child_content(keys, "device-identity").map(<[u8]>::to_vec),
    })
}

fn one_time_node(id: u32, public: [u8; 32]) -> Node {
    NodeBuilder::new("key").children([leaf("id", three_bytes(id)), leaf("value", public)]).build()
}

fn signed_key_node(key: &SignedKey) -> Node {
    NodeBuilder::new("skey")
        .children([
            leaf("id", three_bytes(key.id)),
            leaf("value", key.public),
            leaf("signature", key.signature.clone()),
        ])
        .build()
}

fn three_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

/// Tells a device that its one-time keys run out.
pub(crate) fn low_notification(id: &str, count: usize, time: u64) -> Node {
    NodeBuilder::new("notification")
        .attr("from", crate::stanza::server_jid())
        .attr("type", "encrypt")
        .attr("id", id)
        .attr("t", time)
        .children([NodeBuilder::new("count").attr("value", count).build()])
        .build()
}
