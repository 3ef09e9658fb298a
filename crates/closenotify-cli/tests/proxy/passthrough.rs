//! TLS that is passed through: led by its server name, terminated by the upstream, and ended on each side as it ended on the other.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use rustls::ClientConnection;
use testkit::certs::TlsVersion;

use crate::bench::{Bench, Served};
use crate::far::{Far, Kind, Listening};
use crate::harness::{LIMIT, collect};
use crate::tls_client::TlsClient;

/// A passthrough route to an upstream with a certificate of its own, and what a session over it has at its two ends.
struct Passed {
    served: Served,
    client: TlsClient,
    upstream: Far,
}

impl Passed {
    fn open(version: TlsVersion, more: &str) -> Self {
        let bench = Bench::new();
        let own = bench.authority.server_config_with(TlsVersion::Both, &bench.authority.issue(&["own.test"]));
        let config = bench.authority.client_config(version);
        let listening = Listening::new(Kind { tls: true, ..Kind::PLAIN }, bench.path("").as_path(), own);
        let served = bench.serve(&format!(
            "[[listener]]
             name = 'web'
             listen = '127.0.0.1:0'
             {more}
             route = [{{ sni = 'own.test', passthrough = 'raw' }}]
             [upstream.raw]
             addresses = '{}'",
            listening.address
        ));
        let address = served.proxy.address;
        // Its handshake is complete only if the certificate is that of the upstream.
        let (client, upstream) = thread::scope(|scope| {
            let client = scope.spawn(move || TlsClient::connect_to(address, config, "own.test".try_into().unwrap()));
            let upstream = listening.accept();
            (client.join().unwrap(), upstream)
        });
        let mut passed = Self { served, client, upstream };
        passed.client.send(b"hello");
        assert_eq!(passed.upstream.read(5), b"hello");
        passed.upstream.send(b"ready");
        assert_eq!(passed.client.read(5), b"ready");
        passed
    }

    /// Closes both ends, and asserts what the line says.
    #[track_caller]
    fn line(self, result: &str, endings: [&str; 4], first: &str) {
        let Self { mut served, client, upstream } = self;
        drop((client, upstream));
        let line = served.session(1);
        line.ended(result, endings, first);
        assert_eq!((line.text("handshake"), line.text("upstream_name")), ("passthrough", "raw"), "{line}");
        assert_eq!((line.text("sni"), line.text("tls_version")), ("own.test", "-"), "{line}");
        served.stop();
    }
}

#[test]
fn passed_through_tls_half_closes_as_it_came() {
    for version in TlsVersion::EACH {
        let mut passed = Passed::open(version, "");
        let end = passed.client.close_notify();
        passed.client.write(&end);
        passed.client.fin();
        assert_eq!(passed.upstream.read_to_end(), (vec![], vec!["close_notify", "fin"]));
        passed.upstream.send(b"answer");
        passed.upstream.end();
        assert_eq!(passed.client.read_to_end(), (b"answer".to_vec(), vec!["close_notify", "fin"]));
        passed.line("complete", ["fin"; 4], "client");
    }
}

#[test]
fn passed_through_fin_stays_a_fin_and_a_missing_close_notify_missing() {
    for version in TlsVersion::EACH {
        let mut passed = Passed::open(version, "");
        passed.upstream.send(b"half an answer");
        passed.upstream.fin();
        assert_eq!(passed.client.read_to_end(), (b"half an answer".to_vec(), vec!["fin"]));
        passed.client.send(b"more");
        passed.client.fin();
        assert_eq!(passed.upstream.read_to_end(), (b"more".to_vec(), vec!["fin"]));
        passed.line("complete", ["fin"; 4], "upstream");
    }
}

#[test]
fn passed_through_reset_is_a_reset_on_the_other_side() {
    for version in TlsVersion::EACH {
        let Passed { mut served, client, mut upstream } = Passed::open(version, "");
        client.reset();
        assert_eq!(upstream.read_to_end(), (vec![], vec!["rst"]));
        served.session(1).ended("request_truncated", ["reset", "reset", "abandoned", "reset"], "client");
        served.stop();

        let Passed { mut served, mut client, mut upstream } = Passed::open(version, "");
        upstream.send(b"half an answer");
        assert_eq!(client.read(14), b"half an answer");
        upstream.reset();
        assert_eq!(client.read_to_end(), (vec![], vec!["rst"]));
        served.session(1).ended("answer_truncated", ["abandoned", "reset", "reset", "reset"], "upstream");
        served.stop();
    }
}

