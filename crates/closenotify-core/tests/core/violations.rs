//! What a peer can do wrong after the handshake: the ending names it, and the alert that the peer receives is the one that the
//! sending half reports.

use crate::peer::{self, EACH, FATAL, Forge, Met, Side, WARNING};
use bytes::BytesMut;
use closenotify_core::{AlertDescription, Read, ReceivedEnding, SendError, SenderOwes, SentEnding, Session};
use rustls::ContentType;
use std::io::IoSlice;
use testkit::certs::TlsVersion;

type Fault = fn(&mut Forge) -> Vec<u8>;

/// Each alert is the one that the RFC names, as [`Violation::alert`](closenotify_core::Violation::alert) lists them.
///
/// Name, what is sent, the alert's number, and the versions: 2, 3, or 0 for both.
const FAULTS: [(&str, Fault, u8, u8); 23] = [
    ("a flipped bit", flipped, 20, 0),
    ("a record cut short", |_| [&[23, 3, 3, 0, 3][..], b"abc"].concat(), 20, 0),
    ("an oversized record", |forge| forge.record(ContentType::ApplicationData, &[0; 16_385]), 22, 0),
    ("plain text", |_| b"GET / HTTP/1.1".to_vec(), 10, 0),
    ("an unknown record type", |_| vec![25, 3, 3, 0, 1, 0], 10, 0),
    ("a length beyond any record", |_| vec![23, 3, 3, 0xff, 0xff], 22, 0),
    ("an empty record in plaintext", |_| vec![22, 3, 3, 0, 0], 20, 2),
    ("an empty record in plaintext", |_| vec![22, 3, 3, 0, 0], 10, 3),
    ("a Finished", |forge| handshake(forge, 20, &[0; 32]), 10, 0),
    ("a ChangeCipherSpec", |_| vec![20, 3, 3, 0, 1, 1], 10, 0),
    ("an empty alert", |forge| forge.record(ContentType::Alert, &[]), 10, 0),
    ("an alert of no level", |forge| forge.record(ContentType::Alert, &[66, 40]), 47, 0),
    ("half an alert", |forge| forge.record(ContentType::Alert, &[FATAL]), 50, 0),
    ("two alerts in one record", |forge| forge.record(ContentType::Alert, &[WARNING, 90, WARNING, 0]), 50, 0),
    ("an encrypted ChangeCipherSpec", |forge| forge.record(ContentType::ChangeCipherSpec, &[1]), 10, 3),
    ("a bad KeyUpdate", |forge| handshake(forge, 24, &[2]), 47, 3),
    ("a KeyUpdate too long", |forge| handshake(forge, 24, &[0, 0]), 50, 3),
    (
        "a KeyUpdate with a message after it",
        |forge| forge.record(ContentType::Handshake, &[24, 0, 0, 1, 0, 24, 0]),
        10,
        3,
    ),
    (
        "data inside a handshake message",
        |forge| {
            let mut bytes = forge.record(ContentType::Handshake, &[24, 0, 0]);
            bytes.extend(forge.record(ContentType::ApplicationData, b"hello"));
            bytes
        },
        10,
        3,
    ),
    ("33 empty records", |forge| repeat(forge, 33, ContentType::ApplicationData, b""), 10, 0),
    ("5 warnings", |forge| repeat(forge, 5, ContentType::Alert, &[WARNING, 90]), 10, 0),
    ("a plaintext alert", |_| vec![21, 3, 3, 0, 2, FATAL, 40], 20, 2),
    ("a plaintext alert", |_| vec![21, 3, 3, 0, 2, FATAL, 40], 10, 3),
];

fn flipped(forge: &mut Forge) -> Vec<u8> {
    let mut record = forge.record(ContentType::ApplicationData, b"hello");
    *record.last_mut().unwrap() ^= 1;
    record
}

fn handshake(forge: &mut Forge, typ: u8, body: &[u8]) -> Vec<u8> {
    forge.record(ContentType::Handshake, &[&[typ, 0, 0, body.len() as u8][..], body].concat())
}

fn repeat(forge: &mut Forge, times: usize, typ: ContentType, payload: &[u8]) -> Vec<u8> {
    (0..times).flat_map(|_| forge.record(typ, payload)).collect()
}

fn applies(versions: u8, version: TlsVersion) -> bool {
    match versions {
        0 => true,
        2 => version == TlsVersion::V12,
        _ => version == TlsVersion::V13,
    }
}

