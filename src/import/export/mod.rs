//! The way out: a folder that Baileys 7 logs in with.
//!
//! Pure: a tenant's records become a copy (`state.rs`), a copy becomes files, a caller writes them. The rule of counters is that of the
//! way in: each session skips its margin first, so that nothing is sent twice by whom the tenant belongs to next. Our own sender keys
//! stay behind here too.

mod keys;
pub(super) mod session;
mod state;

use serde_json::{Value, json};

use super::{
    AddressServer, CounterMargin, EntryKind, Finality, ImportTally, KeyHalves, TenantCopy, baileys::entry_name,
    json::encode_base64, key,
};

/// What becomes a folder.
pub struct BaileysFolder {
    /// Name and content; `creds.json` is the last, so that a folder that was not finished logs in nowhere.
    pub files: Vec<(String, Vec<u8>)>,
    pub tally: ImportTally,
}

/// Makes the folder. The tenant must have been disconnected before the copy was made.
pub fn baileys_folder(mut copy: TenantCopy, margin: CounterMargin) -> BaileysFolder {
    copy.skip_counters(Finality::Final, margin);
    file_by_lid(&mut copy);
    let mut files = Vec::new();
    let mut file =
        |name: &str, content: &Value| files.push((entry_name::file_name(name), content.to_string().into_bytes()));
    for (id, pair) in &copy.pre_keys {
        file(&format!("pre-key-{id}"), &key_pair(pair));
    }
    for (address, record) in std::mem::take(&mut copy.sessions) {
        let name = address.to_baileys();
        match session::to_node(record) {
            Ok(record) => file(&format!("session-{name}"), &record),
            Err(reason) => {
                copy.tally.withdraw(EntryKind::Session, 1);
                copy.tally.tell(EntryKind::Session, &name, &reason);
            }
        }
    }
    for (address, identity) in &copy.identities {
        file(&format!("identity-key-{}", address.to_baileys()), &buffer(&key::typed(identity)));
    }
    for ((group, sender), record) in &copy.sender_keys {
        let name = sender.to_baileys();
        let (user, device) = name.rsplit_once('.').unwrap_or((&name, "0"));
        file(&format!("sender-key-{group}::{user}::{device}"), &keys::sender_key(record));
    }
    for (lid, number) in copy.lid_mappings.iter() {
        file(&format!("lid-mapping-{number}"), &lid.into());
        file(&format!("lid-mapping-{lid}_reverse"), &number.into());
    }
    for (lid, token) in &copy.contact_tokens {
        file(&format!("tctoken-{lid}@lid"), &keys::contact_token(token));
    }
    for (id, sync_key) in &copy.sync_keys {
        file(&format!("app-state-sync-key-{}", encode_base64(id)), &keys::sync_key(sync_key));
    }
    for (user, devices) in &copy.device_lists {
        let devices: Vec<_> = devices.iter().map(u16::to_string).collect();
        file(&format!("device-list-{user}"), &devices.into());
    }
    file("creds", &creds(&copy));
    BaileysFolder { files, tally: copy.tally }
}

/// Baileys 7 looks for a session under the contact's LID, as soon as it knows it. Where it is not known yet, Baileys moves the
/// session itself when it learns it, if the contact's devices are listed.
pub(super) fn file_by_lid(copy: &mut TenantCopy) {
    for (address, record) in std::mem::take(&mut copy.sessions) {
        if address.server != AddressServer::Phone {
            copy.sessions.insert(address, record);
            continue;
        }
        match copy.lid_mappings.lid_of(&address.user) {
            Some(lid) => {
                let by_lid = address.renamed(lid, AddressServer::Lid);
                if let Some(identity) = copy.identities.remove(&address) {
                    copy.identities.entry(by_lid.clone()).or_insert(identity);
                }
                copy.sessions.entry(by_lid).or_insert(record);
            }
            None => {
                let devices = copy.device_lists.entry(address.user.clone()).or_default();
                if !devices.contains(&address.device) {
                    devices.push(address.device);
                }
                copy.sessions.insert(address, record);
            }
        }
    }
}

fn creds(copy: &TenantCopy) -> Value {
    let device = &copy.device;
    let account_key = buffer(&key::typed(&device.account.account_key));
    let own_name = device.lid.as_ref().unwrap_or(&device.me).to_jid();
    let mut me = json!({ "id": device.me.to_jid() });
    if let Some(lid) = &device.lid {
        me["lid"] = lid.to_jid().into();
    }
    if let Some(name) = &device.push_name {
        me["name"] = name.as_str().into();
    }
    let mut creds = json!({
        "noiseKey": key_pair(&device.noise_key),
        // Of use in a pairing only, and there it is made anew.
        "pairingEphemeralKeyPair": key_pair(&device.noise_key),
        "signedIdentityKey": key_pair(&device.identity_key),
        "signedPreKey": {
            "keyPair": key_pair(&device.signed_pre_key),
            "signature": buffer(&device.signed_pre_key_signature),
            "keyId": device.signed_pre_key_id,
        },
        "registrationId": device.registration_id,
        "advSecretKey": device.adv_secret.as_ref().map_or(String::new(), |secret| encode_base64(secret.expose())),
        "processedHistoryMessages": [],
        "nextPreKeyId": device.next_pre_key_id,
        "firstUnuploadedPreKeyId": device.first_unuploaded_pre_key_id,
        // Not the first login: no waiting for a history.
        "accountSyncCounter": 1,
        "accountSettings": { "unarchiveChats": false },
        "registered": true,
        "me": me,
        "account": {
            "details": encode_base64(&device.account.details),
            "accountSignatureKey": encode_base64(&device.account.account_key),
            "accountSignature": encode_base64(&device.account.account_signature),
            "deviceSignature": encode_base64(&device.account.device_signature),
        },
        "signalIdentities": [{ "identifier": { "name": own_name, "deviceId": 0 }, "identifierKey": account_key }],
    });
    if let Some(platform) = &device.platform {
        creds["platform"] = platform.as_str().into();
    }
    if let Some(id) = copy.sync_keys.keys().next_back() {
        creds["myAppStateKeyId"] = encode_base64(id).into();
    }
    if let Some(routing) = &device.routing_info {
        creds["routingInfo"] = buffer(routing);
    }
    creds
}

fn key_pair(pair: &KeyHalves) -> Value {
    json!({ "private": buffer(pair.private.expose()), "public": buffer(&pair.public) })
}

/// As Baileys' replacer writes bytes.
fn buffer(bytes: &[u8]) -> Value {
    json!({ "type": "Buffer", "data": encode_base64(bytes) })
}
