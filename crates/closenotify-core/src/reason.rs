//! Text for errors of the TLS library in the terms of the RFCs, because some of the library's own texts are names of Rust
//! variants.
//!
//! Errors without a text here print as the library's name for them, split into words.

use rustls::{CertificateError, CipherSuite, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};
use std::fmt;

/// Writes why a handshake or a message was rejected.
pub(crate) fn explain(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        Error::InappropriateMessage { expect_types, got_type } => {
            write!(f, "{} where ", record_type(u8::from(*got_type)))?;
            list(f, expect_types.iter().map(|typ| record_type(u8::from(*typ))))
        }
        Error::InappropriateHandshakeMessage { expect_types, got_type } => {
            write!(f, "{} where ", handshake_type(u8::from(*got_type)))?;
            list(f, expect_types.iter().map(|typ| handshake_type(u8::from(*typ))))
        }
        Error::InvalidMessage(message) => match malformed(message) {
            Some(words) => f.write_str(words),
            None => write!(f, "a malformed message: {}", words(&format!("{message:?}"))),
        },
        Error::PeerIncompatible(why) => match incompatible(why) {
            Some(words) => f.write_str(words),
            None => f.write_str(&words(&format!("{why:?}"))),
        },
        Error::PeerMisbehaved(why) => match misbehaved(why) {
            Some(words) => write!(f, "the peer broke the protocol: {words}"),
            None => write!(f, "the peer broke the protocol: {}", words(&format!("{why:?}"))),
        },
        // rustls has one error for both.
        Error::DecryptError => f.write_str("a record that cannot be decrypted, or a Finished that does not verify"),
        Error::PeerSentOversizedRecord => f.write_str("a record longer than TLS allows"),
        Error::NoCertificatesPresented => f.write_str("the peer sent no certificate, and one is required"),
        Error::NoApplicationProtocol => f.write_str("no application protocol (ALPN) in common"),
        // What a verifier of the caller's says; rustls would print it as Rust code.
        Error::InvalidCertificate(CertificateError::Other(why)) => write!(f, "peer certificate rejected: {}", why.0),
        Error::InvalidCertificate(why) => {
            write!(f, "invalid peer certificate: {}", words_after_colon(&why.to_string()))
        }
        Error::General(why) => f.write_str(why),
        error => fmt::Display::fmt(error, f),
    }
}

/// What is wrong with a message whose error in the library names a Rust type.
fn malformed(message: &InvalidMessage) -> Option<&'static str> {
    Some(match message {
        InvalidMessage::MissingData(_) | InvalidMessage::MessageTooShort => {
            "a malformed message: it ends inside a field"
        }
        InvalidMessage::TrailingData(_) => "a malformed message: bytes are left after its last field",
        InvalidMessage::HandshakePayloadTooLarge => "a handshake message that is too long",
        InvalidMessage::InvalidCcs => "a malformed change_cipher_spec record",
        _ => return None,
    })
}

/// What a peer did whose error in the library is named after how the library works.
fn misbehaved(why: &PeerMisbehaved) -> Option<&'static str> {
    Some(match why {
        PeerMisbehaved::IllegalMiddleboxChangeCipherSpec => "a change_cipher_spec record where none is allowed",
        PeerMisbehaved::IllegalTlsInnerPlaintext => "a record of padding alone, without a content type",
        PeerMisbehaved::IncorrectBinder => "the PSK binder does not verify",
        PeerMisbehaved::KeyEpochWithPendingFragment => "a handshake message that continues after a change of keys",
        PeerMisbehaved::MessageInterleavedWithHandshakeMessage
        | PeerMisbehaved::RejectedEarlyDataInterleavedWithHandshakeMessage => {
            "another record between the parts of a handshake message"
        }
        PeerMisbehaved::TooManyEmptyFragments => "too many empty records in a row",
        _ => return None,
    })
}

/// What the two peers do not have in common.
fn incompatible(why: &PeerIncompatible) -> Option<&'static str> {
    Some(match why {
        PeerIncompatible::Tls12NotOffered => "the client offers only TLS 1.1 or older; TLS 1.2 and 1.3 are supported",
        PeerIncompatible::Tls12NotOfferedOrEnabled => "the client offers no TLS version that this server allows",
        PeerIncompatible::SupportedVersionsExtensionRequired => {
            "the client offers TLS 1.2 at most; this server allows only TLS 1.3"
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            "the server supports only TLS 1.1 or older; this client supports TLS 1.2 and 1.3"
        }
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the server chose a TLS version that this client's configuration does not allow"
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common",
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange group in common",
        PeerIncompatible::NoSignatureSchemesInCommon => "no signature scheme in common that fits the certificate",
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "no signature scheme in common for the client's certificate"
        }
        PeerIncompatible::NoEcPointFormatsInCommon | PeerIncompatible::UncompressedEcPointsRequired => {
            "the peer does not support uncompressed elliptic curve points"
        }
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            "the peer does not support the extended master secret (RFC 7627), which the configuration requires"
        }
        PeerIncompatible::KeyShareExtensionRequired => "the client sent no key share (key_share extension)",
        PeerIncompatible::NamedGroupsExtensionRequired => {
            "the client named no key exchange groups (supported_groups extension)"
        }
        PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "the client named no signature schemes (signature_algorithms extension)"
        }
        PeerIncompatible::NullCompressionRequired => "the client does not offer null compression, which TLS requires",
        PeerIncompatible::ServerRejectedEncryptedClientHello(_) => "the server rejected Encrypted Client Hello",
        _ => return None,
    })
}

