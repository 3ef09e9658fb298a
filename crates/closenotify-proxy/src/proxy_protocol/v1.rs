//! Version 1: one line of text.
//!
//! Parsing is as strict as the specification: one space between fields, no leading zeros.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::Malformed;
use super::{Addresses, canonical};

/// The header with `addresses`: `PROXY UNKNOWN` unless they are those of a TCP connection.
///
/// Where one address is IPv4 and the other IPv6, both are written as IPv6, the first as IPv4-mapped.
pub(crate) fn encode(addresses: &Addresses) -> Vec<u8> {
    let Addresses::Tcp { source, destination } = addresses else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let (source, destination) = (canonical(*source), canonical(*destination));
    let (from, to) = (source.port(), destination.port());
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => format!("PROXY TCP4 {source} {destination} {from} {to}\r\n"),
        (source, destination) => format!("PROXY TCP6 {} {} {from} {to}\r\n", v6(source), v6(destination)),
    }
    .into_bytes()
}

/// Parses what is between `PROXY ` and CR LF.
pub(super) fn parse(line: &[u8]) -> Result<Addresses, Malformed> {
    let mut fields = line.split(|byte| *byte == b' ');
    match fields.next() {
        // The specification has the rest ignored.
        Some(b"UNKNOWN") => return Ok(Addresses::Unknown),
        Some(b"TCP4" | b"TCP6") => {}
        _ => return Err(Malformed::Family),
    }
    let fields: Vec<_> = fields.collect();
    let [source, destination, from, to] = fields[..] else { return Err(Malformed::Fields) };
    let address = |field| match line.get(3) {
        Some(b'4') => parse_field::<Ipv4Addr>(field).map(IpAddr::from),
        _ => parse_field::<Ipv6Addr>(field).map(IpAddr::from),
    };
    let (source, destination) = (address(source)?, address(destination)?);
    Ok(Addresses::tcp(SocketAddr::new(source, port(from)?), SocketAddr::new(destination, port(to)?)))
}

/// What every header of this version begins with.
pub(super) const PREFIX: &[u8] = b"PROXY ";

/// The longest line, CR LF included.
pub(super) const LINE_MAX: usize = 107;

pub(super) fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn parse_field<T: std::str::FromStr>(field: &[u8]) -> Result<T, Malformed> {
    std::str::from_utf8(field).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Address)
}

fn port(field: &[u8]) -> Result<u16, Malformed> {
    let canonical = field == b"0" || (field.iter().all(u8::is_ascii_digit) && !field.starts_with(b"0"));
    let port = parse_field(field).map_err(|_| Malformed::Port)?;
    if canonical { Ok(port) } else { Err(Malformed::Port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(source: &str, destination: &str) -> Addresses {
        Addresses::tcp(source.parse().unwrap(), destination.parse().unwrap())
    }

    #[test]
    fn headers_are_those_of_the_specification() {
        for (addresses, expected) in [
            (tcp("192.168.0.1:56324", "192.168.0.11:443"), "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
            (tcp("[2001:db8::1]:1", "[::1]:65535"), "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
            (tcp("192.0.2.1:1", "[2001:db8::2]:2"), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"),
            (tcp("[2001:db8::1]:1", "192.0.2.2:2"), "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 1 2\r\n"),
            (tcp("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2"), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            (Addresses::Unknown, "PROXY UNKNOWN\r\n"),
            (Addresses::Unix { source: b"/a".to_vec(), destination: b"/b".to_vec() }, "PROXY UNKNOWN\r\n"),
        ] {
            assert_eq!(String::from_utf8(encode(&addresses)).unwrap(), expected);
        }
    }

    #[test]
    fn zones_are_not_written() {
        let source: std::net::SocketAddrV6 = "[fe80::1%3]:7".parse().unwrap();
        let addresses = Addresses::Tcp { source: source.into(), destination: "[::1]:8".parse().unwrap() };
        assert_eq!(encode(&addresses), b"PROXY TCP6 fe80::1 ::1 7 8\r\n");
    }

    #[test]
    fn lines_are_parsed() {
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        for (line, expected) in [
            ("TCP4 192.168.0.1 192.168.0.11 56324 443", tcp("192.168.0.1:56324", "192.168.0.11:443")),
            ("TCP4 0.0.0.0 255.255.255.255 0 65535", tcp("0.0.0.0:0", "255.255.255.255:65535")),
            ("TCP6 2001:DB8::1 ::1 1 2", tcp("[2001:db8::1]:1", "[::1]:2")),
            ("TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2", tcp("192.0.2.1:1", "192.0.2.2:2")),
            (
                &format!("TCP6 {longest} {longest} 65535 65535"),
                tcp(&format!("[{longest}]:65535"), &format!("[{longest}]:65535")),
            ),
            ("UNKNOWN", Addresses::Unknown),
            ("UNKNOWN ", Addresses::Unknown),
            ("UNKNOWN  anything \u{1b} at all", Addresses::Unknown),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(expected), "{line}");
        }
    }

    #[test]
    fn each_slip_has_its_error() {
        for (line, expected) in [
            ("", Malformed::Family),
            ("TCP", Malformed::Family),
            ("TCP5 1.1.1.1 1.1.1.1 1 1", Malformed::Family),
            ("tcp4 1.1.1.1 1.1.1.1 1 1", Malformed::Family),
            (" TCP4 1.1.1.1 1.1.1.1 1 1", Malformed::Family),
            ("UNKNOWN1", Malformed::Family),
            ("UNKNOW", Malformed::Family),
            ("TCP4", Malformed::Fields),
            ("TCP4 1.1.1.1 1.1.1.1 1", Malformed::Fields),
            ("TCP4 1.1.1.1 1.1.1.1 1 1 ", Malformed::Fields),
            ("TCP4  1.1.1.1 1.1.1.1 1 1", Malformed::Fields),
            ("TCP4 1.1.1.1 1.1.1.1 1 1 1", Malformed::Fields),
            ("TCP4 1.1.1.1\t1.1.1.1 1 1", Malformed::Fields),
            ("TCP4 1.1.1 1.1.1.1 1 1", Malformed::Address),
            ("TCP4 01.1.1.1 1.1.1.1 1 1", Malformed::Address),
            ("TCP4 1.1.1.256 1.1.1.1 1 1", Malformed::Address),
            ("TCP4 ::1 ::1 1 1", Malformed::Address),
            ("TCP6 1.1.1.1 1.1.1.1 1 1", Malformed::Address),
            ("TCP6 [::1] ::1 1 1", Malformed::Address),
            ("TCP6 fe80::1%1 ::1 1 1", Malformed::Address),
            ("TCP4 1.1.1.1 1.1.1.1 65536 1", Malformed::Port),
            ("TCP4 1.1.1.1 1.1.1.1 1 01", Malformed::Port),
            ("TCP4 1.1.1.1 1.1.1.1 00 1", Malformed::Port),
            ("TCP4 1.1.1.1 1.1.1.1 +1 1", Malformed::Port),
            ("TCP4 1.1.1.1 1.1.1.1 -1 1", Malformed::Port),
            ("TCP4 1.1.1.1 1.1.1.1  1", Malformed::Port),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(expected), "{line:?}");
        }
        assert_eq!(parse(b"TCP4 \xff 1.1.1.1 1 1"), Err(Malformed::Address));
    }
}
