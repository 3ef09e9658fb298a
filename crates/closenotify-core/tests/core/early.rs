//! Early data against plain rustls: accepted, refused, too much of it, cut at every byte, replayed, and every end inside it.

use crate::peer;
use bytes::{BufMut as _, Bytes, BytesMut};
use closenotify_core::{
    AlertDescription, EarlyProgress, EarlyRead, Handshake, HandshakeError, Progress, Read, ReceivedEnding, SentEnding,
    Session, TransportEnd, TruncatedAt,
};
use rustls::server::ServerConnection;
use rustls::{ClientConfig, ClientConnection, Connection, Error, PeerMisbehaved, ServerConfig};
use std::io::{IoSlice, Read as _, Write as _};
use testkit::certs::{Authority, TlsVersion};
use testkit::tickets::{early_configs, early_configs_from};

/// What a server of plain rustls gets.
#[derive(Default)]
struct Got {
    early: Vec<u8>,
    plaintext: Vec<u8>,
    accepted: bool,
}

/// A session of our client, which sends `early` first, with a server of plain rustls.
fn say(server: &ServerConfig, client: &ClientConfig, early: &[u8]) -> (Session, ServerConnection, Got) {
    let early = Bytes::copy_from_slice(early);
    let mut ours = Handshake::client_early(client.clone(), "localhost".try_into().unwrap(), early).unwrap();
    let mut peer = ServerConnection::new(server.clone().into()).unwrap();
    let mut got = Got::default();
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    for _ in 0..8 {
        let progress = ours.advance(&mut input).unwrap();
        ours.take_output(&mut output);
        hear(&mut peer, &output.split(), &mut got);
        while peer.wants_write() {
            peer.write_tls(&mut (&mut input).writer()).unwrap();
        }
        if progress == Progress::Complete && !peer.is_handshaking() {
            return (ours.into_session(), peer, got);
        }
    }
    panic!("a handshake takes no more than eight rounds");
}

