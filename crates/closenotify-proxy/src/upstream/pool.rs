//! An upstream: chooses one of its addresses for a session, reaches it, and goes on to the next one if that fails.
//!
//! A session tries each address at most once. Of addresses that rest it tries only one, the one with the shortest rest left, and
//! only if no other is left. Nothing is relayed here: after a connection has been returned, there is no retry.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use closenotify::TlsConnector;
use closenotify::client::TlsStream;
use pollcheck::meter::Metered;
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::connect::{Dial, System, interleave, race};
use super::error::{AttemptError, ConnectError, Late};
use super::event::{Observer, UpstreamEvent};
#[cfg(test)]
use super::health::AddressHealth;
use super::health::{Address, AddressState, Attempt, Lease, Standing};
use super::lookup::{Host, Resolver};
use crate::address::Endpoint;
use crate::config::{Balance, UpstreamSettings};
use crate::socket::{Socket, Transport as _};

/// What all upstreams of a process share and every reload keeps: the resolver with its cache, the sockets, and the observer.
#[derive(Clone)]
pub(crate) struct Network {
    resolver: Resolver,
    dial: Arc<dyn Dial>,
    observer: Arc<dyn Observer>,
}

impl Network {
    /// The system's resolver and sockets.
    pub(crate) fn system(observer: Arc<dyn Observer>) -> Self {
        Self { resolver: Resolver::system(Arc::clone(&observer)), dial: Arc::new(System), observer }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

/// The servers that do the same work.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    addresses: Vec<Arc<Address>>,
    balance: Balance,
    /// Counts choices; the next one starts here.
    turn: Arc<AtomicUsize>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    network: Network,
}

impl Upstream {
    /// An upstream whose addresses are assumed healthy. An address that is listed twice counts once.
    ///
    /// `tls` is made from `settings.tls`; without it sessions are plaintext.
    pub(crate) fn new(
        settings: &UpstreamSettings,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        network: &Network,
    ) -> Self {
        Self::with(settings, tls, network, &[], Arc::default())
    }

