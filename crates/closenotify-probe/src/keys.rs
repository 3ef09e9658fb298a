//! The keys of one direction: seals and opens one record at a time, and moves to the next keys of a KeyUpdate.
//!
//! The nonces and the additional data are those of RFC 9846 section 5.3 (TLS 1.3), RFC 5288 (AES-GCM in TLS 1.2) and RFC
//! 7905 (ChaCha20-Poly1305 in TLS 1.2). Nothing else is supported, since rustls negotiates nothing else.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use rustls::ConnectionTrafficSecrets;

/// The keys of one direction.
pub(crate) struct Keys {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    sequence: u64,
    scheme: Scheme,
}

/// What differs between the versions.
enum Scheme {
    /// Of TLS 1.3; the secret is what a KeyUpdate goes on from.
    Tls13 { suite: Suite13, secret: Vec<u8> },
    /// AES-GCM of TLS 1.2: eight bytes of the nonce are in the record.
    Gcm12,
    /// ChaCha20-Poly1305 of TLS 1.2.
    ChaCha12,
}

/// The AEAD and the hash of a TLS 1.3 suite.
#[derive(Clone, Copy)]
pub(crate) struct Suite13 {
    aead: &'static aead::Algorithm,
    hkdf: hkdf::Algorithm,
}

impl Suite13 {
    /// By the number of the suite; `None` for one that rustls does not speak.
    pub(crate) fn from_number(number: u16) -> Option<Self> {
        let (aead, hkdf) = match number {
            0x1301 => (&aead::AES_128_GCM, hkdf::HKDF_SHA256),
            0x1302 => (&aead::AES_256_GCM, hkdf::HKDF_SHA384),
            0x1303 => (&aead::CHACHA20_POLY1305, hkdf::HKDF_SHA256),
            _ => return None,
        };
        Some(Self { aead, hkdf })
    }
}

impl Keys {
    /// Keys of TLS 1.3 from a traffic secret; `None` when the secret does not fit the suite.
    pub(crate) fn tls13(suite: Suite13, secret: &[u8], sequence: u64) -> Option<Self> {
        let key = expand_label(suite, secret, "key", suite.aead.key_len())?;
        let iv = expand_label(suite, secret, "iv", aead::NONCE_LEN)?;
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(suite.aead, &key).ok()?),
            iv: iv.try_into().ok()?,
            sequence,
            scheme: Scheme::Tls13 { suite, secret: secret.to_vec() },
        })
    }

    /// Keys of TLS 1.2 as rustls hands them out; `None` for a suite that is not known here.
    pub(crate) fn tls12(sequence: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        let (algorithm, key, iv, scheme) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv, Scheme::Gcm12),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv, Scheme::Gcm12),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv, Scheme::ChaCha12)
            }
            _ => return None,
        };
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?),
            iv: iv.as_ref().try_into().ok()?,
            sequence,
            scheme,
        })
    }

    /// A record of `kind` with `content`, header and all.
    pub(crate) fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let nonce = self.next_nonce();
        let sequence = self.sequence - 1;
        let tag = self.key.algorithm().tag_len();
        let (mut body, header, aad) = match self.scheme {
            Scheme::Tls13 { .. } => {
                let mut body = content.to_vec();
                body.push(kind);
                let header = header(APPLICATION_DATA, body.len() + tag);
                (body, header, header.to_vec())
            }
            Scheme::Gcm12 => {
                (content.to_vec(), header(kind, 8 + content.len() + tag), aad12(sequence, kind, content.len()))
            }
            Scheme::ChaCha12 => {
                (content.to_vec(), header(kind, content.len() + tag), aad12(sequence, kind, content.len()))
            }
        };
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), &mut body)
            .expect("a record is far shorter than what the AEAD can seal");
        let mut record = header.to_vec();
        if matches!(self.scheme, Scheme::Gcm12) {
            record.extend_from_slice(&nonce[4..]);
        }
        record.extend_from_slice(&body);
        record
    }

    /// The kind and the content of a record; `None` when the seal is broken.
    pub(crate) fn open(&mut self, record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (head, body) = record.split_at_checked(HEADER)?;
        let kind = head[0];
        let tag = self.key.algorithm().tag_len();
        let implicit = xor(&self.iv, self.sequence);
        let (nonce, aad, body) = match self.scheme {
            Scheme::Tls13 { .. } => (implicit, head.to_vec(), body),
            Scheme::Gcm12 => {
                let (explicit, body) = body.split_at_checked(8)?;
                let mut nonce = self.iv;
                nonce[4..].copy_from_slice(explicit);
                (nonce, aad12(self.sequence, kind, body.len().checked_sub(tag)?), body)
            }
            Scheme::ChaCha12 => (implicit, aad12(self.sequence, kind, body.len().checked_sub(tag)?), body),
        };
        let mut body = body.to_vec();
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), &mut body).ok()?;
        let opened = match self.scheme {
            Scheme::Tls13 { .. } => {
                let end = opened.iter().rposition(|byte| *byte != 0)?;
                (opened[end], opened[..end].to_vec())
            }
            Scheme::Gcm12 | Scheme::ChaCha12 => (kind, opened.to_vec()),
        };
        self.sequence += 1;
        Some(opened)
    }

    /// Moves to the next keys, as a KeyUpdate does (RFC 9846 section 7.2). Nothing in TLS 1.2, which has none.
    pub(crate) fn update(&mut self) {
        let Scheme::Tls13 { suite, secret } = &self.scheme else { return };
        let next =
            expand_label(*suite, secret, "traffic upd", secret.len()).and_then(|next| Self::tls13(*suite, &next, 0));
        *self = next.expect("a secret of the suite's length makes another");
    }

    /// Whether these are keys of TLS 1.3, where the true kind of a record is inside the seal.
    pub(crate) fn is_tls13(&self) -> bool {
        matches!(self.scheme, Scheme::Tls13 { .. })
    }

    fn next_nonce(&mut self) -> [u8; aead::NONCE_LEN] {
        let nonce = xor(&self.iv, self.sequence);
        self.sequence += 1;
        nonce
    }
}

/// The header of a record.
pub(crate) fn header(kind: u8, length: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(length).expect("content is cut to records before it is sealed").to_be_bytes();
    [kind, 3, 3, high, low]
}

fn xor(iv: &[u8; aead::NONCE_LEN], sequence: u64) -> [u8; aead::NONCE_LEN] {
    let mut nonce = *iv;
    for (byte, with) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= with;
    }
    nonce
}

fn aad12(sequence: u64, kind: u8, length: usize) -> Vec<u8> {
    [&sequence.to_be_bytes()[..], &header(kind, length)].concat()
}

/// HKDF-Expand-Label with an empty context (RFC 9846 section 7.1).
fn expand_label(suite: Suite13, secret: &[u8], label: &str, length: usize) -> Option<Vec<u8>> {
    let wide = u16::try_from(length).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let info: [&[u8]; 5] = [&wide, &label_length, PREFIX, label.as_bytes(), &[0]];
    let prk = hkdf::Prk::new_less_safe(suite.hkdf, secret);
    let mut out = vec![0; length];
    prk.expand(&info, Length(length)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

#[derive(Clone, Copy)]
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

pub(crate) const HEADER: usize = 5;
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
const PREFIX: &[u8] = b"tls13 ";
