//! Alert levels and descriptions (RFC 9846 section 6) by number and by name.
//!
//! Unknown numbers are carried as they are: a probe may have to send them.

/// The level of a close_notify.
pub const WARNING: u8 = 1;
/// The level of an error.
pub const FATAL: u8 = 2;

/// The end of a direction.
pub const CLOSE_NOTIFY: u8 = 0;
/// An unexpected message.
pub const UNEXPECTED_MESSAGE: u8 = 10;
/// A record whose seal is broken.
pub const BAD_RECORD_MAC: u8 = 20;
/// A message that cannot be decoded.
pub const DECODE_ERROR: u8 = 50;
/// A parameter out of its range.
pub const ILLEGAL_PARAMETER: u8 = 47;
/// An internal error.
pub const INTERNAL_ERROR: u8 = 80;
/// The user gave up; a close_notify follows.
pub const USER_CANCELED: u8 = 90;
/// A TLS 1.2 peer that will not renegotiate; a warning.
pub const NO_RENEGOTIATION: u8 = 100;

/// The name of a description as the RFC spells it, or `alert N`.
#[must_use]
pub fn name(code: u8) -> String {
    match NAMES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("alert {code}"),
    }
}

const NAMES: [(u8, &str); 34] = [
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
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (117, "general_error"),
    (120, "no_application_protocol"),
];
