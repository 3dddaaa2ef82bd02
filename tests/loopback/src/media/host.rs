//! The media host's sockets: accept, TLS, one HTTP request after the other; and what faults do to them.
//!
//! Every task ends with the network.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Authority, download, parameter, upload};
use crate::faults::{FaultKind, MediaTrouble};
use crate::shell::Shared;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) type HostBody = UnsyncBoxBody<Bytes, Cut>;
pub(super) type Answer = Response<HostBody>;

/// A fault ends the connection here.
#[derive(Debug, thiserror::Error)]
#[error("cut off by a fault")]
pub(super) struct Cut;

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, authority: Authority) {
    let acceptor = TlsAcceptor::from(authority.server);
    loop {
        let stream = tokio::select! {
            () = shared.ended.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        if shared.with(|world| world.faults.hits_everybody(FaultKind::MediaDown)) {
            continue;
        }
        let connection = connection(Arc::clone(&shared), acceptor.clone(), stream);
        let ended = shared.ended.clone();
        shared.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                result = connection => if let Err(error) = result {
                    tracing::debug!(error = format!("{error:#}"), "media connection ended");
                }
            }
        });
    }
}

async fn connection(shared: Arc<Shared>, acceptor: TlsAcceptor, stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Cut> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let upload = request.method() == Method::POST;
    let trouble = shared.with(|world| {
        let account = parameter(&query, "auth").and_then(|token| world.media.owner(token));
        if upload {
            world.ledger.counts.media_uploads += 1;
        } else {
            world.ledger.counts.media_downloads += 1;
        }
        world.faults.take_media_trouble(account)
    });
    match trouble {
        Some(MediaTrouble::Down) => return Err(Cut),
        Some(MediaTrouble::Refuse(code)) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::NOT_FOUND);
            return Ok(refusal(status, "refused by a fault"));
        }
        Some(MediaTrouble::Slow(late)) => tokio::time::sleep(late).await,
        Some(MediaTrouble::Cut | MediaTrouble::Corrupt) | None => {}
    }
    if upload {
        return upload::answer(&shared, request, &query, trouble).await;
    }
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Ok(download::answer(&shared, &request, &query, trouble));
    }
    Ok(refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST"))
}

pub(super) fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(full(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

pub(super) fn refusal(status: StatusCode, reason: &str) -> Answer {
    json_answer(status, &json!({ "error": { "code": status.as_u16(), "message": reason } }))
}

pub(super) fn full(bytes: Bytes) -> HostBody {
    Full::new(bytes).map_err(Cut::from).boxed_unsync()
}
