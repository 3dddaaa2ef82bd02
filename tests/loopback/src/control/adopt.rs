//! `POST /phones/{number}/adopt`: a phone has a device that was linked elsewhere.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::{Body, ControlResult, Failure};
use crate::adoption::AdoptedDevice;
use crate::network::{DeviceInfo, Network};

/// A device that was linked elsewhere. Bytes in base64.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adopted {
    id: u16,
    noise_key: String,
    identity: String,
    registration: u32,
    signed_pre_key: NumberedKey,
    signed_pre_key_signature: String,
    #[serde(default)]
    pre_keys: Vec<NumberedKey>,
    details: String,
    account_key: String,
    account_signature: String,
    device_signature: String,
    /// The counters that it has sent: lower ones are used.
    #[serde(default)]
    sent: Vec<SentCounter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberedKey {
    id: u32,
    public: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentCounter {
    to: String,
    ratchet: String,
    next: u32,
}

pub(super) async fn adopt(
    State(network): State<Network>,
    Path(number): Path<String>,
    Body(device): Body<Adopted>,
) -> ControlResult<Vec<DeviceInfo>> {
    let key = |key: &NumberedKey| Ok::<_, Failure>((key.id, key_of(&key.public)?));
    let (id, sent) = (device.id, device.sent);
    let sent = sent.into_iter().map(|sent| Ok((sent.to, key_of(&sent.ratchet)?, sent.next)));
    let sent = sent.collect::<Result<Vec<_>, Failure>>()?;
    let adopted = AdoptedDevice {
        id,
        noise_key: key_of(&device.noise_key)?,
        identity: key_of(&device.identity)?,
        registration: device.registration,
        signed_pre_key: key(&device.signed_pre_key)?,
        signed_pre_key_signature: bytes_of(&device.signed_pre_key_signature)?,
        pre_keys: device.pre_keys.iter().map(key).collect::<Result<_, _>>()?,
        details: bytes_of(&device.details)?,
        account_key: key_of(&device.account_key)?,
        account_signature: bytes_of(&device.account_signature)?,
        device_signature: bytes_of(&device.device_signature)?,
    };
    network.adopt(&number, adopted).await?;
    for (to, ratchet, next) in sent {
        network.has_sent(&number, id, &to, ratchet, next).await?;
    }
    Ok(Json(network.devices(&number).await?))
}

fn bytes_of(text: &str) -> Result<Vec<u8>, Failure> {
    BASE64_STANDARD.decode(text).map_err(|error| Failure(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

fn key_of(text: &str) -> Result<[u8; 32], Failure> {
    let wrong = |_| Failure(StatusCode::UNPROCESSABLE_ENTITY, "a key has 32 bytes".to_owned());
    bytes_of(text)?.try_into().map_err(wrong)
}
