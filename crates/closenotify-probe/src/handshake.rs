//! A true handshake over a socket, by rustls, fed one record at a time so that nothing behind it is eaten; and where it may
//! be stopped.
//!
//! What comes out is no rustls connection: keys for both directions (or none, where there are none yet) and the bytes
//! that were read too far.

use crate::alert;
use crate::error::{Fault, HandshakeError};
use crate::event::{By, Link, Log, What};
use crate::identity::{Anyone, Identity, Trust};
use crate::keys::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Keys, Suite13};
use crate::reading::{Unwrap, message_name};
use crate::record::Wrap;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{
    ClientConfig, ClientConnection, Connection, KeyLog, ProtocolVersion, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};
use rustls_pki_types::ServerName;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// How far a handshake goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// To its end.
    Complete,
    /// To its end, but for the last flight of the probe, which goes in front of the first piece that is sent. Where the
    /// other end has the last word (a client in TLS 1.2, a server in TLS 1.3) that is the same as [`Complete`](Self::Complete).
    HoldLast,
    /// A client sends only so many bytes of its ClientHello. A server answers none, and it is [`Hello`](Self::Hello).
    InsideHello(usize),
    /// A client has sent its ClientHello and read nothing; a server has read the ClientHello and sent nothing.
    Hello,
    /// A client has the server's whole flight and does not answer; a server has sent its flight and read nothing more.
    BeforeFinished,
}

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version.
    pub version: Version,
    /// The suite, as the RFC spells it.
    pub suite: String,
    /// The protocol that ALPN chose.
    pub alpn: Option<String>,
    /// The name that the client asked for; known to a server only.
    pub sni: Option<String>,
}

/// How the probe is a client.
#[derive(Clone)]
pub struct ClientSetup {
    name: ServerName<'static>,
    config: ClientConfig,
}

/// How the probe is a server.
#[derive(Clone)]
pub struct ServerSetup {
    config: ServerConfig,
}

impl ClientSetup {
    /// A client that wants to talk to `name` in one version, and offers `alpn`. It never resumes.
    ///
    /// # Errors
    ///
    /// When rustls refuses that.
    pub fn new(
        name: ServerName<'static>,
        trust: &Trust,
        version: Version,
        alpn: &[&str],
    ) -> Result<Self, HandshakeError> {
        Self::in_versions(name, trust, &[version.supported()], alpn)
    }

    /// The same in whichever version the server wants.
    ///
    /// # Errors
    ///
    /// When rustls refuses that.
    pub fn in_any_version(name: ServerName<'static>, trust: &Trust, alpn: &[&str]) -> Result<Self, HandshakeError> {
        Self::in_versions(name, trust, &Version::ALL.map(Version::supported), alpn)
    }

    fn in_versions(
        name: ServerName<'static>,
        trust: &Trust,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Result<Self, HandshakeError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| HandshakeError::tls(&error))?;
        let builder = match trust {
            Trust::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)),
            Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone::new())),
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.resumption = Resumption::disabled();
        config.enable_secret_extraction = true;
        Ok(Self { name, config })
    }
}

impl ServerSetup {
    /// A server with an identity, in these versions, that takes any of `alpn`.
    ///
    /// # Errors
    ///
    /// When rustls refuses that.
    pub fn new(identity: &Identity, versions: &[Version], alpn: &[&str]) -> Result<Self, HandshakeError> {
        let versions: Vec<_> = versions.iter().map(|version| version.supported()).collect();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&versions)
            .map_err(|error| HandshakeError::tls(&error))?
            .with_no_client_auth()
            .with_single_cert(identity.chain(), identity.key())
            .map_err(|error| HandshakeError::tls(&error))?;
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.enable_secret_extraction = true;
        Ok(Self { config })
    }
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &rustls::version::TLS12,
            Self::Tls13 => &rustls::version::TLS13,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// What a handshake leaves.
pub(crate) struct Done {
    pub(crate) io: TcpStream,
    pub(crate) wrap: Wrap,
    pub(crate) unwrap: Unwrap,
    pub(crate) held: Vec<u8>,
    pub(crate) unread: Vec<u8>,
    pub(crate) facts: Option<Facts>,
}

pub(crate) async fn client(io: TcpStream, setup: &ClientSetup, stop: Stop, log: &Log) -> Result<Done, HandshakeError> {
    let secrets = Arc::new(Secrets::default());
    let mut config = setup.config.clone();
    config.key_log = Arc::clone(&secrets) as Arc<dyn KeyLog>;
    let conn =
        ClientConnection::new(Arc::new(config), setup.name.clone()).map_err(|error| HandshakeError::tls(&error))?;
    let mut run = Run::new(io, conn.into(), secrets, log, true);

    let hello = run.output();
    match stop {
        Stop::InsideHello(bytes) => {
            let part = &hello[..bytes.min(hello.len())];
            run.log.push(Link::Tls, By::Probe, What::Odd(format!("the first {} B of a ClientHello", part.len())));
            run.write(part).await?;
            return Ok(run.without_keys());
        }
        Stop::Hello => {
            run.send(&hello).await?;
            return Ok(run.without_keys());
        }
        Stop::Complete | Stop::HoldLast | Stop::BeforeFinished => run.send(&hello).await?,
    }
    loop {
        run.take_record().await?;
        let flight = run.output();
        let complete = !run.conn.is_handshaking();
        let last = complete || (!flight.is_empty() && run.conn.protocol_version() == Some(ProtocolVersion::TLSv1_2));
        match stop {
            Stop::BeforeFinished if last => return run.before_finished(),
            Stop::HoldLast if complete => return run.complete(flight),
            _ => run.send(&flight).await?,
        }
        if complete {
            return run.complete(Vec::new());
        }
    }
}

