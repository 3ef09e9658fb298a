//! The engine seam: the one file that names the connection types of the TLS library.
//!
//! Its shape is the one that a session has: a [`HandshakeEngine`] that splits into a [`ReceivingEngine`], which takes
//! whole records and yields plaintext or an end, and a [`SendingEngine`], which seals into the caller's buffer and is
//! consumed by its close. rustls 0.23 keeps both directions in one object, so here the two share it behind one lock,
//! held for CPU work only. No policy lives here: limits, endings and what an end means belong to the modules around it.

use crate::alert::AlertDescription;
use crate::error::{SendError, Violation};
use crate::facts::SessionFacts;
use crate::record::HEADER;
use crate::sender::WRITE_MAX;
use bytes::{BufMut, BytesMut};
use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::ServerConnection;
use rustls::{
    ClientConfig, Connection, Error, HandshakeKind, InvalidMessage, PeerMisbehaved, ProtocolVersion, ServerConfig,
};
use std::io::{self, BufRead as _, IoSlice, Read, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A session before its handshake is complete.
pub(crate) struct HandshakeEngine {
    connection: Connection,
    /// What a client asked for; a server learns it from the ClientHello.
    asked_for: Option<String>,
    /// The most plaintext that a record of ours carries.
    fragment: usize,
    /// Whether a server may write before the client has finished, where early data was accepted.
    half_rtt: bool,
    /// How many bytes of early data a client has sent, or a server has handed out.
    early: u64,
    /// Whether early data was accepted, as far as was looked.
    early_accepted: bool,
    /// How many records of ordinary data go out before the split.
    reserved: u64,
}

/// A server that has no configuration yet: it only wants the ClientHello.
#[derive(Default)]
pub(crate) struct AcceptingEngine {
    acceptor: rustls::server::Acceptor,
}

/// A ClientHello, and the session that waits for its configuration.
pub(crate) struct AcceptedEngine {
    accepted: rustls::server::Accepted,
}

impl AcceptingEngine {
    /// Takes in one record; answers when the ClientHello is whole. On an error the alert that says why is appended to
    /// `alert`.
    pub(crate) fn open(&mut self, mut record: &[u8], alert: &mut BytesMut) -> Result<Option<AcceptedEngine>, Error> {
        while !record.is_empty() {
            self.acceptor.read_tls(&mut record).map_err(|error| Error::General(error.to_string()))?;
            let accepted = self.acceptor.accept().map_err(|failed| refused(failed, alert))?;
            if let Some(accepted) = accepted {
                return Ok(Some(AcceptedEngine { accepted }));
            }
        }
        Ok(None)
    }
}

impl AcceptedEngine {
    pub(crate) fn client_hello(&self) -> rustls::server::ClientHello<'_> {
        self.accepted.client_hello()
    }

    /// Goes on with a configuration. On an error the alert that says why is appended to `alert`.
    pub(crate) fn configure(self, config: Arc<ServerConfig>, alert: &mut BytesMut) -> Result<HandshakeEngine, Error> {
        self.configure_early(without_early_data(config), alert)
    }

    /// As [`configure`](Self::configure), and accepts early data as far as `config` allows.
    pub(crate) fn configure_early(
        self,
        config: Arc<ServerConfig>,
        alert: &mut BytesMut,
    ) -> Result<HandshakeEngine, Error> {
        let (fragment, half_rtt) = (fragment(config.max_fragment_size), config.send_half_rtt_data);
        let connection = self.accepted.into_connection(config).map_err(|failed| refused(failed, alert))?.into();
        Ok(HandshakeEngine { half_rtt, ..HandshakeEngine::new(connection, None, fragment) })
    }
}

fn refused((error, mut message): (Error, rustls::server::AcceptedAlert), alert: &mut BytesMut) -> Error {
    // Appending to memory takes everything and does not fail.
    let _ = message.write_all(&mut alert.writer());
    error
}

/// What a record did.
pub(crate) enum Opened {
    /// It was taken in; there may be plaintext.
    Record,
    /// It was the peer's close_notify.
    CloseNotify,
    /// It was a fatal alert.
    Alert(AlertDescription),
    /// It broke the protocol.
    Violation(Violation),
}

