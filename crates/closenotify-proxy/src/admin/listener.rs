//! The socket of the admin listener: bound before anything runs, so that a wrong address is an error at the start.
//!
//! It knows no HTTP.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{error, fmt, fs};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::address::Endpoint;

/// A bound admin listener.
#[derive(Debug)]
pub(crate) struct Admin {
    socket: Bound,
    /// The configured name, if it is one.
    host: Option<String>,
}

#[derive(Debug)]
enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

impl Admin {
    /// Binds the address. A Unix socket gets mode 0660; a socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// [`AdminError`], which names the address, and why it cannot be listened on.
    pub(crate) fn bind(endpoint: &Endpoint) -> Result<Self, AdminError> {
        let failed = |source| AdminError { endpoint: endpoint.clone(), source };
        match endpoint {
            Endpoint::Tcp(address) => {
                let host = address.host();
                let all = (host.as_str(), address.port()).to_socket_addrs().map_err(failed)?;
                let all: Vec<SocketAddr> = all.collect();
                let socket = std::net::TcpListener::bind(&*all).map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                Ok(Self { socket: Bound::Tcp(socket), host: Some(host) })
            }
            Endpoint::Unix(path) => {
                let socket = bind_unix(path).map_err(failed)?;
                Ok(Self { socket: Bound::Unix(socket, path.clone()), host: None })
            }
        }
    }

    /// Takes a listening socket over from a process that served this endpoint.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is not a listening socket of the endpoint's kind.
    pub(crate) fn adopt(socket: OwnedFd, endpoint: &Endpoint) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let fits = match endpoint {
            Endpoint::Tcp(_) => matches!(socket.domain()?, Domain::IPV4 | Domain::IPV6),
            Endpoint::Unix(_) => socket.domain()? == Domain::UNIX,
        };
        if !fits || !socket.is_listener()? {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("not a listening socket for {endpoint}")));
        }
        socket.set_nonblocking(true)?;
        Ok(match endpoint {
            Endpoint::Tcp(address) => Self { socket: Bound::Tcp(socket.into()), host: Some(address.host()) },
            Endpoint::Unix(path) => Self { socket: Bound::Unix(socket.into(), path.clone()), host: None },
        })
    }

    /// The listening socket once more, for a process that takes it [over](Self::adopt). Connections go to whichever accepts
    /// them first, so end this server when that one serves.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            Bound::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Bound::Unix(socket, _) => socket.as_fd().try_clone_to_owned(),
        }
    }

    /// Where it listens, as an endpoint is written: with the port that was taken.
    pub(crate) fn address(&self) -> String {
        match &self.socket {
            Bound::Tcp(socket) => socket.local_addr().map_or_else(|_| "tcp".into(), |address| address.to_string()),
            Bound::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// The host that the settings name.
    pub(super) fn host(&self) -> Host {
        match (&self.socket, &self.host) {
            (Bound::Tcp(_), Some(host)) => Host::Named(host.clone()),
            _ => Host::Any,
        }
    }

    /// Hands the socket to the runtime that is entered.
    pub(super) fn listening(self) -> io::Result<Listening> {
        Ok(match self.socket {
            Bound::Tcp(socket) => Listening::Tcp(TcpListener::from_std(socket)?),
            Bound::Unix(socket, _) => Listening::Unix(UnixListener::from_std(socket)?),
        })
    }
}

/// Which `Host` a request may name.
#[derive(Clone, Debug)]
pub(super) enum Host {
    /// Any: a web page cannot make a browser connect to a Unix socket.
    Any,
    /// This one, beside IP addresses and localhost.
    Named(String),
}

/// A listener in a runtime.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    /// Dropping the future loses no connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small answers must not wait; on a connection that is gone the first read says so.
                let _ = stream.set_nodelay(true);
                Accepted::Tcp(stream)
            }
            Self::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

/// A connection.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is not a socket"));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(ErrorKind::AddrInUse.into()),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before anyone can connect.
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Why the admin listener cannot listen.
#[derive(Debug)]
pub struct AdminError {
    endpoint: Endpoint,
    source: io::Error,
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, source } = self;
        write!(f, "cannot listen on {endpoint} for [admin] listen: ")?;
        match source.kind() {
            ErrorKind::AddrInUse => {
                f.write_str("another process listens there; stop it, or give another address (port 0 takes a free one)")
            }
            ErrorKind::PermissionDenied => {
                write!(f, "{source}; give the user of this process the right, or give another address")
            }
            _ => write!(f, "{source}; give another address"),
        }
    }
}

impl error::Error for AdminError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

/// For the owner of the process and its group.
const MODE: u32 = 0o660;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 64;
