//! The two halves: what dropping one does, putting them together again, and that the facts go with them.

use crate::peer::{self, EACH, Met, by_hand, done, failed, flush, read, shutdown, write};
use closenotify::{ReceivedEnding, SentEnding, TlsStream, WriteError};
use std::io::{self, ErrorKind};
use testkit::executor::CountingWaker;
use testkit::transport::WriteStep;

#[test]
fn dropping_the_write_half_aborts_and_reading_goes_on() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let (mut reader, mut writer) = stream.into_split();
            wire.push_write(WriteStep::Accept(7));
            wire.push_write(WriteStep::Pending);
            assert_eq!(done(write(&waker, &mut writer, b"unfinished")), 10);
            drop(writer);
            assert!(wire.is_write_dropped() && !wire.is_read_dropped());
            assert_eq!(wire.written().len(), 7, "what the transport has not taken is thrown away");
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (Vec::new(), Ok(false)), "no close_notify");
            wire.push_data(peer::data(&mut peer, b"still"));
            assert_eq!(done(read(&waker, &mut reader, 10)), b"still");
            // What it would owe cannot be paid, and that is no fault of reading.
            wire.push_data(peer::broken(&mut peer));
            assert_eq!(failed(read(&waker, &mut reader, 10)).kind(), ErrorKind::InvalidData);
            assert_eq!((waker.wakes(), waker.live()), (0, 0));
        }
    });
}

#[test]
fn dropping_the_read_half_leaves_the_writer_alone() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let (reader, mut writer) = stream.into_split();
            drop(reader);
            assert!(wire.is_read_dropped() && !wire.is_write_dropped());
            assert_eq!(done(write(&waker, &mut writer, b"on")), 2);
            assert_eq!(writer.sent_ending(), None);
            done(shutdown(&waker, &mut writer));
            assert_eq!(writer.sent_ending(), Some(SentEnding::CloseNotify));
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"on".to_vec(), Ok(true)));
            let error = failed(write(&waker, &mut writer, b"x"));
            assert_eq!(WriteError::find(&error), Some(&WriteError::AfterClose));
            done(flush(&waker, &mut writer));
        }
    });
}

/// docs/cases.md R19
#[test]
fn dropping_the_stream_says_nothing() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            assert_eq!(done(write(&waker, &mut stream, b"unfinished")), 10);
            assert!(read(&waker, &mut stream, 10).is_pending());
            drop(stream);
            assert!(wire.is_write_dropped() && wire.is_read_dropped());
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"unfinished".to_vec(), Ok(false)));
            assert_eq!((waker.wakes(), waker.live()), (0, 0));
            // To plain rustls the end of the transport is an end in the middle.
            peer.read_tls(&mut io::empty()).unwrap();
            peer.process_new_packets().unwrap();
            let error = io::Read::read(&mut peer.reader(), &mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
    });
}

#[test]
fn halves_of_one_session_reunite_as_they_are() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { stream, wire, mut peer } = peer::meet(version, side);
            let waker = CountingWaker::new();
            let (mut reader, mut writer) = stream.into_split();
            wire.push_data(peer::data(&mut peer, b"hello"));
            assert_eq!(done(read(&waker, &mut reader, 2)), b"he");
            wire.push_write(WriteStep::Pending);
            assert_eq!(done(write(&waker, &mut writer, b"held")), 4);
            assert_eq!(reader.facts().server_name(), Some("localhost"));
            let mut stream = reader.reunite(writer).unwrap();
            assert_eq!(matches!(stream, TlsStream::Client(_)), side == peer::Side::Client);
            assert_eq!(done(read(&waker, &mut stream, 10)), b"llo");
            wire.release_write();
            done(flush(&waker, &mut stream));
            assert_eq!(peer::read_at(&mut peer, &wire.written()), (b"held".to_vec(), Ok(false)));
            // As often as one likes.
            let (reader, writer) = stream.into_split();
            let mut stream = reader.reunite(writer).unwrap();
            wire.push_data(peer::close_notify(&mut peer));
            assert_eq!(done(read(&waker, &mut stream, 10)), b"");
            assert_eq!(stream.received_ending(), Some(&ReceivedEnding::CloseNotify));
        }
    });
}

/// docs/cases.md C07
#[test]
fn halves_of_two_sessions_are_given_back() {
    by_hand(|| {
        let (version, side) = EACH[3];
        let (first, second) = (peer::meet(version, side), peer::meet(version, side));
        let (first_reader, first_writer) = first.stream.into_split();
        let (second_reader, second_writer) = second.stream.into_split();
        let error = first_reader.reunite(second_writer).unwrap_err();
        assert_eq!(error.to_string(), "the two halves are of different sessions");
        let closenotify::ReuniteError(first_reader, second_writer) = error;
        first_reader.reunite(first_writer).unwrap();
        second_reader.reunite(second_writer).unwrap();
    });
}