impl HandshakeEngine {
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let asked_for = Some(name.to_str().into_owned());
        let fragment = fragment(config.max_fragment_size);
        let connection = ClientConnection::new(config, name)?.into();
        Ok(Self::new(connection, asked_for, fragment))
    }

    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Self::server_early(without_early_data(config))
    }

    /// A server that accepts early data as far as `config` allows.
    pub(crate) fn server_early(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let (fragment, half_rtt) = (fragment(config.max_fragment_size), config.send_half_rtt_data);
        let connection = ServerConnection::new(config)?.into();
        Ok(Self { half_rtt, ..Self::new(connection, None, fragment) })
    }

    fn new(connection: Connection, asked_for: Option<String>, fragment: usize) -> Self {
        Self { connection, asked_for, fragment, half_rtt: false, early: 0, early_accepted: false, reserved: 0 }
    }

    /// Takes in one record.
    pub(crate) fn open(&mut self, record: &[u8]) -> Result<(), Error> {
        feed(&mut self.connection, record).map(drop)
    }

    pub(crate) fn is_complete(&self) -> bool {
        !self.connection.is_handshaking()
    }

    pub(crate) fn take_output(&mut self, output: &mut BytesMut) {
        take_output(&mut self.connection, output);
    }

    /// A client's early data: seals from the front of `plaintext` what the server's ticket allows and appends it to
    /// `output`, behind the ClientHello: one record, which [no refusal fails](unfailing). Returns how many bytes were taken, none
    /// where there is no such ticket.
    pub(crate) fn send_early(&mut self, plaintext: &[u8], output: &mut BytesMut) -> usize {
        self.take_output(output);
        let mut taken = 0;
        if let Connection::Client(client) = &mut self.connection
            && let Some(mut early) = client.early_data()
        {
            let most = unfailing(early.bytes_left()).min(self.fragment).min(plaintext.len());
            if most > 0 {
                taken = early.write(&plaintext[..most]).unwrap_or_default();
                while client.wants_write() {
                    // Appending to memory takes everything and does not fail.
                    let _ = client.write_tls(&mut output.writer());
                }
            }
        }
        self.early = taken as u64;
        taken
    }

    /// Whether the server has accepted the client's early data.
    pub(crate) fn early_accepted(&mut self) -> bool {
        self.early_accepted = match &mut self.connection {
            Connection::Client(client) => client.is_early_data_accepted(),
            Connection::Server(server) => server.early_data().is_some(),
        };
        self.early_accepted
    }

    /// A server's early data: moves it to `out` until there is no more of it or no more room; returns how many bytes.
    pub(crate) fn take_early(&mut self, out: &mut impl BufMut) -> usize {
        let mut taken = 0;
        if let Connection::Server(server) = &mut self.connection
            && let Some(mut early) = server.early_data()
        {
            let mut chunk = [0; EARLY_CHUNK];
            while out.has_remaining_mut() {
                let room = out.remaining_mut().min(EARLY_CHUNK);
                // It reads from memory and does not fail.
                let length = early.read(&mut chunk[..room]).unwrap_or_default();
                if length == 0 {
                    break;
                }
                out.put_slice(&chunk[..length]);
                taken += length;
            }
        }
        self.early += taken as u64;
        taken
    }

    /// Whether there are keys to write with: when complete, and at a server that may write sooner.
    pub(crate) fn may_write(&mut self) -> bool {
        // A session that accepts early data is a resumed one, in which no client certificate is asked for.
        self.is_complete() || (self.half_rtt && self.early_accepted())
    }

    /// As [`SendingEngine::seal`], before the split. Only when it [may](Self::may_write).
    pub(crate) fn seal(&mut self, plaintext: &[IoSlice<'_>], output: &mut BytesMut) -> usize {
        self.take_output(output);
        // A write into memory does not fail.
        let taken = self.connection.writer().write_vectored(plaintext).unwrap_or_default();
        self.take_output(output);
        taken
    }

    /// Whether the keys may protect so many bytes; if so, counts their records. To be called when complete.
    pub(crate) fn reserve(&mut self, length: usize) -> bool {
        self.reserved = length.div_ceil(self.fragment) as u64;
        records_left(&self.connection).is_none_or(|left| self.reserved <= left)
    }

    /// What is agreed on so far.
    pub(crate) fn facts(&self) -> SessionFacts {
        let early_data = self.early_accepted.then_some(self.early);
        SessionFacts { early_data, ..facts(&self.connection, self.asked_for.clone()) }
    }

    /// To be called when [complete](Self::is_complete), with no output left.
    pub(crate) fn split(mut self) -> (ReceivingEngine, SendingEngine, SessionFacts) {
        let mut early = BytesMut::new();
        let _ = self.take_early(&mut early);
        let _ = self.early_accepted();
        let facts = self.facts();
        let records_left = records_left(&self.connection).map(|left| left.saturating_sub(self.reserved));
        let shared = Shared { connection: self.connection, state: State::Open, owed: BytesMut::new(), early };
        let shared = Arc::new(Mutex::new(shared));
        let sending =
            SendingEngine { shared: Arc::clone(&shared), records_left, fragment: self.fragment, write_max: WRITE_MAX };
        (ReceivingEngine { shared }, sending, facts)
    }
}

