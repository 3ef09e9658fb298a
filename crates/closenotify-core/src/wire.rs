//! Reads fields of the plaintext hellos that the TLS library does not hand out, such as the server name that a client sends
//! and the random of the server (RFC 9846 section 4.1, RFC 6066 section 3).
//!
//! It reads only the first handshake message of one direction. Whether that is well formed is up to the library.

use crate::messages::{CLIENT_HELLO, Fate, Messages, SERVER_HELLO};
use crate::record::{HANDSHAKE, HEADER};
use rustls::pki_types::DnsName;

/// Reads the first handshake message out of records.
#[derive(Default)]
pub(crate) struct FirstMessage {
    messages: Messages,
    done: bool,
    found: Found,
}

/// What was found in it.
#[derive(Default)]
pub(crate) struct Found {
    /// The server name in a ClientHello, in lowercase.
    pub(crate) server_name: Option<String>,
    /// Whether a ClientHello offers only TLS 1.1 or older. The TLS library would report an extension that such a hello never
    /// has, instead of the version.
    pub(crate) is_too_old: bool,
    /// Whether a ClientHello offers TLS 1.3 without the extensions that TLS 1.3 requires.
    pub(crate) is_incomplete: bool,
    /// The random of a ServerHello.
    pub(crate) server_random: Option<[u8; 32]>,
}

impl FirstMessage {
    /// Reads a complete record.
    pub(crate) fn look(&mut self, record: &[u8]) {
        if self.done || record.first() != Some(&HANDSHAKE) {
            return;
        }
        let Some(mut content) = record.get(HEADER..) else { return };
        match self.messages.next(&mut content, |_, _| Ok(Fate::Keep)) {
            Ok(None) => {}
            Ok(Some((CLIENT_HELLO, body))) => self.set(Found {
                server_name: extension(&body, SERVER_NAME).and_then(server_name),
                is_too_old: is_too_old(&body),
                is_incomplete: is_incomplete(&body),
                server_random: None,
            }),
            Ok(Some((SERVER_HELLO, body))) => {
                let server_random = body.get(2..34).and_then(|random| random.try_into().ok());
                self.set(Found { server_random, ..Found::default() });
            }
            Ok(Some(_)) | Err(_) => self.set(Found::default()),
        }
    }

    /// What was found.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    fn set(&mut self, found: Found) {
        *self = Self { messages: Messages::default(), done: true, found };
    }
}

/// An extension in the body of a ClientHello.
fn extension(hello: &[u8], wanted: [u8; 2]) -> Option<&[u8]> {
    let mut rest = hello.get(2 + 32..)?;
    // The session id, the cipher suites, the compression methods.
    for width in [1, 2, 1] {
        take(&mut rest, width)?;
    }
    let mut extensions = take(&mut rest, 2)?;
    while let Some((kind, body)) = extensions.split_first_chunk::<2>() {
        extensions = body;
        let extension = take(&mut extensions, 2)?;
        if *kind == wanted {
            return Some(extension);
        }
    }
    None
}

/// The name in its extension; `None` if there is none or it is an address.
fn server_name(mut extension: &[u8]) -> Option<String> {
    let (0, mut name) = take(&mut extension, 2)?.split_first()? else { return None };
    let name = DnsName::try_from(take(&mut name, 2)?).ok()?;
    Some(name.as_ref().to_ascii_lowercase())
}

/// Whether the body of a ClientHello offers TLS 1.1 at most (RFC 9846 section 4.2.1, RFC 5246 appendix E.1).
fn is_too_old(hello: &[u8]) -> bool {
    matches!(hello, [3, minor, ..] if *minor < 3) && extension(hello, SUPPORTED_VERSIONS).is_none()
}

/// Whether the body of a ClientHello offers TLS 1.3 without what RFC 9846 section 9.2 requires of it then.
fn is_incomplete(hello: &[u8]) -> bool {
    let has = |wanted| extension(hello, wanted).is_some();
    let versions = extension(hello, SUPPORTED_VERSIONS).and_then(|mut extension| take(&mut extension, 1));
    versions.is_some_and(|versions| versions.chunks(2).any(|version| version == [3, 4]))
        && (has(SUPPORTED_GROUPS) != has(KEY_SHARE)
            || !(has(PRE_SHARED_KEY) || has(SIGNATURE_ALGORITHMS) && has(SUPPORTED_GROUPS)))
}

/// Takes a vector that is preceded by its length in `width` bytes.
fn take<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let (length, body) = rest.split_at_checked(width)?;
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let (taken, left) = body.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

const SERVER_NAME: [u8; 2] = [0, 0];
const SUPPORTED_GROUPS: [u8; 2] = [0, 10];
const SIGNATURE_ALGORITHMS: [u8; 2] = [0, 13];
const PRE_SHARED_KEY: [u8; 2] = [0, 41];
const SUPPORTED_VERSIONS: [u8; 2] = [0, 43];
const KEY_SHARE: [u8; 2] = [0, 51];

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(name: &[u8]) -> Vec<u8> {
        let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
        let name = sized(&[&[0][..], &sized(name)].concat());
        let extensions = [&[0, 43, 0, 3, 2, 3, 4][..], &[0, 0], &sized(&name)].concat();
        [&[3, 3][..], &[7; 32], &[2, 1, 1], &sized(&[0x13, 1]), &[1, 0], &sized(&extensions)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<Vec<u8>> {
        let record = |part: &[u8]| [&[22, 3, 3][..], &(part.len() as u16).to_be_bytes(), part].concat();
        message.chunks(size).map(record).collect()
    }

    #[test]
    fn the_name_is_found_however_the_hello_is_cut_into_records() {
        let body = hello(b"Example.Com");
        let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        for size in 1..=message.len() {
            let mut first = FirstMessage::default();
            for record in records(&message, size) {
                assert_eq!(first.found().server_name, None);
                first.look(&record);
            }
            assert_eq!(first.found().server_name.as_deref(), Some("example.com"), "{size}");
        }
    }

    #[test]
    fn a_hello_without_a_name_or_with_one_that_is_none_has_none() {
        for name in [&b""[..], b"127.0.0.1", b"a b", b"\xff"] {
            assert_eq!(extension(&hello(name), SERVER_NAME).and_then(server_name), None, "{name:?}");
        }
        let complete = hello(b"example.com");
        for cut in 0..complete.len() {
            assert_eq!(extension(&complete[..cut], SERVER_NAME), None, "{cut}");
        }
    }

    #[test]
    fn the_random_is_that_of_the_first_message() {
        let message = [&[2, 0, 0, 70, 3, 3][..], &[9; 32], &[0; 36]].concat();
        let mut first = FirstMessage::default();
        for record in records(&message, 27) {
            first.look(&record);
        }
        first.look(&[&[22, 3, 3, 0, 38, 2, 0, 0, 34, 3, 3][..], &[8; 32]].concat());
        assert_eq!(first.found().server_random, Some([9; 32]));
    }
}
