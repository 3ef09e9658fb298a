//! Tickets in plenty: TLS 1.3 configurations whose every session resumes one that is over, with early data.
//!
//! It refuses to be safe: its server takes a ticket any number of times, which is what makes a replay possible, and what
//! tests of replays need.

use crate::certs::{Authority, TlsVersion};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::server::StoresServerSessions;
use rustls::{ClientConfig, ClientConnection, NamedGroup, ServerConfig, ServerConnection};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// A server and a client whose sessions, the first 100 of them, all resume one that is over. The server accepts up to
/// `max_early_data` bytes of early data, makes no new tickets, and answers before the client has finished; the client
/// offers early data.
#[must_use]
pub fn early_configs(max_early_data: u32) -> (ServerConfig, ClientConfig) {
    let authority = Authority::new();
    let server = ServerConfig::clone(&authority.server_config(TlsVersion::V13));
    let client = ClientConfig::clone(&authority.client_config(TlsVersion::V13));
    early_configs_from(server, client, max_early_data, 100)
}

/// [`early_configs`] made of configurations that say more, for this many sessions.
#[must_use]
pub fn early_configs_from(
    mut server: ServerConfig,
    mut client: ClientConfig,
    max_early_data: u32,
    sessions: usize,
) -> (ServerConfig, ClientConfig) {
    server.max_early_data_size = max_early_data;
    server.send_half_rtt_data = true;
    server.send_tls13_tickets = FLIGHT;
    server.session_storage = Arc::new(Server::default());
    client.enable_early_data = true;
    client.resumption = Resumption::store(Arc::new(Client::default()));
    // Each meeting after the first uses up one ticket itself.
    for _ in 0..sessions.div_ceil(FLIGHT - 1) {
        meet(server.clone(), client.clone());
    }
    server.send_tls13_tickets = 0;
    (server, client)
}

/// One whole session, so that the client gets its ticket.
fn meet(server: ServerConfig, client: ClientConfig) {
    let name = ServerName::try_from("localhost").expect("a valid name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("a valid configuration");
    let mut server = ServerConnection::new(Arc::new(server)).expect("a valid configuration");
    let mut bytes = Vec::new();
    // Two rounds for the handshake, one for the ticket.
    for _ in 0..3 {
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("memory takes everything");
        }
        server.read_tls(&mut &std::mem::take(&mut bytes)[..]).expect("memory does not fail");
        server.process_new_packets().expect("the client is well");
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("memory takes everything");
        }
        let mut flight = &std::mem::take(&mut bytes)[..];
        while client.read_tls(&mut flight).expect("memory does not fail") > 0 {
            client.process_new_packets().expect("the server is well");
        }
    }
    assert!(!client.is_handshaking() && client.tls13_tickets_received() as usize == FLIGHT, "the tickets are there");
}

#[derive(Debug, Default)]
struct Server(Mutex<HashMap<Vec<u8>, Vec<u8>>>);

impl StoresServerSessions for Server {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[derive(Debug, Default)]
struct Client(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    tickets: VecDeque<Tls13ClientSessionValue>,
    group: Option<NamedGroup>,
}

impl ClientSessionStore for Client {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tickets.push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tickets.pop_front()
    }
}

/// How many tickets a client takes in one flight.
const FLIGHT: usize = 200;
