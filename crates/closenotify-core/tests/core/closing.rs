//! Our own close: one close_notify at most, after everything, level warning, nothing after it; and what the peer's close
//! does not do.

use crate::peer::{self, EACH, FATAL, Forge, Met, Side, WARNING};
use bytes::BytesMut;
use closenotify_core::{AlertDescription, Read, ReceivedEnding, SendError, SentEnding, TransportEnd};
use rustls::ContentType;
use std::io::IoSlice;
use testkit::certs::TlsVersion;

/// docs/cases.md L05
#[test]
fn close_is_one_warning_behind_all_data() {
    for (version, side) in EACH {
        let Met { mut ours, peer, .. } = peer::meet(version, side);
        let mut forge = Forge::new(peer);
        let mut output = BytesMut::new();
        ours.sender.write(&[IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo")], &mut output).unwrap();
        assert_eq!(ours.sender.close(&mut output), SentEnding::CloseNotify);
        let expected = [(ContentType::ApplicationData, b"hello".to_vec()), (ContentType::Alert, vec![WARNING, 0])];
        assert_eq!(forge.open(&output), expected, "{version:?} {side:?}");
    }
}

#[test]
fn close_is_clean_to_a_peer_and_reading_goes_on() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        let mut output = BytesMut::new();
        ours.sender.write(&[IoSlice::new(b"last words")], &mut output).unwrap();
        assert_eq!(ours.sender.close(&mut output), SentEnding::CloseNotify);
        assert_eq!(peer::read_at(&mut peer, &output), (b"last words".to_vec(), Ok(true)));
        for answer in [&b"one"[..], b"two"] {
            input.extend_from_slice(&peer::data(&mut peer, answer));
            let mut plaintext = Vec::new();
            let read = peer::read_all(&mut ours.receiver, &mut input, 100, &mut plaintext);
            assert_eq!((read, plaintext.as_slice()), ((Read::NeedInput, peer::nothing()), answer));
        }
        input.extend_from_slice(&peer::close_notify(&mut peer));
        assert_eq!(peer::read_all(&mut ours.receiver, &mut input, 100, &mut Vec::new()).0, Read::Ended);
        assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::CloseNotify));
    }
}

/// docs/cases.md R08, L01
#[test]
fn the_peers_close_does_not_end_our_sending() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        input.extend_from_slice(&peer::close_notify(&mut peer));
        assert_eq!(peer::read(&mut ours, &mut input).1, Read::Ended);
        assert_eq!(ours.sender.failed(), None);
        let mut output = BytesMut::new();
        ours.sender.write(&[IoSlice::new(b"answer")], &mut output).unwrap();
        assert_eq!(ours.sender.close(&mut output), SentEnding::CloseNotify);
        assert_eq!(peer::read_at(&mut peer, &output), (b"answer".to_vec(), Ok(true)));
    }
}

/// docs/cases.md O05
#[test]
fn receiving_goes_on_after_our_close_whatever_arrives() {
    type Arrival = fn(&mut Forge) -> Vec<u8>;
    let arrivals: [(&str, Arrival); 6] = [
        ("a flipped bit", |forge| {
            let mut record = forge.record(ContentType::ApplicationData, b"hello");
            *record.last_mut().unwrap() ^= 1;
            record
        }),
        ("no TLS", |_| b"GET / HTTP/1.1".to_vec()),
        ("an empty alert", |forge| forge.record(ContentType::Alert, &[])),
        ("an alert of no level", |forge| forge.record(ContentType::Alert, &[66, 40])),
        ("an oversized record", |forge| forge.record(ContentType::ApplicationData, &[0; 16_385])),
        ("a Finished", |forge| forge.record(ContentType::Handshake, &[[20, 0, 0, 32].as_slice(), &[0; 32]].concat())),
    ];
    for (version, side) in EACH {
        for (name, arrival) in arrivals {
            let Met { ours, peer, mut input } = peer::meet(version, side);
            let mut receiver = ours.receiver;
            let mut output = BytesMut::new();
            assert_eq!(ours.sender.close(&mut output), SentEnding::CloseNotify);
            let mut forge = Forge::new(peer);
            assert_eq!(forge.open(&output), [(ContentType::Alert, vec![WARNING, 0])]);
            input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"before"));
            input.extend_from_slice(&arrival(&mut forge));
            let mut plaintext = Vec::new();
            // What is owed for it cannot be sent: the sender is gone.
            let (read, _owes) = peer::read_all(&mut receiver, &mut input, 100, &mut plaintext);
            assert_eq!((read, plaintext.as_slice()), (Read::Ended, &b"before"[..]), "{version:?} {name}");
            let ending = receiver.ending().cloned().unwrap();
            assert_eq!(ending.word(), "violation", "{version:?} {side:?} {name}");
            receiver.transport_ended(TransportEnd::Eof, &input);
            assert_eq!(receiver.ending(), Some(&ending));
        }
    }
}

