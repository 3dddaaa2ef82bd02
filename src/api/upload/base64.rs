//! Base64 as programs write it.

use std::io::{self, Read as _};

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    read::DecoderReader,
};

use super::{disk, flaw, write};
use crate::{
    api::problem::Problem,
    message::media::{SpoolWriter, Spooled},
};

static ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// From base64, in whichever form programs write it: with or without padding, in the alphabet of URLs, broken into lines, as a `data:` URL.
pub async fn decode(text: &str, mut pen: SpoolWriter, field: &'static str) -> Result<Spooled, Problem> {
    let mut decoder = decoder(text, field)?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = decoder.read(&mut piece).map_err(|_| flaw(field, "expected base64"))?;
        if read == 0 {
            return pen.finish().await.map_err(disk);
        }
        write(&mut pen, &piece[..read]).await?;
    }
}

/// The same of what is small.
pub fn decode_small(text: &str, field: &'static str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    decoder(text, field)?.read_to_end(&mut bytes).map_err(|_| flaw(field, "expected base64"))?;
    Ok(bytes)
}

fn decoder<'a>(
    text: &'a str,
    field: &'static str,
) -> Result<DecoderReader<'static, GeneralPurpose, Unbroken<'a>>, Problem> {
    let text = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").ok_or_else(|| flaw(field, "expected base64"))?.1,
        None => text,
    };
    Ok(DecoderReader::new(Unbroken(text.as_bytes()), &ENGINE))
}

/// Reads over line breaks and blanks, and the alphabet of URLs as the other one: Node, and so WAHA, takes both.
struct Unbroken<'a>(&'a [u8]);

impl io::Read for Unbroken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len()
            && let Some((first, rest)) = self.0.split_first()
        {
            self.0 = rest;
            if !first.is_ascii_whitespace() {
                buffer[read] = match *first {
                    b'-' => b'+',
                    b'_' => b'/',
                    other => other,
                };
                read += 1;
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::message::media::Spool;

    async fn decoded(text: &str) -> Option<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let pen = Spool::new(folder.path().into(), 0).unwrap().pen(1000).unwrap();
        decode(text, pen, "data").await.ok()?.read(0, 1000).await.ok()
    }

    #[tokio::test]
    async fn base64_in_whichever_form() {
        for text in ["aGVsbG8=", "aGVsbG8", "aGVs\r\nbG8=\n", " aGVsbG8= ", "data:text/plain;base64,aGVsbG8="] {
            assert_eq!(decoded(text).await.as_deref(), Some(b"hello".as_slice()), "{text:?}");
            assert_eq!(decode_small(text, "data").ok().as_deref(), Some(b"hello".as_slice()), "{text:?}");
        }
        let bytes = [0xfb, 0xef, 0xff, 0xfe];
        for text in ["++///g==", "--___g==", "--___g", "data:;base64,-+_/_g"] {
            assert_eq!(decoded(text).await.as_deref(), Some(bytes.as_slice()), "{text:?}");
            assert_eq!(decode_small(text, "data").ok().as_deref(), Some(bytes.as_slice()), "{text:?}");
        }
        for text in ["a", "!!!!", "aGVsbG8=aGVs", "data:text/plain,hello", "aGVsbG8=="] {
            assert_eq!(decoded(text).await, None, "{text:?}");
            assert!(decode_small(text, "data").is_err(), "{text:?}");
        }
        assert_eq!(decoded(&"AAAA".repeat(1000)).await, None);
    }
}
