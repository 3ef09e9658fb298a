//! A server that sees the ClientHello before it chooses its configuration.
//!
//! No byte is lost on the way: until a configuration is given, what was read can be had back with the transport.

use crate::accept::{Accept, TlsAcceptor};
use crate::buffers::BufferLimit;
use crate::flight::{Filled, Flight, Refusal, Settings};
use crate::handshake::Handshaking;
use crate::link::Side;
use crate::reading::Truncation;
use crate::split::Role;
use closenotify_core::{HelloReader, HelloReceived};
use rustls::server::ClientHello;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Reads a ClientHello, then lets the server choose its configuration by what the client offers.
///
/// ```
/// use closenotify::{LazyConfigAcceptor, TlsAcceptor, server};
/// # use std::io;
/// # use tokio::net::TcpStream;
///
/// # async fn serve(tcp: TcpStream, one: &TlsAcceptor, other: &TlsAcceptor)
/// # -> io::Result<server::TlsStream<TcpStream>> {
/// let start = LazyConfigAcceptor::new(tcp).await?;
/// let acceptor = match start.client_hello().server_name() {
///     Some("one.example") => one,
///     _ => other,
/// };
/// start.into_stream(acceptor.clone()).await
/// # }
/// ```
///
/// The future returns an [`io::Error`] as that of [`TlsAcceptor::accept`] does. Dropping it drops the transport, with no
/// alert.
#[must_use = "an acceptor does nothing until it is awaited"]
pub struct LazyConfigAcceptor<T>(Option<Waiting<T>>);

struct Waiting<T> {
    flight: Flight<T>,
    reader: HelloReader,
    /// Why there will be no ClientHello; the alert that says so goes out first.
    refused: Option<Refusal>,
}

impl<T> LazyConfigAcceptor<T> {
    /// An acceptor over `stream`, with the settings of a new [`TlsAcceptor`].
    pub fn new(stream: T) -> Self {
        Self(Some(Waiting {
            flight: Flight::new(stream, Settings::default()),
            reader: HelloReader::new(),
            refused: None,
        }))
    }

    /// Sets how long the handshake may take from the first poll of this future to the stream, as
    /// [`TlsAcceptor::handshake_timeout`] does.
    pub fn handshake_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.set(|settings| settings.handshake_timeout = timeout.into().into());
        self
    }

    /// Sets how a missing close_notify is reported by the stream made here: as an error by default.
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.set(|settings| settings.truncation = truncation);
        self
    }

    /// Sets how many bytes the session holds in each direction, as [`TlsAcceptor::buffer_limit`] does.
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.set(|settings| settings.buffer_limit = BufferLimit::new(bytes));
        self
    }

    /// Takes the transport, with every byte that was read from it: for a server whose client does not speak TLS. It works after
    /// the future has failed, too. `None` if it was taken before, or if the future has returned a ClientHello.
    ///
    /// After a failure, pass the transport to [`linger`](crate::linger()) so that the alert arrives.
    pub fn take_io(&mut self) -> Option<(T, Vec<u8>)> {
        self.0.take().map(|waiting| (waiting.flight.io, waiting.flight.input.into()))
    }

    fn set(&mut self, set: impl FnOnce(&mut Settings)) {
        if let Some(waiting) = &mut self.0 {
            set(&mut waiting.flight.settings);
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Waiting<T> {
    /// Polls for the ClientHello. It stays in the input until a configuration is given.
    fn poll_hello(&mut self, cx: &mut Context<'_>) -> Poll<Result<HelloReceived, Refusal>> {
        if let Poll::Ready(late) = self.flight.poll_late(cx) {
            return Poll::Ready(Err(self.refused.take().unwrap_or(late)));
        }
        loop {
            ready!(self.flight.poll_send(Side::Writer, cx));
            if let Some(refused) = self.refused.take() {
                return Poll::Ready(Err(refused));
            }
            let received = self.reader.look(&self.flight.input);
            self.reader.take_output(self.flight.outbox.flight());
            match received {
                Ok(Some(hello)) => return Poll::Ready(Ok(hello)),
                Ok(None) => match ready!(self.flight.poll_fill(cx)) {
                    Filled::More => {}
                    Filled::Ended(end, error) => {
                        let unfinished = self.reader.transport_ended(end, &self.flight.input);
                        self.refused = Some(self.flight.refusal(end, error, unfinished));
                    }
                },
                Err(error) => self.refused = Some(error.into()),
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for LazyConfigAcceptor<T> {
    type Output = io::Result<StartHandshake<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(waiting) = &mut self.0 else {
            return Poll::Ready(Err(io::Error::other("the transport of this acceptor was taken")));
        };
        let hello = ready!(waiting.poll_hello(cx)).map_err(Refusal::into_io)?;
        let Waiting { flight, .. } = self.0.take().expect("it was there above");
        Poll::Ready(Ok(StartHandshake { hello, flight }))
    }
}

impl<T> fmt::Debug for LazyConfigAcceptor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flight = self.0.as_ref().map(|waiting| &waiting.flight);
        f.debug_struct("LazyConfigAcceptor").field("flight", &flight).finish_non_exhaustive()
    }
}

/// A ClientHello that waits for its configuration. The handshake timeout keeps running.
///
/// Dropping it drops the transport, with no alert.
pub struct StartHandshake<T> {
    hello: HelloReceived,
    flight: Flight<T>,
}

impl<T> StartHandshake<T> {
    /// What the client offers.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.hello.client_hello()
    }

    /// The transport.
    pub fn get_ref(&self) -> &T {
        &self.flight.io
    }

    /// The transport, with every byte that was read from it, to pass the connection on unchanged.
    pub fn into_io(self) -> (T, Vec<u8>) {
        (self.flight.io, self.flight.input.into())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> StartHandshake<T> {
    /// Continues with the configuration of `acceptor`: an acceptor that is kept, or an `Arc<ServerConfig>`, of which a copy is
    /// prepared each time. The settings stay those of the [`LazyConfigAcceptor`].
    ///
    /// If the client offers nothing that the configuration supports, the future sends the alert and returns the error. Early data is rejected, as by [`accept`](TlsAcceptor::accept).
    pub fn into_stream(self, acceptor: impl Into<TlsAcceptor>) -> Accept<T> {
        let Self { hello, mut flight } = self;
        let setup = acceptor.into().setup().clone();
        let handshake = hello.configure(setup, &mut flight.input, flight.outbox.flight());
        Accept(Some(Handshaking::over(flight, Role::Server, handshake)))
    }

    /// As [`into_stream`](Self::into_stream), up to where the client's early data begins, as
    /// [`accept_early`](TlsAcceptor::accept_early) does, which says what can be a replay.
    #[cfg(feature = "early-data")]
    pub fn into_early(self, acceptor: impl Into<TlsAcceptor>) -> crate::AcceptEarly<T> {
        let Self { hello, mut flight } = self;
        let setup = acceptor.into().setup().clone();
        let handshake = hello.configure_early(setup, &mut flight.input, flight.outbox.flight());
        crate::AcceptEarly::new(Handshaking::over(flight, Role::Server, handshake))
    }
}

impl<T> fmt::Debug for StartHandshake<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartHandshake").field("hello", &self.hello).field("flight", &self.flight).finish()
    }
}
