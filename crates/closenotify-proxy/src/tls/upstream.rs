//! TLS to an upstream: whom we trust, and who we are, out of files that change.
//!
//! As for a listener, nothing is read for a connection, and what was good stays until something good replaces it. There is
//! no way to skip verification.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use closenotify::TlsConnector;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, version};
use rustls_pki_types::ServerName;

use super::certificate::{Certificate, Loaded, Place};
use super::client_auth::{provider, trusted};
use super::error::TlsError;
use super::files::Reader;
use super::reload::{Change, ReloadReport};
use super::{CertificateFacts, State};
use crate::config::UpstreamTls;

/// The TLS of an upstream, shared by everything that connects to it.
pub struct UpstreamTlsState {
    handshake: Duration,
    /// What is used. Locked only to take it or to put another in its place.
    current: RwLock<Arc<Current>>,
    /// Locked while a reload runs.
    state: Mutex<State>,
}

struct Current {
    connector: Arc<TlsConnector>,
    parts: Parts,
}

/// Everything that a connector is made of. Each part is the last good one.
#[derive(Clone)]
struct Parts {
    name: ServerName<'static>,
    trusted: Trusted,
    certificate: Option<Arc<Certificate>>,
}

#[derive(Clone)]
struct Trusted {
    roots: Arc<RootCertStore>,
    digest: [u8; 32],
}

impl UpstreamTlsState {
    /// Reads everything that the settings name. `handshake` is the timeout of a handshake.
    ///
    /// # Errors
    ///
    /// [`TlsError`] for the first thing that cannot be used; its text names the file and says what to do next.
    pub fn load(settings: &UpstreamTls, handshake: Duration, now: SystemTime) -> Result<Self, TlsError> {
        let mut reader = Reader::default();
        let trusted = Trusted::load(&settings.ca, &mut reader)?;
        let certificate = certificate(settings.certificate.as_deref(), None, &mut reader, now)?;
        let parts = Parts { name: settings.name.clone(), trusted, certificate };
        let connector = parts.connector(handshake)?;
        Ok(Self {
            handshake,
            current: RwLock::new(Arc::new(Current { connector, parts })),
            state: Mutex::new(State { watch: reader.watch(), retry: None }),
        })
    }

    /// Reads everything again, with these settings, and uses what is good from the next connection on.
    ///
    /// Where the CA certificates or our certificate cannot be used, the last good ones stay. A reload that changes something
    /// ends resumption of earlier sessions.
    pub fn reload(&self, settings: &UpstreamTls, now: SystemTime) -> ReloadReport {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current();
        let mut reader = Reader::default();
        let mut report = ReloadReport::default();
        let trusted = report.keep(Trusted::load(&settings.ca, &mut reader), &old.parts.trusted);
        let path = settings.certificate.as_deref();
        let certificate = certificate(path, old.parts.certificate.as_ref(), &mut reader, now);
        let certificate = report.keep(certificate, &old.parts.certificate);
        report.compare(old.parts.certificate.as_slice(), certificate.as_slice());
        if trusted.digest != old.parts.trusted.digest {
            report.changed.push(Change::TrustedCa);
        }
        let name = settings.name.clone();
        if name != old.parts.name {
            report.changed.push(Change::ServerName);
        }
        if !report.changed.is_empty() {
            let parts = Parts { name, trusted, certificate };
            match parts.connector(self.handshake) {
                Ok(connector) => {
                    let current = Arc::new(Current { connector, parts });
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
                }
                Err(error) => report.failed(error),
            }
        }
        *state = State::after(reader, &report);
        report
    }

    /// The connector of the next connection, and the name to connect with. It was made by the last reload, not for this call.
    ///
    /// It offers no protocol by ALPN.
    pub fn connector(&self) -> (Arc<TlsConnector>, ServerName<'static>) {
        let current = self.current();
        (Arc::clone(&current.connector), current.parts.name.clone())
    }

    /// As [`ListenerTls::files_changed`](super::ListenerTls::files_changed).
    pub fn files_changed(&self) -> bool {
        State::files_changed(&self.state, Instant::now())
    }

    /// Our certificate, if there is one.
    pub fn certificate(&self) -> Option<CertificateFacts> {
        self.current().parts.certificate.as_ref().map(|certificate| certificate.facts())
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for UpstreamTlsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTlsState").field("name", &self.current().parts.name).finish_non_exhaustive()
    }
}

impl Parts {
    /// TLS 1.2 and 1.3 by these parts, with the aws-lc-rs provider.
    fn connector(&self, handshake: Duration) -> Result<Arc<TlsConnector>, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|source| TlsError::Config { source })?
            .with_root_certificates(Arc::clone(&self.trusted.roots));
        let mut config = match &self.certificate {
            Some(certificate) => {
                let certified = Arc::clone(certificate.certified());
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(STORED_SESSIONS);
        Ok(Arc::new(TlsConnector::from(Arc::new(config)).handshake_timeout(handshake)))
    }
}

impl Trusted {
    fn load(path: &Path, reader: &mut Reader) -> Result<Self, TlsError> {
        let (roots, digest) = trusted(path, reader)?;
        Ok(Self { roots: Arc::new(roots), digest })
    }
}

/// Our certificate, from a file with its chain and key.
fn certificate(
    path: Option<&Path>,
    old: Option<&Arc<Certificate>>,
    reader: &mut Reader,
    now: SystemTime,
) -> Result<Option<Arc<Certificate>>, TlsError> {
    let Some(path) = path else { return Ok(None) };
    let place = Place { root: path.into(), chain: path.into(), key: None };
    // A client has nothing to staple: a response beside it, good or bad, is not for us.
    let loaded = Certificate::load(place, false, old, reader, now)?;
    Ok(loaded.map(|Loaded { certificate, .. }| certificate))
}

/// How many upstream names' sessions are kept for resumption: the addresses of an upstream share one name.
const STORED_SESSIONS: usize = 32;
