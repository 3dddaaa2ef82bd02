//! Which addresses a stranger may make this daemon connect to: those of the public internet, and what the configuration allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Not the public internet, by IANA's special-purpose registries (RFC 6890 and its updates); and one that is public by number only.
const REFUSED_V4: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT, and a cloud's metadata (100.100.100.200)"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, and most clouds' metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments, and a cloud's metadata (192.0.0.192)"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays, retired"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, and broadcast"),
    ("168.63.129.16/32", "a cloud's own services behind a public number"),
];

/// Exceptions from [`GLOBAL_V6`]; all else outside of it is refused: unspecified, loopback, IPv4-mapped and -compatible, unique
/// local (with a cloud's metadata, fd00:ec2::254), link-local, multicast.
const REFUSED_V6: &[(&str, &str)] = &[
    ("2001::/23", "protocol assignments; Teredo carries an IPv4 address within"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4: an IPv4 address within"),
    ("3fff::/20", "documentation"),
];

/// All that IANA has given out as global unicast.
const GLOBAL_V6: &str = "2000::/3";

/// The well-known prefix of NAT64: the IPv4 address in the last 32 bits counts.
const NAT64: &str = "64:ff9b::/96";

/// Whether it is an address of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !REFUSED_V4.iter().any(|(block, _)| block.parse::<Ipv4Net>().is_ok_and(|block| block.contains(&address)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |block: &str| block.parse::<Ipv6Net>().is_ok_and(|block| block.contains(&address));
    if within(NAT64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    within(GLOBAL_V6) && !REFUSED_V6.iter().any(|(block, _)| within(block))
}

/// What the configuration allows beyond the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    blocks: Vec<IpNet>,
    hosts: Vec<String>,
}

impl Allow {
    /// A list of blocks (`10.0.0.0/8`), addresses and host names. The entry that is none of them is given back.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut allow = Self::default();
        for entry in entries {
            let entry = entry.trim();
            if let Ok(block) = entry.parse::<IpNet>() {
                allow.blocks.push(block.trunc());
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                allow.blocks.push(address.into());
            } else if is_host(entry) {
                allow.hosts.push(entry.to_ascii_lowercase());
            } else {
                return Err(entry.to_owned());
            }
        }
        Ok(allow)
    }

    /// Whether a connection to this address may be made for the host that the URL names.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        is_public(address) || self.names(host) || self.holds(address)
    }

    /// Whether the operator named this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(&address))
    }

    /// Whether the operator named this host.
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // The last label of a name is no number: `10.0.0` is a mistake, not a host.
    text.split('.').all(label) && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_the_tables_parses() {
        assert!(REFUSED_V4.iter().all(|(block, _)| block.parse::<Ipv4Net>().is_ok()));
        assert!(REFUSED_V6.iter().all(|(block, _)| block.parse::<Ipv6Net>().is_ok()));
        assert!(GLOBAL_V6.parse::<Ipv6Net>().is_ok() && NAT64.parse::<Ipv6Net>().is_ok());
    }

    #[test]
    fn what_is_not_the_public_internet_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            // IPv6: unspecified, loopback, mapped, compatible, translated.
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:10.0.0.1",
            // Unique local, link-local, site-local, multicast, discard, documentation.
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            // An IPv4 address within: 6to4, Teredo, NAT64 of both prefixes, ISATAP on a link.
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2002:808:808::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "fe80::5efe:10.0.0.1",
            // Not given out, segment routing, ORCHID.
            "4000::1",
            "5f00::1",
            "2001:20::1",
            "2001:10::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn the_public_internet_is_not() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.17",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_allow_list_names_blocks_addresses_and_hosts() {
        let allow = Allow::parse(["10.1.0.0/16", "127.0.0.1/32", "::1", "Internal.Example"]).unwrap();
        let admits = |host: &str, address: &str| allow.admits(host, address.parse().unwrap());
        assert!(admits("x", "10.1.2.3") && admits("x", "127.0.0.1") && admits("x", "::1"));
        assert!(!admits("x", "10.2.0.1") && !admits("x", "127.0.0.2") && !admits("x", "169.254.169.254"));
        // An allowed IPv4 address is not allowed in its other dress.
        assert!(!admits("x", "::ffff:127.0.0.1"));
        assert!(admits("internal.example", "10.9.9.9") && admits("INTERNAL.example.", "10.9.9.9"));
        assert!(!admits("not-internal.example", "10.9.9.9") && !admits("internal.example.evil.com", "10.9.9.9"));
        for entry in ["10.0.0", "10.0.0.0/33", "http://x", "a b", "", "*.example", "1.2.3.4:80"] {
            assert_eq!(Allow::parse([entry]), Err(entry.to_owned()));
        }
    }
}
