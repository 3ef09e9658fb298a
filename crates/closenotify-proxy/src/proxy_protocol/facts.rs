//! What a header of version 2 carries about the client besides its address: ALPN, SNI, TLS and the client's certificate.
//!
//! A value that is too long is left out, never shortened: a shortened name is another name.

use std::borrow::Cow;

use closenotify::SessionFacts;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The facts about a client. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientFacts<'a> {
    /// The protocol negotiated by ALPN.
    pub(crate) alpn: Option<&'a [u8]>,
    /// The server name that the client sent.
    pub(crate) server_name: Option<&'a str>,
    /// Its TLS, where it ends at this proxy.
    pub(crate) tls: Option<TlsFacts<'a>>,
}

/// The TLS of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFacts<'a> {
    /// As OpenSSL writes it: `TLSv1.3`.
    pub(crate) version: &'a str,
    /// As OpenSSL writes it: `ECDHE-RSA-AES128-GCM-SHA256`.
    pub(crate) cipher: Cow<'a, str>,
    /// The certificate, verified, if it sent one.
    pub(crate) certificate: Option<Certificate>,
}

/// The certificate of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The common name of its subject, if it has exactly one.
    pub(crate) common_name: Option<String>,
    /// It was sent on an earlier connection, whose session this one resumes.
    pub(crate) resumed: bool,
}

impl<'a> ClientFacts<'a> {
    /// The facts from the handshake with a client.
    pub(crate) fn of(facts: &'a SessionFacts) -> Self {
        let certificate = facts
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|leaf| Certificate { common_name: common_name(leaf), resumed: facts.resumed() });
        let cipher = facts.cipher_suite_name();
        let tls = TlsFacts {
            version: facts.version_name(),
            cipher: openssl_name(&cipher).map_or(Cow::Owned(cipher), Cow::Borrowed),
            certificate,
        };
        Self { alpn: facts.alpn_protocol(), server_name: facts.server_name(), tls: Some(tls) }
    }

    /// Appends the TLVs.
    pub(super) fn encode(&self, block: &mut Vec<u8>) {
        if let Some(alpn) = self.alpn {
            tlv(block, ALPN, alpn);
        }
        if let Some(name) = self.server_name {
            tlv(block, AUTHORITY, name.as_bytes());
        }
        let Some(tls) = &self.tls else { return };
        let (flags, verify) = match &tls.certificate {
            None => (CLIENT_TLS, NOT_VERIFIED),
            Some(Certificate { resumed: true, .. }) => (CLIENT_TLS | CERTIFICATE_IN_SESSION, VERIFIED),
            Some(_) => (CLIENT_TLS | CERTIFICATE_ON_CONNECTION | CERTIFICATE_IN_SESSION, VERIFIED),
        };
        let mut value = vec![flags];
        value.extend(verify.to_be_bytes());
        tlv(&mut value, TLS_VERSION, tls.version.as_bytes());
        if let Some(name) = tls.certificate.as_ref().and_then(|certificate| certificate.common_name.as_deref()) {
            tlv(&mut value, TLS_COMMON_NAME, name.as_bytes());
        }
        tlv(&mut value, TLS_CIPHER, tls.cipher.as_bytes());
        append(block, TLS, &value);
    }
}

/// Appends a TLV, unless its value is empty or too long.
fn tlv(block: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if !value.is_empty() && value.len() <= VALUE_MAX {
        append(block, kind, value);
    }
}

fn append(block: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("one value of at most 255 bytes, or the three of TLS");
    block.push(kind);
    block.extend(length.to_be_bytes());
    block.extend(value);
}

/// The common name of a certificate's subject. `None` where there is none, more than one, or one that is not text.
fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let (name, None) = (names.next()?, names.next()) else { return None };
    name.as_str().ok().filter(|name| !name.contains('\0')).map(str::to_owned)
}

