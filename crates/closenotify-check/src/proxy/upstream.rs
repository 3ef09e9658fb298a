//! The upstream of a proxy: listens, and hands each connection to the session that it belongs to.
//!
//! A connection says whose it is by the token that its session's client sent first, so sessions can run at the same time, and
//! a proxy may connect before there is anything to send or behind it. Nothing is read behind the token.

use crate::error::CheckError;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

/// Where a proxy's upstream is to be: an address that listens from now on. Dropping it stops that.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<AbortHandle>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    sessions: AtomicU32,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<HashMap<Vec<u8>, oneshot::Sender<TcpStream>>>,
    nameless: watch::Sender<Nameless>,
    room: Arc<Semaphore>,
}

/// Connections that have not said whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nameless {
    /// How many came.
    pub(crate) opened: u64,
    /// Which of them, by their numbers, have neither ended nor said it.
    pub(crate) open: BTreeSet<u64>,
    /// How many of them said something else.
    pub(crate) strange: u64,
}

/// A session's claim to the connection that will name it.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) token: Vec<u8>,
    connection: oneshot::Receiver<TcpStream>,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Listens at `addr`; port 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// When the system does not let it listen there.
    pub async fn listen(addr: SocketAddr) -> Result<Self, CheckError> {
        let failed = |error: io::Error| CheckError::system(format!("cannot listen at {addr} as the upstream: {error}"));
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            nameless: watch::Sender::new(Nameless::default()),
            room: Arc::new(Semaphore::new(NAMELESS_MAX)),
        });
        let mut tasks = JoinSet::new();
        let listening = tasks.spawn(accept(listener, Arc::clone(&shared)));
        let (listening, tasks) = (Mutex::new(Some(listening)), tokio::sync::Mutex::new(tasks));
        Ok(Self { addr, shared, listening, tasks, sessions: AtomicU32::new(0) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A new token, and the claim to the connection that will begin with it.
    pub(crate) fn claim(&self) -> Claim {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let token = format!("{number:07}\n").into_bytes();
        let (sender, connection) = oneshot::channel();
        self.shared.waiting().insert(token.clone(), sender);
        Claim { token, connection, shared: Arc::clone(&self.shared) }
    }

    /// What is known of the connections that have not said whose they are.
    pub(crate) fn nameless(&self) -> watch::Receiver<Nameless> {
        self.shared.nameless.subscribe()
    }

    /// Lets nobody connect until the address is [taken back](Self::accept_again). It stays ours: no other process gets it.
    pub(crate) async fn refuse(&self) -> Result<TcpSocket, CheckError> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = listening {
            listening.abort();
        }
        // The socket is closed when its task is gone, and its connections with it.
        self.tasks.lock().await.shutdown().await;
        let failed = |error: io::Error| CheckError::system(format!("cannot hold {}: {error}", self.addr));
        let socket = if self.addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        socket.set_reuseaddr(true).map_err(failed)?;
        socket.bind(self.addr).map_err(failed)?;
        Ok(socket)
    }

    /// Listens again behind [`refuse`](Self::refuse).
    pub(crate) async fn accept_again(&self, held: TcpSocket) -> Result<(), CheckError> {
        let failed = |error: io::Error| CheckError::system(format!("cannot listen at {} again: {error}", self.addr));
        let listener = held.listen(BACKLOG).map_err(failed)?;
        let listening = self.tasks.lock().await.spawn(accept(listener, Arc::clone(&self.shared)));
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
        Ok(())
    }
}

impl Claim {
    /// Waits for the connection; `None` when it has not come within `timeout`, and for ever after it came.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn connection(&mut self, timeout: Duration) -> Option<TcpStream> {
        if self.connection.is_terminated() {
            return None;
        }
        tokio::time::timeout(timeout, &mut self.connection).await.ok()?.ok()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.token);
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, oneshot::Sender<TcpStream>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut named = JoinSet::new();
    loop {
        let Ok(room) = Arc::clone(&shared.room).acquire_owned().await else { return };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((io, _)) => {
                    named.spawn(Counted::new(Arc::clone(&shared), room).name(io));
                }
                // A connection that is gone again, or no descriptor left: the next one may fare better.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = named.join_next() => {}
        }
    }
}

