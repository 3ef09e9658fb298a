//! Addresses as people write them: `host:port`, `[::1]:8443`, `localhost:8443`.
//!
//! Parsed once, at the edge. It guesses no port and no host: each is written, or the address is refused with the way to
//! write it. Names are not resolved here but each time they are used, since their addresses change.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::{error, fmt, io};

/// A host, by name or by address, and a port.
///
/// Shown and parsed as `name:port`, `127.0.0.1:port` or `[::1]:port`. Port 0 means "any free port" and is good for
/// listening only; see [`HostPort::parse_target`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl HostPort {
    /// Parses an address to connect to: one that has a port other than 0.
    ///
    /// # Errors
    ///
    /// As [`FromStr`], and [`AddressError::PortZero`].
    pub fn parse_target(text: &str) -> Result<Self, AddressError> {
        let address: Self = text.parse()?;
        match address.port {
            0 => Err(AddressError::PortZero),
            _ => Ok(address),
        }
    }

    /// The host: a name, or an IP address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// The port; 0 for "any free port".
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The socket addresses that this stands for now, in the order to try them; never empty.
    ///
    /// An IP address is answered at once; a name is asked of the system's resolver, on Tokio's blocking pool.
    /// Dropping the future gives up the answer; nothing else happens.
    ///
    /// # Errors
    ///
    /// What the resolver said, as [`io::ErrorKind::NotFound`]: it knows no address for the name, or cannot say now. What the
    /// system said on the way to it keeps its kind.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name) => name,
        };
        let asked = tokio::net::lookup_host((name.as_str(), self.port)).await;
        let found: Vec<_> = asked.map_err(not_found_unless_the_systems)?.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address")));
        }
        Ok(found)
    }
}

/// Where something listens or is reached: a TCP address or a Unix socket.
///
/// Shown and parsed as `host:port`, `[ipv6]:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// A host and a port.
    Tcp(HostPort),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Parses an endpoint to connect to: its port, if it has one, is not 0.
    ///
    /// # Errors
    ///
    /// As [`FromStr`], and [`AddressError::PortZero`].
    pub fn parse_target(text: &str) -> Result<Self, AddressError> {
        match text.parse()? {
            Self::Tcp(address) if address.port() == 0 => Err(AddressError::PortZero),
            endpoint => Ok(endpoint),
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.starts_with('/') => Err(AddressError::RelativePath { path: path.into() }),
            Some(path) if path.contains('\0') => Err(AddressError::NotAPath { path: path.into() }),
            Some(path) if path.len() > UNIX_PATH_MAX => Err(AddressError::LongPath { path: path.into() }),
            Some(path) => Ok(Self::Unix(path.into())),
            None if text.starts_with('/') => Err(AddressError::BarePath { path: text.into() }),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl From<HostPort> for Endpoint {
    fn from(address: HostPort) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.contains('/') {
            return Err(AddressError::NotAHost { host: text.into() });
        }
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_digits(text) {
            return Err(AddressError::EmptyHost { port: text.into() });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(AddressError::UnclosedBracket)?;
                let host = host.parse::<Ipv6Addr>().map_err(|_| AddressError::NotIpv6 { host: host.into() })?;
                let host = Host::Ip(host.into());
                let Some(port) = after.strip_prefix(':').filter(|port| !port.is_empty()) else {
                    return Err(AddressError::MissingPort { host: host.to_string() });
                };
                (host, port)
            }
            None => {
                let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
                if host.contains(':') {
                    return Err(AddressError::UnbracketedIpv6);
                }
                if host.is_empty() {
                    return Err(AddressError::EmptyHost { port: port.into() });
                }
                let host = Host::from_plain(host)?;
                if port.is_empty() {
                    return Err(AddressError::MissingPort { host: host.to_string() });
                }
                (host, port)
            }
        };
        match port.parse() {
            // Parsing alone would also take a plus sign.
            Ok(port_number) if is_digits(port) => Ok(Self { host, port: port_number }),
            _ => Err(AddressError::BadPort { port: port.into() }),
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Ip(address.ip()), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Host {
    /// As it stands before a port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Host {
    /// A host written without brackets. Names are not checked further than for what is surely a slip.
    fn from_plain(host: &str) -> Result<Self, AddressError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::Ip(ip));
        }
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // A name of digits and dots only is an IPv4 address with a slip; resolvers read some of them as something else.
        let mangled = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if mangled || !host.bytes().all(named) {
            return Err(AddressError::NotAHost { host: host.into() });
        }
        Ok(Self::Name(host.into()))
    }
}

