//! Captures the secrets that an [`Exporter`](crate::Exporter) needs from a handshake, through the key log: the only interface
//! of the TLS library that hands them out.
//!
//! Nothing is kept between calls or shared between connections. A secret is captured only while [`Captured::during`] runs a
//! call into the library on this thread, and it belongs to the handshake that made the call.

use rustls::KeyLog;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a handshake has derived so far.
#[derive(Default)]
pub(crate) struct Captured {
    /// The exporter secret (TLS 1.3).
    pub(crate) exporter: Option<Zeroizing<Vec<u8>>>,
    /// The master secret and the random of the ClientHello (TLS 1.2).
    pub(crate) master: Option<(Zeroizing<Vec<u8>>, [u8; 32])>,
    /// Whether there are handshake keys (TLS 1.3): from then on the peer encrypts what it sends.
    pub(crate) handshake_keys: bool,
}

thread_local! {
    static SLOT: RefCell<Option<Captured>> = const { RefCell::new(None) };
}

impl Captured {
    /// Runs a call into the TLS library and captures the secrets that it derives.
    ///
    /// A nested call, for instance by a certificate verifier, has its own slot.
    pub(crate) fn during<R>(&mut self, call: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a mut Captured, Option<Captured>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                let mine = SLOT.replace(self.1.take());
                *self.0 = mine.unwrap_or_default();
            }
        }
        let outer = SLOT.replace(Some(std::mem::take(self)));
        let _restore = Restore(self, outer);
        call()
    }
}

/// The key log of a prepared configuration: captures secrets and forwards to the user's own key log.
pub(crate) struct Capture(pub(crate) Arc<dyn KeyLog>);

impl KeyLog for Capture {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        SLOT.with_borrow_mut(|slot| {
            let Some(captured) = slot else { return };
            match label {
                EXPORTER => captured.exporter = Some(Zeroizing::new(secret.to_vec())),
                CLIENT_HANDSHAKE => captured.handshake_keys = true,
                MASTER => {
                    captured.master =
                        client_random.try_into().ok().map(|random| (Zeroizing::new(secret.to_vec()), random));
                }
                _ => {}
            }
        });
        // rustls logs the master secret without asking first.
        if label == MASTER || self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        captures(label) || self.0.will_log(label)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn captures(label: &str) -> bool {
    matches!(label, EXPORTER | CLIENT_HANDSHAKE | MASTER)
}

const EXPORTER: &str = "EXPORTER_SECRET";
const CLIENT_HANDSHAKE: &str = "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
const MASTER: &str = "CLIENT_RANDOM";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Uninterested;

    impl KeyLog for Uninterested {
        fn log(&self, label: &str, _: &[u8], _: &[u8]) {
            assert_eq!(label, MASTER, "logged a label that the user did not ask for");
        }

        fn will_log(&self, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn a_secret_goes_to_the_handshake_that_is_running_and_to_no_other() {
        let log = Capture(Arc::new(Uninterested));
        let (mut outer, mut inner) = (Captured::default(), Captured::default());
        log.log(EXPORTER, &[0; 32], b"nobody's");
        outer.during(|| {
            log.log(EXPORTER, &[0; 32], b"outer");
            inner.during(|| log.log(MASTER, &[7; 32], b"inner"));
            log.log(CLIENT_HANDSHAKE, &[0; 32], b"outer");
        });
        log.log(MASTER, &[0; 32], b"nobody's");
        assert_eq!(outer.exporter.as_ref().map(|secret| secret.as_slice()), Some(&b"outer"[..]));
        assert!(outer.handshake_keys && outer.master.is_none());
        assert_eq!(
            inner.master.as_ref().map(|(secret, random)| (secret.as_slice(), *random)),
            Some((&b"inner"[..], [7; 32]))
        );
        assert!(inner.exporter.is_none() && !inner.handshake_keys);
        assert!(!log.will_log("SERVER_TRAFFIC_SECRET_0"));
    }
}
