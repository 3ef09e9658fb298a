//! The TLS of a listener and to an upstream: certificates, client certificates and session tickets, out of files that change.
//!
//! Files are read when a listener starts and when it is told to reload, by whoever calls; there is no thread and no timer
//! here, and nothing is read for a connection. What was good stays until something good replaces it.

mod certificate;
mod certificates;
mod client_auth;
mod client_rules;
mod error;
mod files;
mod identity;
mod ocsp;
mod pem;
mod reload;
mod resolver;
mod self_signed;
#[cfg(test)]
mod tests;
mod ticket_keys;
mod tickets;
mod upstream;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use closenotify::{HandshakeError, TlsAcceptor};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, UnixTime};

pub use certificate::CertificateFacts;
pub use client_auth::ClientNotAllowed;
pub use error::{FileRole, TlsError, UtcDate};
pub use identity::ClientIdentity;
pub use reload::{Change, ReloadReport};
pub use upstream::UpstreamTlsState;

use crate::config::{TlsSettings, TlsVersion};
use certificate::Certificate;
use client_auth::ClientPolicy;
use files::{Reader, Watch};
use resolver::Resolver;
use ticket_keys::KeyMaterial;
use tickets::{OwnTickets, SharedTickets};

/// The TLS of a listener, shared by everything that accepts for it.
pub struct ListenerTls {
    handshake: Duration,
    /// What is served. Locked only to take it or to put another in its place.
    current: RwLock<Arc<Current>>,
    /// Locked while a reload runs.
    state: Mutex<State>,
}

struct Current {
    acceptor: Arc<TlsAcceptor>,
    parts: Parts,
}

/// What to look at for a change.
struct State {
    watch: Watch,
    /// When to read again though no file changes.
    retry: Option<Instant>,
}

/// Everything that an acceptor is made of. Each part is the last good one.
#[derive(Clone)]
struct Parts {
    certificates: Vec<Arc<Certificate>>,
    alpn: Vec<String>,
    min_tls: TlsVersion,
    clients: ClientPolicy,
    /// `None`: tickets are of this process only.
    keys: Option<Vec<KeyMaterial>>,
    sessions: Sessions,
}

/// What a client can resume a session with.
#[derive(Clone)]
struct Sessions {
    ticketer: Arc<dyn ProducesTickets>,
    /// For TLS 1.2 clients without tickets.
    storage: Arc<dyn StoresServerSessions>,
}

impl ListenerTls {
    /// Reads everything that the settings name. `handshake` is the timeout of a handshake.
    ///
    /// # Errors
    ///
    /// [`TlsError`] for the first thing that cannot be used; its text names the file or the setting and says what to do next.
    pub fn load(settings: &TlsSettings, handshake: Duration, now: SystemTime) -> Result<Self, TlsError> {
        let mut reader = Reader::default();
        let found = certificates::load(&settings.certificates, &[], &mut reader, now);
        if let Some(error) = found.rejected.into_iter().next() {
            return Err(error);
        }
        check_alpn(&settings.alpn)?;
        let clients = ClientPolicy::load(settings.client_auth.as_ref(), &mut reader)?;
        let keys = settings.ticket_keys.as_deref().map(|path| ticket_keys::load(path, &mut reader)).transpose()?;
        let sessions = Sessions::new(keys.as_deref(), &clients)?;
        let certificates = found.certificates;
        let parts =
            Parts { certificates, alpn: settings.alpn.clone(), min_tls: settings.min_tls, clients, keys, sessions };
        let acceptor = parts.acceptor(handshake)?;
        Ok(Self {
            handshake,
            current: RwLock::new(Arc::new(Current { acceptor, parts })),
            state: Mutex::new(State { watch: reader.watch(), retry: None }),
        })
    }

    /// Reads everything again, with these settings, and serves what is good from the next handshake on.
    ///
    /// Where a certificate, the client authentication, the ticket keys or the ALPN protocols cannot be used, the last good
    /// ones stay. Sessions can be resumed after a reload, except after one that changes which clients are let in.
    pub fn reload(&self, settings: &TlsSettings, now: SystemTime) -> ReloadReport {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current();
        let mut reader = Reader::default();
        let mut report = ReloadReport::default();
        if let Some(parts) = old.parts.reload(settings, &mut reader, now, &mut report) {
            match parts.acceptor(self.handshake) {
                Ok(acceptor) => {
                    let current = Arc::new(Current { acceptor, parts });
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
                }
                Err(error) => report.failed(error),
            }
        }
        *state = State::after(reader, &report);
        report
    }