fn hear(peer: &mut ServerConnection, mut bytes: &[u8], got: &mut Got) {
    while !bytes.is_empty() {
        peer.read_tls(&mut bytes).unwrap();
        peer.process_new_packets().unwrap();
        if let Some(mut early) = peer.early_data() {
            early.read_to_end(&mut got.early).unwrap();
            got.accepted = true;
        }
        let _would_block = peer.reader().read_to_end(&mut got.plaintext);
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// docs/cases.md R26
#[test]
fn a_client_says_all_of_it_once_whatever_the_server_takes() {
    let (server, client) = early_configs(50_000);
    let (mut refusing, mut other_server, mut other_client) = (server.clone(), server.clone(), client.clone());
    refusing.max_early_data_size = 0;
    other_server.alpn_protocols = vec![b"other".to_vec()];
    other_client.alpn_protocols = vec![b"other".to_vec()];
    // That the call is made is enough.
    other_client.enable_early_data = false;
    let (no_ticket_server, no_ticket_client) = early_configs(0);
    for length in [1, 100, EARLY_MOST, EARLY_MOST + 1, 16_384, 16_385, 50_000, 200_000] {
        let payload = bytes(length);
        for (name, server, client) in [
            ("accepted", &server, &client),
            ("another protocol", &other_server, &other_client),
            ("refused", &refusing, &client),
            ("no such ticket", &no_ticket_server, &no_ticket_client),
        ] {
            let case = format!("{length} bytes, {name}");
            let (mut session, mut peer, mut got) = say(server, client, &payload);
            assert_eq!(got.accepted, name == "accepted", "{case}");
            assert_eq!(got.early.len(), if got.accepted { length.min(EARLY_MOST) } else { 0 }, "{case}");
            assert_eq!(session.facts.early_data(), got.accepted.then_some(got.early.len() as u64), "{case}");
            // It comes before everything else, and the session ends as any.
            let mut output = BytesMut::new();
            session.sender.write(&[IoSlice::new(b"more")], &mut output).unwrap();
            assert_eq!(session.sender.close(&mut output), SentEnding::CloseNotify);
            hear(&mut peer, &output, &mut got);
            assert!([got.early, got.plaintext].concat() == [&payload[..], b"more"].concat(), "{case}");
            assert!(peer.process_new_packets().unwrap().peer_has_closed(), "{case}");
        }
    }
}

#[test]
fn in_tls_1_2_what_is_said_first_is_ordinary_data() {
    let authority = Authority::new();
    let (server, client) = (authority.server_config(TlsVersion::V12), authority.client_config(TlsVersion::Both));
    let (session, _, got) = say(&server, &client, &bytes(100_000));
    assert!(got.plaintext == bytes(100_000));
    assert_eq!(session.facts.early_data(), None);
}

#[test]
fn a_retried_hello_takes_no_early_data_and_loses_none() {
    let (mut server, client) = early_configs(50_000);
    let mut provider = (**server.crypto_provider()).clone();
    provider.kx_groups.retain(|group| group.name() == rustls::NamedGroup::secp384r1);
    let leaf = Authority::new().issue(&["localhost"]);
    let storage =
        std::mem::replace(&mut server.session_storage, std::sync::Arc::new(rustls::server::NoServerSessionStorage {}));
    let mut retrying = ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain(), leaf.key_der())
        .unwrap();
    retrying.session_storage = storage;
    retrying.max_early_data_size = 50_000;
    let (session, _, got) = say(&retrying, &client, &bytes(20_000));
    assert!(got.plaintext == bytes(20_000) && !got.accepted);
    assert_eq!((session.facts.early_data(), session.facts.resumed()), (None, true));
}

/// A server of ours, up to where early data begins, and a client of plain rustls whose first flight carries `early`.
struct Met {
    ours: Handshake,
    peer: Connection,
    input: BytesMut,
}

fn meet(server: &ServerConfig, client: &ClientConfig, early: &[&[u8]]) -> Met {
    let ours = Handshake::server_early(server.clone()).unwrap();
    let mut peer = ClientConnection::new(client.clone().into(), "localhost".try_into().unwrap()).unwrap();
    for record in early {
        peer.early_data().expect("there is a ticket").write_all(record).unwrap();
    }
    let mut peer = peer.into();
    let input = BytesMut::from(&peer::output_of(&mut peer)[..]);
    Met { ours, peer, input }
}

impl Met {
    /// Our output to the peer, and its answer back.
    fn carry(&mut self) -> Vec<u8> {
        let mut output = BytesMut::new();
        self.ours.take_output(&mut output);
        let heard = peer::read_at(&mut self.peer, &output);
        assert!(heard.1.is_ok(), "{heard:?}");
        self.input.extend_from_slice(&peer::output_of(&mut self.peer));
        heard.0
    }

    fn read(&mut self, size: usize) -> (Vec<u8>, Result<EarlyRead, HandshakeError>) {
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            match self.ours.read_early(&mut self.input, &mut &mut buffer[..]) {
                Ok(EarlyRead::Data(length)) => all.extend_from_slice(&buffer[..length]),
                other => return (all, other),
            }
        }
    }
}

