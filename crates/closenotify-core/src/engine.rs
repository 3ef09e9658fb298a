//! The engine seam: the one file that names the connection types of the TLS library.
//!
//! The library performs the handshake, one record at a time and in place. Then it hands out the keys of both directions, and
//! the [object](Kernel) that derives the next ones. There is no policy here: limits, the meaning of an end and the choice of
//! an alert belong to the other modules.

use crate::alert::AlertDescription;
use crate::capture::Captured;
use crate::exporter::Exporter;
use crate::facts::SessionFacts;
use crate::gate::Phase;
use crate::kernel::Kernel;
use crate::limits::HELLO_MAX;
use crate::record::{ALERT, CHANGE_CIPHER_SPEC};
#[cfg(feature = "early-data")]
use crate::sender::fragment;
use crate::setup::{ClientSetup, ServerSetup};
use crate::violation::correct_alert;
use crate::wire::FirstMessage;
use bytes::BytesMut;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
#[cfg(feature = "early-data")]
use rustls::unbuffered::EncryptError;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, ReadEarlyData, UnbufferedStatus};
use rustls::{
    ClientConfig, CommonState, ConnectionTrafficSecrets, Error, HandshakeKind, PeerIncompatible, PeerMisbehaved,
    ProtocolVersion, ServerConfig, Side, SupportedCipherSuite,
};
use std::sync::Arc;

/// A session before its handshake is complete.
pub(crate) struct HandshakeEngine {
    connection: Connection,
    captured: Captured,
    /// The server name that a client asks for; a server reads it from the ClientHello.
    asked_for: Option<String>,
    /// Fields of the peer's first message, and of ours.
    theirs: FirstMessage,
    ours: FirstMessage,
    /// The longest record that we send, including its header.
    record_max: Option<usize>,
    /// Records that the library has seen and still needs: an incomplete message.
    held: Vec<u8>,
    /// The most bytes that are held.
    held_max: usize,
    /// Whether the held bytes are known not to belong to a message.
    idle: bool,
    /// Whether we sent a change_cipher_spec: in TLS 1.2 everything after it is encrypted.
    changed: bool,
    #[cfg(feature = "early-data")]
    early: Early,
}

enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// The state of early data.
#[cfg(feature = "early-data")]
#[derive(Default)]
struct Early {
    /// What a server has received and its caller has not read.
    received: BytesMut,
    /// How many bytes of it a client has sent, or a server has received.
    bytes: u64,
    /// Whether the server accepted it.
    accepted: bool,
    /// At a client that has sent early data, the length of the record that ends it if it is accepted.
    end_length: Option<usize>,
    /// Whether a server may write before the client has finished.
    half_rtt: bool,
}

/// The result of a complete handshake.
pub(crate) struct Agreed {
    pub(crate) suite: SupportedCipherSuite,
    pub(crate) side: Side,
    pub(crate) sending: (u64, ConnectionTrafficSecrets),
    pub(crate) receiving: (u64, ConnectionTrafficSecrets),
    /// Only in TLS 1.3.
    pub(crate) kernel: Option<Kernel>,
    pub(crate) record_max: Option<usize>,
    pub(crate) exporter: Exporter,
    pub(crate) facts: SessionFacts,
    #[cfg(feature = "early-data")]
    pub(crate) early: BytesMut,
}

impl HandshakeEngine {
    /// A client; its ClientHello is appended to `output`.
    pub(crate) fn client(setup: &ClientSetup, name: ServerName<'static>, output: &mut BytesMut) -> Result<Self, Error> {
        let mut engine = Self::new_client(setup.plain(), name)?;
        engine.work(&mut [], output).1?;
        Ok(engine)
    }

    fn new_client(config: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let (asked_for, record_max) = (Some(name.to_str().into_owned()), config.max_fragment_size);
        let mut captured = Captured::default();
        let connection = captured.during(|| UnbufferedClientConnection::new(config.clone(), name))?;
        Ok(Self::new(Connection::Client(connection), captured, asked_for, record_max))
    }

