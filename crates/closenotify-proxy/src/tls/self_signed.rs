//! A certificate for localhost, made up in memory, for trying the proxy out.
//!
//! Nothing is written to disk, and no client trusts it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{Certificate, Place, digest_of};
use super::error::TlsError;

/// Makes a self-signed P-256 certificate for `localhost`, `127.0.0.1` and `::1`, valid from the day before `now` for 30 days;
/// it is no CA. Every call makes a new key.
pub(super) fn make(now: SystemTime) -> Result<Certificate, TlsError> {
    let failed = |source: rcgen::Error| TlsError::Generate { reason: source.to_string() };
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "closenotify demo");
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_before = (now - DAY).into();
    params.not_after = (now + 30 * DAY).into();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let leaf = params.self_signed(&key).map_err(failed)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let digest = digest_of(&[leaf.der()]);
    Certificate::new(place(), digest, vec![leaf.der().clone()], key, now)
}

/// Where the certificate is said to be.
pub(super) fn place() -> Place {
    let path = Path::new("self-signed");
    Place { root: path.into(), chain: path.into(), key: None }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::extensions::GeneralName;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    #[test]
    fn it_is_a_leaf_for_the_loopback_names() {
        let certificate = make(SystemTime::now()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&certificate.certified().cert[0]).unwrap();
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        assert!(leaf.validity().is_valid());
        let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        let mut loopback6 = [0; 16];
        loopback6[15] = 1;
        assert_eq!(
            names,
            &[
                GeneralName::DNSName("localhost"),
                GeneralName::IPAddress(&[127, 0, 0, 1]),
                GeneralName::IPAddress(&loopback6)
            ]
        );
    }
}
