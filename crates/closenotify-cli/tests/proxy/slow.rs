//! Slow readers, uploads whose client has left, and early answers: each gets what was sent to it.
//!
//! The deadlines are shorter than what the transfers take. A test that was stopped by the machine for as long as a deadline has
//! shown nothing, and is played again.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};
use testkit::certs::TlsVersion;
use testkit::peers::curl;

use crate::admin::get;
use crate::harness::{LIMIT, Proxy, backend, collect};
use crate::site::until;
use crate::tls_client::TlsClient;

/// The deadline under test. What a peer has left in the kernels' buffers lasts several times as long.
const DEADLINE: Duration = Duration::from_millis(800);
const OPTIONS: [&str; 4] = ["--idle-timeout", "800ms", "--half-close-timeout", "800ms"];

/// How much is read at a time, and how far apart that is.
const PART: usize = 16 * 1024;
const APART: Duration = Duration::from_millis(40);

/// Read in parts this takes 4 s.
const SIZE: usize = 1_600_000;

/// A peer that reads a part at a time, and how long its longest pause was.
struct Slow<T> {
    socket: T,
    last: Instant,
    longest: Duration,
}

impl<T: Read> Slow<T> {
    fn new(socket: T) -> Self {
        Self { socket, last: Instant::now(), longest: Duration::ZERO }
    }
}

impl<T: Read> Read for Slow<T> {
    fn read(&mut self, data: &mut [u8]) -> std::io::Result<usize> {
        pause(APART);
        let part = PART.min(data.len());
        let read = self.socket.read(&mut data[..part]);
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
        read
    }
}

/// A listener whose connections have a small receive buffer.
fn small_listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(8).unwrap();
    socket.into()
}

/// A client with a small receive buffer.
fn small_client(proxy: &Proxy) -> TlsClient {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    TlsClient::of(socket.into(), &proxy.authority, TlsVersion::V13)
}

/// Plays until no pause of the slow peer, which is returned, was so long that a deadline could strike by right.
fn unless_the_machine_stood_still(play: impl Fn() -> (Duration, Result<(), String>)) {
    for _ in 0..4 {
        let (longest, shown) = play();
        if longest < DEADLINE / 2 {
            return shown.unwrap();
        }
    }
    panic!("the machine is too busy for this test");
}

/// F1
#[test]
fn slow_reader_gets_an_answer_that_takes_longer_than_every_deadline() {
    for half_closed in [false, true] {
        unless_the_machine_stood_still(|| {
            let (upstream, address) = backend(|mut socket| {
                socket.read_exact(&mut [0; 2]).unwrap();
                socket.write_all(&[7; SIZE])
            });
            let proxy = Proxy::start(address, &OPTIONS);
            let mut client = small_client(&proxy);
            client.send(b"go");
            if half_closed {
                let end = client.close_notify();
                client.write(&end);
            }
            let mut slow = Slow::new(client.socket.try_clone().unwrap());
            let got = client.read_to_end_from(&mut slow);
            let shown = match (got, upstream.join().unwrap()) {
                ((data, words), Ok(())) if data.len() == SIZE && words == ["close_notify", "fin"] => Ok(()),
                ((data, words), sent) => Err(format!("{} of {SIZE} bytes, {words:?}; upstream: {sent:?}", data.len())),
            };
            (slow.longest, shown)
        });
    }
}

/// An upstream that reads slowly, and says two lines meanwhile where it is `talkative`.
fn slow_upstream(talkative: bool) -> (JoinHandle<(Duration, usize, &'static str)>, SocketAddr) {
    let listener = small_listener();
    let address = listener.local_addr().unwrap();
    let reading = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut slow = Slow::new(socket.try_clone().unwrap());
        let mut first = vec![0; SIZE / 4];
        if slow.read_exact(&mut first).is_err() {
            return (slow.longest, 0, "rst");
        }
        if talkative {
            // The client is gone: the second one meets its reset.
            let _ = socket.write_all(b"progress\n").and_then(|()| socket.write_all(b"progress\n"));
        }
        let (rest, end) = collect(&mut slow);
        (slow.longest, first.len() + rest.len(), end)
    });
    (reading, address)
}

/// F2, F3
#[test]
fn upload_reaches_a_slow_upstream_though_its_client_waits_or_has_left() {
    for leaves in [false, true] {
        unless_the_machine_stood_still(|| {
            let (upstream, address) = slow_upstream(leaves);
            let proxy = Proxy::start(address, &OPTIONS);
            let mut client = TlsClient::connect(&proxy, TlsVersion::V12);
            let upload = [client.seal(&[7; SIZE]), client.close_notify()].concat();
            client.socket.write_all(&upload).unwrap();
            let client = (!leaves).then_some(client);
            let (longest, got, end) = upstream.join().unwrap();
            drop(client);
            let shown = if (got, end) == (SIZE, "fin") { Ok(()) } else { Err(format!("{got} of {SIZE} bytes, {end}")) };
            (longest, shown)
        });
    }
}

