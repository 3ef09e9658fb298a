//! The predecessor: offers its listening sockets at a Unix socket, to one successor after the other until one serves.
//!
//! It stops nothing: whoever calls it does, after a [`Successor`] was returned. A peer that stalls, lies or dies costs a bounded
//! time and one line of the log.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::error::{Cause, OfferError, TakeoverError};
use super::wire::{self, Message, Peer, SOCKETS_MAX, VERSION};
use crate::address::Endpoint;
use crate::listen::{Listener, Listening, SocketFile, clear_stale};

/// One listening socket as it is handed over.
#[derive(Debug)]
pub(crate) struct Offered {
    /// The address as the settings have it.
    pub(crate) wanted: Endpoint,
    /// The socket: a descriptor of its own, closed when it has been sent.
    pub(crate) socket: Listener,
}

impl Offered {
    /// All sockets of some addresses.
    ///
    /// # Errors
    ///
    /// The system's error, usually that there are no more descriptors.
    pub(crate) fn all<'a>(listening: impl IntoIterator<Item = &'a Listening>) -> io::Result<Vec<Self>> {
        let mut offered = Vec::new();
        for one in listening {
            for socket in one.sockets() {
                offered.push(Self { wanted: one.wanted().clone(), socket: socket.try_clone()? });
            }
        }
        Ok(offered)
    }
}

/// The process that serves from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Successor {
    /// `None` where it is in a PID namespace that we do not see.
    pub(crate) pid: Option<u32>,
}

/// The socket at which successors ask. Dropping it removes its file.
#[derive(Debug)]
pub(crate) struct TakeoverSocket {
    path: PathBuf,
    /// Of packets. What it accepts is never read as a stream.
    listener: UnixListener,
    _file: SocketFile,
    limits: Limits,
}

impl TakeoverSocket {
    /// Listens at a path, for our own user only. Called on the runtime that will [`offer`](Self::offer), after privileges were
    /// dropped, so that the file can be removed later.
    ///
    /// # Errors
    ///
    /// [`TakeoverError`], which says why the path cannot be listened at.
    pub(crate) fn bind(path: &Path) -> Result<Self, TakeoverError> {
        let bound = || {
            let address = SocketAddrUnix::new(path)?;
            clear_stale(path)?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            bind(&socket, &address)?;
            let mut file = SocketFile::note(path)?;
            file.own();
            // Until it listens, connecting is refused.
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            listen(&socket, BACKLOG)?;
            Ok((UnixListener::from_std(socket.into())?, file))
        };
        let (listener, file) =
            bound().map_err(|error| TakeoverError { path: path.to_owned(), cause: Cause::Bind(error) })?;
        Ok(Self { path: path.to_owned(), listener, _file: file, limits: Limits::DEFAULT })
    }

