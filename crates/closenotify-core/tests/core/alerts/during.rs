//! During the handshake, as far as the peer's script can stop in it.

use super::{ALERT, CHANGE, DATA, Expect, FATAL, HANDSHAKE, Row, Sides, Versions, WARNING, message, play};
use closenotify_probe::{Piece, Stop, Version};
use testkit::plain::Side;

const BOTH: Versions = Versions::Both;
const V12: Versions = Versions::Tls12;
const V13: Versions = Versions::Tls13;
const ANY: Sides = Sides::Both;
const CLIENT: Sides = Sides::Client;
const SERVER: Sides = Sides::Server;

/// Nothing is agreed on: a server has received nothing, a client has sent its ClientHello.
const FIRST: [Row; 41] = [
    // Records: RFC 9846 sections 5 and 5.1.
    Row::new("plain HTTP", BOTH, ANY, || vec![raw(b"GET / HTTP/1.1\r\n\r\n")], Expect::Alert(10)),
    Row::new("one byte that is not TLS", BOTH, ANY, || vec![raw(b"G")], Expect::Alert(10)),
    Row::new("a ClientHello of SSL 2", BOTH, ANY, || vec![raw(&[0x80, 0x2e, 1, 0, 2, 0, 0x15])], Expect::Alert(10)),
    // No clause: what BoringSSL and OpenSSL send.
    Row::new("a version that does not exist", BOTH, ANY, || vec![raw(&[HANDSHAKE, 2])], Expect::Alert(70)),
    Row::new("2^14 + 1 bytes", BOTH, ANY, || vec![raw(&[HANDSHAKE, 3, 1, 0x40, 1])], Expect::Alert(22)),
    Row::new("an empty handshake record", BOTH, ANY, || vec![clear(HANDSHAKE, &[])], Expect::Alert(10)),
    Row::new("an empty alert", BOTH, ANY, || vec![clear(ALERT, &[])], Expect::Alert(10)),
    Row::new("an empty change_cipher_spec", BOTH, ANY, || vec![clear(CHANGE, &[])], Expect::Alert(10)),
    Row::new("a change_cipher_spec", BOTH, ANY, || vec![clear(CHANGE, &[1])], Expect::Alert(10)),
    Row::new("data", BOTH, ANY, || vec![clear(DATA, b"hello")], Expect::Alert(10)),
    Row::new("empty data", BOTH, ANY, || vec![clear(DATA, &[])], Expect::Alert(10)),
    Row::new("a heartbeat", BOTH, ANY, || vec![clear(24, b"beat")], Expect::Alert(10)),
    // Alerts: RFC 9846 section 6.
    Row::new("half an alert", BOTH, ANY, || vec![clear(ALERT, &[FATAL])], Expect::Alert(50)),
    Row::new("two alerts in a record", BOTH, ANY, || vec![clear(ALERT, &[WARNING, 90, WARNING, 0])], Expect::Alert(50)),
    Row::new("a level that does not exist", BOTH, ANY, || vec![clear(ALERT, &[3, 40])], Expect::Alert(47)),
    Row::new("a close_notify", BOTH, ANY, || vec![clear(ALERT, &[WARNING, 0])], Expect::Nothing(0)),
    Row::new("a fatal alert", BOTH, ANY, || vec![clear(ALERT, &[FATAL, 40])], Expect::Nothing(40)),
    Row::new("an unknown fatal alert", BOTH, ANY, || vec![clear(ALERT, &[FATAL, 200])], Expect::Nothing(200)),
    Row::new("5 warnings", BOTH, ANY, || vec![clear(ALERT, &[WARNING, 112]); 5], Expect::Alert(10)),
    // Messages: RFC 9846 sections 4 and 5.1.
    Row::new("a Finished", BOTH, ANY, || vec![clear(HANDSHAKE, &message(20, &[7; 32]))], Expect::Alert(10)),
    Row::new("a KeyUpdate", BOTH, ANY, || vec![clear(HANDSHAKE, &message(24, &[0]))], Expect::Alert(10)),
    Row::new(
        "a message that does not exist",
        BOTH,
        ANY,
        || vec![clear(HANDSHAKE, &message(99, &[0]))],
        Expect::Alert(10),
    ),
    Row::new("a ServerHello at a server", BOTH, SERVER, || vec![clear(HANDSHAKE, &server_hello())], Expect::Alert(10)),
    Row::new(
        "a ClientHello at a client",
        BOTH,
        CLIENT,
        || vec![clear(HANDSHAKE, &client_hello(4, &[]))],
        Expect::Alert(10),
    ),
    Row::new("a Certificate first", BOTH, CLIENT, || vec![clear(HANDSHAKE, &message(11, &[0; 3]))], Expect::Alert(10)),
    Row::new(
        "a malformed ClientHello",
        BOTH,
        SERVER,
        || vec![clear(HANDSHAKE, &message(1, &[0; 40]))],
        Expect::Alert(50),
    ),
    Row::new(
        "a malformed ServerHello",
        BOTH,
        CLIENT,
        || vec![clear(HANDSHAKE, &message(2, &[0; 9]))],
        Expect::Alert(50),
    ),
    // No clause: what BoringSSL and OpenSSL send for a message that is too long to be taken.
    Row::new("a message of 64 KiB", BOTH, ANY, || vec![clear(HANDSHAKE, &[2, 1, 0, 0])], Expect::Alert(47)),
    Row::new("a ClientHello of 64 KiB", BOTH, SERVER, large_hello, Expect::Alert(47)),
    Row::new("data inside a message", BOTH, SERVER, || inside(clear(DATA, b"hello")), Expect::Alert(10)),
    Row::new("a change_cipher_spec inside a message", BOTH, SERVER, || inside(clear(CHANGE, &[1])), Expect::Alert(10)),
    Row::new("a warning inside a message", BOTH, SERVER, || inside(clear(ALERT, &[WARNING, 90])), Expect::Alert(10)),
    Row::new("a fatal alert inside a message", BOTH, SERVER, || inside(Piece::fatal(80)), Expect::Nothing(80)),
    Row::new("more after the ClientHello", BOTH, SERVER, hello_and_more, Expect::Alert(10)),
    // Parameters: RFC 9846 sections 4.2 and 9.2, RFC 5246 section 7.4.1.
    Row::new("TLS 1.1 at most", BOTH, SERVER, || vec![clear(HANDSHAKE, &client_hello(2, &[]))], Expect::Alert(70)),
    Row::new(
        "no cipher suite in common",
        V12,
        SERVER,
        || vec![clear(HANDSHAKE, &client_hello(3, &[]))],
        Expect::Alert(40),
    ),
    Row::new("no signature schemes", V13, SERVER, || vec![clear(HANDSHAKE, &hello_13(&[GROUPS]))], Expect::Alert(109)),
    Row::new("no groups", V13, SERVER, || vec![clear(HANDSHAKE, &hello_13(&[SCHEMES]))], Expect::Alert(109)),
    Row::new("no key share", V13, SERVER, || vec![clear(HANDSHAKE, &hello_13(&[SCHEMES, GROUPS]))], Expect::Alert(109)),
    Row::new(
        "an extension twice",
        BOTH,
        SERVER,
        || vec![clear(HANDSHAKE, &client_hello(3, &TWICE))],
        Expect::Alert(47),
    ),
    Row::new(
        "extensions too short",
        BOTH,
        SERVER,
        || vec![clear(HANDSHAKE, &client_hello(3, &[0, 10, 0, 9, 0]))],
        Expect::Alert(50),
    ),
];

