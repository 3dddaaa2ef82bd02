//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::config::Proxies;

/// An address as it is counted: of IPv6 the network, since whoever has one address has all of it.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

pub fn is_trusted(address: IpAddr, proxies: &Proxies) -> bool {
    proxies.trusted.iter().any(|net: &IpNet| net.contains(&address.to_canonical()))
}

/// A proxy puts the client's address last: of a list, the last that is no trusted proxy's own counts. What stands before it, the
/// client may have written.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> IpAddr {
    if !is_trusted(peer, proxies) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all(&proxies.header).iter().filter_map(|line| line.to_str().ok()).collect();
    let named = lines.iter().flat_map(|line| line.split(',')).map(|text| text.trim().parse::<IpAddr>());
    // One that is no address ends the row: nothing before it can be trusted.
    let mut client = peer;
    for address in named.rev() {
        let Ok(address) = address else { break };
        client = address;
        if !is_trusted(address, proxies) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn from(peer: &str, trusted: &[&str], header: &'static str, lines: &[&str]) -> String {
        let proxies = Proxies {
            trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            header: HeaderName::from_static(header),
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header, line.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let header = "x-real-ip";
        assert_eq!(from("9.9.9.9", &[], header, &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(from("9.9.9.9", &["10.0.0.0/8"], header, &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(from("10.1.1.1", &["10.0.0.0/8"], header, &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("::ffff:10.1.1.1", &["10.0.0.0/8"], header, &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("10.1.1.1", &["10.0.0.0/8"], header, &[]), "10.1.1.1");
        assert_eq!(from("10.1.1.1", &["10.0.0.0/8"], header, &["nonsense"]), "10.1.1.1");
    }

    #[test]
    fn of_a_list_what_the_client_wrote_does_not_count() {
        let (header, trusted) = ("x-forwarded-for", &["10.0.0.0/8"][..]);
        assert_eq!(from("10.1.1.1", trusted, header, &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(from("10.1.1.1", trusted, header, &["6.6.6.6", "1.2.3.4, 10.2.2.2"]), "1.2.3.4");
        assert_eq!(from("10.1.1.1", trusted, header, &["6.6.6.6, nonsense, 10.2.2.2"]), "10.2.2.2");
    }
}
