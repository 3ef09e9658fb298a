//! What a peer may send, as data that any bytes make, and what must hold whatever it is.

use crate::peer::{self, Configs, Forge, Met, Side};
use bytes::BytesMut;
use closenotify_core::{HandshakeError, Progress, Read, ReceivedEnding, SendError, SentEnding, TransportEnd};
use rustls::{ContentType, Error};
use std::io::IoSlice;
use testkit::certs::TlsVersion;

/// A piece of what arrives.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Any bytes.
    Raw(Vec<u8>),
    /// Any bytes after a header that fits them.
    Record(u8, Vec<u8>),
    /// Any payload of any type, sealed with the peer's keys.
    Sealed(u8, Vec<u8>),
    /// Sealed data in which a byte is another.
    Mutated(Vec<u8>),
}

impl Piece {
    /// Any number and any bytes are a piece.
    pub(crate) fn of(kind: u8, payload: &[u8]) -> Self {
        let payload = payload.to_vec();
        match kind % 16 {
            0 => Self::Raw(payload),
            1 => Self::Record(20 + kind / 16 % 5, payload),
            2 => Self::Mutated(payload),
            3..=8 => Self::Sealed(23, payload),
            9..=10 => Self::Sealed(21, payload),
            11..=12 => Self::Sealed(22, payload),
            13 => Self::Sealed(20, payload),
            14 => Self::Sealed(24, payload),
            _ => Self::Sealed(kind, payload),
        }
    }

    fn bytes(&self, forge: &mut Forge) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Record(typ, payload) => {
                [&[*typ, 3, 3], &(payload.len() as u16).to_be_bytes()[..], payload.as_slice()].concat()
            }
            Self::Sealed(typ, payload) => forge.record(ContentType::from(*typ), payload),
            Self::Mutated(payload) => {
                let mut record = forge.record(ContentType::ApplicationData, payload);
                let at = payload.first().map_or(0, |byte| usize::from(*byte) % record.len());
                record[at] ^= payload.last().copied().unwrap_or_default() | 1;
                record
            }
        }
    }
}

/// Feeds the pieces to a receiver, cut and read in steps of these sizes, taken in turn.
pub(crate) fn receive(version: TlsVersion, side: Side, closed_first: bool, pieces: &[Piece], steps: &[u8]) {
    let Met { mut ours, peer, mut input } = peer::meet(version, side);
    let mut output = BytesMut::new();
    let mut sender = Some(ours.sender);
    if closed_first && let Some(sender) = sender.take() {
        assert_eq!(sender.close(&mut output), SentEnding::CloseNotify);
        output.clear();
    }
    let mut forge = Forge::new(peer);
    let (mut sent, mut closes) = (Vec::new(), false);
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend(piece.bytes(&mut forge));
        match piece {
            // A receiver of TLS 1.3 ignores the version in a header, so a mutated record may open.
            Piece::Sealed(23, payload) | Piece::Mutated(payload) => sent.extend_from_slice(payload),
            Piece::Sealed(21, payload) => closes |= payload.last() == Some(&0),
            _ => {}
        }
    }
    let mut steps = steps.iter().map(|step| 1 + usize::from(*step) * usize::from(*step)).cycle();
    let (mut rest, mut plaintext, mut last) = (bytes.as_slice(), Vec::new(), Read::NeedInput);
    while last != Read::Ended && !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(steps.next().unwrap_or(usize::MAX)));
        rest = later;
        input.extend_from_slice(now);
        let (read, owed) = peer::read_all(&mut ours.receiver, &mut input, steps.next().unwrap_or(1000), &mut plaintext);
        last = read;
        assert_eq!(last == Read::Ended, ours.receiver.ending().is_some());
        if let Some(sender) = &mut sender {
            let before = output.len();
            sender.take_owed(owed, &mut output);
            let silent = matches!(ours.receiver.ending(), Some(ReceivedEnding::Alert(_)));
            assert!(silent || owed.is_nothing() == (output.len() == before), "{owed:?}");
        }
    }
    ours.receiver.transport_ended(TransportEnd::Eof, &input);
    let ending = ours.receiver.ending().cloned().expect("the end was reported");
    ours.receiver.transport_ended(TransportEnd::Reset, &input);
    assert_eq!(peer::read_all(&mut ours.receiver, &mut input, 10, &mut plaintext).0, Read::Ended);
    assert_eq!(ours.receiver.ending(), Some(&ending));
    assert!(sent.starts_with(&plaintext), "plaintext that was never sent");
    match &ending {
        ReceivedEnding::CloseNotify => assert!(closes, "a close_notify that was never sent"),
        ReceivedEnding::Violation(violation) => {
            let source = std::error::Error::source(violation).and_then(|source| source.downcast_ref::<Error>());
            assert!(source.is_none_or(blames_the_peer), "{violation:?}");
        }
        ReceivedEnding::Alert(_) | ReceivedEnding::Truncated { .. } => {}
        other => panic!("{other:?}"),
    }
    let Some(mut sender) = sender else { return };
    let over = matches!(ending, ReceivedEnding::Alert(_) | ReceivedEnding::Violation(_));
    let written = sender.write(&[IoSlice::new(b"more")], &mut output);
    assert_eq!(written, if over { Err(SendError::SessionOver) } else { Ok(4) });
    assert_eq!(sender.close(&mut output) == SentEnding::CloseNotify, !over);
}

