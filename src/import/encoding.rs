//! Texts with a byte order mark: PowerShell's `>` writes UTF-16, editors on Windows write UTF-8 with a mark.
//!
//! Owns [`Utf8Reader`], which stands in front of the readers of JSON and CSV, and [`utf8`] for texts that are held already. Without a mark
//! nothing changes. What is no UTF-16 becomes a replacement character: then the reader behind it refuses the text, or one entry of it.

use std::{
    borrow::Cow,
    io::{self, Read},
};

/// Bytes of UTF-16 that are read at a time.
const PIECE: u64 = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextForm {
    /// Nothing was read yet.
    Unseen,
    /// As it comes.
    Plain,
    Utf16Little,
    Utf16Big,
}

/// The source in UTF-8, without its mark.
pub struct Utf8Reader<R> {
    source: R,
    form: TextForm,
    /// To be handed out, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
    /// Of UTF-16: the beginning of a character whose rest is not read yet.
    rest: Vec<u8>,
}

impl<R: Read> Utf8Reader<R> {
    pub fn new(source: R) -> Self {
        Self { source, form: TextForm::Unseen, ready: Vec::new(), taken: 0, rest: Vec::new() }
    }

    fn look(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        Read::by_ref(&mut self.source).take(3).read_to_end(&mut head)?;
        let (form, mark) = match head.as_slice() {
            [0xef, 0xbb, 0xbf] => (TextForm::Plain, 3),
            [0xff, 0xfe, ..] => (TextForm::Utf16Little, 2),
            [0xfe, 0xff, ..] => (TextForm::Utf16Big, 2),
            _ => (TextForm::Plain, 0),
        };
        head.drain(..mark);
        self.form = form;
        if form == TextForm::Plain {
            self.ready = head;
        } else {
            self.rest = head;
        }
        Ok(())
    }

    /// Decodes the next piece of UTF-16. False: there is none.
    fn decode_piece(&mut self) -> io::Result<bool> {
        let count = Read::by_ref(&mut self.source).take(PIECE).read_to_end(&mut self.rest)?;
        let is_end = count == 0;
        if is_end && self.rest.is_empty() {
            return Ok(false);
        }
        let is_big = self.form == TextForm::Utf16Big;
        let mut units: Vec<u16> =
            self.rest
                .chunks_exact(2)
                .map(|pair| {
                    if is_big { u16::from_be_bytes([pair[0], pair[1]]) } else { u16::from_le_bytes([pair[0], pair[1]]) }
                })
                .collect();
        if !is_end && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            // Its other half comes with the next piece.
            units.pop();
        }
        let mut text: String =
            char::decode_utf16(units.iter().copied()).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        self.rest.drain(..units.len() * 2);
        if is_end && !self.rest.is_empty() {
            self.rest.clear();
            text.push(char::REPLACEMENT_CHARACTER);
        }
        (self.ready, self.taken) = (text.into_bytes(), 0);
        Ok(true)
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.form == TextForm::Unseen {
            self.look()?;
        }
        loop {
            let ready = &self.ready[self.taken..];
            if !ready.is_empty() || buffer.is_empty() {
                let count = ready.len().min(buffer.len());
                buffer[..count].copy_from_slice(&ready[..count]);
                self.taken += count;
                // Those who look ahead see more than the place of a mark. An error comes again with the next read.
                let more = if self.form == TextForm::Plain && count < buffer.len() {
                    self.source.read(&mut buffer[count..]).unwrap_or(0)
                } else {
                    0
                };
                return Ok(count + more);
            }
            if self.form == TextForm::Plain {
                return self.source.read(buffer);
            }
            if !self.decode_piece()? {
                return Ok(0);
            }
        }
    }
}

/// A text in UTF-8, without its mark.
pub fn utf8(text: &[u8]) -> Cow<'_, [u8]> {
    match text {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            let mut decoded = Vec::new();
            match Utf8Reader::new(text).read_to_end(&mut decoded) {
                Ok(_) => Cow::Owned(decoded),
                Err(_) => Cow::Borrowed(text),
            }
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, is_big: bool) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    /// A byte at a time, as a slow source gives them.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn marks_are_read_and_taken_away() {
        // An emoji stands where a piece of UTF-16 ends.
        for text in [String::new(), r#"{"a":"ñ 👍"}"#.to_owned(), format!("{}👍{}", "x".repeat(4095), "y".repeat(9000))]
        {
            let marked = format!("\u{feff}{text}").into_bytes();
            for source in [text.clone().into_bytes(), marked, utf16(&text, false), utf16(&text, true)] {
                let mut read = Vec::new();
                Utf8Reader::new(source.as_slice()).read_to_end(&mut read).expect("a slice");
                assert_eq!(read, text.as_bytes());
                let mut slowly = Vec::new();
                Utf8Reader::new(Slow(&source)).read_to_end(&mut slowly).expect("a slice");
                assert_eq!(slowly, text.as_bytes());
                assert_eq!(utf8(&source), text.as_bytes());
            }
        }
    }

    #[test]
    fn what_is_cut_ends_in_replacements() {
        for cut in [&b"\xff\xfea\0\x3d"[..], b"\xff\xfea\0\x3d\xd8"] {
            assert_eq!(utf8(cut), "a\u{fffd}".as_bytes());
        }
        for short in [&b""[..], b"\xff", b"\xef\xbb", b"ab"] {
            assert_eq!(utf8(short), short);
        }
    }
}
