//! TLS as a server.

use crate::buffers::BufferLimit;
use crate::early::AcceptEarly;
use crate::handshake::{Early, Fallible, Handshaking, Settings, io_error};
use crate::reading::Truncation;
use crate::server::TlsStream;
use crate::split::Role;
use closenotify_core::Handshake;
use rustls::ServerConfig;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Makes TLS sessions as a server.
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    settings: Settings,
}

impl TlsAcceptor {
    /// Sets how long a handshake may take, its alert included; 10 seconds when not set. It runs on Tokio's clock.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// Sets what a missing close_notify is on the streams made here; an error when not set.
    #[must_use]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.settings.truncation = truncation;
        self
    }

    /// Sets how many bytes a session made here holds in each direction; 64 KiB when not set, less than 16 KiB counts as
    /// 16 KiB, more than 64 KiB as 64 KiB. [What a session holds](crate#memory) says of which buffers.
    #[must_use]
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.settings.buffer_limit = BufferLimit::new(bytes);
        self
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Handshakes over `stream` with a client.
    ///
    /// Early data is refused, whatever the configuration says of it: the client sends it again behind the handshake.
    /// [`accept_early`](Self::accept_early) accepts it.
    ///
    /// # Errors
    ///
    /// The future answers an [`io::Error`] whose source is a [`HandshakeError`](crate::HandshakeError). An alert that says
    /// why has been sent then, if the peer took it.
    pub fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> Accept<T> {
        Accept(Handshaking::new(stream, Role::Server, Handshake::server(Arc::clone(&self.config)), self.settings))
    }

    /// Handshakes over `stream` with a client up to where its early data begins (RFC 9846 section 4.3.10), or to the end where
    /// there is none.
    ///
    /// Early data is accepted from a client that resumes a session, up to `max_early_data_size` bytes of the configuration (0,
    /// the default, is none), and only where sessions are kept by the server (`session_storage`), not in tickets alone. **It
    /// can be a replay**: see [`EarlyStream`](crate::EarlyStream) before acting on it. A server that only wants it heard sooner goes on at once,
    /// and reads it from the session's stream, where it is none:
    ///
    /// ```
    /// # use closenotify::{TlsAcceptor, server};
    /// # use tokio::net::TcpStream;
    /// # async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<server::TlsStream<TcpStream>> {
    /// acceptor.accept_early(tcp).await?.finish().await
    /// # }
    /// ```
    ///
    /// Where rustls 0.23 refuses early data, because another protocol was chosen or the ticket is not known any more, it keeps
    /// what it skips and counts it anew at each step: a client that sent more than about half of the limit, or than 16 KiB, fails
    /// the handshake then. Such a client has to come again. A client of ours [does not send so
    /// much](crate::TlsConnector::connect_early).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn accept_early<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> AcceptEarly<T> {
        let handshake = Handshake::server_early(Arc::clone(&self.config));
        AcceptEarly::new(Handshaking::new(stream, Role::Server, handshake, self.settings).with_early(Early::Accepted))
    }
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self { config, settings: Settings::default() }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A server's handshake under way: made by [`TlsAcceptor::accept`].
///
/// Dropping it drops the transport, with no alert: the peer sees an unfinished handshake.
#[derive(Debug)]
#[must_use = "a handshake does nothing until it is awaited"]
pub struct Accept<T>(pub(crate) Handshaking<T>);

impl<T: AsyncRead + AsyncWrite + Unpin> Accept<T> {
    /// The same handshake, which gives the transport back when it fails.
    pub fn into_fallible(self) -> Fallible<Self> {
        Fallible(self)
    }

    /// The transport; `None` after the future has answered.
    pub fn get_ref(&self) -> Option<&T> {
        self.0.get_ref()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Accept<T> {
    type Output = io::Result<TlsStream<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        Poll::Ready(result.map(TlsStream).map_err(|(error, _io)| io_error(error)))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Fallible<Accept<T>> {
    type Output = Result<TlsStream<T>, (io::Error, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.0.poll(cx));
        Poll::Ready(result.map(TlsStream).map_err(|(error, io)| (io_error(error), io)))
    }
}
