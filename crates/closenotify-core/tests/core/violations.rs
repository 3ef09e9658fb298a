//! What a peer can do wrong after the handshake: the ending says so, and the alert that the peer receives is the one that
//! the sending half says it has sent.

use crate::peer::{self, EACH, FATAL, Forge, Met, Side, WARNING};
use bytes::BytesMut;
use closenotify_core::{AlertDescription, Read, ReceivedEnding, SendError, SentEnding};
use rustls::ContentType;
use std::io::IoSlice;
use testkit::certs::TlsVersion;

type Fault = fn(&mut Forge) -> Vec<u8>;

/// Name, what is sent, the alert's number or none, and the versions: 2, 3, or 0 for both.
const FAULTS: [(&str, Fault, Option<u8>, u8); 20] = [
    ("a flipped bit", flipped, Some(20), 0),
    ("a record cut short", |_| [&[23, 3, 3, 0, 3][..], b"abc"].concat(), Some(20), 0),
    ("an oversized record", |forge| forge.record(ContentType::ApplicationData, &[0; 16_385]), Some(22), 0),
    ("plain text", |_| b"GET / HTTP/1.1".to_vec(), Some(50), 0),
    ("an unknown record type", |_| vec![25, 3, 3, 0, 1, 0], Some(50), 0),
    ("a length beyond any record", |_| vec![23, 3, 3, 0xff, 0xff], Some(50), 0),
    ("an empty record that may not be", |_| vec![22, 3, 3, 0, 0], Some(50), 0),
    ("a Finished", |forge| handshake(forge, 20, &[0; 32]), Some(10), 0),
    ("a ChangeCipherSpec", |_| vec![20, 3, 3, 0, 1, 1], Some(10), 0),
    ("an empty alert", |forge| forge.record(ContentType::Alert, &[]), Some(50), 0),
    ("half an alert", |forge| forge.record(ContentType::Alert, &[FATAL]), Some(50), 0),
    ("two alerts in one record", |forge| forge.record(ContentType::Alert, &[WARNING, 90, WARNING, 0]), Some(50), 0),
    ("an encrypted ChangeCipherSpec", |forge| forge.record(ContentType::ChangeCipherSpec, &[1]), Some(10), 3),
    ("a bad KeyUpdate", |forge| handshake(forge, 24, &[2]), Some(47), 3),
    ("a KeyUpdate too long", |forge| handshake(forge, 24, &[0, 0]), Some(50), 3),
    (
        "a KeyUpdate with a message behind it",
        |forge| forge.record(ContentType::Handshake, &[24, 0, 0, 1, 0, 24, 0]),
        Some(10),
        3,
    ),
    (
        "data inside a handshake message",
        |forge| {
            let mut bytes = forge.record(ContentType::Handshake, &[24, 0, 0]);
            bytes.extend(forge.record(ContentType::ApplicationData, b"hello"));
            bytes
        },
        None,
        0,
    ),
    ("33 empty records", |forge| repeat(forge, 33, ContentType::ApplicationData, b""), None, 0),
    ("5 warnings", |forge| repeat(forge, 5, ContentType::Alert, &[WARNING, 90]), None, 0),
    ("a plaintext alert", |_| vec![21, 3, 3, 0, 2, FATAL, 40], Some(20), 0),
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
            assert_eq!(peer::read(&mut ours, &mut input), (b"before".to_vec(), Read::Ended, alert.is_some()), "{case}");
            let ending = ours.receiver.ending().unwrap();
            assert!(matches!(ending, ReceivedEnding::Violation(_)), "{case}: {ending:?}");
            over(ours.sender, &mut forge, *alert, &case);
        }
    }
}

