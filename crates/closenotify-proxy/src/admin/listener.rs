//! The socket of the admin listener: one that is open already, as those of the other listeners are.
//!
//! It knows no HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::address::Endpoint;
use crate::listen::{self, Listener};

/// An admin listener that is open.
#[derive(Debug)]
pub(crate) struct Admin {
    socket: Listener,
    host: Host,
}

impl Admin {
    /// One at this socket.
    ///
    /// # Errors
    ///
    /// The system's, if there can be no more descriptors.
    pub(crate) fn over(listening: &listen::Listening) -> io::Result<Self> {
        let host = match listening.wanted() {
            Endpoint::Tcp(address) => Host::Named(address.host()),
            Endpoint::Unix(_) => Host::Any,
        };
        Ok(Self { socket: listening.sockets()[0].try_clone()?, host })
    }

    /// The `Host` that a request may name.
    pub(super) fn host(&self) -> Host {
        self.host.clone()
    }

    /// Hands the socket to the runtime that is entered.
    pub(super) fn listening(self) -> io::Result<Listening> {
        Ok(match self.socket {
            Listener::Tcp(socket) => Listening::Tcp(TcpListener::from_std(socket)?),
            Listener::Unix(socket) => Listening::Unix(UnixListener::from_std(socket)?),
        })
    }
}

/// Which `Host` a request may name.
#[derive(Clone, Debug)]
pub(super) enum Host {
    /// Any: a web page cannot make a browser connect to a Unix socket.
    Any,
    /// This one, beside IP addresses and localhost.
    Named(String),
}

/// A listener in a runtime.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    /// Dropping the future loses no connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small answers must not wait; on a connection that is gone the first read says so.
                let _ = stream.set_nodelay(true);
                Accepted::Tcp(stream)
            }
            Self::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

/// A connection.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, data),
        }
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
