//! Serves files of messages: to who may read the tenant, whole or in part, as what their bytes are. Whatever a browser could run is for
//! download only.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;

use super::{
    App,
    auth::{For, ReadingFile},
    forward::ForwardableRequest,
    input::Path,
    openapi::{Gives, Operation},
    problem::Problem,
};
use crate::{
    fleet::FleetError,
    message::media::{FileName, StoredFile, is_document, is_shown, of_document, sniff, title},
    session::FileError,
};

/// The browser may show it, but it may do nothing: no script, no frame, no request.
const POLICY: &str =
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'none'; frame-ancestors 'self'; sandbox";

#[derive(Deserialize, JsonSchema)]
pub struct FilePath {
    /// As `media.url` of the message has it.
    file: String,
}

/// A file, or a part of it.
pub struct MediaAnswer(Response);

impl IntoResponse for MediaAnswer {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Gives for MediaAnswer {
    fn gives(operation: &mut Operation<'_>) {
        for status in [StatusCode::OK, StatusCode::PARTIAL_CONTENT] {
            operation.gives_body(status, "*/*", json_schema!({ "type": "string", "format": "binary" }));
        }
        operation.gives_nothing(StatusCode::NOT_MODIFIED);
        operation.gives_nothing(StatusCode::RANGE_NOT_SATISFIABLE);
        operation.may_fail(&[404, 422]);
    }
}

/// `GET /api/files/{session}/{file}`: the name of a file with an ending, which is for people.
pub async fn serve(
    State(app): State<App>,
    For { tenant, forwardable, .. }: For<ReadingFile>,
    Path(FilePath { file }): Path<FilePath>,
    headers: HeaderMap,
) -> Result<MediaAnswer, Problem> {
    let unknown = || Problem::from(FileError::Unknown);
    let name = file.rsplit_once('.').map_or(file.as_str(), |(name, _)| name);
    let name: FileName = name.parse().map_err(|_| unknown())?;
    let keeper = &app.fleet.env().media;
    // Without a look at the session: it may be closed, or another process's.
    let kept = match keeper.find(&tenant, &name).await.map_err(FileError::from)? {
        Some(kept) => kept,
        None => {
            // Its owner has it, or fetches it.
            ForwardableRequest::enter(forwardable.as_ref(), &tenant).await?;
            match app.fleet.open_known(&tenant).await {
                Ok(session) => session.file(&name).await?,
                Err(FleetError::Unknown | FleetError::NotOpen) => return Err(unknown()),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let tag = kept.tag();
    if matches(&headers, header::IF_NONE_MATCH, &tag) {
        return Ok(MediaAnswer((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()));
    }
    let ByteRangeAnswer { status, from, to } = wanted(&headers, &kept, &tag);
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        let range = [(header::CONTENT_RANGE, format!("bytes */{}", kept.size()))];
        return Ok(MediaAnswer((status, range).into_response()));
    }
    let bytes = keeper.read(&kept, from..to).await.map_err(FileError::from)?;
    let title = match app.fleet.serving_here(&tenant).await {
        Ok(Some(session)) => session.file_title(&name).await,
        _ => None,
    };
    let head = keeper.head(&kept).await.map_err(FileError::from)?;
    let shown = sniff(&head).filter(|kind| is_shown(kind));
    // Of what is for download the name may say what the bytes do not.
    let named = || of_document(&head, Some(title.as_deref().unwrap_or(&file))).filter(|kind| is_document(kind));
    let kind = shown.or_else(|| if head.is_empty() { None } else { named() });
    let shown = shown.is_some();
    let mut response = Response::new(Body::from_stream(bytes));
    *response.status_mut() = status;
    let to_set = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            to_set.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, kind.unwrap_or("application/octet-stream"));
    set(header::CONTENT_DISPOSITION, &disposition(shown, &file, title.as_deref()));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::CACHE_CONTROL, "private, max-age=3600");
    set(header::ACCEPT_RANGES, "bytes");
    set(header::ETAG, &tag);
    set(header::CONTENT_LENGTH, &(to - from).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(header::CONTENT_RANGE, &format!("bytes {from}-{}/{}", to - 1, kept.size()));
    }
    Ok(MediaAnswer(response))
}

/// The name that its sender gave to it, else the one that it has here. Clients that do not read the long form (RFC 6266) get it in plain
/// characters.
fn disposition(shown: bool, file: &str, title: Option<&str>) -> String {
    let kind = if shown { "inline" } else { "attachment" };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._- ()".contains(c);
    match title {
        None => format!("{kind}; filename=\"{}\"", file.chars().filter(|c| is_plain(*c)).collect::<String>()),
        Some(title) => {
            let name: String = title.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
            format!("{kind}; filename=\"{name}\"; filename*=UTF-8''{}", title::percent_encoded(title))
        }
    }
}

/// The bytes that are answered with.
#[derive(Debug, PartialEq, Eq)]
struct ByteRangeAnswer {
    status: StatusCode,
    from: u64,
    to: u64,
}

fn wanted(headers: &HeaderMap, kept: &StoredFile, tag: &str) -> ByteRangeAnswer {
    let size = kept.size();
    let whole = ByteRangeAnswer { status: StatusCode::OK, from: 0, to: size };
    // The part of another file than the one that is here now is of no use.
    if headers.contains_key(header::IF_RANGE) && !matches(headers, header::IF_RANGE, tag) {
        return whole;
    }
    match headers.get(header::RANGE).and_then(|range| range.to_str().ok()).and_then(|range| part(range, size)) {
        None => whole,
        Some(Some((from, to))) => ByteRangeAnswer { status: StatusCode::PARTIAL_CONTENT, from, to },
        Some(None) => ByteRangeAnswer { status: StatusCode::RANGE_NOT_SATISFIABLE, from: 0, to: 0 },
    }
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n` of so many. `None`: it is to be ignored, as several parts are (RFC 9110, 14.2); the inner one:
/// there is no such part.
fn part(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // One too large to be read is beyond the end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (from.trim(), to.trim()) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (from, "") => (number(from)?, size),
        (from, to) => {
            let (from, to) = (number(from)?, number(to)?);
            if to < from {
                return None;
            }
            (from, to.saturating_add(1).min(size))
        }
    };
    Some((from < to).then_some((from, to)))
}

fn matches(headers: &HeaderMap, name: header::HeaderName, tag: &str) -> bool {
    let given = headers.get_all(name);
    let mut given = given.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    given.any(|given| given.trim() == "*" || given.trim().trim_start_matches("W/") == tag)
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Unknown => Self::missing("unknown_file", "There is no such file"),
            FileError::Gone => Self::missing(
                "file_gone",
                "WhatsApp does not have the file any more, and the phone did not send it again",
            ),
            FileError::Damaged => Self::unprocessable("file_damaged", "The file is not the one that its message names"),
            FileError::TooLarge(_) => {
                Self::unprocessable("file_too_large", "The file is larger than what is kept here")
            }
            FileError::Offline => Self::unavailable("not_connected", "The session is not connected to WhatsApp"),
            FileError::Hosts => Self::unavailable("media_down", "WhatsApp's media hosts do not give the file"),
            FileError::Slow => Self::unavailable("file_coming", "The file is still being fetched"),
            FileError::TooMany { wait } => Self::too_many(wait),
            FileError::Storage => Self::unavailable("storage", "The place where files are kept cannot be used"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_to_what_there_is() {
        for (range, expected) in [
            ("bytes=0-3", Some(Some((0, 4)))),
            ("bytes=8-", Some(Some((8, 10)))),
            ("bytes=-3", Some(Some((7, 10)))),
            ("bytes=-99", Some(Some((0, 10)))),
            ("bytes=5-99", Some(Some((5, 10)))),
            ("bytes=0-99999999999999999999999", Some(Some((0, 10)))),
            ("bytes=10-", Some(None)),
            ("bytes=99999999999999999999999-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=6-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("lines=0-3", None),
            ("", None),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Some(None));
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        assert_eq!(disposition(false, "a\"; x=\r\n\"b.html", None), "attachment; filename=\"a xb.html\"");
        let own = disposition(true, "A_1@lid.pdf", Some("Menú \"2\".pdf"));
        assert_eq!(own, "inline; filename=\"Men_ _2_.pdf\"; filename*=UTF-8''Men%C3%BA%20%222%22.pdf");
    }
}
