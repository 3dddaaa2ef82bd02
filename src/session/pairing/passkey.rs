//! The passkey ceremony: WhatsApp links a device to some accounts only with a passkey of theirs.
//!
//! 1. After the scan (or the typed code) WhatsApp sends a [`Challenge`].
//! 2. A passkey signs it, in a browser on web.whatsapp.com; the [`Assertion`] goes to WhatsApp.
//! 3. Phone and device agree on a code, and their owner compares what the two show.
//! 4. The device gives the phone its keys, and the pairing ends as every other.
//!
//! Owns the ceremony, in memory only. It belongs to one connection and ends with it; a new QR code begins the next. Only a session that
//! is not paired has one, whatever WhatsApp says. Never logs challenges, assertions or codes.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tracing::warn;
use whatsapp_rust::{
    Client,
    passkey::{self, PasskeyError, UserVerification, build_webauthn_assertion_json, parse_request_options},
    types::events::PairPasskeyConfirmation,
};

use super::screen;
use crate::{
    config::Secret,
    session::{Inner, Session, SessionCommand, Status, requests::WHATSAPP_ANSWER_TIMEOUT, state::State},
};

/// WhatsApp gives ten minutes, or names a shorter time.
const CEREMONY_LIMIT: Duration = Duration::from_secs(600);

/// The largest challenge that is read: more than any has.
const MOST_BYTES: usize = 16 * 1024;

/// The site that a passkey belongs to where WhatsApp names none.
const SITE: &str = "web.whatsapp.com";

/// The challenge that a passkey must sign: WebAuthn's request options, as
/// `PublicKeyCredential.parseRequestOptionsFromJSON` takes them.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PasskeyChallenge")]
pub struct Challenge {
    /// In base64url.
    challenge: String,
    /// Milliseconds from now until it is over.
    timeout: u64,
    /// The site that the passkey must belong to.
    rp_id: String,
    /// The passkeys that will do; none: any of the account's.
    allow_credentials: Vec<Credential>,
    /// `required`, `preferred` or `discouraged`.
    user_verification: &'static str,
    /// WhatsApp's further requests to the authenticator.
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<Map<String, Value>>,
}

/// A passkey, by its name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PasskeyAllowedCredential")]
pub struct Credential {
    /// In base64url.
    id: String,
    /// `public-key`.
    r#type: String,
    /// How a browser reaches it, like `internal` and `hybrid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transports: Option<Vec<String>>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(…)")
    }
}

/// A passkey's answer, as `navigator.credentials.get` gives it.
pub struct Assertion {
    pub credential_id: Vec<u8>,
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
    pub user_handle: Option<Vec<u8>>,
}

impl Assertion {
    fn packed(&self) -> passkey::Assertion {
        passkey::Assertion {
            assertion_json: build_webauthn_assertion_json(
                &self.credential_id,
                &self.client_data,
                &self.authenticator_data,
                &self.signature,
                self.user_handle.as_deref(),
            ),
            credential_id: self.credential_id.clone(),
        }
    }
}

/// A ceremony that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceremony {
    pub step: CeremonyStep,
    pub expires_at: Timestamp,
}

/// The step that a ceremony waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CeremonyStep {
    /// A passkey, to sign this.
    Challenged(Arc<Challenge>),
    /// The phone: the passkey's answer is at WhatsApp, or on its way there.
    Signed,
    /// The owner, to compare the code.
    Coded(Secret),
    /// The phone again: the owner has compared it.
    Confirmed(Secret),
}

impl CeremonyStep {
    fn state(&self) -> State {
        match self {
            Self::Challenged(_) | Self::Signed => State::PasskeyRequired,
            Self::Coded(_) | Self::Confirmed(_) => State::PasskeyConfirmationRequired,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Challenged(_) => screen::PASSKEY_ASKED,
            Self::Signed => screen::PASSKEY_SENT,
            Self::Coded(_) => screen::CODES_SHOWN,
            Self::Confirmed(_) => screen::CODE_CONFIRMED,
        }
    }
}

/// Why a step of the ceremony failed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyStepError {
    /// There is no ceremony, or its time is over.
    #[error("WhatsApp asks for no passkey now")]
    NotAsked,
    /// There is one, and it waits for something else.
    #[error("{0}")]
    NotNow(&'static str),
    /// WhatsApp was not asked: the ceremony goes on.
    #[error("{field}: {expected}")]
    Wrong { field: &'static str, expected: &'static str },
    /// The ceremony is over.
    #[error("WhatsApp refuses: {0}")]
    WhatsApp(String),
    /// The ceremony is over.
    #[error("the connection to WhatsApp was lost, or it does not answer")]
    Lost,
}

