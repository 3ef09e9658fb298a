//! HTTP/2 by curl, with HAProxy as the server: over TLS that ends here, over TLS that is passed through, and to an upstream over
//! TLS. ALPN decides between the versions of HTTP, and the proxy knows nothing of either.

use std::process::Command;

use testkit::peers::{self, Output, run};

use crate::bench::{Bench, Served};
use crate::haproxy::Haproxy;
use crate::harness::LIMIT;

/// What curl prints after the body.
const WRITE_OUT: &str = "\n%{http_version} %{size_download} %{response_code}";

fn curl(served: &Served, options: &[&str]) -> Output {
    let mut command = Command::new(peers::curl());
    command.args(["-sS", "--cacert"]).arg(served.path("ca.pem")).args(["-w", WRITE_OUT]).args(options);
    command.args(["--connect-to", &format!("::{}", served.proxy.address), "https://localhost/"]);
    let output = run(&mut command, b"", LIMIT);
    assert!(output.status.success(), "{output}");
    output
}

/// The last line: version, bytes and status.
fn summary(output: &Output) -> String {
    output.stdout_text().lines().last().unwrap().to_owned()
}

/// A server of `proto` that answers with 100,000 bytes, and takes uploads.
fn server(bench: &Bench, bind: &str) -> Haproxy {
    bench.write("body", [b'x'; 100_000]);
    let answer = "http-request return status 200 content-type text/plain file DIR/body";
    Haproxy::start(
        bench,
        &format!("frontend web\n mode http\n bind BIND {bind}\n http-request wait-for-body time 10s\n {answer}"),
    )
}

#[test]
fn curl_speaks_http2_where_alpn_agrees_on_it_and_http1_where_not() {
    for (alpn, proto, version) in [("h2", "proto h2", "2"), ("http/1.1", "", "1.1")] {
        let bench = Bench::new();
        let server = server(&bench, proto);
        let upload = bench.write("upload", [b'y'; 150_000]).display().to_string();
        let mut served = bench.serve(&format!(
            "[[listener]]
             name = 'web'
             listen = '127.0.0.1:0'
             certificates = 'web.pem'
             alpn = '{alpn}'
             route = [{{ upstream = 'app' }}]
             [upstream.app]
             addresses = '{}'",
            server.address
        ));
        let data = format!("@{upload}");
        for (session, options) in [(1, &["--tlsv1.3"][..]), (2, &["--tls-max", "1.2"]), (3, &["--data-binary", &data])]
        {
            let output = curl(&served, options);
            assert_eq!(summary(&output), format!("{version} 100000 200"), "{:?}", output.stderr_text());
            let line = served.session(session);
            // With HTTP/2 curl 7.88 leaves by FIN alone.
            let end =
                if alpn == "h2" { ("request_truncated", "truncated_boundary") } else { ("complete", "close_notify") };
            assert_eq!((line.text("result"), line.text("client_received")), end, "{line}");
            assert_eq!((line.text("alpn"), line.text("ended_first")), (alpn, "client"), "{line}");
            assert!(line.number("bytes_from_upstream") >= 100_000, "{line}");
        }
        served.stop();
    }
}

#[test]
fn curl_speaks_http2_through_tls_that_is_passed_through() {
    let bench = Bench::new();
    let server = server(&bench, "ssl crt DIR/web.pem alpn h2");
    let mut served = bench.serve(&format!(
        "[[listener]]
         name = 'web'
         listen = '127.0.0.1:0'
         route = [{{ sni = 'localhost', passthrough = 'raw' }}]
         [upstream.raw]
         addresses = '{}'",
        server.address
    ));
    for session in [1, 2] {
        assert_eq!(summary(&curl(&served, &[])), "2 100000 200");
        let line = served.session(session);
        assert_eq!((line.text("handshake"), line.text("sni")), ("passthrough", "localhost"), "{line}");
    }
    served.stop();
}

#[test]
fn curl_reaches_a_server_over_tls_to_the_upstream_and_a_proxy_header() {
    let bench = Bench::new();
    let server = server(&bench, "accept-proxy ssl crt DIR/web.pem");
    let mut served = bench.serve(&format!(
        "[[listener]]
         name = 'web'
         listen = '127.0.0.1:0'
         certificates = 'web.pem'
         route = [{{ upstream = 'app' }}]
         [upstream.app]
         addresses = '{}'
         tls = {{ name = 'localhost', ca = 'ca.pem' }}
         send_proxy_protocol = 'v2'",
        server.address
    ));
    for (session, options) in [(1, &["--tlsv1.3"][..]), (2, &["--tls-max", "1.2"]), (3, &["-H", "Connection: close"])] {
        assert_eq!(summary(&curl(&served, options)), "1.1 100000 200");
        let line = served.session(session);
        let [received, sent, ..] = line.endings();
        assert_eq!((line.text("result"), received, sent), ("complete", "close_notify", "close_notify"), "{line}");
    }
    served.stop();
}
