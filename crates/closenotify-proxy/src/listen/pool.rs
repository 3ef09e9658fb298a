//! From addresses to sockets: what is open already is used, the rest is bound.
//!
//! Nothing that runs is touched when an address cannot be bound: the pool is as it was.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use super::bind::{self, Family, Sharing};
use super::error::ListenError;
use super::listener::{Listener, Listening};
use super::socket_file::SocketFile;
use crate::address::{Endpoint, HostPort};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The listener; `None` for the admin listener, which takes one socket whatever the number of workers.
    pub(crate) listener: Option<String>,
    /// Where.
    pub(crate) endpoint: Endpoint,
}

/// Sockets that are open already: from the service manager, from the process before this one, or from before a reload.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    listening: Listening,
    /// `FileDescriptorName=`.
    name: Option<String>,
    origin: Origin,
}

/// Where a socket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    ServiceManager,
    Predecessor,
    Ourselves,
}

impl Pool {
    /// Adds what [`inherited`](super::inherited()) returned.
    ///
    /// # Errors
    ///
    /// The system's error for a socket's address.
    pub(crate) fn add_inherited(&mut self, sockets: Vec<(Option<String>, Listener)>) -> io::Result<()> {
        for (name, socket) in sockets {
            let local = socket.local()?;
            self.add(local.clone(), local, socket, name, Origin::ServiceManager, None);
        }
        Ok(())
    }

    /// Adds what the predecessor handed over, each with the address as its settings had it.
    ///
    /// # Errors
    ///
    /// The system's error for a socket's address.
    pub(crate) fn add_taken(&mut self, sockets: Vec<(Endpoint, Listener)>) -> io::Result<()> {
        for (wanted, socket) in sockets {
            let local = socket.local()?;
            let file = match &local {
                // If the file is gone, there is nothing to remove.
                Endpoint::Unix(path) => SocketFile::note(path).ok(),
                Endpoint::Tcp(_) => None,
            };
            self.add(wanted, local, socket, None, Origin::Predecessor, file);
        }
        Ok(())
    }

    /// Adds what this process listens on.
    pub(crate) fn add_running(&mut self, running: Vec<Listening>) {
        let entry = |listening| Entry { listening, name: None, origin: Origin::Ourselves };
        self.entries.extend(running.into_iter().map(entry));
    }

    /// What no address of the settings used. Dropping it stops listening there.
    ///
    /// # Errors
    ///
    /// The addresses of the service manager's sockets among it: its unit and the settings disagree.
    pub(crate) fn into_rest(self) -> Result<Vec<Listening>, String> {
        let unwanted: Vec<_> = self.entries.iter().filter(|entry| entry.origin == Origin::ServiceManager).collect();
        if unwanted.is_empty() {
            return Ok(self.entries.into_iter().map(|entry| entry.listening).collect());
        }
        let shown = unwanted.iter().map(|entry| match &entry.name {
            Some(name) => format!("{} ({name})", entry.listening.local()),
            None => entry.listening.local().to_string(),
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        Err(format!(
            "no listener in the settings is for these sockets of the service manager: {shown}; add their addresses to `listen`, name \
             them after a listener (FileDescriptorName=), or remove them from the socket unit"
        ))
    }

    fn add(
        &mut self,
        wanted: Endpoint,
        local: Endpoint,
        socket: Listener,
        name: Option<String>,
        origin: Origin,
        file: Option<SocketFile>,
    ) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.listening.local() == local) {
            entry.listening.push(socket);
            return;
        }
        let listening = Listening::new(wanted, local, vec![socket], file);
        self.entries.push(Entry { listening, name, origin });
    }