    /// The upstream with other settings. Addresses that stay keep their health and their number of sessions.
    pub(crate) fn reconfigured(
        &self,
        settings: &UpstreamSettings,
        tls: Option<(TlsConnector, ServerName<'static>)>,
    ) -> Self {
        Self::with(settings, tls, &self.network, &self.addresses, Arc::clone(&self.turn))
    }

    fn with(
        settings: &UpstreamSettings,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        network: &Network,
        known: &[Arc<Address>],
        turn: Arc<AtomicUsize>,
    ) -> Self {
        let mut addresses: Vec<Arc<Address>> = Vec::with_capacity(settings.addresses.len());
        for endpoint in &settings.addresses {
            let same = |address: &&Arc<Address>| address.endpoint == *endpoint;
            if addresses.iter().any(|address| same(&address)) {
                continue;
            }
            addresses.push(known.iter().find(same).map_or_else(
                || {
                    let host = match endpoint {
                        Endpoint::Tcp(address) => Some(network.resolver.host(&address.host())),
                        Endpoint::Unix(_) => None,
                    };
                    Arc::new(Address::new(endpoint.clone(), host))
                },
                Arc::clone,
            ));
        }
        Self { name: settings.name.clone(), addresses, balance: settings.balance, turn, tls, network: network.clone() }
    }

    /// Starts the lookup of each name that has no fresh answer. At the start of the process and after a reload, so that a name
    /// that cannot be resolved is reported before its first session.
    pub(crate) fn begin_lookups(&self) {
        self.addresses.iter().filter_map(|address| address.host.as_ref()).for_each(Host::begin_lookup);
    }

    /// What each address does now.
    pub(crate) fn addresses(&self) -> Vec<AddressState> {
        let now = Instant::now();
        self.addresses.iter().map(|address| address.state(now)).collect()
    }

    /// An upstream for tests, of which each address with a reason rests for an hour.
    #[cfg(test)]
    pub(crate) fn planted(name: &str, addresses: &[(&str, Option<&str>)]) -> Self {
        let settings = UpstreamSettings {
            name: name.to_owned(),
            addresses: addresses.iter().map(|(address, _)| address.parse().expect("an address")).collect(),
            balance: Balance::default(),
            tls: None,
            send_proxy_protocol: None,
        };
        let upstream = Self::new(&settings, None, &Network::system(Arc::new(super::fake::Seen::default())));
        for (address, (shown, reason)) in upstream.addresses.iter().zip(addresses) {
            if let Some(reason) = reason {
                address.rest(Duration::from_secs(60 * 60), AttemptError::planted(shown, reason));
            }
        }
        upstream
    }

    /// The health of each address.
    #[cfg(test)]
    pub(crate) fn health(&self) -> Vec<AddressHealth> {
        let now = Instant::now();
        self.addresses.iter().map(|address| address.report(now)).collect()
    }

    /// Connects to one of the addresses. `timeout` bounds each of them: the lookup of its name, the connection, the header and
    /// the TLS handshake together.
    ///
    /// `header` is sent first, before TLS. Dropping the future drops every attempt and does not affect the health of an address.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: why each address that was tried failed. If the process is out of descriptors or memory, no further
    /// address is tried.
    pub(crate) async fn connect(&self, timeout: Duration, header: Option<&[u8]>) -> Result<Connected, ConnectError> {
        let mut left: Vec<_> = self.addresses.iter().collect();
        let mut attempts = Vec::new();
        let mut last = false;
        let mut turn = self.turn.fetch_add(1, Ordering::Relaxed);
        while let (false, Some((address, standing))) = (last, self.choose(&mut left, turn)) {
            // After the first one, the others come in their order.
            turn = 0;
            last = standing != Standing::Available;
            let attempt = Attempt::begin(address, Instant::now());
            match self.attempt(attempt.address(), timeout, header).await {
                Ok((stream, address)) => {
                    let attempts = u32::try_from(attempts.len() + 1).unwrap_or(u32::MAX);
                    return Ok(Connected { stream, address, attempts, lease: self.reached(attempt) });
                }
                Err(error) => {
                    last |= error.is_ours();
                    self.not_reached(attempt, &error);
                    attempts.push(error);
                }
            }
        }
        Err(ConnectError { upstream: self.name.clone(), attempts })
    }

    /// Removes the address to try next from `left`, which then begins with the one after it, and returns whether it rests.
    fn choose<'a>(&self, left: &mut Vec<&'a Arc<Address>>, turn: usize) -> Option<(&'a Arc<Address>, Standing)> {
        let now = Instant::now();
        let standings: Vec<_> = left.iter().map(|address| address.standing(now)).collect();
        let available: Vec<_> = (0..left.len()).filter(|at| standings[*at] == Standing::Available).collect();
        let at = if available.is_empty() {
            (0..left.len()).min_by_key(|at| standings[*at])?
        } else {
            let mut in_turn = available.iter().cycle().skip(turn % available.len()).take(available.len()).copied();
            match self.balance {
                Balance::RoundRobin => in_turn.next()?,
                // The first of those with the fewest.
                Balance::LeastSessions => in_turn.min_by_key(|at| left[*at].sessions())?,
            }
        };
        left.rotate_left(at);
        Some((left.remove(0), standings[at]))
    }

    /// Tries one address. Returns the stream, and the address that answered.
    async fn attempt(
        &self,
        address: &Address,
        timeout: Duration,
        header: Option<&[u8]>,
    ) -> Result<(UpstreamStream, String), AttemptError> {
        let deadline = after(timeout);
        let (mut socket, answered) = self.open(address, deadline, timeout).await?;
        if let Some(header) = header {
            match timeout_at(deadline, socket.write_all(header)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(AttemptError::header(&address.shown, &error)),
                Err(_late) => return Err(AttemptError::late(&address.shown, Late::Header, timeout)),
            }
        }
        let Some((connector, name)) = &self.tls else { return Ok((UpstreamStream::Plain(socket), answered)) };
        let connector = connector.clone().handshake_timeout(deadline.saturating_duration_since(Instant::now()));
        match connector.connect(name.clone(), Metered::new(socket)).into_fallible().await {
            Ok(stream) => Ok((UpstreamStream::Tls(Box::new(stream)), answered)),
            Err((error, io)) => {
                // Nothing was relayed that could look complete, and a reset would destroy our alert.
                io.get_ref().disarm();
                Err(AttemptError::handshake(&address.shown, &error, timeout))
            }
        }
    }

