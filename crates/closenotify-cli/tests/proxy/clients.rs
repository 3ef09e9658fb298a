//! Other people's clients, as Debian 12 and Node.js have them, each in TLS 1.2 and 1.3. What each really does at its end:
//!
//! | client | when it has its answer and the connection stays | when the server closes behind the answer |
//! |---|---|---|
//! | curl 7.88 | close_notify, FIN | close_notify, FIN |
//! | Python 3.11 `http.client` | FIN alone | FIN alone, or RST over our unread close_notify |
//! | Python 3.11 `ssl`, `unwrap()` | close_notify, FIN | close_notify, FIN |
//! | OpenSSL 3.0 `s_client -quiet` | stays | close_notify, FIN |
//! | OpenSSL 3.0 `s_client` | close_notify at the end of its input; waits for no answer | the same |
//! | GnuTLS 3.7 `gnutls-cli` | close_notify at the end of its input, and waits for the answer: a half-close | close_notify, FIN |
//! | Node.js 20 `https` | FIN alone (agent with keep-alive) | close_notify, FIN (agent: false) |
//! | Node.js 20 `tls`, `allowHalfOpen` | close_notify, and waits for the answer: a half-close | close_notify, FIN |
//!
//! Where a client closes by itself as soon as it has counted the bytes of its answer, it races with the server's close:
//! who ended first is left open there.

use std::process::Command;

use testkit::certs::TlsVersion;
use testkit::peers::{self, Output, python_tls_client, run};

use crate::harness::{LIMIT, Proxy, Session, number};

const CLEAN: [&str; 4] = ["close_notify", "close_notify", "fin", "fin"];

/// What strict makes of a client that sends FIN alone.
const CUT: [&str; 4] = ["truncated_boundary", "aborted", "abandoned", "reset"];

/// A proxy with a certificate that clients can check, in front of the upstream of a demo.
struct Site {
    proxy: Proxy,
    demo: Proxy,
    sessions: u64,
}

impl Site {
    fn new(options: &[&str]) -> Self {
        let demo = Proxy::demo(&[]);
        let proxy = Proxy::launch(Some(&demo.upstream), &[&["--log", "json"], options].concat());
        Self { proxy, demo, sessions: 0 }
    }

    /// Runs a client that makes one connection, to its end and that of its session.
    fn run(&mut self, command: &mut Command, input: &str) -> (Output, Session) {
        let output = run(command, input.as_bytes(), LIMIT);
        assert!(!output.timed_out, "{command:?}: {output}");
        (output, self.session())
    }

    fn session(&mut self) -> Session {
        self.sessions += 1;
        self.proxy.session(self.sessions)
    }

    fn stop(self) {
        self.proxy.stop();
        self.demo.stop();
    }

    fn curl(&self, version: TlsVersion, path: &str) -> Command {
        let mut command = Command::new(peers::curl());
        let number = number(version);
        command.args(["-sS", "--http1.1", &format!("--tlsv{number}"), "--tls-max", number]).arg("--cacert");
        command.arg(&self.proxy.files.ca).arg(format!("https://{}{path}", self.proxy.address));
        command
    }

    fn openssl(&self, version: TlsVersion) -> Command {
        let mut command = Command::new(peers::openssl());
        command.args(["s_client", &format!("-tls{}", number(version).replace('.', "_")), "-verify_return_error"]);
        command.args(["-verify_ip", "127.0.0.1", "-CAfile"]).arg(&self.proxy.files.ca);
        command.arg("-connect").arg(self.proxy.address.to_string());
        command
    }

    fn gnutls(&self, version: TlsVersion) -> Command {
        let mut command = Command::new(peers::gnutls_cli());
        command.arg("--priority").arg(format!("NORMAL:-VERS-ALL:+VERS-TLS{}", number(version)));
        // The log, which else goes to standard output in front of the answer.
        command.args(["--logfile", "/dev/null", "--x509cafile"]).arg(&self.proxy.files.ca);
        command.arg("-p").arg(self.proxy.address.port().to_string()).arg(self.proxy.address.ip().to_string());
        command
    }

    /// A script that finds the address, the port, the authority's file and the version in its arguments.
    fn script(&self, mut command: Command, script: &str, version: TlsVersion, more: &[&str]) -> Command {
        command.arg(script).arg(self.proxy.address.ip().to_string()).arg(self.proxy.address.port().to_string());
        command.arg(&self.proxy.files.ca).arg(number(version)).args(more);
        command
    }

