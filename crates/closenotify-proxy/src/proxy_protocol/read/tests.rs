//! Headers read from a connection: exactly, at any cut of the stream, truncated at every byte and damaged at every byte.

use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::super::{ClientFacts, encode_v1, encode_v2};
use super::*;

fn tcp4() -> Addresses {
    Addresses::tcp("192.0.2.1:1".parse().unwrap(), "192.0.2.2:443".parse().unwrap())
}

fn tcp6() -> Addresses {
    Addresses::tcp("[2001:db8::1]:65535".parse().unwrap(), "[2001:db8::2]:443".parse().unwrap())
}

/// Headers of each kind, and what they say.
fn headers() -> Vec<(Vec<u8>, Header)> {
    let facts = ClientFacts { alpn: Some(b"h2"), server_name: Some("a.example"), ..ClientFacts::default() };
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xdf"[..], &[b'/'; 216], b"\x04\0\x04\x03\0\0\0"].concat();
    let v1 = |addresses: &Addresses| (encode_v1(addresses), ProxyProtocol::V1, addresses.clone());
    let v2 = |addresses: &Addresses, facts: &_| (encode_v2(addresses, facts), ProxyProtocol::V2, addresses.clone());
    let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x05abcde".to_vec();
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(v1::LINE_MAX - 16)).into_bytes();
    [
        v1(&tcp4()),
        v1(&tcp6()),
        v1(&Addresses::Unknown),
        (longest, ProxyProtocol::V1, Addresses::Unknown),
        v2(&tcp4(), &ClientFacts::default()),
        v2(&tcp6(), &facts),
        (unix, ProxyProtocol::V2, Addresses::Unix { source: vec![b'/'; 108], destination: vec![b'/'; 108] }),
        (unspecified, ProxyProtocol::V2, Addresses::Unknown),
        v2(&Addresses::Unknown, &facts),
    ]
    .into_iter()
    .map(|(bytes, version, addresses)| (bytes, Header { version, addresses }))
    .collect()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn read_from(bytes: &[u8]) -> (Result<Header, HeaderError>, usize) {
    let mut stream = Cursor::new(bytes);
    let result = read_header(&mut stream, later()).await;
    (result, usize::try_from(stream.position()).unwrap())
}

#[tokio::test]
async fn exactly_the_header_is_read() {
    for (bytes, header) in headers() {
        let followed = [&bytes[..], b"\x16\x03\x01\x00\x05hello\r\n\r\n"].concat();
        assert_eq!(read_from(&followed).await, (Ok(header), bytes.len()), "{}", bytes.escape_ascii());
    }
}

/// What HAProxy 2.6 sends for a TLS client with a certificate (`send-proxy-v2` with every option and a checksum), for a plain
/// one (`send-proxy`), and for one that came over a Unix socket (`send-proxy-v2`).
///
/// docs/cases.md D02
#[tokio::test]
async fn headers_of_haproxy_are_read() {
    let tls = b"\r\n\r\n\0\r\nQUIT\n!\x11\0s\x7f\0\0\x01\x7f\0\0\x01\x92\x92Bi\x03\0\x04\0\x8ah\xca\x01\0\x02h2\x02\0\x0bapp.example\
        \x20\0J\x07\0\0\0\0!\0\x07TLSv1.3\"\0\x03ops%\0\x05EC256$\0\x11ecdsa-with-SHA256#\0\x16TLS_AES_256_GCM_SHA384";
    let local = |port| Addresses::tcp(([127, 0, 0, 1], port).into(), ([127, 0, 0, 1], 17001).into());
    let header = Header { version: ProxyProtocol::V2, addresses: local(37522) };
    assert_eq!(read_from(tls).await, (Ok(header), tls.len()));
    let mut damaged = tls.to_vec();
    damaged[60] ^= 1;
    assert_eq!(read_from(&damaged).await.0, Err(Malformed::ChecksumMismatch.into()));

    let plain = b"PROXY TCP4 127.0.0.1 127.0.0.1 33360 17001\r\n";
    let header = Header { version: ProxyProtocol::V1, addresses: local(33360) };
    assert_eq!(read_from(plain).await, (Ok(header), plain.len()));
    let unix = b"\r\n\r\n\0\r\nQUIT\n \0\0\0";
    let header = Header { version: ProxyProtocol::V2, addresses: Addresses::Unknown };
    assert_eq!(read_from(unix).await, (Ok(header), unix.len()));
}

