//! The sockets that sessions run over, and what the kernel knows of them that a stream does not say.
//!
//! A connection that is not complete must not look complete, whatever becomes of the process. So a TCP socket is set to
//! reset on close from its first moment ([`arm`](Transport::arm)), and set back when everything for its peer has been sent,
//! FIN included ([`disarm`](Transport::disarm)). A Unix socket has no reset: its peer sees the same end in either case.

#[cfg(test)]
pub(crate) mod scripted;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use closenotify::send_queue;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, libc, sockopt_impl};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream under a leg, with what ending it right takes.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Bytes that the peer's kernel has not acknowledged. `None` where the kernel does not say.
    fn unsent(&self) -> Option<u64>;

    /// From here on closing it, by whatever cause, is a reset.
    fn arm(&self);

    /// From here on closing it delivers what was sent.
    fn disarm(&self);

    /// Whether the connection has been reset, or is over. Takes no error from the socket.
    fn is_dead(&self) -> bool;

    /// Whether writing to a peer that has closed fails at once, as on a Unix socket.
    fn refuses_late_writes(&self) -> bool {
        false
    }

    /// Asked when such a write has failed: whether the peer had read everything before. `false` where the kernel does not say.
    fn left_after_all(&self) -> bool {
        false
    }
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// Bytes that the kernel has taken from us, and what it had counted as acknowledged before the first.
    written: u64,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Writes what the kernel takes at once.
    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.try_write(data),
            Stream::Unix(unix) => unix.try_write(data),
        }
    }

    /// Whether a reset of the peer's has surely destroyed some of what was sent: more is unacknowledged than a peer that has
    /// received everything leaves so. It acknowledges every second segment at once (RFC 1122 section 4.2.3.2), and Linux does not
    /// count what a reset acknowledges.
    pub(crate) fn has_lost(&self) -> bool {
        match &self.stream {
            Stream::Tcp(tcp) => {
                let segment = tcp_info(tcp).map_or(0, |info| info[SND_MSS] & u64::from(u32::MAX));
                self.unsent().unwrap_or(0) > 2 * segment
            }
            // A peer that has read everything leaves a close_notify unread, which takes a buffer.
            Stream::Unix(_) => self.unsent().unwrap_or(0) > SMALL_BUFFER,
        }
    }

    /// The address of our end. A Unix socket has none.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }
}

impl From<TcpStream> for Socket {
    /// Takes a new TCP connection: what is written leaves at once, and closing it is a reset until it is disarmed.
    ///
    /// The kernel's buffers are left as they are. A small one (`TCP_NOTSENT_LOWAT`) would leave in the sender's kernel what the
    /// receiver does not take yet, and there the first reset destroys it, though its sender believes it sent.
    fn from(tcp: TcpStream) -> Self {
        // It fails only on a connection that is gone, and then the first read says so.
        let _ = tcp.set_nodelay(true);
        // Of a connection that we made, SYN counts as one.
        let written = acknowledged(&tcp).unwrap_or(0);
        let socket = Self { stream: Stream::Tcp(tcp), written };
        socket.arm();
        socket
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self { stream: Stream::Unix(unix), written: 0 }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.as_fd(),
            Stream::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Transport for Socket {
    fn unsent(&self) -> Option<u64> {
        match &self.stream {
            Stream::Tcp(tcp) => acknowledged(tcp).map(|acknowledged| self.written.saturating_sub(acknowledged)),
            Stream::Unix(unix) => send_queue(unix),
        }
    }

    fn arm(&self) {
        if let Stream::Tcp(tcp) = &self.stream {
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    fn disarm(&self) {
        if let Stream::Tcp(tcp) = &self.stream {
            let _ = SockRef::from(tcp).set_linger(None);
        }
    }

    fn is_dead(&self) -> bool {
        match &self.stream {
            // Also once both FINs are acknowledged: then there is nothing left to lose.
            Stream::Tcp(tcp) => tcp_info(tcp).is_some_and(|info| info[0].to_ne_bytes()[0] == CLOSED),
            Stream::Unix(unix) => {
                let mut asked = [PollFd::new(unix, PollFlags::empty())];
                // ERR and HUP need not be asked for.
                poll(&mut asked, Some(&Timespec::default())).is_ok_and(|count| count > 0)
            }
        }
    }

    fn refuses_late_writes(&self) -> bool {
        matches!(self.stream, Stream::Unix(_))
    }

    fn left_after_all(&self) -> bool {
        match &self.stream {
            // TCP takes bytes for a peer that has closed, and learns of it later.
            Stream::Tcp(_) => false,
            // Closed over bytes that it has not read, the connection has an error: ECONNRESET.
            Stream::Unix(unix) => matches!(unix.take_error(), Ok(None)),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, data),
            Stream::Unix(unix) => Pin::new(unix).poll_write(cx, data),
        };
        this.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, data),
            Stream::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, data),
        };
        this.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

impl Socket {
    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written += bytes as u64;
        }
        written
    }
}

