//! Handshakes with plain rustls that are changed on their way, where the peer's script cannot stop; the alert is read by
//! rustls too.

use super::{ALERT, CHANGE, DATA, FATAL, HANDSHAKE, WARNING, message};
use crate::peer::{self, Configs, Side};
use bytes::BytesMut;
use closenotify_core::{Handshake, HandshakeError, Progress};
use closenotify_probe::Version;
use rustls::{ClientConfig, Connection, Error, ServerConfig};
use testkit::certs::{Authority, TlsVersion};

/// A record in plaintext, or what looks like a sealed one.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// What our side and the peer are left with.
struct Broken {
    error: HandshakeError,
    /// What the peer has got: our alert.
    told: Option<u8>,
}

/// Lets the handshake go on until the peer's flight number `stage`, of which `keep` records arrive, and `then`.
fn break_at(version: TlsVersion, side: Side, stage: usize, keep: usize, then: &[u8]) -> Broken {
    let configs = Configs::of(version);
    let (mut ours, mut peer) = peer::start(configs.server.clone(), configs.client.clone(), side);
    let mut input = BytesMut::new();
    for round in 0..=stage {
        assert_eq!(ours.advance(&mut input), Ok(Progress::NeedInput), "{version:?} {side:?}");
        carry(&mut ours, &mut peer).expect("nothing is wrong yet");
        let flight = peer::output_of(&mut peer);
        if round < stage {
            input.extend_from_slice(&flight);
        } else {
            let records = peer::records(&flight);
            assert!(records.len() > keep, "{version:?} {side:?}: {} records", records.len());
            input.extend_from_slice(&records[..keep].concat());
            assert_eq!(ours.advance(&mut input), Ok(Progress::NeedInput));
            carry(&mut ours, &mut peer).expect("nothing is wrong yet");
            input.extend_from_slice(then);
        }
    }
    let error = ours.advance(&mut input).expect_err("broken");
    assert_eq!(ours.advance(&mut BytesMut::new()), Err(error.clone()), "it stays");
    let told = match carry(&mut ours, &mut peer) {
        Err(Error::AlertReceived(alert)) => Some(u8::from(alert)),
        Ok(()) => None,
        Err(other) => panic!("{version:?} {side:?} {then:?}: the peer cannot read our alert: {other:?}"),
    };
    Broken { error, told }
}

fn carry(ours: &mut Handshake, peer: &mut Connection) -> Result<(), Error> {
    let mut output = BytesMut::new();
    ours.take_output(&mut output);
    peer::feed(peer, &output)
}

fn expect(rows: &[(&str, Vec<u8>, Option<u8>)], version: TlsVersion, side: Side, stage: usize, keep: usize) {
    for (name, then, alert) in rows {
        let Broken { error, told } = break_at(version, side, stage, keep, then);
        assert_eq!(told, *alert, "{version:?} {side:?}, {name}: {error}");
        assert_eq!(alert.is_none(), matches!(error, HandshakeError::Alert(_)), "{name}: {error}");
    }
}

/// A client has the ServerHello of TLS 1.3, and what follows is sealed, in both directions.
#[test]
fn tls_1_3_client_after_the_server_hello() {
    let rows = [
        ("a broken seal", record(DATA, &[7; 40]), Some(20)),
        ("too short for a seal", record(DATA, &[7; 3]), Some(20)),
        ("a message in plaintext", record(HANDSHAKE, &message(8, &[0, 0])), Some(10)),
        ("a Finished in plaintext", record(HANDSHAKE, &message(20, &[7; 32])), Some(10)),
        ("an empty handshake record in plaintext", record(HANDSHAKE, &[]), Some(10)),
        ("an empty alert in plaintext", record(ALERT, &[]), Some(10)),
        ("a change_cipher_spec of 2", record(CHANGE, &[2]), Some(10)),
        (
            "3 of change_cipher_spec",
            [record(CHANGE, &[1]), record(CHANGE, &[1]), record(CHANGE, &[1])].concat(),
            Some(10),
        ),
        ("a heartbeat in plaintext", record(24, b"beat"), Some(10)),
        ("a type that does not exist", vec![99], Some(10)),
        ("a fatal alert in plaintext", record(ALERT, &[FATAL, 40]), None),
        ("a warning that is an error, in plaintext", record(ALERT, &[WARNING, 40]), None),
        ("a close_notify in plaintext", record(ALERT, &[WARNING, 0]), None),
        // Where the alert must be sealed, only rustls can make it, and it makes decode_error of these. The RFC names
        // record_overflow, and nobody another than protocol_version.
        ("2^14 + 257 bytes", vec![DATA, 3, 3, 0x41, 1], Some(50)),
        ("a version that does not exist", vec![DATA, 2], Some(50)),
    ];
    expect(&rows, TlsVersion::V13, Side::Client, 0, 1);
}

