//! Texts that are no UTF-8, for which the library's decoder refuses the whole message. Programs that cut a text in UTF-16 put half of an
//! emoji into it, and some encode that half on its own; others cut between the bytes of a character, or write Latin-1. Pure.

use std::ops::Range;

/// Messages within messages that are looked at.
const MAX_DEPTH: usize = 16;

/// Fields that are no UTF-8 in one message. A picture with a quoted one has about twenty, its keys and digests; each costs a decoding.
const MAX_FIELDS: usize = 64;

/// U+FFFD, as long as the half of a pair for which it stands.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// The bytes of a protobuf with a replacement for whatever is no UTF-8 in its texts; `None`: there is no such text, or the message is
/// refused for something else. Each replacement is as long as what it stands for, so that no length in the protobuf changes. Only
/// the decoder knows which fields are texts, and which are keys and thumbnails: `decodes` refuses the former alone.
pub fn mended(bytes: &[u8], decodes: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut found = Suspects::default();
    found.collect(bytes, 0..bytes.len(), MAX_DEPTH)?;
    let Suspects { fields, doubtful } = found;
    if fields.len() + doubtful.len() > MAX_FIELDS {
        return None;
    }
    // Hardly ever is one of the doubtful a text, and more than one only where all are.
    let choices = [&[][..]].into_iter().chain(doubtful.chunks(1)).chain([&doubtful[..]]);
    choices.filter_map(|texts| blanked(bytes, [&fields[..], texts].concat(), &decodes)).next()?
}

/// `None`: without these fields the message is refused as well. Inside: the message with those mended that are texts, if there are any.
fn blanked(bytes: &[u8], fields: Vec<Range<usize>>, decodes: impl Fn(&[u8]) -> bool) -> Option<Option<Vec<u8>>> {
    let mut blanked = bytes.to_vec();
    for field in &fields {
        blanked[field.clone()].fill(b'?');
    }
    if !decodes(&blanked) {
        return None;
    }
    let (mut mended, mut is_mended) = (bytes.to_vec(), false);
    for field in fields {
        blanked[field.clone()].copy_from_slice(&bytes[field.clone()]);
        if !decodes(&blanked) {
            mend(&mut mended[field.clone()]);
            is_mended = true;
        }
        blanked[field].fill(b'?');
    }
    Some(is_mended.then_some(mended))
}

/// Fields that are no UTF-8.
#[derive(Default)]
struct Suspects {
    /// And no messages: texts, keys, thumbnails.
    fields: Vec<Range<usize>>,
    /// Which can be read as messages, without one of the others in them. A text can be, by chance.
    doubtful: Vec<Range<usize>>,
}