    /// The acceptor of the next handshake. It was made by the last reload, not for this call.
    pub fn acceptor(&self) -> Arc<TlsAcceptor> {
        Arc::clone(&self.current().acceptor)
    }

    /// Whether a file or directory that was read is another now, also through a link; or whether a minute has passed since
    /// something was rejected that may be good now though its file is the same, such as a certificate that was not valid yet.
    ///
    /// It opens no file, and looks at 2,000 of them at most in one call and at the others in the next ones, so it can be
    /// called every second. While a reload runs it returns false.
    pub fn files_changed(&self) -> bool {
        State::files_changed(&self.state, Instant::now())
    }

    /// The certificates that are served; the first is the default.
    pub fn certificates(&self) -> Vec<CertificateFacts> {
        self.current().parts.certificates.iter().map(|certificate| certificate.facts()).collect()
    }

    /// Whether the client of a resumed session would be let in again: a session can be resumed over and over, long after the
    /// certificate that it began with has expired. `certificates` are those of the session.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Refused`], as a full handshake at `now` would fail.
    pub fn readmit(&self, certificates: &[CertificateDer<'_>], now: SystemTime) -> Result<(), HandshakeError> {
        let current = self.current();
        let Some(verifier) = &current.parts.clients.verifier else { return Ok(()) };
        let verified = match certificates.split_first() {
            Some((leaf, intermediates)) => {
                let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                verifier.verify_client_cert(leaf, intermediates, UnixTime::since_unix_epoch(since)).map(|_verified| ())
            }
            None if verifier.client_auth_mandatory() => Err(rustls::Error::NoCertificatesPresented),
            None => Ok(()),
        };
        verified.map_err(HandshakeError::Refused)
    }

    /// Who a client is, by the chain that it sent. `None`: there is none, or it is not X.509.
    pub fn client_identity(certificates: &[CertificateDer<'_>]) -> Option<ClientIdentity> {
        ClientIdentity::of(certificates)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self.current().parts.certificates.len();
        f.debug_struct("ListenerTls").field("certificates", &certificates).finish_non_exhaustive()
    }
}

impl State {
    fn after(reader: Reader, report: &ReloadReport) -> Self {
        let retry = report.rejected.iter().any(TlsError::may_pass).then(|| Instant::now() + RETRY);
        Self { watch: reader.watch(), retry }
    }

    fn files_changed(state: &Mutex<Self>, now: Instant) -> bool {
        let state = match state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        state.retry.is_some_and(|retry| now >= retry) || state.watch.changed()
    }
}

impl Parts {
    /// TLS by these parts, with the aws-lc-rs provider.
    fn acceptor(&self, handshake: Duration) -> Result<Arc<TlsAcceptor>, TlsError> {
        let versions: &[&SupportedProtocolVersion] = match self.min_tls {
            TlsVersion::V12 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V13 => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(client_auth::provider()))
            .with_protocol_versions(versions)
            .map_err(|source| TlsError::Config { source })?;
        let builder = match &self.clients.verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Resolver::new(&self.certificates)));
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
        config.ticketer = Arc::clone(&self.sessions.ticketer);
        config.session_storage = Arc::clone(&self.sessions.storage);
        Ok(Arc::new(TlsAcceptor::from(Arc::new(config)).handshake_timeout(handshake)))
    }
}

impl Sessions {
    /// New ones: no session of before can be resumed, but by keys that are shared.
    fn new(keys: Option<&[KeyMaterial]>, clients: &ClientPolicy) -> Result<Self, TlsError> {
        let storage = ServerSessionMemoryCache::new(STORED_SESSIONS);
        Ok(Self { ticketer: Self::ticketer(keys, clients)?, storage })
    }

    fn ticketer(keys: Option<&[KeyMaterial]>, clients: &ClientPolicy) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        match keys {
            Some(keys) => SharedTickets::new(keys, &clients.digest).map(|tickets| Arc::new(tickets) as _),
            None => OwnTickets::new().map(|tickets| Arc::new(tickets) as _),
        }
        .map_err(|source| TlsError::Config { source })
    }
}

/// RFC 7301, 3.1.
fn check_alpn(protocols: &[String]) -> Result<(), TlsError> {
    match protocols.iter().find(|protocol| !(1..=255).contains(&protocol.len())) {
        Some(protocol) => Err(TlsError::Alpn { protocol: protocol.chars().take(300).collect() }),
        None => Ok(()),
    }
}

/// How many sessions of TLS 1.2 clients without tickets can be resumed.
const STORED_SESSIONS: usize = 256;

/// After how long a reload is due though no file has changed.
const RETRY: Duration = Duration::from_secs(60);
