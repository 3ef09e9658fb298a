//! Lists of operations on the two halves against a naive model: two counts of bytes, and an end each way.

use crate::drawn::hold;
use bytes::BytesMut;
use closenotify_core::{
    Handshake, Progress, Read, ReceivedEnding, Receiver, SendError, Sender, SenderOwes, SentEnding, Session,
    TransportEnd, TruncatedAt, WRITE_MAX,
};
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use std::io::IoSlice;
use testkit::book::{Peer, Sent, pattern};
use testkit::certs::TlsVersion;
use testkit::plain::{Configs, EACH, Side};

#[derive(Clone, Copy, Debug)]
enum Operation {
    Read(usize),
    Write(usize),
    TakeOwed,
    Close,
    DropSender,
    PeerData(usize),
    PeerKeyUpdate,
    PeerClose,
    PeerAlert,
    PeerPlainHttp,
    PeerBroken,
    Arrive(usize),
    Ended(TransportEnd),
}

fn operations() -> impl Strategy<Value = Operation> {
    let size = || prop_oneof![8 => 1..200_usize, 2 => 1..5_000_usize, 1 => 1..30_000_usize];
    prop_oneof![
        10 => size().prop_map(Operation::Read),
        8 => size().prop_map(Operation::Write),
        2 => Just(Operation::TakeOwed),
        1 => Just(Operation::Close),
        1 => Just(Operation::DropSender),
        8 => size().prop_map(Operation::PeerData),
        3 => Just(Operation::PeerKeyUpdate),
        1 => prop_oneof![
            3 => Just(Operation::PeerClose),
            1 => Just(Operation::PeerAlert),
            1 => Just(Operation::PeerPlainHttp),
            1 => Just(Operation::PeerBroken),
            1 => Just(Operation::Ended(TransportEnd::Reset)),
            1 => Just(Operation::Ended(TransportEnd::Eof)),
        ],
        12 => size().prop_map(Operation::Arrive),
    ]
}

struct World {
    receiver: Receiver,
    sender: Option<Sender>,
    peer: Peer,
    input: BytesMut,
    arrived: u64,
    got: u64,
    written: u64,
    /// What is owed and not taken yet.
    owed: SenderOwes,
    /// What the receiver returned last.
    last: Option<Read>,
    ending: Option<ReceivedEnding>,
}

impl World {
    fn new(version: TlsVersion, side: Side) -> Self {
        let configs = Configs::of(version);
        let mut peer = Peer::of(version, side);
        let mut ours = match side {
            Side::Client => Handshake::client(configs.client.clone(), "localhost".try_into().unwrap()).unwrap(),
            Side::Server => Handshake::server(configs.server.clone()).unwrap(),
        };
        let mut input = BytesMut::new();
        loop {
            let progress = ours.advance(&mut input).unwrap();
            let mut output = BytesMut::new();
            ours.take_output(&mut output);
            input.extend_from_slice(&peer.shake(&output));
            if progress == Progress::Complete {
                break;
            }
        }
        assert!(input.is_empty());
        let Session { receiver, sender, .. } = ours.into_session();
        Self {
            receiver,
            sender: Some(sender),
            peer,
            input,
            arrived: 0,
            got: 0,
            written: 0,
            owed: SenderOwes::default(),
            last: None,
            ending: None,
        }
    }

