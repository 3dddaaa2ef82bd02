//! A daemon that runs, as its commands find it and ask it: over HTTP, with the admin key.
//!
//! Promises: the key goes to what answers as a daemon of ours does, and to no other place. So nothing is followed to where an answer
//! points, and no proxy of the environment is in between.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};

use crate::{
    config::{Config, Secret},
    daemon,
};

/// A daemon on this machine answers sooner.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Bytes. A daemon's answer to a ping has fewer.
const PONG_BYTES: usize = 256;

pub struct RunningDaemon {
    pub http: Client,
    /// Its address, without a slash at the end.
    pub base: String,
    key: Secret,
}

/// What a daemon answers.
pub struct DaemonAnswer {
    pub status: StatusCode,
    /// By its tag.
    pub version: Option<u64>,
    pub text: String,
}

impl RunningDaemon {
    /// The daemon at `url`, or at the address of the configuration. `None`: nothing listens at the latter.
    pub async fn find(config: &Config, url: Option<&str>) -> anyhow::Result<Option<Self>> {
        let base = url.map_or_else(|| format!("http://{}", config.http.listen), str::to_owned);
        let base = base.trim_end_matches('/').to_owned();
        let Some(http) = greeted(&base, url.is_none()).await? else { return Ok(None) };
        Ok(Some(Self { http, base, key: daemon::admin_key(config)? }))
    }

    pub async fn ask(&self, request: RequestBuilder) -> anyhow::Result<DaemonAnswer> {
        let answer = request.header("X-Api-Key", self.key.expose()).send().await?;
        let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let version = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
        Ok(DaemonAnswer { status: answer.status(), version, text: answer.text().await? })
    }

    pub fn expect_success(&self, answer: &DaemonAnswer) -> anyhow::Result<()> {
        let DaemonAnswer { status, text, .. } = answer;
        if status.is_success() { Ok(()) } else { bail!("the daemon at {} answers {status}: {text}", self.base) }
    }
}

/// A client for the daemon there. `None`: nothing listens, where that is no fault (`may_be_absent`).
async fn greeted(base: &str, may_be_absent: bool) -> anyhow::Result<Option<Client>> {
    let http = Client::builder().no_proxy().redirect(Policy::none()).timeout(ANSWER_LIMIT).build()?;
    let answer = match http.get(format!("{base}/ping")).timeout(FIRST_ANSWER).send().await {
        Err(error) if error.is_connect() && may_be_absent => return Ok(None),
        answer => answer.with_context(|| format!("the daemon at {base}"))?,
    };
    let status = answer.status();
    if !is_pong(answer).await {
        bail!("another program answers at {base} ({status}), and gets no key: name the daemon with --url");
    }
    Ok(Some(http))
}

async fn is_pong(mut answer: Response) -> bool {
    if answer.status() != StatusCode::OK {
        return false;
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > PONG_BYTES {
            return false;
        }
    }
    serde_json::from_slice::<Value>(&body).is_ok_and(|said| said == json!({ "message": "pong" }))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use axum::{Json, Router, response::Redirect, routing::get};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn served(router: Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        base
    }

    #[tokio::test]
    async fn only_what_answers_as_a_daemon_does_is_one() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ours = served(Router::new().route("/ping", get(|| ready(Json(json!({ "message": "pong" })))))).await;
        let http = greeted(&ours, true).await.unwrap().unwrap();
        let elsewhere = format!("{ours}/ping");
        let leading = Router::new().fallback(move || ready(Redirect::temporary(&elsewhere)));
        let leading = served(leading).await;
        for stranger in [
            served(Router::new()).await,
            leading.clone(),
            served(Router::new().fallback(|| ready("pong"))).await,
            served(Router::new().fallback(|| ready(Json(json!({ "message": "hello" }))))).await,
            served(Router::new().fallback(|| ready("x".repeat(1 << 20)))).await,
        ] {
            for may_be_absent in [true, false] {
                let error = greeted(&stranger, may_be_absent).await.err().unwrap().to_string();
                assert!(error.contains("another program answers"), "{error}");
            }
        }
        // What it is asked later goes nowhere else either.
        let answer = http.get(format!("{leading}/api/server/rekey")).send().await.unwrap();
        assert!(answer.status().is_redirection(), "{}", answer.status());
    }

    #[tokio::test]
    async fn nothing_at_the_address_of_the_configuration_is_no_fault() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Nobody else gets this port, and it does not listen.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        assert!(greeted(&base, true).await.unwrap().is_none());
        assert!(greeted(&base, false).await.is_err());
    }
}
