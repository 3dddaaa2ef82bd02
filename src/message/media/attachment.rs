//! A file to be sent: what a consumer says of it, and whether the bytes are what WhatsApp takes as that.

use serde::Serialize;

use super::{
    super::{
        Flaw,
        draft::{Mentions, fits},
    },
    kind,
};

/// The kind of message as which a file is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    Image,
    Video,
    /// A round, short film.
    VideoNote,
    Audio,
    /// Recorded speech.
    Voice,
    Document,
    Sticker,
    /// Whatever its bytes are.
    Any,
}

/// Where its bytes are from. With the same key, the same of these is the same message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Url(String),
    /// SHA-256, hex.
    Bytes(String),
}

/// A file to be sent, without its bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attachment {
    pub kind: AttachmentKind,
    pub origin: Origin,
    pub caption: String,
    pub file_name: Option<String>,
    /// As the consumer says. Believed of documents only.
    pub mime: Option<String>,
    /// The people that its caption mentions.
    #[serde(skip_serializing_if = "Mentions::is_empty")]
    pub mentions: Mentions,
}

/// The kind and type as which a file is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    pub kind: AttachmentKind,
    pub mime: String,
}

const MIB: u64 = 1024 * 1024;

const MAX_CAPTION: usize = 65_536;
const MAX_NAME: usize = 255;
const MAX_MIME: usize = 127;

impl AttachmentKind {
    /// Bytes that WhatsApp takes of it at the most; of documents it takes 2 GB.
    pub fn limit(self, configured: u64) -> u64 {
        match self {
            Self::Sticker => MIB.min(configured),
            Self::Image => (16 * MIB).min(configured),
            _ => configured,
        }
    }
}

impl Attachment {
    /// Whether it can be sent at all, before anything is known of its bytes.
    pub fn check(&self) -> Result<(), Flaw> {
        let flaw = |field, expected: &str| Err(Flaw { field, expected: expected.to_owned() });
        let line = |text: &str, most| !text.is_empty() && fits(text, most) && !text.chars().any(char::is_control);
        if !fits(&self.caption, MAX_CAPTION) {
            return flaw("caption", "at most 65536 characters");
        }
        if self.file_name.as_ref().is_some_and(|name| !line(name, MAX_NAME)) {
            return flaw("file.filename", "1 to 255 characters on one line");
        }
        let is_mime = |mime: &String| {
            let essence = mime.split(';').next().unwrap_or_default();
            let plain = |part: &str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
            };
            line(mime, MAX_MIME) && essence.split_once('/').is_some_and(|(kind, rest)| plain(kind) && plain(rest))
        };
        if self.mime.as_ref().is_some_and(|mime| !is_mime(mime)) {
            return flaw("file.mimetype", "a media type like image/jpeg");
        }
        Ok(())
    }

    /// Decides as what a file that begins with `head` is sent.
    pub fn fit(&self, head: &[u8]) -> Result<Fit, Flaw> {
        let found = kind::sniff(head);
        let is = |prefix: &str| found.is_some_and(|mime| mime.starts_with(prefix));
        let as_found = |kind| Ok(Fit { kind, mime: found.unwrap_or("application/octet-stream").to_owned() });
        let not = |expected: &str| {
            let found = found.unwrap_or("something else");
            Err(Flaw { field: "file", expected: format!("{expected}, not {found}") })
        };
        match self.kind {
            AttachmentKind::Image if is_picture(found) => as_found(AttachmentKind::Image),
            AttachmentKind::Image => not("must be a JPEG, PNG, WebP or GIF"),
            AttachmentKind::Sticker if found == Some("image/webp") => as_found(AttachmentKind::Sticker),
            AttachmentKind::Sticker => not("must be a WebP"),
            AttachmentKind::Video | AttachmentKind::VideoNote if is("video/") => as_found(self.kind),
            AttachmentKind::Video | AttachmentKind::VideoNote => not("must be a video"),
            AttachmentKind::Voice if found == Some("audio/ogg") => {
                Ok(Fit { kind: AttachmentKind::Voice, mime: "audio/ogg; codecs=opus".into() })
            }
            AttachmentKind::Audio | AttachmentKind::Voice if is("audio/") => as_found(self.kind),
            // Containers for films may hold sound alone.
            AttachmentKind::Audio | AttachmentKind::Voice if found == Some("video/mp4") => {
                Ok(Fit { kind: self.kind, mime: "audio/mp4".into() })
            }
            AttachmentKind::Audio | AttachmentKind::Voice => not("must be a sound"),
            AttachmentKind::Document => {
                // Programs say this of whatever they do not know.
                let said = self.mime.clone().filter(|mime| mime != "application/octet-stream");
                let found = || kind::of_document(head, self.file_name.as_deref()).unwrap_or("application/octet-stream");
                Ok(Fit { kind: AttachmentKind::Document, mime: said.unwrap_or_else(|| found().to_owned()) })
            }
            AttachmentKind::Any => {
                let kind = match found {
                    Some("image/jpeg" | "image/png") => AttachmentKind::Image,
                    Some("video/mp4") => AttachmentKind::Video,
                    Some(mime) if mime.starts_with("audio/") => AttachmentKind::Audio,
                    _ => AttachmentKind::Document,
                };
                Self { kind, ..self.clone() }.fit(head)
            }
        }
    }
}