    fn apply(&mut self, operation: Operation) {
        let mut output = BytesMut::new();
        match operation {
            Operation::Read(size) => self.read(size),
            Operation::Write(size) => {
                let failed = self.failed();
                let Some(sender) = &mut self.sender else { return };
                // What is owed goes first (RFC 9846 section 4.7.3).
                sender.take_owed(std::mem::take(&mut self.owed), &mut output);
                self.peer.take(&output.split());
                let bytes = pattern(self.written, size);
                let (front, back) = bytes.split_at(size / 3);
                match sender.write(&[IoSlice::new(front), IoSlice::new(back)], &mut output) {
                    Ok(taken) => {
                        assert!(!failed && taken == size.min(WRITE_MAX), "{taken} of {size} taken");
                        self.written += taken as u64;
                    }
                    Err(error) => {
                        assert!(failed && error == SendError::SessionOver, "{error:?}");
                        assert!(output.is_empty());
                    }
                }
            }
            Operation::TakeOwed => {
                if let Some(sender) = &mut self.sender {
                    let owed = std::mem::take(&mut self.owed);
                    sender.take_owed(owed, &mut output);
                    let silent = matches!(self.receiver.ending(), Some(ReceivedEnding::Alert(_)));
                    assert!(silent || output.is_empty() == owed.is_nothing(), "{owed:?}");
                }
            }
            Operation::Close => {
                let failed = self.failed();
                if let Some(mut sender) = self.sender.take() {
                    sender.take_owed(std::mem::take(&mut self.owed), &mut output);
                    let ending = sender.close(&mut output);
                    assert_eq!(ending != SentEnding::CloseNotify, failed, "{ending:?}");
                    self.peer.take(&output.split());
                    assert!(self.peer.deaf || self.peer.closed == ending.is_clean());
                    assert!(self.peer.deaf || self.peer.got == self.written);
                }
            }
            Operation::DropSender => self.sender = None,
            Operation::PeerData(size) => self.peer.send_data(size),
            Operation::PeerKeyUpdate => drop(self.peer.send_key_update()),
            Operation::PeerClose => self.peer.send_close_notify(),
            Operation::PeerAlert => self.peer.send_alert(),
            Operation::PeerPlainHttp => self.peer.send_plain_http(),
            Operation::PeerBroken => self.peer.send_broken(),
            Operation::Arrive(size) => {
                let size = size.min(self.peer.on_the_way.len());
                self.input.extend_from_slice(&self.peer.on_the_way[..size]);
                self.peer.on_the_way.drain(..size);
                self.arrived += size as u64;
            }
            Operation::Ended(end) => {
                // As documented: after a read has returned NeedInput.
                while !matches!(self.last, Some(Read::NeedInput | Read::Ended)) {
                    self.read(50_000);
                }
                let before = self.receiver.ending().cloned();
                self.receiver.transport_ended(end, &self.input);
                let at_boundary = self.peer.due(self.arrived).at_boundary;
                let at = if at_boundary { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord };
                let due =
                    if end == TransportEnd::Reset { ReceivedEnding::Reset } else { ReceivedEnding::Truncated { at } };
                assert_eq!(self.receiver.ending(), before.as_ref().or(Some(&due)));
            }
        }
        self.peer.take(&output);
        assert!(self.peer.deaf || self.peer.got == self.written, "what was written is at the peer");
        let ending = self.receiver.ending().cloned();
        if self.ending.is_some() {
            assert_eq!(ending, self.ending, "the ending changed");
        }
        self.ending = ending;
        if !matches!(operation, Operation::Read(_) | Operation::Ended(_)) {
            self.last = None;
        }
    }

    fn read(&mut self, size: usize) {
        let due = self.peer.due(self.arrived);
        let mut buffer = vec![0; size];
        let mut room = &mut buffer[..];
        let (read, owes) = self.receiver.read(&mut self.input, &mut room);
        let length = size - room.len();
        match read {
            Read::Data(returned) => {
                assert!(returned == length && length > 0);
                assert!(buffer[..length] == pattern(self.got, length), "wrong bytes from {} on", self.got);
                self.got += length as u64;
                assert!(self.got <= due.plaintext);
                // A read gives all that there is, up to its room.
                assert!(length == size || self.got == due.plaintext, "{length} of {size} bytes");
            }
            Read::NeedInput => {
                assert_eq!((length, self.got, due.end), (0, due.plaintext, None));
                assert_eq!(self.receiver.ending(), None);
            }
            Read::Ended => {
                assert_eq!((length, self.got), (0, due.plaintext));
                match (self.receiver.ending().unwrap(), due.end) {
                    (ReceivedEnding::CloseNotify, Some((Sent::CloseNotify, at))) => {
                        assert_eq!(
                            self.input.len() as u64,
                            self.arrived - at,
                            "a byte after the close_notify is consumed"
                        );
                    }
                    (ReceivedEnding::Alert(_), Some((Sent::Alert, _))) => {}
                    (ReceivedEnding::Violation(_), Some((Sent::Violation, _))) => {}
                    // Looked at when it came.
                    (ReceivedEnding::Truncated { .. } | ReceivedEnding::Reset, None) => {}
                    (ending, due) => panic!("{ending:?} where {due:?} was due"),
                }
            }
        }
        // Sooner or later: a sender that is gone owes nothing.
        self.owed.merge(owes);
        if self.sender.is_none() {
            self.owed = SenderOwes::default();
        }
        self.last = Some(read);
    }

    /// Whether the receiver has met what ends both halves.
    fn failed(&self) -> bool {
        matches!(self.receiver.ending(), Some(ReceivedEnding::Alert(_) | ReceivedEnding::Violation(_)))
    }
}

/// docs/cases.md L19
#[test]
fn lists_of_operations_on_the_halves_hold_to_the_model() {
    let cases = (0..EACH.len(), proptest::collection::vec(operations(), 0..120), any::<bool>());
    hold(500, &cases, |(session, operations, finish)| {
        let (version, side) = EACH[session];
        let mut world = World::new(version, side);
        for operation in operations {
            let over = matches!(world.ending, Some(ReceivedEnding::Truncated { .. } | ReceivedEnding::Reset));
            // Nothing arrives after the transport's end.
            if !(over && matches!(operation, Operation::Arrive(_))) {
                world.apply(operation);
            }
        }
        if finish && world.ending.is_none() {
            world.peer.send_close_notify();
            world.apply(Operation::Arrive(usize::MAX));
            world.apply(Operation::Ended(TransportEnd::Eof));
            assert!(!matches!(world.ending, None | Some(ReceivedEnding::Truncated { .. })), "{:?}", world.ending);
        }
    });
}
