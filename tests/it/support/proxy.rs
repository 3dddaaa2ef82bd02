//! A proxy that breaks what stands behind it, by mode, while the test runs. For servers that speak HTTP/2, as the emulator does.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sessiond::vault::{
    AppendError, DocumentKind, InstanceId, JournalDocument, Seq, Vault, VaultError,
    firestore::{Firestore, FirestoreConfig},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    emulator,
    stage::{Home, Stage},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Connections end, new ones are closed at once.
    Refuse,
    /// Connections stay open and new ones are taken, but nothing goes through. One that has met this stays dead under every
    /// later mode, as behind a router that forgot it.
    Hang,
    /// Requests go through and are carried out. The first answer to one is withheld, and its connection ends.
    LoseAnswers,
    /// Requests go through and are carried out. Answers wait until another mode is set, then they go on.
    Stall,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<ProxyState>>,
    refusals: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct ProxyState {
    mode: Mode,
    /// Ends the connections made until now.
    refused: CancellationToken,
    /// Stops the traffic of the connections made until now.
    hung: CancellationToken,
}

impl Proxy {
    /// In front of `host:port`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let state = ProxyState { mode: Mode::Pass, refused: CancellationToken::new(), hung: CancellationToken::new() };
        let state = Arc::new(Mutex::new(state));
        let refusals = Arc::default();
        let accepting = tokio::spawn(accept(listener, target.to_owned(), state.clone(), Arc::clone(&refusals)));
        Self { address, state, refusals, accepting }
    }

    /// How many connections were refused so far.
    pub fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, mode: Mode) {
        let mut state = self.state.lock().expect("nothing panics under it");
        state.mode = mode;
        match mode {
            Mode::Refuse => std::mem::take(&mut state.refused).cancel(),
            Mode::Hang => std::mem::take(&mut state.hung).cancel(),
            Mode::Pass | Mode::LoseAnswers | Mode::Stall => {}
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Mode::Refuse);
    }
}

async fn accept(listener: TcpListener, target: String, state: Arc<Mutex<ProxyState>>, refusals: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let (refused, hung) = {
            let state = state.lock().expect("nothing panics under it");
            let hung = state.hung.child_token();
            match state.mode {
                Mode::Refuse => {
                    refusals.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Mode::Hang => hung.cancel(),
                Mode::Pass | Mode::LoseAnswers | Mode::Stall => {}
            }
            (state.refused.clone(), hung)
        };
        let connection = connection(client, target.clone(), state.clone(), hung);
        tokio::spawn(refused.run_until_cancelled_owned(connection));
    }
}

async fn connection(mut client: TcpStream, target: String, state: Arc<Mutex<ProxyState>>, hung: CancellationToken) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    tokio::select! {
        biased;
        // Held open until it is refused.
        () = hung.cancelled() => std::future::pending().await,
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = answers(&mut from_server, &mut to_client, &state) => {}
    }
}

