//! What a peer can do wrong: the text for each case, and the alert that the RFC names for it.
//!
//! It covers everything after the handshake, and the checks that we make before the TLS library during the handshake. What the
//! library finds itself is one entry with the library's own error.

use crate::alert::AlertDescription;
use crate::limits::{
    CHANGES_MAX, DATALESS_RECORDS_MAX, EMPTY_RECORDS_MAX, KEY_UPDATES_MAX, MESSAGE_MAX, RENEGOTIATIONS_MAX,
    WARNINGS_MAX,
};
use crate::reason::{self, handshake_type, record_type};
use crate::record::{ALERT, Malformed};
use rustls::{PeerIncompatible, PeerMisbehaved};
use std::error::Error;
use std::fmt;

/// The peer broke the protocol.
///
/// Displays as what the peer did; [`source`](Error::source) is rustls' own error, if there is one.
#[derive(Clone, PartialEq)]
pub struct Violation(Fault);

#[derive(Clone, PartialEq)]
enum Fault {
    Tls(rustls::Error),
    UnknownRecordType(u8),
    RecordVersion(u8),
    RecordTooLong,
    Undecryptable,
    NoContentType,
    Unsealed(u8),
    UnexpectedRecord(u8),
    EmptyContent(u8),
    AlertLength(usize),
    AlertLevel(u8),
    UnexpectedMessage(u8),
    Interleaved,
    MessageTooLong(u8),
    MessageLength(u8),
    KeyUpdateValue(u8),
    NotLast,
    TooManyKeyUpdates,
    TooManyEmptyRecords,
    TooManyDatalessRecords,
    TooManyWarnings,
    TooManyRenegotiations,
    TooManyChanges,
    TooManyRecords,
}

macro_rules! faults {
    ($($name:ident($($argument:ident: $typ:ty),*) = $fault:ident;)*) => {
        $(pub(crate) fn $name($($argument: $typ),*) -> Self {
            Self(Fault::$fault$(($argument))*)
        })*
    };
}

impl Violation {
    faults! {
        tls(error: rustls::Error) = Tls;
        record_too_long() = RecordTooLong;
        undecryptable() = Undecryptable;
        no_content_type() = NoContentType;
        unsealed(kind: u8) = Unsealed;
        unexpected_record(kind: u8) = UnexpectedRecord;
        empty_content(kind: u8) = EmptyContent;
        alert_length(length: usize) = AlertLength;
        alert_level(level: u8) = AlertLevel;
        unexpected_message(kind: u8) = UnexpectedMessage;
        interleaved() = Interleaved;
        message_too_long(kind: u8) = MessageTooLong;
        message_length(kind: u8) = MessageLength;
        key_update_value(value: u8) = KeyUpdateValue;
        not_last() = NotLast;
        too_many_key_updates() = TooManyKeyUpdates;
        too_many_empty_records() = TooManyEmptyRecords;
        too_many_dataless_records() = TooManyDatalessRecords;
        too_many_warnings() = TooManyWarnings;
        too_many_renegotiations() = TooManyRenegotiations;
        too_many_changes() = TooManyChanges;
        too_many_records() = TooManyRecords;
    }

