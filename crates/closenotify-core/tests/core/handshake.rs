//! Handshakes that fail: each flight truncated at every byte, a close_notify at every stage, and other responses.

use crate::peer::{self, Configs, EACH, Side};
use bytes::BytesMut;
use closenotify_core::{AlertDescription, Deadline, Handshake, HandshakeError, Progress, TransportEnd, TruncatedAt};
use rustls::{ClientConfig, Connection, Error, ServerConfig};
use std::io;
use testkit::certs::{Authority, TlsVersion};

/// A handshake up to the peer's flight number `stage`, and that flight; `None` when there are not as many.
fn stage(configs: (ServerConfig, ClientConfig), side: Side, stage: usize) -> Option<(Handshake, Connection, Vec<u8>)> {
    let (mut ours, mut peer) = peer::start(configs.0, configs.1, side);
    let mut input = BytesMut::new();
    for round in 0.. {
        if ours.advance(&mut input).unwrap() == Progress::Complete {
            return None;
        }
        let mut output = BytesMut::new();
        ours.take_output(&mut output);
        peer::feed(&mut peer, &output).unwrap();
        let flight = peer::output_of(&mut peer);
        if round == stage {
            return Some((ours, peer, flight));
        }
        input.extend_from_slice(&flight);
    }
    None
}

fn configs(version: TlsVersion) -> (ServerConfig, ClientConfig) {
    let configs = Configs::of(version);
    (configs.server.clone(), configs.client.clone())
}

#[test]
fn a_flight_cut_at_any_byte_is_a_truncated_handshake() {
    let mut cuts = 0;
    for (version, side) in EACH {
        let mut stages = 0;
        while let Some((_, _, flight)) = stage(configs(version), side, stages) {
            for cut in 0..flight.len() {
                let Some((mut ours, _, flight)) = stage(configs(version), side, stages) else { unreachable!() };
                let case = format!("{version:?} {side:?}, flight {stages} cut at {cut}");
                // Signatures differ in length by a byte or two.
                let cut = cut.min(flight.len() - 1);
                let mut input = BytesMut::from(&flight[..cut]);
                assert_eq!(ours.advance(&mut input), Ok(Progress::NeedInput), "{case}");
                let at = if input.is_empty() { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord };
                let complete: usize = peer::records(&flight[..cut])
                    .iter()
                    .filter(|record| {
                        record.len() > 4 && record.len() == 5 + usize::from(record[3]) * 256 + usize::from(record[4])
                    })
                    .map(|record| record.len())
                    .sum();
                assert_eq!(at == TruncatedAt::Boundary, complete == cut, "{case}");
                let silent = stages == 0 && cut == 0;
                let ended = |end| ours.transport_ended(end, &input);
                assert_eq!(ended(TransportEnd::Eof), HandshakeError::Truncated { at, silent }, "{case}");
                assert_eq!(ended(TransportEnd::Reset), HandshakeError::Reset);
                let late = TransportEnd::TimedOut(Deadline::Handshake);
                assert_eq!(ended(late), HandshakeError::TimedOut(Deadline::Handshake));
                let gone = io::ErrorKind::HostUnreachable;
                assert_eq!(ended(TransportEnd::Failed(gone)), HandshakeError::Failed(gone));
                cuts += 1;
            }
            stages += 1;
        }
        let expected = match (version, side) {
            (TlsVersion::V13, Side::Client) => 1,
            _ => 2,
        };
        assert_eq!(stages, expected, "{version:?} {side:?}");
    }
    assert!(cuts > 2_000);
}

