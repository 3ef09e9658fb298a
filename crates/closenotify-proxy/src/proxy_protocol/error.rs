//! Why no PROXY protocol header was read: one error a cause, with a word for machines and what to do for people.

use std::{error, fmt, io};

use closenotify::io_kind_word;

/// Why no header was read. The connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The connection ended before its first byte: a health check, mostly.
    Silent,
    /// The connection ended inside the header, after so many bytes.
    Truncated(usize),
    /// The deadline passed before the header was complete.
    TimedOut,
    /// Reading failed.
    Failed(io::ErrorKind),
    /// The connection does not begin with a header.
    Missing {
        /// It begins as TLS does.
        tls: bool,
    },
    /// There is a header, and it breaks the protocol.
    Malformed(Malformed),
}

/// How a header breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Version 1: no CR LF within the longest line.
    LineTooLong,
    /// Version 1: a CR without its LF, or a LF without its CR.
    LineEnd,
    /// Version 1: neither TCP4, TCP6 nor UNKNOWN.
    Family,
    /// Version 1: not exactly two addresses and two ports, each after one space.
    Fields,
    /// Version 1: not an address of the family named.
    Address,
    /// Version 1: not a number from 0 to 65535 without leading zeros.
    Port,
    /// Version 2: the version in the header, which is not 2.
    Version(u8),
    /// Version 2: a command that is neither LOCAL nor PROXY.
    Command(u8),
    /// Version 2: an unknown address family.
    AddressFamily(u8),
    /// Version 2: an unknown transport protocol.
    Transport(u8),
    /// Version 2: shorter than its addresses.
    TooShort {
        /// The bytes announced.
        length: usize,
        /// The bytes of the addresses.
        addresses: usize,
    },
    /// Version 2: more than is accepted.
    TooLong {
        /// The bytes announced.
        length: usize,
        /// The most that is accepted.
        most: usize,
    },
    /// Version 2: a TLV goes past the end of the header.
    TlvTruncated(u8),
    /// Version 2: a checksum that is not 4 bytes long, or a second one.
    Checksum,
    /// Version 2: the checksum is not that of the header.
    ChecksumMismatch,
}

impl HeaderError {
    /// The stable machine word.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Silent => "proxy_header_silent".into(),
            Self::Truncated(_) => "proxy_header_truncated".into(),
            Self::TimedOut => "proxy_header_timed_out".into(),
            Self::Failed(kind) => format!("proxy_header_failed_{}", io_kind_word(*kind)),
            Self::Missing { .. } => "proxy_header_missing".into(),
            Self::Malformed(_) => "proxy_header_malformed".into(),
        }
    }
}

impl From<Malformed> for HeaderError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("the peer disconnected without sending a PROXY protocol header"),
            Self::Truncated(bytes) => {
                write!(f, "the peer disconnected inside its PROXY protocol header, after {bytes} bytes")
            }
            Self::TimedOut => {
                f.write_str("the handshake deadline passed before the PROXY protocol header was complete")
            }
            Self::Failed(kind) => write!(f, "reading the PROXY protocol header failed: {kind}"),
            Self::Missing { tls } => {
                let what = if *tls { "with TLS, " } else { "" };
                write!(
                    f,
                    "the connection begins {what}without a PROXY protocol header; let the peer send one, or take its \
                     network out of accept_proxy_protocol"
                )
            }
            Self::Malformed(malformed) => write!(f, "malformed PROXY protocol header: {malformed}"),
        }
    }
}

impl error::Error for HeaderError {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong => f.write_str("no CR LF within 107 bytes"),
            Self::LineEnd => f.write_str("a CR or LF that is not part of a CR LF"),
            Self::Family => f.write_str("the protocol is not TCP4, TCP6 or UNKNOWN"),
            Self::Fields => f.write_str("expected two addresses and two ports, each after one space"),
            Self::Address => f.write_str("an address is not one of the protocol named"),
            Self::Port => f.write_str("a port is not a number from 0 to 65535 without leading zeros"),
            Self::Version(version) => write!(f, "version {version} after the signature of version 2"),
            Self::Command(command) => write!(f, "unknown command {command}"),
            Self::AddressFamily(family) => write!(f, "unknown address family {family}"),
            Self::Transport(transport) => write!(f, "unknown transport protocol {transport}"),
            Self::TooShort { length, addresses } => {
                write!(f, "{length} bytes cannot hold the addresses, which take {addresses}")
            }
            Self::TooLong { length, most } => write!(f, "{length} bytes are announced; at most {most} are accepted"),
            Self::TlvTruncated(kind) => write!(f, "the TLV of type {kind:#04x} goes past the end of the header"),
            Self::Checksum => f.write_str("the checksum (CRC32C) must appear once and take 4 bytes"),
            Self::ChecksumMismatch => f.write_str("the checksum (CRC32C) is wrong; the header was damaged on the way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_texts_are_fit_for_a_line() {
        for (error, word, text) in [
            (HeaderError::Silent, "proxy_header_silent", "without sending"),
            (HeaderError::Truncated(7), "proxy_header_truncated", "after 7 bytes"),
            (HeaderError::TimedOut, "proxy_header_timed_out", "deadline"),
            (
                HeaderError::Failed(io::ErrorKind::ConnectionReset),
                "proxy_header_failed_connection_reset",
                "connection reset",
            ),
            (HeaderError::Missing { tls: true }, "proxy_header_missing", "begins with TLS, without"),
            (HeaderError::Missing { tls: false }, "proxy_header_missing", "begins without"),
            (Malformed::Version(3).into(), "proxy_header_malformed", "version 3"),
            (Malformed::TlvTruncated(1).into(), "proxy_header_malformed", "type 0x01"),
            (Malformed::TooLong { length: 9999, most: 4108 }.into(), "proxy_header_malformed", "at most 4108"),
        ] {
            assert_eq!(error.word(), word);
            let shown = error.to_string();
            assert!(shown.contains(text) && !shown.contains('\n'), "{shown}");
        }
    }
}
