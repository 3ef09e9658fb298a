//! The alerts of TLS by their number, their name and a stable machine word (RFC 9846 section 6).
//!
//! It is our own type, so an ending does not depend on the version of the TLS library.

use std::borrow::Cow;
use std::fmt;

/// The description of an alert: its second byte (RFC 9846 section 6).
///
/// Displays as the name of the RFC (`bad_certificate`), or `unknown_200` for a number without a name.
///
/// ```
/// use closenotify_core::AlertDescription;
///
/// assert_eq!(AlertDescription::CLOSE_NOTIFY.to_string(), "close_notify");
/// assert_eq!(AlertDescription::from(42).to_string(), "bad_certificate");
/// assert_eq!(AlertDescription::from(200).to_string(), "unknown_200");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertDescription(u8);

impl AlertDescription {
    /// The sender will send no more messages on this session (RFC 9846 section 6.1).
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A message that is not allowed here.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record that could not be decrypted.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record that is too long.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// No acceptable set of parameters in common.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// A field in the handshake that is wrong or inconsistent with others.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// A message that could not be parsed.
    pub const DECODE_ERROR: Self = Self(50);
    /// A version of the protocol that is not supported.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// An error that has nothing to do with the peer or the protocol.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// The handshake was canceled for a reason other than a protocol failure.
    pub const USER_CANCELED: Self = Self(90);
    /// A request to renegotiate was declined (TLS 1.2); always a warning.
    pub const NO_RENEGOTIATION: Self = Self(100);
    /// A mandatory extension is missing.
    pub const MISSING_EXTENSION: Self = Self(109);

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The name that the RFC or the IANA registry gives the number; `None` for one that has none.
    pub fn name(self) -> Option<&'static str> {
        NAMES.binary_search_by_key(&self.0, |(code, _)| *code).ok().map(|at| NAMES[at].1)
    }

    /// The name, or `unknown_N`.
    pub fn word(self) -> Cow<'static, str> {
        match self.name() {
            Some(name) => name.into(),
            None => format!("unknown_{}", self.0).into(),
        }
    }
}

impl fmt::Display for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}

impl From<u8> for AlertDescription {
    fn from(code: u8) -> Self {
        Self(code)
    }
}

/// Sorted by code: [`AlertDescription::name`] searches it.
const NAMES: [(u8, &str); 37] = [
    (0, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (21, "decryption_failed"),
    (22, "record_overflow"),
    (30, "decompression_failure"),
    (40, "handshake_failure"),
    (41, "no_certificate"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (52, "too_many_cids_requested"),
    (60, "export_restriction"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (111, "certificate_unobtainable"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (114, "bad_certificate_hash_value"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (117, "general_error"),
    (120, "no_application_protocol"),
    (121, "ech_required"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
