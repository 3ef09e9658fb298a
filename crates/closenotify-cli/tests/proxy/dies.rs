//! A proxy that dies never makes what is cut look complete, and a signal that is not meant to end it does not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::Value;
use testkit::certs::TlsVersion;

use crate::admin::get;
use crate::harness::{LIMIT, Proxy, backend, collect};
use crate::site::until;
use crate::tls_client::TlsClient;

/// Sends the signal until the process is gone: Rust's own handler of a fault takes the first.
fn kill_for_good(proxy: &Proxy, signal: &str) {
    let alive = || std::fs::read_to_string(format!("/proc/{}/stat", proxy.id())).unwrap();
    until("end of the process", || {
        // A zombie is gone: its sockets are closed.
        let gone = alive().rsplit(')').next().unwrap().trim_start().starts_with('Z');
        if !gone {
            proxy.kill(signal);
        }
        gone.then_some(())
    });
}

const DEADLY: [&str; 4] = ["-KILL", "-SEGV", "-ABRT", "-BUS"];

#[test]
fn upload_cut_by_the_death_of_the_proxy_is_a_reset_at_the_upstream() {
    for signal in DEADLY {
        let (upload, address) = backend(|mut socket| {
            let mut half = vec![0; 50_000];
            socket.read_exact(&mut half).unwrap();
            // Both halves of the connection are at work.
            socket.write_all(b"go on").unwrap();
            collect(socket)
        });
        let proxy = Proxy::start(address, &[]);
        let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
        client.send(&[7; 50_000]);
        assert_eq!(client.read(5), b"go on");
        kill_for_good(&proxy, signal);
        assert_eq!(
            upload.join().unwrap(),
            (Vec::new(), "rst"),
            "{signal}: FIN would make half an upload look complete"
        );
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]), "{signal}");
    }
}

#[test]
fn complete_upload_outlives_the_proxy() {
    for signal in DEADLY {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut proxy = Proxy::start(listener.local_addr().unwrap(), &["--admin", "127.0.0.1:0"]);
        let admin = proxy.admin();
        let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
        let upload = [client.seal(&[7; 50_000]), client.close_notify()].concat();
        client.write(&upload);
        until("FIN to the upstream", || {
            let all: Value = serde_json::from_str(&get(&admin, "/sessions").1).unwrap();
            (all["sessions"][0]["upstream_sent"] == "fin").then_some(())
        });
        kill_for_good(&proxy, signal);
        // Nothing was read before.
        let (data, end) = collect(listener.accept().unwrap().0);
        assert_eq!((data.len(), end), (50_000, "fin"), "{signal}");
        // Its answer never came.
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]), "{signal}");
    }
}

#[test]
fn answer_cut_by_the_death_of_the_proxy_is_a_reset_at_the_client() {
    let (dead, is_dead) = mpsc::channel();
    let (upstream, address) = backend(move |mut socket| {
        assert_eq!(collect(&socket), (Vec::new(), "fin"), "the request is complete");
        socket.write_all(&[7; 10_000]).unwrap();
        is_dead.recv_timeout(LIMIT).unwrap();
    });
    let proxy = Proxy::start(address, &[]);
    let mut client = TlsClient::connect(&proxy, TlsVersion::V12);
    let end = client.close_notify();
    client.write(&end);
    assert_eq!(client.read(10_000), [7; 10_000]);
    kill_for_good(&proxy, "-KILL");
    assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
    dead.send(()).unwrap();
    upstream.join().unwrap();
}

#[test]
fn signals_that_mean_something_else_or_nothing_end_no_session_and_sigquit_aborts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut proxy = Proxy::start(listener.local_addr().unwrap(), &["--drain", "1h"]);
    let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
    let (mut upstream, _) = listener.accept().unwrap();
    for (nth, signal) in ["-HUP", "-USR1", "-USR2", "-PIPE", "-WINCH", "-HUP", "-USR2"].into_iter().enumerate() {
        proxy.kill(signal);
        if signal == "-HUP" {
            proxy.event("reloaded", nth / 5 + 1);
        }
        client.send(b"ping");
        let mut ping = [0; 4];
        upstream.read_exact(&mut ping).unwrap();
        upstream.write_all(b"pong").unwrap();
        assert_eq!((&ping, &client.read(4)[..]), (b"ping", &b"pong"[..]), "{signal}");
    }
    proxy.kill("-QUIT");
    assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
    assert_eq!(collect(upstream), (Vec::new(), "rst"));
    assert_eq!(proxy.session(1).endings(), ["timed_out_drain"; 4]);
    let stopped = proxy.wait();
    assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 1)), "{stopped:?}");
}
