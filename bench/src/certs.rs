//! One authority and one server certificate in memory, both ECDSA on P-256, for every stack alike.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::{Deserialize, Serialize};

/// The name that the certificate is good for.
pub const NAME: &str = "localhost";

/// What a server shows and what a client trusts, as PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The certificate of the authority.
    pub authority: String,
    /// The certificate of the server.
    pub certificate: String,
    /// The server's key, PKCS #8.
    pub key: String,
}

impl Identity {
    /// A new authority and a new certificate, each with a new key.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "this draws keys; a default would hide that")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("an empty list of names is valid");
        params.distinguished_name.push(DnType::CommonName, "closenotify bench authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, new_key()).expect("these parameters can be signed");
        let key = new_key();
        let leaf = CertificateParams::new(vec![NAME.to_owned()]).expect("the name is a valid DNS name");
        let leaf = leaf.signed_by(&key, &authority).expect("these parameters can be signed");
        Self { authority: authority.pem(), certificate: leaf.pem(), key: key.serialize_pem() }
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("the provider makes P-256 keys")
}