    fn python(&self, script: &str, version: TlsVersion, more: &[&str]) -> Command {
        let mut command = Command::new(peers::python());
        command.args(["-I", "-c"]);
        self.script(command, &format!("{PYTHON}{script}"), version, more)
    }

    fn node(&self, script: &str, version: TlsVersion, more: &[&str]) -> Command {
        let mut command = Command::new(peers::node());
        command.arg("-e");
        self.script(command, &format!("{NODE}{script}"), version, more)
    }
}

/// Exit code 0, and nothing on standard error.
fn succeeded(output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output}");
}

fn ended(session: &Session, endings: [&str; 4]) {
    assert_eq!(session.endings(), endings, "{session:#?}");
}

/// A request as text, for clients that know no HTTP.
fn request(path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n{header}\r\n")
}

/// The body of an answer that came with its head.
fn body(output: &Output) -> String {
    let text = output.stdout_text();
    text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {output}")).1.to_owned()
}

const PYTHON: &str = "
import http.client, socket, ssl, sys
host, port, ca, version, *more = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = ssl.TLSVersion['TLSv' + version.replace('.', '_')]
";

/// http.client, with the path and the Connection header from the arguments.
const HTTP_CLIENT: &str = "
client = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
client.request('GET', more[0], headers={'Connection': more[1]})
print(len(client.getresponse().read()))
client.close()
";

const NODE: &str = "
const https = require('https'), tls = require('tls'), fs = require('fs');
const [host, port, ca, version, ...more] = process.argv.slice(1);
const options = {host, port, ca: fs.readFileSync(ca), minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version};
";

/// https, with the path from the arguments; the agent keeps connections alive if there is a second one.
const HTTPS: &str = "
const agent = more[1] ? new https.Agent({keepAlive: true}) : false;
const failed = error => { console.log(error.code); process.exitCode = 1; };
https.get({...options, agent, path: more[0]}, answer => {
    let n = 0;
    answer.on('data', data => n += data.length);
    answer.on('error', failed);
    answer.on('end', () => console.log(n, answer.complete));
    // Given back to the agent behind the answer's end.
    answer.on('close', () => setImmediate(() => agent && agent.destroy()));
}).on('error', failed);
";

/// docs/cases.md C02, N08
#[test]
fn curl_closes_with_close_notify_and_its_answers_are_whole() {
    let mut site = Site::new(&[]);
    for version in TlsVersion::EACH {
        for (header, may_be_first) in [("X: y", &["client"][..]), ("Connection: close", &["client", "upstream"])] {
            let mut command = site.curl(version, "/bytes/1000000");
            let (output, session) = site.run(command.args(["-H", header]), "");
            succeeded(&output);
            assert_eq!(output.stdout.len(), 1_000_000);
            ended(&session, CLEAN);
            assert!(may_be_first.contains(&session.first()), "{session:#?}");
        }
        let mut command = site.curl(version, "/slow/1");
        let (output, session) = site.run(&mut command, "");
        succeeded(&output);
        assert!(output.stdout_text().ends_with("this response is complete\n"), "{output}");
        ended(&session, CLEAN);
    }
    site.stop();
}

#[test]
fn curl_reaches_the_demo_without_a_word_about_its_certificate() {
    let mut demo = Proxy::demo(&[]);
    for (number, version) in (1..).zip(["1.2", "1.3"]) {
        let mut command = Command::new(peers::curl());
        command.args(["-ksS", &format!("--tlsv{version}"), "--tls-max", version]);
        let output = run(command.arg(format!("https://{}/bytes/100000", demo.address)), b"", LIMIT);
        succeeded(&output);
        assert_eq!(output.stdout.len(), 100_000);
        let session = demo.session(number);
        ended(&session, CLEAN);
        assert_eq!(session.tls_version, Some(format!("TLSv{version}")));
    }
    demo.stop();
}