    /// Which entry stands for which of the addresses: first those written in the same way, then those that are the same address,
    /// then those with the listener's name.
    fn matches(&self, wanted: &[Wanted], resolved: &[Vec<SocketAddr>]) -> Vec<Option<usize>> {
        let mut matches = vec![None; wanted.len()];
        let mut used = vec![false; self.entries.len()];
        let same_text = |at: usize, entry: &Entry| *entry.listening.wanted() == wanted[at].endpoint;
        let same_address = |at: usize, entry: &Entry| {
            *entry.listening.local() == wanted[at].endpoint
                || resolved[at]
                    .iter()
                    .any(|&address| *entry.listening.local() == Endpoint::Tcp(HostPort::from(address)))
        };
        let same_name = |at: usize, entry: &Entry| entry.name.is_some() && entry.name == wanted[at].listener;
        let rules: [&Rule<'_>; 3] = [&same_text, &same_address, &same_name];
        for rule in rules {
            for (at, slot) in matches.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
                let found = self.entries.iter().enumerate().position(|(index, entry)| !used[index] && rule(at, entry));
                if let Some(index) = found {
                    used[index] = true;
                    *slot = Some(index);
                }
            }
        }
        matches
    }

    /// Whether a socket of ours that no address uses listens at this port.
    fn holds_port(&self, port: u16, used: &[Option<usize>]) -> bool {
        let is_free = |at: usize| !used.contains(&Some(at));
        let at_port = |entry: &Entry| matches!(entry.listening.local(), Endpoint::Tcp(local) if local.port() == port);
        self.entries.iter().enumerate().any(|(at, entry)| is_free(at) && at_port(entry))
    }
}

/// Sockets for all addresses, in their order: from the pool, or bound, one TCP socket a worker.
///
/// What was used is no longer in the pool. Dropping the future leaves the pool as it was.
///
/// # Errors
///
/// [`ListenError`] for the first address that cannot be listened on; the pool is as before, and nothing stays bound.
pub(crate) async fn open(
    wanted: &[Wanted],
    workers: NonZeroUsize,
    pool: &mut Pool,
) -> Result<Vec<Listening>, ListenError> {
    let mut resolved = Vec::with_capacity(wanted.len());
    for want in wanted {
        resolved.push(match &want.endpoint {
            Endpoint::Tcp(address) => address.resolve().await.map_err(|source| want.failed(source))?,
            Endpoint::Unix(_) => Vec::new(),
        });
    }
    let matches = pool.matches(wanted, &resolved);
    let mut bound = Vec::with_capacity(wanted.len());
    for (at, want) in wanted.iter().enumerate() {
        if matches[at].is_some() {
            bound.push(None);
            continue;
        }
        let count = if want.listener.is_some() { workers } else { NonZeroUsize::MIN };
        let listening = match &want.endpoint {
            Endpoint::Tcp(address) => {
                // Ours will be closed, but not before its queue is served: until then both listen.
                let ours = address.port() != 0 && pool.holds_port(address.port(), &matches);
                let sharing = if ours { Sharing::WithOurs } else { Sharing::Exclusive };
                bind::tcp(&resolved[at], count, sharing, family(address, wanted))
                    .map(|sockets| (sockets.into_iter().map(Listener::Tcp).collect(), None))
            }
            Endpoint::Unix(path) => {
                bind::unix(path, UNIX_MODE).map(|(socket, file)| (vec![Listener::Unix(socket)], Some(file)))
            }
        };
        let listening = listening.and_then(|(sockets, file): (Vec<Listener>, _)| {
            Ok(Listening::new(want.endpoint.clone(), sockets[0].local()?, sockets, file))
        });
        bound.push(Some(listening.map_err(|source| want.failed(source))?));
    }

    let mut entries: Vec<_> = std::mem::take(&mut pool.entries).into_iter().map(Some).collect();
    let opened = wanted.iter().zip(bound).zip(matches).map(|((want, bound), found)| {
        let mut listening = bound.or_else(|| Some(entries[found?].take()?.listening));
        if let Some(listening) = &mut listening {
            listening.set_wanted(want.endpoint.clone());
        }
        listening.expect("what was not bound has its entry, and no other address has the same")
    });
    let opened = opened.collect();
    pool.entries = entries.into_iter().flatten().collect();
    Ok(opened)
}