/// OpenSSL's name for a TLS 1.2 cipher suite, which receivers expect. Those of TLS 1.3 have only one name.
fn openssl_name(iana: &str) -> Option<&'static str> {
    Some(match iana {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const TLS: u8 = 0x20;
const TLS_VERSION: u8 = 0x21;
const TLS_COMMON_NAME: u8 = 0x22;
const TLS_CIPHER: u8 = 0x23;

const CLIENT_TLS: u8 = 0x01;
const CERTIFICATE_ON_CONNECTION: u8 = 0x02;
const CERTIFICATE_IN_SESSION: u8 = 0x04;

/// The client sent a certificate, and it was verified.
const VERIFIED: u32 = 0;

/// Anything but 0.
const NOT_VERIFIED: u32 = 1;

/// The longest value: that of ALPN and of a DNS name. A common name has at most 64 characters (X.520).
const VALUE_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use closenotify::{TlsAcceptor, TlsConnector};
    use rustls::crypto::aws_lc_rs;
    use testkit::certs::{Authority, TlsVersion};

    fn encoded(facts: &ClientFacts<'_>) -> Vec<u8> {
        let mut block = Vec::new();
        facts.encode(&mut block);
        block
    }

    #[test]
    fn no_facts_make_no_tlvs() {
        assert_eq!(encoded(&ClientFacts::default()), b"");
    }

    #[test]
    fn every_fact_has_its_tlv() {
        let certificate = Certificate { common_name: Some("ops".into()), resumed: false };
        let tls = TlsFacts { version: "TLSv1.3", cipher: "X".into(), certificate: Some(certificate) };
        let facts = ClientFacts { alpn: Some(b"h2"), server_name: Some("a.example"), tls: Some(tls) };
        let expected = [
            &b"\x01\x00\x02h2"[..],
            b"\x02\x00\x09a.example",
            b"\x20\x00\x19\x07\x00\x00\x00\x00",
            b"\x21\x00\x07TLSv1.3",
            b"\x22\x00\x03ops",
            b"\x23\x00\x01X",
        ];
        assert_eq!(encoded(&facts), expected.concat());
    }

    #[test]
    fn a_client_without_certificate_is_not_verified_and_a_resumed_one_sent_it_earlier() {
        let flags = |certificate| {
            let tls = TlsFacts { version: "TLSv1.2", cipher: "X".into(), certificate };
            encoded(&ClientFacts { tls: Some(tls), ..ClientFacts::default() })[3..8].to_vec()
        };
        assert_eq!(flags(None), [0x01, 0, 0, 0, 1]);
        assert_eq!(flags(Some(Certificate { common_name: None, resumed: false })), [0x07, 0, 0, 0, 0]);
        assert_eq!(flags(Some(Certificate { common_name: None, resumed: true })), [0x05, 0, 0, 0, 0]);
    }

    #[test]
    fn values_that_are_too_long_are_left_out() {
        let long = "x".repeat(100_000);
        let name = |length: usize| Some(Certificate { common_name: Some("x".repeat(length)), resumed: false });
        let tls = |certificate| Some(TlsFacts { version: "TLSv1.3", cipher: "X".into(), certificate });
        let facts =
            |certificate| ClientFacts { alpn: Some(long.as_bytes()), server_name: Some(&long), tls: tls(certificate) };
        let without = encoded(&ClientFacts { tls: tls(name(0)), ..ClientFacts::default() });
        assert_eq!(encoded(&facts(name(256))), without);
        assert_eq!(encoded(&facts(name(100_000))), without);
        assert_eq!(encoded(&facts(name(255))).len(), without.len() + 3 + 255);
    }

    #[test]
    fn every_suite_of_tls_1_2_has_the_name_that_openssl_gives_it() {
        for suite in aws_lc_rs::ALL_CIPHER_SUITES {
            let name = format!("{:?}", suite.suite());
            assert_eq!(openssl_name(&name).is_some(), suite.tls13().is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn facts_come_from_a_handshake() {
        let authority = Authority::new();
        for (version, expected) in [(TlsVersion::V12, "TLSv1.2"), (TlsVersion::V13, "TLSv1.3")] {
            let acceptor = TlsAcceptor::from(authority.server_config_requiring_client(version));
            let config = authority.client_config_with(version, &authority.issue_client("ops"));
            let (near, far) = tokio::io::duplex(4096);
            let connector = TlsConnector::from(config);
            let (server, client) =
                tokio::join!(acceptor.accept(near), connector.connect("localhost".try_into().unwrap(), far));
            let (server, _client) = (server.unwrap(), client.unwrap());
            let facts = ClientFacts::of(server.facts());
            assert_eq!((facts.alpn, facts.server_name), (None, Some("localhost")));
            let tls = facts.tls.unwrap();
            assert_eq!(tls.version, expected);
            assert!(!tls.cipher.contains("_WITH_"), "{}", tls.cipher);
            assert_eq!(tls.certificate, Some(Certificate { common_name: Some("ops".into()), resumed: false }));
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_has_no_name() {
        assert_eq!(common_name(b"not DER"), None);
    }
}