    /// A server that accepts no early data.
    pub(crate) fn server(setup: &ServerSetup) -> Result<Self, Error> {
        Self::new_server(setup.plain())
    }

    fn new_server(config: &Arc<ServerConfig>) -> Result<Self, Error> {
        let record_max = config.max_fragment_size;
        let connection = Connection::Server(UnbufferedServerConnection::new(config.clone())?);
        let mut engine = Self::new(connection, Captured::default(), None, record_max);
        // Rejected early data is skipped, up to this limit, and held until the handshake continues.
        let skipped = usize::try_from(config.max_early_data_size).unwrap_or(usize::MAX).max(SKIPPED_AT_NONE);
        engine.held_max = HELLO_MAX.saturating_add(skipped);
        #[cfg(feature = "early-data")]
        let engine = {
            let half_rtt = config.send_half_rtt_data;
            Self { early: Early { half_rtt, ..Early::default() }, ..engine }
        };
        Ok(engine)
    }

    fn new(connection: Connection, captured: Captured, asked_for: Option<String>, record_max: Option<usize>) -> Self {
        Self {
            connection,
            captured,
            asked_for,
            theirs: FirstMessage::default(),
            ours: FirstMessage::default(),
            record_max,
            held: Vec::new(),
            held_max: HELLO_MAX,
            idle: false,
            changed: false,
            #[cfg(feature = "early-data")]
            early: Early::default(),
        }
    }

