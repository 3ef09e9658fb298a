//! Where a client is led and whom it meets: server names, certificates, ALPN, versions, client certificates and staples; as OpenSSL's `s_client` and curl see them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_RSA_SHA256, SerialNumber,
    date_time_ymd,
};
use testkit::peers::{self, Output, run};

use crate::bench::{Bench, Line, Served, sink};
use crate::harness::LIMIT;

/// A proxy in front of upstreams that only read, and its clients one after the other.
struct Site {
    served: Served,
    sessions: u64,
}

impl Site {
    /// The settings are those of the one listener, and the upstreams are called a, b and c.
    fn new(bench: Bench, listener: &str) -> Self {
        let mut settings = format!("[[listener]]\nname = 'web'\nlisten = '127.0.0.1:0'\n{listener}\n");
        for name in ["a", "b", "c"].iter().filter(|name| listener.contains(&format!("upstream = '{name}'"))) {
            settings += &format!("[upstream.{name}]\naddresses = '{}'\n", sink());
        }
        Self { served: bench.serve(&settings), sessions: 0 }
    }

    fn address(&self) -> SocketAddr {
        self.served.proxy.address
    }

    /// What `s_client` says with an empty input, and the line of its session.
    fn s_client(&mut self, options: &[&str]) -> (Output, Line) {
        let output = s_client(self.address(), options);
        (output, self.line())
    }

    fn line(&mut self) -> Line {
        self.sessions += 1;
        self.served.session(self.sessions)
    }
}

fn s_client(address: SocketAddr, options: &[&str]) -> Output {
    let mut command = Command::new(peers::openssl());
    command.args(["s_client", "-connect", &address.to_string()]).args(options);
    let output = run(&mut command, b"", LIMIT);
    assert!(!output.timed_out, "{command:?}: {output}");
    output
}

/// The first line of standard output that begins so, without that.
fn said(output: &Output, beginning: &str) -> String {
    let text = output.stdout_text();
    let found = text.lines().find_map(|line| line.trim_start().strip_prefix(beginning));
    found.unwrap_or_else(|| panic!("no {beginning:?} in {output}")).to_owned()
}

#[test]
fn an_exact_name_leads_before_a_wildcard_and_that_before_the_default() {
    let listener = "
        certificates = 'web.pem'
        [[listener.route]]
        sni = '*.test'
        upstream = 'b'
        [[listener.route]]
        sni = ['other.test', 'app.test']
        upstream = 'a'
        [[listener.route]]
        upstream = 'c'";
    let mut site = Site::new(Bench::new(), listener);
    for version in ["-tls1_2", "-tls1_3"] {
        for (name, upstream) in
            [("app.test", "a"), ("APP.Test", "a"), ("x.test", "b"), ("y.x.test", "c"), ("test", "c"), ("", "c")]
        {
            let asked = if name.is_empty() { vec!["-noservername"] } else { vec!["-servername", name] };
            let (_, line) = site.s_client(&[&[version], &asked[..]].concat());
            assert_eq!((line.text("upstream_name"), line.text("result")), (upstream, "complete"), "{name}: {line}");
            let sni = if name.is_empty() { "-" } else { name };
            assert!(line.text("sni").eq_ignore_ascii_case(sni), "{line}");
        }
    }
    site.served.stop();
}

#[test]
fn a_name_without_a_route_is_refused_with_the_alert_that_says_so() {
    let listener = "certificates = 'web.pem'\nroute = [{ sni = 'app.test', upstream = 'a' }]";
    let mut site = Site::new(Bench::new(), listener);
    for (options, reason) in [
        (&["-tls1_2", "-servername", "no.test"][..], "no route matches: server name \"no.test\""),
        (&["-tls1_3", "-servername", "no.test"], "no route matches: server name \"no.test\""),
        (&["-noservername"], "no route matches: the client sent no server name"),
    ] {
        let (output, line) = site.s_client(options);
        assert!(output.stderr_text().contains("unrecognized name"), "{output}");
        assert_eq!(
            (line.text("result"), line.text("handshake"), line.text("phase")),
            ("refused", "no_route", "handshake")
        );
        assert_eq!((line.text("reason"), line.text("ended_first")), (reason, "proxy"), "{line}");
    }
    let mut command = Command::new(peers::curl());
    command.args(["-sSk", "--connect-to", &format!("::{}", site.address()), "https://no.test/"]);
    let output = run(&mut command, b"", LIMIT);
    assert_eq!(output.status.code(), Some(35), "{output}");
    assert!(output.stderr_text().contains("unrecognized name"), "{output}");
    assert_eq!(site.line().text("handshake"), "no_route");
    // A client that a route matches is served before and after.
    let (_, line) = site.s_client(&["-servername", "app.test"]);
    assert_eq!(line.text("result"), "complete", "{line}");
    site.served.stop();
}

