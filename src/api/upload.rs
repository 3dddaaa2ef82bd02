//! Requests that bring a file: as JSON with a URL or base64, or as a form whose file is written away as it comes.
//!
//! A JSON body is whole in memory while it is read, so it is bounded, and there are few at a time; larger files come by form or URL. Nobody
//! has so many requests coming in that others must wait.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    io::{self, Read as _},
    marker::PhantomData,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    RequestExt as _,
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    read::DecoderReader,
};
use futures::StreamExt as _;
use multer::{Constraints, Field, Multipart, SizeLimit};
use schemars::{JsonSchema, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;

use super::{
    App,
    auth::{Caller, For, Scope, Sending},
    openapi::{Operation, Takes},
    problem::{FieldError, Problem},
};
use crate::{
    message::media::{Pen, Spool, Spooled},
    session::RefusedSend,
    tenant::{InvalidTenantId, TenantId},
};

/// A picture of one pixel.
const EXAMPLE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// Bytes of a file in a JSON body.
const MAX_INLINE: u64 = 16 * 1024 * 1024;

/// Of everything in a body that is not the file.
const MAX_REST: u64 = 256 * 1024;

/// JSON bodies that are in memory at the same time, each for as long as it takes to read it.
static INLINE: Semaphore = Semaphore::const_new(4);

/// Requests with files that come in at the same time, each with a file on the disk: of all callers, and of one.
static COMING: Turns = Turns::new(64, 8);

/// Nothing comes.
const SILENCE: Duration = Duration::from_secs(30);

/// For a body to come whole.
const PATIENCE: Duration = Duration::from_secs(600);

/// A request with a file, of somebody who may send for the tenant that it names.
pub struct Incoming {
    pub tenant: TenantId,
    pub form: Form,
}

/// A request with the file of a status, of somebody who may send for the tenant in its path.
pub struct IncomingStatus {
    pub tenant: TenantId,
    pub form: Form,
}

/// What a request says, however it was written.
#[derive(Debug, Default)]
pub struct Form {
    session: Option<String>,
    pub chat_id: Option<String>,
    pub id: Option<String>,
    pub reply_to: Option<String>,
    pub caption: Option<String>,
    /// A round video.
    pub as_note: bool,
    pub convert: bool,
    pub mime: Option<String>,
    pub file_name: Option<String>,
    pub file: Option<Given>,
    /// Whom a status is for.
    pub contacts: Option<Vec<String>>,
    pub background_color: Option<String>,
}

/// The file as it is given.
#[derive(Debug)]
pub enum Given {
    Url(String),
    Bytes(Spooled),
}

/// A file to send.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// A field with a default is none that must be there, as the derive sees it.
#[schemars(rename = "SendFileRequest", extend("required" = ["session", "chatId", "file"]))]
struct Json<'a> {
    #[schemars(with = "TenantId")]
    session: Option<String>,
    #[schemars(required, example = "573009998877@c.us")]
    chat_id: Option<String>,
    /// The client's own name for the message: WhatsApp's id of it.
    #[schemars(length(min = 8, max = 64), regex(pattern = "^[A-Za-z0-9]+$"))]
    id: Option<String>,
    /// The id of the message that it answers.
    #[serde(rename = "reply_to", alias = "replyTo")]
    reply_to: Option<String>,
    caption: Option<String>,
    /// A round video.
    as_note: Option<bool>,
    /// Into what WhatsApp plays, where it is not that already: refused, since there is no ffmpeg here.
    convert: Option<bool>,
    #[serde(borrow, default, deserialize_with = "object")]
    #[schemars(required)]
    file: Option<JsonFile<'a>>,
}

/// A file to show as a status.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FileStatus", extend("required" = ["file"]))]
struct StatusJson<'a> {
    /// The client's own name for the status: WhatsApp's id of it.
    #[schemars(length(min = 8, max = 64), regex(pattern = "^[A-Za-z0-9]+$"))]
    id: Option<String>,
    /// Chat ids of those whom it is for; without them everybody whom the tenant knows.
    #[schemars(length(min = 1, max = 5000), example = ["573009998877@c.us"])]
    contacts: Option<Vec<String>>,
    /// Of pictures and films.
    caption: Option<String>,
    /// Of recordings.
    #[schemars(regex(pattern = "^#?([0-9A-Fa-f]{2})?[0-9A-Fa-f]{6}$"), example = "#38b42f")]
    background_color: Option<String>,
    /// Into what WhatsApp plays, where it is not that already: refused, since there is no ffmpeg here.
    convert: Option<bool>,
    #[serde(borrow, default, deserialize_with = "object")]
    #[schemars(required)]
    file: Option<JsonFile<'a>>,
}

/// A body, and the file in it.
type Parts<'a> = (Form, Option<JsonFile<'a>>);

