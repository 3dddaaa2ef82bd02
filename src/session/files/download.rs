//! Fetches one file from WhatsApp's hosts: streamed, decrypted, checked against its message. When the hosts do not have it any more the
//! phone is asked to upload it again.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use whatsapp_rust::{
    Client, Jid, Server, TokioRuntime,
    download::{DownloadParams, DownloadWriter, MediaDownloadError, MediaDownloader, MediaRoute},
    features::{MediaRetryResult, MediaReuploadRequest},
};

use super::{
    FetchCause, FileError,
    reference::{FileReference, is_path},
};
use crate::{
    message::media::{DiskReserve, FileName, HEAD, SPOOL_STEP, Spooled},
    session::{
        Inner,
        connection::health::is_answered,
        requests::{WHATSAPP_ANSWER_TIMEOUT, pace::RequestKind},
    },
};

/// The library decrypts in pieces of 16 bytes.
const BUFFER: usize = 64 * 1024;

/// The answer of WhatsApp's media hosts.
enum HostAnswer {
    File(Spooled),
    /// The hosts have no such file any more.
    Rejected,
}

pub async fn download(
    session: &Inner,
    name: &FileName,
    reference: FileReference,
    cause: FetchCause,
) -> Result<Spooled, FileError> {
    let FileReference { mut params, from_me } = reference;
    let client = session.ready.borrow().clone().ok_or(FileError::Offline)?;
    if cause == FetchCause::Asked {
        session.pace.take(RequestKind::Fetch).map_err(|wait| FileError::TooMany { wait })?;
    }
    if let HostAnswer::File(file) = from_hosts(session, &client, &params).await? {
        return Ok(file);
    }
    // A phone that is off answers nothing for half a minute: whoever waits for it keeps nobody waiting for the hosts. Of those that come
    // by themselves none waits for its turn; it is tried again.
    let free = session.files.phone_turns.try_acquire().ok();
    if free.is_none() && cause == FetchCause::Came {
        return Err(FileError::Slow);
    }
    if !session.files.may_ask(name, cause, &session.pace)? {
        return Err(FileError::Gone);
    }
    let turn = match free {
        Some(turn) => turn,
        None => session.files.phone_turns.acquire().await.map_err(|_| FileError::Offline)?,
    };
    params.direct_path = ask_the_phone(&client, name, &params, from_me).await.ok_or(FileError::Gone)?;
    drop(turn);
    match from_hosts(session, &client, &params).await? {
        HostAnswer::File(file) => Ok(file),
        HostAnswer::Rejected => Err(FileError::Gone),
    }
}

