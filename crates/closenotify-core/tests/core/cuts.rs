//! Every closing scenario, cut at every byte: the ending is a truncation everywhere but after the last byte of the alert, and
//! every complete record before the cut is delivered exactly.

use crate::peer::{self, EACH, FATAL, Forge, Met, Side, WARNING};
use bytes::BytesMut;
use closenotify_core::{AlertDescription, Deadline, Read, ReceivedEnding, TransportEnd, TruncatedAt};
use rustls::{Connection, ContentType};
use std::io;
use testkit::certs::TlsVersion;

/// What the peer sends, record by record.
struct Script {
    pieces: Vec<Piece>,
    /// How receiving ends when the last of `pieces` has arrived; `None` when it does not.
    end: Option<End>,
    /// Bytes after the last piece.
    behind: &'static [u8],
}

struct Piece {
    bytes: Vec<u8>,
    plaintext: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    CloseNotify,
    Alert(AlertDescription),
}

impl Script {
    /// What is complete when `length` bytes have arrived: the plaintext, and whether that is all; or where the cut is.
    fn at(&self, length: usize) -> (Vec<u8>, Result<(), TruncatedAt>) {
        let (mut plaintext, mut start) = (Vec::new(), 0);
        for piece in &self.pieces {
            let end = start + piece.bytes.len();
            if length < end {
                let at = if length == start { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord };
                return (plaintext, Err(at));
            }
            plaintext.extend_from_slice(&piece.plaintext);
            start = end;
        }
        (plaintext, if self.end.is_some() { Ok(()) } else { Err(TruncatedAt::Boundary) })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        bytes.extend_from_slice(self.behind);
        bytes
    }
}

type Scenario = fn(Connection) -> Script;

const SCENARIOS: [(&str, Scenario); 9] = [
    ("data, close_notify", |mut peer| Script {
        pieces: vec![data(&mut peer, b"hello"), control(peer::close_notify(&mut peer))],
        end: Some(End::CloseNotify),
        behind: b"",
    }),
    ("several records, close_notify", |mut peer| Script {
        pieces: vec![
            data(&mut peer, b"a"),
            data(&mut peer, b"second"),
            data(&mut peer, b"the third"),
            control(peer::close_notify(&mut peer)),
        ],
        end: Some(End::CloseNotify),
        behind: b"",
    }),
    ("close_notify alone", |mut peer| Script {
        pieces: vec![control(peer::close_notify(&mut peer))],
        end: Some(End::CloseNotify),
        behind: b"",
    }),
    ("data, fatal alert", |mut peer| Script {
        pieces: vec![data(&mut peer, b"hello"), control(peer::fatal_alert(&mut peer))],
        end: Some(End::Alert(AlertDescription::DECODE_ERROR)),
        behind: b"",
    }),
    ("KeyUpdate before close_notify", |mut peer| {
        if peer.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2) {
            // No such message there: an ignored warning instead.
            let mut forge = Forge::new(peer);
            return Script {
                pieces: vec![
                    control(forge.record(ContentType::Alert, &[WARNING, 90])),
                    control(forge.record(ContentType::Alert, &[WARNING, 0])),
                ],
                end: Some(End::CloseNotify),
                behind: b"",
            };
        }
        Script {
            pieces: vec![
                data(&mut peer, b"old key"),
                control(peer::key_update(&mut peer)),
                data(&mut peer, b"new key"),
                control(peer::close_notify(&mut peer)),
            ],
            end: Some(End::CloseNotify),
            behind: b"",
        }
    }),
    ("empty records, data, close_notify", |peer| {
        let mut forge = Forge::new(peer);
        let mut sealed = |typ, plaintext: &[u8], shown: &[u8]| Piece {
            bytes: forge.record(typ, plaintext),
            plaintext: shown.to_vec(),
        };
        Script {
            pieces: vec![
                sealed(ContentType::ApplicationData, b"", b""),
                sealed(ContentType::ApplicationData, b"hi", b"hi"),
                sealed(ContentType::ApplicationData, b"", b""),
                sealed(ContentType::ApplicationData, b"", b""),
                sealed(ContentType::Alert, &[WARNING, 0], b""),
            ],
            end: Some(End::CloseNotify),
            behind: b"",
        }
    }),
    ("data, no close at all", |mut peer| Script {
        pieces: vec![data(&mut peer, b"hello"), data(&mut peer, b"world")],
        end: None,
        behind: b"",
    }),
    ("data, close_notify, trailing", |mut peer| Script {
        pieces: vec![data(&mut peer, b"hello"), control(peer::close_notify(&mut peer))],
        end: Some(End::CloseNotify),
        behind: b"\x17\x03\x03\x00",
    }),
    ("user_canceled, close_notify", |peer| {
        let mut forge = Forge::new(peer);
        Script {
            pieces: vec![
                control(forge.record(ContentType::Alert, &[WARNING, 90])),
                control(forge.record(ContentType::Alert, &[FATAL, 0])),
            ],
            // The level of a close_notify does not matter (RFC 9846 section 6).
            end: Some(End::CloseNotify),
            behind: b"",
        }
    }),
];

