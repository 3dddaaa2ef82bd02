//! Requests that bring a file: as JSON with a URL or base64, or as a form whose file is written away as it comes.
//!
//! A JSON body is whole in memory while it is read, so it is bounded, and there are few at a time; larger files come by form or URL. Nobody
//! has so many requests coming in that others must wait.

mod base64;
mod form;
mod json;
mod turns;

use std::{io, time::Duration};

use axum::{
    RequestExt as _,
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use futures::StreamExt as _;
use multer::{Constraints, Multipart, SizeLimit};
use schemars::json_schema;
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;

pub use self::base64::{decode, decode_small};
use self::{
    form::read_form,
    json::{Json, StatusJson, read_json},
    turns::UploadTurns,
};
use super::{
    App,
    auth::{Caller, For, RequestPlace, Scope, Sending},
    forward::ForwardableRequest,
    openapi::{Operation, Takes},
    problem::{FieldError, Problem},
};
use crate::{
    message::media::{Spool, SpoolWriter, Spooled},
    session::AcceptError,
    tenant::{InvalidTenantId, TenantId},
};

/// Bytes of a file in a JSON body.
const MAX_INLINE: u64 = 16 * 1024 * 1024;

/// Everything in a body but the file may be so large: it holds the longest caption, as other bodies do.
const MAX_REST: u64 = super::BODY_LIMIT as u64;

/// The forms of browsers that have no file.
const URLENCODED: &str = "application/x-www-form-urlencoded";

/// JSON bodies that are in memory at the same time, each for as long as it takes to read it.
static INLINE: Semaphore = Semaphore::const_new(4);

/// Requests with files that come in at the same time, each with a file on the disk: of all callers, and of one.
static COMING: UploadTurns = UploadTurns::new(64, 8);

/// Nothing comes.
const SILENCE: Duration = Duration::from_secs(30);

/// For a body to come whole.
const BODY_TIMEOUT: Duration = Duration::from_secs(600);

/// A request with a file, of somebody who may send for the tenant that it names.
pub struct IncomingFile {
    pub tenant: TenantId,
    pub form: UploadForm,
}

/// A request with the file of a status, of somebody who may send for the tenant in its path.
pub struct IncomingStatus {
    pub tenant: TenantId,
    pub form: UploadForm,
}

/// A request's content, however it was written.
#[derive(Debug, Default)]
pub struct UploadForm {
    session: Option<String>,
    pub chat_id: Option<String>,
    pub id: Option<String>,
    pub reply_to: Option<String>,
    /// Seconds.
    pub ttl: Option<u64>,
    /// A program says it, and no human.
    pub bot: bool,
    /// It comes as a human would write it.
    pub humanize: bool,
    pub caption: Option<String>,
    /// The people whom the caption mentions.
    pub mentions: Option<Vec<String>>,
    /// A round video.
    pub as_note: bool,
    pub convert: bool,
    pub mime: Option<String>,
    pub file_name: Option<String>,
    pub file: Option<Given>,
    /// The people whom a status is for.
    pub contacts: Option<Vec<String>>,
    pub background_color: Option<String>,
}

/// The file as it is given.
#[derive(Debug)]
pub enum Given {
    Url(String),
    Bytes(Spooled),
}

/// The kind of a body: one of two.
#[derive(Clone, Copy)]
enum Shape {
    Message,
    Status,
}

impl FromRequest<App> for IncomingFile {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        let caller: Caller = request.extract_parts().await?;
        let place = RequestPlace::of(request.extensions());
        let permit = Permit::Asked { caller: &caller, place };
        let form = come(request, app, &caller, Shape::Message, &permit).await?;
        // A body may have named none.
        let tenant = named_tenant(form.session.as_deref().unwrap_or_default())?;
        permit.ask(tenant.as_str()).await?;
        Ok(Self { tenant, form })
    }
}

impl Takes for IncomingFile {
    fn takes(operation: &mut Operation<'_>) {
        operation.needs(Scope::Send);
        operation.takes_json::<Json<'static>>();
        let text = json!({ "type": "string" });
        let form = json_schema!({
            "type": "object",
            "properties": {
                "session": text, "chatId": text, "id": text, "reply_to": text, "ttl": text, "bot": text, "humanize": text, "caption": text,
                "mentions": { "type": "array", "items": text }, "asNote": text, "convert": text,
                "mimetype": text, "filename": text, "url": text, "file": { "type": "string", "format": "binary" },
            },
            "required": ["session", "chatId"],
        });
        operation.takes_body("multipart/form-data", form);
        operation.may_fail(&[400, 413, 415, 422]);
    }
}

impl FromRequest<App> for IncomingStatus {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        let caller: Caller = request.extract_parts().await?;
        let For { tenant, .. }: For<Sending> = request.extract_parts().await?;
        let form = come(request, app, &caller, Shape::Status, &Permit::Given).await?;
        Ok(Self { tenant, form })
    }
}

