//! Where a request comes from: the connection's other end, or what a trusted proxy says stands behind it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The other end of a connection; the listener puts it into every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
}

/// Returns the client's address: the peer's, or behind trusted proxies the last address in `X-Forwarded-For` that is
/// none of theirs. What a client itself has written into the header is never believed.
pub(crate) fn address(extensions: &Extensions, headers: &HeaderMap, proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = canonical(extensions.get::<Peer>()?.address.ip());
    let trusted = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
    if !trusted(peer) {
        return Some(peer);
    }
    let said = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = said.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = peer;
    for hop in chain.into_iter().rev() {
        let Some(address) = parse(hop) else { break };
        client = address;
        if !trusted(address) {
            break;
        }
    }
    Some(client)
}

/// Reads an address with or without a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip())).map(canonical)
}

/// Returns what has one rate: an IPv4 address, or the 64 bits that an IPv6 network has in common, since whoever has one
/// such address has all of them.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
    }
}

/// An IPv4 address that came over IPv6 is an IPv4 address.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_up_to_the_first_stranger() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, forwarded: &[&'static str]| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer { address: peer.parse().unwrap() });
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            address(&extensions, &headers, &proxies).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1:5", &["1.1.1.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1:5", &["1.1.1.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(client("10.0.0.1:5", &["1.1.1.1", "192.0.2.7, 10.0.0.2"]), "192.0.2.7");
        assert_eq!(client("10.0.0.1:5", &["192.0.2.7:4000"]), "192.0.2.7");
        assert_eq!(client("10.0.0.1:5", &["[2001:db8::1]:4000"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1:5", &["junk"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1:5", &[]), "10.0.0.1");
        assert_eq!(client("[::ffff:10.0.0.1]:5", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(address(&Extensions::new(), &HeaderMap::new(), &proxies), None);
    }
}
