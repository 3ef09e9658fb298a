//! During the handshake.
