//! Google's place: signs ID tokens and publishes the keys, over HTTP on loopback, counting who asks.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{
    Router,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse as _,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub const PROJECT: &str = "demo-kds";

/// A key with its id.
#[derive(Clone)]
pub struct Signer {
    pub kid: String,
    key: Arc<RsaKeyPair>,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.into(), key: Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    fn web_key(&self) -> Value {
        let public = self.key.public_key();
        let [n, e] =
            [public.modulus(), public.exponent()].map(|n| BASE64URL.encode(n.big_endian_without_leading_zero()));
        json!({ "kid": self.kid, "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e })
    }

    /// A token with these claims, as Firebase makes them.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid }), claims)
    }

    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let text = [header, claims].map(|part| BASE64URL.encode(part.to_string())).join(".");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", BASE64URL.encode(signature))
    }
}

/// What a token of this user says.
pub fn claims(uid: &str, now: Timestamp) -> Value {
    let now = now.as_second();
    json!({
        "iss": format!("https://securetoken.google.com/{PROJECT}"), "aud": PROJECT, "sub": uid, "user_id": uid,
        "iat": now - 10, "auth_time": now - 1000, "exp": now + 3600, "email": "ana@example.com",
        "firebase": { "sign_in_provider": "password" },
    })
}

/// The same, with the tenants named in it.
pub fn claims_for(uid: &str, now: Timestamp, tenants: &Value) -> Value {
    let mut claims = claims(uid, now);
    claims["tenants"] = tenants.clone();
    claims
}

pub struct Issuer {
    address: SocketAddr,
    state: Arc<IssuerState>,
    serving: JoinHandle<()>,
}

struct IssuerState {
    keys: Mutex<Vec<Value>>,
    cache_control: &'static str,
    down: AtomicBool,
    asked: AtomicUsize,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Issuer {
    pub async fn start(signers: &[&Signer], cache_control: &'static str) -> Self {
        let state = IssuerState {
            keys: Mutex::default(),
            cache_control,
            down: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        };
        let state = Arc::new(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answering = state.clone();
        let router = Router::new().route(
            "/jwk",
            get(async move || {
                answering.asked.fetch_add(1, SeqCst);
                if answering.down.load(SeqCst) {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
                let keys = json!({ "keys": *answering.keys.lock().unwrap() }).to_string();
                ([(CACHE_CONTROL, answering.cache_control)], keys).into_response()
            }),
        );
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let issuer = Self { address, state, serving };
        issuer.publish(signers);
        issuer
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwk", self.address)
    }

    /// From now on these and no others, beside one of a kind that nobody here knows.
    pub fn publish(&self, signers: &[&Signer]) {
        let other = json!({ "kid": "ec", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" });
        *self.state.keys.lock().unwrap() = signers.iter().map(|signer| signer.web_key()).chain([other]).collect();
    }

    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, SeqCst);
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.state.asked.load(SeqCst)
    }
}
