//! The walker over record headers (RFC 9846 section 5.1): where does the first record in a buffer end?
//!
//! It knows the five bytes of the header and nothing else. It is why not one byte behind a `close_notify` is eaten, and
//! why the end of a transport can be placed between records or inside one.

/// Length of a record header, in bytes.
pub(crate) const HEADER: usize = 5;

/// The longest ciphertext that any version allows: 2^14 + 2048 (RFC 5246 section 6.2.3).
const CIPHERTEXT_MAX: usize = (1 << 14) + 2048;

/// What a buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Nothing, or a part of a record.
    Incomplete,
    /// A whole record of this many bytes, header included.
    Record(usize),
    /// This many bytes that cannot be the header of a record.
    Malformed(usize),
}

/// Looks at the record that `input` begins with.
pub(crate) fn walk(input: &[u8]) -> Walk {
    let Some(header) = input.first_chunk::<HEADER>() else {
        return Walk::Incomplete;
    };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if !(20..=24).contains(&header[0]) || header[1] != 3 || length > CIPHERTEXT_MAX {
        Walk::Malformed(HEADER)
    } else if input.len() < HEADER + length {
        Walk::Incomplete
    } else {
        Walk::Record(HEADER + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/cases.md R56
    #[test]
    fn a_record_ends_where_its_header_says_whatever_follows() {
        let record = [23, 3, 3, 0, 4, 1, 2, 3, 4];
        for cut in 0..record.len() {
            assert_eq!(walk(&record[..cut]), Walk::Incomplete, "cut at {cut}");
        }
        assert_eq!(walk(&record), Walk::Record(9));
        assert_eq!(walk(&[&record[..], b"behind"].concat()), Walk::Record(9));
        assert_eq!(walk(&[21, 3, 1, 0, 0]), Walk::Record(5));
    }

    #[test]
    fn what_cannot_be_a_header_is_told_from_five_bytes() {
        assert_eq!(walk(b"GET "), Walk::Incomplete);
        assert_eq!(walk(b"GET / HTTP/1.1"), Walk::Malformed(5));
        assert_eq!(walk(&[22, 2, 0, 0, 1]), Walk::Malformed(5));
        assert_eq!(walk(&[25, 3, 3, 0, 1]), Walk::Malformed(5));
        let [high, low] = (CIPHERTEXT_MAX as u16).to_be_bytes();
        assert_eq!(walk(&[23, 3, 3, high, low]), Walk::Incomplete);
        let [high, low] = (CIPHERTEXT_MAX as u16 + 1).to_be_bytes();
        assert_eq!(walk(&[23, 3, 3, high, low]), Walk::Malformed(5));
    }
}