/// A client has sent its ClientHello; TLS 1.2 is agreed on, and nothing is sealed.
const AGREED: [Row; 14] = [
    Row::new("a second ClientHello", V12, SERVER, || vec![clear(HANDSHAKE, &client_hello(3, &[]))], Expect::Alert(10)),
    Row::new(
        "a Finished before its time",
        V12,
        SERVER,
        || vec![clear(HANDSHAKE, &message(20, &[7; 12]))],
        Expect::Alert(10),
    ),
    Row::new("a change_cipher_spec before its time", V12, SERVER, || vec![clear(CHANGE, &[1])], Expect::Alert(10)),
    Row::new("data", V12, SERVER, || vec![clear(DATA, b"hello")], Expect::Alert(10)),
    Row::new("a heartbeat", V12, SERVER, || vec![clear(24, b"beat")], Expect::Alert(10)),
    Row::new("an empty handshake record", V12, SERVER, || vec![clear(HANDSHAKE, &[])], Expect::Alert(10)),
    Row::new("an empty alert", V12, SERVER, || vec![clear(ALERT, &[])], Expect::Alert(10)),
    Row::new("2^14 + 1 bytes", V12, SERVER, || vec![raw(&[HANDSHAKE, 3, 3, 0x40, 1])], Expect::Alert(22)),
    Row::new("a message of 64 KiB", V12, SERVER, || vec![clear(HANDSHAKE, &[16, 1, 0, 0])], Expect::Alert(47)),
    Row::new(
        "a malformed ClientKeyExchange",
        V12,
        SERVER,
        || vec![clear(HANDSHAKE, &message(16, &[]))],
        Expect::Alert(50),
    ),
    Row::new("a key that is none", V12, SERVER, || vec![clear(HANDSHAKE, &message(16, &[1, 4]))], Expect::Alert(47)),
    Row::new("5 warnings", V12, SERVER, || vec![clear(ALERT, &[WARNING, 112]); 5], Expect::Alert(10)),
    Row::new("a fatal alert", V12, SERVER, || vec![clear(ALERT, &[FATAL, 48])], Expect::Nothing(48)),
    Row::new("a close_notify", V12, SERVER, || vec![clear(ALERT, &[WARNING, 0])], Expect::Nothing(0)),
];

