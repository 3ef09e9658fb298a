//! Checks each record of a handshake before the TLS library sees it, for errors that the library finds too late or not at all,
//! or for which it sends no alert or another one than the RFC names.
//!
//! It reads only plaintext. Encrypted records go through; the library judges them.

use crate::alert::AlertDescription;
use crate::limits::{CHANGES_MAX, PLAINTEXT_MAX, SEALED_MAX_12, SEALED_MAX_13, WARNINGS_MAX};
use crate::messages::{Fate, Messages};
use crate::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER};
use crate::violation::Violation;

/// The phase of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No version is negotiated.
    Open,
    /// TLS 1.2 is negotiated.
    Tls12,
    /// TLS 1.3 is negotiated, without keys: after a HelloRetryRequest.
    Retried,
    /// TLS 1.3 is negotiated, and there are keys.
    Keyed,
}

/// The state of the checks.
#[derive(Default)]
pub(crate) struct Gate {
    /// The handshake messages in plaintext.
    messages: Messages,
    changes: u32,
    warnings: u32,
    /// Whether the peer has begun to encrypt.
    sealed: bool,
}

/// What to do with a record.
#[derive(Debug, PartialEq)]
pub(crate) enum Pass {
    /// Pass it to the TLS library.
    Through,
    /// Ignore it.
    Ignored,
    /// It is an alert that ends the handshake.
    Alert(AlertDescription),
}

impl Gate {
    /// The longest content that the next record may have.
    pub(crate) fn content_max(&self, phase: Phase) -> usize {
        match phase {
            Phase::Tls12 if self.sealed => SEALED_MAX_12,
            // After a HelloRetryRequest a server still receives the early data that it rejected.
            Phase::Retried | Phase::Keyed => SEALED_MAX_13,
            Phase::Open | Phase::Tls12 => PLAINTEXT_MAX,
        }
    }

    /// Judges a complete record.
    pub(crate) fn check(&mut self, record: &[u8], phase: Phase) -> Result<Pass, Violation> {
        let (kind, content) = (record[0], &record[HEADER..]);
        match phase {
            Phase::Tls12 if self.sealed => return Ok(Pass::Through),
            Phase::Keyed if kind == APPLICATION_DATA => {
                self.sealed = true;
                return Ok(Pass::Through);
            }
            _ => {}
        }
        match kind {
            kind if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) => Err(Violation::unexpected_record(kind)),
            ALERT | HANDSHAKE | CHANGE_CIPHER_SPEC if content.len() > PLAINTEXT_MAX => {
                Err(Violation::record_too_long())
            }
            ALERT | HANDSHAKE | CHANGE_CIPHER_SPEC if content.is_empty() => Err(Violation::empty_content(kind)),
            HANDSHAKE if phase == Phase::Keyed => Err(Violation::unsealed(kind)),
            HANDSHAKE => {
                self.follow(content)?;
                Ok(Pass::Through)
            }
            // Only a peer that has not begun to encrypt may send a plaintext alert (RFC 9846 section 6).
            ALERT if phase == Phase::Keyed && self.sealed => Err(Violation::unsealed(kind)),
            ALERT => self.follow_alert(content, matches!(phase, Phase::Retried | Phase::Keyed)),
            _ if self.messages.is_partial() => Err(Violation::interleaved()),
            CHANGE_CIPHER_SPEC => {
                self.changes += 1;
                match phase {
                    Phase::Retried | Phase::Keyed if self.changes > CHANGES_MAX => {
                        return Err(Violation::too_many_changes());
                    }
                    Phase::Tls12 => self.sealed = true,
                    _ => {}
                }
                Ok(Pass::Through)
            }
            _ => Ok(Pass::Through),
        }
    }

    fn follow(&mut self, mut content: &[u8]) -> Result<(), Violation> {
        while !content.is_empty() {
            self.messages.next(&mut content, |_, _| Ok(Fate::Skip))?;
        }
        Ok(())
    }

    fn follow_alert(&mut self, content: &[u8], is_tls13: bool) -> Result<Pass, Violation> {
        let [level, code] = *content else { return Err(Violation::alert_length(content.len())) };
        let alert = AlertDescription::from(code);
        match level {
            // It is not authenticated: it ends the handshake, but never counts as a clean end.
            WARNING | FATAL if alert == AlertDescription::CLOSE_NOTIFY => Ok(Pass::Alert(alert)),
            FATAL => Ok(Pass::Alert(alert)),
            // RFC 9846 section 6: a fatal alert, whatever its level.
            WARNING if is_tls13 && alert != AlertDescription::USER_CANCELED => Ok(Pass::Alert(alert)),
            WARNING if self.messages.is_partial() => Err(Violation::interleaved()),
            WARNING => {
                self.warnings += 1;
                if self.warnings > WARNINGS_MAX { Err(Violation::too_many_warnings()) } else { Ok(Pass::Ignored) }
            }
            level => Err(Violation::alert_level(level)),
        }
    }
}

/// Whether the bytes are, or may become, an HTTP/1 method or the HTTP/2 preface.
pub(crate) fn looks_like_http(input: &[u8]) -> bool {
    METHODS.iter().any(|method| method.bytes().zip(input).all(|(expected, seen)| expected == *seen))
}

const METHODS: [&str; 10] =
    ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ", "PRI "];

/// The levels of alerts.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
