//! Binding an address: one TCP socket a worker, or one Unix socket.
//!
//! Workers share a port by `SO_REUSEPORT`, which would also let a second proxy of the same user take half the connections in
//! silence. So the first socket listens before the option is set: the kernel itself refuses an address at which another process listens.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::socket_file::{SocketFile, clear_stale};

/// What else may listen at an address that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nothing: the address is in use if any other socket listens there.
    Exclusive,
    /// Sockets of the same user that share ports, such as those that we are about to close.
    WithOurs,
}

/// Whether `[::]` takes IPv4 connections too. Set each time, so that it does not depend on `net.ipv6.bindv6only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `[::]` takes both.
    Both,
    /// `[::]` takes IPv6 only, since `0.0.0.0` is listened on as well.
    V6Only,
}

/// Listens on the first of the addresses that this machine has, with `count` sockets.
///
/// Port 0 becomes a free port, the same for all of them. The next address is tried only where an address, or its family, is not
/// there at all: `localhost:443` that is in use on 127.0.0.1 must not silently become `[::1]:443`.
///
/// # Errors
///
/// The system's error for the address that could not be bound.
pub(super) fn tcp(
    addresses: &[SocketAddr],
    count: NonZeroUsize,
    sharing: Sharing,
    family: Family,
) -> io::Result<Vec<TcpListener>> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    let v4_only = addresses.iter().filter_map(|&address| without_ipv6(address, family));
    for address in addresses.iter().copied().chain(v4_only) {
        match tcp_at(address, count, sharing, family) {
            Err(error) if is_not_here(&error) => failure = error,
            outcome => return outcome,
        }
    }
    Err(failure)
}

fn tcp_at(address: SocketAddr, count: NonZeroUsize, sharing: Sharing, family: Family) -> io::Result<Vec<TcpListener>> {
    let first = unbound(address, family)?;
    if sharing == Sharing::WithOurs {
        first.set_reuse_port(true)?;
    }
    first.bind(&address.into())?;
    first.listen(BACKLOG)?;
    first.set_reuse_port(true)?;
    let mut sockets = vec![TcpListener::from(first)];
    let bound = sockets[0].local_addr()?;
    for _ in 1..count.get() {
        let next = unbound(bound, family)?;
        next.set_reuse_port(true)?;
        next.bind(&bound.into())?;
        next.listen(BACKLOG)?;
        sockets.push(next.into());
    }
    Ok(sockets)
}

fn unbound(address: SocketAddr, family: Family) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A port whose last connections have not faded yet can be taken again at once.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(family == Family::V6Only)?;
    }
    Ok(socket)
}

/// What `[::]` is on a machine whose kernel has no IPv6, such as many a container's.
fn without_ipv6(address: SocketAddr, family: Family) -> Option<SocketAddr> {
    let both = family == Family::Both && address.is_ipv6() && address.ip().is_unspecified();
    both.then(|| SocketAddr::from(([0, 0, 0, 0], address.port())))
}

