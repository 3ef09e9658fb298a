//! The keys of one direction after the handshake: they open or seal one record at a time, with its sequence number.
//!
//! The AEAD is the crypto provider's. What a record means, and when keys change, is decided around it.

use crate::violation::Violation;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, PeerMisbehaved, ProtocolVersion, SupportedCipherSuite};

/// Opens records.
pub(crate) struct Opening {
    decrypter: Box<dyn MessageDecrypter>,
    sequence: u64,
}

/// What was in a record.
pub(crate) struct Opened {
    /// Its true content type.
    pub(crate) kind: u8,
    /// Where its content begins in the record's body.
    pub(crate) start: usize,
    /// How long its content is.
    pub(crate) length: usize,
}

impl Opening {
    /// `None` when the secrets do not belong to the suite.
    pub(crate) fn new(
        suite: SupportedCipherSuite,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Option<Self> {
        let (key, iv) = key_of(secrets)?;
        let decrypter = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
            #[cfg(feature = "tls12")]
            SupportedCipherSuite::Tls12(suite) => {
                let fixed = suite.aead_alg.key_block_shape().fixed_iv_len;
                suite.aead_alg.decrypter(key, iv.as_ref().get(..fixed)?)
            }
            #[cfg(not(feature = "tls12"))]
            #[allow(unreachable_patterns, reason = "another crate may switch on rustls' TLS 1.2")]
            _ => return None,
        };
        Some(Self { decrypter, sequence })
    }

    /// Opens a record in place, of which `body` is everything but the header.
    pub(crate) fn open(&mut self, kind: u8, version: u16, body: &mut [u8]) -> Result<Opened, Violation> {
        let (from, most) = (body.as_ptr() as usize, body.len());
        let record = InboundOpaqueMessage::new(ContentType::from(kind), ProtocolVersion::from(version), body);
        let next = self.sequence.checked_add(1).ok_or_else(Violation::too_many_records)?;
        let plain = self.decrypter.decrypt(record, self.sequence).map_err(|error| match error {
            Error::DecryptError => Violation::undecryptable(),
            Error::PeerSentOversizedRecord => Violation::record_too_long(),
            Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext) => Violation::no_content_type(),
            Error::PeerMisbehaved(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec) => {
                Violation::unexpected_record(crate::record::CHANGE_CIPHER_SPEC)
            }
            error => Violation::tls(error),
        })?;
        self.sequence = next;
        let (start, length) = ((plain.payload.as_ptr() as usize).wrapping_sub(from), plain.payload.len());
        // The plaintext of an in-place decryption is where its ciphertext was; of no bytes, it is anywhere.
        let start = if length == 0 { 0 } else { start };
        match start.checked_add(length) {
            Some(end) if end <= most => Ok(Opened { kind: u8::from(plain.typ), start, length }),
            _ => Err(Violation::undecryptable()),
        }
    }
}

/// Seals records.
pub(crate) struct Sealing {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Sealing {
    /// `None` when the secrets do not belong to the suite.
    pub(crate) fn new(
        suite: SupportedCipherSuite,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Option<Self> {
        let (key, iv) = key_of(secrets)?;
        let encrypter = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
            #[cfg(feature = "tls12")]
            SupportedCipherSuite::Tls12(suite) => {
                let shape = suite.aead_alg.key_block_shape();
                let (fixed, explicit) = iv.as_ref().split_at_checked(shape.fixed_iv_len)?;
                suite.aead_alg.encrypter(key, fixed, explicit.get(..shape.explicit_nonce_len)?)
            }
            #[cfg(not(feature = "tls12"))]
            #[allow(unreachable_patterns, reason = "another crate may switch on rustls' TLS 1.2")]
            _ => return None,
        };
        let mut sealing = Self { encrypter, sequence: 0 };
        if sequence > 0 {
            // AES-GCM of AWS-LC takes the first nonce that it sees for the one of sequence number 0, and refuses sequence
            // numbers that do not grow from there. So it is shown that number, which the handshake has used; what it seals
            // with it goes nowhere.
            let _ = sealing.seal(ContentType::ApplicationData, OutboundChunks::Single(&[]));
            sealing.sequence = sequence;
        }
        Some(sealing)
    }

    /// Seals a record, header and all; `None` when the provider fails, or has no more sequence numbers.
    pub(crate) fn seal(&mut self, typ: ContentType, payload: OutboundChunks<'_>) -> Option<Vec<u8>> {
        // The version of a record of TLS 1.3 is that of 1.2 too (RFC 9846 section 5.1).
        let plain = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        let next = self.sequence.checked_add(1)?;
        let sealed = self.encrypter.encrypt(plain, self.sequence).ok()?;
        self.sequence = next;
        Some(sealed.encode())
    }

    /// How many records have been sealed with these keys.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How long the record of so much plaintext is, header left out.
    pub(crate) fn sealed_length(&self, plaintext: usize) -> usize {
        self.encrypter.encrypted_payload_len(plaintext)
    }
}

fn key_of(secrets: ConnectionTrafficSecrets) -> Option<(AeadKey, Iv)> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Some((key, iv)),
        _ => None,
    }
}
