//! TLS as a client.

use crate::buffers::BufferLimit;
use crate::client::TlsStream;
use crate::handshake::{Early, Fallible, Handshaking, Settings, io_error};
use crate::reading::Truncation;
use crate::split::Role;
use bytes::Bytes;
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

    /// As [`connect`](Self::connect), and says `early` first: as early data (0-RTT, RFC 9846 section 4.3.10), with the first
    /// flight, where the server's ticket from an earlier session allows it. That is a quarter of what the ticket allows, and
    /// 4 KiB, at most, less 17 bytes; the rest waits for the handshake. So a server that refuses it, for the ticket is not known
    /// any more or another protocol was chosen, goes on all the same: one over rustls 0.23 cannot skip much more.
    ///
    /// The stream that it answers is one like any other: there is no state in which its close or its shutdown is another. No
    /// byte of `early` is lost or doubled: what was not accepted as early data follows as ordinary data, before anything that
    /// is written to the stream. [`SessionFacts::early_data`](crate::SessionFacts::early_data) says how much was accepted. It is
    /// written when the future answers; only where the server takes no more of it before its own answer, of more than 16 KiB,
    /// is read, what is left is held, encrypted, and goes out with the stream's next read, write or flush.
    ///
    /// **The server may get `early` more than once**, by somebody on the way who recorded it, and it is not protected by keys of
    /// this session. Say only what may be said twice. To call this is to allow it: `enable_early_data` of the configuration need
    /// not be set.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect). When early data had gone out, the server may have acted on it though the handshake failed. A
    /// server that does not know TLS 1.3 any more fails it: connect again without. So may one over rustls 0.23 that refuses early
    /// data and has lowered its limit, but not to 0, since it made the ticket, or that gets the client's certificate in many
    /// small pieces; its alert may come so late that the stream is there already, and its first read fails.
    ///
    /// Dropping the future drops the transport, with no alert; early data may have reached the server.
    pub fn connect_early<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        domain: ServerName<'static>,
        stream: T,
        early: impl Into<Bytes>,
    ) -> Connect<T> {
        let handshake = Handshake::client_early(Arc::clone(&self.config), domain, early.into());
        Connect(Handshaking::new(stream, Role::Client, handshake, self.settings).with_early(Early::Sent))
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

/// A client's handshake under way: made by [`TlsConnector::connect`] and [`connect_early`](TlsConnector::connect_early).
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
