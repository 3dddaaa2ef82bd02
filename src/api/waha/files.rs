//! Sends files. What would have to be converted first is answered with 501: that needs ffmpeg, which is not here.

use axum::extract::State;

use super::{
    super::{
        App,
        answer::Created,
        input::IdempotencyKey,
        problem::Problem,
        upload::{Given, IncomingFile, UploadForm},
    },
    bare_id, flaw, humanize, mentions, recipient, send_refusal,
    sending::SendResult,
    ttl,
};
use crate::{
    message::{
        Acceptance, Draft, Mentions, SendRequest,
        media::{Attachment, AttachmentKind, Origin, sniff},
    },
    session::FileSource,
    tenant::TenantId,
    waha,
};

/// `POST /api/sendImage`
pub async fn image(State(app): State<App>, key: IdempotencyKey, incoming: IncomingFile) -> SendResult {
    send(&app, &key, incoming, AttachmentKind::Image).await
}

/// `POST /api/sendFile`
pub async fn file(State(app): State<App>, key: IdempotencyKey, incoming: IncomingFile) -> SendResult {
    send(&app, &key, incoming, AttachmentKind::Document).await
}

/// `POST /api/sendVoice`
pub async fn voice(State(app): State<App>, key: IdempotencyKey, incoming: IncomingFile) -> SendResult {
    send(&app, &key, incoming, AttachmentKind::Voice).await
}

/// `POST /api/sendVideo`
pub async fn video(State(app): State<App>, key: IdempotencyKey, incoming: IncomingFile) -> SendResult {
    send(&app, &key, incoming, AttachmentKind::Video).await
}

/// `POST /api/sendSticker`
pub async fn sticker(State(app): State<App>, key: IdempotencyKey, incoming: IncomingFile) -> SendResult {
    send(&app, &key, incoming, AttachmentKind::Sticker).await
}

async fn send(
    app: &App,
    key: &IdempotencyKey,
    IncomingFile { tenant, mut form }: IncomingFile,
    kind: AttachmentKind,
) -> SendResult {
    let chat_id = form.chat_id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| flaw("chatId", "is required"))?;
    let to = recipient(app, &tenant, chat_id).await?;
    let kind = if kind == AttachmentKind::Video && form.as_note { AttachmentKind::VideoNote } else { kind };
    let answers = form.reply_to.as_deref().filter(|id| !id.is_empty()).map(bare_id);
    let id = form.id.clone().filter(|id| !id.is_empty());
    let (form_ttl, from_bot, humanize) = (form.ttl, form.bot, humanize(Some(form.humanize)));
    let mentions = mentions(app, &tenant, form.mentions.take()).await?;
    let (attachment, source) = attachment(app, form, kind)?;
    let attachment = Attachment { mentions, ..attachment };
    let request =
        SendRequest { to, draft: Draft::File(attachment), answers, id, ttl: ttl(form_ttl)?, from_bot, humanize };
    let sent = app.fleet.send_file(&tenant, &request, source, key.as_deref()).await?.map_err(send_refusal)?;
    Ok(Created(accepted(app, &tenant, &sent)))
}

/// The file of a request, as what it is to be sent.
pub(super) fn attachment(
    app: &App,
    form: UploadForm,
    kind: AttachmentKind,
) -> Result<(Attachment, FileSource), Problem> {
    needs_no_ffmpeg(kind, &form)?;
    let given = form.file.ok_or_else(|| flaw("file", "a url, data in base64, or a part of a form is required"))?;
    let (origin, source) = source(app, given, "file.url")?;
    let caption = form.caption.unwrap_or_default();
    Ok((
        Attachment { kind, origin, caption, file_name: form.file_name, mime: form.mime, mentions: Mentions::default() },
        source,
    ))
}

/// A file as it is given, and as it is told from another one under the same key.
pub fn source(app: &App, given: Given, field: &'static str) -> Result<(Origin, FileSource), Problem> {
    match given {
        Given::Url(url) => {
            let checked = app.fleet.env().files_from.check(&url).map_err(|refusal| flaw(field, refusal.to_string()))?;
            Ok((Origin::Url(url), FileSource::At(checked)))
        }
        Given::Bytes(file) => Ok((Origin::Bytes(hex::encode(file.sha256)), FileSource::Here(file))),
    }
}

/// Refuses a file that is to be converted, and is not yet one that WhatsApp plays.
fn needs_no_ffmpeg(kind: AttachmentKind, form: &UploadForm) -> Result<(), Problem> {
    let wanted: &[&str] = match kind {
        AttachmentKind::Voice => &["audio/ogg"],
        AttachmentKind::Video | AttachmentKind::VideoNote => &["video/mp4"],
        _ => return Ok(()),
    };
    let is_it = match &form.file {
        Some(Given::Bytes(file)) => sniff(&file.head).is_some_and(|mime| wanted.contains(&mime)),
        // Before it is fetched, what is said of it.
        Some(Given::Url(_)) => {
            let said = form.mime.as_deref().unwrap_or_default();
            wanted.iter().any(|wanted| said.split(';').next() == Some(wanted))
        }
        None => true,
    };
    if form.convert && !is_it {
        let detail = format!("converting to {} needs ffmpeg, which is not here: send it in that form", wanted[0]);
        return Err(Problem::not_implemented(detail));
    }
    Ok(())
}

pub(super) fn accepted(app: &App, tenant: &TenantId, sent: &Acceptance) -> waha::WAMessage {
    let url = app.fleet.env().media.links.of(tenant, &sent.message);
    super::accepted(sent, url.as_deref())
}
