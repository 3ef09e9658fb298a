//! How many bytes the kernel still has to deliver for a socket. Writability does not show it.
//!
//! Linux counts them for TCP and Unix sockets (`SO_MEMINFO`), and reading the counter needs no new descriptor. On other systems,
//! and for other transports, the number is unknown without a [`set_send_queue`](crate::TlsStream::set_send_queue).

use std::any::Any;
use tokio::net::TcpStream;

/// How many bytes the kernel holds for a Tokio `TcpStream` or `UnixStream` that the peer has not taken yet, including the kernel's
/// overhead; 0 if everything is delivered. `None` for any other type, and on any system but Linux.
///
/// For [`set_send_queue`](crate::TlsStream::set_send_queue) of a transport that wraps a socket:
///
/// ```
/// # use closenotify::client::TlsStream;
/// # use tokio::net::TcpStream;
/// # struct Wrapped { tcp: TcpStream }
/// # fn set(mut stream: TlsStream<Wrapped>) {
/// stream.set_send_queue(|io| closenotify::send_queue(&io.tcp));
/// # }
/// ```
pub fn send_queue<T: 'static>(io: &T) -> Option<u64> {
    let io: &dyn Any = io;
    if let Some(socket) = io.downcast_ref::<TcpStream>() {
        return platform::of(socket);
    }
    #[cfg(unix)]
    if let Some(socket) = io.downcast_ref::<tokio::net::UnixStream>() {
        return platform::of(socket);
    }
    None
}

#[cfg(target_os = "linux")]
mod platform {
    use nix::sys::socket::getsockopt;
    use nix::{getsockopt_impl, libc, sockopt_impl};
    use std::os::fd::AsFd;

    sockopt_impl!(
        /// The memory that a socket holds (`SO_MEMINFO`), as the counters of `linux/sock_diag.h`.
        MemInfo,
        GetOnly,
        libc::SOL_SOCKET,
        libc::SO_MEMINFO,
        [u32; 9]
    );

    /// Memory that the socket's unsent and unacknowledged bytes take: 0 when all of them are delivered. A TCP socket counts
    /// them as queued, a Unix socket as allocated until they are read.
    pub(super) fn of(socket: &impl AsFd) -> Option<u64> {
        let counters = getsockopt(&socket.as_fd(), MemInfo).ok()?;
        Some(u64::from(counters[ALLOCATED]) + u64::from(counters[QUEUED]))
    }

    /// `SK_MEMINFO_WMEM_ALLOC` and `SK_MEMINFO_WMEM_QUEUED`.
    const ALLOCATED: usize = 2;
    const QUEUED: usize = 5;
}

#[cfg(not(target_os = "linux"))]
mod platform {
    pub(super) fn of<S>(_socket: &S) -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UnixStream};

    #[tokio::test]
    async fn the_queue_of_a_socket_shrinks_as_its_peer_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        assert_eq!(send_queue(&socket), Some(0));
        let mut written = 0;
        while let Ok(more) = socket.try_write(&[0; 65536]) {
            written += more;
        }
        let full = send_queue(&socket).unwrap();
        assert!(full > 0);
        let reading = tokio::spawn(async move {
            let mut rest = vec![0; written];
            peer.read_exact(&mut rest).await.unwrap();
            peer
        });
        let _peer = reading.await.unwrap();
        // The peer's kernel has acknowledged what the peer has read.
        while send_queue(&socket).unwrap() > 0 {
            tokio::task::yield_now().await;
        }

        let (mut socket, mut peer) = UnixStream::pair().unwrap();
        socket.write_all(&[0; 5000]).await.unwrap();
        assert!(send_queue(&socket).unwrap() >= 5000);
        peer.read_exact(&mut [0; 5000]).await.unwrap();
        assert_eq!(send_queue(&socket), Some(0));
        assert_eq!(send_queue(&tokio::io::duplex(1).0), None);
    }
}
