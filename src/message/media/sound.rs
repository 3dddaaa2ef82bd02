//! How long speech lasts: phones show it beside the message. Of Opus in Ogg only, where it stands in the file's last page.

use super::Spooled;

/// More than the largest page.
const TAIL: usize = 66_000;

/// The sample rate of Opus, whatever the recording had.
const RATE: u64 = 48_000;

/// Seconds, rounded up; `None`: it is no Opus in Ogg.
pub async fn seconds(file: &Spooled) -> Option<u32> {
    let skipped = pre_skip(&file.head)?;
    let tail = file.read(file.size.saturating_sub(TAIL as u64), TAIL).await.ok()?;
    length(skipped, &tail)
}

/// Samples at the beginning that are not played (RFC 7845, 5.1).
fn pre_skip(head: &[u8]) -> Option<u64> {
    let at = find(head, b"OpusHead", false)?;
    Some(u16::from_le_bytes(head.get(at + 10..at + 12)?.try_into().ok()?).into())
}

/// A page's position is that of its last sample (RFC 3533, 6).
fn length(skipped: u64, tail: &[u8]) -> Option<u32> {
    let at = find(tail, b"OggS", true)?;
    let position = u64::from_le_bytes(tail.get(at + 6..at + 14)?.try_into().ok()?);
    u32::try_from(position.saturating_sub(skipped).div_ceil(RATE)).ok()
}

fn find(bytes: &[u8], what: &[u8], last: bool) -> Option<usize> {
    let mut windows = bytes.windows(what.len());
    if last { windows.rposition(|window| window == what) } else { windows.position(|window| window == what) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_says_how_long_it_is() {
        let head = [b"OggS....".as_slice(), b"OpusHead\x01\x01", &312_u16.to_le_bytes(), &[0; 8]].concat();
        let page = |position: u64| [b"OggS\0\0".as_slice(), &position.to_le_bytes(), &[0; 20]].concat();
        let tail = [page(1000), page(3 * 48_000 + 313)].concat();
        assert_eq!(pre_skip(&head), Some(312));
        assert_eq!(length(312, &tail), Some(4));
        assert_eq!(length(312, &page(u64::MAX)), None);
        assert_eq!((pre_skip(b"OpusHead"), length(0, b"OggS"), length(0, b"")), (None, None, None));
    }
}