#[tokio::test(start_paused = true)]
async fn a_header_may_come_byte_by_byte() {
    for (bytes, header) in headers() {
        let (mut near, mut far) = tokio::io::duplex(1);
        let (result, ()) =
            tokio::join!(read_header(&mut near, later()), async { far.write_all(&bytes).await.unwrap() });
        assert_eq!(result, Ok(header));
        drop(far);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }
}

#[tokio::test]
async fn a_header_truncated_at_any_byte_is_truncated() {
    for (bytes, _) in headers() {
        for end in 0..bytes.len() {
            let expected = if end == 0 { HeaderError::Silent } else { HeaderError::Truncated(end) };
            assert_eq!(read_from(&bytes[..end]).await, (Err(expected), end));
        }
    }
}

#[tokio::test]
async fn a_header_damaged_at_any_byte_neither_panics_nor_reads_past_its_end() {
    for (bytes, _) in headers() {
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut damaged = [&bytes[..], b"\x16\x03\x01"].concat();
                damaged[at] = value;
                let (result, read) = read_from(&damaged).await;
                assert!(result.is_err() || read == header_length(&damaged), "{result:?} after {read} bytes");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_header_is_told_at_its_first_wrong_byte() {
    let missing = |tls| Err(HeaderError::Missing { tls });
    assert_eq!(read_from(b"\x16").await, (missing(true), 1));
    assert_eq!(read_from(b"GET / HTTP/1.1\r\n").await.0, missing(false));
    assert_eq!(read_from(b"PROXY\r\n").await.0, missing(false));
    assert_eq!(read_from(b"PROXYTCP4").await.0, missing(false));
    assert_eq!(read_from(b"\r\n\r\n\0\r\nQUIT\r").await.0, missing(false));
}

#[tokio::test]
async fn lines_end_with_cr_lf_and_within_their_bound() {
    let malformed = |malformed: Malformed| Err(HeaderError::from(malformed));
    for (line, expected) in [
        ("PROXY \r\n and more that is read", Malformed::Family),
        ("PROXY TCP4\r\n1.1.1.1", Malformed::Fields),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n\u{16}", Malformed::LineEnd),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n", Malformed::LineEnd),
        ("PROXY TCP4 1.1.1.1\r1.1.1.1 1 1\r\n", Malformed::LineEnd),
        (&format!("PROXY UNKNOWN {}", "f".repeat(1000)), Malformed::LineTooLong),
        (&format!("PROXY UNKNOWN {}\r\n", "f".repeat(v1::LINE_MAX - 15)), Malformed::LineTooLong),
    ] {
        let (result, read) = read_from(line.as_bytes()).await;
        assert_eq!(result, malformed(expected), "{line:?}");
        assert!(read <= v1::LINE_MAX, "{read} bytes of {line:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_or_stops_midway_meets_the_deadline() {
    for (bytes, _) in headers() {
        for sent in [0, 5, 13, bytes.len() - 1] {
            let (mut near, mut far) = tokio::io::duplex(8192);
            far.write_all(&bytes[..sent]).await.unwrap();
            let started = Instant::now();
            let result = read_header(&mut near, started + Duration::from_secs(3)).await;
            assert_eq!(result, Err(HeaderError::TimedOut));
            assert_eq!(started.elapsed(), Duration::from_secs(3));
        }
    }
}

/// Where the header ends that these bytes begin with, if it is one.
fn header_length(bytes: &[u8]) -> usize {
    match bytes.starts_with(b"PROXY") {
        true => bytes.windows(2).position(|two| two == b"\r\n").unwrap() + 2,
        false => 16 + usize::from(bytes[14]) * 256 + usize::from(bytes[15]),
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_are_read_beyond_the_bound(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP4 "[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21"[..])],
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let bytes = [start, &rest].concat();
        let (result, read) = runtime.block_on(read_from(&bytes));
        prop_assert!(read <= bytes.len());
        prop_assert!(result.is_err() || read == header_length(&bytes));
    }

    #[test]
    fn what_is_written_is_read(source: std::net::SocketAddr, destination: std::net::SocketAddr, name in "[a-z.]{0,300}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let addresses = Addresses::tcp(source, destination);
        let facts = ClientFacts { server_name: Some(&name), ..ClientFacts::default() };
        let versions = [(encode_v1(&addresses), ProxyProtocol::V1), (encode_v2(&addresses, &facts), ProxyProtocol::V2)];
        for (bytes, version) in versions {
            let (result, read) = runtime.block_on(read_from(&bytes));
            prop_assert_eq!(result, Ok(Header { version, addresses: addresses.clone() }));
            prop_assert_eq!(read, bytes.len());
        }
    }
}