impl<'a> From<Json<'a>> for Parts<'a> {
    fn from(json: Json<'a>) -> Self {
        let form = Form {
            session: json.session,
            chat_id: json.chat_id,
            id: json.id,
            reply_to: json.reply_to,
            caption: json.caption,
            as_note: json.as_note.unwrap_or(false),
            convert: json.convert.unwrap_or(false),
            ..Form::default()
        };
        (form, json.file)
    }
}

impl<'a> From<StatusJson<'a>> for Parts<'a> {
    fn from(json: StatusJson<'a>) -> Self {
        let form = Form {
            id: json.id,
            contacts: json.contacts,
            caption: json.caption,
            background_color: json.background_color,
            convert: json.convert.unwrap_or(false),
            ..Form::default()
        };
        (form, json.file)
    }
}

/// Which of the two bodies it is.
#[derive(Clone, Copy)]
enum Shape {
    Message,
    Status,
}

/// A file: at a URL, or as base64.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FileToSend", example = json!({ "mimetype": "image/png", "filename": "menu.png", "data": EXAMPLE }))]
struct JsonFile<'a> {
    /// Of documents; of other kinds the bytes say it.
    mimetype: Option<String>,
    filename: Option<String>,
    /// Where it is, or else:
    url: Option<String>,
    /// Base64, of at most 16 MiB. Borrowed from the body where it can be: it is most of it.
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

impl FromRequest<App> for Incoming {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        let caller: Caller = request.extract_parts().await?;
        let permitted = |session: &str| {
            let tenant = session.parse().map_err(|error: InvalidTenantId| flaw("session", &error.to_string()))?;
            caller.permit(&tenant, Scope::Send)?;
            Ok(tenant)
        };
        let form = come(request, app, &caller, Shape::Message, &permitted).await?;
        let tenant = permitted(form.session.as_deref().unwrap_or_default())?;
        Ok(Self { tenant, form })
    }
}

impl Takes for Incoming {
    fn takes(operation: &mut Operation<'_>) {
        operation.needs(Scope::Send);
        operation.takes_json::<Json<'static>>();
        let text = json!({ "type": "string" });
        let form = json_schema!({
            "type": "object",
            "properties": {
                "session": text, "chatId": text, "id": text, "reply_to": text, "caption": text, "asNote": text, "convert": text,
                "mimetype": text, "filename": text, "url": text, "file": { "type": "string", "format": "binary" },
            },
            "required": ["session", "chatId"],
        });
        operation.takes_body("multipart/form-data", form);
        operation.may_fail(&[400, 413, 422]);
    }
}

impl FromRequest<App> for IncomingStatus {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        let caller: Caller = request.extract_parts().await?;
        let For { tenant, .. }: For<Sending> = request.extract_parts().await?;
        let form = come(request, app, &caller, Shape::Status, &|_| Ok(tenant.clone())).await?;
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
        operation.may_fail(&[400, 413, 422]);
    }
}

/// All of a request, in its turn.
async fn come(request: Request, app: &App, caller: &Caller, shape: Shape, permit: Permit<'_>) -> Result<Form, Problem> {
    let _turn = COMING.take(caller).ok_or_else(busy)?;
    let media = &app.fleet.env().media;
    let reading = read(request, &media.spool, media.settings.max_sent, shape, permit);
    timeout(PATIENCE, reading).await.map_err(|_| unfinished())?
}

/// Whether it may be sent for a session: asked as soon as that is known, before a file is decoded or written.
type Permit<'a> = &'a (dyn Fn(&str) -> Result<TenantId, Problem> + Send + Sync);

async fn read(
    request: Request,
    spool: &Spool,
    max_sent: u64,
    shape: Shape,
    permit: Permit<'_>,
) -> Result<Form, Problem> {
    let kind = text_of(request.headers(), header::CONTENT_TYPE).to_owned();
    if let Ok(boundary) = multer::parse_boundary(&kind) {
        let stream = request.into_body().into_data_stream();
        let limits = SizeLimit::new().whole_stream(max_sent + MAX_REST);
        let form = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(limits));
        return read_form(form, spool, max_sent, permit).await;
    }
    let most = MAX_INLINE.min(max_sent);
    let limit = most.div_ceil(3) * 4 + MAX_REST;
    if content_length(request.headers()).is_some_and(|length| length > limit) {
        return Err(inline_too_large(most));
    }
    // Onto the disk first: it may come slowly, and memory is for those that are there.
    let body = whole(request.into_body(), spool.pen(limit).map_err(disk)?, most).await?;
    let _turn = INLINE.acquire().await;
    let body = body.read(0, usize::try_from(body.size).unwrap_or(usize::MAX)).await.map_err(disk)?;
    match shape {
        Shape::Message => read_json::<Json<'_>>(&body, spool, most, permit).await,
        Shape::Status => read_json::<StatusJson<'_>>(&body, spool, most, permit).await,
    }
}

