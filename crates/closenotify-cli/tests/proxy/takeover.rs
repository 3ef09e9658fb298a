//! One process takes the listeners over from another under load: nobody is refused, and open sessions stay where they are.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use testkit::certs::TlsVersion;

use crate::admin::get;
use crate::harness::Proxy;
use crate::site::{Load, Site, echo, listener, metric, round_trip, status, until, web};
use crate::tls_client::TlsClient;

const SETTINGS: &str = "admin.listen = '127.0.0.1:0'\nprocess.takeover = 'DIR/takeover'\nprocess.drain = '1h'";

fn load(site: &Site, proxy: &Proxy) -> Load {
    let (client, address) = (site.client(), proxy.address);
    Load::start(3, move || client.ask(address).map(drop))
}

#[test]
fn successors_take_over_without_a_refused_question_and_the_last_session_ends_the_old_process() {
    let site = Site::web(SETTINGS, echo());
    let mut running = site.start();
    let (address, admin) = (running.address, running.admin());
    let load = load(&site, &running);
    for _ in 0..4 {
        load.more(30);
        let mut kept = TlsClient::connect(&running, TlsVersion::V13);
        round_trip(&mut kept);
        let mut next = site.start();
        assert_eq!(
            (next.address, next.admin()),
            (address, admin.clone()),
            "the same ports, although the settings say 0"
        );
        let mut old = std::mem::replace(&mut running, next);
        old.event("takeover_done", 1);
        old.wait_until_draining();
        load.catch_up();
        load.more(30);
        round_trip(&mut kept);
        // Its admin listener is the successor's alone.
        for _ in 0..50 {
            assert_eq!(get(&admin, "/readyz").0, 200, "the old process answers for the new one");
        }
        assert!(metric(&admin, "closenotify_sessions_total") > 0.0);
        let end = kept.close_notify();
        kept.write(&end);
        assert_eq!(kept.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
        drop(kept);
        let stopped = old.wait();
        assert_eq!((stopped.code, stopped.drained().1), (Some(0), 0), "{stopped:?}");
    }
    load.more(30);
    load.stop();
    running.stop();
}

#[test]
fn successor_that_fails_before_it_serves_changes_nothing() {
    let upstream = echo();
    let site = Site::web(SETTINGS, upstream);
    let mut running = site.start();
    let admin = running.admin();
    let load = load(&site, &running);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    // It has the sockets when it finds that it cannot have this one.
    site.configure(&(web(SETTINGS, upstream) + &listener("second", &taken.local_addr().unwrap().to_string())));
    for nth in 1..=3 {
        load.more(20);
        let failed = Command::new(env!("CARGO_BIN_EXE_closenotify"))
            .args(["proxy", "--config"])
            .arg(site.path("proxy.toml"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(failed.status.code(), Some(4), "{failed:?}");
        running.event("takeover_failed", nth);
        load.more(20);
        assert_eq!(get(&admin, "/readyz").0, 200);
    }
    // The next one is good, and gets them.
    site.configure(&web(SETTINGS, upstream));
    let next = site.start();
    assert_eq!(next.address, running.address);
    assert_eq!(running.wait().code, Some(0));
    load.more(20);
    load.stop();
    next.stop();
}

/// A process that drains for its successor, with an open session, and the successor.
fn succeeded(site: &Site) -> (Proxy, TlsClient, Proxy) {
    let mut old = site.start();
    let mut kept = TlsClient::connect(&old, TlsVersion::V13);
    round_trip(&mut kept);
    let next = site.start();
    old.event("takeover_done", 1);
    old.wait_until_draining();
    (old, kept, next)
}

/// Sends SIGTERM, and waits until it has arrived.
fn terminate(proxy: &Proxy) {
    proxy.terminate();
    until("arrival of SIGTERM", || (status(proxy.id(), "ShdPnd") == 0).then_some(()));
}

#[test]
fn first_signal_after_a_takeover_lets_open_sessions_end_by_themselves() {
    let site = Site::web(SETTINGS, echo());
    let (old, mut kept, next) = succeeded(&site);
    terminate(&old);
    for _ in 0..20 {
        round_trip(&mut kept);
    }
    let end = kept.close_notify();
    kept.write(&end);
    assert_eq!(kept.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
    drop(kept);
    let stopped = old.wait();
    assert_eq!((stopped.code, stopped.drained()), (Some(0), (1, 0)), "{stopped:?}");
    assert!(!stopped.lines.iter().any(|line| line.contains("aborting")), "{stopped:?}");
    site.client().ask(next.address).unwrap();
    next.stop();
}

#[test]
fn second_signal_after_a_takeover_aborts() {
    let site = Site::web(SETTINGS, echo());
    let (mut old, mut kept, next) = succeeded(&site);
    // Two of one kind could count as one.
    terminate(&old);
    old.kill("-INT");
    assert_eq!(old.event("aborting", 1)["signal"], "SIGINT", "the first one does not abort");
    assert_eq!(kept.read_to_end(), (Vec::new(), vec!["rst"]));
    let stopped = old.wait();
    assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 1)), "{stopped:?}");
    site.client().ask(next.address).unwrap();
    next.stop();
}

/// Only root can become another user.
#[test]
fn successor_that_could_not_be_succeeded_fails_before_the_old_process_lets_go() {
    if status(std::process::id(), "Uid") != 0 {
        return;
    }
    let upstream = echo();
    let site = Site::web(SETTINGS, upstream);
    // Whoever it becomes can read there, and only root can write.
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let mut running = site.start();
    let load = load(&site, &running);
    site.configure(&web(&format!("{SETTINGS}\nprocess.user = 'nobody'"), upstream));
    load.more(20);
    let mut failed = Command::new(env!("CARGO_BIN_EXE_closenotify"))
        .args(["proxy", "--config"])
        .arg(site.path("proxy.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that serves says where, and would go on.
    let mut said = String::new();
    BufReader::new(failed.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if !said.is_empty() {
        failed.kill().unwrap();
    }
    let failed = failed.wait_with_output().unwrap();
    assert_eq!(said, "", "it serves");
    assert_ne!(failed.status.code(), Some(0), "{failed:?}");
    let why = String::from_utf8_lossy(&failed.stderr);
    assert!(why.contains("cannot offer the listeners") && why.contains("ermission denied"), "{why}");
    running.event("takeover_failed", 1);
    load.more(20);
    // The old one still offers its sockets, too.
    site.configure(&web(SETTINGS, upstream));
    let next = site.start();
    assert_eq!(next.address, running.address);
    assert_eq!(running.wait().code, Some(0));
    load.more(20);
    load.stop();
    next.stop();
}

#[test]
fn stranger_at_the_takeover_socket_takes_nothing() {
    let site = Site::web(SETTINGS, echo());
    let mut running = site.start();
    // It is a socket of packets.
    assert!(UnixStream::connect(site.path("takeover")).is_err());
    let script = "import socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); s.send(b'x'*100); s.recv(100)";
    let asked =
        Command::new(testkit::peers::python()).args(["-c", script]).arg(site.path("takeover")).status().unwrap();
    assert!(asked.success());
    running.event("takeover_failed", 1);
    site.client().ask(running.address).unwrap();
    running.stop();
}

#[test]
fn unix_listeners_are_taken_over_with_their_files() {
    let upstream = echo();
    let site = Site::new("");
    site.configure(&(web(SETTINGS, upstream) + &listener("local", "unix:DIR/local")));
    let mut running = site.start();
    for _ in 0..3 {
        let next = site.start();
        let old = std::mem::replace(&mut running, next);
        // No TLS: it is enough that somebody answers, whichever process it is.
        let mut connection = UnixStream::connect(site.path("local")).unwrap();
        connection.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut alert = Vec::new();
        connection.read_to_end(&mut alert).unwrap();
        drop(connection);
        assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
        assert_eq!(old.wait().code, Some(0));
        assert!(site.path("local").exists() && site.path("takeover").exists());
    }
    running.stop();
    assert!(!site.path("local").exists() && !site.path("takeover").exists(), "the last one tidies up");
}