/// docs/cases.md L06
#[test]
fn the_alert_that_the_peer_gets_is_the_one_that_the_ending_names() {
    for (version, side) in EACH {
        for (name, fault, alert, _) in FAULTS.iter().filter(|fault| applies(fault.3, version)) {
            let Met { mut ours, peer, mut input } = peer::meet(version, side);
            let mut forge = Forge::new(peer);
            input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"before"));
            input.extend_from_slice(&fault(&mut forge));
            let case = format!("{version:?} {side:?}: {name}");
            let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
            assert_eq!((plaintext, read), (b"before".to_vec(), Read::Ended), "{case}");
            let ending = ours.receiver.ending().unwrap();
            assert!(matches!(ending, ReceivedEnding::Violation(_)), "{case}: {ending:?}");
            over(ours, owes, &mut forge, *alert, &case);
        }
    }
}

/// In TLS 1.3 every alert but two is fatal, whatever its level (RFC 9846 section 6).
#[test]
fn a_warning_that_tls_1_3_does_not_know_is_the_end() {
    for (version, side) in EACH {
        let Met { mut ours, peer, mut input } = peer::meet(version, side);
        let mut forge = Forge::new(peer);
        input.extend_from_slice(&forge.record(ContentType::Alert, &[WARNING, 100]));
        let (_, read, owes) = peer::read(&mut ours, &mut input);
        if version == TlsVersion::V12 {
            assert_eq!((read, owes), (Read::NeedInput, peer::nothing()));
            continue;
        }
        assert_eq!(read, Read::Ended);
        assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::Alert(AlertDescription::NO_RENEGOTIATION)));
        assert!(peer::pay(&mut ours, owes).is_empty());
        assert_eq!(ours.sender.failed(), Some(SentEnding::Aborted));
    }
}

/// A sender after a violation: it names the alert, hands it out once, and takes nothing more.
fn over(mut ours: Session, owes: SenderOwes, forge: &mut Forge, alert: u8, case: &str) {
    let ending = SentEnding::Alert(alert.into());
    assert_eq!(ours.sender.failed(), None, "{case}: before `take_owed`");
    let mut output = peer::pay(&mut ours, owes);
    let mut sender = ours.sender;
    assert_eq!(sender.failed(), Some(ending.clone()), "{case}");
    assert_eq!(sender.write(&[IoSlice::new(b"more")], &mut output), Err(SendError::SessionOver), "{case}");
    sender.take_owed(owes, &mut output);
    assert_eq!(sender.failed(), Some(ending.clone()), "{case}");
    assert_eq!(sender.close(&mut output), ending, "{case}");
    let expected = [(ContentType::Alert, vec![FATAL, alert])];
    assert_eq!(forge.open(&output), expected, "{case}: and no close_notify after it");
}

/// What is owed for another reason is no alert.
#[test]
fn a_reply_still_owed_is_not_taken_for_an_alert() {
    for side in [Side::Client, Side::Server] {
        // A KeyUpdate to reply to, then a fatal alert of the peer's: none of ours is due.
        let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        input.extend_from_slice(&peer::key_update(&mut peer));
        let mut owes = peer::read(&mut ours, &mut input).2;
        assert!(!owes.is_nothing());
        input.extend_from_slice(&peer::fatal_alert(&mut peer));
        let (_, read, more) = peer::read(&mut ours, &mut input);
        assert_eq!(read, Read::Ended);
        owes.merge(more);
        assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::Alert(AlertDescription::DECODE_ERROR)));
        assert!(peer::pay(&mut ours, owes).is_empty(), "nothing is owed to a peer that has given up");
        assert_eq!(ours.sender.failed(), Some(SentEnding::Aborted));
        assert_eq!(ours.sender.close(&mut BytesMut::new()), SentEnding::Aborted);
    }
    // TLS 1.2: the first HelloRequest is declined with a warning, the second is a violation.
    let Met { mut ours, peer, mut input } = peer::meet(TlsVersion::V12, Side::Client);
    let mut forge = Forge::new(peer);
    input.extend_from_slice(&handshake(&mut forge, 0, &[]));
    let owes = peer::read(&mut ours, &mut input).2;
    let output = peer::pay(&mut ours, owes);
    assert_eq!(forge.open(&output), [(ContentType::Alert, vec![WARNING, 100])]);
    assert_eq!(ours.sender.failed(), None);
    input.extend_from_slice(&handshake(&mut forge, 0, &[]));
    let owes = peer::read(&mut ours, &mut input).2;
    assert_eq!(ours.receiver.ending().unwrap().word(), "violation");
    over(ours, owes, &mut forge, 10, "a second HelloRequest");
}

/// The one that the Forge cannot play: the alert is read by rustls itself.
#[test]
fn plain_rustls_reads_our_alert() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        let mut record = peer::data(&mut peer, b"hello");
        record[7] ^= 0x80;
        input.extend_from_slice(&record);
        let owes = peer::read(&mut ours, &mut input).2;
        let output = peer::pay(&mut ours, owes);
        assert_eq!(ours.sender.failed(), Some(SentEnding::Alert(AlertDescription::BAD_RECORD_MAC)));
        let (_, seen) = peer::read_at(&mut peer, &output);
        assert_eq!(seen, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    }
}
