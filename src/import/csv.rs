//! Comma-separated values as PostgreSQL and MySQL export them. PostgreSQL and most tools follow RFC 4180: quoted fields may hold anything,
//! quotes doubled, and a backslash is one. MySQL itself escapes with backslashes; the rows show it ([`Backslash`]).

use std::io::{BufRead, Read};

use super::{ImportError, ImportLimits, encoding::Utf8Reader};

/// Columns of a row.
const COLUMNS: usize = 200;

/// How a backslash is meant, as far as the rows have shown it: a quote within quotes ends a field of RFC 4180, and then the field ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backslash {
    /// It is itself.
    Plain,
    /// It escapes: `INTO OUTFILE … ENCLOSED BY '"'`.
    Escapes,
    /// It escapes, and quotes are nothing special: `INTO OUTFILE` with tabs alone, `mysql --batch`.
    EscapesWithoutQuotes,
}

/// Reads record after record; of each no more than a tenant may have.
pub struct CsvRecords<R> {
    source: std::io::BufReader<Utf8Reader<R>>,
    left: u64,
    source_bytes: u64,
    record_bytes: usize,
    separator: u8,
    backslash: Backslash,
}

impl<R: Read> CsvRecords<R> {
    pub fn new(source: R, limits: &ImportLimits) -> Self {
        Self {
            source: std::io::BufReader::new(Utf8Reader::new(source)),
            left: limits.source_bytes,
            source_bytes: limits.source_bytes,
            record_bytes: limits.tenant_bytes,
            separator: b',',
            backslash: Backslash::Plain,
        }
    }

    /// The first record: the names of the columns. Tells by them what separates columns.
    pub fn header(&mut self) -> Result<Vec<String>, ImportError> {
        let line = self.source.fill_buf()?;
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.separator = [b',', b';', b'\t'].into_iter().find(|separator| line.contains(separator)).unwrap_or(b',');
        Ok(self.next_record()?.unwrap_or_default())
    }

    /// None at the end. Empty lines are passed over.
    pub fn next_record(&mut self) -> Result<Option<Vec<String>>, ImportError> {
        let mut fields = Vec::new();
        let mut field = Vec::new();
        let (mut quoted, mut was_quoted, mut total) = (false, false, 0);
        loop {
            let Some(byte) = self.next_byte()? else {
                if quoted {
                    return Err(ImportError::OtherFormat("CSV whose quotes end"));
                }
                if fields.is_empty() && field.is_empty() && !was_quoted {
                    return Ok(None);
                }
                push(&mut fields, field)?;
                return Ok(Some(fields));
            };
            total += 1;
            if total > self.record_bytes {
                return Err(ImportError::TooLarge { what: "a row", limit: self.record_bytes as u64, unit: "bytes" });
            }
            match byte {
                b'\\' if self.backslash != Backslash::Plain => {
                    total += 1;
                    field.extend(self.next_byte()?.map_or(Some(b'\\'), unescaped));
                }
                b'"' if quoted => {
                    let next = self.peek()?;
                    // Doubled it is a quote, else the end.
                    if next == Some(b'"') {
                        self.next_byte()?;
                        field.push(b'"');
                    } else {
                        quoted = !self.ends_field(next) && self.takes_quote_into(&mut field);
                    }
                }
                byte if quoted => field.push(byte),
                b'"' if field.is_empty() && self.backslash != Backslash::EscapesWithoutQuotes => {
                    (quoted, was_quoted) = (true, true);
                }
                b'\r' if self.peek()? == Some(b'\n') => {}
                b'\n' => {
                    if fields.is_empty() && field.is_empty() && !was_quoted {
                        continue;
                    }
                    push(&mut fields, field)?;
                    return Ok(Some(fields));
                }
                byte if byte == self.separator => {
                    push(&mut fields, std::mem::take(&mut field))?;
                    was_quoted = false;
                    // An empty last field still is one.
                    if fields.len() > COLUMNS {
                        return Err(ImportError::TooLarge { what: "a row", limit: COLUMNS as u64, unit: "columns" });
                    }
                }
                byte => field.push(byte),
            }
        }
    }

    fn ends_field(&self, next: Option<u8>) -> bool {
        next.is_none_or(|next| next == self.separator || matches!(next, b'\r' | b'\n'))
    }

