//! The peer of the incident: a client that sends its data, its close_notify and a trailer in one segment, and then keeps the
//! socket open; and a reader that says what a server's stream made of it.
//!
//! It refuses to know which pair of crates is looked at: `lab/streams` includes this file beside today's crates.

use pollcheck::Transport;
use pollcheck::meter::{Metered, Spin};
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The versions of TLS, by name.
pub const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("1.2", &rustls::version::TLS12), ("1.3", &rustls::version::TLS13)];

/// The configurations of a server and of a client that trusts it, as `localhost`, each for one version of TLS.
pub fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("what rcgen makes is PKCS#8");
    let server = ServerConfig::builder_with_protocol_versions(&[version])
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .expect("the key is the certificate's");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("rcgen's certificate is well formed");
    let mut client =
        ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots).with_no_client_auth();
    // Each handshake does the same as the one before.
    client.resumption = Resumption::disabled();
    (Arc::new(server), Arc::new(client))
}

/// A client on loopback; dropping it hangs up.
pub struct Peer {
    sent: mpsc::Receiver<()>,
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Starts it: gives the server's end of its connection, on which the client's handshake has begun.
    pub async fn start(config: Arc<ClientConfig>, trailer: &'static [u8]) -> (TcpStream, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (sent, wait_sent) = mpsc::channel();
        let (done, wait_done) = mpsc::channel();
        let thread = std::thread::spawn(move || client(config, address, trailer, &sent, &wait_done));
        let (tcp, _) = listener.accept().await.expect("the client connects");
        (tcp, Self { sent: wait_sent, done: Some(done), thread: Some(thread) })
    }

    /// Waits until the segment lies in the server's socket, so that one read takes all of it.
    pub fn wait_until_sent(&self) {
        self.sent.recv().expect("the client does not panic");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

fn client(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    trailer: &[u8],
    sent: &mpsc::Sender<()>,
    done: &mpsc::Receiver<()>,
) {
    let name = "localhost".try_into().expect("a DNS name");
    let mut tls = ClientConnection::new(config, name).expect("the configuration is whole");
    let mut tcp = std::net::TcpStream::connect(address).expect("the server listens");
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

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The bytes.
    pub read: Vec<u8>,
    /// The end, an error, or neither within the bound.
    pub end: End,
    /// What the meter's callback was told, call by call.
    pub spins: Vec<Spin>,
    /// Polls of the reading task.
    pub polls: u64,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Eof,
    /// With an error.
    Error(io::ErrorKind),
    /// Not at all: the task was polled as often as the bound says, or was pending and not woken for 10 s.
    Never,
}

/// Reads `stream` to its end under pollcheck's meter, which is to tell `wasted` wasted polls as a spin, however long they
/// take; gives up after `bound` polls.
pub async fn read_metered(stream: impl AsyncRead + Unpin, wasted: u32, bound: u64) -> Seen {
    let (tell, told) = mpsc::channel();
    let mut stream = Metered::new(stream).on_spin(wasted, Duration::MAX, move |spin| {
        // Whoever listens waits below.
        let _ = tell.send(spin);
    });
    let (mut read, mut polls) = (Vec::new(), 0);
    let reading = poll_fn(|cx| {
        loop {
            polls += 1;
            let mut memory = [0; 64];
            let mut buf = ReadBuf::new(&mut memory);
            match Pin::new(&mut stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(End::Eof),
                Poll::Ready(Ok(())) => read.extend_from_slice(buf.filled()),
                Poll::Ready(Err(error)) => return Poll::Ready(End::Error(error.kind())),
                // A real task would go on for ever.
                Poll::Pending if polls >= bound => return Poll::Ready(End::Never),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    // What spins meets its bound in polls long before; the time is for what waits and is not woken.
    let end = tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap_or(End::Never);
    Seen { read, end, spins: told.try_iter().collect(), polls }
}

/// An end of pollcheck's link on which every close_notify has a byte behind it, and after which the link stays open.
///
/// TLS streams shut their transport down when their close_notify is written: that is when the byte is put there.
pub struct ByteBehindClose {
    link: Transport,
    sent: bool,
}

impl ByteBehindClose {
    /// This end of a link.
    pub fn new(link: Transport) -> Self {
        Self { link, sent: false }
    }
}

impl AsyncRead for ByteBehindClose {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_read(cx, buf)
    }
}

impl AsyncWrite for ByteBehindClose {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.sent {
            match Pin::new(&mut self.link).poll_write(cx, b"\x17") {
                Poll::Ready(Ok(_)) => self.sent = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // Not shut down: the incident needs an open socket.
        Pin::new(&mut self.link).poll_flush(cx)
    }
}
