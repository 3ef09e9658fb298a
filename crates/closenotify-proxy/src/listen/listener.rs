//! A listening socket, and the sockets of one address.
//!
//! They are the standard library's and nonblocking, so that each worker can hand its own to its own runtime.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::socket_file::SocketFile;
use crate::address::Endpoint;

/// One socket that listens, nonblocking and closed on exec.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Takes a descriptor that another process opened, whatever it is.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] unless it is a TCP or Unix stream socket that listens.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let listens = sockopt::socket_type(&fd)? == SocketType::STREAM && sockopt::socket_acceptconn(&fd)?;
        let family = sockopt::socket_domain(&fd)?;
        let listener = match family {
            AddressFamily::INET | AddressFamily::INET6 if listens => Self::Tcp(fd.into()),
            AddressFamily::UNIX if listens => Self::Unix(fd.into()),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a TCP or Unix socket that listens")),
        };
        match &listener {
            Self::Tcp(tcp) => tcp.set_nonblocking(true)?,
            Self::Unix(unix) => unix.set_nonblocking(true)?,
        }
        Ok(listener)
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// The system's error, and [`io::ErrorKind::InvalidInput`] for a Unix socket without a path.
    pub(crate) fn local(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(tcp) => Ok(Endpoint::Tcp(tcp.local_addr()?.into())),
            Self::Unix(unix) => match unix.local_addr()?.as_pathname() {
                Some(path) => Ok(Endpoint::Unix(path.to_owned())),
                None => Err(io::Error::new(io::ErrorKind::InvalidInput, "a Unix socket without a path")),
            },
        }
    }

    /// A second descriptor of the same socket. What waits to be accepted is shared; the socket listens until both are closed.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(tcp) => Self::Tcp(tcp.try_clone()?),
            Self::Unix(unix) => Self::Unix(unix.try_clone()?),
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

/// All sockets of one address.
///
/// The address listens until this and every descriptor from [`for_workers`](Self::for_workers) are dropped: whoever stops
/// accepting drops this too, or clients keep connecting to a queue that is never served.
#[derive(Debug)]
pub(crate) struct Listening {
    wanted: Endpoint,
    local: Endpoint,
    sockets: Vec<Listener>,
    /// Only for a Unix socket whose file is, or may become, ours to remove.
    file: Option<SocketFile>,
}

impl Listening {
    /// `sockets` is not empty, and all of them are bound to `local`.
    pub(super) fn new(wanted: Endpoint, local: Endpoint, sockets: Vec<Listener>, file: Option<SocketFile>) -> Self {
        Self { wanted, local, sockets, file }
    }

    /// The address as the settings have it.
    pub(crate) fn wanted(&self) -> &Endpoint {
        &self.wanted
    }

    /// The address as bound: the port is never 0.
    pub(crate) fn local(&self) -> &Endpoint {
        &self.local
    }

    /// The sockets, for a successor.
    pub(crate) fn sockets(&self) -> &[Listener] {
        &self.sockets
    }

    /// Descriptors for each worker to accept from; at least one for each.
    ///
    /// Every socket goes to some worker, since a connection that waits in one is in no other. Where there are fewer sockets than
    /// workers, several workers accept from one.
    ///
    /// # Errors
    ///
    /// The system's error, usually that there are no more descriptors.
    pub(crate) fn for_workers(&self, workers: NonZeroUsize) -> io::Result<Vec<Vec<Listener>>> {
        let mut shares: Vec<Vec<Listener>> = (0..workers.get()).map(|_| Vec::new()).collect();
        for turn in 0..workers.get().max(self.sockets.len()) {
            let socket = &self.sockets[turn % self.sockets.len()];
            shares[turn % workers.get()].push(socket.try_clone()?);
        }
        Ok(shares)
    }

    /// The file of a Unix socket is removed when this is dropped: whoever had the socket before has left it to us.
    pub(crate) fn own_file(&mut self) {
        if let Some(file) = &mut self.file {
            file.own();
        }
    }

    /// The file of a Unix socket stays when this is dropped: a successor serves it.
    pub(crate) fn leave_file(&mut self) {
        if let Some(file) = &mut self.file {
            file.leave();
        }
    }

    pub(super) fn set_wanted(&mut self, wanted: Endpoint) {
        self.wanted = wanted;
    }

    pub(super) fn push(&mut self, socket: Listener) {
        self.sockets.push(socket);
    }
}
