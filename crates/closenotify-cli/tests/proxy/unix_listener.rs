//! A listener at a Unix socket. It has no reset: what a client sees of a truncated answer is the missing close_notify.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustls::ClientConnection;
use testkit::certs::TlsVersion;
use testkit::net::reset_on_close;
use testkit::peers::{self, Output, run};

use crate::bench::{Bench, Served};
use crate::haproxy::Haproxy;
use crate::harness::{LIMIT, backend, collect};

fn serve(bench: Bench, address: &str, upstream: &str) -> Served {
    let socket = bench.path("web.sock").display().to_string();
    bench.serve(&format!(
        "[[listener]]
         name = 'local'
         listen = 'unix:{socket}'
         certificates = 'web.pem'
         route = [{{ upstream = 'app' }}]
         [upstream.app]
         addresses = '{address}'
         {upstream}"
    ))
}

fn curl(served: &Served, options: &[&str]) -> Output {
    let mut command = Command::new(peers::curl());
    command.args(["-sS", "--http1.1", "--cacert"]).arg(served.path("ca.pem")).args(options);
    command.arg("--unix-socket").arg(served.path("web.sock")).arg("https://localhost/");
    run(&mut command, b"", LIMIT)
}

#[test]
fn a_complete_answer_is_one_and_the_upstream_learns_that_nobody_is_named() {
    for version in ["v1", "v2"] {
        let bench = Bench::new();
        let frontend = "frontend back\n mode http\n bind BIND accept-proxy\n \
                        http-request return status 200 content-type text/plain lf-string \"%[src] %[fc_rcvd_proxy]\"";
        let haproxy = Haproxy::start(&bench, frontend);
        let header = format!("send_proxy_protocol = '{version}'");
        let mut served = serve(bench, &haproxy.address.to_string(), &header);
        for (number, tls) in [(1, &["--tls-max", "1.2"][..]), (2, &["--tlsv1.3"])] {
            let output = curl(&served, tls);
            assert!(output.status.success(), "{output}");
            // HAProxy uses the address of the connection, as it is to do where the header has none.
            assert_eq!(output.stdout_text(), "127.0.0.1 1", "{output}");
            let line = served.session(number);
            line.ended("complete", ["close_notify", "close_notify", "fin", "fin"], "client");
            assert_eq!((line.text("client"), line.text("listener")), ("unix", "local"), "{line}");
        }
        served.stop();
    }
}

#[test]
fn a_truncated_answer_has_no_close_notify() {
    for version in ["1_2", "1_3"] {
        let (upstream, address) = backend(|mut socket| {
            let mut request = [0; 5];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(b"half an answer").unwrap();
            reset_on_close(&socket);
        });
        let mut served = serve(Bench::new(), &address.to_string(), "");
        let mut command = Command::new(peers::python());
        command.args(["-I", "-c", PYTHON]).args([served.path("web.sock"), served.path("ca.pem")]).arg(version);
        let output = run(&mut command, b"", LIMIT);
        upstream.join().unwrap();
        assert_eq!(output.stdout_text(), "half an answer\nSSLEOFError\n", "{output}");
        let line = served.session(1);
        line.ended("answer_truncated", ["abandoned", "aborted", "reset", "reset"], "upstream");
        served.stop();
    }
}

/// Such a client is told from one that has read everything when it leaves.
#[test]
fn a_client_that_leaves_over_an_unread_answer_did_not_get_it() {
    let (upstream, address) = backend(|mut socket| {
        socket.read_exact(&mut [0; 5]).unwrap();
        socket.write_all(b"an answer").unwrap();
        collect(socket)
    });
    let mut served = serve(Bench::new(), &address.to_string(), "");
    let config = served.proxy.authority.client_config(TlsVersion::V12);
    let mut tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut socket = UnixStream::connect(served.path("web.sock")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    tls.writer().write_all(b"hello").unwrap();
    tls.write_tls(&mut socket).unwrap();
    // In TLS 1.2 the first byte after the handshake is one of the answer.
    socket.read_exact(&mut [0]).unwrap();
    tls.send_close_notify();
    tls.write_tls(&mut socket).unwrap();
    drop(socket);
    assert_eq!(upstream.join().unwrap().1, "fin");
    let line = served.session(1);
    let seen = (line.text("result"), line.text("client_received"), line.text("ended_first"));
    assert_eq!(seen, ("answer_truncated", "close_notify", "client"), "{line}");
    served.stop();
}

/// Prints what comes after `hello`, and what its end is.
const PYTHON: &str = "
import socket, ssl, sys
path, ca, version = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = ssl.TLSVersion['TLSv' + version]
stream = socket.socket(socket.AF_UNIX)
stream.settimeout(20)
stream.connect(path)
stream = context.wrap_socket(stream, server_hostname='localhost', suppress_ragged_eofs=False)
stream.sendall(b'hello')
data = b''
try:
    while True:
        more = stream.recv(65536)
        if not more:
            end = 'close_notify'
            break
        data += more
except ssl.SSLError as error:
    end = type(error).__name__
print(data.decode())
print(end)
";