/// The name of a cipher suite in the IANA registry, such as `TLS_AES_256_GCM_SHA384`.
pub(crate) fn suite_name(suite: CipherSuite) -> String {
    match suite {
        CipherSuite::Unknown(number) => format!("0x{number:04x}"),
        // rustls writes the 1.3 suites `TLS13_…`; the registry does not.
        suite => format!("{suite:?}").replacen("TLS13_", "TLS_", 1),
    }
}

/// A record of this type, with an article.
pub(crate) fn record_type(kind: u8) -> String {
    match kind {
        20 => "a change_cipher_spec record".into(),
        21 => "an alert record".into(),
        22 => "a handshake record".into(),
        23 => "an application_data record".into(),
        24 => "a heartbeat record".into(),
        other => format!("a record of the unknown type {other}"),
    }
}

/// A handshake message of this type, with an article (RFC 9846 section 4, RFC 5246 section 7.4).
pub(crate) fn handshake_type(kind: u8) -> String {
    let name = match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        3 => "HelloVerifyRequest",
        4 => "NewSessionTicket",
        5 => return "an EndOfEarlyData".into(),
        8 => return "an EncryptedExtensions".into(),
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        22 => "CertificateStatus",
        24 => "KeyUpdate",
        25 => "CompressedCertificate",
        other => return format!("a handshake message of the unknown type {other}"),
    };
    format!("a {name}")
}

fn list(f: &mut fmt::Formatter<'_>, items: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let count = items.len();
    for (at, item) in items.enumerate() {
        match at {
            0 => {}
            _ if at + 1 == count => f.write_str(" or ")?,
            _ => f.write_str(", ")?,
        }
        f.write_str(&item)?;
    }
    f.write_str(if count == 0 { "none is allowed" } else { " is due" })
}

/// `UnknownIssuer` as `unknown issuer`: what the library names by a variant. Abbreviations and what is in brackets or quotes
/// stay.
fn words(name: &str) -> String {
    let (name, rest) = name.split_at(name.find(['(', '{', ' ', '"']).unwrap_or(name.len()));
    let letters: Vec<char> = name.chars().collect();
    let mut words = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase() && before.is_some_and(|before| !before.is_uppercase());
        if begins || (letter.is_uppercase() && before.is_some() && after.is_some_and(|after| after.is_lowercase())) {
            words.push(' ');
        }
        let alone =
            before.is_none_or(|before| !before.is_uppercase()) && after.is_none_or(|after| !after.is_uppercase());
        if alone { words.extend(letter.to_lowercase()) } else { words.push(*letter) }
    }
    words + &rest.replace(['(', ')'], "\u{20}").replace("  ", " ").trim_end().replace('"', "")
}

/// The text of a certificate error is the name of a variant or a sentence.
fn words_after_colon(text: &str) -> String {
    if text.contains(' ') { text.to_owned() } else { words(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ContentType, HandshakeType, InvalidMessage, OtherError, PeerMisbehaved};
    use std::sync::Arc;

    struct Shown<'a>(&'a Error);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            explain(self.0, f)
        }
    }

    #[test]
    fn reasons_are_words_and_never_the_names_of_variants() {
        let cases = [
            (
                Error::InappropriateMessage {
                    expect_types: vec![ContentType::Handshake, ContentType::ChangeCipherSpec],
                    got_type: ContentType::ApplicationData,
                },
                "an application_data record where a handshake record or a change_cipher_spec record is due",
            ),
            (
                Error::InappropriateHandshakeMessage {
                    expect_types: vec![HandshakeType::ClientHello],
                    got_type: HandshakeType::Finished,
                },
                "a Finished where a ClientHello is due",
            ),
            (
                Error::InvalidMessage(InvalidMessage::MissingData("ClientHello")),
                "a malformed message: it ends inside a field",
            ),
            (
                Error::InvalidMessage(InvalidMessage::TrailingData("ChangeCipherSpecPayload")),
                "a malformed message: bytes are left after its last field",
            ),
            (
                Error::InvalidMessage(InvalidMessage::DuplicateExtension(43)),
                "a malformed message: duplicate extension 43",
            ),
            (
                PeerMisbehaved::SelectedUnofferedCipherSuite.into(),
                "the peer broke the protocol: selected unoffered cipher suite",
            ),
            (
                PeerMisbehaved::IllegalTlsInnerPlaintext.into(),
                "the peer broke the protocol: a record of padding alone, without a content type",
            ),
            (
                PeerIncompatible::Tls12NotOfferedOrEnabled.into(),
                "the client offers no TLS version that this server allows",
            ),
            (PeerIncompatible::IncorrectCertificateTypeExtension.into(), "incorrect certificate type extension"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "invalid peer certificate: unknown issuer"),
            (
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fmt::Error)))),
                "peer certificate rejected: an error occurred when formatting an argument",
            ),
            (Error::General("incompatible signing key".into()), "incompatible signing key"),
        ];
        for (error, expected) in cases {
            assert_eq!(Shown(&error).to_string(), expected);
        }
    }

    #[test]
    fn suites_have_their_names_in_the_registry() {
        assert_eq!(suite_name(CipherSuite::TLS13_AES_128_GCM_SHA256), "TLS_AES_128_GCM_SHA256");
        let of_12 = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
        assert_eq!(suite_name(of_12), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(suite_name(CipherSuite::Unknown(0x1304)), "0x1304");
    }
}