const SENT_ALREADY: &str = "a passkey's answer was sent already: wait for the phone";
const CODED_ALREADY: &str = "WhatsApp has the passkey's answer: compare the codes";
const CONFIRMED_ALREADY: &str = "the code was confirmed already";
const NO_CODE_YET: &str = "there is no code yet: the passkey comes first";

impl Challenge {
    /// Reads what WhatsApp sends.
    fn read(json: &str) -> Result<(Self, Duration), String> {
        if json.len() > MOST_BYTES {
            return Err("the challenge is too large".into());
        }
        let read = parse_request_options(json).map_err(|error| error.to_string())?;
        let mut options: Map<String, Value> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let credentials = options.remove("allowCredentials").unwrap_or_else(|| Value::Array(Vec::new()));
        let extensions = match options.remove("extensions") {
            Some(Value::Object(extensions)) => Some(extensions),
            _ => None,
        };
        let time = read.timeout_ms.map_or(CEREMONY_LIMIT, Duration::from_millis).min(CEREMONY_LIMIT);
        let challenge = Self {
            challenge: BASE64URL.encode(&read.challenge),
            timeout: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            rp_id: read.rp_id.unwrap_or_else(|| SITE.into()),
            allow_credentials: serde_json::from_value(credentials).map_err(|error| error.to_string())?,
            user_verification: match read.user_verification {
                UserVerification::Required => "required",
                UserVerification::Preferred => "preferred",
                UserVerification::Discouraged => "discouraged",
            },
            extensions,
        };
        Ok((challenge, time))
    }

    /// Checks that the assertion is for this challenge, as far as that shows without the account's public key.
    fn check(&self, assertion: &Assertion) -> Result<(), PasskeyStepError> {
        #[derive(Deserialize)]
        struct ClientData {
            r#type: String,
            challenge: String,
        }

        const CLIENT_DATA: &str = "response.clientDataJSON";
        let wrong = |field, expected| Err(PasskeyStepError::Wrong { field, expected });
        let Ok(read) = serde_json::from_slice::<ClientData>(&assertion.client_data) else {
            return wrong(CLIENT_DATA, "expected WebAuthn's client data");
        };
        if read.r#type != "webauthn.get" {
            return wrong(CLIENT_DATA, "expected the type `webauthn.get`");
        }
        if read.challenge.trim_end_matches('=') != self.challenge {
            return wrong(CLIENT_DATA, "it is for another challenge: ask for the present one");
        }
        let id = BASE64URL.encode(&assertion.credential_id);
        let known = self.allow_credentials.iter().any(|one| one.id.trim_end_matches('=') == id);
        if !known && !self.allow_credentials.is_empty() {
            return wrong("id", "this passkey is none of those in `allowCredentials`");
        }
        if assertion.authenticator_data.get(..32) != Some(&Sha256::digest(&self.rp_id)[..]) {
            return wrong("response.authenticatorData", "it is for another site than `rpId`");
        }
        Ok(())
    }
}

impl Session {
    /// The challenge that a passkey must sign now.
    pub fn passkey_challenge(&self) -> Result<Challenge, PasskeyStepError> {
        let (step, left) = self.0.ceremony()?;
        match step {
            CeremonyStep::Challenged(challenge) => Ok(Challenge { timeout: left, ..(*challenge).clone() }),
            CeremonyStep::Signed => Err(PasskeyStepError::NotNow(SENT_ALREADY)),
            CeremonyStep::Coded(_) | CeremonyStep::Confirmed(_) => Err(PasskeyStepError::NotNow(CODED_ALREADY)),
        }
    }

    /// Sends WhatsApp what the passkey signed. If WhatsApp refuses it, the ceremony is over, and a new QR code is shown.
    pub async fn answer_passkey(&self, assertion: Assertion) -> Result<(), PasskeyStepError> {
        let session = self.0.clone();
        // In a task of its own: the caller may hang up, and the library must not stop halfway.
        let answering = self.0.tasks.spawn(async move {
            session.advance(|step| match step {
                CeremonyStep::Challenged(challenge) => challenge.check(&assertion).map(|()| CeremonyStep::Signed),
                CeremonyStep::Signed => Err(PasskeyStepError::NotNow(SENT_ALREADY)),
                CeremonyStep::Coded(_) | CeremonyStep::Confirmed(_) => Err(PasskeyStepError::NotNow(CODED_ALREADY)),
            })?;
            session.send(async |client| client.send_passkey_response(assertion.packed()).await).await
        });
        answering.await.unwrap_or(Err(PasskeyStepError::Lost))
    }

