//! Which certificate a client gets.
//!
//! It chooses by the name that the client asks for: first among the certificates for exactly this name, then among the
//! wildcards for it, then among the default ones, which are the first certificate and those with the same names. Of these, by
//! what the client can verify: ECDSA is preferred to Ed25519, and that to RSA; of one kind the one that expires last.
//! A client that can verify none gets the alert `handshake_failure`; in TLS 1.2, `internal_error` from rustls 0.23.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificate::{Certificate, unix_seconds};
use crate::config::NamePattern;

/// The certificates of a listener, by name.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<String, Vec<Arc<Certificate>>>,
    /// By the name without `*.`.
    wildcard: HashMap<String, Vec<Arc<Certificate>>>,
    default: Vec<Arc<Certificate>>,
}

impl Resolver {
    /// Sorts the certificates, of which the first is the default.
    pub(super) fn new(certificates: &[Arc<Certificate>]) -> Self {
        let mut sorted = certificates.to_vec();
        // Stable: of equals the first comes first.
        sorted.sort_by_key(|certificate| (preference(certificate), -i128::from(certificate.not_after())));
        let mut resolver = Self::default();
        for certificate in &sorted {
            for name in certificate.names() {
                let (names, name) = match name {
                    NamePattern::Exact(name) => (&mut resolver.exact, name),
                    NamePattern::Wildcard(parent) => (&mut resolver.wildcard, parent),
                };
                names.entry(name.clone()).or_default().push(Arc::clone(certificate));
            }
        }
        if let Some(first) = certificates.first() {
            let names = sorted_names(first);
            let same = |other: &&Arc<Certificate>| {
                Arc::ptr_eq(first, other) || (!names.is_empty() && sorted_names(other) == names)
            };
            resolver.default = sorted.iter().filter(same).cloned().collect();
        }
        resolver
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        let name = name.map(str::to_ascii_lowercase);
        let exact = name.as_deref().and_then(|name| self.exact.get(name));
        let parent = name.as_deref().and_then(|name| name.split_once('.')).map(|(_label, parent)| parent);
        let wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        [exact, wildcard, Some(&self.default)]
            .into_iter()
            .flatten()
            .flatten()
            .find(|certificate| certificate.certified().key.choose_scheme(schemes).is_some())
            // rustls fails the handshake then. Without any certificate its alert would be `access_denied`.
            .or(self.default.first())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = self.choose(hello.server_name(), hello.signature_schemes())?;
        Some(Arc::clone(certificate.serve(unix_seconds(SystemTime::now()))))
    }
}

fn preference(certificate: &Certificate) -> u8 {
    match certificate.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    }
}

fn sorted_names(certificate: &Certificate) -> Vec<String> {
    let mut names: Vec<_> = certificate.names().iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}