/// A connection that has not said whose it is. It is gone when this is dropped.
struct Counted {
    shared: Arc<Shared>,
    number: u64,
    strange: bool,
    _room: OwnedSemaphorePermit,
}

impl Counted {
    fn new(shared: Arc<Shared>, room: OwnedSemaphorePermit) -> Self {
        let mut number = 0;
        shared.nameless.send_modify(|nameless| {
            number = nameless.opened;
            nameless.opened += 1;
            nameless.open.insert(number);
        });
        Self { shared, number, strange: false, _room: room }
    }

    async fn name(mut self, io: TcpStream) {
        self.strange = name(io, &self.shared).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.nameless.send_modify(|nameless| {
            nameless.open.remove(&self.number);
            nameless.strange += u64::from(self.strange);
        });
    }
}

/// Reads whose connection it is, and hands it over; whether it said something that is no token.
async fn name(mut io: TcpStream, shared: &Shared) -> bool {
    let mut token = [0; TOKEN];
    let mut length = 0;
    while length < TOKEN {
        match io.read(&mut token[length..]).await {
            Ok(0) | Err(_) => return length > 0,
            Ok(more) => length += more,
        }
    }
    let session = shared.waiting().remove(&token[..]);
    match session {
        // A session that is over has no use for it.
        Some(session) => session.send(io).is_err(),
        None => true,
    }
}

const TOKEN: usize = 8;
/// A proxy cannot make the checker hold more connections than this that carry nothing.
const NAMELESS_MAX: usize = 1024;
const BACKLOG: u32 = 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const SOON: Duration = Duration::from_secs(20);

    async fn upstream() -> Upstream {
        Upstream::listen("127.0.0.1:0".parse().expect("an address")).await.expect("there is a port")
    }

    #[tokio::test]
    async fn connections_go_to_the_sessions_that_they_name_and_keep_what_follows() {
        let upstream = upstream().await;
        let (mut one, mut other) = (upstream.claim(), upstream.claim());
        let mut first = TcpStream::connect(upstream.addr()).await.expect("it listens");
        let mut second = TcpStream::connect(upstream.addr()).await.expect("it listens");
        second.write_all(&[&one.token[..], b"one"].concat()).await.expect("it is read");
        first.write_all(&other.token[..3]).await.expect("it is read");
        first.write_all(&[&other.token[3..], b"other"].concat()).await.expect("it is read");
        drop((first, second));
        for (claim, text) in [(&mut one, "one"), (&mut other, "other")] {
            let mut came = String::new();
            let mut io = claim.connection(SOON).await.expect("it came");
            io.read_to_string(&mut came).await.expect("it ends");
            assert_eq!(came, text);
            assert!(claim.connection(SOON).await.is_none());
        }
    }

    #[tokio::test]
    async fn connections_without_a_name_are_counted() {
        let upstream = upstream().await;
        let mut nameless = upstream.nameless();
        let silent = TcpStream::connect(upstream.addr()).await.expect("it listens");
        let mut strange = TcpStream::connect(upstream.addr()).await.expect("it listens");
        strange.write_all(b"EHLO you there").await.expect("it is read");
        drop(silent);
        let all = nameless.wait_for(|nameless| nameless.opened == 2 && nameless.open.is_empty());
        let all = tokio::time::timeout(SOON, all).await.expect("they are gone").expect("it is there").clone();
        assert_eq!(all, Nameless { opened: 2, open: BTreeSet::new(), strange: 1 });
    }

    #[tokio::test]
    async fn an_upstream_that_refuses_can_be_reached_again_later() {
        let upstream = upstream().await;
        let held = upstream.refuse().await.expect("the address is ours");
        let refused = TcpStream::connect(upstream.addr()).await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        upstream.accept_again(held).await.expect("the address is ours");
        let mut claim = upstream.claim();
        let mut io = TcpStream::connect(upstream.addr()).await.expect("it listens");
        io.write_all(&claim.token).await.expect("it is read");
        assert!(claim.connection(SOON).await.is_some());
    }
}