    /// The phase of the handshake.
    pub(crate) fn phase(&self) -> Phase {
        match self.common().protocol_version() {
            None => Phase::Open,
            Some(ProtocolVersion::TLSv1_3) if self.captured.handshake_keys => Phase::Keyed,
            Some(ProtocolVersion::TLSv1_3) => Phase::Retried,
            Some(_) => Phase::Tls12,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        !self.common().is_handshaking()
    }

    /// Processes one record in place and appends the response to `output`. An error comes with whether an alert was
    /// appended.
    pub(crate) fn open(&mut self, record: &mut [u8], output: &mut BytesMut) -> Result<(), (Error, bool)> {
        self.theirs.look(record);
        if matches!(self.connection, Connection::Server(_)) && self.theirs.found().is_too_old {
            return Err((PeerIncompatible::Tls12NotOffered.into(), false));
        }
        let before = self.held.len();
        if before > 0 && record.len() > self.held_max - before {
            return Err((rustls::InvalidMessage::HandshakePayloadTooLarge.into(), false));
        }
        let mut held = std::mem::take(&mut self.held);
        let (done, worked) = if before == 0 {
            self.work(record, output)
        } else {
            grow(&mut held, record);
            self.work(&mut held, output)
        };
        self.idle = worked == Err(PeerMisbehaved::TooManyEmptyFragments.into());
        let keep = match &worked {
            Err(error) if is_of_record(error) => before,
            _ => before + record.len(),
        };
        // Almost always nothing is kept: the record is done.
        if keep > done {
            if before == 0 {
                grow(&mut held, &record[done..]);
            } else {
                held.truncate(keep);
                held.drain(..done);
            }
            self.held = held;
        }
        worked.map_err(|error| {
            // A peer that closes gets no reply, although the library makes one.
            let closed = error == Error::AlertReceived(rustls::AlertDescription::CloseNotify);
            let alerted = !closed && self.take_alert(output);
            if alerted && !self.changed {
                correct_alert(&error, self.theirs.found().is_incomplete, output);
            }
            (error, alerted)
        })
    }

    /// Sends a fatal alert about a record that was not [processed](Self::open).
    ///
    /// In plaintext it sends `alert`. Once we encrypt, only the library can send an alert, and only for errors of its own. So
    /// it gets a record that makes it send `unexpected_message`, or else `decode_error`. No such record exists for the
    /// other alerts, nor for `unexpected_message` inside an incomplete message.
    pub(crate) fn alert(&mut self, alert: AlertDescription, output: &mut BytesMut) {
        let sealed = match self.phase() {
            Phase::Open => self.sends_early(),
            Phase::Tls12 => self.changed,
            // The library knows whether what it sends is sealed already.
            Phase::Retried | Phase::Keyed => true,
        };
        if !sealed {
            output.extend_from_slice(&[ALERT, 3, 3, 0, 2, FATAL, alert.code()]);
            return;
        }
        let aligned = self.held.is_empty() || self.idle;
        let change = alert == AlertDescription::UNEXPECTED_MESSAGE && self.phase() != Phase::Tls12;
        if change && aligned && self.provoke(&[CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 0], output) {
            return;
        }
        let _ = self.provoke(&[ALERT, 3, 3, 0xff, 0xff], output);
    }

    /// Passes the library a record to which it must respond with an alert; returns whether it did.
    fn provoke(&mut self, record: &[u8], output: &mut BytesMut) -> bool {
        let mut held = std::mem::take(&mut self.held);
        let before = held.len();
        held.extend_from_slice(record);
        let (done, _) = self.work(&mut held, output);
        // Keep what the library still points into, in case there is another attempt.
        held.truncate(before.max(done));
        held.drain(..done);
        self.held = held;
        self.take_alert(output)
    }

    /// Whether a client encrypts with the keys of early data.
    fn sends_early(&self) -> bool {
        #[cfg(feature = "early-data")]
        return self.early.end_length.is_some();
        #[cfg(not(feature = "early-data"))]
        false
    }

    /// What is negotiated so far.
    pub(crate) fn facts(&self) -> SessionFacts {
        let common = self.common();
        SessionFacts {
            version: common.protocol_version().unwrap_or(ProtocolVersion::Unknown(0)),
            cipher_suite: common
                .negotiated_cipher_suite()
                .map_or(rustls::CipherSuite::Unknown(0), |suite| suite.suite()),
            alpn: common.alpn_protocol().map(<[u8]>::to_vec),
            server_name: match &self.connection {
                Connection::Client(_) => self.asked_for.clone(),
                Connection::Server(_) => self.theirs.found().server_name.clone(),
            },
            peer_certificates: common.peer_certificates().unwrap_or_default().to_vec(),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            #[cfg(feature = "early-data")]
            early_data: self.early.accepted.then_some(self.early.bytes),
            #[cfg(not(feature = "early-data"))]
            early_data: None,
        }
    }

    /// Whether there are bytes of an incomplete message.
    pub(crate) fn is_inside_message(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the session out of a [complete](Self::is_complete) handshake; `None` if the crypto provider does not hand out its
    /// keys.
    pub(crate) fn agreed(self) -> Option<Agreed> {
        let facts = self.facts();
        let server_random = self.theirs.found().server_random.or(self.ours.found().server_random);
        let suite = self.common().negotiated_cipher_suite()?;
        let (side, secrets, kernel) = match self.connection {
            Connection::Client(client) => {
                let (secrets, kernel) = client.dangerous_into_kernel_connection().ok()?;
                (Side::Client, secrets, Kernel::from(kernel))
            }
            Connection::Server(server) => {
                let (secrets, kernel) = server.dangerous_into_kernel_connection().ok()?;
                (Side::Server, secrets, Kernel::from(kernel))
            }
        };
        Some(Agreed {
            suite,
            side,
            sending: secrets.tx,
            receiving: secrets.rx,
            kernel: matches!(suite, SupportedCipherSuite::Tls13(_)).then_some(kernel),
            record_max: self.record_max,
            exporter: Exporter::new(suite, self.captured, server_random),
            facts,
            #[cfg(feature = "early-data")]
            early: self.early.received,
        })
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Client(client) => client,
            Connection::Server(server) => server,
        }
    }

    /// Lets the library process `incoming`; returns how many bytes of it are done, also on an error.
    fn work(&mut self, incoming: &mut [u8], output: &mut BytesMut) -> (usize, Result<(), Error>) {
        let mut done = 0;
        loop {
            let rest = &mut incoming[done..];
            let (discard, again) = match &mut self.connection {
                Connection::Client(client) => {
                    let UnbufferedStatus { discard, state } = self.captured.during(|| client.process_tls_records(rest));
                    let again = state.map(|state| {
                        follow(state, |record| {
                            self.changed |= record[0] == CHANGE_CIPHER_SPEC;
                            #[cfg(feature = "early-data")]
                            self.early.look_for_end(record);
                            output.extend_from_slice(record);
                        })
                    });
                    (discard, again)
                }
                Connection::Server(server) => {
                    let UnbufferedStatus { discard, state } = self.captured.during(|| server.process_tls_records(rest));
                    let again = state.map(|state| match state {
                        ConnectionState::ReadEarlyData(early) => {
                            #[cfg(feature = "early-data")]
                            self.early.receive(early);
                            #[cfg(not(feature = "early-data"))]
                            discard_early(early);
                            true
                        }
                        state => follow(state, |record| {
                            self.changed |= record[0] == CHANGE_CIPHER_SPEC;
                            self.ours.look(record);
                            output.extend_from_slice(record);
                        }),
                    });
                    (discard, again)
                }
            };
            done += discard;
            match again {
                Ok(true) => {}
                Ok(false) => return (done, Ok(())),
                Err(error) => return (done, Err(error)),
            }
        }
    }

    /// Appends what the library still has to send after an error, and returns whether that ends with an alert.
    fn take_alert(&mut self, output: &mut BytesMut) -> bool {
        let mut alerted = false;
        // It sends before it reads its input. The input must be empty, because the library is in an error state.
        while self.common().wants_write() {
            let last = output.len();
            let took = match &mut self.connection {
                Connection::Client(client) => match client.process_tls_records(&mut []).state {
                    Ok(ConnectionState::EncodeTlsData(data)) => encode(data, |record| output.extend_from_slice(record)),
                    _ => break,
                },
                Connection::Server(server) => match server.process_tls_records(&mut []).state {
                    Ok(ConnectionState::ReadEarlyData(mut early)) => {
                        while early.next_record().is_some() {}
                        continue;
                    }
                    Ok(ConnectionState::EncodeTlsData(data)) => encode(data, |record| output.extend_from_slice(record)),
                    _ => break,
                },
            };
            if !took {
                break;
            }
            alerted = is_alert(&output[last..]);
        }
        alerted
    }
}

/// Does what a state of the library requires; returns whether to call the library again.
fn follow<Data>(state: ConnectionState<'_, '_, Data>, mut send: impl FnMut(&[u8])) -> bool {
    match state {
        ConnectionState::EncodeTlsData(data) => encode(data, &mut send),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            true
        }
        // The library rejects application data before the handshake is complete, so there is none.
        ConnectionState::ReadTraffic(mut traffic) => {
            while traffic.next_record().is_some() {}
            true
        }
        _ => false,
    }
}

