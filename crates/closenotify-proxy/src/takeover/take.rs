//! The successor: takes the listening sockets of the process that runs, before it binds any.
//!
//! Blocking, and bounded in time: it runs before there is a runtime, and once more when everything is ready. Nothing has changed
//! for the predecessor until [`Handover::serving`].

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::error::{Cause, TakeoverError};
use super::offer::{io_cause, out_of_turn};
use super::wire::{self, Message, VERSION};
use crate::address::Endpoint;
use crate::listen::Listener;

/// What a predecessor handed over.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Its listening sockets, each with the address as its settings have it; for [`Pool::add_taken`](crate::listen::Pool::add_taken).
    pub(crate) sockets: Vec<(Endpoint, Listener)>,
    /// For when this process accepts. Dropping it leaves everything to the predecessor.
    pub(crate) handover: Handover,
}

/// Takes the sockets over from the process that offers them at `path`; `None` if there is none. Takes at most 10 s.
///
/// The predecessor must run as our user, as root, or as the user whose number is `user`: the one that we become.
///
/// # Errors
///
/// [`TakeoverError`]. The predecessor goes on.
pub(crate) fn take(path: &Path, user: Option<u32>) -> Result<Option<Taken>, TakeoverError> {
    take_within(path, user, LIMIT)
}

fn take_within(path: &Path, user: Option<u32>, limit: Duration) -> Result<Option<Taken>, TakeoverError> {
    let failed = |cause| TakeoverError { path: path.to_owned(), cause };
    let deadline = Instant::now() + limit;
    let Some(connection) = connected(path, deadline).map_err(failed)? else { return Ok(None) };
    let sockets = ask(&connection, user, deadline).map_err(failed)?;
    Ok(Some(Taken { sockets, handover: Handover { path: path.to_owned(), connection, limit } }))
}

/// The predecessor waits for the word at the other end.
#[derive(Debug)]
pub(crate) struct Handover {
    path: PathBuf,
    connection: OwnedFd,
    limit: Duration,
}

impl Handover {
    /// Tells the predecessor that this process accepts, and returns when the path of the takeover socket is free. Blocking; takes
    /// at most 10 s.
    ///
    /// A predecessor that dies before it answers is gone all the same, and this returns as if it had answered.
    ///
    /// # Errors
    ///
    /// The predecessor goes on, because this came too late for it, or does not answer. Then this process must stop.
    pub(crate) fn serving(self) -> Result<(), TakeoverError> {
        let Self { path, connection, limit } = self;
        match confirm(&connection, Instant::now() + limit) {
            Ok(()) => Ok(()),
            Err(cause) => Err(TakeoverError { path, cause }),
        }
    }
}

/// `None` if no process listens.
fn connected(path: &Path, deadline: Instant) -> Result<Option<OwnedFd>, Cause> {
    let connect = || -> io::Result<OwnedFd> {
        let address = SocketAddrUnix::new(path)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Also limits how long connecting waits while other successors are served.
        limit(&socket, Timeout::Send, deadline)?;
        connect(&socket, &address)?;
        Ok(socket)
    };
    match connect() {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(Cause::TooSlow),
            _ if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                Err(Cause::Malformed { what: "this is a socket of another kind".to_owned() })
            }
            _ => Err(Cause::Connect(error)),
        },
    }
}

