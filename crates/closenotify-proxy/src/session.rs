//! One session from the accepted connection to its line in the log: PROXY header, handshake, upstream, relay, and how each of
//! the two connections is ended.
//!
//! What is carried from one side to the other is the relay's; how a connection is ended after that is decided in
//! [`ends`].

mod ends;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use closenotify::{Deadline, HandshakeError, LazyConfigAcceptor, Linger, SessionFacts, StartHandshake, linger};
use futures_util::FutureExt as _;
use pollcheck::meter::{Metered, Spin};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::config::{ProxyProtocol, SpinAction, TruncationPolicy, WhenFull};
use crate::events::{EndedFirst, Entry, Event, Phase, Received, Stop};
use crate::limits::{AddressPlace, Limits, Place};
use crate::listener::{Destination, Listener};
use crate::live::LiveSession;
use crate::proxy_protocol::{self, Addresses, ClientFacts, HeaderError};
use crate::relay::{self, Arrival, First, Guard, Leg as _, Outcome, Relay, Report, Sending, Side, TcpLeg, TlsLeg};
use crate::shutdown::Shutdown;
use crate::socket::{Socket, Transport as _};
use crate::telemetry::Telemetry;
use crate::tls::ListenerTls;
use crate::upstream::{ConnectError, Connected, UpstreamStream};
use ends::{Ends, Left};

/// What all sessions of a process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) limits: Arc<Limits>,
    /// Those that run.
    pub(crate) sessions: TaskTracker,
    /// Ordered to abort when sessions that still run must end.
    pub(crate) abort: Shutdown,
    /// [`SpinAction`], which a reload changes.
    pub(crate) spin: AtomicU8,
    pub(crate) numbers: AtomicU64,
    /// Sessions are counted by how they end from now on.
    pub(crate) draining: AtomicBool,
    pub(crate) finished: AtomicU64,
    pub(crate) aborted: AtomicU64,
}

impl Shared {
    /// What happens to a session that spins.
    pub(crate) fn spin_action(&self) -> SpinAction {
        match self.spin.load(Ordering::Relaxed) {
            spin if spin == SpinAction::Report as u8 => SpinAction::Report,
            _ => SpinAction::End,
        }
    }

    /// Reports that a listener cannot accept now.
    pub(crate) fn accept_failed(&self, listener: &Listener, error: &io::Error) {
        let listener = listener.settings.name.clone();
        self.telemetry.tell(&Event::AcceptFailed { listener, reason: error.to_string() });
    }
}

/// Counts a session that ended, also one that panicked.
struct Count<'a> {
    shared: &'a Shared,
    aborted: bool,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        if self.shared.draining.load(Ordering::Relaxed) {
            let counter = if self.aborted { &self.shared.aborted } else { &self.shared.finished };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Serves a connection to its end. Without a place among the sessions, it waits for one first.
///
/// Dropping the future resets both connections, unless they are complete, and writes no line.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    client: Socket,
    peer: Option<SocketAddr>,
    place: Option<Place>,
) {
    // Until it is known how it ended.
    let mut count = Count { shared: &shared, aborted: true };
    let _place = match place {
        Some(place) => place,
        None => tokio::select! {
            place = shared.limits.place() => place,
            () = shared.abort.aborting() => return,
        },
    };
    let number = shared.numbers.fetch_add(1, Ordering::Relaxed) + 1;
    let shown = peer.map_or_else(|| "unix".to_owned(), |address| canonical(address).to_string());
    let entry = Entry::new(number, Arc::clone(listener.metrics.name()), shown.clone());
    let live = shared.telemetry.open(&listener.metrics, number, shown);
    let mut session =
        Session { shared: &shared, listener: &listener, entry, live, started: Instant::now(), place: None };
    let ran = AssertUnwindSafe(session.run(client, peer)).catch_unwind().await;
    if ran.is_err() {
        session.entry.stop = Some(Stop::Internal);
        session.entry.explain("the proxy panicked; please report it");
    }
    let Session { mut entry, live, started, .. } = session;
    entry.duration_ms = millis(started.elapsed());
    count.aborted = matches!(entry.stop, Some(Stop::Deadline(Deadline::Drain) | Stop::Internal));
    drop(live);
    // Before its line: a session that has one belongs to no drain that is ordered after it.
    drop(count);
    shared.telemetry.closed(&listener.metrics, entry);
}

