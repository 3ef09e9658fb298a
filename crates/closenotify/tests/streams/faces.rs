//! The errors and their kinds, as the crate's page lists them, and the types as others use them.

use crate::peer::{self, Configs, EACH, Met, by_hand};
use closenotify::{ReadError, ReceivedEnding, SendError, TlsStream, Truncation, WriteError, client, server};
use std::error::Error as _;
use std::io;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::ReadStep;
use tokio::net::TcpStream;

/// The page that names them is of use only as long as they are there.
#[test]
fn every_test_that_the_page_of_endings_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    for folder in ["tests/streams", "tests/ecosystem"] {
        let Ok(files) = std::fs::read_dir(root.join(folder)) else { continue };
        for file in files {
            tests += &std::fs::read_to_string(file.unwrap().path()).unwrap();
        }
    }
    let page = std::fs::read_to_string(root.join("src/ending.rs")).unwrap();
    let words = |word: &&str| word.matches('_').count() > 2 && word.chars().all(|c| c == '_' || c.is_alphanumeric());
    let names: Vec<_> = page.split('`').filter(words).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("fn {name}(")), "no test is called {name}");
    }
}

#[test]
fn everything_may_cross_threads() {
    fn send_sync<T: Send + Sync + Unpin + 'static>() {}
    send_sync::<client::TlsStream<TcpStream>>();
    send_sync::<server::TlsStream<TcpStream>>();
    send_sync::<TlsStream<TcpStream>>();
    send_sync::<closenotify::ReadHalf<TcpStream>>();
    send_sync::<closenotify::WriteHalf<TcpStream>>();
    send_sync::<closenotify::TlsAcceptor>();
    send_sync::<closenotify::TlsConnector>();
    fn send<T: Send>(_: &T) {}
    fn futures(stream: TlsStream<TcpStream>, other: TlsStream<TcpStream>) {
        send(&stream.close(closenotify::Linger::default()));
        send(&other.end_tls(std::time::Duration::ZERO));
    }
    let _ = futures;
}

#[test]
fn typed_errors_come_out_of_io_errors() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            wire.push_data(peer::broken(&mut peer));
            let error = peer::failed(peer::read(&CountingWaker::new(), &mut stream, 1));
            let read = ReadError::find(&error).unwrap();
            assert!(matches!(read.ending(), ReceivedEnding::Violation(_)));
            assert_eq!(error.to_string(), read.to_string());
            assert!(read.to_string().starts_with("the peer broke the protocol: "), "{read}");
            assert!(read.source().unwrap().is::<closenotify::Violation>());
            assert!(WriteError::find(&error).is_none());
        }
        let foreign = io::Error::other("not ours");
        assert!(ReadError::find(&foreign).is_none() && WriteError::find(&foreign).is_none());
        assert!(ReadError::find(&io::Error::from(io::ErrorKind::NotFound)).is_none());
    });
}

#[test]
fn write_errors_say_what_to_do() {
    assert_eq!(
        WriteError::AfterClose.to_string(),
        "the sending half is closed: nothing can be written after its close_notify"
    );
    assert_eq!(
        WriteError::Send(SendError::KeysExhausted).to_string(),
        "the session's TLS 1.2 keys are used up; reconnect, or use TLS 1.3"
    );
    assert_eq!(WriteError::Zero.to_string(), "the transport accepted no byte of a write");
    assert_eq!(
        WriteError::Overcount { given: 5, reported: 7 }.to_string(),
        "the transport is broken: it was given 5 bytes to write and reported 7 written"
    );
}

/// `Truncation` may be set for all the sessions of an acceptor or a connector.
/// docs/cases.md O04, C08
#[test]
fn truncation_is_inherited_from_the_connector() {
    by_hand(|| {
        let configs = Configs::of(TlsVersion::V13);
        for truncation in [Truncation::Error, Truncation::AsEof] {
            let (wire, handle) = peer::Wire::new();
            let connector = configs.connector().truncation(truncation);
            let mut peer = configs.peer_of(peer::Side::Client);
            let connecting = connector.connect("localhost".try_into().unwrap(), wire);
            let mut stream = peer::shake(connecting, &handle, &mut peer);
            handle.push_read(ReadStep::Eof);
            let polled = peer::read(&CountingWaker::new(), &mut stream, 10);
            match truncation {
                Truncation::Error => assert_eq!(peer::failed(polled).kind(), io::ErrorKind::UnexpectedEof),
                _ => assert_eq!(peer::done(polled), b""),
            }
        }
    });
}

#[test]
fn the_transport_is_in_reach_and_comes_back() {
    by_hand(|| {
        let Met { mut stream, wire, .. } = peer::meet(EACH[0].0, EACH[0].1);
        let _: &peer::Wire = stream.get_ref().0;
        let _: &mut peer::Wire = stream.get_mut().0;
        let version = stream.facts().protocol_version();
        let (transport, facts) = stream.into_inner();
        assert_eq!(facts.protocol_version(), version);
        assert!(!wire.is_write_dropped());
        assert_eq!(wire.written(), b"", "taking it is an abort");
        drop(transport);
        assert!(wire.is_write_dropped());
    });
}

#[test]
fn both_sides_export_the_same_keying_material_also_behind_the_end() {
    by_hand(|| {
        for (version, side) in EACH {
            let Met { mut stream, wire, mut peer } = peer::meet(version, side);
            let theirs = peer.export_keying_material([0; 32], b"EXPORTER-test", Some(b"context")).unwrap();
            let ours = |stream: &TlsStream<peer::Wire>, context: &[u8]| {
                stream.export_keying_material([0; 32], b"EXPORTER-test", Some(context)).unwrap()
            };
            assert_eq!(ours(&stream, b"context"), theirs);
            assert_ne!(ours(&stream, b"another"), theirs);
            assert!(stream.export_keying_material([0; 0], b"EXPORTER-test", None).is_err());

            wire.push_data(peer::close_notify(&mut peer));
            assert_eq!(peer::done(peer::read(&CountingWaker::new(), &mut stream, 1)), b"");
            assert_eq!(ours(&stream, b"context"), theirs);
            let (read, _write) = stream.into_split();
            assert_eq!(read.export_keying_material([0; 32], b"EXPORTER-test", Some(b"context")).unwrap(), theirs);
        }
    });
}
