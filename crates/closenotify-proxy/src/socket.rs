//! The sockets that sessions run over, and what the kernel knows of them that a stream does not say.
//!
//! A connection that is not complete must not look complete, whatever becomes of the process. So a TCP socket is set to
//! reset on close from its first moment ([`arm`](Transport::arm)), and set back when everything for its peer has been sent,
//! FIN included ([`disarm`](Transport::disarm)). A Unix socket has no reset: its peer sees the same end in either case.

#[cfg(test)]
pub(crate) mod scripted;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use closenotify::send_queue;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream under a leg, with what ending it right takes.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Bytes, overhead included, that the peer's kernel has not acknowledged. `None` where the kernel does not say.
    fn unsent(&self) -> Option<u64>;

    /// From here on closing it, by whatever cause, is a reset.
    fn arm(&self);

    /// From here on closing it delivers what was sent.
    fn disarm(&self);

    /// Whether the connection has been reset, or both its directions are closed. Takes no error from the socket.
    fn is_dead(&self) -> bool;
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Sends FIN. Doing it twice does no harm.
    pub(crate) fn send_fin(&self) -> io::Result<()> {
        SockRef::from(&self.as_fd()).shutdown(Shutdown::Write)
    }

    /// Waits until the connection is reset or fails. Dropping the future loses nothing.
    pub(crate) async fn failed(&self) {
        let _ready = match self {
            Self::Tcp(tcp) => tcp.ready(Interest::ERROR).await,
            Self::Unix(unix) => unix.ready(Interest::ERROR).await,
        };
    }
}

impl From<TcpStream> for Socket {
    /// Takes a new TCP connection: what is written leaves at once, little of it waits unsent in the kernel, and closing it is a
    /// reset until it is disarmed.
    fn from(tcp: TcpStream) -> Self {
        // Each fails only on a connection that is gone, and then the first read says so.
        let _ = tcp.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(NOT_SENT_MAX);
        let socket = Self::Tcp(tcp);
        socket.arm();
        socket
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self::Unix(unix)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Transport for Socket {
    fn unsent(&self) -> Option<u64> {
        match self {
            Self::Tcp(tcp) => send_queue(tcp),
            Self::Unix(unix) => send_queue(unix),
        }
    }

    fn arm(&self) {
        if let Self::Tcp(tcp) = self {
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    fn disarm(&self) {
        if let Self::Tcp(tcp) = self {
            let _ = SockRef::from(tcp).set_linger(None);
        }
    }

    fn is_dead(&self) -> bool {
        let mut asked = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::empty())];
        // ERR and HUP need not be asked for.
        poll(&mut asked, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, data),
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

/// How many bytes may wait in the kernel that were never sent: enough to keep a fast connection busy.
#[cfg(target_os = "linux")]
const NOT_SENT_MAX: u32 = 256 * 1024;