#[test]
fn early_data_is_heard_and_answered_before_the_client_has_finished() {
    let (server, client) = early_configs(50_000);
    for size in [1, 7, 64 * 1024] {
        let mut met = meet(&server, &client, &[b"hello ", &bytes(16_384)]);
        assert_eq!(met.ours.advance_to_early(&mut met.input), Ok(EarlyProgress::EarlyData));
        let payload = [b"hello ", &bytes(16_384)[..]].concat();
        assert!(met.read(size) == (payload.clone(), Ok(EarlyRead::NeedInput)));
        let facts = met.ours.facts();
        assert_eq!((facts.resumed(), facts.server_name()), (true, Some("localhost")));
        let mut output = BytesMut::new();
        assert_eq!(met.ours.write_early(&[IoSlice::new(b"answer")], &mut output), Some(6));
        let (answer, _) = peer::read_at(&mut met.peer, &output);
        assert_eq!(answer, b"answer");
        // The client's Finished is on its way; only now is it the end.
        assert_eq!(met.read(size), (Vec::new(), Ok(EarlyRead::NeedInput)));
        assert_eq!(met.carry(), b"");
        assert_eq!(met.read(size), (Vec::new(), Ok(EarlyRead::Ended)));
        assert_eq!(met.read(size), (Vec::new(), Ok(EarlyRead::Ended)));
        assert_eq!(met.carry(), b"");
        // Both sides end as in any session.
        let Met { ours, mut peer, mut input } = met;
        let mut session = ours.into_session();
        assert_eq!(session.facts.early_data(), Some(payload.len() as u64));
        input.extend_from_slice(&peer::data(&mut peer, b"more"));
        input.extend_from_slice(&peer::close_notify(&mut peer));
        assert_eq!(peer::read(&mut session, &mut input), (b"more".to_vec(), Read::Ended, peer::nothing()));
        assert_eq!(session.receiver.ending(), Some(&ReceivedEnding::CloseNotify));
        let mut output = BytesMut::new();
        assert_eq!(session.sender.close(&mut output), SentEnding::CloseNotify);
        assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(true)));
    }
}

#[test]
fn early_data_that_was_not_read_is_what_the_session_begins_with() {
    let (server, client) = early_configs(50_000);
    for read_first in [0, 3, 100] {
        let mut met = meet(&server, &client, &[b"hello ", b"world"]);
        assert_eq!(met.ours.advance_to_early(&mut met.input), Ok(EarlyProgress::EarlyData));
        let mut first = vec![0; read_first];
        let mut read = 0;
        if read_first > 0 {
            let Ok(EarlyRead::Data(length)) = met.ours.read_early(&mut met.input, &mut &mut first[..]) else {
                panic!()
            };
            read = length;
        }
        assert_eq!(met.ours.advance(&mut met.input), Ok(Progress::NeedInput));
        let _ = met.carry();
        assert_eq!(met.ours.advance(&mut met.input), Ok(Progress::Complete));
        let _ = met.carry();
        let Met { ours, mut peer, mut input } = met;
        let mut session = ours.into_session();
        assert_eq!(session.facts.early_data(), Some(11));
        input.extend_from_slice(&peer::data(&mut peer, b", and more"));
        let mut early = Vec::new().limit(2);
        assert_eq!(session.receiver.read_early(&mut early), 2);
        let mut all = [&first[..read], early.get_ref()].concat();
        let _ = peer::read_all(&mut session.receiver, &mut input, 4, &mut all);
        assert_eq!(String::from_utf8(all).unwrap(), "hello world, and more");
        assert_eq!(session.receiver.read_early(&mut Vec::new()), 0);
    }
}

#[test]
fn a_server_says_nothing_early_unless_it_may() {
    let (mut server, client) = early_configs(50_000);
    server.send_half_rtt_data = false;
    let mut met = meet(&server, &client, &[b"hello"]);
    assert_eq!(met.ours.advance_to_early(&mut met.input), Ok(EarlyProgress::EarlyData));
    let mut output = BytesMut::new();
    assert_eq!(met.ours.write_early(&[IoSlice::new(b"answer")], &mut output), None);
    assert_eq!(met.read(9), (b"hello".to_vec(), Ok(EarlyRead::NeedInput)));
    let _ = met.carry();
    assert_eq!(met.read(9), (Vec::new(), Ok(EarlyRead::Ended)));
    assert_eq!(met.ours.write_early(&[IoSlice::new(b"answer")], &mut output), Some(6));
    // Without early data it may not either: there was no ticket.
    let (server, mut client) = early_configs(50_000);
    client.resumption = rustls::client::Resumption::disabled();
    let mut met = meet(&server, &client, &[]);
    assert_eq!(met.ours.advance_to_early(&mut met.input), Ok(EarlyProgress::NeedInput));
    assert_eq!(met.ours.write_early(&[IoSlice::new(b"answer")], &mut output), None);
    let _ = met.carry();
    assert_eq!(met.ours.advance_to_early(&mut met.input), Ok(EarlyProgress::Complete));
    assert_eq!(met.read(9), (Vec::new(), Ok(EarlyRead::Ended)));
}

