//! Which URLs and headers a stranger may name. What a host name stands for is not looked up here: that is decided when the
//! connection is made.

use std::net::IpAddr;

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};

use super::address::Allow;

const MAX_URL: usize = 2048;

/// Ports below 1024 that HTTP has; the others belong to services that HTTP only confuses.
const LOW_PORTS: &[u16] = &[80, 443];

/// Ports above 1023 of services that can be spoken to through HTTP, as the Fetch standard has them ("bad port").
const BAD_PORTS: &[u16] = &[
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Headers that are about the connection or the framing of the request, or that say who asks.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Why a URL, or what it led to, is not fetched. In words for the one who named it; says nothing of what is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("is no URL")]
    Malformed,
    #[error("is longer than 2048 characters")]
    TooLong,
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("must not carry a user name or a password")]
    UserInfo,
    #[error("names a port that is not allowed")]
    Port,
    #[error("leads to an address that is not allowed (see outbound.allow)")]
    Address,
}

/// Parses a URL and checks what can be known before a connection.
pub fn check(text: &str, allow: &Allow) -> Result<Url, TargetError> {
    if text.len() > MAX_URL {
        return Err(TargetError::TooLong);
    }
    let url: Url = text.trim().parse().map_err(|_| TargetError::Malformed)?;
    // Escapes make it longer; what is stored must be one that is taken again.
    if url.as_str().len() > MAX_URL {
        return Err(TargetError::TooLong);
    }
    check_url(&url, allow)?;
    Ok(url)
}

/// The same for a URL that a redirect names.
pub fn check_url(url: &Url, allow: &Allow) -> Result<(), TargetError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(TargetError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::UserInfo);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(TargetError::Malformed)?;
    let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let trusted = literal.map_or_else(|| allow.names(host), |address| allow.holds(address));
    // Connections to an address in the URL do not ask the resolver.
    if literal.is_some_and(|address| !allow.admits(host, address)) {
        return Err(TargetError::Address);
    }
    let port = url.port_or_known_default().ok_or(TargetError::Port)?;
    let usual = if port < 1024 { LOW_PORTS.contains(&port) } else { !BAD_PORTS.contains(&port) };
    if !usual && !trusted {
        return Err(TargetError::Port);
    }
    Ok(())
}

/// A header that a stranger may have sent along; the error says what was expected.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name: HeaderName = name.parse().map_err(|_| "expected the name of a header")?;
    let text = name.as_str();
    let reserved = OURS.contains(&text)
        || ["proxy-", "sec-", "webhook-", "x-webhook-", "x-forwarded-", "x-aws-ec2-metadata-"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        || matches!(text, "forwarded" | "x-real-ip" | "metadata" | "metadata-flavor");
    if reserved {
        return Err("this header cannot be set");
    }
    let mut value: HeaderValue = value.parse().map_err(|_| "expected visible characters on one line")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_urls_are_refused() {
        use TargetError::{Address, Malformed, Port, Scheme, UserInfo};
        for (url, refusal) in [
            ("", Malformed),
            ("/relative", Malformed),
            ("//host/", Malformed),
            ("http://", Malformed),
            ("http:///", Malformed),
            ("file:///etc/passwd", Scheme),
            ("gopher://127.0.0.1:6379/_", Scheme),
            ("ftp://example.com/", Scheme),
            ("data:text/plain,x", Scheme),
            ("javascript:alert(1)", Scheme),
            ("ws://example.com/", Scheme),
            ("https://user@example.com/", UserInfo),
            ("https://:secret@example.com/", UserInfo),
            ("https://example.com@127.0.0.1/", UserInfo),
            ("http://127.0.0.1/", Address),
            ("http://127.1/", Address),
            ("http://0177.0.0.1/", Address),
            ("http://0x7f000001/", Address),
            ("http://2130706433/", Address),
            ("http://127.0.0.1./", Address),
            ("http://①②⑦.0.0.1/", Address),
            ("http://%31%32%37.0.0.1/", Address),
            ("http:\\\\127.0.0.1\\", Address),
            ("http://0/", Address),
            ("http://[::1]/", Address),
            ("http://[::]/", Address),
            ("http://[::ffff:127.0.0.1]/", Address),
            ("http://[::ffff:a9fe:a9fe]/latest/meta-data/", Address),
            ("http://[64:ff9b::a9fe:a9fe]/", Address),
            ("http://[fd00:ec2::254]/", Address),
            ("http://169.254.169.254/latest/meta-data/", Address),
            ("http://[fe80::1%25eth0]/", Malformed),
            ("http://exa mple.com/", Malformed),
            ("https://example.com:22/", Port),
            ("https://example.com:25/", Port),
            ("https://example.com:6000/", Port),
            ("https://example.com:0/", Port),
            ("https://example.com:99999/", Malformed),
        ] {
            assert_eq!(check(url, &Allow::default()).map(|url| url.to_string()), Err(refusal), "{url}");
        }
        let long = format!("https://example.com/{}", "x".repeat(2048));
        assert_eq!(check(&long, &Allow::default()), Err(TargetError::TooLong));
    }

    #[test]
    fn ordinary_urls_are_not() {
        for url in [
            "https://example.com/hook?x=1",
            "http://example.com:8080/",
            "https://münchen.example/",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]:8443/",
            // What it stands for is decided at the connection.
            "https://localhost/",
        ] {
            assert!(check(url, &Allow::default()).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_operators_targets_have_any_port() {
        let allow = Allow::parse(["127.0.0.1/32", "internal.example"]).unwrap();
        for url in ["http://127.0.0.1:22/", "http://internal.example:25/"] {
            assert!(check(url, &allow).is_ok(), "{url}");
        }
        assert_eq!(check("http://127.0.0.2/", &allow), Err(TargetError::Address));
        assert_eq!(check("http://[::ffff:127.0.0.1]/", &allow), Err(TargetError::Address));
    }

    #[test]
    fn headers_of_the_connection_are_ours() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "proxy-authorization",
            "Upgrade",
            "TE",
            "Webhook-Signature",
            "X-Webhook-Hmac",
            "X-Forwarded-For",
            "Metadata-Flavor",
            "X-aws-ec2-metadata-token",
        ] {
            assert_eq!(header(name, "x").unwrap_err(), "this header cannot be set", "{name}");
        }
        for (name, value) in [("a b", "x"), ("", "x"), ("a:", "x"), ("x", "a\r\nHost: y"), ("x", "\0")] {
            assert!(header(name, value).is_err(), "{name:?} {value:?}");
        }
        let (_, value) = header("Authorization", "Bearer secret").unwrap();
        assert!(!format!("{value:?}").contains("secret"));
    }
}
