//! The keys of one direction after the handshake: they open or seal one record at a time and count sequence numbers.
//!
//! The AEAD is the crypto provider's. What a record means, and when keys change, is decided by the halves.

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

/// The content of a record.
pub(crate) struct Opened {
    /// Its true content type.
    pub(crate) kind: u8,
    /// Where its content begins in the record's body.
    pub(crate) start: usize,
    /// How long its content is.
    pub(crate) length: usize,
}

impl Opening {
    /// `None` if the secrets do not fit the suite.
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

    /// Opens a record in place; `body` is the record without its header.
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
        // Decryption is in place, so the plaintext lies inside `body`. An empty slice may point anywhere.
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
    /// `None` if the secrets do not fit the suite.
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
            // AES-GCM in AWS-LC assumes that the first nonce it gets is that of sequence number 0, and then requires rising
            // numbers. So seal a record with number 0 first. The handshake has used that nonce, so the record is discarded
            // and never sent.
            let _ = sealing.seal(ContentType::ApplicationData, OutboundChunks::Single(&[]));
            sealing.sequence = sequence;
        }
        Some(sealing)
    }

    /// Seals a record, including its header; `None` if the provider fails or the sequence numbers are used up.
    pub(crate) fn seal(&mut self, typ: ContentType, payload: OutboundChunks<'_>) -> Option<Vec<u8>> {
        // The version of a record of TLS 1.3 is that of 1.2 too (RFC 9846 section 5.1).
        let plain = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        let next = self.sequence.checked_add(1)?;
        let sealed = self.encrypter.encrypt(plain, self.sequence).ok()?;
        self.sequence = next;
        Some(sealed.encode())
    }

    /// How many records these keys have sealed.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The length of the record for this much plaintext, without its header.
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