/// In TLS 1.3 every alert but two is fatal, whatever its level says (RFC 9846 section 6).
#[test]
fn an_alert_that_rustls_answers_with_an_alert_is_reported_as_both() {
    for (version, side) in EACH {
        let mut cases = vec![([66, 40], 47)];
        if version == TlsVersion::V13 {
            // rustls does not say which of the two it sent; the one that real peers provoke is named.
            cases = vec![([WARNING, 100], 50)];
        }
        for (payload, alert) in cases {
            let Met { mut ours, peer, mut input } = peer::meet(version, side);
            let mut forge = Forge::new(peer);
            input.extend_from_slice(&forge.record(ContentType::Alert, &payload));
            assert_eq!(peer::read(&mut ours, &mut input), (Vec::new(), Read::Ended, true));
            let received = ReceivedEnding::Alert(AlertDescription::from(payload[1]));
            assert_eq!(ours.receiver.ending(), Some(&received));
            over(ours.sender, &mut forge, Some(alert), &format!("{version:?} {side:?} {payload:?}"));
        }
    }
}

/// A sender after a violation: it names the alert, hands it out once, and takes nothing more.
fn over(mut sender: closenotify_core::Sender, forge: &mut Forge, alert: Option<u8>, case: &str) {
    let ending = alert.map_or(SentEnding::Aborted, |code| SentEnding::Alert(code.into()));
    assert_eq!(sender.failed(), Some(ending.clone()), "{case}");
    let mut output = BytesMut::new();
    assert_eq!(sender.write(&[IoSlice::new(b"more")], &mut output), Err(SendError::SessionOver), "{case}");
    assert!(output.is_empty(), "{case}");
    sender.take_owed(&mut output);
    sender.take_owed(&mut output);
    assert_eq!(sender.write(&[IoSlice::new(b"more")], &mut output), Err(SendError::SessionOver), "{case}");
    assert_eq!(sender.failed(), Some(ending.clone()), "{case}");
    assert_eq!(sender.close(&mut output), ending, "{case}");
    let expected: Vec<_> = alert.iter().map(|code| (ContentType::Alert, vec![FATAL, *code])).collect();
    assert_eq!(forge.open(&output), expected, "{case}: and no close_notify behind it");
}

/// Bytes that were owed for another reason are no alert.
#[test]
fn an_answer_still_owed_is_not_taken_for_an_alert() {
    for side in [Side::Client, Side::Server] {
        // A KeyUpdate to answer, then a fatal alert of the peer's: none of ours is due.
        let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        input.extend_from_slice(&peer::key_update(&mut peer));
        assert!(peer::read(&mut ours, &mut input).2);
        input.extend_from_slice(&peer::fatal_alert(&mut peer));
        assert_eq!(peer::read(&mut ours, &mut input).1, Read::Ended);
        assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::Alert(AlertDescription::DECODE_ERROR)));
        assert_eq!(ours.sender.failed(), Some(SentEnding::Aborted));
        assert_eq!(ours.sender.close(&mut BytesMut::new()), SentEnding::Aborted);
    }
    // TLS 1.2: the first HelloRequest is answered with a warning, the second is a violation without an alert.
    let Met { mut ours, peer, mut input } = peer::meet(TlsVersion::V12, Side::Client);
    let mut forge = Forge::new(peer);
    input.extend_from_slice(&handshake(&mut forge, 0, &[]));
    assert!(peer::read(&mut ours, &mut input).2);
    assert_eq!(ours.sender.failed(), None);
    input.extend_from_slice(&handshake(&mut forge, 0, &[]));
    let _ = peer::read(&mut ours, &mut input);
    assert_eq!(ours.receiver.ending().unwrap().word(), "violation");
    assert_eq!(ours.sender.failed(), Some(SentEnding::Aborted));
    let mut output = BytesMut::new();
    assert_eq!(ours.sender.close(&mut output), SentEnding::Aborted);
    assert!(output.is_empty());
}

/// The one that the Forge cannot play: the alert is read by rustls itself.
#[test]
fn plain_rustls_reads_our_alert() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        let mut record = peer::data(&mut peer, b"hello");
        record[7] ^= 0x80;
        input.extend_from_slice(&record);
        assert!(peer::read(&mut ours, &mut input).2);
        assert_eq!(ours.sender.failed(), Some(SentEnding::Alert(AlertDescription::BAD_RECORD_MAC)));
        let mut output = BytesMut::new();
        ours.sender.take_owed(&mut output);
        let (_, seen) = peer::read_at(&mut peer, &output);
        assert_eq!(seen, Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    }
}