#[test]
fn too_much_early_data_is_refused() {
    let (mut server, client) = early_configs(50_000);
    server.max_early_data_size = 10;
    for step in [false, true] {
        let mut met = meet(&server, &client, &[b"12345", b"67890", b"1"]);
        let expected = HandshakeError::Refused(Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived));
        if step {
            assert_eq!(met.read(100), (b"1234567890".to_vec(), Err(expected)));
        } else {
            assert_eq!(met.ours.advance(&mut met.input), Err(expected));
        }
        let mut output = BytesMut::new();
        met.ours.take_output(&mut output);
        let (_, told) = peer::read_at(&mut met.peer, &output);
        assert_eq!(told, Err(Error::AlertReceived(rustls::AlertDescription::UnexpectedMessage)));
    }
}

#[test]
fn a_client_that_showed_its_certificate_is_known_in_the_early_data() {
    let authority = Authority::new();
    let leaf = authority.issue_client("alice");
    let server = ServerConfig::clone(&authority.server_config_requiring_client(TlsVersion::V13));
    let client = ClientConfig::clone(&authority.client_config_with(TlsVersion::V13, &leaf));
    let (server, client) = early_configs_from(server, client, 1000, 1);
    let mut met = meet(&server, &client, &[b"hello"]);
    assert_eq!(met.ours.advance_to_early(&mut met.input), Ok(EarlyProgress::EarlyData));
    assert_eq!(met.ours.facts().peer_certificates(), Some(leaf.chain().as_slice()));
    let mut output = BytesMut::new();
    assert_eq!(met.ours.write_early(&[IoSlice::new(b"hello alice")], &mut output), Some(11));
    assert_eq!(peer::read_at(&mut met.peer, &output).0, b"hello alice");
}

#[test]
fn a_request_cut_at_any_byte_never_looks_whole() {
    let authority = Authority::new();
    let server = ServerConfig::clone(&authority.server_config(TlsVersion::V13));
    let client = ClientConfig::clone(&authority.client_config(TlsVersion::V13));
    let (server, client) = early_configs_from(server, client, 50_000, 1_000);
    let payload: [&[u8]; 3] = [b"GET /", b" HTTP/1.1", b"\r\n\r\n"];
    let mut cuts = 0;
    let mut cut = 0;
    loop {
        let mut met = meet(&server, &client, &payload);
        let first = met.input.split();
        // Everything that the client sends, its Finished included.
        let mut rest = Vec::new();
        let (mut early, mut result) = (Vec::new(), Ok(EarlyRead::NeedInput));
        if cut > first.len() {
            met.input.extend_from_slice(&first);
            (early, result) = met.read(100);
            let _ = met.carry();
            rest = met.input.split().to_vec();
        }
        let complete = first.len() + rest.len();
        let case = format!("cut at {cut} of {complete}");
        let sent = [&first[..], &rest].concat();
        met.input.extend_from_slice(if cut > first.len() { &rest[..cut - first.len()] } else { &first[..cut] });
        let (more, last) = met.read(100);
        early.extend(more);
        assert_eq!(result, Ok(EarlyRead::NeedInput));
        // What was delivered are the complete records before the cut.
        let mut start = 0;
        let ends: Vec<usize> = peer::records(&sent)
            .iter()
            .map(|record| {
                start += record.len();
                start
            })
            .collect();
        let early_records = ends.iter().filter(|end| **end <= cut).count().saturating_sub(ends_before_early(&first));
        assert_eq!(early, payload[..early_records.min(3)].concat(), "{case}");
        if cut > first.len() && cut == complete {
            assert_eq!(last, Ok(EarlyRead::Ended), "{case}");
            break;
        }
        assert_eq!(last, Ok(EarlyRead::NeedInput), "{case}");
        let at = if cut == 0 || ends.contains(&cut) { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord };
        let ended = |end| met.ours.transport_ended(end, &met.input);
        assert_eq!(ended(TransportEnd::Eof), HandshakeError::Truncated { at, silent: cut == 0 }, "{case}");
        assert_eq!(ended(TransportEnd::Reset), HandshakeError::Reset);
        cut += 1;
        cuts += 1;
    }
    assert!(cuts > 400, "{cuts} cuts");
}