fn data(peer: &mut Connection, plaintext: &[u8]) -> Piece {
    let bytes = peer::data(peer, plaintext);
    assert_eq!(peer::records(&bytes).len(), 1);
    Piece { bytes, plaintext: plaintext.to_vec() }
}

fn control(bytes: Vec<u8>) -> Piece {
    assert_eq!(peer::records(&bytes).len(), 1);
    Piece { bytes, plaintext: Vec::new() }
}

/// How a cut is seen by the owner of the transport, and what it is called then.
const ENDS: [(TransportEnd, Option<ReceivedEnding>); 5] = [
    (TransportEnd::Eof, None),
    (TransportEnd::Reset, Some(ReceivedEnding::Reset)),
    (TransportEnd::TimedOut(Deadline::Idle), Some(ReceivedEnding::TimedOut(Deadline::Idle))),
    (
        TransportEnd::Failed(io::ErrorKind::HostUnreachable),
        Some(ReceivedEnding::Failed(io::ErrorKind::HostUnreachable)),
    ),
    (TransportEnd::Abandoned, Some(ReceivedEnding::Abandoned)),
];

const BUFFERS: [usize; 2] = [1, 64 * 1024];

/// Runs one scenario with every cut, end, buffer and way of feeding; returns how many cuts that were.
fn cut_everywhere(version: TlsVersion, side: Side, name: &str, scenario: Scenario) -> usize {
    let mut cuts = 0;
    let length = scenario(peer::meet(version, side).peer).bytes().len();
    for cut in 0..=length {
        for (end, shown_as) in ENDS {
            for buffer in BUFFERS {
                for bytewise in [false, true] {
                    // These two take the way of a reset: once a cut is enough.
                    let rare = matches!(end, TransportEnd::Failed(_) | TransportEnd::Abandoned);
                    if rare && (bytewise || buffer == 1) {
                        continue;
                    }
                    let Met { mut ours, peer, mut input } = peer::meet(version, side);
                    assert!(input.is_empty());
                    let script = scenario(peer);
                    let sent = &script.bytes()[..cut];
                    let case = format!("{version:?} {side:?}, {name}: cut at {cut}, {end:?}, {buffer}, {bytewise}");
                    let mut plaintext = Vec::new();
                    let mut last = Read::NeedInput;
                    for chunk in sent.chunks(if bytewise { 1 } else { sent.len().max(1) }) {
                        if last == Read::Ended {
                            break;
                        }
                        input.extend_from_slice(chunk);
                        last = peer::read_all(&mut ours.receiver, &mut input, buffer, &mut plaintext).0;
                    }
                    let (expected, whole) = script.at(cut);
                    assert_eq!(plaintext, expected, "{case}");
                    let before = ours.receiver.ending().cloned();
                    assert_eq!(before.is_some(), whole.is_ok(), "{case}");
                    assert_eq!(last == Read::Ended, whole.is_ok(), "{case}");
                    ours.receiver.transport_ended(end, &input);
                    let expected = match (whole, script.end) {
                        (Ok(()), Some(End::CloseNotify)) => ReceivedEnding::CloseNotify,
                        (Ok(()), Some(End::Alert(alert))) => ReceivedEnding::Alert(alert),
                        (at, _) => match (&shown_as, at) {
                            (Some(ending), _) => ending.clone(),
                            (None, Err(at)) => ReceivedEnding::Truncated { at },
                            (None, Ok(())) => unreachable!("only an alert completes a script"),
                        },
                    };
                    assert_eq!(ours.receiver.ending(), Some(&expected), "{case}");
                    if let Some(before) = before {
                        assert_eq!(before, expected, "{case}: a later fault overwrote the ending");
                    }
                    // Once there, it never changes, and there is never more plaintext.
                    ours.receiver.transport_ended(TransportEnd::Reset, &BytesMut::new());
                    let mut none = Vec::new();
                    let again = peer::read_all(&mut ours.receiver, &mut input, buffer, &mut none);
                    assert_eq!((again, none.len()), ((Read::Ended, peer::nothing()), 0), "{case}");
                    assert_eq!(ours.receiver.ending(), Some(&expected), "{case}");
                    cuts += 1;
                }
            }
        }
    }
    cuts
}

