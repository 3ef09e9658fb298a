//! Handshakes that are changed on their way.