    /// The fatal alert for the peer: the one that RFC 9846 (RFC 5246 for TLS 1.2) names. Where the RFC names none, it is the
    /// one that BoringSSL and OpenSSL send.
    ///
    /// | what the peer did | alert | clause |
    /// |---|---|---|
    /// | a record type that does not exist or is not allowed here | unexpected_message | 9846 section 5 |
    /// | a record version other than 3.x | protocol_version | none: BoringSSL, OpenSSL |
    /// | a record or plaintext that is too long | record_overflow | 9846 sections 5.1, 5.2, 5.4; 5246 section 6.2.1 |
    /// | a record that does not decrypt | bad_record_mac | 9846 section 5.2 |
    /// | padding without a content type | unexpected_message | 9846 section 5.4 |
    /// | a record in plaintext where it must be encrypted (TLS 1.3) | unexpected_message | 9846 section 5 |
    /// | an empty alert or handshake record | unexpected_message | 9846 section 5.4 |
    /// | an alert record whose content is not two bytes | decode_error | 9846 section 6 |
    /// | an alert level that does not exist | illegal_parameter | 9846 section 6 |
    /// | a handshake message that is not allowed here | unexpected_message | 9846 sections 4, 4.6.2 |
    /// | another record inside a handshake message | unexpected_message | 9846 section 5.1 |
    /// | a handshake message of more than 64 KiB | illegal_parameter | none: BoringSSL, OpenSSL |
    /// | a KeyUpdate or HelloRequest of a wrong length | decode_error | 9846 section 6.2 |
    /// | a KeyUpdate with a value other than 0 and 1 | illegal_parameter | 9846 section 4.7.3 |
    /// | a message after a KeyUpdate in the same record | unexpected_message | 9846 section 5.1 |
    /// | too many records without application data | unexpected_message | none: nginx, BoringSSL |
    pub fn alert(&self) -> AlertDescription {
        match &self.0 {
            Fault::Tls(error) => alert_for(error),
            Fault::RecordVersion(_) => AlertDescription::PROTOCOL_VERSION,
            Fault::RecordTooLong => AlertDescription::RECORD_OVERFLOW,
            Fault::Undecryptable => AlertDescription::BAD_RECORD_MAC,
            Fault::AlertLength(_) | Fault::MessageLength(_) => AlertDescription::DECODE_ERROR,
            Fault::AlertLevel(_) | Fault::KeyUpdateValue(_) | Fault::MessageTooLong(_) => {
                AlertDescription::ILLEGAL_PARAMETER
            }
            Fault::UnknownRecordType(_)
            | Fault::NoContentType
            | Fault::Unsealed(_)
            | Fault::UnexpectedRecord(_)
            | Fault::EmptyContent(_)
            | Fault::UnexpectedMessage(_)
            | Fault::Interleaved
            | Fault::NotLast
            | Fault::TooManyKeyUpdates
            | Fault::TooManyEmptyRecords
            | Fault::TooManyDatalessRecords
            | Fault::TooManyWarnings
            | Fault::TooManyRenegotiations
            | Fault::TooManyChanges
            | Fault::TooManyRecords => AlertDescription::UNEXPECTED_MESSAGE,
        }
    }
}

impl From<Malformed> for Violation {
    fn from(malformed: Malformed) -> Self {
        Self(match malformed {
            Malformed::Type(kind) => Fault::UnknownRecordType(kind),
            Malformed::Version(major) => Fault::RecordVersion(major),
            Malformed::Length => Fault::RecordTooLong,
        })
    }
}

/// The alert for an error of the TLS library for which the library sends none.
pub(crate) fn alert_for(error: &rustls::Error) -> AlertDescription {
    match error {
        rustls::Error::DecryptError => AlertDescription::BAD_RECORD_MAC,
        rustls::Error::PeerSentOversizedRecord => AlertDescription::RECORD_OVERFLOW,
        rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(
            PeerMisbehaved::IllegalMiddleboxChangeCipherSpec
            | PeerMisbehaved::IllegalTlsInnerPlaintext
            | PeerMisbehaved::KeyEpochWithPendingFragment
            | PeerMisbehaved::MessageInterleavedWithHandshakeMessage
            | PeerMisbehaved::RejectedEarlyDataInterleavedWithHandshakeMessage
            | PeerMisbehaved::TooManyEmptyFragments
            | PeerMisbehaved::TooManyKeyUpdateRequests
            | PeerMisbehaved::TooManyRenegotiationRequests
            | PeerMisbehaved::TooManyWarningAlertsReceived
            | PeerMisbehaved::TooMuchEarlyDataReceived,
        ) => AlertDescription::UNEXPECTED_MESSAGE,
        rustls::Error::InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge)
        | rustls::Error::PeerMisbehaved(_) => AlertDescription::ILLEGAL_PARAMETER,
        rustls::Error::InvalidMessage(message) => u8::from(rustls::AlertDescription::from(*message)).into(),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => AlertDescription::PROTOCOL_VERSION,
        rustls::Error::PeerIncompatible(_) => AlertDescription::HANDSHAKE_FAILURE,
        _ => AlertDescription::INTERNAL_ERROR,
    }
}

