//! A network for tests, with addresses that answer, fail or never answer, and an observer that records.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::connect::{Dial, Dialing};
use super::event::{Observer, UpstreamEvent};
use crate::socket::Socket;

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    After(Duration),
    Fails(io::ErrorKind),
    FailsAfter(Duration, io::ErrorKind),
    /// Fails with this error of the system.
    FailsBy(rustix::io::Errno),
    Never,
    /// Is refused when [`Fake::refuse_now`] is called.
    RefusedWhenTold,
}

/// Opens no connection: its sockets are Unix pairs, whatever the address.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    dialed: Mutex<Vec<String>>,
    open: AtomicUsize,
    /// The other ends.
    peers: Mutex<Vec<UnixStream>>,
    refuse: Notify,
}

impl Fake {
    /// An address that is not named answers at once.
    pub(super) fn new<const N: usize>(answers: [(&str, Answer); N]) -> Self {
        let fake = Self::default();
        for (address, answer) in answers {
            fake.set(address, answer);
        }
        fake
    }

    pub(super) fn set(&self, address: &str, answer: Answer) {
        self.0.answers.lock().unwrap().insert(address.to_owned(), answer);
    }

    /// The addresses tried since the last call.
    pub(super) fn dialed(&self) -> Vec<String> {
        std::mem::take(&mut self.0.dialed.lock().unwrap())
    }

    /// How many attempts are going on.
    pub(super) fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }

    /// The other end of the connection opened last.
    pub(super) fn peer(&self) -> UnixStream {
        self.0.peers.lock().unwrap().pop().unwrap()
    }

    /// Refuses the attempt that waits to be refused, or the next one.
    pub(super) fn refuse_now(&self) {
        self.0.refuse.notify_one();
    }

    fn dial(&self, address: String) -> Dialing {
        let answer = self.0.answers.lock().unwrap().get(&address).copied().unwrap_or(Answer::After(Duration::ZERO));
        self.0.dialed.lock().unwrap().push(address);
        self.0.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.0));
        Box::pin(async move {
            match answer {
                Answer::After(Duration::ZERO) => {}
                Answer::After(time) => sleep(time).await,
                Answer::Fails(kind) => return Err(kind.into()),
                Answer::FailsBy(errno) => return Err(errno.into()),
                Answer::FailsAfter(time, kind) => {
                    sleep(time).await;
                    return Err(kind.into());
                }
                Answer::RefusedWhenTold => {
                    open.0.refuse.notified().await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Answer::Never => std::future::pending().await,
            }
            let (near, far) = UnixStream::pair()?;
            open.0.peers.lock().unwrap().push(far);
            Ok(Socket::from(near))
        })
    }
}

impl Dial for Fake {
    fn tcp(&self, address: SocketAddr) -> Dialing {
        self.dial(address.to_string())
    }

    fn unix(&self, path: &Path) -> Dialing {
        self.dial(format!("unix:{}", path.display()))
    }
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Records events, one line each.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Vec<String>>);

impl Seen {
    /// The events since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Seen {
    fn observe(&self, event: UpstreamEvent<'_>) {
        self.0.lock().unwrap().push(match event {
            UpstreamEvent::Attempt { upstream, address, result } => match result {
                Ok(_) => format!("{upstream} {address} reached"),
                Err(error) => format!("{upstream} {address} {}", error.word()),
            },
            UpstreamEvent::Resting { upstream, address, rest, error } => {
                format!("{upstream} {address} rests {rest:?} after {}", error.word())
            }
            UpstreamEvent::Recovered { upstream, address } => format!("{upstream} {address} recovered"),
            UpstreamEvent::LookupFailed { name, reason } => format!("{name}: {reason}"),
        });
    }
}
