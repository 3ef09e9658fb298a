//! What a peer gets for each thing that it can do wrong: tables of scripts, driven by a peer that makes a true handshake and
//! then sends a script, over sockets; and of handshakes that are changed on their way.
//!
//! The clauses are those of RFC 9846, and of RFC 5246 for TLS 1.2. A row that differs from them has a comment.

mod after;
mod during;
mod flights;
mod ours;

use closenotify_core::{HandshakeError, ReceivedEnding, SentEnding};
use closenotify_probe::{ClientSetup, Identity, Log, Peer, Piece, Received, ServerSetup, Stop, Trust, Version};
use ours::{Outcome, client_config};
use std::sync::LazyLock;
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::plain::{Configs, Side};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// A script and what it comes to.
struct Row {
    name: &'static str,
    versions: Versions,
    /// Which side we are.
    sides: Sides,
    send: fn() -> Vec<Piece>,
    expect: Expect,
}

#[derive(Clone, Copy, PartialEq)]
enum Versions {
    Both,
    Tls12,
    Tls13,
}

#[derive(Clone, Copy, PartialEq)]
enum Sides {
    Both,
    Client,
    Server,
}

/// What the peer gets, and what we say that it was.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// A fatal alert, which is our ending in both directions: the peer broke the protocol.
    Alert(u8),
    /// Nothing: it has sent this alert, which is the end.
    Nothing(u8),
    /// Nothing but our close_notify, after its FIN.
    Close,
    /// A warning, and our close_notify after its FIN.
    Warning(u8),
}

impl Row {
    const fn new(
        name: &'static str,
        versions: Versions,
        sides: Sides,
        send: fn() -> Vec<Piece>,
        expect: Expect,
    ) -> Self {
        Self { name, versions, sides, send, expect }
    }

    fn applies(&self, version: Version, side: Side) -> bool {
        let version = match self.versions {
            Versions::Both => true,
            Versions::Tls12 => version == Version::Tls12,
            Versions::Tls13 => version == Version::Tls13,
        };
        version
            && match self.sides {
                Sides::Both => true,
                Sides::Client => side == Side::Client,
                Sides::Server => side == Side::Server,
            }
    }
}

/// Plays each row that applies from where the handshake stops; returns how many were played.
fn play(rows: &[Row], version: Version, side: Side, stop: Option<Stop>) -> usize {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut faults = Vec::new();
    let mut played = 0;
    for row in rows.iter().filter(|row| row.applies(version, side)) {
        let (outcome, received) = runtime.block_on(meet(version, side, stop, &(row.send)()));
        if let Err(fault) = judge(row.expect, &outcome, &received) {
            faults.push(format!("{}: {fault}", row.name));
        }
        played += 1;
    }
    assert!(faults.is_empty(), "{version}, we are the {side:?}, {stop:?}:\n{}", faults.join("\n"));
    played
}

/// Our side against the peer that sends `pieces` and a FIN.
async fn meet(version: Version, side: Side, stop: Option<Stop>, pieces: &[Piece]) -> (Outcome, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (connected, accepted) = tokio::join!(connect, listener.accept());
    let (io, theirs) = (connected.unwrap(), accepted.unwrap().0);
    let ours = match side {
        Side::Client => ours::client(io, client_config(version)),
        Side::Server => ours::server(io, Configs::of(core_version(version)).server.clone()),
    };
    let script = async {
        let log = Log::new();
        let mut peer = match (stop, side) {
            (None, _) => Peer::without_keys(theirs, log),
            (Some(stop), Side::Client) => {
                static SETUP: LazyLock<ServerSetup> =
                    LazyLock::new(|| ServerSetup::new(identity(), &Version::ALL, &[]).unwrap());
                Peer::server(theirs, &SETUP, stop, &log, TIMEOUT).await.unwrap().0
            }
            (Some(stop), Side::Server) => {
                let setup = ClientSetup::new("localhost".try_into().unwrap(), &Trust::Anyone, version, &[]).unwrap();
                Peer::client(theirs, &setup, stop, &log, TIMEOUT).await.unwrap().0
            }
        };
        let _ = peer.send(pieces, TIMEOUT).await;
        peer.fin();
        assert!(
            peer.until(TIMEOUT, Received::is_over).await,
            "{pieces:?}: we never end\n{:?}",
            peer.received(Received::clone)
        );
        peer.received(Received::clone)
    };
    tokio::join!(ours, script)
}

fn judge(expect: Expect, outcome: &Outcome, received: &Received) -> Result<(), String> {
    let (alerts, ending): (Vec<(u8, u8)>, bool) = match expect {
        Expect::Alert(code) => {
            let violated = match (&outcome.handshake, &outcome.received) {
                (Some(error), _) => matches!(
                    error,
                    HandshakeError::Violation(_) | HandshakeError::Refused(_) | HandshakeError::NotTls { .. }
                ),
                (None, received) => {
                    matches!(received, Some(ReceivedEnding::Violation(violation)) if violation.alert().code() == code)
                        && outcome.sent == Some(SentEnding::Alert(code.into()))
                }
            };
            (vec![(2, code)], violated)
        }
        Expect::Nothing(code) => {
            let told = match (&outcome.handshake, &outcome.received) {
                (Some(error), _) => *error == HandshakeError::Alert(code.into()),
                (None, received) => {
                    *received == Some(ReceivedEnding::Alert(code.into())) && outcome.sent == Some(SentEnding::Aborted)
                }
            };
            (vec![], told)
        }
        Expect::Close => (vec![(1, 0)], outcome.sent == Some(SentEnding::CloseNotify)),
        Expect::Warning(code) => (vec![(1, code), (1, 0)], outcome.sent == Some(SentEnding::CloseNotify)),
    };
    if received.alerts == alerts && received.unreadable == 0 && ending {
        return Ok(());
    }
    Err(format!(
        "expected {expect:?}, the peer got {:?} ({} records unreadable), and we say {outcome:?}",
        received.alerts, received.unreadable
    ))
}

fn identity() -> &'static Identity {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new().unwrap());
    &IDENTITY
}

fn core_version(version: Version) -> TlsVersion {
    match version {
        Version::Tls12 => TlsVersion::V12,
        Version::Tls13 => TlsVersion::V13,
    }
}

/// A handshake message, header and all.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

/// Bounds a wait; nothing depends on how long it is.
const TIMEOUT: Duration = Duration::from_secs(20);
const CHANGE: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const WARNING: u8 = 1;
const FATAL: u8 = 2;