/// docs/cases.md O18
#[test]
fn a_key_update_after_our_close_is_followed_and_not_answered() {
    for side in [Side::Client, Side::Server] {
        let Met { ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        let mut receiver = ours.receiver;
        let mut output = BytesMut::new();
        ours.sender.close(&mut output);
        input.extend_from_slice(&peer::key_update(&mut peer));
        input.extend_from_slice(&peer::data(&mut peer, b"new key"));
        input.extend_from_slice(&peer::close_notify(&mut peer));
        let mut plaintext = Vec::new();
        let (read, _owes) = peer::read_all(&mut receiver, &mut input, 100, &mut plaintext);
        assert_eq!((read, plaintext.as_slice()), (Read::Ended, &b"new key"[..]));
        assert_eq!(receiver.ending(), Some(&ReceivedEnding::CloseNotify));
        assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(true)));
    }
}

/// docs/cases.md R38
#[test]
fn a_key_update_is_answered_once_through_what_the_sender_owes() {
    for side in [Side::Client, Side::Server] {
        let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        input.extend_from_slice(&peer::key_update(&mut peer));
        let (plaintext, last, owes) = peer::read(&mut ours, &mut input);
        assert_eq!((plaintext.len(), last), (0, Read::NeedInput));
        assert!(!owes.is_nothing());
        assert_eq!(ours.sender.failed(), None);
        let output = peer::pay(&mut ours, owes);
        assert_eq!(peer::records(&output).len(), 1);
        assert_eq!(peer::pay(&mut ours, peer::nothing()), b""[..]);
        assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(false)));
        assert!(peer::read(&mut ours, &mut input).2.is_nothing());
        // Both directions live under the new keys.
        let mut output = BytesMut::new();
        ours.sender.write(&[IoSlice::new(b"out")], &mut output).unwrap();
        assert_eq!(peer::read_at(&mut peer, &output), (b"out".to_vec(), Ok(false)));
        input.extend_from_slice(&peer::data(&mut peer, b"in"));
        assert_eq!(peer::read(&mut ours, &mut input), (b"in".to_vec(), Read::NeedInput, peer::nothing()));
    }
}

/// RFC 9846 section 4.7.3: the reply goes before the next application data.
#[test]
fn a_reply_goes_before_the_next_write_and_the_close() {
    for side in [Side::Client, Side::Server] {
        for close in [false, true] {
            let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
            input.extend_from_slice(&peer::key_update(&mut peer));
            let owes = peer::read(&mut ours, &mut input).2;
            let mut output = peer::pay(&mut ours, owes);
            let expected = if close {
                ours.sender.close(&mut output);
                (Vec::new(), Ok(true))
            } else {
                ours.sender.write(&[IoSlice::new(b"data")], &mut output).unwrap();
                (b"data".to_vec(), Ok(false))
            };
            assert_eq!(peer::records(&output).len(), 2);
            assert_eq!(peer::read_at(&mut peer, &output), expected);
        }
    }
}

/// docs/cases.md R45
#[test]
fn a_received_fatal_alert_ends_both_directions_without_a_word_of_ours() {
    for (version, side) in EACH {
        for code in [40, 42, 80, 200] {
            let Met { mut ours, peer, mut input } = peer::meet(version, side);
            let mut forge = Forge::new(peer);
            input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"hello"));
            input.extend_from_slice(&forge.record(ContentType::Alert, &[FATAL, code]));
            let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
            assert_eq!((plaintext, read), (b"hello".to_vec(), Read::Ended));
            assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::Alert(AlertDescription::from(code))));
            assert_eq!(ours.sender.failed(), None, "before `take_owed`");
            let mut output = peer::pay(&mut ours, owes);
            assert_eq!(ours.sender.failed(), Some(SentEnding::Aborted));
            let refused = ours.sender.write(&[IoSlice::new(b"data")], &mut output);
            assert_eq!(refused, Err(SendError::SessionOver));
            ours.sender.take_owed(peer::nothing(), &mut output);
            assert_eq!(ours.sender.close(&mut output), SentEnding::Aborted);
            assert!(output.is_empty(), "{version:?} {side:?}");
        }
    }
}

#[test]
fn dropping_the_sender_says_nothing() {
    for (version, side) in EACH {
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        drop(ours.sender);
        input.extend_from_slice(&peer::data(&mut peer, b"still here"));
        let mut plaintext = Vec::new();
        let _ = peer::read_all(&mut ours.receiver, &mut input, 100, &mut plaintext);
        assert_eq!(plaintext, b"still here");
        // What the peer sees is a transport that ended: no close_notify.
        assert_eq!(peer::read_at(&mut peer, b""), (Vec::new(), Ok(false)));
    }
}

/// Tickets may arrive at any time, also after our close.
/// docs/cases.md O07
#[test]
fn tickets_behind_our_close_do_not_spoil_the_end() {
    let configs = peer::Configs::of(TlsVersion::V13);
    let mut server = configs.server.clone();
    server.send_tls13_tickets = 3;
    let Met { ours, mut peer, mut input } = peer::meet_with(server, configs.client.clone(), Side::Client);
    assert!(!input.is_empty(), "the tickets");
    let mut receiver = ours.receiver;
    let mut output = BytesMut::new();
    assert_eq!(ours.sender.close(&mut output), SentEnding::CloseNotify);
    input.extend_from_slice(&peer::close_notify(&mut peer));
    let read = peer::read_all(&mut receiver, &mut input, 100, &mut Vec::new());
    assert_eq!(read, (Read::Ended, peer::nothing()));
    assert_eq!(receiver.ending(), Some(&ReceivedEnding::CloseNotify));
    assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(true)));
}