impl Suspects {
    /// `None`: in this range are no fields.
    fn collect(&mut self, bytes: &[u8], within: Range<usize>, depth: usize) -> Option<()> {
        let bytes_here = &bytes[..within.end];
        let mut at = within.start;
        while at < within.end {
            let key = varint(bytes_here, &mut at)?;
            if key >> 3 == 0 {
                return None;
            }
            match key & 7 {
                0 => drop(varint(bytes_here, &mut at)?),
                1 => at = at.checked_add(8).filter(|at| *at <= within.end)?,
                5 => at = at.checked_add(4).filter(|at| *at <= within.end)?,
                2 => {
                    let length = usize::try_from(varint(bytes_here, &mut at)?).ok()?;
                    let end = at.checked_add(length).filter(|end| *end <= within.end)?;
                    if std::str::from_utf8(&bytes[at..end]).is_err() {
                        self.suspect(bytes, at..end, depth);
                    }
                    at = end;
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn suspect(&mut self, bytes: &[u8], field: Range<usize>, depth: usize) {
        let before = (self.fields.len(), self.doubtful.len());
        if depth == 0 || self.collect(bytes, field.clone(), depth - 1).is_none() {
            self.fields.truncate(before.0);
            self.doubtful.truncate(before.1);
            self.fields.push(field);
        } else if self.fields.len() == before.0 {
            self.doubtful.push(field);
        }
    }
}

/// Makes UTF-8 of a text.
fn mend(text: &mut [u8]) {
    let mut at = 0;
    while let Err(error) = std::str::from_utf8(&text[at..]) {
        let start = at + error.valid_up_to();
        let length = match error.error_len() {
            _ if is_half(&text[start..]) => REPLACEMENT.len(),
            Some(length) => length,
            None => text.len() - start,
        };
        at = start + length;
        let part = &mut text[start..at];
        if part.len() == REPLACEMENT.len() {
            part.copy_from_slice(&REPLACEMENT);
        } else {
            part.fill(b'?');
        }
    }
}

/// U+D800 to U+DFFF, encoded as if they were characters.
fn is_half(bytes: &[u8]) -> bool {
    matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..])
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::{
        buffa::MessageField,
        waproto::{
            codec,
            whatsapp::{self as wa, message::ExtendedTextMessage},
        },
    };

    use super::*;

    /// Half a pair, and an emoji without its last byte.
    const HALVES: [&[u8; 3]; 2] = [b"\xed\xa0\xbd", b"\xf0\x9f\x98"];

    /// The same bytes with `cut` where the text has `???`.
    fn spoilt(message: &wa::Message, cut: &[u8; 3]) -> Vec<u8> {
        let mut bytes = codec::message_to_vec(message);
        while let Some(at) = bytes.windows(3).position(|three| three == b"???") {
            bytes[at..at + 3].copy_from_slice(cut);
        }
        bytes
    }

    fn decodes(bytes: &[u8]) -> bool {
        codec::message_decode(bytes).is_ok()
    }

    #[test]
    fn texts_are_shown_with_a_replacement_at_whatever_depth() {
        let plain = wa::Message { conversation: Some("hello ???".into()), ..Default::default() };
        let quote = wa::ContextInfo { quoted_message: MessageField::some(plain.clone()), ..Default::default() };
        let extended = ExtendedTextMessage {
            text: Some("???, again ???".into()),
            jpeg_thumbnail: Some(vec![0xed, 0xa0, 0xbd, 0xff, 0xd8]),
            context_info: MessageField::some(quote),
            ..Default::default()
        };
        let nested = wa::Message { extended_text_message: MessageField::some(extended), ..Default::default() };
        for (message, cut) in [(&plain, HALVES[0]), (&plain, HALVES[1]), (&nested, HALVES[0]), (&nested, HALVES[1])] {
            let bytes = spoilt(message, cut);
            assert!(!decodes(&bytes) && decodes(&mended(&bytes, decodes).unwrap()));
        }
        for cut in HALVES {
            let read = codec::message_decode(&mended(&spoilt(&nested, cut), decodes).unwrap()).unwrap();
            let read = read.extended_text_message.as_option().unwrap();
            assert_eq!(read.text.as_deref(), Some("\u{fffd}, again \u{fffd}"));
            assert_eq!(read.jpeg_thumbnail.as_deref(), Some(&[0xed, 0xa0, 0xbd, 0xff, 0xd8][..]), "no text");
        }
        let latin = codec::message_decode(&mended(&spoilt(&plain, b"\xe9\xf1\xe1"), decodes).unwrap()).unwrap();
        assert_eq!(latin.conversation.as_deref(), Some("hello ???"), "as long as it was");
    }

    #[test]
    fn nothing_else_is_touched() {
        let whole = codec::message_to_vec(&wa::Message { conversation: Some("👍 hi".into()), ..Default::default() });
        let thumbnail = ExtendedTextMessage { jpeg_thumbnail: Some(vec![0xff, 0xd8]), ..Default::default() };
        let thumbnail = wa::Message { extended_text_message: MessageField::some(thumbnail), ..Default::default() };
        for bytes in [&whole[..], &codec::message_to_vec(&thumbnail)[..], b"", b"\x0a\x05abc", b"\xff\xff"] {
            assert_eq!(mended(bytes, decodes), None, "{bytes:?}");
        }
        // As deep as anybody likes.
        let mut deep = b"\x0a\x03\xed\xa0\xbd".to_vec();
        for _ in 0..1000 {
            let mut outer = vec![0x0a];
            let mut length = deep.len() + 1;
            while length >= 0x80 {
                outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            outer.push(u8::try_from(length).unwrap());
            outer.push(0xff);
            outer.extend(&deep);
            deep = outer;
        }
        assert!(mended(&deep, decodes).is_some_and(|text| decodes(&text)));
    }
}
