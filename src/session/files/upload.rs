//! Takes a file to WhatsApp's hosts before its message is accepted: what is in the outbox can always be sent, whatever becomes of us.

use std::{
    io::{self, BufWriter, Read, Write as _},
    time::Duration,
};

use tokio::time::timeout;
use tracing::warn;
use whatsapp_rust::{
    ErrorChainExt as _,
    download::MediaType,
    request::IqError,
    upload::UploadResponse,
    wacore::upload::{UploadSource, encrypt_media_streaming},
};

use super::from_url::{UrlPlaceError, UrlTurn};
use crate::{
    message::{
        Flaw,
        media::{self, Attachment, AttachmentKind, FileName, Fit, Preview, Spooled, UrlFetchError, title},
    },
    session::{
        RequestError, Session, connection::disconnect::is_passing, requests::WHATSAPP_ANSWER_TIMEOUT,
        send::accept::AcceptError,
    },
    telemetry::metrics,
};

/// How long a login that is under way is waited for.
const UPLOAD_LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long others may be waited for that send files too.
const UPLOAD_TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long WhatsApp's hosts may take for a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// Where a file to be sent is.
#[derive(Debug)]
pub enum FileSource {
    Here(Spooled),
    /// Checked already, as far as that can be without a connection.
    At(reqwest::Url),
    /// The same, of a file that many are sent: it goes to WhatsApp once in a few minutes.
    Shared(reqwest::Url),
}

/// A file that WhatsApp has, and what its message will say of it.
#[derive(Debug, Clone)]
pub struct Uploaded {
    pub at: UploadResponse,
    pub fit: Fit,
    pub preview: Option<Preview>,
    pub seconds: Option<u32>,
    /// Its own name: as the consumer says, or as it has it where it was fetched.
    pub title: String,
}

/// A picture that is shown beside a text.
#[derive(Debug)]
pub struct Pictured {
    pub preview: Preview,
    /// Where it is whole, when it is to be shown large.
    pub at: Option<UploadResponse>,
}

impl Session {
    /// Makes a picture small; a large one goes to WhatsApp too. Where WhatsApp's hosts do not take it, the small one must do.
    pub(in crate::session) async fn depict(&self, source: FileSource, large: bool) -> Result<Pictured, AcceptError> {
        let limit = AttachmentKind::Image.limit(self.0.env.media.settings.max_sent);
        let (file, _, url_turn) = self.spooled(source, limit).await?;
        let large = large && self.know_hosts().await.is_ok();
        let _turns = self.turns().await?;
        drop(url_turn);
        let preview = self.decoded(&file).await.filter(|preview| preview.jpeg.is_some());
        let expected = "a JPEG, PNG or WebP that can be decoded";
        let preview = preview.ok_or(Flaw { field: "preview.image", expected: expected.into() })?;
        let at = if large { self.to_whatsapp(MediaType::LinkThumbnail, &file).await.ok() } else { None };
        Ok(Pictured { preview, at })
    }