fn ask(connection: &OwnedFd, user: Option<u32>, deadline: Instant) -> Result<Vec<(Endpoint, Listener)>, Cause> {
    let peer = wire::peer(connection).map_err(Cause::Io)?;
    let trusted = [Some(0), Some(rustix::process::geteuid().as_raw()), user];
    if !trusted.contains(&Some(peer.uid)) {
        return Err(Cause::Stranger { uid: peer.uid });
    }
    send(connection, &Message::Hello { version: VERSION }, deadline)?;
    let mut sockets = Vec::new();
    loop {
        let (message, descriptors) = receive(connection, deadline)?.ok_or(Cause::Closed)?;
        match message {
            Message::Sockets { listen } if listen.len() == descriptors.len() && !listen.is_empty() => {
                if sockets.len() + listen.len() > SOCKETS_TOTAL_MAX {
                    return Err(Cause::Malformed { what: format!("more than {SOCKETS_TOTAL_MAX} sockets") });
                }
                for (text, descriptor) in listen.iter().zip(descriptors) {
                    let wanted = text.parse();
                    let wanted =
                        wanted.map_err(|_| Cause::Malformed { what: format!("{text:?} is not an address") })?;
                    let socket = Listener::from_fd(descriptor);
                    let socket = socket.map_err(|error| Cause::Malformed { what: format!("{text}: {error}") })?;
                    sockets.push((wanted, socket));
                }
            }
            Message::End { count } if count == sockets.len() => return Ok(sockets),
            Message::Refused { why } => return Err(Cause::Refused { why }),
            _ => return Err(out_of_turn()),
        }
    }
}

fn confirm(connection: &OwnedFd, deadline: Instant) -> Result<(), Cause> {
    match send(connection, &Message::Serving, deadline) {
        // It closed. Whether it refused or died is in what it sent before.
        Ok(()) | Err(Cause::Closed) => {}
        Err(cause) => return Err(cause),
    }
    let answer = match receive(connection, deadline) {
        // Closed with our word unread: the kernel says that first, and then gives what was sent before.
        Err(Cause::Closed) => receive(connection, deadline),
        answer => answer,
    };
    match answer {
        Ok(Some((Message::Released, _)) | None) | Err(Cause::Closed) => Ok(()),
        Ok(Some((Message::Refused { why }, _))) => Err(Cause::Refused { why }),
        Ok(Some(_)) => Err(out_of_turn()),
        Err(cause) => Err(cause),
    }
}

fn send(to: &OwnedFd, message: &Message, deadline: Instant) -> Result<(), Cause> {
    limit(to, Timeout::Send, deadline).and_then(|()| wire::send(to, message, &[])).map_err(io_cause)
}

fn receive(from: &OwnedFd, deadline: Instant) -> Result<Option<(Message, Vec<OwnedFd>)>, Cause> {
    limit(from, Timeout::Recv, deadline).and_then(|()| wire::receive(from)).map_err(io_cause)
}

/// Lets the next call take until the deadline.
fn limit(socket: &OwnedFd, which: Timeout, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(set_socket_timeout(socket, which, Some(left))?)
}

/// How long a predecessor may take to hand over, and then to release.
const LIMIT: Duration = Duration::from_secs(10);

