//! Frames of a WebSocket as they come from a client, counted before anybody works on one (RFC 6455, section 5.2). Keeps nothing of
//! what they say.

/// Frames that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub frames: u32,
    /// Requests to be let in: Socket.IO's `40…`. A message in parts may be one, and counts as one; no client of Socket.IO sends such.
    pub connects: u32,
}

/// The place in a client's frames.
#[derive(Debug)]
pub struct Frames {
    header: [u8; 14],
    known: usize,
    /// Bytes that the payload still lacks.
    left: u64,
    /// Its first two bytes, as far as they are known.
    opening: [u8; 2],
    position: u64,
}

impl Frames {
    pub fn new() -> Self {
        Self { header: [0; 14], known: 0, left: 0, opening: [0; 2], position: 0 }
    }

    pub fn feed(&mut self, mut bytes: &[u8]) -> Counted {
        let mut counted = Counted::default();
        while let Some((first, rest)) = bytes.split_first() {
            if self.left == 0 {
                (self.header[self.known], bytes) = (*first, rest);
                self.known += 1;
                if self.known >= self.header_length() {
                    counted.frames += 1;
                    counted.connects += u32::from(self.is_part());
                    (self.left, self.position) = (self.payload_length(), 0);
                    if self.left == 0 {
                        self.known = 0;
                    }
                }
                continue;
            }
            if self.position < 2 {
                let at = usize::from(self.position == 1);
                self.opening[at] = first ^ self.mask()[at];
                (self.position, self.left, bytes) = (self.position + 1, self.left - 1, rest);
                counted.connects += u32::from(self.position == 2 && !self.is_part() && &self.opening == b"40");
            } else {
                let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                bytes = &bytes[skipped..];
            }
            if self.left == 0 {
                self.known = 0;
            }
        }
        counted
    }

    fn is_masked(&self) -> bool {
        self.header[1] & 0x80 != 0
    }

    /// Bytes of the length besides its first seven bits.
    fn length_bytes(&self) -> usize {
        match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn header_length(&self) -> usize {
        if self.known < 2 {
            return 2;
        }
        2 + self.length_bytes() + if self.is_masked() { 4 } else { 0 }
    }

    fn payload_length(&self) -> u64 {
        let more = &self.header[2..2 + self.length_bytes()];
        match more {
            [] => u64::from(self.header[1] & 0x7f),
            more => more.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        }
    }

    fn mask(&self) -> [u8; 2] {
        let at = 2 + self.length_bytes();
        if self.is_masked() { [self.header[at], self.header[at + 1]] } else { [0; 2] }
    }

    /// Not a whole message: not final, or a continuation.
    fn is_part(&self) -> bool {
        let (is_final, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        !is_final || opcode == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(0x80 | short as u8),
            long @ 126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((long as u16).to_be_bytes());
            }
            longer => {
                bytes.push(0x80 | 127);
                bytes.extend((longer as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]));
        bytes
    }

    #[test]
    fn frames_and_connects_are_counted_however_the_bytes_come() {
        let (mask, text) = ([0x34, 0x30, 0xff, 1], |payload: &[u8]| frame(0x81, payload, [0x34, 0x30, 0xff, 1]));
        let said = [
            text(b"40"),
            text(b"3"),
            text(b""),
            text(b"42[\"register\",\"a\"]"),
            text(&[b"40", &[b'x'; 300][..]].concat()),
            text(&[b'4'; 70_000]),
            frame(0x89, b"40", mask),
            frame(0x01, b"4", mask),
            frame(0x80, b"0", mask),
            text(b"40{}"),
        ];
        // A ping's payload that reads `40` counts as well: no client sends such.
        let expected = Counted { frames: 10, connects: 6 };
        let all = said.concat();
        for bite in [1, 2, 3, 7, 512, all.len()] {
            let mut frames = Frames::new();
            let counted = all.chunks(bite).map(|bytes| frames.feed(bytes)).fold(Counted::default(), |sum, one| {
                Counted { frames: sum.frames + one.frames, connects: sum.connects + one.connects }
            });
            assert_eq!(counted, expected, "{bite} bytes at a time");
        }
    }

    #[test]
    fn any_bytes_at_all_are_frames_of_some_kind() {
        let mut frames = Frames::new();
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        frames.feed(&bytes);
    }
}
