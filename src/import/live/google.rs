//! Access tokens of Google's, with which the old service's databases are read.
//!
//! Owns [`GoogleTokens`]: a token is kept until shortly before its end, and got anew then. A service account's comes from Google's token
//! endpoint, for an assertion that its key signs (RFC 7523), because the Realtime Database is documented to take such tokens; the
//! vault's client hands the assertion itself to Firestore. Never prints a key, an assertion or a token.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bytes::Bytes;
use firestore::gcloud_sdk::GoogleAuthHeaders;
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use rustls::{
    SignatureScheme,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::SigningKey,
};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{LiveError, silent_or_refused};
use crate::{
    config::{self, Credentials},
    outbound::{Outbound, Request},
    sync::lock,
};

/// What both databases ask for, by Google's documentation of their REST interfaces.
const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/firebase.database",
    "https://www.googleapis.com/auth/datastore",
];
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const ENDPOINT: &str = "Google's token endpoint";
/// How long an assertion is good, and a token of which nobody says how long.
const LIFE: Duration = Duration::from_secs(3600);
/// So long before its end a token is not used any more.
const RESERVE: Duration = Duration::from_secs(120);
/// Bytes of an answer.
const ANSWER: usize = 64 << 10;

pub struct GoogleTokens {
    outbound: Outbound,
    origin: TokenOrigin,
    held: Mutex<Option<HeldToken>>,
}

enum TokenOrigin {
    ServiceAccount(Box<ServiceAccount>),
    /// What the machine provides.
    Machine(GoogleAuthHeaders),
    /// An emulator takes this one.
    Emulator,
}

struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    signing_key: Arc<dyn SigningKey>,
    token_url: Url,
}

