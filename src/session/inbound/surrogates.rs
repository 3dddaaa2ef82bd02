//! Texts with half a surrogate pair. Programs that cut a text in UTF-16 put half of an emoji into it, and some encode that half on its own:
//! three bytes that are no UTF-8, for which the library's decoder refuses the whole message. Pure.

/// Messages within messages that are looked at.
const MAX_DEPTH: usize = 16;

/// U+FFFD, as long as what it stands for: no length in the protobuf changes.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// The bytes of a protobuf with a replacement character for every half pair in its texts; `None`: there is none.
pub fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = bytes.to_vec();
    mend(&mut mended, MAX_DEPTH)?.then_some(mended)
}

/// Whether something was mended; `None`: these are no fields.
fn mend(bytes: &mut [u8], depth: usize) -> Option<bool> {
    let (mut at, mut is_mended) = (0, false);
    while at < bytes.len() {
        let key = varint(bytes, &mut at)?;
        if key >> 3 == 0 {
            return None;
        }
        match key & 7 {
            0 => drop(varint(bytes, &mut at)?),
            1 => at = at.checked_add(8).filter(|at| *at <= bytes.len())?,
            5 => at = at.checked_add(4).filter(|at| *at <= bytes.len())?,
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
                is_mended |= mend_field(&mut bytes[at..end], depth);
                at = end;
            }
            _ => return None,
        }
    }
    Some(is_mended)
}

/// A text, a message, or bytes that are neither: keys and thumbnails are no text, whatever is replaced in them.
fn mend_field(field: &mut [u8], depth: usize) -> bool {
    let halves: Vec<usize> = (0..field.len().saturating_sub(2)).filter(|at| is_half(&field[*at..])).collect();
    if halves.is_empty() {
        return false;
    }
    let mut text = field.to_vec();
    for at in halves {
        text[at..at + 3].copy_from_slice(&REPLACEMENT);
    }
    if std::str::from_utf8(&text).is_ok() {
        field.copy_from_slice(&text);
        return true;
    }
    if depth == 0 {
        return false;
    }
    let mut inner = field.to_vec();
    let is_mended = mend(&mut inner, depth - 1) == Some(true);
    if is_mended {
        field.copy_from_slice(&inner);
    }
    is_mended
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

    /// The same bytes with half a pair where the text has `???`.
    fn halved(message: &wa::Message) -> Vec<u8> {
        let mut bytes = codec::message_to_vec(message);
        while let Some(at) = bytes.windows(3).position(|three| three == b"???") {
            bytes[at..at + 3].copy_from_slice(b"\xed\xa0\xbd");
        }
        bytes
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
        for message in [&plain, &nested] {
            let bytes = halved(message);
            assert!(codec::message_decode(&bytes).is_err());
            assert!(codec::message_decode(&mended(&bytes).unwrap()).is_ok());
        }
        let read = codec::message_decode(&mended(&halved(&nested)).unwrap()).unwrap();
        let read = read.extended_text_message.as_option().unwrap();
        assert_eq!(read.text.as_deref(), Some("\u{fffd}, again \u{fffd}"));
        assert_eq!(read.jpeg_thumbnail.as_deref(), Some(&[0xed, 0xa0, 0xbd, 0xff, 0xd8][..]), "no text");
    }

    #[test]
    fn nothing_else_is_touched() {
        let whole = codec::message_to_vec(&wa::Message { conversation: Some("👍 hi".into()), ..Default::default() });
        for bytes in [&whole[..], b"", b"\x0a\x05abc", b"\xff\xff", b"\x0a\x03\xff\xed\xa0"] {
            assert_eq!(mended(bytes), None, "{bytes:?}");
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
        assert_eq!(mended(&deep), None);
    }
}