impl Takes for IncomingStatus {
    fn takes(operation: &mut Operation<'_>) {
        For::<Sending>::takes(operation);
        operation.takes_json::<StatusJson<'static>>();
        let text = json!({ "type": "string" });
        let form = json_schema!({
            "type": "object",
            "properties": {
                "id": text, "contacts": { "type": "array", "items": text }, "caption": text, "backgroundColor": text, "convert": text,
                "mimetype": text, "filename": text, "url": text, "file": { "type": "string", "format": "binary" },
            },
        });
        operation.takes_body("multipart/form-data", form);
        operation.may_fail(&[400, 413, 415, 422]);
    }
}

/// All of a request, in its turn.
async fn come(
    request: Request,
    app: &App,
    caller: &Caller,
    shape: Shape,
    permit: &Permit<'_>,
) -> Result<UploadForm, Problem> {
    let _turn = COMING.take(caller).ok_or_else(busy)?;
    let media = &app.fleet.env().media;
    let reading = read(request, &media.spool, media.settings.max_sent, shape, permit);
    timeout(BODY_TIMEOUT, reading).await.map_err(|_| unfinished())?
}

/// The permission to send for a session: asked for as soon as the session is known, before a file is decoded or written.
enum Permit<'a> {
    /// By the path, and asked before.
    Given,
    Asked {
        caller: &'a Caller,
        place: RequestPlace,
    },
}

impl Permit<'_> {
    async fn ask(&self, session: &str) -> Result<(), Problem> {
        let Self::Asked { caller, place } = self else { return Ok(()) };
        let tenant = named_tenant(session)?;
        caller.permit(&tenant, Scope::Send)?;
        place.enter(&tenant).await
    }
}

fn named_tenant(session: &str) -> Result<TenantId, Problem> {
    session.parse().map_err(|error: InvalidTenantId| flaw("session", &error.to_string()))
}

async fn read(
    request: Request,
    spool: &Spool,
    max_sent: u64,
    shape: Shape,
    permit: &Permit<'_>,
) -> Result<UploadForm, Problem> {
    let kind = text_of(request.headers(), header::CONTENT_TYPE).to_owned();
    if let Ok(boundary) = multer::parse_boundary(&kind) {
        let stream = request.into_body().into_data_stream();
        let limits = SizeLimit::new().whole_stream(max_sent + MAX_REST);
        let form = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(limits));
        return read_form(form, spool, max_sent, permit).await;
    }
    if kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(URLENCODED)) {
        return Err(Problem::not_json(&kind));
    }
    let most = MAX_INLINE.min(max_sent);
    let limit = most.div_ceil(3) * 4 + MAX_REST;
    if content_length(request.headers()).is_some_and(|length| length > limit) {
        return Err(inline_too_large(most));
    }
    let forwardable = ForwardableRequest::of(request.extensions());
    // Onto the disk first: it may come slowly, and memory is for those that are there.
    let pen = spool.begin(limit).await.map_err(disk)?;
    let body = whole(request.into_body(), pen, most).await?;
    ForwardableRequest::keep_body(forwardable.as_ref(), &body);
    let _turn = INLINE.acquire().await;
    let body = body.read(0, usize::try_from(body.size).unwrap_or(usize::MAX)).await.map_err(disk)?;
    match shape {
        Shape::Message => read_json::<Json<'_>>(&body, spool, most, permit).await,
        Shape::Status => read_json::<StatusJson<'_>>(&body, spool, most, permit).await,
    }
}

async fn whole(body: Body, mut pen: SpoolWriter, most: u64) -> Result<Spooled, Problem> {
    let mut stream = body.into_data_stream();
    while let Some(chunk) = timeout(SILENCE, stream.next()).await.map_err(|_| unfinished())? {
        let chunk = chunk.map_err(|_| unfinished())?;
        pen.write(&chunk).await.map_err(disk)?.map_err(|_| inline_too_large(most))?;
    }
    pen.finish().await.map_err(disk)
}

async fn write(pen: &mut SpoolWriter, chunk: &[u8]) -> Result<(), Problem> {
    let written = pen.write(chunk).await.map_err(disk)?;
    written.map_err(|too_large| AcceptError::TooLarge(too_large.0).into())
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, header::CONTENT_LENGTH).parse().ok()
}

pub fn disk(error: io::Error) -> Problem {
    warn!(event = "file_unwritten", %error, "a file cannot be written");
    AcceptError::Disk.into()
}

fn unfinished() -> Problem {
    Problem::invalid("the body did not come to its end", Vec::new())
}

fn busy() -> Problem {
    Problem::unavailable("busy", "Too many files are coming in at once")
}

fn inline_too_large(most: u64) -> Problem {
    Problem::too_large(most, "a file in JSON; larger ones as multipart/form-data, or by url")
}

fn flaw(field: &'static str, message: &str) -> Problem {
    let message = message.to_owned();
    Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
}