/// Why a text is no address. Each text says how to write one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing is written.
    Empty,
    /// Only a port is written.
    EmptyHost {
        /// The port as written.
        port: String,
    },
    /// Only a host is written.
    MissingPort {
        /// The host, in brackets if it is an IPv6 address.
        host: String,
    },
    /// The port is no number from 0 to 65535.
    BadPort {
        /// What stands in its place.
        port: String,
    },
    /// Port 0 cannot be connected to.
    PortZero,
    /// An IPv6 address without brackets: where it ends and the port begins cannot be told.
    UnbracketedIpv6,
    /// A `[` without its `]`.
    UnclosedBracket,
    /// What stands in brackets is no IPv6 address.
    NotIpv6 {
        /// What stands there.
        host: String,
    },
    /// The path of a Unix socket does not begin at the root.
    RelativePath {
        /// The path as written.
        path: String,
    },
    /// An absolute path without `unix:`.
    BarePath {
        /// The path as written.
        path: String,
    },
    /// The path of a Unix socket holds a zero byte.
    NotAPath {
        /// The path as written.
        path: String,
    },
    /// The path of a Unix socket is longer than the kernel allows.
    LongPath {
        /// The path as written.
        path: String,
    },
    /// The host is neither an address nor a name; a URL, perhaps.
    NotAHost {
        /// What stands in its place.
        host: String,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the address is empty: write host:port or [ipv6]:port"),
            Self::EmptyHost { port } => {
                let port = if port.is_empty() { "port" } else { port };
                write!(f, "the host is missing: write 127.0.0.1:{port}, or 0.0.0.0:{port} to listen on every address")
            }
            Self::MissingPort { host } => write!(f, "the port is missing: write {host}:port, as in {host}:8443"),
            Self::BadPort { port } => {
                write!(f, "{port:?} is not a port: write a number from 0 to 65535")
            }
            Self::PortZero => f.write_str("nothing listens on port 0: write the port to connect to"),
            Self::UnbracketedIpv6 => f.write_str("an IPv6 address needs brackets: write [ipv6]:port, as in [::1]:8443"),
            Self::UnclosedBracket => f.write_str("the closing bracket is missing: write [ipv6]:port"),
            Self::NotIpv6 { host } => {
                write!(f, "{host:?} is not an IPv6 address: brackets are for those only, without a zone")
            }
            Self::RelativePath { path } => {
                write!(f, "{path:?} is not an absolute path: write unix:/path/to/socket")
            }
            Self::BarePath { path } => write!(f, "a Unix socket needs its prefix: write unix:{}", path.escape_debug()),
            Self::NotAPath { path } => write!(f, "{path:?} is not a path: it holds a zero byte"),
            Self::LongPath { path } => write!(
                f,
                "the path has {} bytes, and that of a Unix socket at most {UNIX_PATH_MAX}: choose a shorter one",
                path.len()
            ),
            Self::NotAHost { host } => {
                write!(f, "{host:?} is neither a host name nor an address: write host:port, without scheme and path")
            }
        }
    }
}

impl error::Error for AddressError {}

/// Bytes in the path of a Unix socket: `sun_path` of `sockaddr_un` less its zero byte, unix(7).
pub(crate) const UNIX_PATH_MAX: usize = 107;

