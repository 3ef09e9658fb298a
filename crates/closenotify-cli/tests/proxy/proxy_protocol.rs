//! The PROXY protocol on the wire: headers of a real HAProxy and to one, headers that are forged, malformed or missing, and what
//! the line and the upstream learn from them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;
use testkit::certs::TlsVersion;
use testkit::net::reset_on_close;
use testkit::peers::{self, run};

use crate::bench::{Bench, Served, sink};
use crate::far::{Kind, Listening};
use crate::haproxy::Haproxy;
use crate::harness::LIMIT;
use crate::tls_client::TlsClient;

/// A proxy that expects headers from `networks`, with more settings of its listener and of its upstream.
fn behind(bench: Bench, networks: &str, listener: &str, address: &str, upstream: &str) -> Served {
    bench.serve(&format!(
        "[[listener]]
         name = 'web'
         listen = '127.0.0.1:0'
         certificates = 'web.pem'
         accept_proxy_protocol = '{networks}'
         route = [{{ upstream = 'app' }}]
         {listener}
         [upstream.app]
         addresses = '{address}'
         {upstream}"
    ))
}

#[test]
fn a_header_of_haproxy_names_the_client() {
    for send in ["send-proxy", "send-proxy-v2"] {
        let bench = Bench::new();
        let mut served = behind(Bench::new(), "127.0.0.0/8", "", &sink().to_string(), "");
        let ours = served.proxy.address;
        let frontend = format!("listen front\n mode tcp\n bind BIND\n server ours {ours} {send}");
        let haproxy = Haproxy::start(&bench, &frontend);
        let config = served.proxy.authority.client_config(TlsVersion::V13);
        let mut client = TlsClient::connect_to(haproxy.address, config, ours.ip().into());
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(client.read_to_end(), (vec![], vec!["close_notify", "fin"]));
        let itself = client.socket.local_addr().unwrap().to_string();
        drop(client);
        let line = served.session(1);
        line.ended("complete", ["close_notify", "close_notify", "fin", "fin"], "client");
        assert_eq!(line.text("client"), itself, "{line}");
        let by: SocketAddr = line.text("proxied_by").parse().unwrap();
        assert!(by.ip() == ours.ip() && by.to_string() != itself, "{line}");
        served.stop();
    }
}

#[test]
fn haproxy_takes_our_header_and_answers_the_client_that_it_names() {
    for (version, authority) in [("v1", ""), ("v2", "app.test")] {
        let bench = Bench::new();
        let frontend = "frontend back\n mode http\n bind BIND accept-proxy\n \
                        http-request return status 200 content-type text/plain \
                        lf-string \"%[src]:%[src_port] %[fc_rcvd_proxy] %[fc_pp_authority]\"";
        let haproxy = Haproxy::start(&bench, frontend);
        let mut served = behind(
            Bench::new(),
            "10.0.0.0/8",
            "",
            &haproxy.address.to_string(),
            &format!("send_proxy_protocol = '{version}'"),
        );
        for (session, tls) in [(1, "1.2"), (2, "1.3")] {
            let mut command = Command::new(peers::curl());
            command.args(["-sSk", "--http1.1", &format!("--tlsv{tls}"), "--tls-max", tls]);
            command.args(["--connect-to", &format!("::{}", served.proxy.address), "https://app.test/"]);
            let output = run(&mut command, b"", LIMIT);
            assert!(output.status.success(), "{output}");
            let line = served.session(session);
            assert_eq!(output.stdout_text().trim_end(), format!("{} 1 {authority}", line.text("client")).trim_end());
            assert_eq!((line.text("result"), line.text("proxied_by")), ("complete", "-"), "{line}");
        }
        served.stop();
    }
}

/// Sends `header`, and goes on with a handshake.
fn after(header: &[u8], address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(header).unwrap();
    TlsClient::over(socket, Arc::clone(config), address.ip().into())
}

/// The header of version 2 with this command, family and block.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

