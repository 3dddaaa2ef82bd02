//! A file in a form, written away as it comes.

use multer::{Field, Multipart};
use tokio::time::timeout;

use super::{Given, MAX_REST, Permit, SILENCE, UploadForm, disk, flaw, given, unfinished, write};
use crate::{
    api::{input::no_utf8, problem::Problem},
    message::media::Spool,
    session::AcceptError,
};

/// For each part of a form. (A status may name 5,000 people, each in a part of some 20 bytes.)
const PART: u64 = 16;

pub(super) async fn read_form(
    mut parts: Multipart<'_>,
    spool: &Spool,
    max_sent: u64,
    permit: &Permit<'_>,
) -> Result<UploadForm, Problem> {
    let mut form = UploadForm::default();
    // All parts beside the file, and a little for each: many small ones are no less.
    let mut rest = 0;
    while let Some(mut part) =
        timeout(SILENCE, parts.next_field()).await.map_err(|_| unfinished())?.map_err(malformed)?
    {
        let name = part.name().unwrap_or_default().to_owned();
        rest += PART;
        if rest > MAX_REST {
            return Err(Problem::too_large(MAX_REST, "the form without its file"));
        }
        if name == "file" && (part.file_name().is_some() || part.content_type().is_some()) {
            if form.file.is_some() {
                return Err(flaw("file", "one file"));
            }
            let mime = part.content_type().map(ToString::to_string);
            form.mime = form.mime.or(mime.filter(|mime| mime != "application/octet-stream"));
            form.file_name = form.file_name.or(given(part.file_name().map(str::to_owned)));
            let mut pen = spool.begin(max_sent).await.map_err(disk)?;
            while let Some(chunk) = next(&mut part).await? {
                write(&mut pen, &chunk).await?;
            }
            form.file = Some(Given::Bytes(pen.finish().await.map_err(disk)?));
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = next(&mut part).await? {
            rest += chunk.len() as u64;
            if rest > MAX_REST {
                return Err(Problem::too_large(MAX_REST, "the form without its file"));
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).map_err(|_| no_utf8(name.clone()))?;
        match name.as_str() {
            "session" => {
                permit.ask(&text).await?;
                form.session = Some(text);
            }
            "chatId" => form.chat_id = Some(text),
            "id" => form.id = Some(text),
            "reply_to" | "replyTo" => form.reply_to = Some(text),
            "ttl" => form.ttl = Some(text.parse().map_err(|_| flaw("ttl", "expected seconds, one at least"))?),
            "caption" => form.caption = Some(text),
            "mentions" | "mentions[]" => form.mentions.get_or_insert_default().push(text),
            "bot" => form.bot = is_yes("bot", &text)?,
            "humanize" => form.humanize = is_yes("humanize", &text)?,
            "asNote" => form.as_note = is_yes("asNote", &text)?,
            "convert" => form.convert = is_yes("convert", &text)?,
            "contacts" | "contacts[]" => form.contacts.get_or_insert_default().push(text),
            "backgroundColor" => form.background_color = Some(text),
            "mimetype" => form.mime = given(Some(text)),
            "filename" => form.file_name = given(Some(text)),
            "url" => form.file = given(Some(text)).map(Given::Url).or(form.file),
            _ => {}
        }
    }
    Ok(form)
}

/// A form has texts alone, and each language has its own for yes: Python writes `True`. One that is neither is a mistake, and no "no".
fn is_yes(field: &'static str, text: &str) -> Result<bool, Problem> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(flaw(field, "expected true or false")),
    }
}

async fn next(part: &mut Field<'_>) -> Result<Option<axum::body::Bytes>, Problem> {
    timeout(SILENCE, part.chunk()).await.map_err(|_| unfinished())?.map_err(malformed)
}

fn malformed(error: multer::Error) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { limit } | multer::Error::FieldSizeExceeded { limit, .. } => {
            AcceptError::TooLarge(limit.saturating_sub(MAX_REST)).into()
        }
        _ => Problem::invalid("the form is not well-formed multipart/form-data", Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_in_whichever_form() {
        for text in ["true", "True", "TRUE", "1", " true\n"] {
            assert_eq!(is_yes("asNote", text).ok(), Some(true), "{text:?}");
        }
        for text in ["false", "False", "0", ""] {
            assert_eq!(is_yes("asNote", text).ok(), Some(false), "{text:?}");
        }
        for text in ["yes", "2", "nope"] {
            assert!(is_yes("asNote", text).is_err(), "{text:?}");
        }
    }
}
