//! A dump of Evolution's hash in Redis: `redis-cli HGETALL <prefix>:instance:<instance>`, in any of its forms.
//!
//! Plain: a line with a field, a line with its value. On a terminal: the same, numbered and quoted. With `--json`: an object;
//! an object of objects holds several instances.

use crate::import::{
    ImportError, ImportLimits, ImportOrigin, SourceTenant, TenantCopy,
    baileys::{Assembly, assembly::CREDENTIALS},
    encoding,
    json::{self, JsonNode},
    source::TenantSink,
};

/// Reads a dump. It is held in memory: a hash is one tenant, and Redis held it there too.
pub fn read(text: &[u8], limits: &ImportLimits, take: &mut dyn FnMut(SourceTenant)) -> Result<(), ImportError> {
    let mut sink = TenantSink::new(limits, take);
    if text.len() > limits.tenant_bytes {
        return Err(ImportError::TooLarge { what: "the dump", limit: limits.tenant_bytes as u64, unit: "bytes" });
    }
    let text = encoding::utf8(text);
    let text: &[u8] = &text;
    if text.trim_ascii_start().first() != Some(&b'{') {
        let copy = read_lines(text, limits)?;
        return sink.put(SourceTenant::new("", Ok(copy)));
    }
    let assembly = Assembly::new(ImportOrigin::Evolution, limits);
    let node = json::read(text, "the dump", assembly.budget())?;
    if node.get(CREDENTIALS).is_some() {
        return sink.put(SourceTenant::new("", read_hash(assembly, node)));
    }
    for (name, hash) in node.into_fields().unwrap_or_default() {
        if hash.get(CREDENTIALS).is_some() {
            let copy = read_hash(Assembly::new(ImportOrigin::Evolution, limits), hash);
            let instance = name.rsplit(':').next().unwrap_or_default().to_owned();
            sink.put(SourceTenant::new(instance, copy))?;
        }
    }
    if sink.found() == 0 { Err(ImportError::NoCredentials) } else { Ok(()) }
}

fn read_hash(mut assembly: Assembly, hash: JsonNode) -> Result<TenantCopy, ImportError> {
    for (field, value) in hash.into_fields().unwrap_or_default() {
        match value.text() {
            Some(text) => assembly.add_text(&field, text.as_bytes())?,
            None => assembly.add(&field, value)?,
        }
    }
    assembly.finish()
}

fn read_lines(text: &[u8], limits: &ImportLimits) -> Result<TenantCopy, ImportError> {
    let mut assembly = Assembly::new(ImportOrigin::Evolution, limits);
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii()).filter(|line| !line.is_empty());
    while let Some(field) = lines.next() {
        let value = lines.next().ok_or(ImportError::OtherFormat("a value for each field of the hash"))?;
        let (field, value) = (unquoted(field), unquoted(value));
        let field = std::str::from_utf8(&field).map_err(|_| ImportError::OtherFormat("names of fields in UTF-8"))?;
        assembly.add_text(field, &value)?;
    }
    assembly.finish()
}

/// `12) "text with \" and \xc3"` → the text. A line without a number is the text already.
fn unquoted(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let inner = line[digits..].strip_prefix(b") \"").and_then(|rest| rest.strip_suffix(b"\""));
    let Some(inner) = inner.filter(|_| digits > 0) else { return line.into() };
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else { break };
        rest = after;
        match escape {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'a' => text.push(7),
            b'b' => text.push(8),
            b'x' if rest.len() >= 2 => {
                let byte = std::str::from_utf8(&rest[..2]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                text.extend(byte);
                rest = &rest[2..];
            }
            other => text.push(other),
        }
    }
    text.into()
}
