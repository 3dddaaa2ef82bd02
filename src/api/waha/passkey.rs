//! Pairing with an account that asks for a passkey: what the passkey must sign, what it signed, the code, and that the code is right.
//! The signing itself is a browser's, on web.whatsapp.com: passkeys are used on their own site only.

use std::ops::RangeInclusive;

use axum::extract::State;
use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        App,
        answer::{Created, Fresh},
        auth::{Controlling, For},
        input::Body,
        problem::{FieldError, Problem},
    },
    Success,
};
use crate::{
    session::{Assertion, Challenge, PasskeyStepError, Session},
    tenant::TenantId,
};

/// `GET /api/{session}/auth/passkey/challenge`
pub async fn challenge(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Fresh<Challenge>, Problem> {
    Ok(Fresh(session(&app, &tenant).await?.passkey_challenge()?))
}

/// `POST /api/{session}/auth/passkey`
pub async fn answer(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
    Body(signed): Body<Signed>,
) -> Result<Created<Success>, Problem> {
    let assertion = signed.read()?;
    session(&app, &tenant).await?.answer_passkey(assertion).await?;
    Ok(Created(Success::YES))
}

#[derive(Serialize, JsonSchema)]
pub struct PasskeyConfirmation {
    /// As the phone shows it: `XXXX-XXXX`.
    code: String,
}

/// `GET /api/{session}/auth/passkey/confirmation`
pub async fn code(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Fresh<PasskeyConfirmation>, Problem> {
    let code = session(&app, &tenant).await?.passkey_code()?;
    Ok(Fresh(PasskeyConfirmation { code: code.expose().to_owned() }))
}

/// `POST /api/{session}/auth/passkey/confirm`
pub async fn confirm(
    State(app): State<App>,
    For { tenant, .. }: For<Controlling>,
) -> Result<Created<Success>, Problem> {
    session(&app, &tenant).await?.confirm_passkey().await?;
    Ok(Created(Success::YES))
}

/// One that is not open in this process has no ceremony.
async fn session(app: &App, tenant: &TenantId) -> Result<Session, Problem> {
    match app.fleet.serving(tenant).await? {
        Some(session) => Ok(session),
        None if app.fleet.record(tenant).await?.is_some() => Err(PasskeyStepError::NotAsked.into()),
        None => Err(Problem::unknown_tenant()),
    }
}

/// The result of `navigator.credentials.get`, by its `toJSON`. WhatsApp needs nothing else of it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeyAssertion", example = example())]
pub struct Signed {
    /// The passkey's name, in base64url as all bytes here.
    #[schemars(required, length(min = 1, max = 1368))]
    id: Option<String>,
    /// The same.
    #[schemars(required, length(min = 1, max = 1368))]
    raw_id: Option<String>,
    /// `public-key`
    #[schemars(required, extend("const" = "public-key"))]
    r#type: Option<String>,
    #[serde(default, deserialize_with = "super::super::input::object")]
    #[schemars(required, with = "SignedResponse")]
    response: Option<SignedResponse>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeyAssertionResponse")]
struct SignedResponse {
    /// The text that was signed: challenge and site.
    #[serde(rename = "clientDataJSON")]
    #[schemars(required, length(min = 3, max = 10924))]
    client_data_json: Option<String>,
    /// By whom, and whether the user was verified.
    #[schemars(required, length(min = 50, max = 5464))]
    authenticator_data: Option<String>,
    #[schemars(required, length(min = 11, max = 1368))]
    signature: Option<String>,
    /// The owner of the passkey, as far as the authenticator says.
    #[schemars(length(min = 2, max = 88))]
    user_handle: Option<String>,
}

fn example() -> serde_json::Value {
    serde_json::json!({
        "id": "YSBwYXNza2V5",
        "rawId": "YSBwYXNza2V5",
        "type": "public-key",
        "response": {
            "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
            "authenticatorData": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFAAAAAQ",
            "signature": "MEUCIQDAAAAAAAAA",
            "userHandle": null,
        },
    })
}

/// Sizes in bytes: WebAuthn's own limits, or far more than any authenticator gives.
const ID: RangeInclusive<usize> = 1..=1023;
const CLIENT_DATA: RangeInclusive<usize> = 2..=8192;
const AUTHENTICATOR_DATA: RangeInclusive<usize> = 37..=4096;
const SIGNATURE: RangeInclusive<usize> = 8..=1024;
const USER_HANDLE: RangeInclusive<usize> = 1..=64;

/// Some put padding there, some do not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Signed {
    /// All that is wrong with it, together.
    fn read(self) -> Result<Assertion, Problem> {
        let mut flaws = Vec::new();
        let mut bytes = |field, given: Option<&str>, sizes: RangeInclusive<usize>| {
            let read = match given.map(|text| BASE64URL.decode(text)) {
                Some(Ok(bytes)) if sizes.contains(&bytes.len()) => return bytes,
                Some(Ok(_)) => format!("expected {} to {} bytes", sizes.start(), sizes.end()),
                Some(Err(_)) => "expected base64url".to_owned(),
                None => "is required".to_owned(),
            };
            flaws.push(FieldError { field: std::borrow::Cow::Borrowed(field), message: read });
            Vec::new()
        };
        let response = self.response.as_ref();
        let response = |part: fn(&SignedResponse) -> &Option<String>| response.and_then(|all| part(all).as_deref());
        let credential_id = bytes("rawId", self.raw_id.as_deref(), ID);
        let id = bytes("id", self.id.as_deref(), ID);
        let client_data = bytes("response.clientDataJSON", response(|all| &all.client_data_json), CLIENT_DATA);
        let authenticator_data =
            bytes("response.authenticatorData", response(|all| &all.authenticator_data), AUTHENTICATOR_DATA);
        let signature = bytes("response.signature", response(|all| &all.signature), SIGNATURE);
        let user_handle = response(|all| &all.user_handle)
            .filter(|handle| !handle.is_empty())
            .map(|handle| bytes("response.userHandle", Some(handle), USER_HANDLE));
        let mut flaw = |field, message: &str| {
            flaws.push(FieldError { field: std::borrow::Cow::Borrowed(field), message: message.to_owned() });
        };
        if id != credential_id {
            flaw("id", "expected the same as in `rawId`");
        }
        if self.r#type.as_deref() != Some("public-key") {
            flaw("type", "expected `public-key`");
        }
        match flaws.first() {
            None => Ok(Assertion { credential_id, client_data, authenticator_data, signature, user_handle }),
            Some(first) => Err(Problem::invalid(format!("{}: {}", first.field, first.message), flaws)),
        }
    }
}
