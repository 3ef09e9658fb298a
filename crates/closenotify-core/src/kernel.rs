//! What is left of the TLS library after a TLS 1.3 handshake: the secrets of the keys to come, and the store of tickets.
//!
//! Both halves may need it, each at a KeyUpdate of its own direction, and so it is the one thing that they share. Data never
//! waits for its lock.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, Error};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shared rest of a TLS 1.3 handshake.
#[derive(Clone)]
pub(crate) struct Kernel(Arc<Mutex<Rest>>);

enum Rest {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Kernel {
    /// The next keys to receive with, and their first sequence number.
    pub(crate) fn update_receiving(&self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match &mut *self.lock() {
            Rest::Client(rest) => rest.update_rx_secret(),
            Rest::Server(rest) => rest.update_rx_secret(),
        }
    }

    /// The next keys to send with, and their first sequence number.
    pub(crate) fn update_sending(&self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match &mut *self.lock() {
            Rest::Client(rest) => rest.update_tx_secret(),
            Rest::Server(rest) => rest.update_tx_secret(),
        }
    }

    /// Stores a ticket; its message without the header.
    pub(crate) fn take_ticket(&self, body: &[u8]) -> Result<(), Error> {
        match &mut *self.lock() {
            Rest::Client(rest) => rest.handle_new_session_ticket(body),
            Rest::Server(_) => Ok(()),
        }
    }

    /// A panic in a ticket store leaves the secrets as they were.
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