async fn from_hosts(session: &Inner, client: &Arc<Client>, params: &DownloadParams) -> Result<HostAnswer, FileError> {
    let max = session.env.media.settings.max_received;
    if params.file_length > max {
        return Err(FileError::TooLarge(max));
    }
    // First the tenant's own turn, then the common one: so a tenant has at most its share of those. In between WhatsApp is asked where its
    // hosts are: whoever gets no answer keeps nobody else waiting.
    let _own = session.files.slots.acquire().await;
    let hosts = match timeout(WHATSAPP_ANSWER_TIMEOUT, client.refresh_media_conn(false)).await {
        Ok(Ok(hosts)) => hosts,
        Ok(Err(error)) => {
            debug!(%error, "WhatsApp names no media hosts");
            return Err(if is_answered::<()>(&Err(error)) { FileError::Hosts } else { FileError::Offline });
        }
        Err(_) => return Err(FileError::Hosts),
    };
    let _common = session.env.fetching.acquire().await;
    // A path is enough to download with; our token is for uploads, and no business of whoever wrote the path.
    let route = MediaRoute::from(&hosts).without_auth();
    let downloader = MediaDownloader::new(session.env.http_of(&session.tenant).clone(), Arc::new(TokioRuntime), route);
    let spool = session.env.media.spool.clone();
    let made = tokio::task::spawn_blocking(move || spool.file()).await;
    let file = made.ok().and_then(Result::ok).ok_or(FileError::Storage)?;
    let over = Arc::new(AtomicBool::new(false));
    let limit = if params.file_length == 0 { max } else { params.file_length };
    let reserve = session.env.media.spool.reserve().clone();
    let sink = Sink::new(file, limit, over.clone(), session.stop.clone(), reserve);
    let sink = match downloader.download_to_writer(params, BufWriter::with_capacity(BUFFER, sink)).await {
        Ok(sink) => sink.into_inner().map_err(|_| FileError::Storage)?,
        Err(MediaDownloadError::ReferenceRejected(_)) => return Ok(HostAnswer::Rejected),
        Err(_) if over.load(Ordering::Acquire) && params.file_length == 0 => return Err(FileError::TooLarge(max)),
        Err(_) if over.load(Ordering::Acquire) => return Err(FileError::Damaged),
        Err(error) => {
            if session.env.media.spool.reserve().allow_soon(0).await.is_err() {
                return Err(FileError::Storage);
            }
            debug!(error = error.to_string(), "WhatsApp's hosts did not give a file");
            return Err(FileError::Hosts);
        }
    };
    let size_fits = params.file_length == 0 || params.file_length == sink.size;
    let sha256: [u8; 32] = sink.hash.finalize().into();
    // The library has checked the file's authentication code, if it is encrypted, but not what it is.
    let is_it = params.file_sha256.is_empty() || params.file_sha256 == sha256;
    if !size_fits || !is_it {
        return Err(FileError::Damaged);
    }
    Ok(HostAnswer::File(Spooled::new(sink.file, sink.size, sha256, sink.head)))
}

/// Where the phone has put the file; `None`: it has not, for whatever reason.
async fn ask_the_phone(client: &Client, name: &FileName, params: &DownloadParams, from_me: bool) -> Option<String> {
    let (chat, sender): (Jid, Jid) = (name.chat().parse().ok()?, name.sender().parse().ok()?);
    let has_members = matches!(chat.server, Server::Group | Server::Broadcast);
    let request = MediaReuploadRequest {
        msg_id: name.id(),
        chat_jid: &chat,
        media_key: params.media_key.as_deref()?,
        is_from_me: from_me,
        participant: has_members.then_some(&sender),
    };
    match client.media_reupload().request(&request).await {
        Ok(MediaRetryResult::Success { direct_path }) => Some(direct_path).filter(|path| is_path(path)),
        Ok(other) => {
            debug!(message.id = name.id(), answer = ?other, "the phone does not have the file");
            None
        }
        Err(error) => {
            debug!(message.id = name.id(), %error, "the phone was asked for a file in vain");
            None
        }
    }
}

/// Takes a file in pieces, up to a limit, and sums it up.
struct Sink {
    file: File,
    size: u64,
    limit: u64,
    hash: Sha256,
    head: Vec<u8>,
    /// Set when more came than may.
    over: Arc<AtomicBool>,
    stop: CancellationToken,
    reserve: DiskReserve,
}

impl Sink {
    fn new(file: File, limit: u64, over: Arc<AtomicBool>, stop: CancellationToken, reserve: DiskReserve) -> Self {
        Self { file, size: 0, limit, hash: Sha256::new(), head: Vec::new(), over, stop, reserve }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // This is a thread's own loop, which nothing else ends.
        if self.stop.is_cancelled() {
            return Err(io::Error::other("the session ends"));
        }
        if self.size + bytes.len() as u64 > self.limit {
            self.over.store(true, Ordering::Release);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.size / SPOOL_STEP != (self.size + bytes.len() as u64) / SPOOL_STEP {
            self.reserve.allow(bytes.len() as u64)?;
        }
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
        let missing = HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl DownloadWriter for Sink {
    /// The library empties it before each attempt.
    fn truncate(&mut self, size: u64) -> io::Result<()> {
        if size != 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.size, self.hash) = (0, Sha256::new());
        self.head.clear();
        Ok(())
    }
}
