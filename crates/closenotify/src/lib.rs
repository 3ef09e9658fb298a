//! Tokio TLS streams whose every session ends right.