/// Takes one record that the library wants to send; `false` if there is none.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, mut send: impl FnMut(&[u8])) -> bool {
    let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) else { return false };
    let mut record = vec![0; size.required_size];
    let Ok(_) = data.encode(&mut record) else { return false };
    send(&record);
    true
}

/// Whether an error is about the record only, and the library has processed nothing of it.
fn is_of_record(error: &Error) -> bool {
    matches!(
        error,
        Error::PeerMisbehaved(
            PeerMisbehaved::IllegalTlsInnerPlaintext
                | PeerMisbehaved::MessageInterleavedWithHandshakeMessage
                | PeerMisbehaved::RejectedEarlyDataInterleavedWithHandshakeMessage
                | PeerMisbehaved::TooManyEmptyFragments
        )
    )
}

/// Whether a record of ours is an alert. Encrypted in TLS 1.3, it is recognized by its length, which no message has.
fn is_alert(record: &[u8]) -> bool {
    record.first() == Some(&ALERT) || record.len() == 5 + 2 + 1 + 16
}

/// Early data, at both sides.
#[cfg(feature = "early-data")]
impl HandshakeEngine {
    /// A client that sends bytes from the front of `early` after its ClientHello, as far as the server's ticket allows: one
    /// record, small enough that [its rejection does not fail the handshake](unfailing). Also returns how many bytes were taken,
    /// 0 without such a ticket.
    pub(crate) fn client_early(
        setup: &ClientSetup,
        name: ServerName<'static>,
        early: &[u8],
        output: &mut BytesMut,
    ) -> Result<(Self, usize), Error> {
        let mut engine = Self::new_client(setup.early(), name)?;
        let fragment = fragment(engine.record_max);
        let Connection::Client(client) = &mut engine.connection else { return Ok((engine, 0)) };
        let mut taken = 0;
        loop {
            let UnbufferedStatus { state, .. } = engine.captured.during(|| client.process_tls_records(&mut []));
            match state? {
                ConnectionState::TransmitTlsData(mut data) => {
                    if let Some(mut sending) = data.may_encrypt_early_data() {
                        let most = early.len().min(fragment);
                        let sealed = seal_early(|plaintext, record| sending.encrypt(plaintext, record), &early[..most]);
                        if let Some((record, length, overhead)) = sealed {
                            output.extend_from_slice(&record);
                            taken = length;
                            engine.early.end_length = Some(overhead + END_OF_EARLY_DATA);
                        }
                    }
                    data.done();
                }
                state => {
                    if !follow(state, |record| output.extend_from_slice(record)) {
                        break;
                    }
                }
            }
        }
        engine.early.bytes = taken as u64;
        Ok((engine, taken))
    }

