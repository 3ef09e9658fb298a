//! After the handshake.

use super::{ALERT, CHANGE, DATA, Expect, FATAL, HANDSHAKE, Row, Sides, Versions, WARNING, message, play};
use closenotify_probe::{Piece, Stop, Version};
use testkit::plain::Side;

const BOTH: Versions = Versions::Both;
const V12: Versions = Versions::Tls12;
const V13: Versions = Versions::Tls13;
const ANY: Sides = Sides::Both;
const CLIENT: Sides = Sides::Client;
const SERVER: Sides = Sides::Server;

const ROWS: [Row; 74] = [
    // Records: RFC 9846 sections 5.1 and 5.2, RFC 5246 section 6.2.
    Row::new("nothing", BOTH, ANY, Vec::new, Expect::Close),
    Row::new("data", BOTH, ANY, || vec![Piece::Data(vec![7; 40_000])], Expect::Close),
    Row::new("a broken seal", BOTH, ANY, || vec![Piece::Garbled(b"hello".to_vec())], Expect::Alert(20)),
    Row::new("a record too short for a seal", BOTH, ANY, || vec![raw(&[DATA, 3, 3, 0, 3, 1, 2, 3])], Expect::Alert(20)),
    Row::new("an empty record without a seal", BOTH, ANY, || vec![raw(&[DATA, 3, 3, 0, 0])], Expect::Alert(20)),
    Row::new("2^14 + 257 bytes sealed", V13, ANY, || vec![raw(&[DATA, 3, 3, 0x41, 1])], Expect::Alert(22)),
    Row::new("2^14 + 2049 bytes sealed", V12, ANY, || vec![raw(&[DATA, 3, 3, 0x48, 1])], Expect::Alert(22)),
    Row::new("2^14 bytes of plaintext", BOTH, ANY, || vec![Piece::Data(vec![7; 16_384])], Expect::Close),
    Row::new("2^14 + 1 bytes of plaintext", BOTH, ANY, || vec![record(DATA, &[7; 16_385])], Expect::Alert(22)),
    Row::new("2^14 + 1 bytes of a message", BOTH, ANY, || vec![record(HANDSHAKE, &[4; 16_385])], Expect::Alert(22)),
    Row::new("a type that does not exist", BOTH, ANY, || vec![raw(&[25, 3, 3, 0, 1, 0])], Expect::Alert(10)),
    Row::new("plain HTTP", BOTH, ANY, || vec![raw(b"GET / HTTP/1.1\r\n\r\n")], Expect::Alert(10)),
    Row::new("one byte that is not TLS", BOTH, ANY, || vec![raw(b"G")], Expect::Alert(10)),
    // No clause: what BoringSSL and OpenSSL send.
    Row::new("a version that does not exist", BOTH, ANY, || vec![raw(&[DATA, 2, 3, 0, 1, 0])], Expect::Alert(70)),
    Row::new("a heartbeat in plaintext", BOTH, ANY, || vec![clear(24, b"beat")], Expect::Alert(10)),
    Row::new("a heartbeat", BOTH, ANY, || vec![record(24, b"beat")], Expect::Alert(10)),
    Row::new("another type inside", BOTH, ANY, || vec![record(99, b"what")], Expect::Alert(10)),
    Row::new("padding alone", V13, ANY, || vec![record(0, &[0; 40])], Expect::Alert(10)),
    Row::new("no content, not even padding", V13, ANY, || vec![record(0, &[])], Expect::Alert(10)),
    Row::new("empty data", BOTH, ANY, || vec![record(DATA, &[]), Piece::Data(b"hi".to_vec())], Expect::Close),
    Row::new("32 records of empty data", BOTH, ANY, || vec![record(DATA, &[]); 32], Expect::Close),
    // No clause: as many as BoringSSL, OpenSSL and nginx allow.
    Row::new("33 records of empty data", BOTH, ANY, || vec![record(DATA, &[]); 33], Expect::Alert(10)),
    // RFC 9846 section 5: it must be encrypted. In TLS 1.2 plaintext looks like a record that does not decrypt.
    Row::new("a message in plaintext", V13, ANY, || vec![clear(HANDSHAKE, &[24, 0, 0, 1, 0])], Expect::Alert(10)),
    Row::new("a message in plaintext", V12, ANY, || vec![clear(HANDSHAKE, &[0, 0, 0, 0])], Expect::Alert(20)),
    Row::new("an alert in plaintext", V13, ANY, || vec![clear(ALERT, &[FATAL, 40])], Expect::Alert(10)),
    Row::new("an alert in plaintext", V12, ANY, || vec![clear(ALERT, &[FATAL, 40])], Expect::Alert(20)),
    Row::new("data in plaintext", BOTH, ANY, || vec![clear(DATA, b"hello")], Expect::Alert(20)),
    Row::new("a change_cipher_spec", BOTH, ANY, || vec![clear(CHANGE, &[1])], Expect::Alert(10)),
    Row::new("a sealed change_cipher_spec", BOTH, ANY, || vec![record(CHANGE, &[1])], Expect::Alert(10)),
    // Alerts: RFC 9846 section 6 and 5.4, RFC 5246 section 7.2.
    Row::new("an empty alert", BOTH, ANY, || vec![record(ALERT, &[])], Expect::Alert(10)),
    Row::new("half an alert", BOTH, ANY, || vec![record(ALERT, &[FATAL])], Expect::Alert(50)),
    Row::new("an alert and a half", BOTH, ANY, || vec![record(ALERT, &[WARNING, 90, WARNING])], Expect::Alert(50)),
    Row::new(
        "two alerts in a record",
        BOTH,
        ANY,
        || vec![record(ALERT, &[WARNING, 90, WARNING, 0])],
        Expect::Alert(50),
    ),
    // RFC 9846 lets a receiver pass over the level; a value that the syntax does not have is wrong all the same.
    Row::new("a level that does not exist", BOTH, ANY, || vec![record(ALERT, &[3, 40])], Expect::Alert(47)),
    Row::new("user_canceled", BOTH, ANY, || vec![record(ALERT, &[WARNING, 90])], Expect::Close),
    Row::new("a fatal user_canceled", V13, ANY, || vec![record(ALERT, &[FATAL, 90])], Expect::Close),
    Row::new("a fatal user_canceled", V12, ANY, || vec![record(ALERT, &[FATAL, 90])], Expect::Nothing(90)),
    Row::new("4 warnings", BOTH, ANY, || vec![record(ALERT, &[WARNING, 90]); 4], Expect::Close),
    // No clause: what BoringSSL sends.
    Row::new("5 warnings", BOTH, ANY, || vec![record(ALERT, &[WARNING, 90]); 5], Expect::Alert(10)),
    Row::new("a warning", V12, ANY, || vec![record(ALERT, &[WARNING, 100])], Expect::Close),
    Row::new("an unknown warning", V12, ANY, || vec![record(ALERT, &[WARNING, 200])], Expect::Close),
    Row::new("a warning that is an error", V13, ANY, || vec![record(ALERT, &[WARNING, 40])], Expect::Nothing(40)),
    Row::new("an unknown warning", V13, ANY, || vec![record(ALERT, &[WARNING, 200])], Expect::Nothing(200)),
    Row::new("an unknown fatal alert", BOTH, ANY, || vec![record(ALERT, &[FATAL, 200])], Expect::Nothing(200)),
    // Messages: RFC 9846 sections 4.7 and 5.1.
    Row::new("an empty handshake record", BOTH, ANY, || vec![record(HANDSHAKE, &[])], Expect::Alert(10)),
    Row::new("a KeyUpdate", V13, ANY, || vec![update(false), Piece::Data(b"hi".to_vec())], Expect::Close),
    Row::new("a KeyUpdate in TLS 1.2", V12, ANY, || vec![record(HANDSHAKE, &[24, 0, 0, 1, 0])], Expect::Alert(10)),
    Row::new("a KeyUpdate of 2", V13, ANY, || vec![record(HANDSHAKE, &[24, 0, 0, 1, 2])], Expect::Alert(47)),
    Row::new("a KeyUpdate of no bytes", V13, ANY, || vec![record(HANDSHAKE, &[24, 0, 0, 0])], Expect::Alert(50)),
    Row::new("a KeyUpdate of two bytes", V13, ANY, || vec![record(HANDSHAKE, &[24, 0, 0, 2, 0, 0])], Expect::Alert(50)),
    Row::new("a KeyUpdate and more", V13, ANY, || vec![record(HANDSHAKE, &[24, 0, 0, 1, 0, 24])], Expect::Alert(10)),
    Row::new("two KeyUpdates in a record", V13, ANY, two_updates, Expect::Alert(10)),
    Row::new("a KeyUpdate in two records", V13, ANY, || split_update(&[]), Expect::Close),
    Row::new("data inside a KeyUpdate", V13, ANY, || split_update(&[Piece::Data(b"hi".to_vec())]), Expect::Alert(10)),
    Row::new("empty data inside a KeyUpdate", V13, ANY, || split_update(&[record(DATA, &[])]), Expect::Alert(10)),
    Row::new("a close_notify inside a KeyUpdate", V13, ANY, || split_update(&[Piece::CLOSE_NOTIFY]), Expect::Alert(10)),
    // It ends the session; an alert about the place of its alert would not help.
    Row::new("a fatal alert inside a KeyUpdate", V13, ANY, || split_update(&[Piece::fatal(80)]), Expect::Nothing(80)),
    Row::new("32 KeyUpdates", V13, ANY, || vec![update(false); 32], Expect::Close),
    // No clause: as many as BoringSSL, OpenSSL and nginx allow.
    Row::new("33 KeyUpdates", V13, ANY, || vec![update(false); 33], Expect::Alert(10)),
    Row::new("a ticket", V13, CLIENT, || vec![ticket(); 2], Expect::Close),
    Row::new("a ticket at a server", V13, SERVER, || vec![ticket()], Expect::Alert(10)),
    Row::new("a ticket in TLS 1.2", V12, ANY, || vec![ticket()], Expect::Alert(10)),
    Row::new("a malformed ticket", V13, CLIENT, || vec![Piece::message(4, &[0; 9])], Expect::Alert(50)),
    Row::new("65 tickets", V13, CLIENT, || vec![ticket(); 65], Expect::Alert(10)),
    // No clause: what BoringSSL and OpenSSL send for a message that is too long to be taken.
    Row::new("a ticket of 64 KiB", V13, CLIENT, || vec![record(HANDSHAKE, &[4, 1, 0, 0])], Expect::Alert(47)),
    Row::new("a ClientHello of 64 KiB", V12, SERVER, || vec![record(HANDSHAKE, &[1, 1, 0, 0])], Expect::Alert(47)),
    // Renegotiation: RFC 5246 sections 7.4.1.1 and 7.2.2.
    Row::new("a HelloRequest", V12, CLIENT, || vec![Piece::message(0, &[])], Expect::Warning(100)),
    Row::new("a ClientHello", V12, SERVER, || vec![Piece::message(1, &[7; 99])], Expect::Warning(100)),
    Row::new("a HelloRequest with a body", V12, CLIENT, || vec![Piece::message(0, &[0])], Expect::Alert(50)),
    Row::new("a HelloRequest at a server", V12, SERVER, || vec![Piece::message(0, &[])], Expect::Alert(10)),
    Row::new("data inside a ClientHello", V12, SERVER, split_hello, Expect::Alert(10)),
    Row::new("a HelloRequest in TLS 1.3", V13, ANY, || vec![Piece::message(0, &[])], Expect::Alert(10)),
    Row::new("a ClientHello in TLS 1.3", V13, ANY, || vec![Piece::message(1, &[7; 99])], Expect::Alert(10)),
    Row::new("a message of which more never comes", V13, ANY, || vec![record(HANDSHAKE, &[24, 0, 0])], Expect::Close),
];