/// Whether it is the machine that lacks the address, IPv6 switched off for example.
fn is_not_here(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Listens at a path. The file gets the mode before a client can connect, and belongs to what is returned.
///
/// # Errors
///
/// As [`clear_stale`], and the system's error.
pub(super) fn unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let address = SockAddr::unix(path)?;
    clear_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    let mut file = SocketFile::note(path)?;
    file.own();
    // Until it listens, connecting is refused.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// How many connections may wait to be accepted; the kernel allows fewer when configured so (`net.core.somaxconn`). One that
/// finds no place tries again after a second, so a burst must fit.
pub(crate) const BACKLOG: i32 = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    fn count(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn exclusive(address: &str, sockets: usize) -> io::Result<Vec<TcpListener>> {
        tcp(&[address.parse().unwrap()], count(sockets), Sharing::Exclusive, Family::Both)
    }

    fn accepted(socket: &TcpListener) -> usize {
        std::iter::from_fn(|| socket.accept().ok()).count()
    }

    #[test]
    fn connections_spread_over_all_sockets_of_a_port() {
        let sockets = exclusive(LOOPBACK, 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        let clients: Vec<_> = (0..96).map(|_| TcpStream::connect(address).unwrap()).collect();
        let shares: Vec<_> = sockets.iter().map(accepted).collect();
        assert_eq!(shares.iter().sum::<usize>(), clients.len());
        // One of 3 stays empty by chance once in 10^16.
        assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
    }

    #[test]
    fn second_proxy_at_a_port_is_refused_although_ports_are_shared() {
        let first = exclusive(LOOPBACK, 2).unwrap();
        let address = first[0].local_addr().unwrap().to_string();
        assert_eq!(exclusive(&address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let ours = tcp(&[address.parse().unwrap()], count(1), Sharing::WithOurs, Family::Both);
        assert_eq!(ours.unwrap().len(), 1);
        drop(first);
        exclusive(&address, 2).unwrap();
    }

    #[test]
    fn port_that_is_in_use_is_not_given_up_for_the_next_address() {
        let first = exclusive(LOOPBACK, 1).unwrap();
        let taken = first[0].local_addr().unwrap();
        let free = "127.0.0.2:0".parse().unwrap();
        let bind = |addresses: &[SocketAddr]| tcp(addresses, count(1), Sharing::Exclusive, Family::Both);
        assert_eq!(bind(&[taken, free]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // An address for documentation, which no machine has.
        let absent = "192.0.2.1:0".parse().unwrap();
        assert_eq!(bind(&[absent, free]).unwrap()[0].local_addr().unwrap().ip(), free.ip());
        assert_eq!(bind(&[absent]).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        assert_eq!(bind(&[]).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn wildcard_takes_ipv4_too_unless_that_is_listened_on() {
        let any: SocketAddr = "[::]:0".parse().unwrap();
        let both = tcp(&[any], count(1), Sharing::Exclusive, Family::Both).unwrap();
        let port = both[0].local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(accepted(&both[0]), 1);

        let v4 = exclusive("0.0.0.0:0", 1).unwrap();
        let port = v4[0].local_addr().unwrap().port();
        let any = SocketAddr::new(any.ip(), port);
        assert!(tcp(&[any], count(1), Sharing::Exclusive, Family::Both).is_err());
        let v6 = tcp(&[any], count(1), Sharing::Exclusive, Family::V6Only).unwrap();
        TcpStream::connect(("::1", port)).unwrap();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!((accepted(&v4[0]), accepted(&v6[0])), (1, 1));
    }

    #[test]
    fn wildcard_is_ipv4_only_where_there_is_no_ipv6() {
        let v4 = |address: &str, family| without_ipv6(address.parse().unwrap(), family);
        assert_eq!(v4("[::]:443", Family::Both), Some("0.0.0.0:443".parse().unwrap()));
        assert_eq!(v4("[::]:443", Family::V6Only), None);
        assert_eq!(v4("[::1]:443", Family::Both), None);
        assert_eq!(v4("0.0.0.0:443", Family::Both), None);
        let no_ipv6 = io::Error::from(rustix::io::Errno::AFNOSUPPORT);
        assert!(is_not_here(&no_ipv6) && is_not_here(&io::ErrorKind::AddrNotAvailable.into()));
        assert!(!is_not_here(&io::ErrorKind::AddrInUse.into()));
    }

    #[test]
    fn unix_socket_has_its_mode_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (listener, mut file) = unix(&path, 0o660).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        assert_eq!(unix(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        file.leave();
        drop(file);
        let (_again, file) = unix(&path, 0o600).expect("a stale file is replaced");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn path_that_is_too_long_is_an_error() {
        let path = Path::new("/tmp").join("x".repeat(200));
        assert_eq!(unix(&path, 0o660).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