/// How many bytes the peer's kernel has acknowledged in all; SYN and FIN may count as one each. The kernel still knows after a
/// reset, which empties the send queue.
fn acknowledged(tcp: &TcpStream) -> Option<u64> {
    tcp_info(tcp).map(|info| info[BYTES_ACKED])
}

fn tcp_info(tcp: &TcpStream) -> Option<[u64; 16]> {
    getsockopt(&tcp.as_fd(), TcpInfo).ok()
}

sockopt_impl!(
    /// What the kernel knows of a TCP connection (`struct tcp_info` of `linux/tcp.h`), as 64-bit words.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u64; 16]
);

/// `tcpi_state`, the first byte, of a connection that is reset or over: `TCP_CLOSE`.
const CLOSED: u8 = 7;

/// The most that the kernel counts for a buffer with a few bytes.
const SMALL_BUFFER: u64 = 4096;

/// The word of `tcpi_snd_mss`, in its lower half on the machines that we know (it is the first of two).
const SND_MSS: usize = 2;

/// The word of `tcpi_bytes_acked`: since Linux 4.1.
const BYTES_ACKED: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_single_byte_that_is_not_acknowledged_counts_on_either_side() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let made = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (taken, _) = listener.accept().await.unwrap();
        for mut socket in [Socket::from(made), Socket::from(taken)] {
            assert_eq!(socket.unsent(), Some(0));
            // As if it had been written, and not been acknowledged.
            socket.written += 1;
            assert_eq!(socket.unsent(), Some(1));
        }
    }

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0.into(), peer)
    }

    #[tokio::test]
    async fn what_a_peer_has_not_acknowledged_is_known_also_after_its_reset() {
        let (mut socket, mut peer) = pair().await;
        assert_eq!(socket.unsent(), Some(0));
        socket.write_all(&[7; 5000]).await.unwrap();
        peer.read_exact(&mut [0; 5000]).await.unwrap();
        while socket.unsent() != Some(0) {
            tokio::task::yield_now().await;
        }
        let mut full = 0;
        while let Ok(more) = socket.try_write(&[7; 65536]) {
            full += more as u64;
            socket.written += more as u64;
        }
        let lost = socket.unsent().unwrap();
        assert!(lost > 0 && lost <= full, "{lost} of {full}");
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        socket.failed().await;
        assert!(socket.is_dead());
        assert_eq!(socket.unsent(), Some(lost));
    }

    #[tokio::test]
    async fn closing_is_a_reset_until_it_is_disarmed() {
        for (disarm, end) in [(false, Err(io::ErrorKind::ConnectionReset)), (true, Ok(0))] {
            let (socket, mut peer) = pair().await;
            if disarm {
                socket.disarm();
            }
            drop(socket);
            assert_eq!(peer.read(&mut [0; 9]).await.map_err(|error| error.kind()), end);
        }
    }

    #[tokio::test]
    async fn a_fin_is_no_death_and_a_reset_is() {
        let (socket, mut peer) = pair().await;
        peer.shutdown().await.unwrap();
        assert_eq!(socket.stream_read().await, 0);
        assert!(!socket.is_dead());
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        socket.failed().await;
        assert!(socket.is_dead());
    }

    impl Socket {
        /// Waits until the connection is reset.
        async fn failed(&self) {
            let Stream::Tcp(tcp) = &self.stream else { panic!() };
            tcp.ready(Interest::ERROR).await.unwrap();
        }

        /// Waits for the end of the stream.
        async fn stream_read(&self) -> usize {
            let Stream::Tcp(tcp) = &self.stream else { panic!() };
            loop {
                tcp.readable().await.unwrap();
                if let Ok(read) = tcp.try_read(&mut [0; 9]) {
                    return read;
                }
            }
        }
    }
}
