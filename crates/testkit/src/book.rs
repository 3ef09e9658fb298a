//! The other end of a session under test: plain rustls, with a book of what it sent and a strict eye on what it gets.
//!
//! It moves no bytes by itself: the test takes them from [`Peer::on_the_way`] and gives it what we wrote.

#![expect(clippy::unwrap_used, reason = "an unwrap here is an assertion")]

use crate::certs::TlsVersion;
use crate::plain::{self, Configs, Side, output_of};
use rustls::Connection;
use std::io::BufRead as _;

/// The byte at a place of the plaintext, in either direction: so that nothing lost, doubled or moved looks right.
#[must_use]
pub fn pattern(from: u64, length: usize) -> Vec<u8> {
    (from..from + length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 29) as u8).collect()
}

/// A thing that the peer has sent, or that came as if it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A record of data; so much plaintext has been sent with it.
    Data(u64),
    /// A KeyUpdate that asks for an answer.
    KeyUpdate,
    /// Its close_notify: what is behind it means nothing.
    CloseNotify,
    /// A fatal alert.
    Alert,
    /// Something that breaks the protocol.
    Violation,
}

/// A line of the book: what was sent, and where on the wire it is whole.
#[derive(Clone, Copy, Debug)]
struct Line {
    sent: Sent,
    whole_at: u64,
    end: u64,
}

/// What a reader is due when so many bytes of the wire have reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// So much plaintext.
    pub plaintext: u64,
    /// The end that it has behind that, if one has come inside TLS; and where on the wire that stood.
    pub end: Option<(Sent, u64)>,
    /// Whether the bytes end between two records.
    pub at_boundary: bool,
    /// How many KeyUpdates were among them.
    pub key_updates: usize,
}

/// The peer.
#[derive(Debug)]
pub struct Peer {
    tls: Connection,
    version: TlsVersion,
    book: Vec<Line>,
    /// Bytes on their way to us.
    pub on_the_way: Vec<u8>,
    sent_bytes: u64,
    sent_plaintext: u64,
    key_updates: usize,
    /// Nothing more comes from it: it has closed, failed, or was made to look so.
    silent: bool,
    /// A part of a record of ours.
    part: Vec<u8>,
    /// How much plaintext of ours it has got.
    pub got: u64,
    /// How many bytes of ours it has got.
    pub got_bytes: u64,
    /// Whether it has seen our close_notify.
    pub closed: bool,
    /// Whether it has seen a fatal alert of ours.
    pub alerted: bool,
    /// It has failed itself and reads no more.
    pub deaf: bool,
}

impl Peer {
    /// The peer of a session in which we are `side`; its handshake is still to be done.
    #[must_use]
    pub fn of(version: TlsVersion, side: Side) -> Self {
        Self {
            tls: Configs::of(version).peer_of(side),
            version,
            book: Vec::new(),
            on_the_way: Vec::new(),
            sent_bytes: 0,
            sent_plaintext: 0,
            key_updates: 0,
            silent: false,
            part: Vec::new(),
            got: 0,
            got_bytes: 0,
            closed: false,
            alerted: false,
            deaf: false,
        }
    }

    /// Takes what our handshake wrote; its answer.
    pub fn shake(&mut self, bytes: &[u8]) -> Vec<u8> {
        plain::feed(&mut self.tls, bytes).unwrap();
        output_of(&mut self.tls)
    }

    /// Sends so many bytes of the [pattern]: they are on the way then. Nothing when it is silent; so of every `send_…`.
    pub fn send_data(&mut self, length: usize) {
        if self.silent {
            return;
        }
        let bytes = plain::data(&mut self.tls, &pattern(self.sent_plaintext, length));
        let end = self.sent_plaintext + length as u64;
        let (mut at, mut rest) = (self.sent_bytes, bytes.as_slice());
        while !rest.is_empty() {
            let (record, others) = rest.split_at(5 + usize::from(u16::from_be_bytes([rest[3], rest[4]])));
            rest = others;
            at += record.len() as u64;
            self.sent_plaintext = end.min(self.sent_plaintext + RECORD_PLAINTEXT);
            self.book.push(Line { sent: Sent::Data(self.sent_plaintext), whole_at: at, end: at });
        }
        assert_eq!(self.sent_plaintext, end);
        self.send_raw(&bytes);
    }

