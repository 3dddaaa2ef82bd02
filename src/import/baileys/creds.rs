//! `creds.json`: the device.

use std::collections::HashSet;

use crate::import::{
    AccountProof, AddressServer, DeviceCopy, EntryError, ImportError, KeyHalves, KeyMaterial, SignalAddress,
    json::{self, JsonNode},
    key,
};

/// The longest names and routing hints that are taken.
const NAME: usize = 400;
const ROUTING: usize = 4096;

/// Reads the device. Its halves and signatures are checked later, all at once.
pub fn device(creds: &JsonNode) -> Result<DeviceCopy, ImportError> {
    // First the question that users ask: was it ever paired? Fresh credentials are whole otherwise.
    if has_field_twice(creds) {
        return Err(ImportError::Credentials(EntryError::FieldTwice));
    }
    let me = creds.get("me").and_then(|me| me.get("id")).and_then(JsonNode::text).filter(|id| !id.is_empty());
    let keys = read_keys(creds).map_err(ImportError::Credentials)?;
    let me = me.ok_or(ImportError::NotPaired("me.id"))?;
    // Baileys writes the number alone while it waits for a typed code. Device 0 is the phone itself, whose place nobody can take.
    if SignalAddress::from_jid(me).is_ok_and(|me| me.device == 0) {
        return Err(ImportError::NotPaired("the device's number in me.id"));
    }
    let account = creds.get("account").filter(|account| account.fields().is_some_and(|fields| !fields.is_empty()));
    let account = account.ok_or(ImportError::NotPaired("account"))?;
    rest(creds, me, account, keys).map_err(ImportError::Credentials)
}

/// Whether an object within has one name twice. Readers differ in which of the two counts, so nobody knows whose credentials these are.
fn has_field_twice(node: &JsonNode) -> bool {
    match node {
        JsonNode::Map(fields) => {
            let mut names = HashSet::with_capacity(fields.len());
            fields.iter().any(|(name, node)| !names.insert(name.as_str()) || has_field_twice(node))
        }
        JsonNode::List(items) => items.iter().any(has_field_twice),
        _ => false,
    }
}

struct DeviceKeys {
    noise_key: KeyHalves,
    identity_key: KeyHalves,
    signed_pre_key: KeyHalves,
    signed_pre_key_id: u32,
    signed_pre_key_signature: [u8; 64],
    registration_id: u32,
}

fn read_keys(creds: &JsonNode) -> Result<DeviceKeys, EntryError> {
    let signed = creds.get("signedPreKey").ok_or(EntryError::Missing("signedPreKey"))?;
    let signature = signed.get("signature").ok_or(EntryError::Missing("signedPreKey.signature"))?;
    let signature = json::bytes(signature).and_then(|signature| signature.try_into().ok());
    Ok(DeviceKeys {
        noise_key: pair(creds.get("noiseKey"), "noiseKey")?,
        identity_key: pair(creds.get("signedIdentityKey"), "signedIdentityKey")?,
        signed_pre_key: pair(signed.get("keyPair"), "signedPreKey.keyPair")?,
        signed_pre_key_id: whole(signed, "keyId")?.ok_or(EntryError::Missing("keyId"))?,
        signed_pre_key_signature: signature.ok_or(EntryError::Invalid("signedPreKey.signature"))?,
        registration_id: whole(creds, "registrationId")?.ok_or(EntryError::Missing("registrationId"))?,
    })
}

fn rest(creds: &JsonNode, me: &str, account: &JsonNode, keys: DeviceKeys) -> Result<DeviceCopy, EntryError> {
    let me = SignalAddress::from_jid(me).map_err(|_| EntryError::Invalid("me.id"))?;
    if me.server != AddressServer::Phone {
        return Err(EntryError::Invalid("me.id"));
    }
    let adv_secret =
        creds.get("advSecretKey").and_then(json::bytes).and_then(|secret| <[u8; 32]>::try_from(secret).ok());
    let next_pre_key_id = whole(creds, "nextPreKeyId")?.unwrap_or(1);
    let routing_info = creds.get("routingInfo").and_then(json::bytes);
    Ok(DeviceCopy {
        noise_key: keys.noise_key,
        identity_key: keys.identity_key,
        signed_pre_key: keys.signed_pre_key,
        signed_pre_key_id: keys.signed_pre_key_id,
        signed_pre_key_signature: keys.signed_pre_key_signature,
        registration_id: keys.registration_id,
        adv_secret: adv_secret.map(KeyMaterial::new),
        account: proof(account)?,
        lid: own_lid(creds, me.device),
        me,
        push_name: name(creds.get("me").and_then(|me| me.get("name"))),
        platform: name(creds.get("platform")),
        next_pre_key_id,
        first_unuploaded_pre_key_id: whole(creds, "firstUnuploadedPreKeyId")?.unwrap_or(next_pre_key_id),
        routing_info: routing_info.filter(|info| !info.is_empty() && info.len() <= ROUTING),
        nct_salt: None,
        lid_migrated: false,
    })
}

/// The LID of the account; the device is the same under both names. Some importers wrote it with the server of phone numbers.
fn own_lid(creds: &JsonNode, device: u16) -> Option<SignalAddress> {
    let lid = creds.get("me")?.get("lid")?.text()?;
    let lid = SignalAddress::from_jid(lid).ok()?;
    SignalAddress::new(&lid.user, AddressServer::Lid, device).ok()
}

fn proof(account: &JsonNode) -> Result<AccountProof, EntryError> {
    let field = |name| {
        account.get(name).ok_or(EntryError::Missing(name)).and_then(|node| {
            json::bytes(node).filter(|bytes| !bytes.is_empty() && bytes.len() <= 1024).ok_or(EntryError::Invalid(name))
        })
    };
    Ok(AccountProof {
        details: field("details")?,
        account_key: key::public_key(&field("accountSignatureKey")?)?,
        account_signature: field("accountSignature")?,
        device_signature: field("deviceSignature")?,
    })
}

/// A key pair as Baileys writes it.
pub fn pair(node: Option<&JsonNode>, name: &'static str) -> Result<KeyHalves, EntryError> {
    let node = node.ok_or(EntryError::Missing(name))?;
    let half = |half| node.get(half).and_then(json::bytes).ok_or(EntryError::Invalid(name));
    KeyHalves::new(&half("public")?, &half("private")?).map_err(|_| EntryError::Invalid(name))
}

fn whole(node: &JsonNode, name: &'static str) -> Result<Option<u32>, EntryError> {
    let value = node.get(name);
    value
        .map(|value| json::integer(value).and_then(|value| u32::try_from(value).ok()).ok_or(EntryError::Invalid(name)))
        .transpose()
}

fn name(node: Option<&JsonNode>) -> Option<String> {
    let text = node?.text()?;
    (!text.is_empty() && text.len() <= NAME).then(|| text.to_owned())
}