/// RFC 9846 section 6.1: what a JDK sends before its close_notify is ignored.
/// docs/cases.md O13
#[test]
fn user_canceled_in_front_of_a_close_notify_is_no_end() {
    for (version, side) in EACH {
        let Met { mut ours, peer, mut input } = peer::meet(version, side);
        let mut forge = Forge::new(peer);
        input.extend_from_slice(&forge.record(ContentType::Alert, &[WARNING, 90]));
        input.extend_from_slice(&forge.record(ContentType::ApplicationData, b"still here"));
        assert_eq!(peer::read(&mut ours, &mut input), (b"still here".to_vec(), Read::NeedInput, peer::nothing()));
        input.extend_from_slice(&forge.record(ContentType::Alert, &[WARNING, 0]));
        assert_eq!(peer::read(&mut ours, &mut input).1, Read::Ended);
        assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::CloseNotify));
        assert_eq!(ours.sender.failed(), None);
    }
}

/// docs/cases.md O17
#[test]
fn a_renegotiation_is_refused_before_our_close_and_passed_over_behind_it() {
    const NO_RENEGOTIATION: u8 = 100;
    for closed_first in [false, true] {
        let Met { ours, peer, mut input } = peer::meet(TlsVersion::V12, Side::Client);
        let (mut receiver, mut sender) = (ours.receiver, Some(ours.sender));
        let mut forge = Forge::new(peer);
        let mut output = BytesMut::new();
        if closed_first {
            sender.take().map(|sender| sender.close(&mut output)).unwrap();
            assert_eq!(forge.open(&output.split()), [(ContentType::Alert, vec![WARNING, 0])]);
        }
        // A HelloRequest.
        input.extend_from_slice(&forge.record(ContentType::Handshake, &[0, 0, 0, 0]));
        let (read, owed) = peer::read_all(&mut receiver, &mut input, 100, &mut Vec::new());
        assert_eq!((read, owed.is_nothing()), (Read::NeedInput, false));
        if let Some(sender) = &mut sender {
            sender.take_owed(owed, &mut output);
            assert_eq!(forge.open(&output.split()), [(ContentType::Alert, vec![WARNING, NO_RENEGOTIATION])]);
            assert_eq!(sender.failed(), None);
        }
        input.extend_from_slice(&forge.record(ContentType::Alert, &[WARNING, 0]));
        assert_eq!(peer::read_all(&mut receiver, &mut input, 100, &mut Vec::new()), (Read::Ended, peer::nothing()));
        assert_eq!(receiver.ending(), Some(&ReceivedEnding::CloseNotify));
    }
}

/// RFC 5246 section 7.2.1: since TLS 1.1 an unclean close does not take the session's resumption away.
/// docs/cases.md O02, O15, J03, H04
#[test]
fn a_session_that_was_cut_can_be_resumed() {
    for version in TlsVersion::EACH {
        let configs = peer::Configs::of(version);
        let (mut server, mut client) = (configs.server.clone(), configs.client.clone());
        server.send_tls13_tickets = 1;
        client.resumption = rustls::client::Resumption::in_memory_sessions(8);
        for expected in [false, true] {
            let Met { mut ours, mut peer, mut input } = peer::meet_with(server.clone(), client.clone(), Side::Client);
            assert_eq!(ours.facts.resumed(), expected, "{version:?}");
            input.extend_from_slice(&peer::data(&mut peer, b"cut"));
            let (plaintext, last, _) = peer::read(&mut ours, &mut input);
            assert_eq!((plaintext.as_slice(), last), (&b"cut"[..], Read::NeedInput));
            ours.receiver.transport_ended(TransportEnd::Eof, &input);
            assert_eq!(ours.receiver.ending().unwrap().word(), "truncated_boundary");
        }
    }
}

/// A ticket that comes in as many records as it takes is as good as one in a single record.
#[test]
fn tickets_in_many_records_resume_sessions() {
    let configs = peer::Configs::of(TlsVersion::V13);
    let (mut server, mut client) = (configs.server.clone(), configs.client.clone());
    (server.send_tls13_tickets, server.max_fragment_size) = (2, Some(32));
    client.resumption = rustls::client::Resumption::in_memory_sessions(8);
    for resumed in [false, true, true] {
        let Met { mut ours, mut peer, mut input } = peer::meet_with(server.clone(), client.clone(), Side::Client);
        assert!(peer::records(&input).len() > 4, "{} records of two tickets", peer::records(&input).len());
        input.extend_from_slice(&peer::data(&mut peer, b"hi"));
        assert_eq!(peer::read(&mut ours, &mut input), (b"hi".to_vec(), Read::NeedInput, peer::nothing()));
        assert_eq!(ours.facts.resumed(), resumed);
    }
}