    /// Changes its keys and asks for the same (TLS 1.3), up to 30 times; says whether it did.
    pub fn send_key_update(&mut self) -> bool {
        // rustls puts up with 32 in a row without data between.
        let sends = !self.silent && self.version == TlsVersion::V13 && self.key_updates < 30;
        if sends {
            self.key_updates += 1;
            let bytes = plain::key_update(&mut self.tls);
            self.send_last(Sent::KeyUpdate, &bytes);
        }
        sends
    }

    /// Closes, and is silent then.
    pub fn send_close_notify(&mut self) {
        if !self.silent {
            let bytes = plain::close_notify(&mut self.tls);
            self.send_last(Sent::CloseNotify, &bytes);
            self.silent = true;
        }
    }

    /// A fatal alert: what it says to bytes that are no TLS. It is of no more use then.
    pub fn send_alert(&mut self) {
        if !self.silent && self.part.is_empty() && !self.closed {
            let bytes = plain::fatal_alert(&mut self.tls);
            self.send_last(Sent::Alert, &bytes);
            (self.silent, self.deaf) = (true, true);
        }
    }

    /// Bytes that are not TLS come from its side, which the first of them shows. After its close_notify they mean nothing.
    pub fn send_plain_http(&mut self) {
        let junk = b"HTTP/1.1 400 Bad Request";
        let (whole_at, end) = (self.sent_bytes + 1, self.sent_bytes + junk.len() as u64);
        self.book.push(Line { sent: Sent::Violation, whole_at, end });
        self.send_raw(junk);
        self.silent = true;
    }

    /// A record with a flipped bit.
    pub fn send_broken(&mut self) {
        if !self.silent {
            let bytes = plain::broken(&mut self.tls);
            self.send_last(Sent::Violation, &bytes);
            self.silent = true;
        }
    }

    /// Takes what we wrote, and finds fault with whatever may not be: bytes behind a close_notify or a fatal alert, wrong
    /// plaintext, records that do not open.
    pub fn take(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        assert!(!self.closed, "{} bytes behind our close_notify", bytes.len());
        assert!(!self.alerted, "{} bytes behind our fatal alert", bytes.len());
        self.got_bytes += bytes.len() as u64;
        if self.deaf {
            return;
        }
        self.part.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.part);
        let mut rest = buffer.as_slice();
        while rest.len() >= 5 {
            let length = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            if rest.len() < length {
                break;
            }
            assert!(!self.closed, "a record behind our close_notify");
            assert!(!self.alerted, "a record behind our fatal alert");
            let (record, others) = rest.split_at(length);
            rest = others;
            self.take_record(record);
        }
        self.part = rest.to_vec();
        assert!(!(self.closed || self.alerted) || self.part.is_empty(), "bytes behind our end");
    }

    /// What is due to a reader that has had `bytes` bytes.
    #[must_use]
    pub fn due(&self, bytes: u64) -> Due {
        let mut due = Due { plaintext: 0, end: None, at_boundary: bytes == 0, key_updates: 0 };
        for line in self.book.iter().take_while(|line| line.whole_at <= bytes) {
            due.at_boundary = line.end == bytes;
            match line.sent {
                Sent::Data(plaintext) => due.plaintext = plaintext,
                Sent::KeyUpdate => due.key_updates += 1,
                end @ (Sent::CloseNotify | Sent::Alert | Sent::Violation) => {
                    due.end = Some((end, line.whole_at));
                    break;
                }
            }
        }
        due
    }

    fn take_record(&mut self, record: &[u8]) {
        let mut unread = record;
        while !unread.is_empty() {
            self.tls.read_tls(&mut unread).unwrap();
            match self.tls.process_new_packets() {
                Ok(state) => self.closed |= state.peer_has_closed(),
                Err(rustls::Error::AlertReceived(_)) => (self.alerted, self.silent) = (true, true),
                Err(error) => panic!("a record of ours is refused: {error}"),
            }
        }
        let mut reader = self.tls.reader();
        while let Ok(chunk @ [_, ..]) = reader.fill_buf() {
            assert!(chunk == pattern(self.got, chunk.len()), "wrong bytes from {} on", self.got);
            let length = chunk.len();
            self.got += length as u64;
            reader.consume(length);
        }
    }

    fn send_last(&mut self, sent: Sent, bytes: &[u8]) {
        let end = self.sent_bytes + bytes.len() as u64;
        self.book.push(Line { sent, whole_at: end, end });
        self.send_raw(bytes);
    }

    fn send_raw(&mut self, bytes: &[u8]) {
        self.sent_bytes += bytes.len() as u64;
        self.on_the_way.extend_from_slice(bytes);
    }
}

/// How much plaintext rustls puts into a record.
const RECORD_PLAINTEXT: u64 = 1 << 14;
