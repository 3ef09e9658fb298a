//! What no proxy can see, as docs/endings.md says it: two truncated streams that look complete to their receivers.
//!
//! The tests hold the page to the truth. Neither is a wish.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;

use tempfile::TempDir;
use testkit::certs::TlsVersion;

use crate::harness::{LIMIT, Proxy};
use crate::tls_client::TlsClient;

/// The kernel of a dead process that had read everything sends FIN, as after a complete answer.
#[test]
fn an_upstream_that_is_killed_in_its_answer_looks_complete() {
    for version in TlsVersion::EACH {
        let mut upstream =
            Command::new("python3").args(["-c", KILLED]).stdout(Stdio::piped()).spawn().expect("python3 is installed");
        let mut port = String::new();
        BufReader::new(upstream.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let mut proxy = Proxy::start(format!("127.0.0.1:{}", port.trim()).parse().unwrap(), &[]);
        let mut client = TlsClient::connect(&proxy, version);
        client.send(b"hello");
        assert_eq!(client.read_to_end(), (vec![b'x'; 1000], vec!["close_notify", "fin"]));
        let end = client.close_notify();
        client.write(&end);
        drop(client);
        assert_eq!(proxy.session(1).endings(), ["close_notify", "close_notify", "fin", "fin"]);
        assert!(!upstream.wait().unwrap().success(), "it was killed");
        proxy.stop();
    }
}

/// There is no reset on a Unix socket. The log still says that the request was truncated.
#[test]
fn a_truncated_request_looks_complete_to_an_upstream_at_a_unix_socket() {
    for version in TlsVersion::EACH {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let upstream = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            let mut request = Vec::new();
            socket.read_to_end(&mut request).map(|_| request)
        });
        let mut proxy = Proxy::launch(Some(&format!("unix:{}", path.display())), &["--log", "json"]);
        let mut client = TlsClient::connect(&proxy, version);
        client.send(b"half a request");
        drop(client);
        assert_eq!(upstream.join().unwrap().unwrap(), b"half a request", "and no error after it");
        let line = proxy.line("session", |line| line.contains("\"session\"").then(|| line.to_owned()));
        assert!(line.starts_with("{\"result\":\"request_truncated\","), "{line}");
        assert!(line.contains("\"upstream_sent\":\"reset\""), "{line}");
        proxy.stop();
        fs::remove_file(path).unwrap();
    }
}

/// Reads a request, sends a part of the answer, and is killed.
const KILLED: &str = "
import os, signal, socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
upstream, _ = listener.accept()
assert upstream.recv(5, socket.MSG_WAITALL) == b'hello'
upstream.sendall(b'x' * 1000)
os.kill(os.getpid(), signal.SIGKILL)
";
