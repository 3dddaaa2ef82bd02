//! The request: a form with the source's files, each under its relative path, or JSON with the document in it.

use std::{io, time::Duration};

use axum::{
    RequestExt as _,
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use futures::StreamExt as _;
use multer::{Constraints, Field, Multipart, SizeLimit};
use schemars::json_schema;
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    folder::{UploadFolder, flaw},
    order::{ImportJson, ImportOrder, OrderForm},
};
use crate::{
    api::{
        App,
        auth::{Controlling, For},
        openapi::{Operation, Takes},
        problem::Problem,
        upload::disk,
    },
    import::ImportLimits,
    tenant::TenantId,
};

/// Imports at the same time, each with its source on the disk and a tenant in memory. One operator needs no more.
static COMING: Semaphore = Semaphore::const_new(2);

/// Nothing comes.
const SILENCE: Duration = Duration::from_secs(30);
/// For a body to come whole.
const PATIENCE: Duration = Duration::from_secs(900);
/// Bytes of a JSON body, which is in memory while it is taken apart. Larger sources come as a form.
const MAX_JSON: u64 = 16 << 20;
/// Bytes of a field of a form that is no file.
const MAX_FIELD: usize = 4096;
/// Parts' headings, and fields.
const MAX_REST: u64 = 64 << 20;
/// Names of parts that say nothing: the name of their file counts.
const UNNAMED: [&str; 2] = ["file", "files"];

pub struct ImportRequest {
    pub tenant: TenantId,
    pub order: ImportOrder,
    pub folder: UploadFolder,
    _turn: SemaphorePermit<'static>,
}

impl FromRequest<App> for ImportRequest {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        let For { tenant, .. }: For<Controlling> = request.extract_parts().await?;
        let turn = COMING.try_acquire().map_err(|_| Problem::unavailable("busy", "Other imports are coming in"))?;
        let env = app.fleet.env();
        let limits = ImportLimits::of_upload();
        let (home, reserve) = (env.sessions_dir.clone(), env.media.spool.reserve().clone());
        let making = tokio::task::spawn_blocking(move || UploadFolder::create(&home, reserve, limits));
        let folder = making.await.map_err(io::Error::other).map_err(disk)?.map_err(disk)?;
        let reading = read(request, folder, &limits);
        let (order, folder) = timeout(PATIENCE, reading).await.map_err(|_| unfinished())??;
        Ok(Self { tenant, order, folder, _turn: turn })
    }
}

impl Takes for ImportRequest {
    fn takes(operation: &mut Operation<'_>) {
        For::<Controlling>::takes(operation);
        operation.takes_json::<ImportJson<'static>>();
        let text = json!({ "type": "string" });
        let flag = json!({ "type": "string", "enum": ["true", "false"] });
        let form = json_schema!({
            "type": "object",
            "description": "Each file is a part of its own, named by its relative path; or called `files`, with its path as the file's name.",
            "properties": {
                "from": { "type": "string", "enum": ["baileys", "evolution", "waha", "whatsmeow", "rtdb", "firestore"] },
                "files": { "type": "array", "items": { "type": "string", "format": "binary" } },
                "stopped": flag, "connect": flag, "dryRun": flag, "expectedNumber": text, "name": text, "keys": text,
                "margin": { "type": "string", "pattern": "^[0-9]{1,4}$" },
            },
            "required": ["from", "files"],
        });
        operation.takes_body("multipart/form-data", form);
        operation.may_fail(&[400, 409, 413, 422]);
    }
}

async fn read(
    request: Request,
    mut folder: UploadFolder,
    limits: &ImportLimits,
) -> Result<(ImportOrder, UploadFolder), Problem> {
    let kind = text_of(request.headers(), header::CONTENT_TYPE).to_owned();
    if let Ok(boundary) = multer::parse_boundary(&kind) {
        let stream = request.into_body().into_data_stream();
        let whole = SizeLimit::new().whole_stream(limits.source_bytes + MAX_REST);
        let parts = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(whole));
        let order = read_form(parts, &mut folder, limits).await?;
        return Ok((order, folder));
    }
    let length = text_of(request.headers(), header::CONTENT_LENGTH).parse::<u64>();
    if length.is_ok_and(|length| length > MAX_JSON) {
        return Err(json_too_large());
    }
    let body = read_whole(request).await?;
    let (order, document) = ImportJson::parse(&body)?;
    let mut file = folder.file("document.json").await?;
    file.write(document.get().as_bytes()).await?;
    file.finish().await?;
    Ok((order, folder))
}

async fn read_whole(request: Request) -> Result<Bytes, Problem> {
    let mut stream = request.into_body().into_data_stream();
    let mut body = Vec::new();
    while let Some(chunk) = timeout(SILENCE, stream.next()).await.map_err(|_| unfinished())? {
        let chunk = chunk.map_err(|_| unfinished())?;
        if (body.len() + chunk.len()) as u64 > MAX_JSON {
            return Err(json_too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

async fn read_form(
    mut parts: Multipart<'_>,
    folder: &mut UploadFolder,
    limits: &ImportLimits,
) -> Result<ImportOrder, Problem> {
    let mut form = OrderForm::default();
    let mut fields = 0;
    loop {
        let next = timeout(SILENCE, parts.next_field()).await.map_err(|_| unfinished())?;
        let Some(mut part) = next.map_err(|error| malformed(&error, limits))? else { break };
        let name = part.name().unwrap_or_default().to_owned();
        let file_name = part.file_name().map(str::to_owned);
        if file_name.is_none() && OrderForm::FIELDS.contains(&&*name) {
            fields += 1;
            if fields > 4 * OrderForm::FIELDS.len() {
                return Err(Problem::invalid("the form has too many fields", Vec::new()));
            }
            let text = read_field(&mut part, limits).await?;
            form.set(&name, text);
            continue;
        }
        let path = match file_name {
            Some(file_name) if UNNAMED.contains(&&*name) || name.is_empty() => file_name,
            _ if UNNAMED.contains(&&*name) => return Err(flaw("files", "expected files, each with its name")),
            _ => name,
        };
        let mut file = folder.file(&path).await?;
        while let Some(chunk) = next_chunk(&mut part, limits).await? {
            file.write(&chunk).await?;
        }
        file.finish().await?;
    }
    form.finish()
}

async fn read_field(part: &mut Field<'_>, limits: &ImportLimits) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(chunk) = next_chunk(part, limits).await? {
        if text.len() + chunk.len() > MAX_FIELD {
            return Err(Problem::too_large(MAX_FIELD as u64, "a field of the form"));
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).map_err(|_| Problem::invalid("a field of the form: expected UTF-8", Vec::new()))
}

async fn next_chunk(part: &mut Field<'_>, limits: &ImportLimits) -> Result<Option<Bytes>, Problem> {
    let chunk = timeout(SILENCE, part.chunk()).await.map_err(|_| unfinished())?;
    chunk.map_err(|error| malformed(&error, limits))
}

fn malformed(error: &multer::Error, limits: &ImportLimits) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            Problem::too_large(limits.source_bytes, "the source")
        }
        _ => Problem::invalid("the form is not well-formed multipart/form-data", Vec::new()),
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn unfinished() -> Problem {
    Problem::invalid("the body did not come to its end", Vec::new())
}

fn json_too_large() -> Problem {
    Problem::too_large(MAX_JSON, "a source in JSON; larger ones as multipart/form-data")
}
