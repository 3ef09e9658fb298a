//! What is bounded: records without data, KeyUpdates, warnings, what is owed, what one write takes.

use crate::peer::{self, EACH, FATAL, Forge, Met, Side, WARNING};
use bytes::BytesMut;
use closenotify_core::{
    AlertDescription, DATALESS_RECORDS_MAX, Read, ReceivedEnding, SendError, SentEnding, WRITE_MAX,
};
use rustls::ContentType;
use std::io::IoSlice;
use testkit::certs::TlsVersion;

/// So many tickets of a TLS 1.3 server's, a record each.
fn tickets(forge: &mut Forge, count: u32) -> Vec<u8> {
    (0..count).flat_map(|_| forge.record(ContentType::Handshake, &TICKET)).collect()
}

/// Lifetime, age add, an empty nonce, a ticket of one byte, no extensions.
const TICKET: [u8; 18] = [4, 0, 0, 14, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0];

#[test]
fn records_without_data_are_taken_up_to_the_bound_and_data_starts_the_count_anew() {
    let Met { mut ours, peer, mut input } = peer::meet(TlsVersion::V13, Side::Client);
    let mut forge = Forge::new(peer);
    for _ in 0..3 {
        input.extend_from_slice(&tickets(&mut forge, DATALESS_RECORDS_MAX));
        assert_eq!(peer::read(&mut ours, &mut input), (Vec::new(), Read::NeedInput, peer::nothing()));
        input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"data"));
        assert_eq!(peer::read(&mut ours, &mut input), (b"data".to_vec(), Read::NeedInput, peer::nothing()));
    }
}

#[test]
fn one_record_without_data_too_many_ends_both_directions() {
    for extra in [1, 50] {
        let Met { mut ours, peer, mut input } = peer::meet(TlsVersion::V13, Side::Client);
        let mut forge = Forge::new(peer);
        input.extend_from_slice(&tickets(&mut forge, DATALESS_RECORDS_MAX + extra));
        input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"behind"));
        let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
        assert_eq!((plaintext, read), (Vec::new(), Read::Ended));
        let ending = ours.receiver.ending().unwrap();
        assert!(matches!(ending, ReceivedEnding::Violation(_)));
        assert_eq!(
            ending.to_string(),
            "the peer broke the protocol: more than 64 records in a row without application data"
        );
        let mut output = peer::pay(&mut ours, owes);
        let ending = SentEnding::Alert(AlertDescription::UNEXPECTED_MESSAGE);
        assert_eq!(ours.sender.failed(), Some(ending.clone()));
        assert_eq!(ours.sender.write(&[IoSlice::new(b"more")], &mut output), Err(SendError::SessionOver));
        assert_eq!(ours.sender.close(&mut output), ending);
        assert_eq!(forge.open(&output), [(ContentType::Alert, vec![FATAL, 10])]);
    }
}

/// A record holds hundreds of tickets, each of which costs a key derivation and a place in the store.
#[test]
fn messages_that_share_a_record_count_one_by_one() {
    for (messages, ended) in [(DATALESS_RECORDS_MAX, false), (DATALESS_RECORDS_MAX + 1, true), (900, true)] {
        let Met { mut ours, peer, mut input } = peer::meet(TlsVersion::V13, Side::Client);
        let mut forge = Forge::new(peer);
        let record = forge.record(ContentType::Handshake, &TICKET.repeat(messages as usize));
        input.extend_from_slice(&record);
        let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
        assert_eq!((plaintext, read), (Vec::new(), if ended { Read::Ended } else { Read::NeedInput }), "{messages}");
        assert_eq!(peer::pay(&mut ours, owes).is_empty(), !ended, "{messages}: an alert");
        if ended {
            assert_eq!(ours.sender.failed(), Some(SentEnding::Alert(AlertDescription::UNEXPECTED_MESSAGE)));
        }
    }
}

#[test]
fn empty_records_are_taken_up_to_32_in_a_row() {
    for (version, side) in EACH {
        let Met { mut ours, peer, mut input } = peer::meet(version, side);
        let mut forge = Forge::new(peer);
        for _ in 0..3 {
            for _ in 0..32 {
                input.extend_from_slice(&forge.record(ContentType::ApplicationData, b""));
            }
            assert_eq!(peer::read(&mut ours, &mut input), (Vec::new(), Read::NeedInput, peer::nothing()));
            input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"data"));
            assert_eq!(peer::read(&mut ours, &mut input), (b"data".to_vec(), Read::NeedInput, peer::nothing()));
        }
    }
}

#[test]
fn warnings_are_taken_up_to_4_in_a_session() {
    for (version, side) in EACH {
        let Met { mut ours, peer, mut input } = peer::meet(version, side);
        let mut forge = Forge::new(peer);
        for _ in 0..4 {
            input.extend_from_slice(&forge.record(ContentType::Alert, &[WARNING, 90]));
            input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"data"));
        }
        assert_eq!(peer::read(&mut ours, &mut input), (b"data".repeat(4), Read::NeedInput, peer::nothing()));
        input.extend_from_slice(&forge.record(ContentType::Alert, &[WARNING, 90]));
        assert_eq!(peer::read(&mut ours, &mut input).1, Read::Ended);
        assert_eq!(ours.receiver.ending().unwrap().word(), "violation");
    }
}

