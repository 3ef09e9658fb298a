//! s2n-tls-tokio, over the AWS-LC that rustls uses.

use super::{Facts, Reader, Resumption, Stack, Stream, Writer, split_by_tokio};
use crate::certs::{Identity, NAME};
use s2n_tls::callbacks::{SessionTicket, SessionTicketCallback};
use s2n_tls::config::{Builder, Config};
use s2n_tls::connection::{Builder as BuildConnection, Connection};
use s2n_tls::enums::{Mode, Version};
use s2n_tls::error::Error;
use s2n_tls::security::Policy;
use s2n_tls_tokio::{TlsAcceptor, TlsConnector, TlsStream};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;

/// s2n-tls-tokio, split by tokio.
pub struct S2n {
    connector: TlsConnector<Resuming>,
    acceptor: TlsAcceptor,
}

/// Makes connections that resume the last session there is.
#[derive(Clone)]
struct Resuming {
    config: Config,
    tickets: Tickets,
}

/// The last ticket that came.
#[derive(Clone, Default)]
struct Tickets(Arc<Mutex<Option<Vec<u8>>>>);

impl Stack for S2n {
    type Client<T: Stream> = TlsStream<T>;
    type Server<T: Stream> = TlsStream<T>;

    fn new(identity: &Identity, resumption: Resumption) -> io::Result<Self> {
        let policy = Policy::from_version(POLICY)?;
        let tickets = Tickets::default();
        let mut client = Builder::new();
        client.set_security_policy(&policy)?;
        client.with_system_certs(false)?;
        client.trust_pem(identity.authority.as_bytes())?;
        let mut server = Builder::new();
        server.set_security_policy(&policy)?;
        server.load_pem(identity.certificate.as_bytes(), identity.key.as_bytes())?;
        if resumption == Resumption::Tickets {
            client.enable_session_tickets(true)?;
            client.set_session_ticket_callback(tickets.clone())?;
            let made = SystemTime::now() - Duration::from_secs(1);
            server.add_session_ticket_key(b"bench", b"a key for nothing but this bench", made)?;
        }
        Ok(Self {
            connector: TlsConnector::new(Resuming { config: client.build()?, tickets }),
            acceptor: TlsAcceptor::new(server.build()?),
        })
    }

    async fn connect<T: Stream>(&self, transport: T) -> io::Result<TlsStream<T>> {
        Ok(self.connector.connect(NAME, transport).await?)
    }

    async fn accept<T: Stream>(&self, transport: T) -> io::Result<TlsStream<T>> {
        Ok(self.acceptor.accept(transport).await?)
    }

    fn facts<T: Stream>(client: &TlsStream<T>) -> Option<Facts> {
        let connection = client.as_ref();
        Some(Facts {
            suite: matches!(connection.cipher_suite(), Ok("TLS_AES_128_GCM_SHA256"))
                && matches!(connection.selected_key_exchange_group(), Some("x25519"))
                && matches!(connection.actual_protocol_version(), Ok(Version::TLS13)),
            resumed: connection.resumed(),
        })
    }

    fn split_client(client: TlsStream<TcpStream>) -> (impl Reader, impl Writer) {
        split_by_tokio(client)
    }

    fn split_server(server: TlsStream<TcpStream>) -> (impl Reader, impl Writer) {
        split_by_tokio(server)
    }
}

impl BuildConnection for Resuming {
    type Output = Connection;

    fn build_connection(&self, mode: Mode) -> Result<Connection, Error> {
        let mut connection = self.config.build_connection(mode)?;
        if let Some(ticket) = self.tickets.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            connection.set_session_ticket(&ticket)?;
        }
        Ok(connection)
    }
}

impl SessionTicketCallback for Tickets {
    fn on_session_ticket(&self, _connection: &mut Connection, ticket: &SessionTicket) {
        let Ok(length) = ticket.len() else { return };
        let mut bytes = vec![0; length];
        if ticket.data(&mut bytes).is_ok() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
        }
    }
}

/// The one policy that prefers both AES-128-GCM and X25519.
const POLICY: &str = "20240417";