    /// The code that the owner compares with the phone's.
    pub fn passkey_code(&self) -> Result<Secret, PasskeyStepError> {
        match self.0.ceremony()?.0 {
            CeremonyStep::Coded(code) | CeremonyStep::Confirmed(code) => Ok(code),
            CeremonyStep::Challenged(_) | CeremonyStep::Signed => Err(PasskeyStepError::NotNow(NO_CODE_YET)),
        }
    }

    /// The owner says that phone and device show the same code. The status shows what the phone makes of it.
    pub async fn confirm_passkey(&self) -> Result<(), PasskeyStepError> {
        let session = self.0.clone();
        let confirming = self.0.tasks.spawn(async move {
            session.advance(|step| match step {
                CeremonyStep::Coded(code) => Ok(CeremonyStep::Confirmed(code.clone())),
                CeremonyStep::Confirmed(_) => Err(PasskeyStepError::NotNow(CONFIRMED_ALREADY)),
                CeremonyStep::Challenged(_) | CeremonyStep::Signed => Err(PasskeyStepError::NotNow(NO_CODE_YET)),
            })?;
            session.send(async |client| client.send_passkey_confirmation().await).await
        });
        confirming.await.unwrap_or(Err(PasskeyStepError::Lost))
    }
}

impl Inner {
    /// Begins a ceremony: WhatsApp asks for a passkey. The error says why there is none.
    pub(in crate::session) fn begin_ceremony(&self, options: &str) -> Result<(), String> {
        let (challenge, time) = Challenge::read(options)?;
        let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        let expires_at = self.env.clock.now().saturating_add(time).unwrap_or(Timestamp::MAX);
        let step = CeremonyStep::Challenged(Arc::new(challenge));
        self.set_status(|status| {
            status.qr = None;
            status.set_step(Ceremony { step, expires_at });
        });
        Ok(())
    }

    /// Shows the owner the code that phone and device have agreed on.
    pub(in crate::session) fn compare_codes(self: &Arc<Self>, agreed: &PairPasskeyConfirmation) {
        let code = Secret::new(agreed.code.clone());
        let agreed_on = self.advance(|step| match step {
            CeremonyStep::Signed => Ok(CeremonyStep::Coded(code)),
            _ => Err(PasskeyStepError::NotAsked),
        });
        // The device was linked before and has proved it: there is nothing to compare.
        if agreed_on.is_ok() && agreed.skip_handoff_ux {
            let session = Session(self.clone());
            self.tasks.spawn(async move {
                if let Err(error) = session.confirm_passkey().await {
                    warn!(event = "passkey_unconfirmed", %error, "the passkey was not confirmed");
                }
            });
        }
    }

    /// Whether a ceremony's time is over.
    pub(in crate::session) fn ceremony_expired(&self) -> bool {
        self.status.borrow().passkey.as_ref().is_some_and(|ceremony| ceremony.expires_at <= self.env.clock.now())
    }

    /// The step that the ceremony waits for, and the milliseconds that are left.
    fn ceremony(&self) -> Result<(CeremonyStep, u64), PasskeyStepError> {
        let ceremony = self.status.borrow().passkey.clone().ok_or(PasskeyStepError::NotAsked)?;
        let left = ceremony.expires_at.duration_since(self.env.clock.now());
        match u64::try_from(left.as_millis()) {
            Ok(left) if left > 0 => Ok((ceremony.step, left)),
            _ => Err(PasskeyStepError::NotAsked),
        }
    }

    /// Takes the ceremony one step on, if it is at the step before: of two callers at the same time, one is refused.
    fn advance(
        &self,
        next: impl FnOnce(&CeremonyStep) -> Result<CeremonyStep, PasskeyStepError>,
    ) -> Result<(), PasskeyStepError> {
        let now = self.env.clock.now();
        let mut advanced = Err(PasskeyStepError::NotAsked);
        self.set_status(|status| {
            let Some(Ceremony { step, expires_at }) = status.passkey.clone() else { return };
            if expires_at > now {
                advanced = next(&step).map(|step| status.set_step(Ceremony { step, expires_at }));
            }
        });
        advanced
    }

    /// Sends WhatsApp a step. Unless WhatsApp takes it, the ceremony is over, and so is the connection.
    async fn send(
        &self,
        step: impl AsyncFnOnce(Arc<Client>) -> Result<(), PasskeyError>,
    ) -> Result<(), PasskeyStepError> {
        let client = self.client.borrow().clone();
        let sent = match client {
            Some(client) => timeout(WHATSAPP_ANSWER_TIMEOUT, step(client)).await,
            None => return Err(PasskeyStepError::Lost),
        };
        let refused = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => refusal(&error).map_or(PasskeyStepError::Lost, PasskeyStepError::WhatsApp),
            Err(_) => PasskeyStepError::Lost,
        };
        warn!(event = "passkey_failed", error = %refused, "the passkey ceremony failed");
        let _ = self.commands.send(SessionCommand::EndCeremony(refused.to_string())).await;
        Err(refused)
    }
}