/// The receiving direction.
pub(crate) struct ReceivingEngine {
    shared: Arc<Mutex<Shared>>,
}

impl ReceivingEngine {
    /// Locks the session for the time of one call of the receiver.
    pub(crate) fn lock(&self) -> Opener<'_> {
        Opener { shared: lock(&self.shared) }
    }
}

/// The receiving direction while it holds the lock.
pub(crate) struct Opener<'a> {
    shared: MutexGuard<'a, Shared>,
}

impl Opener<'_> {
    /// Moves plaintext to `out` until there is no more of it or no more room; returns how many bytes.
    pub(crate) fn take_plaintext(&mut self, out: &mut impl BufMut) -> usize {
        let mut taken = self.take_early(out);
        let mut reader = self.shared.connection.reader();
        while out.has_remaining_mut() {
            // An error here says that there is nothing now, or that there will be nothing more: the state of the
            // session is read from the records, never from this reader.
            let Ok(chunk @ [_, ..]) = reader.fill_buf() else { break };
            let length = chunk.len().min(out.remaining_mut());
            out.put_slice(&chunk[..length]);
            reader.consume(length);
            taken += length;
        }
        taken
    }

    /// Moves what was left of the early data to `out`, as far as there is room; returns how many bytes.
    pub(crate) fn take_early(&mut self, out: &mut impl BufMut) -> usize {
        let early = &mut self.shared.early;
        let length = early.len().min(out.remaining_mut());
        if length > 0 {
            out.put_slice(&early.split_to(length));
            if early.is_empty() {
                *early = BytesMut::new();
            }
        }
        length
    }

    /// Takes in one record. There must be no plaintext left from the one before.
    pub(crate) fn open(&mut self, record: &[u8]) -> Opened {
        let shared = &mut *self.shared;
        if shared.state != State::Closed {
            return match feed(&mut shared.connection, record) {
                Ok(closed) => opened(closed),
                Err(error) => {
                    shared.fail_with(&error);
                    failed(error)
                }
            };
        }
        // Our close_notify is out, and the rule is that nothing follows it. rustls wants to answer a violation with an
        // alert all the same, and asserts in debug builds that none was sent before: what it queues is thrown away, and
        // the assertion, which a peer could otherwise reach with one bad record, is stopped here.
        let fed = catch_unwind(AssertUnwindSafe(|| feed(&mut shared.connection, record)));
        shared.discard_output();
        match fed {
            Ok(Ok(closed)) => opened(closed),
            Ok(Err(error)) => failed(error),
            Err(_panic) => Opened::Violation(Violation::panicked()),
        }
    }

    /// Marks the session as failed for a reason that rustls does not know.
    pub(crate) fn fail(&mut self) {
        if self.shared.state == State::Open {
            self.shared.fail_silently();
        }
    }

    /// Whether there are bytes for the sender to write: an alert, an answer to a KeyUpdate.
    pub(crate) fn owes(&mut self) -> bool {
        let shared = &mut *self.shared;
        match shared.state {
            State::Open => {
                // The library holds one answer to all KeyUpdates that ask for one. It is moved to the output only when
                // there is none already: a peer that asks and never reads must not make the output grow.
                shared.connection.wants_write() || {
                    move_key_update(&mut shared.connection);
                    shared.connection.wants_write()
                }
            }
            State::Failed { .. } => !shared.owed.is_empty(),
            State::Closed => false,
        }
    }

    /// Fills `output` with keying material of the session's.
    pub(crate) fn export<T: AsMut<[u8]>>(&self, output: T, label: &[u8], context: Option<&[u8]>) -> Result<T, Error> {
        self.shared.connection.export_keying_material(output, label, context)
    }

    /// Gives the TLS library's input buffer back, when the session is at rest.
    pub(crate) fn shrink(&mut self) {
        let _ = self.shared.connection.read_tls(&mut NothingNow);
    }
}