/// A client of TLS 1.2 has sent its Finished, sealed, and the server's is due.
#[test]
fn tls_1_2_client_before_the_servers_finished() {
    let rows = [
        ("a Finished in plaintext", record(HANDSHAKE, &message(20, &[7; 12])), Some(10)),
        ("data", record(DATA, b"hello"), Some(10)),
        ("a fatal alert", record(ALERT, &[FATAL, 51]), None),
        ("a close_notify", record(ALERT, &[WARNING, 0]), None),
        ("two of change_cipher_spec", [record(CHANGE, &[1]), record(CHANGE, &[1])].concat(), Some(10)),
        ("a Finished with a broken seal", [record(CHANGE, &[1]), record(HANDSHAKE, &[7; 40])].concat(), Some(20)),
        // As above: the RFC names unexpected_message and record_overflow.
        ("an empty handshake record", record(HANDSHAKE, &[]), Some(50)),
        ("2^14 + 2049 bytes", [record(CHANGE, &[1]), vec![HANDSHAKE, 3, 3, 0x48, 1]].concat(), Some(50)),
    ];
    expect(&rows, TlsVersion::V12, Side::Client, 1, 0);
}

/// A server of TLS 1.2 has the client's key exchange and its change_cipher_spec; its own alerts are in plaintext.
#[test]
fn tls_1_2_server_before_the_clients_finished() {
    let rows = [
        ("a Finished with a broken seal", record(HANDSHAKE, &[7; 40]), Some(20)),
        // It cannot be told from the one before.
        ("a Finished in plaintext", record(HANDSHAKE, &message(20, &[7; 12])), Some(20)),
        ("2^14 + 2049 bytes", vec![HANDSHAKE, 3, 3, 0x48, 1], Some(22)),
        ("a type that does not exist", vec![99], Some(10)),
        ("a second change_cipher_spec", record(CHANGE, &[1]), Some(10)),
    ];
    expect(&rows, TlsVersion::V12, Side::Server, 1, 2);
}

/// Both sides to their ends, with whatever configurations; what the peer was told by ours.
fn refuse(server: ServerConfig, client: ClientConfig, side: Side) -> Option<u8> {
    let (mut ours, mut peer) = peer::start(server, client, side);
    let mut input = BytesMut::new();
    for _ in 0..4 {
        let progress = ours.advance(&mut input);
        let told = carry(&mut ours, &mut peer);
        if let Err(error) = progress {
            assert!(matches!(error, HandshakeError::Refused(_)), "{error}");
            assert!(!error.to_string().contains("::") && !error.to_string().contains('{'), "{error}");
            return match told {
                Err(Error::AlertReceived(alert)) => Some(alert.into()),
                other => panic!("{error}: {other:?}"),
            };
        }
        input.extend_from_slice(&peer::output_of(&mut peer));
    }
    None
}

/// What one side does not accept of the other's certificate or parameters: RFC 9846 section 6.2 names the alert.
#[test]
fn a_refusal_tells_the_peer_why() {
    let authority = Authority::new();
    for version in TlsVersion::EACH {
        let server = || ServerConfig::clone(&authority.server_config(version));
        let client = || ClientConfig::clone(&authority.client_config(version));
        let with = |leaf| ServerConfig::clone(&authority.server_config_with(version, &leaf));
        let localhost: &[&str] = &["localhost"];
        assert_eq!(refuse(server(), client(), Side::Client), None);
        // It trusts another authority, of another name.
        let unknown = super::client_config(if version == TlsVersion::V12 { Version::Tls12 } else { Version::Tls13 });
        assert_eq!(refuse(server(), unknown, Side::Client), Some(48), "unknown_ca");
        assert_eq!(refuse(with(authority.issue_expired(localhost)), client(), Side::Client), Some(45));
        assert_eq!(refuse(with(authority.issue_not_yet_valid(localhost)), client(), Side::Client), Some(45));
        // RFC 9846 leaves the choice: certificate_unknown would do too.
        assert_eq!(refuse(with(authority.issue(&["other.example"])), client(), Side::Client), Some(42));
        let (mut h2, mut http) = (server(), client());
        (h2.alpn_protocols, http.alpn_protocols) = (vec![b"h2".to_vec()], vec![b"http/1.1".to_vec()]);
        assert_eq!(refuse(h2, http, Side::Server), Some(120), "no_application_protocol");
        let requiring = ServerConfig::clone(&authority.server_config_requiring_client(version));
        // RFC 5246 section 7.4.6 has no certificate_required.
        let required = if version == TlsVersion::V13 { 116 } else { 40 };
        assert_eq!(refuse(requiring, client(), Side::Server), Some(required));
    }
    let only = |version| (authority.server_config(version), authority.client_config(version));
    let ((server12, client12), (server13, client13)) = (only(TlsVersion::V12), only(TlsVersion::V13));
    for (server, client) in [(server12, client13), (server13, client12)] {
        let told = refuse(ServerConfig::clone(&server), ClientConfig::clone(&client), Side::Server);
        assert_eq!(told, Some(70), "protocol_version");
    }
}