    async fn open(
        &self,
        address: &Address,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<(Socket, String), AttemptError> {
        let shown = &address.shown;
        let late = |what| AttemptError::late(shown, what, timeout);
        let (host, port) = match (&address.endpoint, &address.host) {
            (Endpoint::Tcp(tcp), Some(host)) => (host, tcp.port()),
            (Endpoint::Unix(path), _) => {
                let opened = timeout_at(deadline, self.network.dial.unix(path)).await;
                let socket = opened.map_err(|_late| late(Late::Connection))?;
                let failed = |error| AttemptError::connections(shown, vec![(shown.clone(), error)]);
                return Ok((socket.map_err(failed)?, shown.clone()));
            }
            (Endpoint::Tcp(tcp), None) => (&self.network.resolver.host(&tcp.host()), tcp.port()),
        };
        let found = timeout_at(deadline, host.lookup()).await.map_err(|_late| late(Late::Lookup))?;
        let mut found = found.map_err(|error| AttemptError::lookup(shown, &error))?;
        let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
        loop {
            let tried = |ip: &IpAddr| failures.iter().any(|(tried, _)| tried.ip() == *ip);
            let order = interleave(found.iter().copied().filter(|ip| !tried(ip)));
            let addresses: Vec<_> = order.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
            if addresses.is_empty() {
                break;
            }
            match timeout_at(deadline, race(&self.network.dial, &addresses)).await {
                Ok(Ok((socket, answered))) => return Ok((socket, answered.to_string())),
                Ok(Err(failed)) => failures.extend(failed),
                Err(_late) => return Err(late(Late::Connection)),
            }
            // The cached answer may be old: the servers have moved, and a lookup is in flight.
            let soon = deadline.min(Instant::now() + NEWER_ANSWER_WAIT);
            match timeout_at(soon, host.lookup_again()).await {
                Ok(Ok(newer)) => found = newer,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let failures = failures.into_iter().map(|(address, error)| (address.to_string(), error)).collect();
        Err(AttemptError::connections(shown, failures))
    }

    fn reached(&self, attempt: Attempt) -> Lease {
        let (upstream, address) = (self.name.as_str(), attempt.address().shown.clone());
        let result = Ok(attempt.begun().elapsed());
        self.network.observer.observe(UpstreamEvent::Attempt { upstream, address: &address, result });
        let (lease, recovered) = attempt.succeeded();
        if recovered {
            self.network.observer.observe(UpstreamEvent::Recovered { upstream, address: &address });
        }
        lease
    }

    fn not_reached(&self, attempt: Attempt, error: &AttemptError) {
        let (upstream, address) = (self.name.as_str(), error.address());
        self.network.observer.observe(UpstreamEvent::Attempt { upstream, address, result: Err(error) });
        if let Some(rest) = attempt.failed(error, Instant::now()) {
            self.network.observer.observe(UpstreamEvent::Resting { upstream, address, rest, error });
        }
    }
}

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: UpstreamStream,
    /// The address that answered: that of the server, where a name was configured.
    pub(crate) address: String,
    /// How many addresses were tried, this one included.
    pub(crate) attempts: u32,
    /// Keep it as long as the session lasts.
    pub(crate) lease: Lease,
}

/// The stream to an upstream. Until it is disarmed, closing its TCP socket is a reset.
#[derive(Debug)]
pub(crate) enum UpstreamStream {
    Plain(Socket),
    Tls(Box<TlsStream<Metered<Socket>>>),
}

/// When `timeout` is over; in 30 years if the clock cannot represent it.
fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(30 * 365 * 24 * 60 * 60))
}

/// How long a session that could not reach any address of a name waits for a lookup in flight.
const NEWER_ANSWER_WAIT: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
