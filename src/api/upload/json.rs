//! A file in a JSON body: at a URL, or as base64. What a body has is borrowed from it, since most of it is the file.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value, json};

use super::{Given, Permit, UploadForm, base64::decode, disk, flaw, given};
use crate::{
    api::problem::{FieldError, Problem},
    message::media::Spool,
    tenant::TenantId,
};

/// A picture of one pixel.
const EXAMPLE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// A file to send.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// A field with a default is none that must be there, as the derive sees it.
#[schemars(rename = "SendFileRequest", extend("required" = ["session", "chatId", "file"]))]
pub(super) struct Json<'a> {
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
    /// Seconds that it may wait to be sent; after that it has failed. At the most, and without it, as many as the daemon allows (a day).
    #[schemars(range(min = 1))]
    ttl: Option<u64>,
    /// A program says it, and no human: the bot stays in the chat.
    bot: Option<bool>,
    /// It comes as a human would write it: what came is marked as read, somebody types for a while, then it goes. Without it: at once.
    humanize: Option<bool>,
    caption: Option<String>,
    /// Chat ids of people, whom the caption names as `@number`; `all`: all of a group, named as `@all`.
    mentions: Option<Vec<String>>,
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
pub(super) struct StatusJson<'a> {
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
pub(super) type UploadParts<'a> = (UploadForm, Option<JsonFile<'a>>);

impl<'a> From<Json<'a>> for UploadParts<'a> {
    fn from(json: Json<'a>) -> Self {
        let form = UploadForm {
            session: json.session,
            chat_id: json.chat_id,
            id: json.id,
            reply_to: json.reply_to,
            ttl: json.ttl,
            bot: json.bot.unwrap_or(false),
            humanize: json.humanize.unwrap_or(false),
            caption: json.caption,
            mentions: json.mentions,
            as_note: json.as_note.unwrap_or(false),
            convert: json.convert.unwrap_or(false),
            ..UploadForm::default()
        };
        (form, json.file)
    }
}

impl<'a> From<StatusJson<'a>> for UploadParts<'a> {
    fn from(json: StatusJson<'a>) -> Self {
        let form = UploadForm {
            id: json.id,
            contacts: json.contacts,
            caption: json.caption,
            background_color: json.background_color,
            convert: json.convert.unwrap_or(false),
            ..UploadForm::default()
        };
        (form, json.file)
    }
}

/// A file: at a URL, or as base64.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FileToSend", example = json!({ "mimetype": "image/png", "filename": "menu.png", "data": EXAMPLE }))]
pub(super) struct JsonFile<'a> {
    /// Of documents; of other kinds the bytes say it.
    mimetype: Option<TextOrNothing>,
    filename: Option<TextOrNothing>,
    /// Its URL, or else:
    url: Option<String>,
    /// Base64, of at most 16 MiB. Borrowed from the body where it can be: it is most of it.
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// A text. For recordings and films WAHA's document has an object here, and so have the clients that were made from it: an empty one says
/// nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum TextOrNothing {
    Text(String),
    Nothing(Map<String, Value>),
}

impl TextOrNothing {
    fn text(self, field: &'static str) -> Result<Option<String>, Problem> {
        match self {
            Self::Text(text) => Ok(given(Some(text))),
            Self::Nothing(object) if object.is_empty() => Ok(None),
            Self::Nothing(_) => Err(flaw(field, "expected a text")),
        }
    }
}

/// Of a body whose other fields may be wrong.
#[derive(Deserialize)]
struct SessionOnly {
    session: Option<String>,
}

pub(super) async fn read_json<'a, J: Deserialize<'a> + Into<UploadParts<'a>>>(
    body: &'a [u8],
    spool: &Spool,
    most: u64,
    permit: &Permit<'_>,
) -> Result<UploadForm, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let parsed = object::<J, _>(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let parsed = parsed.and_then(|parsed| json.end().map(|()| parsed)).map_err(|error| {
        let (field, message) = (track.path().to_string(), error.to_string());
        Problem::invalid(format!("{field}: {message}"), vec![FieldError { field: field.into(), message }])
    });
    let parsed = match parsed {
        Err(problem) => {
            // Whether there is such a session at all comes first.
            if let Ok(SessionOnly { session: Some(session) }) = serde_json::from_slice(body) {
                permit.ask(&session).await?;
            }
            return Err(problem);
        }
        Ok(parsed) => parsed,
    };
    let parsed = parsed.ok_or_else(|| Problem::invalid("the body: expected an object", Vec::new()))?;
    let (mut form, file) = parsed.into();
    permit.ask(form.session.as_deref().unwrap_or_default()).await?;
    if let Some(file) = file {
        form.mime = file.mimetype.map(|said| said.text("file.mimetype")).transpose()?.flatten();
        form.file_name = file.filename.map(|said| said.text("file.filename")).transpose()?.flatten();
        form.file = match (given(file.url), file.data.filter(|data| !data.is_empty())) {
            (Some(_), Some(_)) => return Err(flaw("file", "either url or data")),
            (Some(url), None) => Some(Given::Url(url)),
            (None, Some(data)) => {
                let pen = spool.begin(most).await.map_err(disk)?;
                Some(Given::Bytes(decode(&data, pen, "file.data").await?))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_an_object_and_so_is_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().into(), 0).unwrap();
        let read = async |body: &str| read_json::<Json<'_>>(body.as_bytes(), &spool, 1000, &Permit::Given).await;
        let form = read(r#"{"session":"a","file":{"data":"aGVs\/w==","url":null}}"#).await.unwrap();
        assert!(matches!(form.file, Some(Given::Bytes(file)) if file.size == 4));
        assert!(read(r#"{"session":"a","file":null}"#).await.unwrap().file.is_none());
        let form = read(r#"{"session":"a","file":{"data":"aGVs","mimetype":{},"filename":{}}}"#).await.unwrap();
        assert_eq!((form.mime, form.file_name), (None, None));
        let form =
            read(r#"{"session":"a","file":{"data":"aGVs","mimetype":"audio/ogg","filename":""}}"#).await.unwrap();
        assert_eq!((form.mime.as_deref(), form.file_name), (Some("audio/ogg"), None));
        for body in [
            "",
            "[]",
            "null",
            r#"["a"]"#,
            r#"{"session":"a","file":["x","y"]}"#,
            r#"{"session":"a"} x"#,
            r#"{"session":5}"#,
            r#"{"session":"a","file":{"data":"aGVs","mimetype":5}}"#,
            r#"{"session":"a","file":{"data":"aGVs","mimetype":[]}}"#,
            r#"{"session":"a","file":{"data":"aGVs","mimetype":{"of":"a song"}}}"#,
        ] {
            assert!(read(body).await.is_err(), "{body}");
        }
    }
}
