//! Limits that several modules share.

/// The most plaintext that one [`Sender::write`](crate::Sender::write) takes: 64 KiB, unless
/// [set lower](crate::Sender::set_write_max).
pub const WRITE_MAX: usize = 64 * 1024;

/// The maximum size of a ClientHello, including the headers of its records.
pub const HELLO_MAX: usize = 128 * 1024;

/// How many records in a row may carry no application data (empty records, KeyUpdates, tickets, warnings) before the
/// session ends with a violation. Handshake messages that share a record count one by one. So a read does a bounded amount
/// of work without returning data.
///
/// Stricter limits hold for some: 32 empty records in a row, 32 KeyUpdates without data between them, 4 warnings in a
/// session.
pub const DATALESS_RECORDS_MAX: u32 = 64;

/// The most empty records in a row; as in OpenSSL and BoringSSL.
pub(crate) const EMPTY_RECORDS_MAX: u32 = 32;

/// The most KeyUpdates without application data between them; as in BoringSSL.
pub(crate) const KEY_UPDATES_MAX: u32 = 32;

/// The most warning alerts in a session; BoringSSL allows as many in a row.
pub(crate) const WARNINGS_MAX: u32 = 4;

/// How many requests to renegotiate are declined; the next one ends the session (TLS 1.2).
pub(crate) const RENEGOTIATIONS_MAX: u32 = 1;

/// The most change_cipher_spec records in a TLS 1.3 handshake: one after each ClientHello.
pub(crate) const CHANGES_MAX: u32 = 2;

/// The longest body of a handshake message, in bytes; as in rustls.
pub(crate) const MESSAGE_MAX: usize = 0xffff;

/// The most plaintext that a record may carry (RFC 9846 section 5.1), in bytes.
pub(crate) const PLAINTEXT_MAX: usize = 1 << 14;

/// The longest content of a sealed record in TLS 1.3 (RFC 9846 section 5.2), in bytes.
pub(crate) const SEALED_MAX_13: usize = PLAINTEXT_MAX + 256;

/// The longest content of a sealed record in TLS 1.2 (RFC 5246 section 6.2.3), in bytes.
pub(crate) const SEALED_MAX_12: usize = PLAINTEXT_MAX + 2048;

/// How many of the records that a key may protect are reserved for alerts and KeyUpdates.
pub(crate) const RECORDS_RESERVED: u64 = 16;
