//! The historic busy loop, reproduced: `[data][close_notify][trailer]` in one segment, the socket kept open, and a server of
//! rustls 0.23.5 under tokio-rustls 0.26.0.
//!
//! Run it with `cargo run --release` in this folder. It talks to 127.0.0.1 only, and each case ends after 100 ms or 10
//! polls behind the data, whichever is later. It prints, for TLS 1.2 and 1.3 and for each trailer, what the server read and
//! how often its reading task was polled, and exits with 1 when the pair does not spin where it is known to.

use incident::peer::{Peer, VERSIONS, configs};
use rustls::SupportedProtocolVersion;
use std::future::poll_fn;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_rustls::TlsAcceptor;

/// What lies behind the close_notify, and whether the pair is known to spin on it.
const TRAILERS: [(&str, &[u8], bool); 5] = [
    ("none", b"", false),
    ("1 byte of a header", b"\x17", true),
    ("4 bytes of a header", b"\x17\x03\x03\x01", true),
    ("half a record", b"\x17\x03\x03\x00\x20half", true),
    ("plain text", b"GET / HTTP/1.1\r\n\r\n", false),
];

/// More polls than this behind the data are a spin: a right stream needs one to see the end.
const SPIN: u64 = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    println!("| TLS | trailer | read | polls in 100 ms | |");
    println!("|---|---|---|---|---|");
    let mut as_known = true;
    for (name, version) in VERSIONS {
        for (label, trailer, known) in TRAILERS {
            let seen = run(version, trailer).await;
            let spins = seen.polls > SPIN;
            as_known &= spins == known;
            let verdict = if spins { "spins" } else { "ends" };
            println!("| {name} | {label} | {} | {} | {verdict} |", seen.read, seen.polls);
        }
    }
    if as_known { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a server saw.
struct Seen {
    read: String,
    polls: u64,
}

async fn run(version: &'static SupportedProtocolVersion, trailer: &'static [u8]) -> Seen {
    let (server, client) = configs(version);
    let (tcp, peer) = Peer::start(client, trailer).await;
    let mut stream = TlsAcceptor::from(server).accept(tcp).await.expect("the handshake is an ordinary one");
    peer.wait_until_sent();

    let (mut read, mut polls) = (String::new(), 0);
    let until = Instant::now() + Duration::from_millis(100);
    let mut buffer = [0; 64];
    let reading = poll_fn(|cx| {
        loop {
            polls += 1;
            let mut buf = ReadBuf::new(&mut buffer);
            match Pin::new(&mut stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => read.push_str(", end"),
                Poll::Ready(Ok(())) => {
                    read.push_str(&String::from_utf8_lossy(buf.filled()));
                    continue;
                }
                Poll::Ready(Err(error)) => read.push_str(&format!(", {:?}", error.kind())),
                // A real task would go on for ever.
                Poll::Pending if Instant::now() < until || polls < 10 => return Poll::Pending,
                Poll::Pending => read.push_str(", nothing"),
            }
            return Poll::Ready(());
        }
    });
    // A right stream that waits is not woken; the clock ends it.
    let late = tokio::time::timeout(Duration::from_millis(200), reading).await.is_err();
    if late {
        read.push_str(", waits");
    }
    Seen { read, polls }
}
