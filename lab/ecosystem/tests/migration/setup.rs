//! A client of each library over the same transport, with the same configuration.

use closenotify::rustls::pki_types::ServerName;
use closenotify::rustls::{ClientConfig, ServerConfig};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use testkit::certs::{Authority, TlsVersion};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

pub(crate) fn configs(tls: TlsVersion) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new();
    (authority.client_config(tls), authority.server_config(tls))
}

pub(crate) fn name() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

/// What happens to writes after the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    Works,
    /// Every write is pending.
    Stuck,
    /// Every write returns 0.
    Zero,
}

/// A transport whose writes can be spoiled.
pub(crate) struct Spoiled {
    inner: DuplexStream,
    mode: Arc<AtomicU8>,
}

impl Spoiled {
    pub(crate) fn new(inner: DuplexStream) -> (Self, impl Fn(Mode)) {
        let mode = Arc::new(AtomicU8::new(Mode::Works as u8));
        let set = Arc::clone(&mode);
        (Self { inner, mode }, move |mode| set.store(mode as u8, Ordering::SeqCst))
    }

    fn spoil(&self) -> Option<Poll<io::Result<usize>>> {
        match self.mode.load(Ordering::SeqCst) {
            mode if mode == Mode::Stuck as u8 => Some(Poll::Pending),
            mode if mode == Mode::Zero as u8 => Some(Poll::Ready(Ok(0))),
            _ => None,
        }
    }
}

impl AsyncRead for Spoiled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Spoiled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.spoil().unwrap_or_else(|| Pin::new(&mut self.inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.spoil().unwrap_or_else(|| Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