    /// A server that accepts early data as far as its configuration allows.
    pub(crate) fn server_early(setup: &ServerSetup) -> Result<Self, Error> {
        Self::new_server(setup.early())
    }

    /// Whether early data was accepted; at a server, whether any has arrived.
    pub(crate) fn early_accepted(&self) -> bool {
        self.early.accepted
    }

    /// Moves a server's early data to `out`, as far as there is room; returns how many bytes.
    pub(crate) fn take_early(&mut self, out: &mut impl bytes::BufMut) -> usize {
        let received = &mut self.early.received;
        let length = received.len().min(out.remaining_mut());
        if length > 0 {
            out.put_slice(&received.split_to(length));
            if received.is_empty() {
                *received = BytesMut::new();
            }
        }
        length
    }

    /// Encrypts what a server sends before the client has finished; `None` if it may not send yet.
    pub(crate) fn seal_half_rtt(&mut self, plaintext: &[u8], output: &mut BytesMut) -> Option<usize> {
        // A session that accepts early data is a resumed one, which never requests a client certificate.
        if !(self.early.half_rtt && self.early.accepted) {
            return None;
        }
        let Connection::Server(server) = &mut self.connection else { return None };
        let UnbufferedStatus { state, .. } = self.captured.during(|| server.process_tls_records(&mut self.held));
        let Ok(ConnectionState::WriteTraffic(mut writing)) = state else { return None };
        let size = match writing.encrypt(plaintext, &mut []) {
            Err(EncryptError::InsufficientSize(size)) => size.required_size,
            Ok(_) => return Some(0),
            Err(_) => return None,
        };
        let at = output.len();
        output.resize(at + size, 0);
        match writing.encrypt(plaintext, &mut output[at..]) {
            Ok(length) => {
                output.truncate(at + length);
                Some(plaintext.len())
            }
            Err(_) => {
                output.truncate(at);
                None
            }
        }
    }
}