/// docs/cases.md D17
#[test]
fn curl_gets_an_early_answer_whole_while_it_uploads() {
    let mut site = Site::new(&[]);
    let upload = site.proxy.files.dir().join("upload");
    std::fs::write(&upload, vec![7; 8 << 20]).unwrap();
    for version in TlsVersion::EACH {
        // With the header it uploads at once, and without it asks for leave, which it is not given.
        for header in ["Expect:", "Expect: 100-continue"] {
            let mut command = site.curl(version, "/early");
            let (output, session) = site.run(command.args(["-H", header, "-T"]).arg(&upload), "");
            succeeded(&output);
            assert!(output.stdout_text().ends_with("the rest of it is discarded\n"), "{output}");
            let [_, client_sent, upstream_received, _] = session.endings();
            assert_eq!((client_sent, upstream_received), ("close_notify", "fin"), "{session:#?}");
        }
    }
    site.stop();
}

/// docs/cases.md P08
#[test]
fn http_client_of_python_never_sends_close_notify() {
    for (policy, kept) in [("strict", CUT), ("tolerant", ["truncated_boundary", "close_notify", "fin", "fin"])] {
        let mut site = Site::new(&["--truncation", policy]);
        for version in TlsVersion::EACH {
            let mut command = site.python(HTTP_CLIENT, version, &["/bytes/1000000", "keep-alive"]);
            let (output, session) = site.run(&mut command, "");
            succeeded(&output);
            assert_eq!(output.stdout_text(), "1000000\n");
            ended(&session, kept);
            assert_eq!(session.first(), "client");

            let mut command = site.python(HTTP_CLIENT, version, &["/bytes/1000000", "close"]);
            let (output, session) = site.run(&mut command, "");
            succeeded(&output);
            assert_eq!(output.stdout_text(), "1000000\n");
            let [received, ..] = session.endings();
            assert!(["truncated_boundary", "reset"].contains(&received), "{session:#?}");
        }
        site.stop();
    }
}

/// docs/cases.md N01
#[test]
fn unwrap_of_python_is_a_clean_close() {
    let mut site = Site::new(&[]);
    let script = "
stream = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)
stream.sendall(b'GET /bytes/1000 HTTP/1.1\\r\\nHost: test\\r\\nConnection: ' + more[0].encode() + b'\\r\\n\\r\\n')
answer = b''
while b'\\r\\n\\r\\n' not in answer or len(answer.split(b'\\r\\n\\r\\n', 1)[1]) < 1000:
    answer += stream.recv(65536)
stream.unwrap().close()
";
    for version in TlsVersion::EACH {
        for (header, may_be_first) in [("keep-alive", &["client"][..]), ("close", &["client", "upstream"])] {
            let mut command = site.python(script, version, &[header]);
            let (output, session) = site.run(&mut command, "");
            succeeded(&output);
            ended(&session, CLEAN);
            assert!(may_be_first.contains(&session.first()), "{session:#?}");
        }
    }
    site.stop();
}

/// docs/cases.md N01
#[test]
fn s_client_answers_our_close_notify_with_its_own() {
    let mut site = Site::new(&[]);
    for version in TlsVersion::EACH {
        let mut command = site.openssl(version);
        let (output, session) = site.run(command.arg("-quiet"), &request("/bytes/1000000", "Connection: close\r\n"));
        assert!(output.status.success(), "{output}");
        assert_eq!(body(&output).len(), 1_000_000);
        ended(&session, CLEAN);
        assert_eq!(session.first(), "upstream");
    }
    site.stop();
}

#[test]
fn s_client_without_options_leaves_with_close_notify_before_its_answer() {
    let mut site = Site::new(&[]);
    for version in TlsVersion::EACH {
        let mut command = site.openssl(version);
        let (output, session) = site.run(&mut command, &request("/slow/1", ""));
        assert!(output.status.success(), "{output}");
        let [received, _, upstream_received, upstream_sent] = session.endings();
        assert_eq!([received, upstream_received, upstream_sent], ["close_notify", "fin", "fin"], "{session:#?}");
        assert_eq!(session.first(), "client");
    }
    site.stop();
}

#[test]
fn gnutls_cli_half_closes_and_gets_its_answer() {
    let mut site = Site::new(&[]);
    for version in TlsVersion::EACH {
        for (path, last) in [("/bytes/1000000", "QRSTUVWXY\n"), ("/slow/1", "this response is complete\n")] {
            let mut command = site.gnutls(version);
            let (output, session) = site.run(&mut command, &request(path, ""));
            assert!(output.status.success(), "{output}");
            assert!(body(&output).ends_with(last), "{output}");
            ended(&session, CLEAN);
            assert_eq!(session.first(), "client");
        }
    }
    site.stop();
}