#[test]
fn the_named_client_is_in_the_line_and_in_the_header_for_the_upstream() {
    let bench = Bench::new();
    let kind = Kind { header: true, ..Kind::PLAIN };
    let listening = Listening::new(kind, bench.path("").as_path(), bench.authority.server_config(TlsVersion::Both));
    let mut served = behind(bench, "127.0.0.1", "", &listening.address, "send_proxy_protocol = 'v2'");
    let (address, config) = (served.proxy.address, served.proxy.authority.client_config(TlsVersion::V13));
    let ipv6 =
        [&[0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 15], &[2, 0x1F, 0x90, 1, 0xBB]].concat();
    for (session, (header, client, family, block)) in (1..).zip([
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(), "192.0.2.7:4711", 0x11, None),
        (v2(1, 0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB]), "192.0.2.7:4711", 0x11, None),
        (v2(1, 0x21, &ipv6), "[2001:db8::1]:8080", 0x21, Some(&ipv6)),
    ]) {
        let mut client_end = after(&header, address, &config);
        let mut upstream = listening.accept();
        upstream.end();
        let end = client_end.close_notify();
        client_end.write(&end);
        assert_eq!(client_end.read_to_end(), (vec![], vec!["close_notify", "fin"]));
        assert_eq!(upstream.header[12..14], [0x21, family]);
        let expected = block.map_or(&[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB][..], |block| block);
        assert_eq!(upstream.header[16..16 + expected.len()], *expected);
        let itself = client_end.socket.local_addr().unwrap().to_string();
        drop((client_end, upstream));
        let line = served.session(session);
        let seen = (line.text("result"), line.text("client"), line.text("proxied_by"));
        assert_eq!(seen, ("complete", client, itself.as_str()), "{line}");
    }
    // A health check speaks for itself.
    for (session, header) in [(4, v2(0, 0, &[])), (5, b"PROXY UNKNOWN\r\n".to_vec())] {
        let mut client = after(&header, address, &config);
        listening.accept().end();
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(client.read_to_end(), (vec![], vec!["close_notify", "fin"]));
        let itself = client.socket.local_addr().unwrap().to_string();
        drop(client);
        let line = served.session(session);
        assert_eq!((line.text("client"), line.text("proxied_by")), (itself.as_str(), itself.as_str()), "{line}");
    }
    served.stop();
}

#[test]
fn what_tls_agreed_on_is_in_the_header_for_the_upstream() {
    let bench = Bench::new();
    let kind = Kind { header: true, ..Kind::PLAIN };
    let listening = Listening::new(kind, bench.path("").as_path(), bench.authority.server_config(TlsVersion::Both));
    let ops = bench.authority.issue_client("ops.test");
    let configs = TlsVersion::EACH.map(|version| {
        let mut config = ClientConfig::clone(&bench.authority.client_config_with(version, &ops));
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    });
    let settings = "alpn = ['h2']\nclient_auth = { mode = 'required', ca = 'ca.pem' }";
    let served = behind(bench, "10.0.0.0/8", settings, &listening.address, "send_proxy_protocol = 'v2'");
    for (config, version) in configs.into_iter().zip(["TLSv1.2", "TLSv1.3"]) {
        let client = TlsClient::connect_to(served.proxy.address, config, "localhost".try_into().unwrap());
        let upstream = listening.accept();
        let tlvs = tlvs(&upstream.header[28..]);
        let value = |tlvs: &[(u8, Vec<u8>)], wanted: u8| {
            let found = tlvs.iter().find(|(kind, _)| *kind == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("no {wanted:#x} in {tlvs:?}"))
        };
        assert_eq!(value(&tlvs, 0x01), b"h2");
        assert_eq!(value(&tlvs, 0x02), b"localhost");
        let tls = value(&tlvs, 0x20);
        // TLS, a certificate in this connection and in this session; it was verified.
        assert_eq!(tls[..5], [0x07, 0, 0, 0, 0]);
        let inner = self::tlvs(&tls[5..]);
        assert_eq!(value(&inner, 0x21), version.as_bytes());
        assert_eq!(value(&inner, 0x22), b"ops.test");
        drop((client, upstream));
    }
    served.stop();
}

