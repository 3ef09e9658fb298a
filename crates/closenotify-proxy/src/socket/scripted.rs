//! A scripted transport with a scripted kernel under it: what is unsent, whether the connection was reset, and whether closing
//! it is a reset.

use super::Transport;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use testkit::transport::{Handle, ReadStep, Scripted};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The transport.
#[derive(Debug)]
pub(crate) struct Kernel {
    io: Scripted,
    state: Arc<State>,
}

/// The script, and the kernel's side of it.
#[derive(Clone)]
pub(crate) struct Script {
    handle: Handle,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    unsent: AtomicU64,
    dead: AtomicBool,
    armed: AtomicBool,
}

impl Kernel {
    /// A transport that is armed, as a socket is from its first moment.
    pub(crate) fn new(reads: impl IntoIterator<Item = ReadStep>) -> (Self, Script) {
        let (io, handle) = Scripted::new(reads);
        let state = Arc::new(State::default());
        state.armed.store(true, Ordering::Relaxed);
        (Self { io, state: Arc::clone(&state) }, Script { handle, state })
    }
}

impl Script {
    /// The script of the bytes alone.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Sets how many bytes the peer's kernel has not acknowledged.
    pub(crate) fn set_unsent(&self, bytes: u64) {
        self.state.unsent.store(bytes, Ordering::Relaxed);
    }

    /// The peer has reset the connection; nothing tells so but a look.
    pub(crate) fn die(&self) {
        self.state.dead.store(true, Ordering::Relaxed);
    }

    /// Whether closing the connection now would reset it.
    pub(crate) fn is_armed(&self) -> bool {
        self.state.armed.load(Ordering::Relaxed)
    }
}

impl Deref for Script {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Transport for Kernel {
    fn unsent(&self) -> Option<u64> {
        Some(self.state.unsent.load(Ordering::Relaxed))
    }

    fn arm(&self) {
        self.state.armed.store(true, Ordering::Relaxed);
    }

    fn disarm(&self) {
        self.state.armed.store(false, Ordering::Relaxed);
    }

    fn is_dead(&self) -> bool {
        self.state.dead.load(Ordering::Relaxed)
    }
}

impl AsyncRead for Kernel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Kernel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