/// The resolver's own errors have no kind that has a name.
fn not_found_unless_the_systems(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => io::Error::new(io::ErrorKind::NotFound, error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_taken_and_shown_as_written() {
        for (text, host, port) in [
            ("127.0.0.1:8443", "127.0.0.1", 8443),
            ("localhost:0", "localhost", 0),
            ("[::1]:65535", "::1", 65535),
            ("[::]:443", "::", 443),
            ("a-b_c.example.:1", "a-b_c.example.", 1),
            ("1and1.example:80", "1and1.example", 80),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!((address.host().as_str(), address.port()), (host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn bad_addresses_are_refused_each_for_its_reason() {
        let port = |port: &str| AddressError::BadPort { port: port.into() };
        let host = |host: &str| AddressError::NotAHost { host: host.into() };
        let no_port = |host: &str| AddressError::MissingPort { host: host.into() };
        let no_host = |port: &str| AddressError::EmptyHost { port: port.into() };
        for (text, error) in [
            ("", AddressError::Empty),
            ("localhost", no_port("localhost")),
            ("localhost:", no_port("localhost")),
            ("127.0.0.1", no_port("127.0.0.1")),
            ("[::1]", no_port("[::1]")),
            ("[::1]8443", no_port("[::1]")),
            ("[::1]:", no_port("[::1]")),
            ("8443", no_host("8443")),
            (":8443", no_host("8443")),
            (":", no_host("")),
            ("::1:8443", AddressError::UnbracketedIpv6),
            ("::1", AddressError::UnbracketedIpv6),
            ("[::1:8443", AddressError::UnclosedBracket),
            ("[localhost]:1", AddressError::NotIpv6 { host: "localhost".into() }),
            ("[127.0.0.1]:1", AddressError::NotIpv6 { host: "127.0.0.1".into() }),
            ("[fe80::1%eth0]:1", AddressError::NotIpv6 { host: "fe80::1%eth0".into() }),
            ("[]:1", AddressError::NotIpv6 { host: String::new() }),
            ("localhost:65536", port("65536")),
            ("localhost:-1", port("-1")),
            ("localhost:+1", port("+1")),
            ("localhost:https", port("https")),
            ("localhost: 1", port(" 1")),
            ("https://localhost:1", host("https://localhost:1")),
            ("localhost:1/", host("localhost:1/")),
            ("256.0.0.1:1", host("256.0.0.1")),
            ("127.0.1:1", host("127.0.1")),
            ("me@host:1", host("me@host")),
            (" localhost:1", host(" localhost")),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn target_has_a_port() {
        assert_eq!(HostPort::parse_target("localhost:0"), Err(AddressError::PortZero));
        assert_eq!(HostPort::parse_target("localhost:80").unwrap().port(), 80);
        assert_eq!(HostPort::parse_target("localhost"), Err(AddressError::MissingPort { host: "localhost".into() }));
    }

    #[test]
    fn endpoint_is_an_address_or_the_absolute_path_of_a_unix_socket() {
        for text in ["localhost:1", "[::1]:0", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        let longest = format!("unix:/{}", "x".repeat(UNIX_PATH_MAX - 1));
        assert!(longest.parse::<Endpoint>().is_ok());
        for (text, hint) in [
            ("unix:app.sock", "unix:/path/to/socket"),
            ("unix:", "unix:/path/to/socket"),
            ("unix:/a\0b", "zero byte"),
            ("/run/app.sock", "write unix:/run/app.sock"),
            (&format!("{longest}x"), "108 bytes, and that of a Unix socket at most 107"),
        ] {
            let shown = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(shown.contains(hint), "{text:?}: {shown}");
        }
    }

    #[test]
    fn errors_say_how_to_write_it() {
        for (text, hint) in [
            ("", "host:port"),
            ("localhost", "the port is missing: write localhost:port, as in localhost:8443"),
            ("[::1]", "as in [::1]:8443"),
            ("8443", "the host is missing: write 127.0.0.1:8443, or 0.0.0.0:8443"),
            (":1", "0.0.0.0:1"),
            ("::1:1", "[::1]:8443"),
            ("a:99999", "0 to 65535"),
            ("http://a:1", "without scheme"),
        ] {
            let shown = text.parse::<HostPort>().unwrap_err().to_string();
            assert!(shown.contains(hint), "{shown}");
        }
    }

    #[tokio::test]
    async fn addresses_resolve_to_themselves_and_localhost_to_loopback() {
        let here: SocketAddr = "[::1]:7".parse().unwrap();
        assert_eq!(HostPort::from(here).resolve().await.unwrap(), [here]);
        let found = "localhost:7".parse::<HostPort>().unwrap().resolve().await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|at| at.ip().is_loopback() && at.port() == 7));
    }
}