#[test]
fn a_handshake_fed_byte_by_byte_completes_with_the_last_byte() {
    for (version, side) in EACH {
        let configs = configs(version);
        let (mut ours, mut peer) = peer::start(configs.0, configs.1, side);
        let mut input = BytesMut::new();
        let mut progress = ours.advance(&mut input).unwrap();
        while progress == Progress::NeedInput {
            let mut output = BytesMut::new();
            ours.take_output(&mut output);
            peer::feed(&mut peer, &output).unwrap();
            let flight = peer::output_of(&mut peer);
            assert!(!flight.is_empty());
            for (at, byte) in flight.iter().enumerate() {
                assert_eq!(progress, Progress::NeedInput, "{version:?} {side:?} complete before byte {at}");
                input.extend_from_slice(&[*byte]);
                progress = ours.advance(&mut input).unwrap();
            }
        }
        assert!(input.is_empty());
    }
}

/// Before there are keys it is plaintext, and could be anybody's: never a clean end, always an end.
/// docs/cases.md R11
#[test]
fn a_close_notify_at_any_stage_is_an_error() {
    const CLOSE_NOTIFY: [u8; 7] = [0x15, 3, 3, 0, 2, 1, 0];
    for (version, side) in EACH {
        let mut met = Vec::new();
        for number in 0.. {
            let Some((_, _, flight)) = stage(configs(version), side, number) else { break };
            for before in 0..peer::records(&flight).len() {
                let Some((mut ours, _, flight)) = stage(configs(version), side, number) else { unreachable!() };
                let mut input: BytesMut = peer::records(&flight)[..before]
                    .iter()
                    .copied()
                    .chain([&CLOSE_NOTIFY[..]])
                    .flatten()
                    .copied()
                    .collect();
                let error = ours.advance(&mut input).unwrap_err();
                assert_eq!(ours.advance(&mut BytesMut::new()).ok(), ours.advance(&mut BytesMut::new()).ok());
                met.push(error);
            }
        }
        let closed = HandshakeError::Alert(AlertDescription::CLOSE_NOTIFY);
        // Where the peer's keys are in use already, plaintext is refused as such.
        let keyed: Vec<_> = met.iter().skip_while(|error| **error == closed).collect();
        assert!(met.len() > keyed.len(), "{version:?} {side:?}: {met:?}");
        for error in &keyed {
            assert!(matches!(error, HandshakeError::Refused(_)), "{version:?} {side:?}: {met:?}");
        }
    }
}

/// The level makes no difference, nor the version of the record.
/// docs/cases.md R10
#[test]
fn a_first_record_that_is_an_alert_is_that_alert() {
    for (version, side) in EACH {
        for level in [peer::WARNING, peer::FATAL] {
            for minor in [1, 3] {
                let configs = configs(version);
                let (mut ours, _) = peer::start(configs.0, configs.1, side);
                let mut input = BytesMut::from(&[0x15, 3, minor, 0, 2, level, 0][..]);
                let error = ours.advance(&mut input).unwrap_err();
                assert_eq!(
                    error,
                    HandshakeError::Alert(AlertDescription::CLOSE_NOTIFY),
                    "{version:?} {side:?} {level}"
                );
            }
        }
    }
}

/// Bytes that cannot be TLS are refused at the first byte that decides, with the alert that the RFC names for a record type
/// that does not exist (RFC 9846 section 5).
#[test]
fn plain_http_is_recognised_at_its_first_byte_and_gets_an_alert() {
    for (version, side) in EACH {
        for request in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "OPTIONS * HTTP/1.1\r\n"] {
            for length in [1, 2, 4, 5, request.len()] {
                let (mut ours, _) = peer::start(configs(version).0, configs(version).1, side);
                let mut output = BytesMut::new();
                ours.take_output(&mut output);
                output.clear();
                let mut input = BytesMut::from(&request[..length]);
                let expected = HandshakeError::NotTls { plain_http: true };
                assert_eq!(ours.advance(&mut input), Err(expected.clone()), "{length} bytes");
                ours.take_output(&mut output);
                assert_eq!(output[..], [0x15, 3, 3, 0, 2, peer::FATAL, 10], "unexpected_message");
                assert_eq!(ours.advance(&mut BytesMut::from(request)), Err(expected), "the error stays");
            }
        }
        for other in
            [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], &[0x80, 0x2e, 1, 3, 1], &[0x16, 2, 0, 0, 5], &[0x16, 3, 1, 0x40, 1]]
        {
            let (mut ours, _) = peer::start(configs(version).0, configs(version).1, side);
            let mut met = None;
            for (at, byte) in other.iter().enumerate() {
                if let Err(error) = ours.advance(&mut BytesMut::from(&other[..=at])) {
                    met = Some((at, *byte, error));
                    break;
                }
            }
            let (at, _, error) = met.expect("refused");
            assert_eq!(error, HandshakeError::NotTls { plain_http: false });
            let deciding = match other[0] {
                0x16 if other[1] == 2 => 1,
                0x16 => 4,
                _ => 0,
            };
            assert_eq!(at, deciding, "{other:?}");
        }
    }
}

