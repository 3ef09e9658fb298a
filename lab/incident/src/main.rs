//! The historic busy loop, reproduced: `[data][close_notify][trailer]` in one segment, the socket kept open, and a server of
//! rustls 0.23.5 under tokio-rustls 0.26.0.
//!
//! Run it with `cargo run --release` in this folder. It talks to 127.0.0.1 only, and each case ends after 100 ms or 10
//! polls behind the data, whichever is later. It prints, for TLS 1.2 and 1.3 and for each trailer, what the server read and
//! how often its reading task was polled, and exits with 1 when the pair does not spin where it is known to.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
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
    for (name, version) in [("1.2", &rustls::version::TLS12), ("1.3", &rustls::version::TLS13)] {
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
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("what rcgen makes is PKCS#8");
    let server = ServerConfig::builder_with_protocol_versions(&[version])
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .expect("the key is the certificate's");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");

    let (sent, wait_sent) = mpsc::channel();
    let (done, wait_done) = mpsc::channel();
    let client = std::thread::spawn(move || client(version, certificate, address, trailer, &sent, &wait_done));
    let (tcp, _) = listener.accept().await.expect("the client connects");
    let mut stream = TlsAcceptor::from(Arc::new(server)).accept(tcp).await.expect("the handshake is an ordinary one");
    // All bytes must wait in the socket, so that one read takes them.
    while wait_sent.try_recv().is_err() {
        tokio::task::yield_now().await;
    }

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
    drop(done);
    client.join().expect("the client does not panic");
    Seen { read, polls }
}

/// A client that sends its data, its close_notify and the trailer in one write, and keeps the socket open.
fn client(
    version: &'static SupportedProtocolVersion,
    certificate: CertificateDer<'static>,
    address: SocketAddr,
    trailer: &[u8],
    sent: &mpsc::Sender<()>,
    done: &mpsc::Receiver<()>,
) {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("rcgen's certificate is well formed");
    let config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a DNS name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("the configuration is whole");
    let mut tcp = TcpStream::connect(address).expect("the server listens");
    while tls.is_handshaking() || tls.wants_write() {
        tls.complete_io(&mut tcp).expect("the handshake is an ordinary one");
    }
    let mut segment = Vec::new();
    tls.writer().write_all(b"hello").expect("there is room");
    tls.send_close_notify();
    while tls.wants_write() {
        tls.write_tls(&mut segment).expect("memory takes all");
    }
    segment.extend_from_slice(trailer);
    tcp.write_all(&segment).expect("the server is there");
    sent.send(()).expect("the server waits");
    // Until the server has seen enough, which is told by hanging up.
    let _ = done.recv();
    let _ = tcp.set_read_timeout(Some(Duration::from_millis(100)));
    let _ = tcp.read(&mut [0]);
}