/// The sending direction.
pub(crate) struct SendingEngine {
    shared: Arc<Mutex<Shared>>,
    /// How many more records the keys may protect; `None` where the library changes keys by itself (TLS 1.3).
    records_left: Option<u64>,
    fragment: usize,
    write_max: usize,
}

impl SendingEngine {
    /// Sets how much plaintext a call of [`seal`](Self::seal) takes.
    pub(crate) fn set_write_max(&mut self, bytes: usize) {
        self.write_max = bytes.clamp(1, WRITE_MAX);
        lock(&self.shared).connection.set_buffer_limit(Some(self.write_max));
    }

    /// Seals as much of `plaintext` as fits the library's limit and appends it to `output`, behind what was
    /// owed. Returns how many bytes were taken.
    pub(crate) fn seal(&mut self, plaintext: &[IoSlice<'_>], output: &mut BytesMut) -> Result<usize, SendError> {
        let mut shared = lock(&self.shared);
        if shared.state != State::Open {
            return Err(SendError::SessionOver);
        }
        let length = plaintext.iter().map(|slice| slice.len()).sum::<usize>().min(self.write_max);
        let records = length.div_ceil(self.fragment);
        if let Some(left) = self.records_left.as_mut() {
            // At the limit rustls 0.23 drops the data, reports it as taken and sends a close_notify of its own.
            *left = left.checked_sub(records as u64).ok_or(SendError::KeysExhausted)?;
        }
        // What was owed would count against the library's limit.
        shared.take_output(output);
        // At once, and no more than needed: growing record by record would copy, and leave room to spare.
        output.reserve(length + records * RECORD_OVERHEAD);
        let taken = shared.connection.writer().write_vectored(plaintext).map_err(|_fatal| SendError::SessionOver)?;
        shared.take_output(output);
        Ok(taken)
    }

    /// Appends what receiving left to be written to `output`.
    pub(crate) fn take_owed(&mut self, output: &mut BytesMut) {
        lock(&self.shared).take_output(output);
    }

    /// How the session failed, if it did: the alert that went or goes to the peer.
    pub(crate) fn failed(&self) -> Option<Option<AlertDescription>> {
        match lock(&self.shared).state {
            State::Failed { alert } => Some(alert),
            State::Open | State::Closed => None,
        }
    }

    /// Appends a close_notify to `output`. From here on the session makes no more output. On a session that has failed
    /// it appends only what was owed and returns how it failed.
    pub(crate) fn close(self, output: &mut BytesMut) -> Result<(), Option<AlertDescription>> {
        let mut shared = lock(&self.shared);
        match shared.state {
            State::Failed { alert } => {
                shared.take_output(output);
                Err(alert)
            }
            State::Open | State::Closed => {
                shared.connection.send_close_notify();
                shared.take_output(output);
                shared.state = State::Closed;
                Ok(())
            }
        }
    }
}

/// What the two directions share.
struct Shared {
    connection: Connection,
    state: State,
    /// What is owed after a failure; until then it waits in the library.
    owed: BytesMut,
    /// Early data that was not read before the handshake was complete.
    early: BytesMut,
}

/// What sending may still do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Our close_notify was queued.
    Closed,
    /// A fatal alert was sent or received, or the peer broke the protocol.
    Failed {
        alert: Option<AlertDescription>,
    },
}

impl Shared {
    fn take_output(&mut self, output: &mut BytesMut) {
        match self.state {
            State::Open | State::Closed => {
                move_key_update(&mut self.connection);
                take_output(&mut self.connection, output);
            }
            State::Failed { .. } => output.extend_from_slice(&self.owed.split()),
        }
    }