/// A change to a flight: kind, place, value.
pub(crate) type Edit = (u8, u16, u8);

/// A handshake whose flight number `stage` is changed, and cut in steps of these sizes.
pub(crate) fn shake(version: TlsVersion, side: Side, stage: u8, edits: &[Edit], steps: &[u8]) {
    let configs = Configs::of(version);
    let (mut ours, mut peer) = peer::start(configs.server.clone(), configs.client.clone(), side);
    let mut steps = steps.iter().map(|step| 1 + usize::from(*step)).cycle();
    let mut input = BytesMut::new();
    for round in 0..4 {
        let mut output = BytesMut::new();
        match ours.advance(&mut input) {
            Ok(Progress::Complete) => {
                ours.take_output(&mut output);
                let _ = peer::feed(&mut peer, &output);
                let mut session = ours.into_session();
                let _ = peer::read(&mut session, &mut input);
                return;
            }
            Ok(Progress::NeedInput) => {}
            Err(error) => return check(&error),
        }
        ours.take_output(&mut output);
        // The peer may reject our response to a changed flight.
        let _ = peer::feed(&mut peer, &output);
        let mut flight = peer::output_of(&mut peer);
        if round == stage % 2 {
            edits.iter().for_each(|edit| change(&mut flight, *edit));
        }
        let mut rest = flight.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(steps.next().unwrap_or(usize::MAX)));
            rest = later;
            input.extend_from_slice(now);
            match ours.advance(&mut input) {
                Ok(Progress::NeedInput) => {}
                // The rest is the session's.
                Ok(Progress::Complete) => input.extend_from_slice(std::mem::take(&mut rest)),
                Err(error) => {
                    check(&error);
                    ours.take_output(&mut output);
                    // The error stays, whatever comes.
                    input.extend_from_slice(b"more");
                    let _ = ours.advance(&mut input);
                    return;
                }
            }
        }
    }
    check(&ours.transport_ended(TransportEnd::Eof, &input));
}

fn check(error: &HandshakeError) {
    if let HandshakeError::Refused(error) = error {
        assert!(blames_the_peer(error), "{error:?}");
    }
}

fn change(flight: &mut Vec<u8>, (kind, at, value): Edit) {
    if flight.is_empty() {
        return;
    }
    let at = usize::from(at) % flight.len();
    match kind % 6 {
        0 => flight[at] ^= 1 << (value % 8),
        1 => flight[at] = value,
        2 => flight.insert(at, value),
        3 => drop(flight.drain(at..(at + 1 + usize::from(value)).min(flight.len()))),
        4 => flight.truncate(at),
        _ => {
            // A record doubled, anywhere between the others.
            let mut records: Vec<Vec<u8>> = peer::records(flight).into_iter().map(<[u8]>::to_vec).collect();
            let record = records[at % records.len()].clone();
            records.insert(usize::from(value) % (records.len() + 1), record);
            *flight = records.concat();
        }
    }
}

/// Whether the TLS library's error blames the peer.
fn blames_the_peer(error: &Error) -> bool {
    // The error of rustls for a client of TLS 1.2 that offers no way to sign with the server's key.
    let no_common_signature = Error::General("incompatible signing key".to_owned());
    *error == no_common_signature
        || matches!(
            error,
            Error::InappropriateMessage { .. }
                | Error::InappropriateHandshakeMessage { .. }
                | Error::InvalidEncryptedClientHello(_)
                | Error::InvalidMessage(_)
                | Error::NoCertificatesPresented
                | Error::UnsupportedNameType
                | Error::DecryptError
                | Error::PeerIncompatible(_)
                | Error::PeerMisbehaved(_)
                | Error::AlertReceived(_)
                | Error::InvalidCertificate(_)
                | Error::InvalidCertRevocationList(_)
                | Error::PeerSentOversizedRecord
                | Error::NoApplicationProtocol
        )
}
