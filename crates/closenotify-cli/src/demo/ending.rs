//! How the demo's connections end so that nothing sent is destroyed: FIN and reading on (linger), or a reset.
//!
//! It does not decide which; the route does.
//!
//! A kernel discards what it has not sent yet when it resets, and it resets by itself when a connection is closed over
//! unread bytes (RFC 9293 section 3.10.4). So whoever closes must read on for a while, and whoever passes a reset
//! on must wait until what came before it has been sent. What has been sent lies in the peer's receive queue, and stays
//! readable there before the reset; a packet that is lost is not sent again after a reset.

use socket2::SockRef;
use std::borrow::Borrow;
use std::io;
use std::net::Shutdown;
use std::time::Duration;
use tokio::net::TcpStream;

/// Resets the connection, after waiting until the kernel has sent all it holds, or until `given_up` is ready.
///
/// Dropping the future closes the connection in the ordinary way if the stream is the last share of it. On systems other
/// than Linux nothing is waited for.
pub(super) async fn reset(stream: impl Borrow<TcpStream>, given_up: impl Future<Output = ()>) {
    #[cfg(target_os = "linux")]
    tokio::select! {
        biased;
        () = given_up => {}
        // A failure says that there is nothing left to wait for.
        _ = all_sent(stream.borrow()) => {}
    }
    #[cfg(not(target_os = "linux"))]
    drop(given_up);
    // Where the option fails the connection is gone already.
    let _ = stream.borrow().set_zero_linger();
    drop(stream);
}

/// FIN, then reads on and discards until the peer's own end, for at most `time` and `bytes`.
pub(super) async fn linger(stream: &TcpStream, time: Duration, bytes: usize) {
    if send_fin(stream).is_err() {
        return;
    }
    let _ = tokio::time::timeout(time, async {
        let mut left = bytes;
        let mut scratch = vec![0; 16 * 1024];
        while left > 0 && stream.readable().await.is_ok() {
            match stream.try_read(&mut scratch) {
                Ok(0) => break,
                Ok(n) => left = left.saturating_sub(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    })
    .await;
}

/// Ends our sending. Doing it twice does no harm.
pub(super) fn send_fin(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).shutdown(Shutdown::Write)
}

/// Becomes ready when no byte waits in the kernel to be sent for the first time.
///
/// `TCP_NOTSENT_LOWAT` of 1 makes that the condition of being writable. The condition is asked of a descriptor newly
/// registered with the reactor, because the one in use remembers that it was writable before.
#[cfg(target_os = "linux")]
async fn all_sent(stream: &TcpStream) -> io::Result<()> {
    use std::os::fd::AsFd;

    SockRef::from(stream).set_tcp_notsent_lowat(1)?;
    let again = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    TcpStream::from_std(again)?.writable().await
}
