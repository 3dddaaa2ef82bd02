//! Credentials of devices that are all different, as Baileys writes them: one fixture is one device, and a fleet has many.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand_010::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use whatsapp_rust::wacore::libsignal::protocol::KeyPair;

/// The `creds.json` of a device of its own: whole, its halves and signatures right. The same seed is the same device.
pub fn creds(seed: u64, number: &str) -> Value {
    let random = &mut StdRng::seed_from_u64(seed);
    let [noise, identity, signed, phone] = std::array::from_fn(|_| KeyPair::generate(random));
    let mut secret = [0; 32];
    random.fill_bytes(&mut secret);
    let public = |pair: &KeyPair| pair.public_key.public_key_bytes().to_vec();
    let buffer = |bytes: &[u8]| json!({ "type": "Buffer", "data": STANDARD.encode(bytes) });
    let halves = |pair: &KeyPair| json!({ "private": buffer(&pair.private_key.serialize()[..]), "public": buffer(&public(pair)) });
    let mut sign = |pair: &KeyPair, parts: &[&[u8]]| {
        pair.private_key.calculate_signature(&parts.concat(), random).expect("a generated key signs").to_vec()
    };
    let details: &[u8] = &[8, 242, 196, 183, 34, 16, 178, 177, 175, 216, 6, 24, 1, 32, 0, 40, 0];
    let (own, account) = (public(&identity), public(&phone));
    let typed = [&[5], &*public(&signed)].concat();
    let signed_signature = sign(&identity, &[&typed]);
    let account_signature = sign(&phone, &[&[6, 0], details, &own]);
    let device_signature = sign(&identity, &[&[6, 1], details, &own, &account]);
    json!({
        "noiseKey": halves(&noise),
        "signedIdentityKey": halves(&identity),
        "signedPreKey": { "keyPair": halves(&signed), "signature": buffer(&signed_signature), "keyId": 1 },
        "registrationId": seed % 16_000 + 1,
        "advSecretKey": STANDARD.encode(secret),
        "nextPreKeyId": 813,
        "firstUnuploadedPreKeyId": 813,
        "account": {
            "details": STANDARD.encode(details),
            "accountSignatureKey": STANDARD.encode(&account),
            "accountSignature": STANDARD.encode(account_signature),
            "deviceSignature": STANDARD.encode(device_signature),
        },
        "me": { "id": format!("{number}:1@s.whatsapp.net"), "name": "Trattoria" },
        "platform": "android",
    })
}

/// A number that no other device of the test has.
pub fn number(at: u64) -> String {
    format!("4915{at:09}")
}
