//! Recognises a file's type by its first bytes, never by a sender's word.

/// So many of a file's first bytes say what it is.
pub const HEAD: usize = 4096;

/// The media type, as the first bytes show it; `None` when they do not.
pub fn sniff(head: &[u8]) -> Option<&'static str> {
    let found = infer::get(head)?.mime_type();
    Some(match found {
        "audio/m4a" => "audio/mp4",
        "video/x-m4v" => "video/mp4",
        "audio/opus" => "audio/ogg",
        "audio/x-wav" => "audio/wav",
        other => other,
    })
}

/// Whether a browser may show it where it is: pictures, sound and films, which run nothing. Everything else is for download only.
pub fn is_shown(mime: &str) -> bool {
    matches!(mime, "image/jpeg" | "image/png" | "image/gif" | "image/webp" | "image/avif" | "image/heif" | "image/bmp")
        || mime.starts_with("video/")
        || mime.starts_with("audio/")
}

/// Media types and the endings of their files; the first of a type, or of an ending, is the one that is meant.
const ENDINGS: &[(&str, &str)] = &[
    ("image/jpeg", "jpeg"),
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpeg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("video/mp4", "mp4"),
    ("video/3gpp", "3gp"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("audio/ogg", "oga"),
    ("audio/ogg", "ogg"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/wav", "wav"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/json", "json"),
    ("application/xml", "xml"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("text/plain", "txt"),
    ("text/csv", "csv"),
    ("text/vcard", "vcf"),
    ("text/x-vcard", "vcf"),
];

/// The ending of a file's name for what a message says that it is.
pub fn ending(mime: &str) -> &'static str {
    let essence = mime.split(';').next().unwrap_or(mime).trim();
    ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(essence)).map_or("bin", |(_, ending)| ending)
}

/// The MIME type by a document's name, where its bytes say none.
pub fn of_name(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    ENDINGS.iter().find(|(_, known)| known.eq_ignore_ascii_case(ending)).map(|(mime, _)| *mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_is_not_shown() {
        for active in [
            b"<html><script>alert(1)</script>".as_slice(),
            b"<!DOCTYPE html><p>",
            b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x()\"/>",
            b"<svg onload=x()>",
            b"%PDF-1.7",
            b"#!/bin/sh",
            b"MZ\x90\0",
            b"plain",
            b"",
        ] {
            assert!(!sniff(active).is_some_and(is_shown), "{active:?}");
        }
    }

    #[test]
    fn endings_are_for_people() {
        assert_eq!((ending("image/jpeg"), ending("AUDIO/OGG; codecs=opus"), ending("x/y")), ("jpeg", "oga", "bin"));
        assert_eq!(
            (of_name("Menú.CSV"), of_name("a.b.jpg"), of_name("a")),
            (Some("text/csv"), Some("image/jpeg"), None)
        );
    }

    #[test]
    fn pictures_and_sound_are_known_by_their_bytes() {
        for (head, mime) in [
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice(), "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead", "audio/ogg"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
        ] {
            assert_eq!(sniff(head), Some(mime));
            assert!(is_shown(mime));
        }
    }
}