/// docs/cases.md P01
#[test]
fn https_of_node_closes_clean_where_the_server_closes_and_else_by_fin_alone() {
    let mut site = Site::new(&[]);
    for version in TlsVersion::EACH {
        let mut command = site.node(HTTPS, version, &["/bytes/1000000"]);
        let (output, session) = site.run(&mut command, "");
        succeeded(&output);
        assert_eq!(output.stdout_text(), "1000000 true\n");
        ended(&session, CLEAN);

        let mut command = site.node(HTTPS, version, &["/bytes/1000000", "keep-alive"]);
        let (output, session) = site.run(&mut command, "");
        succeeded(&output);
        assert_eq!(output.stdout_text(), "1000000 true\n");
        ended(&session, CUT);
        assert_eq!(session.first(), "client");
    }
    site.stop();
}

/// docs/cases.md P02
#[test]
fn tls_of_node_half_closes_and_gets_its_answer() {
    let mut site = Site::new(&[]);
    let script = "
const stream = tls.connect({...options, allowHalfOpen: true}, () => stream.end(more[0]));
let answer = '';
stream.on('data', data => answer += data);
stream.on('end', () => console.log(answer));
";
    for version in TlsVersion::EACH {
        let mut command = site.node(script, version, &[&request("/slow/1", "X: y\r\n")]);
        let (output, session) = site.run(&mut command, "");
        succeeded(&output);
        assert!(output.stdout_text().ends_with("this response is complete\n\n"), "{output}");
        ended(&session, CLEAN);
        assert_eq!(session.first(), "client");
    }
    site.stop();
}

/// docs/cases.md R50, V01
#[test]
fn half_closed_request_gets_its_whole_answer() {
    let mut site = Site::new(&[]);
    let send = "send:GET /slow/1 HTTP/1.1\\r\\nHost: test\\r\\n\\r\\n";
    for version in TlsVersion::EACH {
        for end in ["close_notify", "close_notify+fin"] {
            let options = ["--tls", number(version)];
            let actions = [send, end, "read-until-end"];
            let report = python_tls_client(site.proxy.address, &site.proxy.files.ca, &options, &actions).report();
            assert!(report.text().ends_with("this response is complete\n"), "{report:?}");
            assert_eq!(report.words()[1..], ["close_notify", "fin"], "{report:?}");
            ended(&site.session(), CLEAN);
        }
    }
    site.stop();
}

#[test]
fn answer_cut_by_a_reset_is_an_error_to_each_client() {
    let mut site = Site::new(&[]);
    for version in TlsVersion::EACH {
        let cut = ["abandoned", "aborted", "reset", "reset"];
        let input = request("/reset/1000", "");

        let mut command = site.curl(version, "/reset/1000");
        let (output, session) = site.run(&mut command, "");
        // "Failure with receiving network data".
        assert_eq!((output.status.code(), output.stdout.len()), (Some(56), 1000), "{output}");
        ended(&session, cut);

        let mut command = site.python(HTTP_CLIENT, version, &["/reset/1000", "close"]);
        let (output, session) = site.run(&mut command, "");
        assert!(!output.status.success(), "{output}");
        assert!(output.stderr_text().contains("IncompleteRead(1000 bytes read"), "{output}");
        ended(&session, cut);

        let mut command = site.node(HTTPS, version, &["/reset/1000"]);
        let (output, session) = site.run(&mut command, "");
        assert!(!output.status.success() && output.stdout_text().contains("ECONNRESET"), "{output}");
        ended(&session, cut);

        // Its exit code is 0 whatever happens.
        let mut command = site.openssl(version);
        let (output, session) = site.run(command.arg("-quiet"), &input);
        assert!(output.stderr_text().contains("errno=104"), "{output}");
        ended(&session, cut);

        let mut command = site.gnutls(version);
        let (output, session) = site.run(&mut command, &input);
        assert!(!output.status.success() && output.stderr_text().contains("pull function"), "{output}");
        // Its half-close and the reset cross.
        assert!([cut, ["close_notify", "aborted", "reset", "fin"]].contains(&session.endings()), "{session:#?}");
    }
    site.stop();
}