fn is_picture(mime: Option<&str>) -> bool {
    matches!(mime, Some("image/jpeg" | "image/png" | "image/webp" | "image/gif"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";
    const OGG: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead";
    const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

    fn attachment(kind: AttachmentKind) -> Attachment {
        let origin = Origin::Bytes(String::new());
        let (caption, mentions) = (String::new(), Mentions::default());
        Attachment { kind, origin, caption, file_name: None, mime: None, mentions }
    }

    #[test]
    fn bytes_decide_and_not_what_is_said() {
        use AttachmentKind::{Any, Audio, Document, Image, Sticker, Video, Voice};
        for (kind, head, expected) in [
            (Image, JPEG, Some((Image, "image/jpeg"))),
            (Image, b"<svg onload=x()>".as_slice(), None),
            (Image, MP4, None),
            (Sticker, WEBP, Some((Sticker, "image/webp"))),
            (Sticker, JPEG, None),
            (Video, MP4, Some((Video, "video/mp4"))),
            (Video, JPEG, None),
            (Voice, OGG, Some((Voice, "audio/ogg; codecs=opus"))),
            (Audio, MP4, Some((Audio, "audio/mp4"))),
            (Audio, JPEG, None),
            (Document, b"plain", Some((Document, "text/plain"))),
            (Any, JPEG, Some((Image, "image/jpeg"))),
            (Any, WEBP, Some((Document, "text/plain"))),
            (Any, OGG, Some((Audio, "audio/ogg"))),
        ] {
            let said = Attachment { mime: Some("text/plain".into()), ..attachment(kind) };
            let found = said.fit(head).ok();
            assert_eq!(found, expected.map(|(kind, mime)| Fit { kind, mime: mime.into() }), "{kind:?}");
        }
    }

    #[test]
    fn a_document_of_no_kind_is_looked_at() {
        for mime in [None, Some("application/octet-stream".to_owned())] {
            let document = Attachment { mime, ..attachment(AttachmentKind::Any) };
            assert_eq!(document.fit(b"%PDF-1.4").unwrap().mime, "application/pdf");
        }
    }

    #[test]
    fn names_and_types_are_one_plain_line() {
        let document = || attachment(AttachmentKind::Document);
        for mime in ["", "x", "a/b\r\nc: d", "a b/c", "/x", "x/"] {
            assert!(Attachment { mime: Some(mime.into()), ..document() }.check().is_err(), "{mime:?}");
        }
        for name in ["", "a\nb", "a\0b"] {
            assert!(Attachment { file_name: Some(name.into()), ..document() }.check().is_err(), "{name:?}");
        }
        let mime = Some("text/plain; charset=utf-8".into());
        assert!(Attachment { mime, file_name: Some("Menú.pdf".into()), ..document() }.check().is_ok());
    }
}