/// What is complete outlives the proxy: the kernel goes on delivering it.
#[test]
fn complete_upload_reaches_an_upstream_that_reads_only_after_the_drain_deadline_has_ended_the_proxy() {
    const UPLOAD: usize = 1_000_000;
    let listener = small_listener();
    let options = ["--drain", "300ms", "--admin", "127.0.0.1:0"];
    let mut proxy = Proxy::start(listener.local_addr().unwrap(), &options);
    let admin = proxy.admin();
    let mut client = TlsClient::connect(&proxy, TlsVersion::V12);
    let (upstream, _) = listener.accept().unwrap();
    upstream.set_read_timeout(Some(LIMIT)).unwrap();
    let upload = [client.seal(&[7; UPLOAD]), client.close_notify()].concat();
    client.socket.write_all(&upload).unwrap();
    drop(client);
    until("FIN to the upstream", || {
        let all: Value = serde_json::from_str(&get(&admin, "/sessions").1).unwrap();
        (all["sessions"][0]["upstream_sent"] == "fin").then_some(())
    });
    proxy.terminate();
    let stopped = proxy.wait();
    assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 1)), "{stopped:?}");
    let line = stopped.lines.iter().find(|line| line.contains("\"event\":\"session\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["result"], &line["upstream_sent"]), (&"aborted".into(), &"fin".into()), "{line}");
    let (data, end) = collect(&upstream);
    assert_eq!((data.len(), end), (UPLOAD, "fin"));
}

/// F4
#[test]
fn slow_reader_that_talks_meanwhile_gets_the_tail_of_the_answer_of_an_upstream_that_is_gone() {
    unless_the_machine_stood_still(|| {
        let (tell, told) = mpsc::channel::<String>();
        let (upstream, address) = backend(move |mut socket| {
            let admin = told.recv_timeout(LIMIT).unwrap();
            socket.read_exact(&mut [0; 2]).unwrap();
            socket.write_all(&[7; SIZE]).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            // Its FIN has been read. Now it is gone, and what the client says meets a reset.
            until("FIN at the proxy", || {
                let all: Value = serde_json::from_str(&get(&admin, "/sessions").1).unwrap();
                (all["sessions"][0]["upstream_received"] == "fin").then_some(())
            });
        });
        let mut proxy = Proxy::start(address, &[&OPTIONS[..], &["--admin", "127.0.0.1:0"]].concat());
        tell.send(proxy.admin()).unwrap();
        let mut client = small_client(&proxy);
        client.send(b"go");
        let pings: Vec<_> = (0..200).map(|_| client.seal(b"p")).collect();
        let mut talking = client.socket.try_clone().unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        let talking = thread::spawn(move || {
            for ping in pings {
                // At the end the proxy has closed, which is no loss.
                if talking.write_all(&ping).is_err() || stopped.recv_timeout(Duration::from_millis(100)).is_ok() {
                    break;
                }
            }
        });
        let mut slow = Slow::new(client.socket.try_clone().unwrap());
        let (data, words) = client.read_to_end_from(&mut slow);
        let _ = stop.send(());
        talking.join().unwrap();
        upstream.join().unwrap();
        let complete = data.len() == SIZE && words.first() == Some(&"close_notify");
        (slow.longest, if complete { Ok(()) } else { Err(format!("{} of {SIZE} bytes, {words:?}", data.len())) })
    });
}

/// Answers 413 as soon as the head of a request is there, and closes over the upload.
fn refusing_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut part = [0; 512];
                let read = socket.read(&mut part).unwrap();
                head.extend_from_slice(&part[..read]);
            }
            let start = "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 4096\r\n\r\n";
            socket.write_all(&[start.as_bytes(), &[b'x'; 4096]].concat()).unwrap();
        }
    });
    address
}

/// F6
#[test]
fn curl_gets_the_early_answer_to_every_upload() {
    let proxy = Proxy::start(refusing_upstream(), &[]);
    let upload = proxy.files.dir().join("upload");
    std::fs::write(&upload, vec![7; 10_000_000]).unwrap();
    for rate in ["1G", "20M"] {
        for run in 0..25 {
            let output = Command::new(curl())
                .args([
                    "-s",
                    "--max-time",
                    "20",
                    "-H",
                    "Expect:",
                    "-w",
                    "%{http_code} %{size_download}",
                    "-o",
                    "/dev/null",
                ])
                .arg("--cacert")
                .arg(&proxy.files.ca)
                .args(["--limit-rate", rate, "--data-binary"])
                .arg(format!("@{}", upload.display()))
                .arg(format!("https://localhost:{}/", proxy.address.port()))
                .output()
                .unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!((output.status.code(), said.as_str()), (Some(0), "413 4096"), "run {run} at {rate}");
        }
    }
}

/// A client that writes before it reads, a little at a time: its next write must not find a reset in place of the answer.
#[test]
fn slow_upload_is_taken_for_a_while_after_the_answer_of_an_upstream_that_reset() {
    unless_the_machine_stood_still(|| {
        let (upstream, address) = backend(|mut socket| {
            socket.read_exact(&mut [0; 5]).unwrap();
            socket.write_all(b"413").unwrap();
            SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        });
        let proxy = Proxy::start(address, &[]);
        let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
        let mut last = Instant::now();
        client.send(b"hello");
        upstream.join().unwrap();
        client.wait_for_data();
        let mut longest = last.elapsed();
        for _ in 0..10 {
            // So long that a reset sent with the answer would be here.
            pause(Duration::from_millis(100));
            let part = client.seal(b"more");
            if let Err(error) = client.socket.write_all(&part) {
                return (longest.max(last.elapsed()), Err(format!("after the answer: {error}")));
            }
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        assert_eq!(client.read(3), b"413");
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]), "it is not made complete");
        (longest, Ok(()))
    });
}

/// Being slow is what a peer here does; nothing waits for it to be done.
#[expect(clippy::disallowed_methods, reason = "it is no synchronization")]
fn pause(time: Duration) {
    thread::sleep(time);
}