#[cfg(feature = "early-data")]
impl Early {
    fn receive(&mut self, mut early: ReadEarlyData<'_, '_, rustls::server::ServerConnectionData>) {
        self.accepted = true;
        while let Some(Ok(record)) = early.next_record() {
            self.received.extend_from_slice(record.payload);
            self.bytes += record.payload.len() as u64;
        }
    }

    /// Looks for the EndOfEarlyData among a client's records. It is the first encrypted record after the early data, and is
    /// sent only if the server accepted that (RFC 9846 section 4.6). A Finished or a Certificate is longer.
    fn look_for_end(&mut self, record: &[u8]) {
        if record[0] != crate::record::APPLICATION_DATA {
            return;
        }
        if let Some(length) = self.end_length.take() {
            self.accepted = record.len() == length;
        }
    }
}

/// Encrypts early data from the front of `plaintext`, little enough that [its rejection does not fail the
/// handshake](unfailing). Returns the record, how many bytes were taken, and the overhead of the record; `None` if nothing may
/// be sent.
///
/// The library does not return how much the ticket allows, but it deducts what is requested, even if that is never
/// encrypted. So this requests the part that must stay unused first.
#[cfg(feature = "early-data")]
fn seal_early(
    mut encrypt: impl FnMut(&[u8], &mut [u8]) -> Result<usize, rustls::client::EarlyDataError>,
    plaintext: &[u8],
) -> Option<(Vec<u8>, usize, usize)> {
    use rustls::client::EarlyDataError;
    let mut asked = |length: usize| match encrypt(&vec![0; length], &mut []) {
        Err(EarlyDataError::Encrypt(EncryptError::InsufficientSize(size))) => Some(size.required_size),
        _ => None,
    };
    let overhead = asked(1)? - 1;
    let most = unfailing(SKIPPED_AT_NONE).min(plaintext.len());
    let unused = 3 * most + 4 * SEALED_MORE - 1;
    let granted = asked(unused)?;
    if granted < unused + overhead {
        return None;
    }
    let mut record = vec![0; most + overhead];
    let length = encrypt(&plaintext[..most], &mut record).ok().filter(|length| *length > overhead)?;
    record.truncate(length);
    Some((record, length - overhead, overhead))
}

/// How many bytes may be sent early under a ticket that allows `limit`, so that a server on rustls 0.23 that rejects them
/// continues. Such a server keeps the record that it skips. Until the handshake continues, it counts that record again on each
/// read, against `limit`, or against 16 KiB if it no longer allows early data. A quarter is enough for a flight that arrives in
/// a few pieces.
#[cfg(feature = "early-data")]
const fn unfailing(limit: usize) -> usize {
    (limit / 4).saturating_sub(SEALED_MORE)
}

#[cfg(not(feature = "early-data"))]
fn discard_early(mut early: ReadEarlyData<'_, '_, rustls::server::ServerConnectionData>) {
    while early.next_record().is_some() {}
}

/// Appends to the held part of a message, without doubling: a long message would take twice its length.
fn grow(held: &mut Vec<u8>, more: &[u8]) {
    if held.capacity() - held.len() < more.len() {
        held.reserve_exact(more.len().max(HELD_STEP));
    }
    held.extend_from_slice(more);
}

const FATAL: u8 = 2;

/// The least by which the held part grows, in bytes.
const HELD_STEP: usize = 4096;

/// How much early data a server skips that allows none, in bytes of ciphertext.
const SKIPPED_AT_NONE: usize = 16_384;

/// The overhead of a record in TLS 1.3 without its header: its type and the tag.
#[cfg(feature = "early-data")]
const SEALED_MORE: usize = 17;

/// The length of an EndOfEarlyData, in bytes.
#[cfg(feature = "early-data")]
const END_OF_EARLY_DATA: usize = 4;
