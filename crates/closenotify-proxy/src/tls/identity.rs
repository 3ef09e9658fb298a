//! Who a client is, by its certificate.
//!
//! Nothing is verified here. What is for people and headers is shortened and made printable; what rules compare is neither.

use std::fmt;
use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Who a client is: for lines, metrics and the PROXY protocol. Bounded in length, and without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The common name of the subject; the first where there are several.
    pub common_name: Option<String>,
    /// The names of the subjectAltName, each with its kind: `DNS:`, `URI:`, `email:` or `IP:`.
    pub alternative_names: Vec<String>,
}

impl ClientIdentity {
    /// Reads the leaf of a client's chain. `None`: there is none, or it is not X.509.
    pub(super) fn of(certificates: &[CertificateDer<'_>]) -> Option<Self> {
        Names::of(certificates.first()?).as_ref().map(Self::from)
    }
}

impl From<&Names> for ClientIdentity {
    fn from(names: &Names) -> Self {
        let kinds = [("DNS:", &names.dns), ("URI:", &names.uris), ("email:", &names.emails), ("IP:", &names.ips)];
        let all = kinds.into_iter().flat_map(|(kind, values)| values.iter().map(move |value| (kind, value)));
        Self {
            common_name: names.common_names.first().map(|name| printable(name)),
            alternative_names: all.take(MAX_NAMES).map(|(kind, value)| format!("{kind}{}", printable(value))).collect(),
        }
    }
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As RFC 4514 does it: no name passes for two.
        let escaped = |name: &str| name.replace('\\', "\\\\").replace(',', "\\,");
        let mut parts = self.common_name.iter().map(|name| format!("CN={}", escaped(name))).collect::<Vec<_>>();
        parts.extend(self.alternative_names.iter().map(|name| escaped(name)));
        if parts.is_empty() {
            return f.write_str("no name");
        }
        f.write_str(&parts.join(", "))
    }
}

/// All names of a certificate that rules can match, as they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) common_names: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) uris: Vec<String>,
    pub(super) emails: Vec<String>,
    /// In their canonical text.
    pub(super) ips: Vec<String>,
}

impl Names {
    /// `None`: it is not X.509, or its subjectAltName is malformed.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let mut names = Self::default();
        for name in certificate.subject().iter_common_name() {
            // In an encoding that is no text for us, it still counts as one.
            names.common_names.push(name.as_str().unwrap_or_default().to_owned());
        }
        let alternative = certificate.subject_alternative_name().ok()?;
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                GeneralName::URI(name) => names.uris.push((*name).to_owned()),
                GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.ips.extend(ip(bytes).map(|ip| ip.to_string())),
                _ => {}
            }
        }
        Some(names)
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// At most [`MAX_LENGTH`] bytes, with `?` for whatever could disturb a line or a terminal.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let c = if c.is_control() || is_invisible(c) { '?' } else { c };
        if shown.len() + c.len_utf8() > MAX_LENGTH - ELLIPSIS.len() {
            shown += ELLIPSIS;
            break;
        }
        shown.push(c);
    }
    shown
}

/// What separates lines or changes the direction of text without being a control character to Rust.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The most names of the subjectAltName that are shown.
const MAX_NAMES: usize = 16;

/// The longest name that is shown, in bytes.
const MAX_LENGTH: usize = 256;

const ELLIPSIS: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(common_names: &[&str], names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn ia5(text: &str) -> Ia5String {
        text.try_into().unwrap()
    }

    #[test]
    fn every_kind_of_name_is_read_and_shown() {
        let leaf = certificate(
            &["ops"],
            vec![
                SanType::URI(ia5("spiffe://mesh/web")),
                SanType::DnsName(ia5("app.example.com")),
                SanType::Rfc822Name(ia5("ops@example.com")),
                SanType::IpAddress("2001:db8:0::7".parse().unwrap()),
            ],
        );
        let identity = ClientIdentity::of(&[leaf]).unwrap();
        assert_eq!(
            identity.to_string(),
            "CN=ops, DNS:app.example.com, URI:spiffe://mesh/web, email:ops@example.com, IP:2001:db8::7"
        );
        let two = certificate(&["eve, DNS:admin\\"], vec![]);
        assert_eq!(ClientIdentity::of(&[two]).unwrap().to_string(), r"CN=eve\, DNS:admin\\");
        assert_eq!(ClientIdentity::of(&[certificate(&[], vec![])]).unwrap().to_string(), "no name");
        assert_eq!(ClientIdentity::of(&[]), None);
        assert_eq!(ClientIdentity::of(&[CertificateDer::from(vec![1, 2, 3])]), None);
    }

    #[test]
    fn what_is_shown_is_bounded_and_printable() {
        let many = (0..20).map(|n| SanType::DnsName(ia5(&format!("{n}.example.com")))).collect();
        let leaf = certificate(&[&format!("a\nb\u{202e}{}", "é".repeat(300))], many);
        let identity = ClientIdentity::of(&[leaf]).unwrap();
        let name = identity.common_name.unwrap();
        assert!(name.starts_with("a?b?é") && name.ends_with('…'), "{name}");
        assert!(name.len() <= 256, "{}", name.len());
        assert_eq!(identity.alternative_names.len(), 16);
    }
}
