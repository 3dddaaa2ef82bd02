//! URLs as they may be shown.

/// A URL without the name and the password that may be in it. Texts that are no URL are cut in the same way.
pub fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // A password may have any of the signs in it that should end it.
    let Some((_, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_and_no_password_is_shown() {
        for (url, shown) in [
            ("wss://web.whatsapp.com/ws/chat", "wss://web.whatsapp.com/ws/chat"),
            ("ws://127.0.0.1:9?a=b#c", "ws://127.0.0.1:9?a=b#c"),
            ("ws://u:S3secret@localhost:9/ws", "ws://…@localhost:9/ws"),
            ("ws://u@localhost", "ws://…@localhost"),
            ("ws://u:S3/se@cr?et@localhost/ws", "ws://…@localhost/ws"),
            ("u:S3secret@localhost", "…@localhost"),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
        }
    }
}