    /// A quote that ends no field: MySQL's, if backslashes are before it. True: the field goes on within quotes.
    fn takes_quote_into(&mut self, field: &mut Vec<u8>) -> bool {
        let backslashes = field.iter().rev().take_while(|byte| **byte == b'\\').count();
        if self.backslash != Backslash::Plain || backslashes == 0 {
            return false;
        }
        if backslashes % 2 == 1 {
            // It is escaped.
            field.pop();
            *field = all_unescaped(field);
            self.backslash = Backslash::Escapes;
        } else if self.separator == b'\t' {
            // The backslashes are, and the quote that began the field was the value's.
            field.insert(0, b'"');
            *field = all_unescaped(field);
            self.backslash = Backslash::EscapesWithoutQuotes;
        } else {
            return false;
        }
        field.push(b'"');
        self.backslash == Backslash::Escapes
    }

    fn peek(&mut self) -> Result<Option<u8>, ImportError> {
        Ok(self.source.fill_buf()?.first().copied())
    }

    fn next_byte(&mut self) -> Result<Option<u8>, ImportError> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.source.consume(1);
            let limit = self.source_bytes;
            self.left =
                self.left.checked_sub(1).ok_or(ImportError::TooLarge { what: "the export", limit, unit: "bytes" })?;
        }
        Ok(byte)
    }
}

/// What MySQL's escape stands for; none for its null.
fn unescaped(escape: u8) -> Option<u8> {
    match escape {
        b'N' => None,
        b'0' => Some(0),
        b'b' => Some(8),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'Z' => Some(26),
        other => Some(other),
    }
}

fn all_unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next().map_or(Some(b'\\'), unescaped)),
            byte => plain.push(byte),
        }
    }
    plain
}

fn push(fields: &mut Vec<String>, field: Vec<u8>) -> Result<(), ImportError> {
    fields.push(String::from_utf8(field).map_err(|_| ImportError::OtherFormat("CSV in UTF-8"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Result<Vec<Vec<String>>, ImportError> {
        let mut records =
            CsvRecords::new(text.as_bytes(), &ImportLimits { tenant_bytes: 1_000, ..ImportLimits::default() });
        let mut all = vec![records.header()?];
        while let Some(record) = records.next_record()? {
            all.push(record);
        }
        Ok(all)
    }

    #[test]
    fn quotes_hold_everything() {
        let text = "\u{feff}id,creds,x\r\n1,\"{\"\"a\"\":\"\"b,\nc\"\"}\",\n\n2,,\"\"\n";
        let expected = [vec!["id", "creds", "x"], vec!["1", "{\"a\":\"b,\nc\"}", ""], vec!["2", "", ""]];
        assert_eq!(records(text).expect("CSV"), expected);
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut wide = CsvRecords::new(wide.as_slice(), &ImportLimits::default());
        assert_eq!(wide.header().expect("CSV"), expected[0], "as PowerShell writes it");
        assert_eq!(records("a;b\n1;2").expect("CSV"), [["a", "b"], ["1", "2"]]);
        assert_eq!(records("a\tb\n1\t2").expect("CSV"), [["a", "b"], ["1", "2"]]);
    }

    #[test]
    fn mysqls_backslashes_are_told_from_others() {
        let expected = [vec!["id", "creds", "x"], vec!["a", r#""{\"b\":\"c,d\"}""#, "e\\"], vec!["f", "\"g\"", ""]];
        for text in [
            // PostgreSQL, and most tools.
            "id,creds,x\na,\"\"\"{\\\"\"b\\\"\":\\\"\"c,d\\\"\"}\"\"\",\"e\\\"\nf,\"\"\"g\"\"\",\n",
            // INTO OUTFILE … ENCLOSED BY '"', with commas and with tabs.
            r#""id","creds","x"
"a","\"{\\\"b\\\":\\\"c,d\\\"}\"","e\\"
"f","\"g\"",\N
"#,
            "\"id\"\t\"creds\"\t\"x\"\n\"a\"\t\"\\\"{\\\\\\\"b\\\\\\\":\\\\\\\"c,d\\\\\\\"}\\\"\"\t\"e\\\\\"\n\"f\"\t\"\\\"g\\\"\"\t\\N\n",
            // mysql --batch.
            "id\tcreds\tx\na\t\"{\\\\\"b\\\\\":\\\\\"c,d\\\\\"}\"\te\\\\\nf\t\"g\"\t\\N\n",
        ] {
            assert_eq!(records(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn hostile_rows_end_in_an_error() {
        for text in
            [format!("a,b\n\"{}", "x".repeat(2_000)), "a,b\n\"open".to_owned(), format!("a\n{}", ",".repeat(500))]
        {
            assert!(records(&text).is_err());
        }
        let invalid: &[u8] = b"a,b\n\xff,1\n";
        let mut records = CsvRecords::new(invalid, &ImportLimits::default());
        records.header().expect("a header");
        assert!(records.next_record().is_err());
    }
}
