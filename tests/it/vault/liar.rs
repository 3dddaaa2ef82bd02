//! A Firestore that lies, in front of the emulator: it confirms an append and loses it, or refuses one and keeps it.
//!
//! Speaks gRPC as far as it must: everything passes through but the commits that write to a journal.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use firestore::gcloud_sdk::google::firestore::v1::{CommitRequest, CommitResponse, WriteResult, write::Operation};
use h2::{RecvStream, SendStream, client::SendRequest, server::SendResponse};
use http::{HeaderMap, Request, Response};
use prost::Message as _;
use sessiond::vault::{AppendError, Seq, Vault as _, VaultError, firestore::Firestore};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{emulator, proxy::document};

/// What is said of the next appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Yes, and they are nowhere.
    Lose,
    /// No (`UNAVAILABLE`), and they are there.
    Keep,
}

#[derive(Debug, Default)]
struct Lies {
    lose: AtomicU32,
    keep: AtomicU32,
}

/// Stops when dropped.
pub struct Liar {
    /// `host:port` for clients.
    pub address: String,
    lies: Arc<Lies>,
    accepting: JoinHandle<()>,
}

impl Liar {
    /// In front of `host:port`. Honest until it is told otherwise.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let lies = Arc::new(Lies::default());
        let accepting = tokio::spawn(accept(listener, target.to_owned(), lies.clone()));
        Self { address, lies, accepting }
    }

    /// Lies about so many appends.
    pub fn lie(&self, lie: Lie, appends: u32) {
        match lie {
            Lie::Lose => self.lies.lose.store(appends, Ordering::SeqCst),
            Lie::Keep => self.lies.keep.store(appends, Ordering::SeqCst),
        }
    }

    /// Lies that are left to tell.
    pub fn left(&self) -> u32 {
        self.lies.lose.load(Ordering::SeqCst) + self.lies.keep.load(Ordering::SeqCst)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn spend(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

async fn accept(listener: TcpListener, target: String, lies: Arc<Lies>) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, lies) = (target.clone(), lies.clone());
        // A connection that fails is the client's to dial anew.
        tokio::spawn(async move { connection(client, &target, lies).await.ok() });
    }
}

async fn connection(client: TcpStream, target: &str, lies: Arc<Lies>) -> anyhow::Result<()> {
    let mut client = h2::server::Builder::new().initial_window_size(1 << 24).handshake::<_, Bytes>(client).await?;
    let (server, driver) =
        h2::client::Builder::new().initial_window_size(1 << 24).handshake(TcpStream::connect(target).await?).await?;
    tokio::spawn(driver);
    while let Some(request) = client.accept().await {
        let (request, respond) = request?;
        let (server, lies) = (server.clone(), lies.clone());
        tokio::spawn(async move { exchange(request, respond, server, &lies).await.ok() });
    }
    Ok(())
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    server: SendRequest<Bytes>,
    lies: &Lies,
) -> anyhow::Result<()> {
    let is_commit = request.uri().path().ends_with("/Commit");
    let (head, body) = request.into_parts();
    let (body, trailers) = whole(body).await?;
    let appends = if is_commit { journal_writes(&body) } else { None };
    if let Some(writes) = appends
        && spend(&lies.lose)
    {
        return say_yes(&mut respond, writes);
    }
    let (response, mut sink) = server.ready().await?.send_request(Request::from_parts(head, ()), body.is_empty())?;
    if !body.is_empty() {
        send(&mut sink, body, trailers)?;
    }
    let (head, mut body) = response.await?.into_parts();
    if appends.is_some() && spend(&lies.keep) {
        whole(body).await?;
        let no = Response::builder().header("content-type", "application/grpc").header("grpc-status", "14");
        respond.send_response(no.body(())?, true)?;
        return Ok(());
    }
    if body.is_end_stream() {
        respond.send_response(Response::from_parts(head, ()), true)?;
        return Ok(());
    }
    let mut sink = respond.send_response(Response::from_parts(head, ()), false)?;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        sink.send_data(piece, false)?;
    }
    match body.trailers().await? {
        Some(trailers) => sink.send_trailers(trailers)?,
        None => sink.send_data(Bytes::new(), true)?,
    }
    Ok(())
}

async fn whole(mut body: RecvStream) -> anyhow::Result<(Bytes, Option<HeaderMap>)> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        all.extend_from_slice(&piece);
    }
    Ok((all.freeze(), body.trailers().await?))
}

fn send(sink: &mut SendStream<Bytes>, body: Bytes, trailers: Option<HeaderMap>) -> anyhow::Result<()> {
    sink.send_data(body, trailers.is_none())?;
    if let Some(trailers) = trailers {
        sink.send_trailers(trailers)?;
    }
    Ok(())
}

/// How many writes a commit has, if one of them is to a journal.
fn journal_writes(body: &Bytes) -> Option<usize> {
    let mut message = body.clone();
    // Whether it is compressed, and its length.
    if message.len() < 5 {
        return None;
    }
    message.advance(5);
    let commit = CommitRequest::decode(message).ok()?;
    let to_journal = commit.writes.iter().any(|write| match &write.operation {
        Some(Operation::Update(document)) => document.name.contains("/journal/"),
        _ => false,
    });
    to_journal.then_some(commit.writes.len())
}

fn say_yes(respond: &mut SendResponse<Bytes>, writes: usize) -> anyhow::Result<()> {
    let answer = CommitResponse { write_results: vec![WriteResult::default(); writes], commit_time: None };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(answer.encoded_len())?);
    answer.encode(&mut framed)?;
    let head = Response::builder().header("content-type", "application/grpc");
    let mut sink = respond.send_response(head.body(())?, false)?;
    sink.send_data(framed.freeze(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse()?);
    Ok(sink.send_trailers(trailers)?)
}

/// A vault behind a liar, and the same one without.
async fn lied_to() -> Option<(Liar, Firestore, Firestore)> {
    let project = emulator::project();
    let direct = emulator::vault(&project).await?;
    let liar = Liar::start(&emulator::host()?).await;
    let vault = Firestore::connect(emulator::config(&liar.address, &project)).await.unwrap();
    Some((liar, vault, direct))
}

#[tokio::test]
async fn what_was_confirmed_and_lost_is_nowhere() {
    let Some((liar, vault, direct)) = lied_to().await else { return };
    let tenant = "tenant1".parse().unwrap();
    vault.append(&tenant, None, &[document(1)], None).await.unwrap();
    liar.lie(Lie::Lose, 1);
    vault.append(&tenant, None, &[document(2)], None).await.expect("it says yes");
    assert_eq!(liar.left(), 0);
    assert_eq!(direct.document(&tenant, Seq(1)).await.unwrap(), Some(document(1)), "the truth passes");
    assert_eq!(direct.document(&tenant, Seq(2)).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_refused_and_kept_is_there() {
    let Some((liar, vault, direct)) = lied_to().await else { return };
    let tenant = "tenant1".parse().unwrap();
    liar.lie(Lie::Keep, 1);
    let refused = vault.append(&tenant, None, &[document(1)], None).await;
    assert!(matches!(refused, Err(AppendError::Vault(VaultError::Unavailable(_)))), "{refused:?}");
    assert_eq!(direct.document(&tenant, Seq(1)).await.unwrap(), Some(document(1)));
    assert_eq!(vault.documents(&tenant, Seq(1)).await.unwrap(), [document(1)], "streamed answers pass");
}
