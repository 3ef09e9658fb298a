//! What a test does to a socket to provoke an ending.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;

/// Makes the closing of `socket` a reset (`SO_LINGER` of zero): what was not sent yet is thrown away.
///
/// Takes the sockets of std and of tokio alike.
///
/// # Panics
///
/// When `socket` is no TCP socket.
pub fn reset_on_close(socket: &impl AsFd) {
    SockRef::from(socket).set_linger(Some(Duration::ZERO)).expect("a TCP socket lingers as it is told");
}
