//! A reader in front of the JSON parser, for sources that are too large to be held.
//!
//! Owns [`GuardedReader`]. The parser collects a string in memory before anybody sees it, and has no bound for that; this
//! reader follows the quotes as the bytes pass, and ends the stream with an error at the first string that is too long, at the first
//! number that is, or when the source as a whole is. Never changes a byte.

use std::io::{self, Read};

/// Bytes of one number or word.
const WORD: usize = 4096;

/// Ends a stream whose strings, or which as a whole, is larger than allowed.
pub struct GuardedReader<R> {
    source: R,
    left: u64,
    longest: usize,
    in_string: bool,
    escaped: bool,
    length: usize,
}

impl<R: Read> GuardedReader<R> {
    pub fn new(source: R, bytes: u64, string: usize) -> Self {
        Self { source, left: bytes, longest: string, in_string: false, escaped: false, length: 0 }
    }

    fn watch(&mut self, byte: u8) -> io::Result<()> {
        if !self.in_string {
            self.in_string = byte == b'"';
            let is_in_word = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
            self.length = if is_in_word { self.length + 1 } else { 0 };
            return if self.length > WORD { Err(too_large("a number within the source is too long")) } else { Ok(()) };
        }
        self.length += 1;
        if self.length > self.longest {
            return Err(too_large("a text within the source is too long"));
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => (self.in_string, self.length) = (false, 0),
            _ => {}
        }
        Ok(())
    }
}

impl<R: Read> Read for GuardedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| too_large("the source is too large"))?;
        for &byte in &buffer[..count] {
            self.watch(byte)?;
        }
        Ok(count)
    }
}

fn too_large(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(text: &str, bytes: u64, string: usize) -> io::Result<usize> {
        let mut sink = Vec::new();
        GuardedReader::new(text.as_bytes(), bytes, string).read_to_end(&mut sink)
    }

    #[test]
    fn strings_and_the_whole_are_bounded() {
        assert_eq!(pass(r#"{"abc":"12\"4"}"#, 100, 6).expect("short enough"), 15);
        assert!(pass(r#"{"abc":"12345678"}"#, 100, 6).is_err());
        assert!(pass(r#"{"abcdefgh":1}"#, 100, 6).is_err(), "names too");
        assert!(pass(r#"["\\","\\\"x"]"#, 100, 6).is_ok(), "escapes end no string");
        assert!(pass(&"1".repeat(50), 100, 6).is_ok(), "no string");
        assert!(pass(&" ".repeat(101), 100, 6).is_err());
        assert!(pass(&"1,".repeat(5_000), 100_000, 6).is_ok(), "many numbers");
        assert!(pass(&"1".repeat(5_000), 100_000, 6).is_err(), "one long number");
    }
}
