//! Bad input: each its own message and exit code, and nothing is left behind.

use crate::command::check;
use rustls::{ServerConnection, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use testkit::certs::{Authority, TlsVersion};

/// An address on which nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A TLS server in this process that answers as little as a server can, in an orderly way.
fn tls_server(authority: &Authority) -> SocketAddr {
    let config = authority.server_config(TlsVersion::Both);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), client.unwrap());
            thread::spawn(move || {
                let mut request = [0; 4096];
                // A client that does something else than ask is not of interest here.
                if tls.read(&mut request).is_ok_and(|length| length > 0) {
                    let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            });
        }
    });
    addr
}

fn assert_fails(args: &[&str], code: i32, says: &str) {
    let said = check(args);
    assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
    assert!(said.stderr.contains(says), "{args:?}: {}", said.stderr);
    assert!(said.stdout.is_empty(), "{args:?}: {}", said.stdout);
}

#[test]
fn a_server_that_is_not_there_or_no_tls_server_is_told() {
    let addr = nobody();
    assert_fails(&["server", &addr], 7, "is something listening there?");
    assert_fails(&["server", "no-such-host.invalid:443"], 7, "cannot find it");
    assert_fails(&["server", "--pid", "4000000", &addr], 7, "no such process");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            client.unwrap().write_all(b"220 ready when you are\r\n").unwrap();
        }
    });
    assert_fails(&["server", &plain], 7, "does not speak TLS (it said \"220 ready when you are");
}

#[test]
fn a_certificate_that_is_not_good_is_told_with_what_to_do() {
    let (ours, other) = (Authority::new(), Authority::new());
    let addr = tls_server(&ours).to_string();
    let (files, others) = (ours.write_pem_files(), other.write_pem_files());
    let ca = files.ca.display().to_string();
    assert_fails(&["server", "--ca", &others.ca.display().to_string(), &addr], 7, "name its authority with --ca");
    assert_fails(&["server", &addr], 7, "name its authority with --ca");
    assert_fails(&["server", "--ca", &ca, "--sni", "example.test", &addr], 7, "say which with --sni");
    assert_fails(&["server", "--ca", "/dev/null", &addr], 3, "there is no certificate in it");
    assert_fails(&["server", "--ca", "/no/such/file", &addr], 3, "--ca /no/such/file");
}

#[test]
fn a_command_that_does_not_serve_is_told_with_what_it_said() {
    let addr = nobody();
    assert_fails(&["server", &addr, "--", "sh", "-c", "echo no license >&2; exit 4"], 7, "no license");
    assert_fails(&["server", &addr, "--", "no-such-command"], 7, "cannot run `no-such-command`");
    let slow = ["server", "--start-timeout", "200ms", &addr, "--", "sleep", "1000"];
    assert_fails(&slow, 7, "does not listen on");
    assert_fails(&["server", &addr, "--", "sleep", "{seconds}"], 2, "{seconds}, which is not known here");
}

#[test]
fn a_port_in_use_is_told_before_the_command_is_started() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    assert_fails(&["server", &addr, "--", "sleep", "1000"], 4, "would be checked in place of the command");
}

#[test]
fn bad_arguments_and_files_are_told_before_anything_is_run() {
    let addr = nobody();
    assert_fails(&["server"], 2, "<ADDR>");
    assert_fails(&["server", "here"], 2, "the port is missing");
    assert_fails(&["server", "--app", "gopher", &addr], 2, "use http1, http1:/PATH, echo, greeting or none");
    assert_fails(&["server", "--jobs", "0", &addr], 2, "1..=64");
    assert_fails(&["server", "--pid", "1", &addr, "--", "true"], 2, "cannot be used with");
    assert_fails(&["server", "--case", "server/nonsense", &addr], 8, "no case begins with `server/nonsense`");
    assert_fails(&["server", "--case", "server/end", "--level", "may", &addr], 8, "--list shows them all");
    assert_fails(&["server", "--html", "/no/such/folder/x", &addr], 2, "cannot be written");
    assert_fails(&["server", "--html", "-", "--json", "-", &addr], 2, "only one report can go to stdout");
    assert_fails(&["server", "--expect", "/no/such/file", &addr], 2, "/no/such/file");
}

#[test]
fn a_known_deviation_without_a_case_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known.toml");
    std::fs::write(&file, "\n[[deviation]]\nid = \"server/no/such\"\nseen = \"close=fin\"\nreason = \"none\"\n")
        .unwrap();
    let file = file.display().to_string();
    assert_fails(&["server", "--expect", &file, &nobody()], 2, &format!("{file}:"));
}