/// How many records there are before the early data: the ClientHello, and a ChangeCipherSpec for old middleboxes.
fn ends_before_early(first: &[u8]) -> usize {
    peer::records(first).iter().take_while(|record| record[0] != 23).count()
}

#[test]
fn an_end_of_tls_inside_early_data_is_an_error() {
    let (server, client) = early_configs(50_000);
    for (end, alert) in [
        (peer::close_notify as fn(&mut Connection) -> Vec<u8>, AlertDescription::CLOSE_NOTIFY),
        (peer::fatal_alert, AlertDescription::DECODE_ERROR),
    ] {
        for read in [false, true] {
            let mut met = meet(&server, &client, &[b"hello"]);
            met.input.extend_from_slice(&end(&mut met.peer));
            met.input.extend_from_slice(b"behind");
            if read {
                assert_eq!(met.read(100), (b"hello".to_vec(), Err(HandshakeError::Alert(alert))));
            } else {
                assert_eq!(met.ours.advance(&mut met.input), Err(HandshakeError::Alert(alert)));
            }
            assert!(met.read(100).1.is_err(), "it stays");
        }
    }
}

/// An attacker who recorded a session can replay its early data, but never make it look complete: that needs a Finished.
#[test]
fn a_replay_never_looks_whole() {
    let (server, client) = early_configs(50_000);
    let mut met = meet(&server, &client, &[b"pay 100"]);
    let first = met.input.clone();
    assert_eq!(met.read(100).0, b"pay 100");
    let _ = met.carry();
    let rest = met.input.clone();
    assert_eq!(met.read(100).1, Ok(EarlyRead::Ended));

    let mut replay = meet(&server, &client, &[]);
    replay.input = first;
    assert_eq!(replay.read(100), (b"pay 100".to_vec(), Ok(EarlyRead::NeedInput)));
    replay.input = rest;
    assert_eq!(replay.read(100), (Vec::new(), Err(HandshakeError::Refused(Error::DecryptError))));
}

/// What our client sends early if the ticket allows 16 KiB or more.
const EARLY_MOST: usize = 16_384 / 4 - 17;

/// Whether a client that has sent `payload` early meets a server of plain rustls, which reads what follows the first flight in
/// pieces of `piece` bytes.
fn met(
    server: &ServerConfig,
    mut flight: impl FnMut(&[u8]) -> Vec<u8>,
    piece: usize,
    payload: &[u8],
) -> Result<(), Error> {
    let mut peer: Connection = ServerConnection::new(server.clone().into()).unwrap().into();
    let mut got = Vec::new();
    let mut hear = |peer: &mut Connection, mut bytes: &[u8]| {
        while !bytes.is_empty() {
            peer.read_tls(&mut bytes).map_err(|error| Error::General(error.to_string()))?;
            peer.process_new_packets()?;
            let _would_block = peer.reader().read_to_end(&mut got);
        }
        Ok::<(), Error>(())
    };
    hear(&mut peer, &flight(&[]))?;
    let second = flight(&peer::output_of(&mut peer));
    second.chunks(piece).try_for_each(|bytes| hear(&mut peer, bytes))?;
    assert!(!peer.is_handshaking() && got == payload, "{} of {} bytes", got.len(), payload.len());
    Ok(())
}

