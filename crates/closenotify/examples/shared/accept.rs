//! Accepting connections without spinning when no descriptor is left.
//!
//! Read by the server examples, and by `tests/out_of_files.rs`, which counts how often it tries.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Accepts the next connection; `failed` gets every error after which it pauses.
///
/// A process without a free descriptor cannot take a connection out of the queue. So the queue stays ready, and a loop that
/// tries again at once runs at 100 % CPU until a session ends.
///
/// Dropping the future loses no connection. A `select!` that does so when a session has ended makes the next try early,
/// which is when one can succeed.
pub(crate) async fn accept(listener: &TcpListener, mut failed: impl FnMut(io::Error)) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // This client left while it was in the queue, and the next one is there.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                failed(error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

const PAUSE: Duration = Duration::from_secs(1);