    /// Follows an error of the library's, which does not say whether it has made an alert of it.
    fn fail_with(&mut self, error: &Error) {
        let mut owed = BytesMut::new();
        take_output(&mut self.connection, &mut owed);
        // A close_notify is made only where no fatal alert was: it is the question, and goes nowhere.
        self.connection.send_close_notify();
        if self.connection.wants_write() {
            self.fail_silently();
        } else {
            let alert = alert_for(error, self.connection.protocol_version());
            self.state = State::Failed { alert: Some(alert) };
            self.owed = owed;
        }
    }

    /// Fails with no alert: then nothing else is owed either (RFC 9846 section 6.2).
    fn fail_silently(&mut self) {
        self.discard_output();
        self.state = State::Failed { alert: None };
    }

    fn discard_output(&mut self) {
        while self.connection.wants_write() {
            // A sink takes everything.
            let _ = self.connection.write_tls(&mut io::sink());
        }
    }
}

/// A panic in the other direction is no reason to fail here: the library marks a connection that failed.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives one record to the library and lets it work; says whether the peer has closed.
fn feed(connection: &mut Connection, mut record: &[u8]) -> Result<bool, Error> {
    let mut closed = false;
    // A call takes about 4 KiB. It takes nothing when the peer has closed, which ends the loop too.
    while !record.is_empty() && !closed {
        match connection.read_tls(&mut record) {
            Ok(0) => break,
            Ok(_) => closed = connection.process_new_packets()?.peer_has_closed(),
            // "plaintext buffer full": the caller empties it before each record, and a record fits.
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
    Ok(closed)
}

/// rustls would take early data in and lay it aside, out of the reach of a receiver.
fn without_early_data(mut config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if config.max_early_data_size > 0 {
        Arc::make_mut(&mut config).max_early_data_size = 0;
    }
    config
}

/// How many bytes may be said early under a ticket that allows `limit`, so that a server over rustls 0.23 that refuses them
/// goes on. It keeps the record that it skips, and counts it anew whenever it reads more, until the handshake goes on, against
/// `limit`, or 16 KiB where it allows none any more. Four times is enough for a flight that comes in a few pieces.
fn unfailing(limit: usize) -> usize {
    (limit.min(SKIPPED_AT_NONE) / 4).saturating_sub(SEALED_MORE)
}

fn opened(closed: bool) -> Opened {
    if closed { Opened::CloseNotify } else { Opened::Record }
}

fn failed(error: Error) -> Opened {
    match error {
        Error::AlertReceived(alert) => Opened::Alert(u8::from(alert).into()),
        error => Opened::Violation(Violation::tls(error)),
    }
}

/// An empty write moves the queued answer to a KeyUpdate into the output and does nothing else.
fn move_key_update(connection: &mut Connection) {
    let _ = connection.writer().write(&[]);
}

fn take_output(connection: &mut Connection, output: &mut BytesMut) {
    while connection.wants_write() {
        // Appending to memory takes everything and does not fail.
        let _ = connection.write_tls(&mut output.writer());
    }
}

/// Which alert rustls queued for an error after the handshake; it does not say, and the alert is already encrypted.
fn alert_for(error: &Error, version: Option<ProtocolVersion>) -> AlertDescription {
    match error {
        Error::DecryptError => AlertDescription::BAD_RECORD_MAC,
        Error::PeerSentOversizedRecord => AlertDescription::RECORD_OVERFLOW,
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(
            PeerMisbehaved::KeyEpochWithPendingFragment | PeerMisbehaved::IllegalMiddleboxChangeCipherSpec,
        ) => AlertDescription::UNEXPECTED_MESSAGE,
        Error::PeerMisbehaved(_) | Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate) => {
            AlertDescription::ILLEGAL_PARAMETER
        }
        Error::InvalidMessage(message) => u8::from(rustls::AlertDescription::from(*message)).into(),
        // An alert of a level that there is not, which in TLS 1.3 looks like the next.
        Error::AlertReceived(_) if version != Some(ProtocolVersion::TLSv1_3) => AlertDescription::ILLEGAL_PARAMETER,
        // A warning where TLS 1.3 allows none.
        _ => AlertDescription::DECODE_ERROR,
    }
}

fn facts(connection: &Connection, asked_for: Option<String>) -> SessionFacts {
    let server_name = match connection {
        Connection::Client(_) => asked_for,
        Connection::Server(server) => server.server_name().map(str::to_owned),
    };
    SessionFacts {
        version: connection.protocol_version().unwrap_or(ProtocolVersion::Unknown(0)),
        cipher_suite: connection
            .negotiated_cipher_suite()
            .map_or(rustls::CipherSuite::Unknown(0), |suite| suite.suite()),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        server_name,
        peer_certificates: connection.peer_certificates().unwrap_or_default().to_vec(),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        early_data: None,
    }
}

fn records_left(connection: &Connection) -> Option<u64> {
    if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    let limit = connection.negotiated_cipher_suite().map_or(u64::MAX, |suite| match suite {
        #[cfg(feature = "tls12")]
        rustls::SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        rustls::SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
    });
    Some(limit - limit.min(RECORDS_RESERVED))
}

/// The most plaintext that a record carries when the configuration says how long a record may be.
fn fragment(max_fragment_size: Option<usize>) -> usize {
    max_fragment_size.map_or(FRAGMENT_MAX, |record| record.saturating_sub(HEADER).max(1))
}

/// A source that has nothing now.
struct NothingNow;

impl Read for NothingNow {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// What the handshake and the alerts need of the records that keys may protect, and to spare.
const RECORDS_RESERVED: u64 = 16;

/// What a record is longer than its plaintext, at most, in bytes: header, nonce and tag of AES-GCM in TLS 1.2 (RFC 5288
/// section 3), where TLS 1.3 has a byte in place of the nonce.
const RECORD_OVERHEAD: usize = HEADER + 8 + 16;

/// What a server skips that allows no early data, in bytes of ciphertext.
const SKIPPED_AT_NONE: usize = 16_384;

/// How much longer a record is in TLS 1.3 than its plaintext, its header left out: its type and the tag.
const SEALED_MORE: usize = 17;

/// How much early data is moved at a time, in bytes.
const EARLY_CHUNK: usize = 4096;

/// The most plaintext that a record may carry (RFC 9846 section 5.1), in bytes.
const FRAGMENT_MAX: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handshake, Progress};
    use testkit::certs::{Authority, TlsVersion};

    fn tls12_sender(max_fragment_size: Option<usize>) -> crate::Sender {
        let authority = Authority::new();
        let mut config = ClientConfig::clone(&authority.client_config(TlsVersion::V12));
        config.max_fragment_size = max_fragment_size;
        let mut client = Handshake::client(config.into(), "localhost".try_into().unwrap()).unwrap();
        let mut server = Handshake::server(authority.server_config(TlsVersion::V12)).unwrap();
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        loop {
            client.take_output(&mut to_server);
            let at_server = server.advance(&mut to_server).unwrap();
            server.take_output(&mut to_client);
            if (client.advance(&mut to_client).unwrap(), at_server) == (Progress::Complete, Progress::Complete) {
                return client.into_session().sender;
            }
        }
    }

    /// What rustls would do at the limit is to drop the data, report it as taken, and send a close_notify.
    #[test]
    fn exhausted_keys_refuse_data_instead_of_dropping_it() {
        let mut sender = tls12_sender(None);
        sender.engine.records_left = Some(1);
        let mut output = BytesMut::new();
        assert_eq!(sender.write(&[IoSlice::new(b"last")], &mut output), Ok(4));
        let before = output.len();
        assert_eq!(sender.write(&[IoSlice::new(b"more")], &mut output), Err(SendError::KeysExhausted));
        assert_eq!(output.len(), before);
    }

    #[test]
    fn every_record_counts_and_no_more() {
        let plaintext = vec![1; WRITE_MAX];
        for (max_fragment_size, length) in
            [(None, 1), (None, WRITE_MAX), (None, FRAGMENT_MAX + 1), (Some(32), WRITE_MAX), (Some(4096), 8183)]
        {
            let mut sender = tls12_sender(max_fragment_size);
            let before = sender.engine.records_left.unwrap();
            let mut output = BytesMut::new();
            let (left, right) = plaintext[..length].split_at(length / 3);
            assert_eq!(sender.write(&[IoSlice::new(left), IoSlice::new(right)], &mut output), Ok(length));
            let mut records = 0;
            while let crate::record::Walk::Record(length) = crate::record::walk(&output) {
                bytes::Buf::advance(&mut output, length);
                records += 1;
            }
            assert!(output.is_empty());
            assert_eq!(before - sender.engine.records_left.unwrap(), records, "{max_fragment_size:?} {length}");
        }
    }
}