/// Parses WhatsApp's words out of the library's error, which keeps only a text; `None`: WhatsApp said nothing.
fn refusal(error: &PasskeyError) -> Option<String> {
    let text = error.to_string();
    text.split_once("server error response: ").map(|(_, said)| said.to_owned())
}

impl Status {
    fn set_step(&mut self, ceremony: Ceremony) {
        self.state = ceremony.step.state();
        self.reason = ceremony.step.reason().into();
        self.passkey = Some(ceremony);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options() -> Value {
        json!({
            "challenge": "YSBjaGFsbGVuZ2U", "timeout": 60_000, "rpId": "whatsapp.com", "userVerification": "required",
            "allowCredentials": [{ "id": "YSBwYXNza2V5", "type": "public-key", "transports": ["internal"] }],
            "extensions": { "uvm": true },
        })
    }

    fn with(name: &str, value: Value) -> String {
        let mut options = options();
        options[name] = value;
        options.to_string()
    }

    fn assertion(client_data: &Value) -> Assertion {
        Assertion {
            credential_id: b"a passkey".to_vec(),
            client_data: client_data.to_string().into_bytes(),
            authenticator_data: [&Sha256::digest("whatsapp.com")[..], &[5, 0, 0, 0, 1]].concat(),
            signature: vec![0; 70],
            user_handle: None,
        }
    }

    #[test]
    fn a_challenge_is_given_on_as_it_came_and_never_shown_in_logs() {
        let (challenge, time) = Challenge::read(&options().to_string()).unwrap();
        assert_eq!(serde_json::to_value(&challenge).unwrap(), options());
        assert_eq!((time, format!("{challenge:?}").as_str()), (Duration::from_secs(60), "Challenge(…)"));
        let (bare, time) = Challenge::read(r#"{"challenge":"YQ=="}"#).unwrap();
        let expected = json!({
            "challenge": "YQ", "timeout": 600_000, "rpId": SITE, "allowCredentials": [], "userVerification": "preferred",
        });
        assert_eq!((serde_json::to_value(&bare).unwrap(), time), (expected, CEREMONY_LIMIT));
        assert_eq!(Challenge::read(&with("timeout", json!(u64::MAX))).unwrap().1, CEREMONY_LIMIT);
    }

    #[test]
    fn what_is_no_challenge_begins_no_ceremony() {
        for json in [
            "",
            "[]",
            "{}",
            &with("challenge", json!("")),
            &with("challenge", json!("not base64url")),
            &with("allowCredentials", json!([{ "id": "YQ" }])),
            &with("allowCredentials", json!("all")),
            &with("userVerification", json!("never")),
            &with("extensions", json!({ "long": "x".repeat(MOST_BYTES) })),
        ] {
            assert!(Challenge::read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_answer_to_something_else_is_seen_before_it_is_sent() {
        let (challenge, _) = Challenge::read(&options().to_string()).unwrap();
        let right =
            json!({ "type": "webauthn.get", "challenge": "YSBjaGFsbGVuZ2U", "origin": "https://web.whatsapp.com" });
        let field = |assertion: &Assertion| match challenge.check(assertion) {
            Err(PasskeyStepError::Wrong { field, .. }) => Some(field),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(field(&assertion(&right)), None);
        let (mut other, mut created) = (right.clone(), right.clone());
        other["challenge"] = json!("YW5vdGhlcg");
        created["type"] = json!("webauthn.create");
        for client_data in [other, created, json!({}), json!([])] {
            assert_eq!(field(&assertion(&client_data)), Some("response.clientDataJSON"), "{client_data}");
        }
        let stranger = Assertion { credential_id: b"another".to_vec(), ..assertion(&right) };
        assert_eq!(field(&stranger), Some("id"));
        let elsewhere = [&Sha256::digest("example.com")[..], &[5, 0, 0, 0, 1]].concat();
        let elsewhere = Assertion { authenticator_data: elsewhere, ..assertion(&right) };
        assert_eq!(field(&elsewhere), Some("response.authenticatorData"));
        let short = Assertion { authenticator_data: vec![1; 5], ..assertion(&right) };
        assert_eq!(field(&short), Some("response.authenticatorData"));
    }
}
