//! Signatures, by which a receiver knows that a request is ours: WAHA's (HMAC-SHA512 of the body, hex) and that of Standard Webhooks
//! (HMAC-SHA256 of id, time and body, base64), with the one key of the webhook.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{HeaderMap, HeaderValue};
use sha2::{Sha256, Sha512};

use crate::config::Secret;

/// In front of a key that is base64, as Standard Webhooks write them; any other key is its own bytes.
const STANDARD_PREFIX: &str = "whsec_";

/// False for a key that says that it is base64, and is none: who checks signatures by it would check with other bytes, or with none.
pub fn is_key(text: &str) -> bool {
    let bytes = |base64: &str| BASE64.decode(base64).is_ok_and(|bytes| !bytes.is_empty());
    text.strip_prefix(STANDARD_PREFIX).is_none_or(bytes)
}

/// Headers that name and sign a request. `id` is the same at every repeat, `now_ms` is not.
pub fn headers(id: &str, now_ms: i64, body: &[u8], key: Option<&Secret>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let seconds = (now_ms / 1000).to_string();
    let mut put = |name: &'static str, value: &str| {
        headers.insert(name, HeaderValue::from_str(value).expect("ids, numbers and digests are visible characters"));
    };
    put("x-webhook-request-id", id);
    put("x-webhook-timestamp", &now_ms.to_string());
    put("webhook-id", id);
    put("webhook-timestamp", &seconds);
    if let Some(key) = key {
        put("x-webhook-hmac", &wahas(key, body));
        put("x-webhook-hmac-algorithm", "sha512");
        put("webhook-signature", &standard(key, id, &seconds, body));
    }
    headers
}

fn wahas(key: &Secret, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn standard(key: &Secret, id: &str, seconds: &str, body: &[u8]) -> String {
    let text = key.expose();
    let decoded = text.strip_prefix(STANDARD_PREFIX).and_then(|base64| BASE64.decode(base64).ok());
    let bytes = decoded.as_deref().unwrap_or(text.as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes keys of any length");
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_says_that_it_is_base64_is() {
        for (text, expected) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
            ("a long random text", true),
            ("WHSEC_!!", true),
            ("whsec_!!", false),
            ("whsec_", false),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", false),
        ] {
            assert_eq!(is_key(text), expected, "{text}");
        }
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_standards_example() {
        let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let headers = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, body, Some(&key));
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    /// The example of WAHA's documentation.
    #[test]
    fn wahas_example() {
        let body = br#"{"event":"message","session":"default","engine":"WEBJS"}"#;
        let found = wahas(&Secret::new("my-secret-key"), body);
        assert_eq!(
            found,
            "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8097c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89"
        );
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let headers = headers("evt_1", 1, b"{}", None);
        assert!(headers.contains_key("webhook-id") && !headers.contains_key("webhook-signature"));
        assert!(!headers.contains_key("x-webhook-hmac"));
    }
}
