//! What remains of the TLS library after a TLS 1.3 handshake: it derives the next keys and stores tickets.
//!
//! It is the only state that both halves share: each needs it for a KeyUpdate of its direction. Data never takes its lock.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, Error};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shared remainder of a TLS 1.3 handshake.
#[derive(Clone)]
pub(crate) struct Kernel(Arc<Mutex<Rest>>);

enum Rest {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Kernel {
    /// The next receiving keys and their first sequence number.
    pub(crate) fn update_receiving(&self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match &mut *self.lock() {
            Rest::Client(rest) => rest.update_rx_secret(),
            Rest::Server(rest) => rest.update_rx_secret(),
        }
    }

    /// The next sending keys and their first sequence number.
    pub(crate) fn update_sending(&self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match &mut *self.lock() {
            Rest::Client(rest) => rest.update_tx_secret(),
            Rest::Server(rest) => rest.update_tx_secret(),
        }
    }

    /// Stores a ticket; `body` is its message without the header.
    pub(crate) fn take_ticket(&self, body: &[u8]) -> Result<(), Error> {
        match &mut *self.lock() {
            Rest::Client(rest) => rest.handle_new_session_ticket(body),
            Rest::Server(_) => Ok(()),
        }
    }

    /// A panic in a ticket store does not change the secrets, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<KernelConnection<ClientConnectionData>> for Kernel {
    fn from(rest: KernelConnection<ClientConnectionData>) -> Self {
        Self(Arc::new(Mutex::new(Rest::Client(rest))))
    }
}

impl From<KernelConnection<ServerConnectionData>> for Kernel {
    fn from(rest: KernelConnection<ServerConnectionData>) -> Self {
        Self(Arc::new(Mutex::new(Rest::Server(rest))))
    }
}
