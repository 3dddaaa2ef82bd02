//! A connection to another process, for one request: first both prove who they are, then it is asked.

use std::{
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderValue, StatusCode},
    response::Response,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{ForwardError, Forwarder, turns::ForwardTurn};
use crate::{
    cluster::{HELLO_HEADER, HELLO_PATH, Hello, PROOF_HEADER, ProvenPeer, head_digest},
    fleet::PeerListener,
};

/// Within a private network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For the introduction. It asks nobody else, so that a process that lives is quick, unless its machine is busy.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// While an answer is waited for, its process is asked so often whether it still answers: some questions take minutes.
const CHECK_PAUSE: Duration = Duration::from_secs(5);

/// For all of a request, up to its answer: a file may take ten minutes to come, and another gateway's sessions fifteen to be read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1800);

/// Nothing comes of an answer that has begun.
const SILENCE: Duration = Duration::from_secs(60);

/// An open line to a peer that has proved who it is.
pub struct PeerLine<'a> {
    asker: &'a Forwarder,
    peer: &'a PeerListener,
    sender: SendRequest<Body>,
    proven: ProvenPeer,
    /// The connection ends with it.
    connection: AbortOnDropHandle<()>,
}

impl<'a> PeerLine<'a> {
    pub async fn open(asker: &'a Forwarder, peer: &'a PeerListener) -> Result<Self, ForwardError> {
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(&peer.address)).await;
        let stream = connecting.map_err(|_| ForwardError::Silent)?.map_err(unreached)?;
        let _ = stream.set_nodelay(true);
        let introducing = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreached)?;
            let connection = AbortOnDropHandle::new(tokio::spawn(async move {
                // Whoever waits for an answer on it learns of its end.
                let _ = connection.await;
            }));
            let (from, to, at) = (&asker.instance, &peer.instance, peer.address.as_str());
            #[expect(clippy::disallowed_methods, reason = "nobody may guess it")]
            let hello = Hello { from, to, at, keys: &asker.keys, nonce: rand::random() };
            let mut question = Request::new(Body::empty());
            *question.uri_mut() = hyper::Uri::from_static(HELLO_PATH);
            question.headers_mut().insert(HELLO_HEADER, header_value(&hello.header())?);
            let answer = sender.send_request(question).await.map_err(unreached)?;
            let code = answer.headers().get(HELLO_HEADER).and_then(|value| value.to_str().ok());
            let is_answered = answer.status() == StatusCode::NO_CONTENT;
            let proven = code.filter(|_| is_answered).and_then(|code| hello.accept(code));
            let proven =
                proven.ok_or_else(|| unreached("another process answers there, or one with another master key"))?;
            sender.ready().await.map_err(unreached)?;
            Ok(Self { asker, peer, sender, proven, connection })
        };
        timeout(HELLO_TIMEOUT, introducing).await.map_err(|_| ForwardError::Silent)?
    }

    /// The answer, whose body is still coming. `client`: whose request it is. `turn`: is given back when the answer has ended.
    pub async fn ask(self, request: Request, client: IpAddr, turn: ForwardTurn) -> Result<Response, ForwardError> {
        let Self { asker, peer, mut sender, proven, connection } = self;
        let (mut head, body) = request.into_parts();
        let proof = proven.proof(client, &head_digest(&head));
        head.headers.insert(PROOF_HEADER, header_value(&proof)?);
        let asking = sender.send_request(Request::from_parts(head, body));
        let checking = async {
            loop {
                sleep(CHECK_PAUSE).await;
                // One that stops takes no more, and still answers; of one that has died the line breaks.
                if let Err(silent @ ForwardError::Silent) = PeerLine::open(asker, peer).await {
                    return silent;
                }
            }
        };
        let asked = async {
            tokio::select! {
                answer = asking => answer.map_err(|error| ForwardError::Unanswered(error.to_string())),
                silent = checking => Err(ForwardError::Unanswered(silent.to_string())),
            }
        };
        let answer = timeout(REQUEST_TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| Err(ForwardError::Unanswered("it takes too long".into())))?;
        let silence = Box::pin(sleep(SILENCE));
        Ok(answer.map(|incoming| {
            Body::new(AnswerBody { incoming, silence, is_waiting: false, _connection: connection, _turn: turn })
        }))
    }
}

fn header_value(text: &str) -> Result<HeaderValue, ForwardError> {
    // An id of a process that is none of ours may have anything in it.
    HeaderValue::from_str(text).map_err(unreached)
}

fn unreached(why: impl ToString) -> ForwardError {
    ForwardError::Unreached(why.to_string())
}

/// A peer's answer, as it comes.
struct AnswerBody {
    incoming: Incoming,
    silence: Pin<Box<Sleep>>,
    /// For the peer: the time counts.
    is_waiting: bool,
    _connection: AbortOnDropHandle<()>,
    _turn: ForwardTurn,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.is_waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !std::mem::replace(&mut this.is_waiting, true) {
            this.silence.as_mut().reset(Instant::now() + SILENCE);
        }
        std::task::ready!(this.silence.as_mut().poll(cx));
        Poll::Ready(Some(Err("the process that serves the tenant does not go on".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