/// More than any settings need: a predecessor that sends without end must not fill our table of files.
const SOCKETS_TOTAL_MAX: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::net::TcpListener;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use rustix::net::{accept, bind, listen};

    use super::*;

    /// What a predecessor of the test does with a successor's connection, and what [`take`] makes of it.
    fn taken_from(
        predecessor: impl FnOnce(OwnedFd) + Send + 'static,
        limit: Duration,
    ) -> Result<Option<Taken>, TakeoverError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&socket, 1).unwrap();
        thread::spawn(move || predecessor(accept(&socket).unwrap()));
        take_within(&path, None, limit)
    }

    fn shown(outcome: Result<Option<Taken>, TakeoverError>) -> String {
        outcome.unwrap_err().to_string()
    }

    fn hello(connection: &OwnedFd) {
        assert_eq!(wire::receive(connection).unwrap().unwrap().0, Message::Hello { version: VERSION });
    }

    fn sockets(connection: &OwnedFd, listen: &[&str], descriptors: &[BorrowedFd<'_>]) {
        let listen = listen.iter().map(|&one| one.to_owned()).collect();
        wire::send(connection, &Message::Sockets { listen }, descriptors).unwrap();
    }

    #[test]
    fn missing_predecessor_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        assert!(take(&path, None).unwrap().is_none());
        let stream = UnixListener::bind(&path).unwrap();
        let error = shown(take(&path, None));
        assert!(error.contains("a socket of another kind"), "{error}");
        drop(stream);
        let error = shown(take(Path::new(&format!("/{}", "x".repeat(200))), None));
        assert!(error.contains("cannot take the listeners over"), "{error}");
    }

    #[test]
    fn stale_file_is_not_a_predecessor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover");
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        drop(socket);
        assert!(take(&path, None).unwrap().is_none());
    }

    #[test]
    fn predecessor_that_stalls_is_given_up() {
        let short = Duration::from_millis(50);
        let stalls = |connection: OwnedFd| {
            // Until the successor has left.
            while let Ok(Some(_)) = wire::receive(&connection) {}
        };
        let error = shown(taken_from(stalls, short));
        assert!(error.contains("did not answer in time"), "{error}");

        let stalls_later = move |connection: OwnedFd| {
            hello(&connection);
            wire::send(&connection, &Message::End { count: 0 }, &[]).unwrap();
            stalls(connection);
        };
        let taken = taken_from(stalls_later, short).unwrap().unwrap();
        let error = taken.handover.serving().unwrap_err().to_string();
        assert!(error.contains("did not answer in time"), "{error}");
    }

    #[test]
    fn predecessor_that_sends_anything_else_is_refused() {
        type Act = fn(&OwnedFd);
        let acts: [(Act, &str); 8] = [
            (|it| sockets(it, &["127.0.0.1:1"], &[]), "out of turn"),
            (|it| sockets(it, &[], &[]), "out of turn"),
            (|it| wire::send(it, &Message::End { count: 1 }, &[]).unwrap(), "out of turn"),
            (|it| wire::send(it, &Message::Released, &[]).unwrap(), "out of turn"),
            (|it| sockets(it, &["127.0.0.1:1"], &[it.as_fd()]), "127.0.0.1:1: not a TCP or Unix socket that listens"),
            (
                |it| {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    sockets(it, &["no address"], &[listener.as_fd()]);
                },
                "\"no address\" is not an address",
            ),
            (|it| wire::send(it, &Message::Refused { why: "I do not like you".into() }, &[]).unwrap(), "not like you"),
            (|_| (), "closed the connection"),
        ];
        for (act, why) in acts {
            let predecessor = move |connection: OwnedFd| {
                hello(&connection);
                act(&connection);
            };
            let error = shown(taken_from(predecessor, LIMIT));
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn sockets_without_end_are_refused() {
        let predecessor = |connection: OwnedFd| {
            hello(&connection);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let listen = vec!["127.0.0.1:0".to_owned(); wire::SOCKETS_MAX];
            let descriptors = vec![listener.as_fd(); wire::SOCKETS_MAX];
            while wire::send(&connection, &Message::Sockets { listen: listen.clone() }, &descriptors).is_ok() {}
        };
        let error = shown(taken_from(predecessor, LIMIT));
        // Whichever limit is lower on this machine.
        assert!(error.contains("more than 4096 sockets") || error.contains("not all descriptors arrived"), "{error}");
    }

    #[test]
    fn predecessor_that_dies_has_stopped_and_one_that_refuses_has_not() {
        let ended = |word: Option<Message>, reads: bool| {
            let predecessor = move |connection: OwnedFd| {
                hello(&connection);
                wire::send(&connection, &Message::End { count: 0 }, &[]).unwrap();
                if let Some(word) = word {
                    wire::send(&connection, &word, &[]).unwrap();
                }
                if reads {
                    assert_eq!(wire::receive(&connection).unwrap().unwrap().0, Message::Serving);
                }
            };
            let taken = taken_from(predecessor, LIMIT).unwrap().unwrap();
            taken.handover.serving().map_err(|error| error.to_string())
        };
        for reads in [true, false] {
            assert_eq!(ended(None, reads), Ok(()));
            assert_eq!(ended(Some(Message::Released), reads), Ok(()));
            let refused = ended(Some(Message::Refused { why: "too late".into() }), reads).unwrap_err();
            assert!(refused.contains("too late"), "{refused}");
        }
    }
}