/// A session in progress.
struct Session<'a> {
    shared: &'a Arc<Shared>,
    listener: &'a Listener,
    entry: Entry,
    live: LiveSession,
    started: Instant,
    /// Held as long as the session lasts.
    place: Option<AddressPlace>,
}

/// A client that has been let in.
struct Admitted {
    side: Side<Socket>,
    destination: Arc<Destination>,
    /// What was read of its stream before the relay.
    read: BytesMut,
    /// The PROXY header for its upstream.
    header: Option<Vec<u8>>,
}

/// Why a connection is not let in.
enum Refused {
    /// The handshake failed; the connection is there if its alert has to arrive.
    Handshake(HandshakeError, Option<Socket>),
    /// Something before it did: the word, and the reason.
    Before(Cow<'static, str>, String),
    /// No route matches; the alert has been sent.
    NoRoute(String, Socket),
    /// The handshake deadline passed before there was a handshake.
    Late,
    /// Aborting was ordered.
    Aborted,
}

impl Session<'_> {
    async fn run(&mut self, client: Socket, peer: Option<SocketAddr>) {
        let shared = self.shared;
        let admitted = tokio::select! {
            biased;
            // Boxed, as are the other stages: a session that relays does not hold the room that they took.
            admitted = Box::pin(self.admit(client, peer)) => admitted,
            () = shared.abort.aborting() => Err(Refused::Aborted),
        };
        self.entry.handshake_ms = millis(self.started.elapsed());
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return Box::pin(self.refuse(refused)).await,
        };
        self.entry.phase = Phase::Connect;
        self.live.set_phase(Phase::Connect);
        let Some((admitted, connected)) = Box::pin(self.connect(admitted)).await else { return };
        self.entry.phase = Phase::Relay;
        self.live.set_phase(Phase::Relay);
        self.relay(admitted, connected).await;
    }

    /// From the first byte to the end of the handshake.
    async fn admit(&mut self, mut client: Socket, peer: Option<SocketAddr>) -> Result<Admitted, Refused> {
        let settings = &self.listener.settings;
        let deadline = self.started + settings.timeouts.handshake;
        // Where it connected to is of interest to an upstream's header only.
        let destination = self.listener.sends_headers().then(|| client.local_addr()).flatten();
        let mut addresses = match (peer, destination) {
            (Some(source), Some(destination)) => Addresses::tcp(source, destination),
            _ => Addresses::Unknown,
        };
        let mut source = peer.map(|peer| peer.ip());
        if peer.is_some_and(|peer| proxy_protocol::expects(&settings.accept_proxy_protocol, peer.ip())) {
            let header = proxy_protocol::read_header(&mut client, deadline).await;
            let header = header.map_err(|error| match error {
                HeaderError::TimedOut => Refused::Late,
                error => Refused::Before(error.word().into(), error.to_string()),
            })?;
            self.entry.proxied_by = Some(self.entry.client.clone());
            if header.addresses != Addresses::Unknown {
                let shown = header.addresses.to_string();
                self.entry.client.clone_from(&shown);
                self.live.set_client(shown);
                source = header.addresses.source().map(|source| source.ip());
                addresses = header.addresses;
            }
        }
        let place = match source.map(|source| self.shared.limits.address_place(source)) {
            None => None,
            Some(Ok(place)) => place,
            Some(Err(full)) => {
                let action = WhenFull::Refuse;
                self.shared.telemetry.tell(&Event::LimitReached { limit: full.limit, value: full.value, action });
                let reason = format!("{} sessions from this address already run", full.value);
                return Err(Refused::Before(full.limit.word().into(), reason));
            }
        };
        self.place = place;
        let left = deadline.saturating_duration_since(Instant::now());
        let start = self.hello(Metered::new(client), left).await?;
        let name = start.client_hello().server_name().map(str::to_owned);
        self.entry.sni.clone_from(&name);
        self.live.set_sni(name.clone());
        let Some(destination) = self.listener.route(name.as_deref()).cloned() else {
            return Err(no_route(start, name));
        };
        self.entry.upstream_name = Some(Arc::clone(&destination.name));
        if destination.passthrough {
            self.entry.handshake = "passthrough".into();
            let (io, read) = start.into_io();
            let side = Side::Tcp(TcpLeg::new(io.into_inner()));
            let facts = ClientFacts { server_name: name.as_deref(), ..ClientFacts::default() };
            let header = header(&destination, &addresses, &facts);
            return Ok(Admitted { side, destination, read: BytesMut::from(&*read), header });
        }
        let tls = self.listener.tls.as_ref().expect("a listener that terminates TLS has certificates");
        let accept = start.into_stream((*tls.acceptor()).clone());
        let stream = accept.into_fallible().await.map_err(|(error, io)| failed(&error, Some(io.into_inner())))?;
        self.entry.facts(stream.facts());
        self.identify(stream.facts()).map_err(|error| Refused::Handshake(error, None))?;
        let header = header(&destination, &addresses, &ClientFacts::of(stream.facts()));
        let side = Side::Tls(Box::new(TlsLeg::new(stream, settings.truncation)));
        Ok(Admitted { side, destination, read: BytesMut::new(), header })
    }

    /// Reads the ClientHello.
    async fn hello(&self, io: Metered<Socket>, within: Duration) -> Result<StartHandshake<Metered<Socket>>, Refused> {
        let mut acceptor = LazyConfigAcceptor::new(io).handshake_timeout(within);
        match (&mut acceptor).await {
            Ok(start) => Ok(start),
            Err(error) => {
                let io = acceptor.take_io().map(|(io, _read)| io.into_inner());
                Err(failed(&error, io))
            }
        }
    }

    /// Records who the client is, and refuses one that a full handshake would not let in any more.
    fn identify(&mut self, facts: &SessionFacts) -> Result<(), HandshakeError> {
        let certificates = facts.peer_certificates().unwrap_or_default();
        self.entry.client_certificate = ListenerTls::client_identity(certificates).map(|identity| identity.to_string());
        match &self.listener.tls {
            Some(tls) if facts.resumed() => tls.readmit(certificates, SystemTime::now()),
            _ => Ok(()),
        }
    }

    /// Writes down why the client was not let in, and ends its connection.
    async fn refuse(&mut self, refused: Refused) {
        match refused {
            Refused::Handshake(error, client) => {
                self.entry.handshake_failed(&error);
                let Some(client) = client else { return };
                // There is nothing to destroy but an alert of ours.
                client.disarm();
                match error {
                    HandshakeError::Truncated { .. }
                    | HandshakeError::Reset
                    | HandshakeError::Failed(_)
                    | HandshakeError::TimedOut(_) => drop(client),
                    _ => {
                        tokio::select! {
                            biased;
                            _discarded = linger(client, REFUSED) => {}
                            () = self.shared.abort.aborting() => {}
                        }
                    }
                }
            }
            Refused::Before(word, reason) => {
                self.entry.handshake = word;
                self.entry.ended_first = Some(EndedFirst::Proxy);
                self.entry.explain(reason);
            }
            Refused::NoRoute(reason, client) => {
                self.entry.handshake = "no_route".into();
                self.entry.ended_first = Some(EndedFirst::Proxy);
                self.entry.explain(reason);
                client.disarm();
                tokio::select! {
                    biased;
                    _discarded = linger(client, REFUSED) => {}
                    () = self.shared.abort.aborting() => {}
                }
            }
            Refused::Late => self.entry.handshake_failed(&HandshakeError::TimedOut(Deadline::Handshake)),
            Refused::Aborted => self.entry.handshake_failed(&HandshakeError::TimedOut(Deadline::Drain)),
        }
    }

    /// Connects to the upstream. `None`: the session is over.
    async fn connect(&mut self, mut admitted: Admitted) -> Option<(Admitted, Connected)> {
        let upstream = admitted.destination.upstream.get();
        let header = admitted.header.take();
        let within = self.listener.settings.timeouts.connect;
        let mut connecting = pin!(upstream.connect(within, header.as_deref()));
        let mut ended = None;
        // Nobody waits for an answer to what is not complete; but what had arrived of it is delivered where that is possible.
        let mut gone = pin!(sleep(Duration::MAX));
        let stopped = loop {
            tokio::select! {
                biased;
                connected = &mut connecting => match connected {
                    Ok(connected) => {
                        self.entry.upstream = Some(connected.address.clone());
                        self.entry.attempts = connected.attempts;
                        self.live.set_upstream(connected.address.clone());
                        return Some((admitted, connected));
                    }
                    Err(error) => {
                        self.entry.ended_first = Some(EndedFirst::Upstream);
                        self.not_reached(&error);
                        break None;
                    }
                },
                () = self.shared.abort.aborting() => {
                    let drained = Deadline::Drain;
                    self.entry.stop = Some(Stop::Deadline(drained));
                    self.entry.ended_first = Some(EndedFirst::Proxy);
                    self.entry.explain(format!("{drained} passed while the upstream was being reached"));
                    break Some(drained);
                }
                end = client_end(&mut admitted.side, &mut admitted.read), if ended.is_none() => {
                    ended = Some(end);
                    if end == Arrival::Cut {
                        gone.set(sleep(GONE));
                    }
                }
                () = &mut gone, if ended == Some(Arrival::Cut) => {
                    self.entry.ended_first = Some(EndedFirst::Client);
                    self.entry.explain("client: it left while the upstream was being reached");
                    break None;
                }
            }
        };
        let half_close = self.listener.settings.timeouts.half_close;
        let ends = Ends { abort: &self.shared.abort, stopped, half_close, until: None };
        let end = Box::pin(ends.end(admitted.side, Left { sending: Sending::No, gone: false })).await;
        self.entry.endings.client(end.received, end.sent);
        None
    }

    fn not_reached(&mut self, error: &ConnectError) {
        self.entry.attempts = u32::try_from(error.attempts().len()).unwrap_or(u32::MAX);
        self.entry.upstream = error.attempts().last().map(|attempt| attempt.address().to_owned());
        self.entry.endings.upstream_received = Some(Received::NotReached(error.word().to_owned().into()));
        if error.is_timeout() {
            self.entry.stop = Some(Stop::Deadline(Deadline::Connect));
        }
        self.entry.explain(error.to_string());
    }

    /// Relays, and ends both connections.
    async fn relay(&mut self, admitted: Admitted, connected: Connected) {
        let settings = &self.listener.settings;
        let Admitted { mut side, read, .. } = admitted;
        let Connected { stream, lease: _lease, .. } = connected;
        let mut upstream = match stream {
            UpstreamStream::Plain(socket) => Side::Tcp(TcpLeg::new(socket)),
            UpstreamStream::Tls(stream) => Side::Tls(Box::new(TlsLeg::new(*stream, TruncationPolicy::Strict))),
        };
        let limits = relay::Limits {
            idle: settings.timeouts.idle,
            half_close: settings.timeouts.half_close,
            until: settings.timeouts.lifetime.and_then(|lifetime| self.started.checked_add(lifetime)),
        };
        let (report, spin) = self.guarded(&mut side, &mut upstream, limits, read).await;

        let entry = &mut self.entry;
        entry.bytes_from_client = report.bytes_a_to_b;
        entry.bytes_from_upstream = report.bytes_b_to_a;
        entry.ended_first = report.first.map(|first| match first {
            First::A => EndedFirst::Client,
            First::B => EndedFirst::Upstream,
            First::Proxy => EndedFirst::Proxy,
        });
        if let Some(deadline) = report.timed_out {
            entry.stop = Some(Stop::Deadline(deadline));
        }
        if let Some(Spin { wasted, within, .. }) = spin {
            if report.first == Some(First::Proxy) && report.timed_out.is_none() {
                entry.stop = Some(Stop::Spin);
            }
            entry.explain(format!(
                "the proxy spun: {wasted} polls achieved nothing within {within:.0?}; please report it"
            ));
        }
        let ends = Ends {
            abort: &self.shared.abort,
            stopped: report.timed_out,
            half_close: settings.timeouts.half_close,
            until: limits.until,
        };
        // The two wait for different peers: neither keeps the other waiting.
        let left = |sending, to_it| Left { sending, gone: to_it == Some(Outcome::SinkGone) };
        let (client, upstream) = tokio::join!(
            Box::pin(ends.end(side, left(report.sending[0], report.b_to_a))),
            Box::pin(ends.end(upstream, left(report.sending[1], report.a_to_b))),
        );
        entry.discarded_bytes = client.discarded;
        entry.trailing_bytes = client.trailing;
        if let (None, Some(late)) = (entry.stop, client.late.or(upstream.late)) {
            entry.stop = Some(Stop::Deadline(late));
        }
        entry.endings.client(client.received, client.sent);
        entry.endings.upstream(upstream.received, upstream.sent);
    }

    /// Relays until the relay is done, spins, or aborting is ordered.
    async fn guarded(
        &mut self,
        client: &mut Side<Socket>,
        upstream: &mut Side<Socket>,
        limits: relay::Limits,
        read: BytesMut,
    ) -> (Report, Option<Spin>) {
        let action = self.shared.spin_action();
        let (telemetry, session) = (Arc::clone(&self.shared.telemetry), self.entry.session);
        let mut guard = Guard::new(Relay::with(client, upstream, limits, read), action, move |spin| {
            telemetry.tell(&Event::Spin { session, wasted: spin.wasted.into(), within: spin.within, action });
        });
        let view = self.live.view();
        let relaying = poll_fn(|cx| {
            while view.poll_asked(cx) {
                view.answer(guard.sample());
            }
            #[cfg(test)]
            match self.entry.sni.as_deref() {
                Some(tests::SPINS) => cx.waker().wake_by_ref(),
                Some(tests::PANICS) => panic!("planted"),
                _ => {}
            }
            Pin::new(&mut guard).poll(cx)
        });
        let aborted = tokio::select! {
            biased;
            _reported = relaying => false,
            () = self.shared.abort.aborting() => true,
        };
        if aborted {
            guard.stop(Deadline::Drain);
        }
        let counts = guard.counts();
        self.entry.polls = counts.polls;
        self.entry.wasted_polls = counts.wasted;
        (guard.report(), guard.spin())
    }
}

