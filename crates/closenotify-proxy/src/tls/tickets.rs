//! Session tickets (RFC 5077, RFC 9846 section 4.7.1): of this process, or such as every proxy with the same keys accepts.
//!
//! A ticket of shared keys is bound to the policy for clients under which it was made: whoever was let in by another policy, or by another
//! listener that asks for no certificate, cannot resume a session here, and makes a full handshake instead.
//!
//! ```text
//! ticket = name (16) | salt (32) | AES-256-GCM(time of issue (8) | session), with name and salt authenticated
//! PRK    = HKDF-Extract(salt = digest of the policy, the key's material)
//! name   = HKDF-Expand(PRK, "closenotify ticket name")
//! key    = HKDF-Expand(PRK, "closenotify ticket key" | salt)      one for each ticket, so that no nonce is used twice
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use super::certificate::unix_seconds;
use super::ticket_keys::KeyMaterial;

/// Makes and opens tickets with keys that others have too.
pub(super) struct SharedTickets {
    /// The first encrypts; never empty.
    keys: Vec<Key>,
    /// Seconds since 1970.
    clock: fn() -> i64,
}

struct Key {
    name: [u8; NAME],
    secret: Prk,
}

impl SharedTickets {
    /// Tickets of these keys for sessions under the policy with this digest.
    pub(super) fn new(material: &[KeyMaterial], policy: &[u8; 32]) -> Result<Self, rustls::Error> {
        let keys = material.iter().map(|material| Key::derive(material, policy)).collect::<Result<_, _>>();
        let keys = keys.map_err(|Unspecified| rustls::Error::General("cannot derive ticket keys".into()))?;
        Ok(Self { keys, clock: || unix_seconds(SystemTime::now()) })
    }

    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > MAX_SESSION {
            return None;
        }
        let key = self.keys.first()?;
        let mut ticket = Vec::with_capacity(HEADER + TIME + session.len() + AES_256_GCM.tag_len());
        ticket.extend(key.name);
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        ticket.extend(salt);
        let mut sealed = Vec::with_capacity(TIME + session.len() + AES_256_GCM.tag_len());
        sealed.extend((self.clock)().to_be_bytes());
        sealed.extend(session);
        key.of_ticket(&salt).ok()?.seal_in_place_append_tag(nonce(), Aad::from(&ticket), &mut sealed).ok()?;
        ticket.extend(sealed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = ticket.split_at_checked(HEADER)?;
        let (name, salt) = header.split_at(NAME);
        let key = self.keys.iter().find(|key| key.name == name)?;
        let mut sealed = sealed.to_vec();
        let opened = key.of_ticket(salt).ok()?.open_in_place(nonce(), Aad::from(header), &mut sealed).ok()?;
        let (issued, session) = opened.split_first_chunk::<TIME>()?;
        let age = (self.clock)().checked_sub(i64::from_be_bytes(*issued))?;
        // Another machine's clock may be ahead of ours.
        (-CLOCK_SKEW..i64::from(LIFETIME)).contains(&age).then(|| session.to_vec())
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher)
    }
}

/// Tickets of keys that only this process has, which change every 6 hours; a ticket is valid for 12 hours at most.
#[derive(Debug)]
pub(super) struct OwnTickets(Arc<dyn ProducesTickets>);

impl OwnTickets {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        Ticketer::new().map(Self)
    }
}

impl ProducesTickets for OwnTickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // rustls 0.23 encodes a ticket that is too long for its message.
        (plain.len() <= MAX_SESSION).then(|| self.0.encrypt(plain))?
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTickets").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Key {
    fn derive(material: &KeyMaterial, policy: &[u8; 32]) -> Result<Self, Unspecified> {
        let secret = Salt::new(HKDF_SHA256, policy).extract(material.bytes());
        let mut name = [0; NAME];
        secret.expand(&[b"closenotify ticket name"], Name)?.fill(&mut name)?;
        Ok(Self { name, secret })
    }

    fn of_ticket(&self, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let info = [b"closenotify ticket key".as_slice(), salt];
        Ok(LessSafeKey::new(UnboundKey::from(self.secret.expand(&info, &AES_256_GCM)?)))
    }
}

