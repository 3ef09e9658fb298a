//! How a TLS session ends, without I/O.
