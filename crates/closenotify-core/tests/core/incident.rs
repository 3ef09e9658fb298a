//! The incident: `[data][close_notify][t bytes]` in one buffer. Versions of other libraries span for ever, delivered what
//! lay behind, or lost the data in front.

use crate::peer::{self, EACH, Forge, Met, Side};
use closenotify_core::{Read, ReceivedEnding, TransportEnd};
use rustls::ContentType;
use testkit::certs::TlsVersion;

/// `trailer` is made with the peer's keys after its close_notify.
fn ends_clean_whatever_is_behind(version: TlsVersion, side: Side, trailer: impl Fn(&mut Forge) -> Vec<u8>) {
    for buffer in [1, 64 * 1024] {
        let Met { mut ours, peer, mut input } = peer::meet(version, side);
        let mut forge = Forge::new(peer);
        input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"hello"));
        input.extend_from_slice(&forge.record(ContentType::Alert, &[peer::WARNING, 0]));
        let trailer = trailer(&mut forge);
        input.extend_from_slice(&trailer);
        let mut plaintext = Vec::new();
        let (last, owed) = peer::read_all(&mut ours.receiver, &mut input, buffer, &mut plaintext);
        assert_eq!((last, owed), (Read::Ended, peer::nothing()));
        assert_eq!(plaintext, b"hello");
        let ending = ReceivedEnding::CloseNotify;
        assert_eq!(ours.receiver.ending(), Some(&ending));
        assert_eq!(input, trailer, "the trailer is the caller's, untouched");
        // However often it is asked, and whatever happens to the transport.
        ours.receiver.transport_ended(TransportEnd::Eof, &input);
        for _ in 0..3 {
            assert_eq!(
                peer::read_all(&mut ours.receiver, &mut input, buffer, &mut plaintext),
                (Read::Ended, peer::nothing())
            );
        }
        assert_eq!((plaintext.as_slice(), input.as_ref()), (&b"hello"[..], trailer.as_slice()));
        assert_eq!(ours.receiver.ending(), Some(&ending));
        // And our own direction lives.
        let mut output = bytes::BytesMut::new();
        ours.sender.write(&[std::io::IoSlice::new(b"answer")], &mut output).unwrap();
        assert_eq!(forge.open(&output), [(ContentType::ApplicationData, b"answer".to_vec())]);
    }
}

/// docs/cases.md R02
#[test]
fn up_to_64_bytes_behind_close_notify_end_clean() {
    for (version, side) in EACH {
        for length in 1..=64_usize {
            // The beginning of a record, and no record at all.
            ends_clean_whatever_is_behind(version, side, |_| [23, 3, 3, 0, 80].repeat(13)[..length].to_vec());
            ends_clean_whatever_is_behind(version, side, |_| vec![0xff; length]);
        }
    }
}

#[test]
fn half_a_record_behind_close_notify_ends_clean() {
    for (version, side) in EACH {
        ends_clean_whatever_is_behind(version, side, |forge| {
            let mut record = forge.record(ContentType::ApplicationData, &[7; 1000]);
            record.truncate(500);
            record
        });
    }
}

/// docs/cases.md R04
#[test]
fn an_undecryptable_record_behind_close_notify_ends_clean() {
    for (version, side) in EACH {
        ends_clean_whatever_is_behind(version, side, |_| [&[23, 3, 3, 0, 40][..], &[0x55; 40]].concat());
    }
}

/// docs/cases.md R03, R40
#[test]
fn a_valid_record_behind_close_notify_is_not_delivered() {
    for (version, side) in EACH {
        ends_clean_whatever_is_behind(version, side, |forge| forge.record(ContentType::ApplicationData, b"after"));
        ends_clean_whatever_is_behind(version, side, |forge| forge.record(ContentType::Alert, &[peer::FATAL, 40]));
        ends_clean_whatever_is_behind(version, side, |forge| forge.record(ContentType::Alert, &[peer::WARNING, 0]));
    }
}

/// docs/cases.md R04
#[test]
fn plain_text_behind_close_notify_ends_clean() {
    for (version, side) in EACH {
        ends_clean_whatever_is_behind(version, side, |_| b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
        ends_clean_whatever_is_behind(version, side, |_| vec![b'x'; 100_000]);
    }
}