/// The client asked for a name that no route has: it is told so, by the alert `unrecognized_name` (RFC 6066 section 3).
fn no_route(start: StartHandshake<Metered<Socket>>, name: Option<String>) -> Refused {
    let (io, _read) = start.into_io();
    let client = io.into_inner();
    let _ = client.try_write(UNRECOGNIZED_NAME);
    let asked =
        name.map_or_else(|| "the client sent no server name".to_owned(), |name| format!("server name {name:?}"));
    Refused::NoRoute(format!("no route matches: {asked}"), client)
}

fn failed(error: &io::Error, client: Option<Socket>) -> Refused {
    // An error of the transport comes as it is.
    let cause = HandshakeError::find(error).cloned().unwrap_or_else(|| match error.kind() {
        io::ErrorKind::ConnectionReset => HandshakeError::Reset,
        kind => HandshakeError::Failed(kind),
    });
    Refused::Handshake(cause, client)
}

/// The PROXY header that a destination is sent.
fn header(destination: &Destination, addresses: &Addresses, facts: &ClientFacts<'_>) -> Option<Vec<u8>> {
    Some(match destination.proxy_protocol? {
        ProxyProtocol::V1 => proxy_protocol::encode_v1(addresses),
        ProxyProtocol::V2 => proxy_protocol::encode_v2(addresses, facts),
    })
}

