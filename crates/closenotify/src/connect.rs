//! TLS as a client.

use crate::buffers::BufferLimit;
use crate::client::TlsStream;
use crate::handshake::{Fallible, Handshaking, Settings, io_error};
use crate::reading::Truncation;
use crate::split::Role;
use closenotify_core::Handshake;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Makes TLS sessions as a client.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    settings: Settings,
}

impl TlsConnector {
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

    /// The same connector, which offers these protocols by ALPN (RFC 7301), the first one preferred, in place of those of its
    /// configuration. It makes a copy of the configuration, which shares the sessions to resume: for many connections, keep
    /// the connector that it answers.
    #[must_use]
    pub fn with_alpn(&self, protocols: Vec<Vec<u8>>) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols;
        Self { config: Arc::new(config), settings: self.settings }
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Handshakes over `stream` with the server called `domain`.
    ///
    /// # Errors
    ///
    /// The future answers an [`io::Error`] whose source is a [`HandshakeError`](crate::HandshakeError). An alert that says
    /// why has been sent then, if the peer took it.
    pub fn connect<T: AsyncRead + AsyncWrite + Unpin>(&self, domain: ServerName<'static>, stream: T) -> Connect<T> {
        Connect(Handshaking::new(
            stream,
            Role::Client,
            Handshake::client(Arc::clone(&self.config), domain),
            self.settings,
        ))
    }
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { config, settings: Settings::default() }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A client's handshake under way: made by [`TlsConnector::connect`].
///
/// Dropping it drops the transport, with no alert: the peer sees an unfinished handshake.
#[derive(Debug)]
#[must_use = "a handshake does nothing until it is awaited"]
pub struct Connect<T>(Handshaking<T>);

impl<T: AsyncRead + AsyncWrite + Unpin> Connect<T> {
    /// The same handshake, which gives the transport back when it fails.
    pub fn into_fallible(self) -> Fallible<Self> {
        Fallible(self)
    }

    /// The transport; `None` after the future has answered.
    pub fn get_ref(&self) -> Option<&T> {
        self.0.get_ref()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Connect<T> {
    type Output = io::Result<TlsStream<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        Poll::Ready(result.map(TlsStream).map_err(|(error, _io)| io_error(error)))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Fallible<Connect<T>> {
    type Output = Result<TlsStream<T>, (io::Error, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.0.poll(cx));
        Poll::Ready(result.map(TlsStream).map_err(|(error, io)| (io_error(error), io)))
    }
}