#[test]
fn key_updates_are_taken_up_to_32_in_a_row_and_33_are_a_violation() {
    for side in [Side::Client, Side::Server] {
        let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        for _ in 0..2 {
            for _ in 0..32 {
                input.extend_from_slice(&peer::key_update(&mut peer));
            }
            input.extend_from_slice(&peer::data(&mut peer, b"data"));
            let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
            assert_eq!((plaintext, read, owes.is_nothing()), (b"data".to_vec(), Read::NeedInput, false));
            let output = peer::pay(&mut ours, owes);
            assert_eq!(peer::records(&output).len(), 1, "one reply to 32");
            assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(false)));
        }
        for _ in 0..33 {
            input.extend_from_slice(&peer::key_update(&mut peer));
        }
        let (_, read, owes) = peer::read(&mut ours, &mut input);
        assert_eq!(read, Read::Ended);
        assert_eq!(ours.receiver.ending().unwrap().word(), "violation");
        let output = peer::pay(&mut ours, owes);
        let told = rustls::Error::AlertReceived(rustls::AlertDescription::UnexpectedMessage);
        assert_eq!(peer::read_at(&mut peer, &output).1, Err(told));
    }
}

/// A peer that asks for KeyUpdates and never reads the replies must not make us buffer more and more of them.
#[test]
fn what_is_owed_is_bounded_though_nobody_takes_it() {
    for side in [Side::Client, Side::Server] {
        let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        let (rounds, mut owed) = (500, peer::nothing());
        for _ in 0..rounds {
            input.extend_from_slice(&peer::key_update(&mut peer));
            input.extend_from_slice(&peer::data(&mut peer, b"x"));
            let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
            assert_eq!((plaintext, read, owes.is_nothing()), (b"x".to_vec(), Read::NeedInput, false));
            owed.merge(owes);
        }
        let mut output = peer::pay(&mut ours, owed);
        assert_eq!(peer::records(&output).len(), 1, "one reply to {rounds} requests");
        assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(false)));
        // Nothing is owed any more, and both directions live.
        assert!(peer::read(&mut ours, &mut input).2.is_nothing());
        output.clear();
        ours.sender.write(&[IoSlice::new(b"out")], &mut output).unwrap();
        assert_eq!(peer::read_at(&mut peer, &output).0, b"out");
    }
}

#[test]
fn a_write_takes_at_most_its_maximum_and_all_slices() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        let mut output = BytesMut::new();
        assert_eq!(ours.sender.write(&[], &mut output), Ok(0));
        assert_eq!(ours.sender.write(&[IoSlice::new(b""), IoSlice::new(b"")], &mut output), Ok(0));
        assert!(output.is_empty(), "no empty record");
        let big = vec![1; WRITE_MAX];
        assert_eq!(ours.sender.write(&[IoSlice::new(&big), IoSlice::new(&big)], &mut output), Ok(WRITE_MAX));
        let halves = [IoSlice::new(&big[..40_000]), IoSlice::new(&big[..20_000])];
        assert_eq!(ours.sender.write(&halves, &mut output), Ok(60_000));
        assert!(peer::read_at(&mut peer, &output).0 == vec![1; WRITE_MAX + 60_000]);
        // All of it also where an answer to a KeyUpdate goes in front.
        if version == TlsVersion::V13 {
            input.extend_from_slice(&peer::key_update(&mut peer));
            let owes = peer::read(&mut ours, &mut input).2;
            output = peer::pay(&mut ours, owes);
            assert_eq!(ours.sender.write(&[IoSlice::new(&big)], &mut output), Ok(WRITE_MAX));
            assert!(peer::read_at(&mut peer, &output).0 == big);
        }
    }
}

/// The receiver asks its caller for no more than one record at a time.
#[test]
fn input_is_taken_record_by_record_as_the_buffer_has_room() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        let first = peer::data(&mut peer, b"first");
        let second = peer::data(&mut peer, b"second");
        input.extend_from_slice(&first);
        input.extend_from_slice(&second);
        let mut buffer = [0; 5];
        assert_eq!(ours.receiver.read(&mut input, &mut &mut buffer[..]).0, Read::Data(5));
        assert_eq!(input, second, "{version:?} {side:?}: the second record is left");
    }
}

#[test]
fn a_write_takes_what_was_set_and_makes_no_more_than_that_and_its_records() {
    for (version, side) in EACH {
        for (set, taken) in [(0, 1), (1, 1), (20_000, 20_000), (WRITE_MAX, WRITE_MAX), (usize::MAX, WRITE_MAX)] {
            let Met { mut ours, .. } = peer::meet(version, side);
            ours.sender.set_write_max(set);
            let (plaintext, mut output) = (vec![1; WRITE_MAX + 1], BytesMut::new());
            let (left, right) = plaintext.split_at(10_000);
            assert_eq!(ours.sender.write(&[IoSlice::new(left), IoSlice::new(right)], &mut output), Ok(taken));
            assert!(output.capacity() <= taken + 29 * taken.div_ceil(1 << 14), "{taken} {}", output.capacity());
        }
    }
}