/// Reads a client's stream while its upstream is being reached; returns its end. What does not fit within a bound stays in the
/// kernel, and then no end is seen.
///
/// Dropping the future loses nothing.
async fn client_end(side: &mut Side<Socket>, read: &mut BytesMut) -> Arrival {
    poll_fn(|cx| {
        while read.len() < EARLY_MAX {
            read.reserve(EARLY_MAX - read.len());
            match side.poll_receive(cx, read) {
                Poll::Ready(Arrival::Data) => {}
                Poll::Ready(end) => return Poll::Ready(end),
                Poll::Pending if read.is_empty() => {
                    // A client that waits holds no buffer.
                    *read = BytesMut::new();
                    return Poll::Pending;
                }
                Poll::Pending => break,
            }
        }
        Poll::Pending
    })
    .await
}

/// As people write it: an IPv4 address that came over IPv6 is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The fatal alert, as a record of TLS 1.2.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// What a session that waits costs beside its streams, in bytes; a test compares.
#[cfg(test)]
const FUTURE_MAX: usize = 3584;

/// How long an upstream may still be reached for a client that has left with its stream not complete.
const GONE: Duration = Duration::from_secs(1);

/// How much is read of a client while its upstream is being reached, in bytes.
const EARLY_MAX: usize = 16 * 1024;

/// How long, and over how many bytes, a connection whose handshake was refused is kept so that the alert arrives.
const REFUSED: Linger = Linger { idle: Duration::from_secs(2), time: Duration::from_secs(2), bytes: 256 * 1024 };

#[cfg(test)]
mod size {
    use super::*;

    type Serve<F> = fn(Arc<Shared>, Arc<Listener>, Socket, Option<SocketAddr>, Option<Place>) -> F;

    fn of<F>(_: Serve<F>) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_session_takes_little_room_while_it_relays() {
        let size = of(serve);
        assert!(size <= FUTURE_MAX, "{size} bytes");
    }
}