async fn whole(body: Body, mut pen: Pen, most: u64) -> Result<Spooled, Problem> {
    let mut stream = body.into_data_stream();
    while let Some(chunk) = timeout(SILENCE, stream.next()).await.map_err(|_| unfinished())? {
        let chunk = chunk.map_err(|_| unfinished())?;
        pen.write(&chunk).await.map_err(disk)?.map_err(|_| inline_too_large(most))?;
    }
    pen.finish().await.map_err(disk)
}

async fn read_json<'a, J: Deserialize<'a> + Into<Parts<'a>>>(
    body: &'a [u8],
    spool: &Spool,
    most: u64,
    permit: Permit<'_>,
) -> Result<Form, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let parsed = object::<J, _>(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let parsed = parsed.and_then(|parsed| json.end().map(|()| parsed)).map_err(|error| {
        let (field, message) = (track.path().to_string(), error.to_string());
        Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
    })?;
    let parsed = parsed.ok_or_else(|| Problem::invalid("the body: expected an object", Vec::new()))?;
    let (mut form, file) = parsed.into();
    permit(form.session.as_deref().unwrap_or_default())?;
    if let Some(file) = file {
        (form.mime, form.file_name) = (given(file.mimetype), given(file.filename));
        form.file = match (given(file.url), file.data.filter(|data| !data.is_empty())) {
            (Some(_), Some(_)) => return Err(flaw("file", "either url or data")),
            (Some(url), None) => Some(Given::Url(url)),
            (None, Some(data)) => Some(Given::Bytes(decode(&data, spool.pen(most).map_err(disk)?).await?)),
            (None, None) => None,
        };
    }
    Ok(form)
}

/// An object, or null; serde would take a list for one, its fields in their order. What it has is borrowed.
fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    value.deserialize_any(Object(PhantomData))
}

/// From base64, in whichever form programs write it: with or without padding, broken into lines, as a `data:` URL.
async fn decode(text: &str, mut pen: Pen) -> Result<Spooled, Problem> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").ok_or_else(|| flaw("file.data", "expected base64"))?.1,
        None => text,
    };
    let mut decoder = DecoderReader::new(Unbroken(text.as_bytes()), &ENGINE);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = decoder.read(&mut piece).map_err(|_| flaw("file.data", "expected base64"))?;
        if read == 0 {
            return pen.finish().await.map_err(disk);
        }
        write(&mut pen, &piece[..read]).await?;
    }
}

/// Reads over line breaks and blanks.
struct Unbroken<'a>(&'a [u8]);

impl io::Read for Unbroken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len()
            && let Some((first, rest)) = self.0.split_first()
        {
            self.0 = rest;
            if !first.is_ascii_whitespace() {
                buffer[read] = *first;
                read += 1;
            }
        }
        Ok(read)
    }
}

async fn read_form(
    mut parts: Multipart<'_>,
    spool: &Spool,
    max_sent: u64,
    permit: Permit<'_>,
) -> Result<Form, Problem> {
    let mut form = Form::default();
    while let Some(mut part) =
        timeout(SILENCE, parts.next_field()).await.map_err(|_| unfinished())?.map_err(malformed)?
    {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" && (part.file_name().is_some() || part.content_type().is_some()) {
            if form.file.is_some() {
                return Err(flaw("file", "one file"));
            }
            let mime = part.content_type().map(ToString::to_string);
            form.mime = form.mime.or(mime.filter(|mime| mime != "application/octet-stream"));
            form.file_name = form.file_name.or(given(part.file_name().map(str::to_owned)));
            let mut pen = spool.pen(max_sent).map_err(disk)?;
            while let Some(chunk) = next(&mut part).await? {
                write(&mut pen, &chunk).await?;
            }
            form.file = Some(Given::Bytes(pen.finish().await.map_err(disk)?));
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = next(&mut part).await? {
            text.extend_from_slice(&chunk);
            if text.len() as u64 > MAX_REST {
                return Err(flaw("caption", "at most 65536 bytes"));
            }
        }
        let text =
            String::from_utf8(text).map_err(|_| Problem::invalid(format!("{name}: expected UTF-8"), Vec::new()))?;
        match name.as_str() {
            "session" => {
                permit(&text)?;
                form.session = Some(text);
            }
            "chatId" => form.chat_id = Some(text),
            "id" => form.id = Some(text),
            "reply_to" | "replyTo" => form.reply_to = Some(text),
            "caption" => form.caption = Some(text),
            "asNote" => form.as_note = text == "true",
            "convert" => form.convert = text == "true",
            "contacts" => form.contacts.get_or_insert_default().push(text),
            "backgroundColor" => form.background_color = Some(text),
            "mimetype" => form.mime = given(Some(text)),
            "filename" => form.file_name = given(Some(text)),
            "url" => form.file = given(Some(text)).map(Given::Url).or(form.file),
            _ => {}
        }
    }
    Ok(form)
}