/// A client has the server's flight, and its Finished is due, sealed (TLS 1.3).
const SEALED: [Row; 29] = [
    Row::new("a broken seal", V13, SERVER, || vec![Piece::Garbled(b"hello".to_vec())], Expect::Alert(20)),
    Row::new("a Finished that is wrong", V13, SERVER, || vec![Piece::message(20, &[7; 32])], Expect::Alert(51)),
    Row::new(
        "a Finished that is wrong, SHA-384",
        V13,
        SERVER,
        || vec![Piece::message(20, &[7; 48])],
        Expect::Alert(51),
    ),
    Row::new(
        "a Finished in plaintext",
        V13,
        SERVER,
        || vec![clear(HANDSHAKE, &message(20, &[7; 32]))],
        Expect::Alert(10),
    ),
    Row::new("an empty handshake record in plaintext", V13, SERVER, || vec![clear(HANDSHAKE, &[])], Expect::Alert(10)),
    Row::new("data", V13, SERVER, || vec![record(DATA, b"hello")], Expect::Alert(10)),
    Row::new("a KeyUpdate", V13, SERVER, || vec![record(HANDSHAKE, &message(24, &[0]))], Expect::Alert(10)),
    Row::new("a ticket", V13, SERVER, || vec![record(HANDSHAKE, &message(4, &[0; 14]))], Expect::Alert(50)),
    Row::new("a ClientHello", V13, SERVER, || vec![record(HANDSHAKE, &client_hello(3, &[]))], Expect::Alert(10)),
    Row::new(
        "a message that does not exist",
        V13,
        SERVER,
        || vec![record(HANDSHAKE, &message(99, &[0]))],
        Expect::Alert(10),
    ),
    Row::new("padding alone", V13, SERVER, || vec![record(0, &[0; 40])], Expect::Alert(10)),
    Row::new("a heartbeat in plaintext", V13, SERVER, || vec![clear(24, b"beat")], Expect::Alert(10)),
    Row::new("2^14 + 1 bytes of plaintext", V13, SERVER, || vec![record(HANDSHAKE, &[20; 16_385])], Expect::Alert(22)),
    Row::new("33 empty records", V13, SERVER, || vec![record(HANDSHAKE, &[]); 33], Expect::Alert(10)),
    Row::new("a change_cipher_spec of 2", V13, SERVER, || vec![clear(CHANGE, &[2])], Expect::Alert(10)),
    Row::new("a sealed change_cipher_spec", V13, SERVER, || vec![record(CHANGE, &[1])], Expect::Alert(10)),
    Row::new("3 of change_cipher_spec", V13, SERVER, || vec![clear(CHANGE, &[1]); 3], Expect::Alert(10)),
    Row::new("half an alert", V13, SERVER, || vec![record(ALERT, &[FATAL])], Expect::Alert(50)),
    Row::new("a fatal alert", V13, SERVER, || vec![record(ALERT, &[FATAL, 48])], Expect::Nothing(48)),
    Row::new("a close_notify", V13, SERVER, || vec![record(ALERT, &[WARNING, 0])], Expect::Nothing(0)),
    // A peer that has no keys yet sends its alert in plaintext (RFC 9846 section 6).
    Row::new("a fatal alert in plaintext", V13, SERVER, || vec![clear(ALERT, &[FATAL, 48])], Expect::Nothing(48)),
    Row::new(
        "a warning that is an error, in plaintext",
        V13,
        SERVER,
        || vec![clear(ALERT, &[WARNING, 48])],
        Expect::Nothing(48),
    ),
    Row::new("half an alert in plaintext", V13, SERVER, || vec![clear(ALERT, &[FATAL])], Expect::Alert(50)),
    // Where the alert must be sealed, only rustls can make it, and it makes decode_error of all these. The RFC names another:
    // unexpected_message, record_overflow (section 5.2), illegal_parameter.
    Row::new("an empty alert", V13, SERVER, || vec![record(ALERT, &[])], Expect::Alert(50)),
    Row::new("a heartbeat", V13, SERVER, || vec![record(24, b"beat")], Expect::Alert(50)),
    Row::new("2^14 + 257 bytes sealed", V13, SERVER, || vec![raw(&[DATA, 3, 3, 0x41, 1])], Expect::Alert(50)),
    Row::new("data inside a message", V13, SERVER, inside_sealed, Expect::Alert(50)),
    Row::new("a message of 64 KiB", V13, SERVER, || vec![record(HANDSHAKE, &[20, 1, 0, 0])], Expect::Alert(50)),
    Row::new("5 of user_canceled", V13, SERVER, || vec![record(ALERT, &[WARNING, 90]); 5], Expect::Alert(50)),
];

