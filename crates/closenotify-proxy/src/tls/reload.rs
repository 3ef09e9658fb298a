//! A reload: each part is replaced if it is good, and stays if it is not.
//!
//! It does not decide when, and sessions in progress keep what they began with.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::certificate::Certificate;
use super::client_auth::ClientPolicy;
use super::error::TlsError;
use super::files::Reader;
use super::{Parts, Sessions, certificates, check_alpn, ticket_keys};
use crate::config::TlsSettings;

/// What a reload did.
#[derive(Debug, Default)]
#[must_use = "what was rejected has to be reported"]
pub struct ReloadReport {
    /// What is served now and was not before. Empty: nothing changed.
    pub changed: Vec<Change>,
    /// What could not be used; what it should have replaced stays.
    pub rejected: Vec<TlsError>,
}

/// A change that a reload made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The certificate in this file was added.
    CertificateAdded(PathBuf),
    /// The certificate in this file is another one, or its OCSP response is.
    CertificateReplaced(PathBuf),
    /// The certificate in this file is gone.
    CertificateRemoved(PathBuf),
    /// The certificates are the same in another order; the default is in this file.
    CertificateOrder(PathBuf),
    /// Other clients are let in. No earlier session can be resumed.
    ClientAuth,
    /// The ticket keys are others.
    TicketKeys,
    /// Other ALPN protocols are offered.
    Alpn,
    /// The oldest version accepted is another one.
    MinTls,
    /// The trusted CA certificates of an upstream are others.
    TrustedCa,
    /// The name that an upstream's certificate must have is another one.
    ServerName,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateAdded(path) => write!(f, "certificate added: {}", path.display()),
            Self::CertificateReplaced(path) => write!(f, "certificate replaced: {}", path.display()),
            Self::CertificateRemoved(path) => write!(f, "certificate removed: {}", path.display()),
            Self::CertificateOrder(path) => write!(f, "default certificate: {}", path.display()),
            Self::ClientAuth => f.write_str("client authentication changed"),
            Self::TicketKeys => f.write_str("ticket keys changed"),
            Self::Alpn => f.write_str("ALPN protocols changed"),
            Self::MinTls => f.write_str("oldest TLS version changed"),
            Self::ServerName => f.write_str("name of the upstream's certificate changed"),
            Self::TrustedCa => f.write_str("trusted CA certificates changed"),
        }
    }
}

impl ReloadReport {
    /// The value, or `old` if it was rejected.
    pub(super) fn keep<T: Clone>(&mut self, new: Result<T, TlsError>, old: &T) -> T {
        new.unwrap_or_else(|error| {
            self.rejected.push(error);
            old.clone()
        })
    }

    /// Notes that nothing could be replaced.
    pub(super) fn failed(&mut self, error: TlsError) {
        self.changed.clear();
        self.rejected.push(error);
    }

    /// Notes what is different about the certificates.
    pub(super) fn compare(&mut self, old: &[Arc<Certificate>], new: &[Arc<Certificate>]) {
        let place = |certificate: &Arc<Certificate>| (certificate.place().root.clone(), path(certificate).to_owned());
        let before: HashMap<_, _> = old.iter().map(|certificate| (place(certificate), certificate)).collect();
        let after: HashSet<_> = new.iter().map(place).collect();
        let count = self.changed.len();
        for certificate in new {
            match before.get(&place(certificate)) {
                None => self.changed.push(Change::CertificateAdded(path(certificate).into())),
                Some(old) if !Arc::ptr_eq(old, certificate) => {
                    self.changed.push(Change::CertificateReplaced(path(certificate).into()));
                }
                Some(_) => {}
            }
        }
        for certificate in old.iter().filter(|certificate| !after.contains(&place(certificate))) {
            self.changed.push(Change::CertificateRemoved(path(certificate).into()));
        }
        let same = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| Arc::ptr_eq(a, b));
        if let Some(default) = new.first().filter(|_| !same && self.changed.len() == count) {
            self.changed.push(Change::CertificateOrder(path(default).into()));
        }
    }
}

impl Parts {
    /// The parts by these settings. `None`: nothing changed, or nothing could be used.
    pub(super) fn reload(
        &self,
        settings: &TlsSettings,
        reader: &mut Reader,
        now: SystemTime,
        report: &mut ReloadReport,
    ) -> Option<Self> {
        let found = certificates::load(&settings.certificates, &self.certificates, reader, now);
        report.rejected.extend(found.rejected);
        report.compare(&self.certificates, &found.certificates);

        let alpn = report.keep(check_alpn(&settings.alpn).map(|()| settings.alpn.clone()), &self.alpn);
        let clients = report.keep(ClientPolicy::load(settings.client_auth.as_ref(), reader), &self.clients);
        let keys = settings.ticket_keys.as_deref().map(|path| ticket_keys::load(path, reader)).transpose();
        let keys = report.keep(keys, &self.keys);
        let new_policy = clients.digest != self.clients.digest;
        let new_keys = keys != self.keys;
        let sessions = match (new_policy, new_keys) {
            (true, _) => Sessions::new(keys.as_deref(), &clients),
            (false, true) => Sessions::ticketer(keys.as_deref(), &clients)
                .map(|ticketer| Sessions { ticketer, storage: Arc::clone(&self.sessions.storage) }),
            (false, false) => Ok(self.sessions.clone()),
        };
        let sessions = match sessions {
            Ok(sessions) => sessions,
            Err(error) => {
                report.failed(error);
                return None;
            }
        };
        let changes = [
            (new_policy, Change::ClientAuth),
            (new_keys, Change::TicketKeys),
            (alpn != self.alpn, Change::Alpn),
            (settings.min_tls != self.min_tls, Change::MinTls),
        ];
        report.changed.extend(changes.into_iter().filter(|(changed, _)| *changed).map(|(_, change)| change));
        if report.changed.is_empty() {
            return None;
        }
        let certificates = found.certificates;
        Some(Self { certificates, alpn, min_tls: settings.min_tls, clients, keys, sessions })
    }
}

fn path(certificate: &Certificate) -> &Path {
    &certificate.place().chain
}