async fn next(part: &mut Field<'_>) -> Result<Option<axum::body::Bytes>, Problem> {
    timeout(SILENCE, part.chunk()).await.map_err(|_| unfinished())?.map_err(malformed)
}

async fn write(pen: &mut Pen, chunk: &[u8]) -> Result<(), Problem> {
    let written = pen.write(chunk).await.map_err(disk)?;
    written.map_err(|too_large| RefusedSend::TooLarge(too_large.0).into())
}

/// Who has how many requests coming in: so that one who sends slowly does not keep the others out.
struct Turns {
    taken: Mutex<BTreeMap<String, usize>>,
    all: usize,
    each: usize,
}

/// Given back when it is dropped.
struct Turn<'a> {
    turns: &'a Turns,
    who: String,
}

impl Turns {
    const fn new(all: usize, each: usize) -> Self {
        Self { taken: Mutex::new(BTreeMap::new()), all, each }
    }

    fn take(&self, caller: &Caller) -> Option<Turn<'_>> {
        let who = match caller {
            Caller::Admin | Caller::Anyone => String::new(),
            Caller::Key(key) => format!("key {}", key.id),
            Caller::User { uid, .. } => format!("user {uid}"),
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (sum, own) = (taken.values().sum::<usize>(), taken.get(&who).copied().unwrap_or(0));
        // The operator's key may be a backend's, which sends for all tenants.
        let each = if who.is_empty() { self.all / 2 } else { self.each };
        if sum >= self.all || own >= each {
            return None;
        }
        *taken.entry(who.clone()).or_insert(0) += 1;
        Some(Turn { turns: self, who })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
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

fn malformed(error: multer::Error) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { limit } | multer::Error::FieldSizeExceeded { limit, .. } => {
            RefusedSend::TooLarge(limit.saturating_sub(MAX_REST)).into()
        }
        _ => Problem::invalid("the form is not well-formed multipart/form-data", Vec::new()),
    }
}

fn disk(error: io::Error) -> Problem {
    warn!(%error, "a file cannot be written");
    RefusedSend::Disk.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn decoded(text: &str) -> Option<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let pen = Spool::new(folder.path().into()).unwrap().pen(1000).unwrap();
        decode(text, pen).await.ok()?.read(0, 1000).await.ok()
    }

    #[test]
    fn nobody_takes_all_turns() {
        use std::{collections::BTreeSet, sync::Arc};
        let turns = Turns::new(4, 2);
        let user = |uid: &str| Caller::User { uid: uid.into(), tenants: Arc::<BTreeSet<_>>::default() };
        let mut first: Vec<_> = (0..3).map(|_| turns.take(&user("ana"))).collect();
        assert!(first.pop().unwrap().is_none());
        let second = turns.take(&user("luis"));
        assert!(second.is_some() && turns.take(&Caller::Admin).is_some());
        drop(first);
        assert!(turns.take(&user("ana")).is_some());
        drop(second);
        assert!(turns.taken.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_is_an_object_and_so_is_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().into()).unwrap();
        let permit = |session: &str| Ok(session.parse().unwrap());
        let read = async |body: &str| read_json::<Json<'_>>(body.as_bytes(), &spool, 1000, &permit).await;
        let form = read(r#"{"session":"a","file":{"data":"aGVs\/w==","url":null}}"#).await.unwrap();
        assert!(matches!(form.file, Some(Given::Bytes(file)) if file.size == 4));
        assert!(read(r#"{"session":"a","file":null}"#).await.unwrap().file.is_none());
        for body in [
            "",
            "[]",
            "null",
            r#"["a"]"#,
            r#"{"session":"a","file":["x","y"]}"#,
            r#"{"session":"a"} x"#,
            r#"{"session":5}"#,
        ] {
            assert!(read(body).await.is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn base64_in_whichever_form() {
        for text in ["aGVsbG8=", "aGVsbG8", "aGVs\r\nbG8=\n", " aGVsbG8= ", "data:text/plain;base64,aGVsbG8="] {
            assert_eq!(decoded(text).await.as_deref(), Some(b"hello".as_slice()), "{text:?}");
        }
        for text in ["a", "!!!!", "aGVsbG8=aGVs", "data:text/plain,hello", "aGVsbG8=="] {
            assert_eq!(decoded(text).await, None, "{text:?}");
        }
        assert_eq!(decoded(&"AAAA".repeat(1000)).await, None);
    }
}