fn tlvs(mut block: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    while let [kind, high, low, rest @ ..] = block {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        all.push((*kind, rest[..length].to_vec()));
        block = &rest[length..];
    }
    assert!(block.is_empty());
    all
}

/// What comes after these bytes until the end of the connection.
fn answer_to(address: SocketAddr, bytes: &[u8], end: impl FnOnce(&TcpStream)) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(bytes).unwrap();
    end(&socket);
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map(|_| answer)
}

#[test]
fn a_header_from_a_network_that_is_not_trusted_is_no_header() {
    let mut served = behind(Bench::new(), "10.0.0.0/8", "", &sink().to_string(), "");
    let address = served.proxy.address;
    for (session, header) in [
        (1, b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec()),
        (2, v2(1, 0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB])),
    ] {
        let _any = answer_to(address, &header, |_| {});
        let line = served.session(session);
        let seen = (line.text("result"), line.text("phase"), line.text("proxied_by"));
        assert_eq!(seen, ("refused", "handshake", "-"), "{line}");
        assert!(line.text("client").starts_with("127.0.0.1:"), "{line}");
        assert_eq!(line.text("handshake"), "not_tls", "{line}");
        line.says(&["not TLS"]);
    }
    served.stop();
}

#[test]
fn a_header_that_is_malformed_missing_or_incomplete_is_refused_in_words() {
    let mut served = behind(Bench::new(), "127.0.0.0/8", "", &sink().to_string(), "");
    let address = served.proxy.address;
    let tls = [0x16, 3, 1, 0, 100, 1, 0, 0, 96];
    let fin = |socket: &TcpStream| socket.shutdown(Shutdown::Write).unwrap();
    for (session, (bytes, ends, word, reason)) in (1..).zip([
        (tls.to_vec(), false, "proxy_header_missing", "begins with TLS, without a PROXY protocol header"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), false, "proxy_header_missing", "without a PROXY protocol header"),
        (b"PROXY TCP4 192.0.2.7 443\r\n".to_vec(), false, "proxy_header_malformed", "malformed PROXY protocol header"),
        (b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n".to_vec(), false, "proxy_header_malformed", "malformed"),
        ([b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(), false, "proxy_header_malformed", "malformed"),
        (v2(1, 0x11, &[1, 2, 3]), false, "proxy_header_malformed", "malformed"),
        (v2(7, 0x11, &[0; 12]), false, "proxy_header_malformed", "malformed"),
        (vec![], true, "proxy_header_silent", "disconnected without sending"),
        (b"PROXY TCP4 192".to_vec(), true, "proxy_header_truncated", "after 14 bytes"),
    ]) {
        let _any = answer_to(address, &bytes, |socket| {
            if ends {
                fin(socket);
            }
        });
        let line = served.session(session);
        let seen = (line.text("result"), line.text("handshake"), line.text("phase"), line.text("proxied_by"));
        assert_eq!(seen, ("refused", word, "handshake", "-"), "{line}");
        line.says(&[reason]);
    }
    // A load balancer's check by a reset.
    let socket = TcpStream::connect(address).unwrap();
    reset_on_close(&socket);
    drop(socket);
    let line = served.session(10);
    assert_eq!(line.text("result"), "refused", "{line}");
    assert!(line.text("handshake").starts_with("proxy_header_"), "{line}");
    served.stop();
}

#[test]
fn a_header_that_never_comes_ends_with_the_handshake_deadline() {
    let timeouts = "timeouts = { handshake = '300ms' }";
    let mut served = behind(Bench::new(), "127.0.0.0/8", timeouts, &sink().to_string(), "");
    for (session, begun) in [(1, &b""[..]), (2, b"PROXY TCP4 ")] {
        let _any = answer_to(served.proxy.address, begun, |_| {});
        let line = served.session(session);
        let seen = (line.text("result"), line.text("handshake"), line.text("phase"));
        assert_eq!(seen, ("timed_out", "timed_out_handshake", "handshake"), "{line}");
    }
    served.stop();
}