/// Forwards frame by frame, to tell an answer from the protocol's own talk (settings, windows, pings). RFC 9113, 4.1.
async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: &Mutex<ProxyState>,
) -> io::Result<()> {
    const HEADERS: u8 = 1;
    loop {
        let mut frame = vec![0; 9];
        from.read_exact(&mut frame).await?;
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        frame.resize(9 + length, 0);
        from.read_exact(&mut frame[9..]).await?;
        let mode = || state.lock().expect("nothing panics under it").mode;
        while mode() == Mode::Stall {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if mode() == Mode::LoseAnswers && frame[3] == HEADERS {
            return Ok(());
        }
        to.write_all(&frame).await?;
    }
}

pub fn document(seq: u64) -> JournalDocument {
    JournalDocument {
        seq: Seq(seq),
        kind: DocumentKind::Last,
        writer: InstanceId("one".into()),
        at: "2026-11-24T10:00:00Z".parse().unwrap(),
        payload: Bytes::from_static(b"sealed"),
    }
}

/// A stage whose daemons have their Firestore behind a proxy.
pub async fn stage() -> Option<(Stage, Proxy)> {
    let stage = Stage::new(Home::Emulator).await?;
    let proxy = Proxy::start(&emulator::host()?).await;
    Some((stage.set("FIRESTORE_EMULATOR_HOST", proxy.address()), proxy))
}

/// A vault behind a proxy, and the same one without.
async fn behind_proxy(request_timeout: Duration) -> Option<(Proxy, Firestore, Firestore)> {
    let project = emulator::project();
    let direct = emulator::vault(&project).await?;
    let proxy = Proxy::start(&emulator::host()?).await;
    let config = FirestoreConfig { request_timeout, ..emulator::config(&proxy.address(), &project) };
    Some((proxy, Firestore::connect(config).await.unwrap(), direct))
}

#[tokio::test]
async fn a_lost_answer_is_no_answer_and_the_document_is_there() {
    let Some((proxy, vault, direct)) = behind_proxy(Duration::from_secs(10)).await else { return };
    let tenant = "tenant1".parse().unwrap();
    vault.append(&tenant, None, &[document(1)], None).await.unwrap();

    proxy.set(Mode::LoseAnswers);
    let lost = vault.append(&tenant, None, &[document(2)], None).await;
    assert!(matches!(lost, Err(AppendError::Vault(VaultError::Unavailable(_)))), "{lost:?}");
    assert_eq!(direct.document(&tenant, Seq(2)).await.unwrap(), Some(document(2)));

    proxy.set(Mode::Pass);
    assert_eq!(vault.document(&tenant, Seq(2)).await.unwrap(), Some(document(2)));
    let again = vault.append(&tenant, None, &[document(2)], None).await;
    assert!(matches!(again, Err(AppendError::Exists)), "{again:?}");
}

#[tokio::test]
async fn a_refused_request_did_not_happen_and_the_next_one_does() {
    let Some((proxy, vault, direct)) = behind_proxy(Duration::from_secs(10)).await else { return };
    let tenant = "tenant1".parse().unwrap();
    vault.append(&tenant, None, &[document(1)], None).await.unwrap();

    proxy.set(Mode::Refuse);
    let refused = vault.append(&tenant, None, &[document(2)], None).await;
    assert!(matches!(refused, Err(AppendError::Vault(VaultError::Unavailable(_)))), "{refused:?}");
    assert_eq!(direct.document(&tenant, Seq(2)).await.unwrap(), None);

    proxy.set(Mode::Pass);
    vault.append(&tenant, None, &[document(2)], None).await.unwrap();
}

/// The connection that hung stays dead for ever: only a new one can help.
#[tokio::test]
async fn a_silent_connection_is_left_after_one_time_limit() {
    let limit = Duration::from_secs(1);
    let Some((proxy, vault, _direct)) = behind_proxy(limit).await else { return };
    let tenant = "tenant1".parse().unwrap();
    vault.append(&tenant, None, &[document(1)], None).await.unwrap();

    proxy.set(Mode::Hang);
    let silent = timeout(limit * 5, vault.append(&tenant, None, &[document(2)], None)).await;
    let silent = silent.expect("ends at its time limit");
    assert!(matches!(silent, Err(AppendError::Vault(VaultError::Unavailable(_)))), "{silent:?}");
    let read = timeout(limit * 5, vault.documents(&tenant, Seq(1))).await.expect("a streamed read ends too");
    assert!(matches!(read, Err(VaultError::Unavailable(_))), "{read:?}");

    proxy.set(Mode::Pass);
    assert_eq!(vault.documents(&tenant, Seq(1)).await.unwrap(), [document(1)]);
    vault.append(&tenant, None, &[document(2)], None).await.unwrap();
}

#[tokio::test]
async fn a_vault_that_is_not_there_is_unavailable_and_one_that_hangs_too() {
    let Some(host) = emulator::host() else { return };
    let proxy = Proxy::start(&host).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        let config = emulator::config(&proxy.address(), &emulator::project());
        let config = FirestoreConfig { request_timeout: Duration::from_secs(1), ..config };
        let connected = timeout(Duration::from_secs(10), Firestore::connect(config)).await.expect("ends in time");
        assert!(matches!(connected, Err(VaultError::Unavailable(_))), "{mode:?}: {connected:?}");
    }
}