/// The length of a key's name, for HKDF.
struct Name;

impl KeyType for Name {
    fn len(&self) -> usize {
        NAME
    }
}

/// Each key seals one ticket.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

const NAME: usize = 16;
const SALT: usize = 32;
const HEADER: usize = NAME + SALT;
const TIME: usize = 8;

/// How long a ticket is valid, in seconds: 12 hours, as those of keys that are not shared.
const LIFETIME: u32 = 12 * 60 * 60;

/// How far the clock of another machine may be ahead, in seconds.
const CLOCK_SKEW: i64 = 5 * 60;

/// The longest session that gets a ticket. Only one with a client's long chain is longer, and every hello would carry it back.
const MAX_SESSION: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::files::Reader;
    use crate::tls::ticket_keys;
    use tempfile::TempDir;

    fn material(seeds: &[u8]) -> Vec<KeyMaterial> {
        let dir = TempDir::new().unwrap();
        for (index, seed) in seeds.iter().enumerate() {
            let key: Vec<u8> = (0..80_u8).map(|n| n.wrapping_mul(*seed) | 0x80).collect();
            std::fs::write(dir.path().join(index.to_string()), key).unwrap();
        }
        ticket_keys::load(dir.path(), &mut Reader::default()).unwrap()
    }

    fn tickets(seeds: &[u8], policy: u8, clock: fn() -> i64) -> SharedTickets {
        SharedTickets { clock, ..SharedTickets::new(&material(seeds), &[policy; 32]).unwrap() }
    }

    fn noon() -> i64 {
        1_700_000_000
    }

    #[test]
    fn the_same_keys_and_policy_open_a_ticket_and_no_others() {
        let ticket = tickets(&[3], 1, noon).encrypt(b"session").unwrap();
        let open = |tickets: SharedTickets| tickets.decrypt(&ticket);
        assert_eq!(open(tickets(&[3], 1, noon)).unwrap(), b"session");
        assert_eq!(open(tickets(&[5, 3], 1, noon)).unwrap(), b"session", "a key that does not encrypt any more");
        assert_eq!(open(tickets(&[5], 1, noon)), None, "another key");
        assert_eq!(open(tickets(&[3], 2, noon)), None, "another policy");
    }

    #[test]
    fn the_first_key_encrypts() {
        let ticket = tickets(&[3, 5], 1, noon).encrypt(b"session").unwrap();
        assert!(tickets(&[3], 1, noon).decrypt(&ticket).is_some());
        assert!(tickets(&[5], 1, noon).decrypt(&ticket).is_none());
    }

    #[test]
    fn a_ticket_is_valid_for_twelve_hours() {
        let at = |clock| tickets(&[3], 1, clock);
        let ticket = at(noon).encrypt(b"session").unwrap();
        assert!(at(|| noon() + 43_199).decrypt(&ticket).is_some());
        assert!(at(|| noon() + 43_200).decrypt(&ticket).is_none());
        assert!(at(|| noon() - 300).decrypt(&ticket).is_some());
        assert!(at(|| noon() - 301).decrypt(&ticket).is_none());
    }

    #[test]
    fn a_changed_or_truncated_ticket_is_not_opened() {
        let tickets = tickets(&[3], 1, noon);
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at}");
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{at}");
        }
    }

    #[test]
    fn no_two_tickets_are_alike_and_none_shows_the_session() {
        let tickets = tickets(&[3], 1, noon);
        let (a, b) = (tickets.encrypt(b"session").unwrap(), tickets.encrypt(b"session").unwrap());
        assert_ne!(a[NAME..], b[NAME..]);
        assert!(!a.windows(7).any(|window| window == b"session"));
    }

    #[test]
    fn a_session_that_is_too_long_gets_no_ticket() {
        let tickets: [&dyn ProducesTickets; 2] = [&tickets(&[3], 1, noon), &OwnTickets::new().unwrap()];
        for tickets in tickets {
            assert!(tickets.encrypt(&[0; MAX_SESSION]).is_some());
            assert!(tickets.encrypt(&[0; MAX_SESSION + 1]).is_none());
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", tickets(&[3, 5], 1, noon)), "SharedTickets { keys: 2, .. }");
    }
}
