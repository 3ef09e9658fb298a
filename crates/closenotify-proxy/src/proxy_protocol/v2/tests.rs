//! The binary header: byte for byte as the specification and other implementations write it, and each error.

use super::*;

fn parse(header: &[u8]) -> Result<Addresses, Malformed> {
    let (prefix, block) = header.split_first_chunk::<PREFIX>().unwrap();
    let start = Start::parse(*prefix)?;
    assert_eq!(start.length, block.len(), "the length says how much follows");
    start.finish(prefix, block)
}

fn tcp(source: &str, destination: &str) -> Addresses {
    Addresses::tcp(source.parse().unwrap(), destination.parse().unwrap())
}

fn nothing() -> ClientFacts<'static> {
    ClientFacts::default()
}

const V4: &[u8] = &[192, 168, 0, 1, 192, 168, 0, 11, 0xDC, 0x04, 0x01, 0xBB];

/// docs/cases.md D02
#[test]
fn ipv4_is_written_as_the_specification_draws_it() {
    let written = encode(&tcp("192.168.0.1:56324", "192.168.0.11:443"), &nothing());
    assert_eq!(written, b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb");
}

#[test]
fn mixed_families_are_ipv6() {
    let written = encode(&tcp("192.0.2.1:1", "[2001:db8::2]:2"), &nothing());
    assert_eq!(written[12..16], [0x21, 0x21, 0, 36]);
    assert_eq!(written[16..32], *b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01");
    assert_eq!(parse(&written), Ok(tcp("192.0.2.1:1", "[2001:db8::2]:2")));
    let written = encode(&tcp("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2"), &nothing());
    assert_eq!(written[12..16], [0x21, 0x11, 0, 12]);
}

#[test]
fn a_client_that_is_not_tcp_is_local() {
    let facts = ClientFacts { server_name: Some("a.b"), ..ClientFacts::default() };
    for addresses in [Addresses::Unknown, Addresses::Unix { source: b"/a".to_vec(), destination: b"/b".to_vec() }] {
        assert_eq!(encode(&addresses, &facts), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for addresses in [tcp("1.2.3.4:5", "6.7.8.9:10"), tcp("[::1]:1", "[::2]:2"), Addresses::Unknown] {
        assert_eq!(parse(&encode(&addresses, &nothing())), Ok(addresses));
    }
}

#[test]
fn unix_paths_end_at_their_first_zero_byte_but_for_an_abstract_ones_first() {
    let path = |path: &[u8]| [path, &vec![0; UNIX_PATH - path.len()]].concat();
    let long = [b'x'; UNIX_PATH];
    for (source, expected) in [
        (&b""[..], &b""[..]),
        (b"/run/a", b"/run/a"),
        (b"/a\0b", b"/a"),
        (b"\0abstract", b"\0abstract"),
        (&long, &long),
    ] {
        let parsed = parse(&header(1, 0x31, &[path(source), path(b"/b")].concat()));
        assert_eq!(parsed, Ok(Addresses::Unix { source: expected.to_vec(), destination: b"/b".to_vec() }));
    }
}

#[test]
fn local_connections_keep_their_own_addresses_whatever_follows() {
    let local = |family, block: &[u8]| parse(&header(0, family, block));
    assert_eq!(local(0x00, b""), Ok(Addresses::Unknown));
    assert_eq!(local(0x11, V4), Ok(Addresses::Unknown));
    assert_eq!(local(0x11, b"short"), Ok(Addresses::Unknown));
    assert_eq!(local(0xFF, b"\x03"), Ok(Addresses::Unknown));
}

#[test]
fn what_is_unspecified_or_no_stream_keeps_its_own_addresses() {
    for family in [0x00, 0x01, 0x02, 0x10, 0x12, 0x20, 0x22, 0x30, 0x32] {
        assert_eq!(parse(&header(1, family, &[7; 40])), Ok(Addresses::Unknown), "{family:#x}");
    }
}

#[test]
fn each_fault_has_its_error() {
    let mut version = header(1, 0x11, V4);
    version[12] = 0x11;
    assert_eq!(parse(&version), Err(Malformed::Version(1)));
    assert_eq!(parse(&header(2, 0x11, V4)), Err(Malformed::Command(2)));
    assert_eq!(parse(&header(1, 0x41, V4)), Err(Malformed::AddressFamily(4)));
    assert_eq!(parse(&header(1, 0x13, V4)), Err(Malformed::Transport(3)));
    assert_eq!(parse(&header(1, 0x11, &V4[1..])), Err(Malformed::TooShort { length: 11, addresses: 12 }));
    assert_eq!(parse(&header(1, 0x21, V4)), Err(Malformed::TooShort { length: 12, addresses: 36 }));
    assert_eq!(parse(&header(1, 0x31, &[0; 215])), Err(Malformed::TooShort { length: 215, addresses: 216 }));
    let tlvs = |tlvs: &[u8]| parse(&header(1, 0x11, &[V4, tlvs].concat()));
    assert_eq!(tlvs(b"\x04"), Err(Malformed::TlvTruncated(4)));
    assert_eq!(tlvs(b"\x04\x00"), Err(Malformed::TlvTruncated(4)));
    assert_eq!(tlvs(b"\x04\x00\x01"), Err(Malformed::TlvTruncated(4)));
    assert_eq!(tlvs(b"\x04\x00\x00\xee\xff\xff"), Err(Malformed::TlvTruncated(0xEE)));
    assert_eq!(tlvs(b"\x03\x00\x03\x00\x00\x00"), Err(Malformed::Checksum));
    assert_eq!(tlvs(b"\x03\x00\x04\x00\x00\x00\x00"), Err(Malformed::ChecksumMismatch));
}

#[test]
fn tlvs_are_bounded() {
    let padded = |family, addresses: &[u8], tlvs: u16| {
        let padding = [&[4][..], &(tlvs - 3).to_be_bytes(), &vec![0; usize::from(tlvs - 3)]].concat();
        parse(&header(1, family, &[addresses, &padding].concat()))
    };
    assert_eq!(padded(0x11, V4, 4096), Ok(tcp("192.168.0.1:56324", "192.168.0.11:443")));
    assert_eq!(padded(0x11, V4, 4097), Err(Malformed::TooLong { length: 4109, most: 4108 }));
    assert_eq!(padded(0x00, b"", 4096 + 216), Ok(Addresses::Unknown));
    assert_eq!(padded(0x00, b"", 4097 + 216), Err(Malformed::TooLong { length: 4313, most: 4312 }));
}

/// The header with a checksum over it, at this place among padding.
fn with_checksum(before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut header = header(1, 0x11, &[V4, before, b"\x03\x00\x04\0\0\0\0", after].concat());
    let checksum = crc32c(&[&header]).to_be_bytes();
    let at = PREFIX + V4.len() + before.len() + 3;
    header[at..at + 4].copy_from_slice(&checksum);
    header
}

#[test]
fn a_checksum_is_verified_wherever_it_stands() {
    for (before, after) in [(&b""[..], &b""[..]), (b"\x01\x00\x02h2", b""), (b"", b"\x04\x00\x00")] {
        let header = with_checksum(before, after);
        assert_eq!(parse(&header), Ok(tcp("192.168.0.1:56324", "192.168.0.11:443")));
        for at in PREFIX..PREFIX + V4.len() {
            for bit in 0..8 {
                let mut damaged = header.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(parse(&damaged), Err(Malformed::ChecksumMismatch), "byte {at} bit {bit}");
            }
        }
    }
    let twice = with_checksum(b"\x03\x00\x04\0\0\0\0", b"");
    assert_eq!(parse(&twice), Err(Malformed::Checksum));
}