/// The alert is in the output, the peer reads it, and the peer's own error is that alert.
#[test]
fn a_refused_certificate_reaches_the_peer_as_an_alert() {
    let stranger = Authority::new();
    for version in TlsVersion::EACH {
        let server = Configs::of(version).server.clone();
        let client = ClientConfig::clone(&stranger.client_config(version));
        let (mut ours, mut peer) = peer::start(server, client, Side::Client);
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        assert_eq!(ours.advance(&mut input), Ok(Progress::NeedInput));
        ours.take_output(&mut output);
        peer::feed(&mut peer, &output.split()).unwrap();
        input.extend_from_slice(&peer::output_of(&mut peer));
        let error = ours.advance(&mut input).unwrap_err();
        assert!(matches!(error, HandshakeError::Refused(Error::InvalidCertificate(_))), "{error:?}");
        ours.take_output(&mut output);
        let seen = peer::feed(&mut peer, &output).unwrap_err();
        assert!(matches!(seen, Error::AlertReceived(_)), "{seen:?}");
    }
}

/// A server that does not accept early data gets none: the client sends it again.
/// docs/cases.md H06
#[test]
fn early_data_is_not_accepted_and_not_lost() {
    let authority = Authority::new();
    let mut server = ServerConfig::clone(&authority.server_config(TlsVersion::V13));
    server.max_early_data_size = 1024;
    let mut client = ClientConfig::clone(&authority.client_config(TlsVersion::V13));
    client.enable_early_data = true;
    // The first session gets a ticket, the second tries to use it.
    for second in [false, true] {
        let (ours, mut peer) = peer::start(server.clone(), client.clone(), Side::Server);
        let mut ours = ours;
        let mut early = 0;
        if let Connection::Client(client) = &mut peer
            && let Some(mut data) = client.early_data()
        {
            early = io::Write::write(&mut data, b"early").unwrap();
        }
        let (mut input, mut output) = (BytesMut::from(&peer::output_of(&mut peer)[..]), BytesMut::new());
        while ours.advance(&mut input).unwrap() == Progress::NeedInput || peer.is_handshaking() {
            ours.take_output(&mut output);
            peer::feed(&mut peer, &output.split()).unwrap();
            input.extend_from_slice(&peer::output_of(&mut peer));
        }
        ours.take_output(&mut output);
        peer::feed(&mut peer, &output.split()).unwrap();
        if let Connection::Client(client) = &mut peer {
            assert!(!client.is_early_data_accepted(), "second: {second}, {early} bytes early");
        }
        input.extend_from_slice(&peer::data(&mut peer, b"again"));
        let mut session = ours.into_session();
        assert_eq!(peer::read(&mut session, &mut input).0, b"again");
    }
}

#[test]
#[should_panic(expected = "into_session before")]
fn a_session_before_the_handshake_is_complete_is_a_fault_of_the_caller() {
    let configs = configs(TlsVersion::V13);
    let _ = peer::start(configs.0, configs.1, Side::Server).0.into_session();
}
