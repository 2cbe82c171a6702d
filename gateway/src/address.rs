//! Where a request comes from: the key of limits that hold before anybody is known.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;

/// The address at the other end of the TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Where a client is: an IPv4 address, or an IPv6 /64, which is what one subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

// === impl Origin ===

impl Origin {
    /// The client's address as the outermost of so many trusted proxies saw it. Each proxy appends the address it was
    /// reached from, so what a client writes itself stands further left and is never looked at.
    pub(crate) fn of(peer: Peer, headers: &HeaderMap, trusted_proxies: u32) -> Self {
        let Some(back) = trusted_proxies.checked_sub(1) else {
            return Self::from(peer.0);
        };
        let entries: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let entry = entries.iter().rev().nth(back as usize);
        let address = entry.and_then(|entry| parse(entry.trim()));
        Self::from(address.unwrap_or(peer.0))
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }
}

/// An address, which some proxies write with its port.
fn parse(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<std::net::SocketAddr>().ok();
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    entry
        .parse()
        .ok()
        .or_else(|| with_port().map(|address| address.ip()))
        .or_else(bracketed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(forwarded: &[&str], trusted_proxies: u32) -> Origin {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        Origin::of(Peer(ip("10.0.0.1")), &headers, trusted_proxies)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn without_a_proxy_nobody_can_claim_an_address() {
        assert_eq!(of(&["1.2.3.4"], 0), Origin(ip("10.0.0.1")));
    }

    #[test]
    fn what_the_trusted_proxies_saw_counts_and_nothing_before_it() {
        assert_eq!(of(&["6.6.6.6, 1.2.3.4"], 1), Origin(ip("1.2.3.4")));
        assert_eq!(of(&["6.6.6.6", "1.2.3.4:99"], 1), Origin(ip("1.2.3.4")));
        assert_eq!(
            of(&["6.6.6.6, 1.2.3.4, 10.9.9.9"], 2),
            Origin(ip("1.2.3.4"))
        );
        assert_eq!(of(&["1.2.3.4"], 2), Origin(ip("10.0.0.1")));
        assert_eq!(of(&["nonsense"], 1), Origin(ip("10.0.0.1")));
        assert_eq!(of(&[], 1), Origin(ip("10.0.0.1")));
    }

    #[test]
    fn a_subscriber_has_one_address_however_many_they_use() {
        let (one, other) = ("2001:db8:1:2::1", "[2001:db8:1:2:ffff::9]:443");
        assert_eq!(of(&[one], 1), of(&[other], 1));
        assert_ne!(of(&[one], 1), of(&["2001:db8:1:3::1"], 1));
        assert_eq!(of(&["::ffff:1.2.3.4"], 1), of(&["1.2.3.4"], 1));
    }
}