/// The same extension, of no meaning, two times.
const TWICE: [u8; 8] = [0x7a, 0x7a, 0, 0, 0x7a, 0x7a, 0, 0];

fn raw(bytes: &[u8]) -> Piece {
    Piece::Raw(bytes.to_vec())
}

fn record(kind: u8, content: &[u8]) -> Piece {
    Piece::Record { kind, content: content.to_vec() }
}

fn clear(kind: u8, content: &[u8]) -> Piece {
    Piece::Clear { kind, content: content.to_vec() }
}

/// A ClientHello of TLS 1.3 with a suite that everybody has, and with these extensions alone.
fn hello_13(extensions: &[&[u8]]) -> Vec<u8> {
    let extensions = [&[0, 43, 0, 3, 2, 3, 4][..], &extensions.concat()].concat();
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &length, &extensions].concat();
    message(1, &body)
}

const SCHEMES: &[u8] = &[0, 13, 0, 4, 0, 2, 4, 3];
const GROUPS: &[u8] = &[0, 10, 0, 4, 0, 2, 0, 29];

/// A ClientHello of this minor version, for a suite that does not exist, with these extensions and, from 1.2 on, the signature
/// schemes and groups that make it complete.
fn client_hello(minor: u8, extensions: &[u8]) -> Vec<u8> {
    let needed: &[u8] =
        if minor >= 3 { &[0, 13, 0, 4, 0, 2, 4, 3, 0, 11, 0, 2, 1, 0, 0, 10, 0, 4, 0, 2, 0, 29] } else { &[] };
    let extensions = [needed, extensions].concat();
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [&[3, minor][..], &[7; 32], &[0, 0, 2, 0x0a, 0x0a, 1, 0], &length, &extensions].concat();
    message(1, &body)
}

fn server_hello() -> Vec<u8> {
    message(2, &[&[3, 3][..], &[7; 32], &[0, 0x13, 1, 0, 0, 0]].concat())
}