fn raw(bytes: &[u8]) -> Piece {
    Piece::Raw(bytes.to_vec())
}

fn record(kind: u8, content: &[u8]) -> Piece {
    Piece::Record { kind, content: content.to_vec() }
}

fn clear(kind: u8, content: &[u8]) -> Piece {
    Piece::Clear { kind, content: content.to_vec() }
}

fn update(request: bool) -> Piece {
    Piece::KeyUpdate { request }
}

fn two_updates() -> Vec<Piece> {
    vec![record(HANDSHAKE, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0])]
}

/// A KeyUpdate of 3 and 2 bytes, with `between` between them.
fn split_update(between: &[Piece]) -> Vec<Piece> {
    [&[record(HANDSHAKE, &[24, 0, 0])], between, &[record(HANDSHAKE, &[1, 0])]].concat()
}

fn split_hello() -> Vec<Piece> {
    vec![record(HANDSHAKE, &message(1, &[7; 99])[..50]), Piece::Data(b"hi".to_vec())]
}

/// A ticket of one byte that lives for a minute.
fn ticket() -> Piece {
    Piece::message(4, &[0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0])
}

fn run(version: Version, side: Side, at_least: usize) {
    let played = play(&ROWS, version, side, Some(Stop::Complete));
    assert!(played >= at_least, "{played}");
}