/// Whether an entry stands for the address at a place in the list.
type Rule<'a> = dyn Fn(usize, &Entry) -> bool + 'a;

impl Wanted {
    fn failed(&self, source: io::Error) -> ListenError {
        let name = match &self.listener {
            Some(listener) => format!("listener {listener:?}"),
            None => "admin".to_owned(),
        };
        ListenError { name, endpoint: self.endpoint.clone(), source }
    }
}

/// `[::]:443` leaves IPv4 to `0.0.0.0:443` where that is listened on as well.
fn family(address: &HostPort, wanted: &[Wanted]) -> Family {
    let v4: Endpoint = Endpoint::Tcp(HostPort::from(SocketAddr::from(([0, 0, 0, 0], address.port()))));
    if address.port() != 0 && wanted.iter().any(|want| want.endpoint == v4) { Family::V6Only } else { Family::Both }
}

/// Who may connect to a Unix socket: the user and the group.
const UNIX_MODE: u32 = 0o660;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;

    use super::*;

    fn want(listener: &str, endpoint: &str) -> Wanted {
        Wanted { listener: Some(listener.to_owned()), endpoint: endpoint.parse().unwrap() }
    }

    fn unix(path: &Path) -> String {
        format!("unix:{}", path.display())
    }

    async fn try_open(wanted: &[Wanted], pool: &mut Pool) -> Result<Vec<Listening>, ListenError> {
        open(wanted, NonZeroUsize::new(2).unwrap(), pool).await
    }

    async fn fresh(wanted: &[Wanted]) -> Vec<Listening> {
        try_open(wanted, &mut Pool::default()).await.unwrap()
    }

    fn descriptors(listening: &[Listening]) -> Vec<i32> {
        use std::os::fd::{AsFd, AsRawFd};
        listening.iter().flat_map(|one| one.sockets().iter().map(|socket| socket.as_fd().as_raw_fd())).collect()
    }

    #[tokio::test]
    async fn listener_has_a_socket_for_each_worker_and_admin_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let admin = Wanted { listener: None, endpoint: "127.0.0.1:0".parse().unwrap() };
        let opened = fresh(&[want("web", "127.0.0.1:0"), want("web", &unix(&path)), admin]).await;
        assert_eq!(opened.iter().map(|one| one.sockets().len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(opened[0].wanted().to_string(), "127.0.0.1:0");
        assert!(matches!(opened[0].local(), Endpoint::Tcp(local) if local.port() != 0));
        for (workers, shares) in [(1, vec![2]), (2, vec![1, 1]), (3, vec![1, 1, 1])] {
            let found = opened[0].for_workers(NonZeroUsize::new(workers).unwrap()).unwrap();
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), shares);
        }
        assert_eq!(opened[1].for_workers(NonZeroUsize::new(2).unwrap()).unwrap().len(), 2);
        drop(opened);
        assert!(!path.exists(), "who made the file removes it");
    }

    #[tokio::test]
    async fn reload_keeps_sockets_that_are_wanted_in_any_spelling() {
        let old = fresh(&[want("a", "127.0.0.1:0"), want("b", "127.0.0.1:0"), want("c", "127.0.0.1:0")]).await;
        let [a, b, c]: [Endpoint; 3] = [0, 1, 2].map(|at| old[at].local().clone());
        let before = descriptors(&old);
        let mut pool = Pool::default();
        pool.add_running(old);
        let Endpoint::Tcp(port) = &c else { panic!("{c}") };
        let spelled = format!("localhost:{}", port.port());
        let new =
            try_open(&[want("new", &spelled), want("a", "127.0.0.1:0"), want("d", "127.0.0.2:0")], &mut pool).await;
        let new = new.unwrap();
        assert_eq!((new[0].local(), new[1].local()), (&c, &a));
        assert_eq!(new[0].wanted().to_string(), spelled);
        assert_eq!(descriptors(&new[..2]), [&before[4..], &before[..2]].concat());
        let rest = pool.into_rest().unwrap();
        assert_eq!(rest.iter().map(Listening::local).collect::<Vec<_>>(), [&b]);
    }

    #[tokio::test]
    async fn failed_reload_leaves_the_pool_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let blocker = TcpListener::bind("127.0.0.1:0").unwrap();
        let blocked = blocker.local_addr().unwrap().to_string();
        let old = fresh(&[want("a", "127.0.0.1:0")]).await;
        let before = descriptors(&old);
        let mut pool = Pool::default();
        pool.add_running(old);
        let wanted = [want("a", "127.0.0.1:0"), want("u", &unix(&path)), want("bad", &blocked)];
        let error = try_open(&wanted, &mut pool).await.unwrap_err();
        assert!(error.to_string().contains(&blocked) && error.to_string().contains("\"bad\""), "{error}");
        assert!(!path.exists(), "what was bound on the way is gone");
        assert_eq!(descriptors(&pool.into_rest().unwrap()), before);
    }

    #[tokio::test]
    async fn address_that_replaces_one_of_ours_at_the_same_port_is_bound_beside_it() {
        let old = fresh(&[want("a", "[::]:0")]).await;
        let Endpoint::Tcp(local) = old[0].local() else { panic!() };
        let port = local.port();
        let mut pool = Pool::default();
        pool.add_running(old);
        let new = try_open(&[want("a", &format!("127.0.0.1:{port}"))], &mut pool).await.unwrap();
        assert_eq!(pool.into_rest().unwrap().len(), 1);
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(new.len(), 1);
    }

    #[tokio::test]
    async fn wildcards_of_both_families_can_be_listed_together() {
        let port = {
            let opened = fresh(&[want("a", "0.0.0.0:0")]).await;
            let Endpoint::Tcp(local) = opened[0].local() else { panic!() };
            local.port()
        };
        let wanted = [want("a", &format!("[::]:{port}")), want("a", &format!("0.0.0.0:{port}"))];
        assert_eq!(fresh(&wanted).await.len(), 2);
    }

    #[tokio::test]
    async fn sockets_of_the_service_manager_match_by_address_then_by_name() {
        let bind = || Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
        let (by_address, by_name, unwanted) = (bind(), bind(), bind());
        let [first, second, third] = [&by_address, &by_name, &unwanted].map(|socket| socket.local().unwrap());
        let mut pool = Pool::default();
        let named = |name: &str| Some(name.to_owned());
        pool.add_inherited(vec![
            (named("web"), by_name),
            (named("other"), by_address),
            (named("stray"), unwanted.try_clone().unwrap()),
            (named("stray"), unwanted),
        ])
        .unwrap();
        let opened = try_open(&[want("web", &first.to_string()), want("web", "127.0.0.1:1")], &mut pool).await.unwrap();
        assert_eq!((opened[0].local(), opened[1].local()), (&first, &second));
        let error = pool.into_rest().unwrap_err();
        assert!(error.contains(&format!(": {third} (stray);")), "{error}");
    }

    #[tokio::test]
    async fn file_of_a_socket_that_was_taken_stays_until_it_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let endpoint = unix(&path);
        let mut old = fresh(&[want("u", &endpoint)]).await;
        let take = |old: &[Listening]| {
            let socket = old[0].sockets()[0].try_clone().unwrap();
            let mut pool = Pool::default();
            pool.add_taken(vec![(endpoint.parse().unwrap(), socket)]).unwrap();
            pool
        };
        drop(take(&old));
        assert!(path.exists(), "a successor that gives up leaves the file");
        let mut pool = take(&old);
        let mut new = try_open(&[want("u", &endpoint)], &mut pool).await.unwrap();
        old[0].leave_file();
        drop(old);
        assert!(path.exists(), "the predecessor leaves the file");
        new[0].own_file();
        drop(new);
        assert!(!path.exists());
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}
