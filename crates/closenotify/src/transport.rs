//! The transports that split into two halves: Tokio's own, and any other inside a [`Splittable`].

use crate::split::SplitTransport;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, tcp};

impl SplitTransport for TcpStream {
    type ReadHalf = tcp::OwnedReadHalf;
    type WriteHalf = tcp::OwnedWriteHalf;

    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        self.into_split()
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        read.reunite(write).expect("halves of one socket")
    }
}

#[cfg(unix)]
impl SplitTransport for tokio::net::UnixStream {
    type ReadHalf = tokio::net::unix::OwnedReadHalf;
    type WriteHalf = tokio::net::unix::OwnedWriteHalf;

    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        self.into_split()
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        read.reunite(write).expect("halves of one socket")
    }
}

impl SplitTransport for DuplexStream {
    type ReadHalf = tokio::io::ReadHalf<Self>;
    type WriteHalf = tokio::io::WriteHalf<Self>;

    #[expect(clippy::disallowed_methods, reason = "an in-memory pipe has no halves, and its polls are short")]
    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        tokio::io::split(self)
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        read.unsplit(write)
    }
}

/// Makes a transport of any type splittable, such as a type of another crate without halves.
///
/// Its halves share the transport as those of [`tokio::io::split`] do: a poll of one may block for the duration of a poll of the
/// other. Unlike that of a `TcpStream`, a dropped write half does not end the transport's sending direction. Shut it down first.
///
/// ```
/// use closenotify::{Splittable, TlsConnector, client::TlsStream};
/// # use tokio::io::{AsyncRead, AsyncWrite};
/// # async fn open<T: AsyncRead + AsyncWrite + Unpin>(connector: TlsConnector, tunnel: T) -> std::io::Result<()> {
/// let name = "example.com".try_into().expect("a DNS name");
/// let stream = connector.connect(name, Splittable::new(tunnel)).await?;
/// let (reader, writer) = stream.into_split();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Default)]
pub struct Splittable<T>(T);

impl<T> Splittable<T> {
    /// Wraps a transport.
    pub fn new(io: T) -> Self {
        Self(io)
    }

    /// The transport.
    pub fn get_ref(&self) -> &T {
        &self.0
    }

    /// The transport.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// The transport.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Splittable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splittable").finish_non_exhaustive()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> SplitTransport for Splittable<T> {
    type ReadHalf = tokio::io::ReadHalf<T>;
    type WriteHalf = tokio::io::WriteHalf<T>;

    #[expect(clippy::disallowed_methods, reason = "it is what this type is for, and its page says what it costs")]
    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        tokio::io::split(self.0)
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        Self(read.unsplit(write))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Splittable<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Splittable<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