pub(crate) async fn server(io: TcpStream, setup: &ServerSetup, stop: Stop, log: &Log) -> Result<Done, HandshakeError> {
    let secrets = Arc::new(Secrets::default());
    let mut config = setup.config.clone();
    config.key_log = Arc::clone(&secrets) as Arc<dyn KeyLog>;
    let conn = ServerConnection::new(Arc::new(config)).map_err(|error| HandshakeError::tls(&error))?;
    let mut run = Run::new(io, conn.into(), secrets, log, false);
    loop {
        run.take_record().await?;
        let flight = run.output();
        let complete = !run.conn.is_handshaking();
        match stop {
            Stop::InsideHello(_) | Stop::Hello if !flight.is_empty() => return Ok(run.without_keys()),
            Stop::HoldLast if complete => return run.complete(flight),
            _ => run.send(&flight).await?,
        }
        // A flight without a version is a HelloRetryRequest.
        if stop == Stop::BeforeFinished && !flight.is_empty() && run.conn.negotiated_cipher_suite().is_some() {
            return run.before_finished();
        }
        if complete {
            return run.complete(Vec::new());
        }
    }
}

/// A handshake under way.
struct Run<'a> {
    io: TcpStream,
    conn: Connection,
    secrets: Arc<Secrets>,
    unread: Vec<u8>,
    /// Records that came sealed, all under the keys of the handshake.
    sealed: u64,
    /// Whether a change_cipher_spec came.
    changed: bool,
    log: &'a Log,
    is_client: bool,
}

impl<'a> Run<'a> {
    fn new(io: TcpStream, conn: Connection, secrets: Arc<Secrets>, log: &'a Log, is_client: bool) -> Self {
        Self { io, conn, secrets, unread: Vec::new(), sealed: 0, changed: false, log, is_client }
    }

    fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut output).expect("a vector takes all that is written to it");
        }
        output
    }

    async fn send(&mut self, flight: &[u8]) -> Result<(), HandshakeError> {
        if flight.is_empty() {
            return Ok(());
        }
        self.log.push(Link::Tls, By::Probe, What::Flight(flight_name(flight, self.is_client)));
        self.write(flight).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), HandshakeError> {
        self.io.write_all(bytes).await.map_err(|error| HandshakeError::io(&error))
    }

    /// Reads one whole record and gives it to rustls.
    async fn take_record(&mut self) -> Result<(), HandshakeError> {
        let length = loop {
            if let [kind, major, _, high, low, ..] = self.unread[..] {
                if !(20..=23).contains(&kind) || major != 3 {
                    let start = String::from_utf8_lossy(&self.unread[..self.unread.len().min(40)]).into_owned();
                    return Err(HandshakeError::new(Fault::NotTls, format!("it said {start:?}")));
                }
                let length = HEADER + usize::from(u16::from_be_bytes([high, low]));
                if self.unread.len() >= length {
                    break length;
                }
            }
            let mut buffer = [0; 16 * 1024];
            match self.io.read(&mut buffer).await {
                Ok(0) => return Err(HandshakeError::io(&io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) => return Err(HandshakeError::io(&error)),
            }
        };
        let rest = self.unread.split_off(length);
        let record = std::mem::replace(&mut self.unread, rest);
        if record[0] == APPLICATION_DATA {
            self.sealed += 1;
        } else if record[0] == CHANGE_CIPHER_SPEC {
            self.changed = true;
        } else if record[0] == HANDSHAKE && record.len() > HEADER && self.sealed == 0 {
            // In TLS 1.2 what follows the change is sealed, and is the Finished.
            let name = if self.changed { "Finished".to_owned() } else { message_name(record[HEADER]) };
            self.log.push(Link::Tls, By::Subject, What::Flight(name));
        }
        let mut left = &record[..];
        while !left.is_empty() {
            let taken = self.conn.read_tls(&mut left).map_err(|error| HandshakeError::new(Fault::Other, error))?;
            if taken == 0 {
                break;
            }
        }
        match self.conn.process_new_packets() {
            // A close_notify, which rustls takes for no error, and passes over where it is not sealed.
            Ok(state) if self.conn.is_handshaking() && (state.peer_has_closed() || is_plain_close_notify(&record)) => {
                Err(HandshakeError::io(&io::ErrorKind::UnexpectedEof.into()))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let alert = self.output();
                // Who is gone gets no alert.
                let _ = self.write(&alert).await;
                Err(HandshakeError::tls(&error))
            }
        }
    }

    fn without_keys(self) -> Done {
        Done {
            io: self.io,
            wrap: Wrap::Records,
            unwrap: Unwrap::Records,
            held: Vec::new(),
            unread: self.unread,
            facts: None,
        }
    }

    /// Stopped where both have their keys and one Finished is missing.
    fn before_finished(self) -> Result<Done, HandshakeError> {
        let Some(suite) = self.suite13() else { return Ok(self.without_keys()) };
        let get =
            |label: &str, sequence| self.secrets.get(label).and_then(|secret| Keys::tls13(suite, &secret, sequence));
        let (ours, theirs) = match self.is_client {
            true => (
                get(CLIENT_HANDSHAKE, 0),
                // The server has sent its Finished; what follows is under its next keys, with some stacks later.
                [get(SERVER_TRAFFIC, 0), get(SERVER_HANDSHAKE, self.sealed)],
            ),
            false => (get(SERVER_TRAFFIC, 0), [get(CLIENT_HANDSHAKE, 0), get(CLIENT_TRAFFIC, 0)]),
        };
        let ours = ours.ok_or_else(no_keys)?;
        let theirs = theirs.into_iter().flatten().collect();
        let (wrap, unwrap) = (Wrap::Sealed(Box::new(ours)), Unwrap::Sealed(theirs));
        Ok(Done { io: self.io, wrap, unwrap, held: Vec::new(), unread: self.unread, facts: None })
    }

    fn complete(self, held: Vec<u8>) -> Result<Done, HandshakeError> {
        let suite13 = self.suite13();
        let facts = self.facts();
        let Self { io, conn, secrets, unread, log, is_client, .. } = self;
        log.push(Link::Tls, By::Subject, What::Handshaken(format!("{}, {}", facts.version, facts.suite)));
        let extracted = conn.dangerous_extract_secrets().map_err(|error| HandshakeError::tls(&error))?;
        let (ours, theirs) = match suite13 {
            Some(suite) => {
                let (ours, theirs) = match is_client {
                    true => (CLIENT_TRAFFIC, SERVER_TRAFFIC),
                    false => (SERVER_TRAFFIC, CLIENT_TRAFFIC),
                };
                let get = |label, sequence| secrets.get(label).and_then(|secret| Keys::tls13(suite, &secret, sequence));
                (get(ours, extracted.tx.0), get(theirs, extracted.rx.0))
            }
            None => (Keys::tls12(extracted.tx.0, &extracted.tx.1), Keys::tls12(extracted.rx.0, &extracted.rx.1)),
        };
        let wrap = Wrap::Sealed(Box::new(ours.ok_or_else(no_keys)?));
        let unwrap = Unwrap::Sealed(vec![theirs.ok_or_else(no_keys)?]);
        Ok(Done { io, wrap, unwrap, held, unread, facts: Some(facts) })
    }

    fn suite13(&self) -> Option<Suite13> {
        self.conn.negotiated_cipher_suite().and_then(|suite| Suite13::from_number(suite.suite().into()))
    }

    fn facts(&self) -> Facts {
        let version = match self.conn.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => Version::Tls13,
        };
        let suite = self.conn.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
        let alpn = self.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let sni = match &self.conn {
            Connection::Server(conn) => conn.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        Facts { version, suite, alpn, sni }
    }
}

/// The traffic secrets of one handshake, by label.
#[derive(Default)]
struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl Secrets {
    fn get(&self, label: &str) -> Option<Vec<u8>> {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().find(|(known, _)| known == label).map(|(_, secret)| secret.clone())
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((label.to_owned(), secret.to_vec()));
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

fn flight_name(flight: &[u8], is_client: bool) -> String {
    match flight {
        [HANDSHAKE, _, _, _, _, message, ..] => message_name(*message),
        // A change_cipher_spec alone is only there for middleboxes.
        [CHANGE_CIPHER_SPEC, _, _, _, _, _] => "change_cipher_spec".to_owned(),
        [APPLICATION_DATA, ..] if !is_client => "NewSessionTicket".to_owned(),
        _ => "Finished".to_owned(),
    }
}

fn is_plain_close_notify(record: &[u8]) -> bool {
    matches!(record, [ALERT, _, _, 0, 2, _, alert::CLOSE_NOTIFY])
}

fn no_keys() -> HandshakeError {
    HandshakeError::new(Fault::Other, "the keys of this suite are not known to the probe")
}

const CLIENT_HANDSHAKE: &str = "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
const SERVER_HANDSHAKE: &str = "SERVER_HANDSHAKE_TRAFFIC_SECRET";
const CLIENT_TRAFFIC: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER_TRAFFIC: &str = "SERVER_TRAFFIC_SECRET_0";