/// A client of ours: its response to what it receives.
fn ours(client: &ClientConfig, payload: &[u8]) -> impl FnMut(&[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(payload);
    let mut client = Handshake::client_early(client.clone(), "localhost".try_into().unwrap(), payload).unwrap();
    move |heard| {
        let mut output = BytesMut::new();
        client.advance(&mut heard.into()).unwrap();
        client.take_output(&mut output);
        output.to_vec()
    }
}

/// A client of plain rustls, which sends `early` early and again after the handshake.
fn theirs(client: &ClientConfig, early: &[u8]) -> impl FnMut(&[u8]) -> Vec<u8> {
    let mut client = ClientConnection::new(client.clone().into(), "localhost".try_into().unwrap()).unwrap();
    let early = early.to_vec();
    client.early_data().unwrap().write_all(&early).unwrap();
    let mut client: Connection = client.into();
    move |heard| {
        peer::feed(&mut client, heard).unwrap();
        let mut output = peer::output_of(&mut client);
        if !client.is_handshaking() {
            output.extend(early.chunks(16_384).flat_map(|record| peer::data(&mut client, record)));
        }
        output
    }
}

/// Both as they are after the server has chosen another protocol than the ticket was made for.
fn refusing(limit: u32, ticket: u32) -> (ServerConfig, ClientConfig) {
    let (mut server, mut client) = early_configs(ticket);
    server.max_early_data_size = limit;
    server.alpn_protocols = vec![b"other".to_vec()];
    client.alpn_protocols = vec![b"other".to_vec()];
    (server, client)
}

/// docs/cases.md R26
#[test]
fn no_refusal_by_rustls_fails_a_session_of_our_client() {
    for (limit, ticket) in [(1_000_000, 1_000_000), (0, 1_000_000), (50_000, 50_000), (1_000, 1_000), (50, 50), (1, 1)]
    {
        for length in [1, 20, 300, 4_000, 5_000, 20_000, 200_000] {
            for piece in [1_460, 1_000_000] {
                let (server, client) = refusing(limit, ticket);
                let payload = bytes(length);
                let result = met(&server, ours(&client, &payload), piece, &payload);
                assert_eq!(result, Ok(()), "{limit}, {ticket}, {length} bytes, in pieces of {piece}");
            }
        }
    }
}

/// The ticket is not known any more, and the client shows its certificate again: that flight is long, and comes in pieces.
#[test]
fn no_refusal_fails_a_client_with_a_certificate() {
    let authority = Authority::new();
    let leaf = authority.issue_client("alice");
    let server = ServerConfig::clone(&authority.server_config_requiring_client(TlsVersion::V13));
    let client = ClientConfig::clone(&authority.client_config_with(TlsVersion::V13, &leaf));
    let (mut server, client) = early_configs_from(server, client, 16_384, 1_000);
    server.session_storage = rustls::server::ServerSessionMemoryCache::new(10);
    for piece in [500, 1_460, 1_000_000] {
        let payload = bytes(20_000);
        assert_eq!(met(&server, ours(&client, &payload), piece, &payload), Ok(()), "in pieces of {piece}");
    }
}

/// rustls 0.23 keeps the records that it skips, up to some 18 KB, and counts all of them against its limit anew whenever more
/// arrives. What it cannot skip fails the server's handshake: nothing counts as sent. When this test fails because more works,
/// `connect_early` can say more early, and the page of `accept_early` can promise more.
#[test]
fn a_refusal_of_more_than_rustls_can_skip_fails_the_handshake() {
    for (limit, works, fails) in
        [(0, 8_175, 8_176), (1_000, 483, 484), (50_000, 16_384, 19_000), (900_000, 18_000, 19_000)]
    {
        let (server, client) = refusing(limit, 1_000_000);
        for (length, works) in [(works, true), (fails, false)] {
            let payload = bytes(length);
            let result = met(&server, theirs(&client, &payload), 1_000_000, &payload);
            assert_eq!(result.is_ok(), works, "{limit}, {length} bytes: {result:?}");
        }
    }
}