#[test]
fn a_deadline_resets_both_sides_of_tls_that_is_passed_through() {
    for version in TlsVersion::EACH {
        let mut passed = Passed::open(version, "timeouts = { idle = '1s' }");
        assert_eq!(passed.client.read_to_end(), (vec![], vec!["rst"]));
        assert_eq!(passed.upstream.read_to_end(), (vec![], vec!["rst"]));
        passed.line("timed_out", ["timed_out_idle"; 4], "proxy");
    }
}

/// A proxy whose one route is passed through, and where it leads.
fn only_passthrough(bench: Bench, timeouts: &str) -> (Served, Listening) {
    let own = bench.authority.server_config_with(TlsVersion::Both, &bench.authority.issue(&["own.test"]));
    let listening = Listening::new(Kind { tls: true, ..Kind::PLAIN }, bench.path("").as_path(), own);
    let settings = format!(
        "[[listener]]
         name = 'web'
         listen = '127.0.0.1:0'
         {timeouts}
         route = [{{ sni = 'own.test', passthrough = 'raw' }}]
         [upstream.raw]
         addresses = '{}'",
        listening.address
    );
    (bench.serve(&settings), listening)
}

#[test]
fn a_client_hello_in_single_bytes_or_in_records_of_its_own_is_led_by_its_name() {
    for (cut_records, version) in
        [(false, TlsVersion::V12), (true, TlsVersion::V12), (false, TlsVersion::V13), (true, TlsVersion::V13)]
    {
        let (mut served, listening) = only_passthrough(Bench::new(), "");
        let config = served.proxy.authority.client_config(version);
        let address = served.proxy.address;
        thread::scope(|scope| {
            let client = scope.spawn(move || {
                let mut tls = ClientConnection::new(config, "own.test".try_into().unwrap()).unwrap();
                let mut hello = Vec::new();
                tls.write_tls(&mut hello).unwrap();
                if cut_records {
                    // RFC 8446 section 5.1: a handshake message may be spread over records.
                    let fragments = hello[5..].chunks(20);
                    hello = fragments.flat_map(|part| [&[22, 3, 1, 0, part.len() as u8][..], part].concat()).collect();
                }
                let mut socket = TcpStream::connect(address).unwrap();
                socket.set_read_timeout(Some(LIMIT)).unwrap();
                socket.set_nodelay(true).unwrap();
                for byte in hello {
                    socket.write_all(&[byte]).unwrap();
                }
                while tls.is_handshaking() {
                    tls.complete_io(&mut socket).unwrap();
                }
                tls.send_close_notify();
                tls.write_tls(&mut socket).unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
                collect(socket).1
            });
            let mut upstream = listening.accept();
            assert_eq!(upstream.read_to_end(), (vec![], vec!["close_notify", "fin"]));
            upstream.end();
            assert_eq!(client.join().unwrap(), "fin");
        });
        let line = served.session(1);
        assert_eq!((line.text("result"), line.text("sni")), ("complete", "own.test"), "{line}");
        served.stop();
    }
}

#[test]
fn what_is_not_tls_is_not_passed_through() {
    let (mut served, _listening) = only_passthrough(Bench::new(), "timeouts = { handshake = '300ms' }");
    for (number, (bytes, fin, result, word)) in (1..).zip([
        (&b"GET / HTTP/1.1\r\n\r\n"[..], false, "refused", "not_tls_plain_http"),
        (b"SSH-2.0-x\r\n", false, "refused", "not_tls"),
        (b"", true, "refused", "truncated_boundary"),
        (b"\x16\x03\x01\x02\x00\x01", true, "refused", "truncated_inside_record"),
        (b"\x16\x03\x01\x02\x00\x01", false, "timed_out", "timed_out_handshake"),
        (b"", false, "timed_out", "timed_out_handshake"),
    ]) {
        let mut socket = TcpStream::connect(served.proxy.address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.write_all(bytes).unwrap();
        if fin {
            socket.shutdown(Shutdown::Write).unwrap();
        }
        let _alert = socket.read_to_end(&mut Vec::new());
        let line = served.session(number);
        let seen = (line.text("result"), line.text("handshake"), line.text("phase"));
        assert_eq!(seen, (result, word, "handshake"), "{line}");
    }
    served.stop();
}