/// If `output` ends with a plaintext alert, replaces it where the RFC names another alert than the library sends.
/// `incomplete`: the ClientHello lacks a mandatory extension.
pub(crate) fn correct_alert(error: &rustls::Error, incomplete: bool, output: &mut [u8]) {
    let alert = match error {
        rustls::Error::PeerIncompatible(_) if incomplete => AlertDescription::MISSING_EXTENSION,
        // RFC 5246 section 7.4.6: certificate_required is of TLS 1.3, where it is sealed.
        rustls::Error::NoCertificatesPresented => AlertDescription::HANDSHAKE_FAILURE,
        _ => return,
    };
    if let [.., ALERT, 3, _, 0, 2, _, code] = output {
        *code = alert.code();
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Tls(error) => reason::explain(error, f),
            Fault::UnknownRecordType(kind) => write!(f, "bytes that are not TLS: {kind} is not a record type"),
            Fault::RecordVersion(major) => write!(f, "bytes that are not TLS: {major}.x is not a record version"),
            Fault::RecordTooLong => f.write_str("a record longer than TLS allows"),
            Fault::Undecryptable => f.write_str("a record that cannot be decrypted"),
            Fault::NoContentType => f.write_str("a record of padding alone, without a content type"),
            Fault::Unsealed(kind) => write!(f, "{} in plaintext where it must be encrypted", record_type(*kind)),
            Fault::UnexpectedRecord(kind) => write!(f, "{} where none is allowed", record_type(*kind)),
            Fault::EmptyContent(kind) => write!(f, "{} without content", record_type(*kind)),
            Fault::AlertLength(1) => f.write_str("an alert of 1 byte instead of 2"),
            Fault::AlertLength(length) => write!(f, "an alert of {length} bytes instead of 2"),
            Fault::AlertLevel(level) => write!(f, "an alert of the unknown level {level}"),
            Fault::UnexpectedMessage(kind) => write!(f, "{} where none is allowed", handshake_type(*kind)),
            Fault::Interleaved => f.write_str("another record between the parts of a handshake message"),
            Fault::MessageTooLong(kind) => write!(f, "{} of more than {MESSAGE_MAX} bytes", handshake_type(*kind)),
            Fault::MessageLength(kind) => write!(f, "{} of the wrong length", handshake_type(*kind)),
            Fault::KeyUpdateValue(value) => write!(f, "a KeyUpdate with the unknown value {value}"),
            Fault::NotLast => f.write_str("a message after a KeyUpdate in the same record"),
            Fault::TooManyKeyUpdates => {
                write!(f, "more than {KEY_UPDATES_MAX} KeyUpdates without application data between them")
            }
            Fault::TooManyEmptyRecords => write!(f, "more than {EMPTY_RECORDS_MAX} empty records in a row"),
            Fault::TooManyDatalessRecords => {
                write!(f, "more than {DATALESS_RECORDS_MAX} records in a row without application data")
            }
            Fault::TooManyWarnings => write!(f, "more than {WARNINGS_MAX} warning alerts"),
            Fault::TooManyRenegotiations => {
                write!(f, "a second request to renegotiate after {RENEGOTIATIONS_MAX} was declined")
            }
            Fault::TooManyChanges => {
                write!(f, "more than {CHANGES_MAX} change_cipher_spec records in a TLS 1.3 handshake")
            }
            Fault::TooManyRecords => f.write_str("more records than one key may protect"),
        }
    }
}

/// The same text: `main() -> Result<_, Box<dyn Error>>` prints it.
impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Violation {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Fault::Tls(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_alerts_read_well() {
        assert_eq!(Violation::alert_length(1).to_string(), "an alert of 1 byte instead of 2");
        assert_eq!(Violation::alert_length(4).to_string(), "an alert of 4 bytes instead of 2");
    }
}
