//! A server that sees the ClientHello before it chooses its configuration.
//!
//! No byte is lost on the way: until a configuration is given, what was read can be had back with the transport.

use crate::accept::Accept;
use crate::buffers::BufferLimit;
use crate::early::AcceptEarly;
use crate::handshake::{Early, Handshaking, Settings, io_error};
use crate::reading::Truncation;
use closenotify_core::HelloReceived;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Waits for a ClientHello, then lets the server choose its configuration by what the client asks for.
///
/// ```
/// use closenotify::{LazyConfigAcceptor, server};
/// # use std::{io, sync::Arc};
/// # use tokio::net::TcpStream;
///
/// # async fn serve(tcp: TcpStream, one: Arc<rustls::ServerConfig>, other: Arc<rustls::ServerConfig>)
/// # -> io::Result<server::TlsStream<TcpStream>> {
/// let start = LazyConfigAcceptor::new(tcp).await?;
/// let config = match start.client_hello().server_name() {
///     Some("one.example") => one,
///     _ => other,
/// };
/// start.into_stream(config).await
/// # }
/// ```
///
/// The future answers an [`io::Error`] as that of [`TlsAcceptor::accept`](crate::TlsAcceptor::accept) does. Dropping it drops
/// the transport, with no alert.
#[derive(Debug)]
#[must_use = "an acceptor does nothing until it is awaited"]
pub struct LazyConfigAcceptor<T>(Option<Handshaking<T>>);

impl<T> LazyConfigAcceptor<T> {
    /// An acceptor over `stream`, with the settings of a new [`TlsAcceptor`](crate::TlsAcceptor).
    pub fn new(stream: T) -> Self {
        Self(Some(Handshaking::hello(stream, Settings::default())))
    }

    /// Sets how long the handshake may take from the first poll of this future to the stream; 10 seconds when not set.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        if let Some(handshaking) = &mut self.0 {
            handshaking.settings_mut().handshake_timeout = timeout;
        }
        self
    }

    /// Sets what a missing close_notify is on the stream made here; an error when not set.
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        if let Some(handshaking) = &mut self.0 {
            handshaking.settings_mut().truncation = truncation;
        }
        self
    }

    /// Sets how many bytes the session holds in each direction, as [`TlsAcceptor`](crate::TlsAcceptor::buffer_limit) does.
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        if let Some(handshaking) = &mut self.0 {
            handshaking.settings_mut().buffer_limit = BufferLimit::new(bytes);
        }
        self
    }

    /// Takes the transport out, with every byte that was read from it: for a server that finds that what came is no TLS,
    /// also after the future has failed. `None` when it was taken, or when the future has answered a ClientHello.
    pub fn take_io(&mut self) -> Option<(T, Vec<u8>)> {
        self.0.take()?.take_io()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for LazyConfigAcceptor<T> {
    type Output = io::Result<StartHandshake<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(handshaking) = &mut self.0 else {
            return Poll::Ready(Err(io::Error::other("the transport of this acceptor was taken out")));
        };
        let hello = ready!(handshaking.poll_hello(cx)).map_err(io_error)?;
        let handshaking = self.0.take().expect("it was there above");
        Poll::Ready(Ok(StartHandshake { hello, handshaking }))
    }
}

/// A ClientHello that waits for its configuration. The time of the handshake goes on.
///
/// Dropping it drops the transport, with no alert.
#[derive(Debug)]
pub struct StartHandshake<T> {
    hello: HelloReceived,
    handshaking: Handshaking<T>,
}

impl<T> StartHandshake<T> {
    /// What the client asked for.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.hello.client_hello()
    }

    /// The transport, with every byte that was read from it: to pass the connection on as it came.
    pub fn into_io(mut self) -> (T, Vec<u8>) {
        self.handshaking.take_io().expect("only this call takes it, and the value with it")
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> StartHandshake<T> {
    /// Goes on with `config`. When the client asked for nothing that it has, the future answers the error after the alert
    /// that says so. Early data is refused, as by [`accept`](crate::TlsAcceptor::accept).
    pub fn into_stream(mut self, config: Arc<ServerConfig>) -> Accept<T> {
        self.handshaking.configure(self.hello, config, Early::None);
        Accept(self.handshaking)
    }

    /// As [`into_stream`](Self::into_stream), up to where the client's early data begins, as
    /// [`accept_early`](crate::TlsAcceptor::accept_early) does, which says what can be a replay.
    pub fn into_early(mut self, config: Arc<ServerConfig>) -> AcceptEarly<T> {
        self.handshaking.configure(self.hello, config, Early::Accepted);
        AcceptEarly::new(self.handshaking)
    }
}
