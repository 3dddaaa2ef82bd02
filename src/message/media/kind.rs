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

/// Whether a browser that gets it for download may be told what it is: documents, which nothing runs. Of all others it is told nothing.
pub fn is_document(mime: &str) -> bool {
    const OFFICE: [&str; 4] = [
        "application/vnd.openxmlformats-officedocument.",
        "application/vnd.oasis.opendocument.",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
    ];
    let documents = [
        "application/pdf",
        "application/msword",
        "application/rtf",
        "application/epub+zip",
        "application/zip",
        "application/gzip",
        "application/x-7z-compressed",
        "application/vnd.rar",
        "text/plain",
        "text/csv",
        "text/vcard",
        "text/calendar",
        "text/markdown",
    ];
    documents.contains(&mime) || OFFICE.iter().any(|family| mime.starts_with(family))
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
    ("text/html", "html"),
    ("text/html", "htm"),
    ("text/markdown", "md"),
    ("text/calendar", "ics"),
    ("application/rtf", "rtf"),
    ("application/epub+zip", "epub"),
    ("application/gzip", "gz"),
    ("application/x-7z-compressed", "7z"),
    ("application/vnd.rar", "rar"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.android.package-archive", "apk"),
    ("image/svg+xml", "svg"),
    ("image/heif", "heic"),
    ("image/tiff", "tiff"),
];

/// What many kinds of documents are inside, so that the name knows better.
const CONTAINERS: &[&str] = &["application/zip", "application/x-ole-storage", "text/xml", "application/xml"];

/// What a document is whose sender does not say it: by its first bytes, and by its name where they say less.
pub fn of_document(head: &[u8], name: Option<&str>) -> Option<&'static str> {
    let by_name = name.and_then(of_name);
    match sniff(head) {
        Some(container) if CONTAINERS.contains(&container) => by_name.or(Some(container)),
        Some(found) => Some(found),
        None => by_name.or_else(|| is_text(head).then_some("text/plain")),
    }
}

/// Words in UTF-8, as far as the first bytes show it: a character may be cut in two at their end.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|one| one.is_control() && !one.is_whitespace())
}

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
        for active in
            ["text/html", "image/svg+xml", "text/xml", "application/xml", "text/javascript", "application/wasm"]
        {
            assert!(!is_shown(active) && !is_document(active), "{active}");
        }
        for (mime, ending) in ENDINGS.iter().filter(|(mime, _)| is_document(mime)) {
            assert!(!is_shown(mime), "{ending}: it is for download");
        }
        assert!(is_document("application/pdf") && is_document(of_name("Carta.docx").unwrap()));
    }

    #[test]
    fn a_document_is_known_by_its_bytes_and_its_name() {
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        // As some programs pack it: what it is stands behind other entries.
        let zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0!\0\0\0\0\0";
        let cut = "menú del día".as_bytes();
        for (head, name, expected) in [
            (b"%PDF-1.7".as_slice(), None, Some("application/pdf")),
            (b"%PDF-1.7", Some("menu.txt"), Some("application/pdf")),
            (zip, Some("Carta.DOCX"), Some(docx)),
            (zip, None, Some("application/zip")),
            (b"a;b\n1;2\n", Some("prices.csv"), Some("text/csv")),
            (b"a;b\n1;2\n", None, Some("text/plain")),
            (&cut[..cut.len() - 2], None, Some("text/plain")),
            (b"\x01\x02\x03\xff", None, None),
            (b"", None, None),
        ] {
            assert_eq!(of_document(head, name), expected, "{name:?}");
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