struct HeldToken {
    authorization: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl GoogleTokens {
    /// `is_plain`: the database is reached without TLS, so it is an emulator on this machine.
    pub async fn new(outbound: Outbound, credentials: &Credentials, is_plain: bool) -> Result<Self, LiveError> {
        let origin = match credentials {
            Credentials::ServiceAccount(json) => {
                TokenOrigin::ServiceAccount(Box::new(ServiceAccount::parse(json.expose(), &outbound)?))
            }
            Credentials::Emulator(_) => TokenOrigin::Emulator,
            Credentials::ApplicationDefault if is_plain => TokenOrigin::Emulator,
            Credentials::ApplicationDefault => {
                let scopes = SCOPES.map(str::to_owned).to_vec();
                let headers = GoogleAuthHeaders::from_adc_with_scopes(scopes).await;
                TokenOrigin::Machine(headers.map_err(|_| LiveError::NoCredentials)?)
            }
        };
        Ok(Self { outbound, origin, held: Mutex::new(None) })
    }

    /// What a request says for itself.
    pub async fn authorization(&self) -> Result<HeaderValue, LiveError> {
        let held =
            self.held().as_ref().filter(|held| Instant::now() < held.until).map(|held| held.authorization.clone());
        if let Some(authorization) = held {
            return Ok(authorization);
        }
        let (authorization, life) = match &self.origin {
            TokenOrigin::Emulator => return Ok(HeaderValue::from_static("Bearer owner")),
            TokenOrigin::ServiceAccount(account) => account.token(&self.outbound).await?,
            TokenOrigin::Machine(headers) => {
                let headers = headers.headers().await.map_err(|_| LiveError::NoCredentials)?;
                // The library keeps it, and knows its end.
                let authorization = headers.get(AUTHORIZATION).cloned().ok_or(LiveError::NoCredentials)?;
                (authorization, RESERVE)
            }
        };
        let until = Instant::now() + life.saturating_sub(RESERVE);
        *self.held() = Some(HeldToken { authorization: authorization.clone(), until });
        Ok(authorization)
    }

    /// The token was not taken: the next request gets another one. False: it was never given.
    pub fn forget(&self) -> bool {
        self.held().take().is_some()
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<HeldToken>> {
        lock(&self.held)
    }
}

impl ServiceAccount {
    fn parse(json: &str, outbound: &Outbound) -> Result<Self, LiveError> {
        #[derive(Deserialize)]
        struct KeyFile {
            client_email: String,
            private_key: String,
            private_key_id: Option<String>,
            token_uri: Option<String>,
        }
        let file: KeyFile =
            serde_json::from_str(json).map_err(|_| LiveError::Unusable("no key of a service account"))?;
        let unusable = LiveError::Unusable("its private key is no RSA key");
        let private_key = Zeroizing::new(file.private_key);
        let der = PrivateKeyDer::from_pem_slice(private_key.as_bytes()).map_err(|_| unusable.clone())?;
        let signing_key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).map_err(|_| unusable)?;
        let token_url = file.token_uri.as_deref().unwrap_or(TOKEN_URL);
        if !config::is_safe(token_url) {
            return Err(LiveError::Unusable("its token_uri is no https address"));
        }
        let token_url = outbound
            .check(token_url)
            .map_err(|_| LiveError::Unusable("its token_uri leads to an address that is not allowed"))?;
        Ok(Self { email: file.client_email, key_id: file.private_key_id, signing_key, token_url })
    }

    /// What says that it is this account, for [`LIFE`].
    fn assertion(&self, now: Timestamp) -> Result<Zeroizing<String>, LiveError> {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let issued = now.as_second();
        let claims = json!({
            "iss": self.email, "scope": SCOPES.join(" "), "aud": self.token_url.as_str(), "iat": issued,
            "exp": issued + LIFE.as_secs() as i64,
        });
        let text = [header, claims].map(|part| BASE64URL.encode(part.to_string())).join(".");
        let signer = self.signing_key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
        let signature = signer.and_then(|signer| signer.sign(text.as_bytes()).ok());
        let signature = signature.ok_or(LiveError::Unusable("its private key is no RSA key"))?;
        Ok(format!("{text}.{}", BASE64URL.encode(signature)).into())
    }

    async fn token(&self, outbound: &Outbound) -> Result<(HeaderValue, Duration), LiveError> {
        #[expect(clippy::disallowed_methods, reason = "Google judges it by the real time")]
        let assertion = self.assertion(Timestamp::now())?;
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        let request = Request {
            method: Method::POST,
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )]),
            body: Bytes::from(format!("{grant}&assertion={}", *assertion)),
            ..Request::get(self.token_url.clone())
        };
        let failed = |error| silent_or_refused(ENDPOINT, &error);
        let answer = outbound.send(request, ANSWER).await.map_err(failed)?;
        let status = answer.status;
        let body = answer.bytes().await.map_err(failed)?;
        match status.as_u16() {
            200 => {}
            429 | 500.. => return Err(LiveError::Silent { place: ENDPOINT, why: format!("it answers {status}") }),
            _ => return Err(LiveError::NoToken { why: word(&body) }),
        }
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| LiveError::NoToken { why: "its answer has none".to_owned() })?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", answer.access_token))
            .map_err(|_| LiveError::NoToken { why: "its answer has none".to_owned() })?;
        authorization.set_sensitive(true);
        Ok((authorization, answer.expires_in.map_or(LIFE, Duration::from_secs).min(LIFE)))
    }
}

/// Of an error its code alone (RFC 6749): the rest is whatever the server puts there.
fn word(body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let code = parsed.as_ref().and_then(|body| body.get("error")?.as_str());
    let is_code = |code: &&str| code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    code.filter(is_code).unwrap_or("without a reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_endpoint_is_its_code_and_nothing_else() {
        assert_eq!(word(br#"{"error":"invalid_grant","error_description":"secret"}"#), "invalid_grant");
        for body in [&b""[..], b"{}", b"<html>", br#"{"error":{"secret":1}}"#, br#"{"error":"Secret 1"}"#] {
            assert_eq!(word(body), "without a reason");
        }
    }
}