    /// Uploads a file, and keeps it under the name of its message.
    pub(in crate::session) async fn upload(
        &self,
        attachment: &Attachment,
        source: FileSource,
        name: Option<FileName>,
    ) -> Result<Uploaded, AcceptError> {
        let shared = match &source {
            FileSource::Shared(url) => Some((url.to_string(), attachment.file_name.clone(), attachment.mime.clone())),
            FileSource::Here(_) | FileSource::At(_) => None,
        };
        if let Some(known) = shared.as_ref().and_then(|file| self.0.files.uploaded(file)) {
            return Ok(known);
        }
        let limit = attachment.kind.limit(self.0.env.media.settings.max_sent);
        let (file, fetched_as, url_turn) = self.spooled(source, limit).await?;
        self.know_hosts().await?;
        let _turns = self.turns().await?;
        drop(url_turn);
        let file_name = attachment.file_name.clone().or(fetched_as);
        let fit = Attachment { file_name: file_name.clone(), ..attachment.clone() }.fit(&file.head)?;
        let limit = fit.kind.limit(limit);
        if file.size > limit {
            return Err(AcceptError::TooLarge(limit));
        }
        if file.size == 0 {
            return Err(Flaw { field: "file", expected: "must not be empty".into() }.into());
        }
        let preview = self.preview(&fit, &file).await;
        let seconds = if fit.mime.starts_with("audio/ogg") { media::seconds(&file).await } else { None };
        let kind = match fit.kind {
            AttachmentKind::Image => MediaType::Image,
            AttachmentKind::Sticker => MediaType::Sticker,
            AttachmentKind::Video | AttachmentKind::VideoNote => MediaType::Video,
            AttachmentKind::Audio | AttachmentKind::Voice => MediaType::Audio,
            AttachmentKind::Document | AttachmentKind::Any => MediaType::Document,
        };
        let (at, ()) = tokio::join!(self.to_whatsapp(kind, &file), self.keep(name, &file));
        let title = title::with_ending(file_name.unwrap_or_else(|| "file".into()), &fit.mime);
        let uploaded = Uploaded { at: at?, fit, preview, seconds, title };
        if let Some(file) = shared {
            self.0.files.note_uploaded(file, uploaded.clone());
        }
        Ok(uploaded)
    }

    /// WhatsApp has said where its hosts are, if there is a line. Waited for before a common turn is taken: whoever is offline, or gets no
    /// answer, keeps nobody else waiting.
    async fn know_hosts(&self) -> Result<(), AcceptError> {
        let ready = timeout(UPLOAD_LOGIN_TIMEOUT, self.0.ready_client()).await.ok().flatten();
        // What else is wrong with the file is told first.
        let Some(client) = ready else { return Ok(()) };
        match timeout(WHATSAPP_ANSWER_TIMEOUT, client.refresh_media_conn(false)).await {
            Ok(Err(IqError::ServerError { code, .. })) if !is_passing(code) => Err(AcceptError::RefusedFile(code)),
            Ok(Err(IqError::ServerError { .. })) | Err(_) => Err(AcceptError::MediaDown),
            // A line that has just ended: as where there is none.
            Ok(Ok(_) | Err(_)) => Ok(()),
        }
    }

