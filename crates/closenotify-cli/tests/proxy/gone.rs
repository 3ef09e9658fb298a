//! Clients that leave by a reset, at each moment of a session, and upstreams that are black holes: noticed, and called by their
//! name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use testkit::certs::TlsVersion;

use crate::harness::{LIMIT, Proxy, backend, collect};
use crate::site::{Site, app, echo, listener, metric, until};
use crate::tls_client::TlsClient;

/// Deadlines that must not pass.
const NEVER: [&str; 6] = ["--idle-timeout", "1h", "--half-close-timeout", "1h", "--connect-timeout", "1h"];

/// Leaves by a reset.
fn reset(client: TlsClient) {
    SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
}

/// An address at which connecting is never answered: its queue is full. It stays so with what is returned.
fn black_hole() -> (SocketAddr, impl Drop) {
    struct Full {
        _listener: Socket,
        _waiting: Vec<Socket>,
    }
    impl Drop for Full {
        fn drop(&mut self) {}
    }
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..3).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&address);
        socket
    });
    let full = Full { _waiting: waiting.collect(), _listener: listener };
    (address.as_socket().unwrap(), full)
}

#[test]
fn reset_of_a_client_while_its_answer_flows_is_the_clients() {
    for version in TlsVersion::EACH {
        let (upstream, address) = backend(|mut socket| {
            // Until nobody takes it any more.
            while socket.write_all(&[7; 10_000]).is_ok() {}
        });
        let mut proxy = Proxy::start(address, &NEVER);
        let mut client = TlsClient::connect(&proxy, version);
        client.read(50_000);
        reset(client);
        upstream.join().unwrap();
        let session = proxy.session(1);
        let [received, sent, ..] = session.endings();
        assert_eq!((received, session.first()), ("reset", "client"), "{session:#?}");
        assert!(sent.starts_with("failed_"), "not by us: {session:#?}");
        proxy.stop();
    }
}

#[test]
fn reset_of_a_client_is_noticed_while_its_upload_is_blocked() {
    let (gone, is_gone) = mpsc::channel();
    let (upstream, address) = backend(move |socket: TcpStream| {
        // It reads nothing until the client has left.
        is_gone.recv_timeout(LIMIT).unwrap();
        collect(socket).1
    });
    // What came before the reset may be complete, and is kept for the upstream within this time.
    let mut proxy = Proxy::start(address, &["--idle-timeout", "1h", "--half-close-timeout", "500ms"]);
    let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
    client.socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    loop {
        let part = client.seal(&[7; 100_000]);
        if client.socket.write_all(&part).is_err() {
            break;
        }
    }
    reset(client);
    let session = proxy.session(1);
    assert_eq!((session.endings()[0], session.first()), ("reset", "client"), "{session:#?}");
    gone.send(()).unwrap();
    assert_eq!(upstream.join().unwrap(), "rst", "what it did not get is not complete");
    proxy.stop();
}

#[test]
fn reset_of_a_client_is_noticed_while_the_upstream_is_being_reached() {
    let (address, _full) = black_hole();
    let mut proxy = Proxy::start(address, &[&NEVER[..], &["--admin", "127.0.0.1:0"]].concat());
    let admin = proxy.admin();
    let client = TlsClient::connect(&proxy, TlsVersion::V13);
    until("session", || (metric(&admin, "closenotify_sessions") == 1.0).then_some(()));
    reset(client);
    let session = proxy.session(1);
    assert_eq!((session.phase.as_str(), session.first()), ("connect", "client"), "{session:#?}");
    assert_eq!(session.reason.as_deref(), Some("client: it left while the upstream was being reached"));
    proxy.stop();
}

#[test]
fn black_hole_is_followed_by_the_next_address_and_a_second_signal_waits_for_neither() {
    let (hole, _full) = black_hole();
    let addresses = |all: &str| app(echo()).lines().next().unwrap().to_owned() + &format!("\naddresses = [{all}]\n");
    let site = Site::new(&(listener("web", "127.0.0.1:0") + &addresses(&format!("'{hole}', '{}'", echo()))));
    let proxy = site.start();
    site.client().ask(proxy.address).unwrap();
    site.client().ask(proxy.address).unwrap();
    proxy.stop();

    let settings = listener("web", "127.0.0.1:0").replace("certificates", "timeouts.connect = '1h'\ncertificates");
    let site = Site::new(&format!("process.drain = '1h'\n{settings}{}", addresses(&format!("'{hole}'"))));
    let mut proxy = site.start();
    let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
    proxy.terminate();
    proxy.wait_until_draining();
    proxy.terminate();
    assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
    assert_eq!(proxy.session(1).phase, "connect");
    assert_eq!(proxy.wait().code, Some(5));
}

/// Whoever has the port, and is no TLS client, is not kept waiting for an answer.
#[test]
fn what_is_no_tls_is_told_so_and_closed() {
    let mut proxy = Proxy::demo(&[]);
    let mut socket = TcpStream::connect(proxy.address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&21), "a fatal alert: {answer:?}");
    drop(socket);
    assert_eq!(proxy.session(1).phase, "handshake");
    proxy.stop();
}
