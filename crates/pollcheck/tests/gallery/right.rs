//! Right streams: nothing may be found in them.

use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pollcheck::{Check, Rule, Transport, Violation, check, check_pair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};

#[test]
fn transport_itself_is_clean() {
    let report = check(|transport| transport);
    report.assert_clean();
    assert!(report.faults() >= 15, "{report}");
    for explored in report.explored().iter().filter(|explored| explored.scenario() != "transport faults") {
        assert_eq!(explored.all_to_depth(), Some(4), "{explored:?}");
    }
}

#[test]
fn buf_stream_is_clean() {
    check(BufStream::new).assert_clean();
}

#[test]
fn buf_stream_with_small_buffers_is_clean() {
    check(|transport| BufStream::with_capacity(5, 7, transport)).assert_clean();
}

#[test]
fn duplex_is_clean() {
    check_pair(|_, _| tokio::io::duplex(64)).assert_clean();
}

/// <https://github.com/tokio-rs/tokio/issues/6914>: a half that is dropped without a shutdown is forgotten.
#[test]
fn dropped_half_of_a_simplex_goes_unnoticed() {
    let make = |_, _| {
        let (reader, writer) = tokio::io::simplex(64);
        (tokio::io::join(tokio::io::empty(), writer), tokio::io::join(reader, tokio::io::sink()))
    };
    let report = Check::new().one_way().pair(make);
    let broken: Vec<Rule> = report.violations().iter().map(Violation::rule).collect();
    assert_eq!(broken, [Rule::EndUnnoticed, Rule::GonePeerUnnoticed], "{report}");
}

#[test]
fn transforming_pair_is_clean() {
    check_pair(|left, right| (Masked::new(left), Masked::new(right))).assert_clean();
}

#[test]
fn pair_with_a_handshake_is_clean() {
    let hello = |mut transport: Transport| async move {
        transport.write_all(b"hello").await?;
        transport.flush().await?;
        let mut answer = [0; 5];
        transport.read_exact(&mut answer).await?;
        if &answer == b"hello" { Ok(transport) } else { Err(io::ErrorKind::InvalidData.into()) }
    };
    Check::new().pair_async(|left, right| (hello(left), hello(right))).assert_clean();
}

#[test]
fn tcp_stream_is_clean() {
    let runtime = runtime();
    let sockets = Rc::clone(&runtime);
    let make = move |_, _| {
        let _context = sockets.enter();
        connected().expect("the loopback interface takes connections")
    };
    on(&runtime).pair(make).assert_clean();
}

#[test]
fn unix_stream_is_clean() {
    let runtime = runtime();
    let sockets = Rc::clone(&runtime);
    let make = move |_, _| {
        let _context = sockets.enter();
        UnixStream::pair().expect("a pair of sockets")
    };
    on(&runtime).pair(make).assert_clean();
}

fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    Ok((registered(near)?, registered(far)?))
}

fn registered(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

fn runtime() -> Rc<Runtime> {
    Rc::new(Builder::new_current_thread().enable_all().build().expect("a runtime of one thread"))
}

/// A check of sockets: the kernel leaves little to the schedule, and each rest takes time.
fn on(runtime: &Rc<Runtime>) -> Check {
    let runtime = Rc::clone(runtime);
    let park = move |woken| {
        // Past the bound nothing comes any more: on loopback, what was sent is there at once.
        let _waited = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(30), woken).await });
    };
    Check::new().depth(1).deviations(2).random_runs(2).fill_limit(32 << 20).step_bound(200_000).park(park)
}

/// A right stream whose wire is not its plaintext: each byte masked by its place, with a buffer on the way out.
struct Masked {
    io: Transport,
    out: Vec<u8>,
    sent: u8,
    received: u8,
}

impl Masked {
    fn new(io: Transport) -> Self {
        Self { io, out: Vec::new(), sent: 0, received: 0 }
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => drop(self.out.drain(..n)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Masked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        for byte in &mut buf.filled_mut()[before..] {
            *byte ^= self.received;
            self.received = self.received.wrapping_add(1);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Masked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.out.len() >= 300 {
            ready!(self.drain(cx))?;
        }
        for byte in bytes {
            let masked = byte ^ self.sent;
            self.out.push(masked);
            self.sent = self.sent.wrapping_add(1);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
