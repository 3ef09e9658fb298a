//! The PROXY protocol, versions 1 and 2: how a proxy passes its client's address to the next server.
//!
//! The specification is `doc/proxy-protocol.txt` of HAProxy. Nothing here guesses whether a connection begins with a header:
//! who may send one is a setting ([`expects`]), and where one is expected a connection without it is an error. Only the
//! addresses of a received header are used, and no byte of a peer is shown unescaped.

mod crc32c;
mod error;
mod facts;
mod read;
mod v1;
mod v2;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

pub(crate) use error::HeaderError;
pub(crate) use facts::ClientFacts;
pub(crate) use read::read_header;
pub(crate) use v1::encode as encode_v1;
pub(crate) use v2::encode as encode_v2;

use crate::config::ProxyProtocol;

/// A header that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: ProxyProtocol,
    pub(crate) addresses: Addresses,
}

/// The two ends of the client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// Not in the header (`LOCAL`, `UNKNOWN`, unspecified, datagrams): use those of the connection itself.
    Unknown,
    /// TCP. IPv4-mapped IPv6 addresses have become IPv4.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// Unix sockets: what is before the first zero byte of each path. Empty for a socket without a name.
    Unix {
        /// The client.
        source: Vec<u8>,
        /// Where it connected to.
        destination: Vec<u8>,
    },
}

impl Addresses {
    /// A TCP connection from `source` to `destination`.
    pub(crate) fn tcp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self::Tcp { source: canonical(source), destination: canonical(destination) }
    }

    /// The client's address, if it is a TCP one.
    pub(crate) fn source(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { source, .. } => Some(*source),
            Self::Unknown | Self::Unix { .. } => None,
        }
    }
}

/// The client's address, as lines show it.
impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Tcp { source, .. } => source.fmt(f),
            Self::Unix { source, .. } => write!(f, "unix:{}", source.escape_ascii()),
        }
    }
}

/// Whether a connection from `peer` begins with a header, by the networks of `accept_proxy_protocol`.
///
/// An IPv4 peer is one whether its address is written as IPv4 or as IPv4-mapped IPv6, as a listener on `[::]` sees it; so is
/// a network. `::/0` therefore covers no IPv4 peer.
pub(crate) fn expects(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| canonical_network(*network).contains(&peer))
}

fn canonical_network(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(network, IpNet::V4)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_peers_and_networks_are_ipv4() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        for (trusted, peer, expected) in [
            (&["10.0.0.0/8"][..], "10.1.2.3", true),
            (&["10.0.0.0/8"], "::ffff:10.1.2.3", true),
            (&["10.0.0.0/8"], "11.0.0.0", false),
            (&["10.0.0.0/8"], "::ffff:11.0.0.0", false),
            (&["::ffff:10.0.0.0/104"], "10.255.255.255", true),
            (&["::ffff:10.0.0.0/104"], "::ffff:11.0.0.1", false),
            (&["::/0"], "10.1.2.3", false),
            (&["::/0"], "::ffff:10.1.2.3", false),
            (&["::/0"], "2001:db8::1", true),
            (&["0.0.0.0/0"], "2001:db8::1", false),
            (&["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", true),
            (&["192.0.2.7/32"], "192.0.2.7", true),
            (&[], "127.0.0.1", false),
        ] {
            assert_eq!(expects(&networks(trusted), peer.parse().unwrap()), expected, "{trusted:?} {peer}");
        }
    }

    #[test]
    fn what_a_peer_calls_its_socket_is_shown_escaped() {
        let addresses = Addresses::Unix { source: b"/run/a\n\x1b[31m\xff".to_vec(), destination: Vec::new() };
        assert_eq!(addresses.to_string(), r"unix:/run/a\n\x1b[31m\xff");
        assert_eq!(Addresses::Unknown.to_string(), "unknown");
        let addresses = Addresses::tcp("[::ffff:192.0.2.1]:7".parse().unwrap(), "[::1]:8".parse().unwrap());
        assert_eq!(addresses.to_string(), "192.0.2.1:7");
        assert_eq!(addresses.source(), Some("192.0.2.1:7".parse().unwrap()));
    }
}