#[test]
fn tls_1_2_client() {
    run(Version::Tls12, Side::Client, 35);
}

#[test]
fn tls_1_2_server() {
    run(Version::Tls12, Side::Server, 35);
}

#[test]
fn tls_1_3_client() {
    run(Version::Tls13, Side::Client, 55);
}

#[test]
fn tls_1_3_server() {
    run(Version::Tls13, Side::Server, 50);
}

/// Every number that the RFCs give an alert ends the session, and gets no reply (RFC 9846 section 6.2).
#[test]
fn every_fatal_alert_is_the_end_and_gets_no_reply() {
    const CODES: [u8; 34] = [
        10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86, 100, 109, 110, 111,
        112, 113, 114, 115, 116, 117, 120, 121,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for version in Version::ALL {
        for side in [Side::Client, Side::Server] {
            for code in CODES {
                let pieces = [Piece::fatal(code)];
                let (outcome, received) = runtime.block_on(super::meet(version, side, Some(Stop::Complete), &pieces));
                super::judge(Expect::Nothing(code), &outcome, &received).unwrap();
            }
        }
    }
}

/// Of all messages, only those that the RFCs name may come after the handshake.
#[test]
fn every_other_message_is_unexpected() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for version in Version::ALL {
        for side in [Side::Client, Side::Server] {
            for kind in 0..=26 {
                let known = match (version, side) {
                    (Version::Tls12, Side::Client) => kind == 0,
                    (Version::Tls12, Side::Server) => kind == 1,
                    (Version::Tls13, Side::Client) => matches!(kind, 4 | 24),
                    (Version::Tls13, Side::Server) => kind == 24,
                };
                if known {
                    continue;
                }
                // It is refused at its header: the rest is never waited for.
                let pieces = [record(HANDSHAKE, &[kind, 0, 1, 0])];
                let (outcome, received) = runtime.block_on(super::meet(version, side, Some(Stop::Complete), &pieces));
                super::judge(Expect::Alert(10), &outcome, &received)
                    .unwrap_or_else(|fault| panic!("message {kind}, {version}, {side:?}: {fault}"));
            }
        }
    }
}

/// The reply to a KeyUpdate is a KeyUpdate, and what follows is under the new keys.
#[test]
fn a_key_update_that_asks_gets_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for side in [Side::Client, Side::Server] {
        let pieces = [update(true), Piece::Data(b"hi".to_vec()), update(true), update(true), Piece::CLOSE_NOTIFY];
        let (outcome, received) = runtime.block_on(super::meet(Version::Tls13, side, Some(Stop::Complete), &pieces));
        super::judge(Expect::Close, &outcome, &received).unwrap();
        assert!((1..=3).contains(&received.key_updates) && received.key_updates_requested == 0, "{received:?}");
    }
}