    /// Returns when a successor serves. The caller then accepts what waits in its listeners, closes them and drains; the files
    /// of its Unix sockets are the successor's ([`Listening::leave_file`]).
    ///
    /// `sockets` is called for each attempt, `failed` with the error of each attempt that failed; after an error of our own system
    /// calls the next attempt waits a second. Dropping the future ends the current attempt and removes the takeover socket; a
    /// successor that already has the sockets serves.
    pub(crate) async fn offer(
        self,
        mut sockets: impl FnMut() -> io::Result<Vec<Offered>>,
        mut failed: impl FnMut(OfferError),
    ) -> Successor {
        loop {
            let attempt = match self.listener.accept().await {
                Ok((connection, _)) => self.hand_over(&connection, &mut sockets).await.map(|peer| (connection, peer)),
                Err(error) => Err(Cause::Io(error)),
            };
            match attempt {
                Ok((connection, Peer { pid, .. })) => {
                    // The path is the successor's before it is told so.
                    drop(self);
                    // If the successor is gone by now, its supervisor restarts it. This process stops either way.
                    let _ = wire::send(&connection, &Message::Released, &[]);
                    return Successor { pid };
                }
                Err(cause) => {
                    let own = matches!(cause, Cause::Io(_));
                    failed(OfferError(TakeoverError { path: self.path.clone(), cause }));
                    if own {
                        // Usually out of descriptors: it would fail again at once.
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// One attempt, up to the successor's word that it serves.
    async fn hand_over(
        &self,
        connection: &UnixStream,
        sockets: &mut impl FnMut() -> io::Result<Vec<Offered>>,
    ) -> Result<Peer, Cause> {
        let peer = wire::peer(connection).map_err(Cause::Io)?;
        let attempt = async {
            // The mode of the file keeps others out; the file may have been made accessible, or its directory moved.
            if peer.uid != 0 && peer.uid != rustix::process::geteuid().as_raw() {
                return Err(Cause::Stranger { uid: peer.uid });
            }
            let asked = async {
                match receive(connection).await? {
                    Message::Hello { version: VERSION } => {}
                    Message::Hello { version } => {
                        let why =
                            format!("it speaks version {VERSION} of the takeover, and was asked in version {version}");
                        return Err(Cause::Malformed { what: why });
                    }
                    _ => return Err(out_of_turn()),
                }
                let sockets = sockets().map_err(Cause::Io)?;
                for batch in sockets.chunks(SOCKETS_MAX) {
                    let listen = batch.iter().map(|one| one.wanted.to_string()).collect();
                    let descriptors: Vec<_> = batch.iter().map(|one| one.socket.as_fd()).collect();
                    send(connection, &Message::Sockets { listen }, &descriptors).await?;
                }
                send(connection, &Message::End { count: sockets.len() }, &[]).await
            };
            timeout(self.limits.answer, asked).await.map_err(|_| Cause::TooSlow)??;
            match timeout(self.limits.serving, receive(connection)).await.map_err(|_| Cause::TooSlow)?? {
                Message::Serving => Ok(peer),
                _ => Err(out_of_turn()),
            }
        };
        let outcome = attempt.await;
        if let Err(cause) = &outcome {
            let why = match cause {
                Cause::TooSlow => "it took too long; start again".to_owned(),
                Cause::Stranger { .. } => "it runs as another user".to_owned(),
                Cause::Malformed { what } => what.clone(),
                _ => "the takeover failed there; see its log".to_owned(),
            };
            // Without it the successor would take the end of the connection for our death, and serve.
            let _ = wire::send(connection, &Message::Refused { why }, &[]);
        }
        outcome
    }
}

async fn send(to: &UnixStream, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), Cause> {
    let sent = to.async_io(Interest::WRITABLE, || wire::send(to, message, descriptors)).await;
    sent.map_err(io_cause)
}

async fn receive(from: &UnixStream) -> Result<Message, Cause> {
    match from.async_io(Interest::READABLE, || wire::receive(from)).await {
        // A successor sends no descriptors; if it does, they are closed here.
        Ok(Some((message, _))) => Ok(message),
        Ok(None) => Err(Cause::Closed),
        Err(error) => Err(io_cause(error)),
    }
}

/// The cause that an error of the wire is.
pub(super) fn io_cause(error: io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::InvalidData => Cause::Malformed { what: error.to_string() },
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Cause::Closed,
        // A blocking socket with a time limit.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Cause::TooSlow,
        _ => Cause::Io(error),
    }
}

pub(super) fn out_of_turn() -> Cause {
    Cause::Malformed { what: "a message came out of turn".to_owned() }
}

/// How long a successor may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// To ask, and to receive the sockets.
    answer: Duration,
    /// From there until it serves: it binds the rest and loads certificates.
    serving: Duration,
}

impl Limits {
    const DEFAULT: Self = Self { answer: Duration::from_secs(5), serving: Duration::from_secs(60) };
}

/// How long accepting rests when it fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Successors that wait while one is served.
const BACKLOG: i32 = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;

    use rustix::net::connect;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::takeover::take::take;

    /// A predecessor with `count` sockets; what it returns, and what failed on the way.
    fn predecessor(path: &Path, count: usize) -> (JoinHandle<Successor>, mpsc::UnboundedReceiver<Cause>) {
        let (sender, failures) = mpsc::unbounded_channel();
        let socket = TakeoverSocket::bind(path).unwrap();
        let listener = Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
        let wanted: Endpoint = "localhost:0".parse().unwrap();
        let sockets = move || {
            let one = || Ok(Offered { wanted: wanted.clone(), socket: listener.try_clone()? });
            (0..count).map(|_| one()).collect()
        };
        let offering = socket.offer(sockets, move |error| sender.send(error.0.cause).unwrap());
        (tokio::spawn(offering), failures)
    }

    /// A successor that says what it is told to; blocking.
    fn raw(path: &Path) -> OwnedFd {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        socket
    }

    async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(call).await.unwrap()
    }

    /// Reads on until the predecessor's last word.
    fn last_word(from: &OwnedFd) -> Message {
        let mut last = None;
        while let Ok(Some((message, _))) = wire::receive(from) {
            last = Some(message);
        }
        last.unwrap()
    }

    #[tokio::test]
    async fn successor_gets_every_socket_and_then_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let (offering, mut failures) = predecessor(&path, 300);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = {
            let path = path.clone();
            blocking(move || take(&path, None)).await.unwrap().unwrap()
        };
        assert_eq!(taken.sockets.len(), 300);
        assert!(taken.sockets.iter().all(|(wanted, _)| wanted.to_string() == "localhost:0"));
        assert!(!offering.is_finished());
        blocking(move || taken.handover.serving()).await.unwrap();
        assert!(!path.exists(), "the path is free when the successor is told");
        assert_eq!(offering.await.unwrap(), Successor { pid: Some(std::process::id()) });
        assert!(failures.try_recv().is_err());
        TakeoverSocket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn predecessor_goes_on_when_a_successor_gives_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let (offering, mut failures) = predecessor(&path, 1);
        for _ in 0..3 {
            let path = path.clone();
            drop(blocking(move || take(&path, None)).await.unwrap().unwrap());
            let failure = failures.recv().await.unwrap();
            assert!(matches!(failure, Cause::Closed), "{failure:?}");
        }
        let taken = blocking(move || take(&path, None)).await.unwrap().unwrap();
        blocking(move || taken.handover.serving()).await.unwrap();
        offering.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_successor_is_refused_and_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let (offering, _failures) = predecessor(&path, 1);
        for (packet, why) in [
            (&b"GET / HTTP/1.1\r\n"[..], "a message cannot be read"),
            (b"\"serving\"", "a message came out of turn"),
            (br#"{"hello":{"version":2}}"#, "it speaks version 1 of the takeover, and was asked in version 2"),
        ] {
            let path = path.clone();
            let answer = blocking(move || {
                let socket = raw(&path);
                rustix::net::send(&socket, packet, rustix::net::SendFlags::NOSIGNAL).unwrap();
                last_word(&socket)
            })
            .await;
            assert_eq!(answer, Message::Refused { why: why.to_owned() });
        }
        assert!(!offering.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn successor_that_stalls_is_told_that_it_is_too_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let (offering, _failures) = predecessor(&path, 1);
        let late = Message::Refused { why: "it took too long; start again".to_owned() };
        // Connected and silent; then with the sockets and silent. The paused clock passes only while nothing else can happen.
        let silent = raw(&path);
        let greeted = raw(&path);
        wire::send(&greeted, &Message::Hello { version: VERSION }, &[]).unwrap();
        for socket in [silent, greeted] {
            rustix::io::ioctl_fionbio(&socket, true).unwrap();
            let socket = UnixStream::from_std(socket.into()).unwrap();
            let answer = loop {
                match receive(&socket).await.unwrap() {
                    Message::Sockets { .. } | Message::End { .. } => {}
                    answer => break answer,
                }
            };
            assert_eq!(answer, late);
            // Its word comes too late, and it is not taken for one that serves.
            let _ = wire::send(&socket, &Message::Serving, &[]);
        }
        tokio::task::yield_now().await;
        assert!(!offering.is_finished());
    }

    #[tokio::test]
    async fn path_of_another_process_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let first = TakeoverSocket::bind(&path).unwrap();
        let error = TakeoverSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("another process does"), "{error}");
        drop(first);
        assert!(!path.exists());

        let killed = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&killed, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        drop(killed);
        TakeoverSocket::bind(&path).expect("the file of a process that was killed is replaced");

        let error = TakeoverSocket::bind(&folder.path().join("no/where")).unwrap_err().to_string();
        assert!(error.contains("the directory must exist"), "{error}");
    }
}