/// A ClientHello whose one extension has 65,381 bytes, in records as large as they get.
fn large_hello() -> Vec<Piece> {
    let extension = [&[0x7a, 0x7a, 0xff, 0x65][..], &[0; 65_381]].concat();
    let hello = client_hello_of(&extension);
    assert!(hello.len() > 4 + 0xffff || hello.len() > 65_400);
    hello.chunks(16_384).map(|part| clear(HANDSHAKE, part)).collect()
}

/// A ClientHello of more than 64 KiB, whose extensions fill their length.
fn client_hello_of(extension: &[u8]) -> Vec<u8> {
    let padding = 0xffff - extension.len();
    let more = [&[0x1a, 0x1a][..], &u16::try_from(padding - 4).unwrap().to_be_bytes(), &vec![0; padding - 4]].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x0a, 0x0a, 1, 0, 0xff, 0xff], extension, &more].concat();
    message(1, &body)
}

/// The first half of a ClientHello, and a piece.
fn inside(piece: Piece) -> Vec<Piece> {
    vec![clear(HANDSHAKE, &client_hello(3, &[])[..20]), piece]
}

fn inside_sealed() -> Vec<Piece> {
    vec![record(HANDSHAKE, &message(20, &[7; 32])[..20]), record(DATA, b"hello")]
}

/// RFC 9846 section 5.1: what comes before a change of keys ends with its record.
fn hello_and_more() -> Vec<Piece> {
    vec![clear(HANDSHAKE, &[&client_hello(3, &[])[..], &[20, 0, 0]].concat())]
}

#[test]
fn first_records() {
    for version in Version::ALL {
        assert!(play(&FIRST, version, Side::Server, None) > 30);
        assert!(play(&FIRST, version, Side::Client, Some(Stop::Hello)) > 20);
    }
}

#[test]
fn tls_1_2_agreed_on() {
    assert_eq!(play(&AGREED, Version::Tls12, Side::Server, Some(Stop::Hello)), AGREED.len());
}

#[test]
fn tls_1_3_before_the_clients_finished() {
    assert_eq!(play(&SEALED, Version::Tls13, Side::Server, Some(Stop::BeforeFinished)), SEALED.len());
}

/// Any records before the client's Finished, sealed or not: the handshake fails, with one alert at most that the peer can
/// read, and nothing panics.
#[test]
fn any_records_before_the_finished_fail_the_handshake() {
    use closenotify_core::HandshakeError;
    use proptest::collection::vec;
    use proptest::prelude::{Just, Strategy as _, any};
    use proptest::prop_oneof;

    let small = || vec(prop_oneof![3 => 0..3_u8, 1 => any::<u8>()], 0..6);
    let content = prop_oneof![
        4 => small(),
        // A message of a type, whose header may announce more than there is.
        3 => (prop_oneof![Just(20_u8), Just(24), Just(4), 0..26_u8], 0..50_u8, vec(any::<u8>(), 0..50))
            .prop_map(|(kind, length, body)| [&[kind, 0, 0, length][..], &body].concat()),
        1 => vec(any::<u8>(), 0..300),
    ];
    let kind =
        || prop_oneof![5 => Just(HANDSHAKE), 2 => Just(ALERT), 1 => Just(DATA), 1 => Just(CHANGE), 1 => 0..30_u8];
    let piece = (any::<u8>(), kind(), content).prop_map(|(how, kind, content)| match how % 8 {
        0 => Piece::Clear { kind, content },
        1 => Piece::Raw(content),
        2 => Piece::Garbled(content),
        _ => Piece::Record { kind, content },
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    crate::drawn::hold(300, &vec(piece, 0..8), |pieces| {
        let met = super::meet(Version::Tls13, Side::Server, Some(Stop::BeforeFinished), &pieces);
        let (outcome, received) = runtime.block_on(met);
        let error = outcome.handshake.expect("no Finished is drawn that is right");
        let silent = matches!(error, HandshakeError::Alert(_) | HandshakeError::Truncated { .. });
        assert!(received.unreadable == 0 && received.alerts.len() <= 1, "{error}: {received:?}");
        assert!(silent || received.alerts.len() == 1, "{error}: nothing was sent");
        assert!(received.alerts.iter().all(|(level, code)| *level == FATAL && *code != 80), "{error}: {received:?}");
    });
}
