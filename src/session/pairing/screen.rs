//! What a session says of itself while a code of its own may be on somebody's screen. Other processes read it in the directory.

pub(in crate::session) const SCAN: &str = "waiting for a scan";

pub(super) const PASSKEY_ASKED: &str = "WhatsApp asks for a passkey";
pub(super) const PASSKEY_SENT: &str = "the passkey was sent, waiting for the phone";
pub(super) const CODES_SHOWN: &str = "the phone shows a code: it must be the same here";
pub(super) const CODE_CONFIRMED: &str = "the code was confirmed, waiting for the phone";

/// A QR code is shown, and the one before it came to this.
pub(in crate::session) fn scan_again(setback: &str) -> String {
    format!("{setback}; scan again")
}

/// The same of a code that is typed; the QR code is still there.
pub(in crate::session) fn another_code(setback: &str) -> String {
    format!("{setback}; ask for another code, or scan")
}

/// Whether it is the reason of a session that somebody is linking.
pub fn is_on_screen(reason: &str) -> bool {
    let is_after = |setback: &str| reason == scan_again(setback) || reason == another_code(setback);
    [SCAN, PASSKEY_ASKED, PASSKEY_SENT, CODES_SHOWN, CODE_CONFIRMED].contains(&reason)
        || reason.rsplit_once(';').is_some_and(|(setback, _)| is_after(setback))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_on_a_screen_is_known_by_its_words() {
        let (again, another) = (scan_again("refused"), another_code("refused"));
        for reason in [SCAN, PASSKEY_ASKED, CODE_CONFIRMED, again.as_str(), another.as_str()] {
            assert!(is_on_screen(reason), "{reason}");
        }
        for reason in ["not paired", "the QR code was not scanned", "WhatsApp logged this device out: scan again"] {
            assert!(!is_on_screen(reason), "{reason}");
        }
    }
}
