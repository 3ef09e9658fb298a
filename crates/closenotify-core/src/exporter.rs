//! Keying material that only the two peers of a session can compute (RFC 9846 section 7.5, RFC 5705). It stays available
//! after the handshake's own objects are gone.

use crate::capture::Captured;
use rustls::{Error, SupportedCipherSuite};
use std::fmt;
use zeroize::Zeroizing;

/// Exports keying material of a session (RFC 9846 section 7.5, RFC 5705).
///
/// It is independent of both halves and of how they end. Its secret is wiped when it is dropped.
pub struct Exporter(Secret);

enum Secret {
    Tls13 {
        suite: &'static rustls::Tls13CipherSuite,
        secret: Zeroizing<Vec<u8>>,
    },
    #[cfg(feature = "tls12")]
    Tls12 {
        suite: &'static rustls::Tls12CipherSuite,
        master: Zeroizing<Vec<u8>>,
        randoms: [u8; 64],
    },
    /// The TLS library logged no secret.
    None,
}

impl Exporter {
    /// The exporter of a complete handshake. TLS 1.2 needs `server_random`, the random of the ServerHello.
    pub(crate) fn new(suite: SupportedCipherSuite, captured: Captured, server_random: Option<[u8; 32]>) -> Self {
        #[cfg(not(feature = "tls12"))]
        let _ = server_random;
        Self(match suite {
            SupportedCipherSuite::Tls13(suite) => match captured.exporter {
                Some(secret) => Secret::Tls13 { suite, secret },
                None => Secret::None,
            },
            #[cfg(feature = "tls12")]
            SupportedCipherSuite::Tls12(suite) => match (captured.master, server_random) {
                (Some((master, client_random)), Some(server_random)) => {
                    let mut randoms = [0; 64];
                    randoms[..32].copy_from_slice(&client_random);
                    randoms[32..].copy_from_slice(&server_random);
                    Secret::Tls12 { suite, master, randoms }
                }
                _ => Secret::None,
            },
            #[cfg(not(feature = "tls12"))]
            #[allow(unreachable_patterns, reason = "another crate may switch on rustls' TLS 1.2")]
            _ => Secret::None,
        })
    }

    /// Fills `output` with keying material for `label` and `context`, and returns it. In TLS 1.3 no context and an empty
    /// one are the same; in TLS 1.2 they are not (RFC 5705 section 4).
    ///
    /// # Errors
    ///
    /// If `output` is empty or too long, if `label` or `context` is too long, if `label` is empty in TLS 1.2, or if rustls did
    /// not hand out the secret.
    pub fn export<T: AsMut<[u8]>>(&self, mut output: T, label: &[u8], context: Option<&[u8]>) -> Result<T, Error> {
        let out = output.as_mut();
        if out.is_empty() {
            return Err(refused("no keying material of 0 bytes is exported"));
        }
        match &self.0 {
            Secret::Tls13 { suite, secret } => {
                let hash = suite.common.hash_provider;
                let expander = suite.hkdf_provider.expander_for_okm(&rustls::crypto::tls13::OkmBlock::new(secret));
                let length = expander.hash_len();
                let derived =
                    expand_label(label, hash.hash(&[]).as_ref(), length, |info| Ok(expander.expand_block(info)))?;
                let expander = suite.hkdf_provider.expander_for_okm(&derived);
                let context = hash.hash(context.unwrap_or_default());
                let length = out.len();
                expand_label(b"exporter", context.as_ref(), length, |info| {
                    expander.expand_slice(info, out).map_err(|_| too_much())
                })?;
            }
            #[cfg(feature = "tls12")]
            Secret::Tls12 { suite, master, randoms } => {
                if label.is_empty() {
                    return Err(refused("no keying material is exported for an empty label"));
                }
                let mut seed = randoms.to_vec();
                if let Some(context) = context {
                    let length = u16::try_from(context.len())
                        .map_err(|_| refused("the context is longer than an exporter can take"))?;
                    seed.extend_from_slice(&length.to_be_bytes());
                    seed.extend_from_slice(context);
                }
                suite.prf_provider.for_secret(out, master, label, &seed);
            }
            Secret::None => return Err(refused("the crypto provider keeps the secret that keys are exported from")),
        }
        Ok(output)
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// HKDF-Expand-Label (RFC 9846 section 7.1); `expand` receives the parts of HkdfLabel.
fn expand_label<R>(
    label: &[u8],
    context: &[u8],
    length: usize,
    expand: impl FnOnce(&[&[u8]]) -> Result<R, Error>,
) -> Result<R, Error> {
    let length = u16::try_from(length).map_err(|_| too_much())?.to_be_bytes();
    let label_length = u8::try_from(PREFIX.len() + label.len())
        .map_err(|_| refused("the label is longer than an exporter can take"))?;
    let context_length = u8::try_from(context.len()).map_err(|_| too_much())?;
    expand(&[&length, &[label_length], PREFIX, label, &[context_length], context])
}

fn too_much() -> Error {
    refused("more keying material than an exporter can make")
}

fn refused(why: &str) -> Error {
    Error::General(why.to_owned())
}

const PREFIX: &[u8] = b"tls13 ";