    /// First the tenant's own turn, then the common one: each holds a thread, and threads are for all.
    async fn turns(&self) -> Result<impl Sized + '_, AcceptError> {
        let turns = async { (self.0.files.sends.acquire().await, self.0.env.uploading.acquire().await) };
        timeout(UPLOAD_TURN_TIMEOUT, turns).await.map_err(|_| AcceptError::Busy)
    }

    /// Fetches something small by a URL that the tenant names, when it is its turn among those.
    pub async fn in_url_turn<T>(&self, fetching: impl Future<Output = T>) -> Result<T, AcceptError> {
        let fetched = self.0.files.urls.fetch(&self.0.env.url_places, UPLOAD_TURN_TIMEOUT, fetching).await;
        fetched.map(|(fetched, _)| fetched).map_err(|UrlPlaceError| AcceptError::Busy)
    }

    /// The file, and the name that it has where it was fetched.
    async fn spooled(
        &self,
        source: FileSource,
        limit: u64,
    ) -> Result<(Spooled, Option<String>, Option<UrlTurn<'_>>), AcceptError> {
        let env = &self.0.env;
        match source {
            FileSource::Here(file) => Ok((file, None, None)),
            FileSource::At(url) | FileSource::Shared(url) => {
                let fetching = env.media.spool.fetch(&env.files_from, url, limit);
                let fetched = self.0.files.urls.fetch(&env.url_places, UPLOAD_TURN_TIMEOUT, fetching).await;
                let (fetched, turn) = fetched.map_err(|UrlPlaceError| AcceptError::Busy)?;
                fetched.map(|(file, name)| (file, name, Some(turn))).map_err(refused)
            }
        }
    }

    async fn preview(&self, fit: &Fit, file: &Spooled) -> Option<Preview> {
        if !matches!(fit.kind, AttachmentKind::Image | AttachmentKind::Sticker) {
            return None;
        }
        self.decoded(file).await
    }

    async fn decoded(&self, file: &Spooled) -> Option<Preview> {
        // Decoded pictures are large: not many at once.
        let _turn = self.0.env.decoding.acquire().await;
        let file = file.clone();
        tokio::task::spawn_blocking(move || media::preview(&file)).await.ok().flatten()
    }

    async fn to_whatsapp(&self, kind: MediaType, file: &Spooled) -> Result<UploadResponse, AcceptError> {
        let ready = self.0.ready.borrow().clone();
        let client = ready.ok_or_else(|| self.not_ready_error(AcceptError::Unasked(RequestError::Unreachable)))?;
        let (spool, plain) = (self.0.env.media.spool.clone(), file.clone());
        let sealing = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            // As large as the file itself.
            spool.reserve().allow(plain.size)?;
            let mut sealed = BufWriter::new(spool.file()?);
            let info = encrypt_media_streaming(plain.reader(), &mut sealed, kind)?;
            sealed.flush()?;
            let sealed = sealed.into_inner()?;
            let size = sealed.metadata()?.len();
            Ok((EncryptedUpload(Spooled::new(sealed, size, info.file_enc_sha256, Vec::new())), info))
        });
        let disk = |error: anyhow::Error| {
            warn!(
                event = "file_encryption_failed",
                tenant = %self.0.tenant,
                error = format!("{error:#}"),
                "a file could not be encrypted"
            );
            AcceptError::Disk
        };
        let (sealed, info) = sealing.await.map_err(|error| disk(error.into()))?.map_err(disk)?;
        match timeout(UPLOAD_TIMEOUT, client.upload_stream(sealed, info, kind)).await {
            Ok(Ok(uploaded)) => {
                metrics::media_sent(file.size);
                Ok(uploaded)
            }
            Ok(Err(error)) => {
                warn!(
                    event = "file_upload_failed",
                    tenant = %self.0.tenant,
                    error = %error.root_cause(),
                    "WhatsApp's hosts did not take a file"
                );
                let cause: &(dyn std::error::Error + 'static) = error.as_ref();
                // Where the hosts are is asked of WhatsApp itself, whose no is one.
                match cause.server_rejection().filter(|no| !is_passing(no.code)) {
                    Some(no) => Err(AcceptError::RefusedFile(no.code)),
                    None => Err(AcceptError::MediaDown),
                }
            }
            Err(_) => Err(AcceptError::MediaDown),
        }
    }

    /// A file that is not kept is fetched from WhatsApp when it is asked for.
    async fn keep(&self, name: Option<FileName>, file: &Spooled) {
        let Some(name) = name else { return };
        if let Err(error) = self.0.env.media.keep(&self.0.tenant, &name, file).await {
            warn!(event = "sent_file_unkept", tenant = %self.0.tenant, %error, "a file that is sent is not kept");
        }
    }
}

fn refused(unfetched: UrlFetchError) -> AcceptError {
    match unfetched {
        UrlFetchError::TooLarge(media::TooLarge(limit)) => AcceptError::TooLarge(limit),
        UrlFetchError::Disk(error) => {
            warn!(event = "file_unwritten", %error, "a file cannot be written");
            AcceptError::Disk
        }
        unfetched => AcceptError::Unfetched(unfetched.to_string()),
    }
}

/// An encrypted file, which the library reads again from wherever an upload broke off.
struct EncryptedUpload(Spooled);

impl UploadSource for EncryptedUpload {
    fn len(&self) -> u64 {
        self.0.size
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.0.reader_from(offset)))
    }
}