#[test]
fn a_client_sees_the_certificate_of_the_name_that_it_asks_for() {
    let bench = Bench::new();
    fs::create_dir(bench.path("certs")).unwrap();
    bench.issue("certs/one.pem", &["one.test"]);
    bench.issue("certs/any.pem", &["*.any.test"]);
    let listener = "certificates = ['web.pem', 'certs']\nroute = [{ upstream = 'a' }]";
    let mut site = Site::new(bench, listener);
    for (name, subject) in [("one.test", "one.test"), ("x.any.test", "*.any.test"), ("none.test", "localhost")] {
        let (output, _) = site.s_client(&["-servername", name]);
        assert_eq!(said(&output, "subject="), format!("CN = {subject}"), "{output}");
    }
    site.served.stop();
}

#[test]
fn a_client_gets_the_key_type_that_it_can_verify() {
    let bench = Bench::new();
    bench.issue("ecdsa.pem", &["dual.test"]);
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::new(["dual.test".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_after = date_time_ymd(2089, 1, 1);
    bench.write("rsa.pem", format!("{}{}", params.self_signed(&key).unwrap().pem(), key.serialize_pem()));
    let mut site = Site::new(bench, "certificates = ['rsa.pem', 'ecdsa.pem']\nroute = [{ upstream = 'a' }]");
    for version in ["-tls1_2", "-tls1_3"] {
        for (algorithms, signed) in
            [("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256", "RSA-PSS"), ("ECDSA+SHA256:RSA-PSS+SHA256", "ECDSA")]
        {
            let (output, line) = site.s_client(&[version, "-servername", "dual.test", "-sigalgs", algorithms]);
            assert_eq!(said(&output, "Peer signature type: "), signed, "{output}");
            assert_eq!(line.text("result"), "complete", "{line}");
        }
    }
    site.served.stop();
}

#[test]
fn the_protocol_that_both_know_is_chosen_by_our_preference() {
    let listener = "certificates = 'web.pem'\nalpn = ['h2', 'http/1.1']\nroute = [{ upstream = 'a' }]";
    let mut site = Site::new(Bench::new(), listener);
    for version in ["-tls1_2", "-tls1_3"] {
        for (offered, chosen) in [("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("x,http/1.1", "http/1.1")] {
            let (output, line) = site.s_client(&[version, "-alpn", offered]);
            assert_eq!(said(&output, "ALPN protocol: "), chosen, "{output}");
            assert_eq!((line.text("alpn"), line.text("result")), (chosen, "complete"), "{line}");
        }
        let (output, line) = site.s_client(&[version]);
        assert!(output.stdout_text().contains("No ALPN negotiated"), "{output}");
        assert_eq!((line.text("alpn"), line.text("result")), ("-", "complete"), "{line}");
        let (output, line) = site.s_client(&[version, "-alpn", "ftp"]);
        assert!(output.stderr_text().contains("no application protocol"), "{output}");
        assert_eq!(line.text("result"), "refused", "{line}");
        line.says(&["ALPN"]);
    }
    site.served.stop();
}

#[test]
fn an_old_version_is_refused_in_words_and_with_its_alert() {
    let listener = "certificates = 'web.pem'\nmin_tls = '1.3'\nroute = [{ upstream = 'a' }]";
    let mut site = Site::new(Bench::new(), listener);
    let (output, line) = site.s_client(&["-tls1_2"]);
    assert!(output.stderr_text().contains("protocol version"), "{output}");
    assert_eq!((line.text("result"), line.text("phase")), ("refused", "handshake"), "{line}");
    line.says(&["TLS 1.3"]);
    let (_, line) = site.s_client(&["-tls1_3"]);
    assert_eq!((line.text("result"), line.text("tls_version")), ("complete", "TLSv1.3"), "{line}");
    site.served.stop();
}

#[test]
fn who_a_client_is_decides_whether_it_is_let_in_and_the_line_says_who() {
    for (mode, without) in [("required", false), ("optional", true)] {
        let bench = Bench::new();
        bench.issue_client("ops.pem", "ops.test");
        bench.issue_client("dev.pem", "dev.test");
        let stranger = Bench::new();
        let stranger = stranger.issue_client("ops.pem", "ops.test");
        let listener = format!(
            "certificates = 'web.pem'
             client_auth = {{ mode = '{mode}', ca = 'ca.pem', allow = ['CN=ops*', 'spiffe://mesh/*'] }}
             route = [{{ upstream = 'a' }}]"
        );
        let mut site = Site::new(bench, &listener);
        let [ops, dev] = ["ops.pem", "dev.pem"].map(|name| site.served.path(name).display().to_string());
        let stranger = stranger.display().to_string();
        for version in ["-tls1_2", "-tls1_3"] {
            let (_, line) = site.s_client(&[version, "-cert", &ops, "-key", &ops]);
            assert_eq!(line.text("result"), "complete", "{line}");
            assert!(line.text("client_certificate").contains("ops.test"), "{line}");

            let (output, line) = site.s_client(&[version, "-cert", &dev, "-key", &dev]);
            assert_eq!((line.text("result"), line.text("phase")), ("refused", "handshake"), "{line}");
            line.says(&["dev.test"]);
            assert!(version == "-tls1_3" || output.stderr_text().contains("alert"), "{output}");

            let (_, line) = site.s_client(&[version, "-cert", &stranger, "-key", &stranger]);
            assert_eq!((line.text("result"), line.text("phase")), ("refused", "handshake"), "{line}");

            let (_, line) = site.s_client(&[version]);
            let expected = if without { "complete" } else { "refused" };
            assert_eq!((line.text("result"), line.text("client_certificate")), (expected, "-"), "{mode}: {line}");
            if !without {
                line.says(&["certificate"]);
            }
        }
        site.served.stop();
    }
}

#[test]
fn a_client_that_asks_for_its_status_gets_the_staple() {
    let bench = Bench::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2089, 1, 1);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["stapled.test".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(vec![0x1A, 0x2B]));
    params.not_after = date_time_ymd(2089, 1, 1);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &ca).unwrap();
    bench.write("stapled.pem", format!("{}{}", leaf.pem(), key.serialize_pem()));
    bench.write("responder.pem", ca.pem());
    bench.write("responder.key", ca.key().serialize_pem());
    bench.write("index", "V\t491231000000Z\t\t1A2B\tunknown\t/CN=a\n");
    let responder = "ocsp -index index -rsigner responder.pem -rkey responder.key -CA responder.pem -issuer responder.pem \
                     -ndays 9000 -serial 0x1A2B -respout stapled.ocsp";
    let made =
        run(Command::new(peers::openssl()).current_dir(bench.path("")).args(responder.split_whitespace()), b"", LIMIT);
    assert!(made.status.success(), "{made}");
    let listener = "certificates = ['stapled.pem', 'web.pem']\nroute = [{ upstream = 'a' }]";
    let mut site = Site::new(bench, listener);
    let ca = site.served.path("responder.pem").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let (output, line) = site.s_client(&[version, "-status", "-servername", "stapled.test", "-CAfile", &ca]);
        assert_eq!(said(&output, "OCSP Response Status: "), "successful (0x0)", "{output}");
        assert_eq!(said(&output, "Cert Status: "), "good", "{output}");
        assert_eq!(said(&output, "Verify return code: "), "0 (ok)", "{output}");
        assert_eq!(line.text("result"), "complete", "{line}");
        let (output, _) = site.s_client(&[version, "-status", "-servername", "localhost"]);
        assert_eq!(said(&output, "OCSP response: "), "no response sent", "{output}");
    }
    site.served.stop();
}