#[test]
fn a_signal_stops_what_was_started_and_what_is_known_is_reported() {
    let addr = nobody();
    let ours = env!("CARGO_BIN_EXE_closenotify");
    let mut child = Command::new(ours)
        .args(["check", "server", "--insecure", "--app", "http1:/bytes/600000", "--jobs", "1", "--verbose", &addr])
        .args(["--", ours, "proxy", "--demo", "--log", "json", "--listen", "{addr}"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // With one case at a time the run takes far longer than it takes to connect once.
    while TcpStream::connect(&addr).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        thread::yield_now();
    }
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(10), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(TcpStream::connect(&addr).is_err(), "the command was left running");
}

#[test]
fn a_run_that_is_interrupted_prints_what_it_has() {
    let authority = Authority::new();
    let server = tls_server(&authority);
    let files = authority.write_pem_files();
    // Between the checker and the server, so that the test knows when which case begins.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_closenotify"))
        .args(["check", "server", "--jobs", "1", "--case", "server/end", "--verbose", "--ca"])
        .arg(&files.ca)
        .arg(&addr)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = child.id().to_string();
    let between = thread::spawn(move || {
        // Two to find out what it speaks, then one a case; the fifth belongs to the third.
        for _ in 0..4 {
            let client = listener.accept().unwrap().0;
            let upstream = TcpStream::connect(server).unwrap();
            for (mut from, mut to) in [(client.try_clone().unwrap(), upstream.try_clone().unwrap()), (upstream, client)]
            {
                thread::spawn(move || {
                    // Whoever resets ends it, which is the checker's affair.
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
        let _fifth = listener.accept().unwrap().0;
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        // Held until the checker is gone: it must not wait for the case that is under way.
        let _ = listener.accept();
    });
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(10), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("interrupted before all cases were run"), "{text}");
    assert!(text.contains("2 results in ") && text.contains("server/end/close-notify-before-fin@1.3"), "{text}");
    TcpStream::connect(&addr).unwrap();
    between.join().unwrap();
}

#[test]
fn every_report_is_written_and_known_deviations_are_held_to_their_word() {
    let authority = Authority::new();
    let addr = tls_server(&authority).to_string();
    let files = authority.write_pem_files();
    let (ca, dir) = (files.ca.display().to_string(), tempfile::tempdir().unwrap());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let [json, junit, html, known] = ["run.json", "run.xml", "run.html", "known.toml"].map(file);
    // That server ends without a close_notify when its client ends first, and with one behind its answer.
    let case = ["server", "--ca", &ca, "--tls", "1.3", "--case", "server/half-close/idle-session-is-closed", &addr];
    let said = check(&[&case[..], &["--json", &json, "--junit", &junit, "--html", &html]].concat());
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.stdout.contains("close=fin") && said.stdout.contains("<-- here"), "{}", said.stdout);
    let read = |name: &str| std::fs::read_to_string(name).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&read(&json)).unwrap();
    assert_eq!((&parsed["schema"], &parsed["counts"]["not_met"]), (&1.into(), &1.into()));
    assert!(read(&junit).contains("<failure"), "{}", read(&junit));
    assert!(read(&html).contains("<svg"), "{}", read(&html));

    let entry = |seen: &str| {
        let id = "server/half-close/idle-session-is-closed";
        format!("[[deviation]]\nid = \"{id}\"\nseen = \"{seen}\"\nreason = \"a server of ten lines\"\n")
    };
    std::fs::write(&known, entry("close=fin")).unwrap();
    let said = check(&[&case[..], &["--expect", &known]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("a server of ten lines"), "{}", said.stdout);

    std::fs::write(&known, entry("close=reset")).unwrap();
    let said = check(&[&case[..], &["--expect", &known]].concat());
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.stdout.contains(&format!("{known}:1")), "{}", said.stdout);
}

#[test]
fn help_has_every_option_and_exit_code() {
    for (subject, own) in [
        ("server", &["--sni", "--app", "--ca", "--insecure", "--pid", "--start-timeout", "{cert}"][..]),
        ("client", &["--app", "--stdout-is-body", "{url}", "{ca}"]),
        ("proxy", &["--upstream", "--sni", "--pid", "{upstream}"]),
    ] {
        let said = check(&[subject, "--help"]);
        let common = ["--list", "--case", "--level", "--tls", "--strict", "--expect", "--jobs", "--timeout"];
        let reports = ["--json", "--junit", "--html", "--verbose", "Examples:", "Signals:", "Verdicts:"];
        for part in own.iter().chain(&common).chain(&reports) {
            assert!(said.stdout.contains(part), "{subject}: {part} is not in {}", said.stdout);
        }
        for code in [0, 1, 2, 3, 4, 6, 7, 8, 9, 10] {
            assert!(said.stdout.contains(&format!("\n  {code}  ")), "{subject}: {code}");
        }
    }
}

#[test]
fn a_list_needs_no_server_and_has_every_case() {
    let said = check(&["server", "--list"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let ids = said.stdout.lines().filter(|line| line.starts_with("server/")).count();
    assert_eq!(ids, closenotify_check::cases_of(closenotify_check::Subject::Server).len());
    let one = check(&["server", "--list", "--verbose", "--case", "server/end/one-close-notify"]);
    for part in ["MUST", "TLS 1.2, 1.3", "RFC 9846 6.1", "send in one segment: the request", "allowed: ", "harm: "] {
        assert!(one.stdout.contains(part), "{part}: {}", one.stdout);
    }
}