fn run(version: TlsVersion, side: Side) {
    let cuts: usize = SCENARIOS.iter().map(|(name, scenario)| cut_everywhere(version, side, name, *scenario)).sum();
    assert!(cuts > 8_000, "{version:?} {side:?}: {cuts} cuts");
}

#[test]
fn a_cut_is_a_truncation_everywhere_but_behind_the_alert_tls12_client() {
    run(EACH[0].0, EACH[0].1);
}

#[test]
fn a_cut_is_a_truncation_everywhere_but_behind_the_alert_tls12_server() {
    run(EACH[1].0, EACH[1].1);
}

/// docs/cases.md R14
#[test]
fn a_cut_is_a_truncation_everywhere_but_behind_the_alert_tls13_client() {
    run(EACH[2].0, EACH[2].1);
}

#[test]
fn a_cut_is_a_truncation_everywhere_but_behind_the_alert_tls13_server() {
    run(EACH[3].0, EACH[3].1);
}

/// Records as large as they get, through a buffer of one byte and one of 64 KiB, in chunks that never fit a record.
#[test]
fn large_records_arrive_whole_whatever_the_chunks() {
    let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for (version, side) in EACH {
        for (chunk, buffer) in [(1_000, 1), (1_460, 64 * 1024), (65_536, 1), (200_000, 64 * 1024)] {
            let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
            peer.set_buffer_limit(None);
            let mut bytes = peer::data(&mut peer, &sent);
            bytes.extend(peer::close_notify(&mut peer));
            let mut plaintext = Vec::new();
            for chunk in bytes.chunks(chunk) {
                input.extend_from_slice(chunk);
                let _ = peer::read_all(&mut ours.receiver, &mut input, buffer, &mut plaintext);
            }
            assert!(plaintext == sent, "{version:?} {side:?} {chunk} {buffer}");
            assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::CloseNotify));
        }
    }
}

/// Plaintext that waits for a reader with a small buffer is delivered even if the transport has ended after it.
/// docs/cases.md J04, N07
#[test]
fn data_that_waits_is_delivered_before_the_truncation() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        input.extend_from_slice(&peer::data(&mut peer, b"hello"));
        let mut byte = [0; 1];
        assert_eq!(ours.receiver.read(&mut input, &mut &mut byte[..]).0, Read::Data(1));
        ours.receiver.transport_ended(TransportEnd::Reset, &input);
        let mut rest = Vec::new();
        assert_eq!(peer::read_all(&mut ours.receiver, &mut input, 1, &mut rest).0, Read::Ended);
        assert_eq!(rest, b"ello");
        assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::Reset));
    }
}
