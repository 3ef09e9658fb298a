//! Walks record headers (RFC 9846 section 5.1): where does the first record in a buffer end?
//!
//! It reads only the five bytes of the header. Thanks to it no byte after a `close_notify` is consumed, the end of a transport
//! can be placed between records or inside one, and input that is not TLS fails at the first byte that shows it.

/// Length of a record header, in bytes.
pub(crate) const HEADER: usize = 5;

/// The content types of records.
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// What is at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Nothing, or an incomplete record.
    Incomplete,
    /// A complete record of this many bytes, header included.
    Record(usize),
    /// Bytes that cannot begin a record.
    Malformed(Malformed),
}

/// Which part of a header is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The type does not exist.
    Type(u8),
    /// The version does not exist; holds its major number.
    Version(u8),
    /// The record is too long.
    Length,
}

/// Finds the end of the record at the front of `input`, whose content may have `most` bytes.
///
/// A header is malformed as soon as one byte of it is: its type, its major version, or its length.
pub(crate) fn walk(input: &[u8], most: usize) -> Walk {
    match input {
        [kind, ..] if !(CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(kind) => Walk::Malformed(Malformed::Type(*kind)),
        [_, major, ..] if *major != 3 => Walk::Malformed(Malformed::Version(*major)),
        [_, _, _, high, low, body @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length > most {
                Walk::Malformed(Malformed::Length)
            } else if body.len() < length {
                Walk::Incomplete
            } else {
                Walk::Record(HEADER + length)
            }
        }
        _ => Walk::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PLAINTEXT_MAX, SEALED_MAX_12, SEALED_MAX_13};

    /// docs/cases.md R56
    #[test]
    fn a_record_ends_where_its_header_says_whatever_follows() {
        let record = [23, 3, 3, 0, 4, 1, 2, 3, 4];
        for cut in 0..record.len() {
            assert_eq!(walk(&record[..cut], PLAINTEXT_MAX), Walk::Incomplete, "cut at {cut}");
        }
        assert_eq!(walk(&record, PLAINTEXT_MAX), Walk::Record(9));
        assert_eq!(walk(&[&record[..], b"behind"].concat(), PLAINTEXT_MAX), Walk::Record(9));
        assert_eq!(walk(&[21, 3, 1, 0, 0], PLAINTEXT_MAX), Walk::Record(5));
    }

    #[test]
    fn what_cannot_be_a_header_is_refused_at_the_byte_that_decides() {
        let malformed = |bytes: &[u8]| {
            let deciding = (1..=bytes.len()).find(|cut| walk(&bytes[..*cut], PLAINTEXT_MAX) != Walk::Incomplete);
            assert!(matches!(walk(bytes, PLAINTEXT_MAX), Walk::Malformed(_)), "{bytes:?}");
            deciding
        };
        assert_eq!(malformed(b"GET / HTTP/1.1"), Some(1));
        assert_eq!(malformed(&[0x80, 0x2e, 1, 0, 2]), Some(1), "a ClientHello of SSL 2");
        assert_eq!(malformed(&[25, 3, 3, 0, 1]), Some(1));
        assert_eq!(malformed(&[22, 2, 0, 0, 1]), Some(2));
        assert_eq!(malformed(&[22, 3, 1, 0x40, 1]), Some(5));
    }

    #[test]
    fn the_longest_record_is_that_of_its_protection() {
        for most in [PLAINTEXT_MAX, SEALED_MAX_13, SEALED_MAX_12] {
            let [high, low] = (most as u16).to_be_bytes();
            assert_eq!(walk(&[23, 3, 3, high, low], most), Walk::Incomplete);
            let [high, low] = (most as u16 + 1).to_be_bytes();
            assert_eq!(walk(&[23, 3, 3, high, low], most), Walk::Malformed(Malformed::Length));
        }
    }
}
