//! One session from the accepted connection to its line in the ledger: handshake, upstream, relay, and how each of the two
//! connections is ended.
//!
//! What is carried from one side to the other is the relay's; what is done with a connection when that is over is decided
//! here, by one rule: a side that has been told that it has everything is closed so that it gets it, every other side is
//! reset, behind what had arrived for it.

use crate::address::HostPort;
use crate::config::SpinAction;
use crate::config::{Timeouts, TruncationPolicy};
use crate::ledger::{EndedFirst, Entry, Ledger, Phase};
use crate::relay::{First, Guard, Leg, Limits, Outcome, Relay, Report, TcpEnding, TcpLeg, TlsLeg};
use crate::shutdown::Shutdown;
use crate::socket::{Socket, Transport};
use crate::tcp_end::{Until, settle};
use closenotify::{
    Deadline, HandshakeError, Linger, ReceivedEnding, SentEnding, TlsAcceptor, io_kind_word, linger, server,
};
use pollcheck::meter::{Counts, Metered, Spin};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// What all sessions of a proxy share.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) upstream: HostPort,
    pub(crate) truncation: TruncationPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) ledger: Ledger,
    /// Ordered to abort when sessions that still run must end.
    pub(crate) abort: Shutdown,
}

/// Serves the connection with this number, as accepted, to its end; says whether it was aborted by order.
///
/// Dropping the future drops both connections where they are, and writes no line.
pub(crate) async fn serve(sessions: Arc<Sessions>, number: u64, client: TcpStream, address: SocketAddr) -> bool {
    let mut entry = Entry::new(number, address);
    let started = Instant::now();
    let aborted = sessions.run(client, &mut entry, started).await;
    entry.duration_ms = millis(started.elapsed());
    sessions.ledger.session(&entry);
    aborted
}

type Client = server::TlsStream<Metered<Socket>>;

impl Sessions {
    async fn run(&self, client: TcpStream, entry: &mut Entry, started: Instant) -> bool {
        let client = Socket::from(client);
        let handshake = tokio::select! {
            biased;
            result = self.acceptor.accept(Metered::new(client)).into_fallible() => result,
            () = self.abort.aborting() => {
                entry.handshake_failed(&HandshakeError::TimedOut(Deadline::Drain));
                return true;
            }
        };
        entry.handshake_ms = millis(started.elapsed());
        let client = match handshake {
            Ok(client) => client,
            Err((error, client)) => {
                self.refuse(entry, &error, client.into_inner()).await;
                return false;
            }
        };
        entry.facts(client.facts());

        entry.phase = Phase::Connect;
        let connected = tokio::select! {
            biased;
            result = self.connect() => result,
            () = self.abort.aborting() => {
                entry.ended_first = Some(EndedFirst::Proxy);
                entry.explain(Deadline::Drain.to_string() + " passed while the upstream was being reached");
                entry.client_ended(&ReceivedEnding::TimedOut(Deadline::Drain), &SentEnding::TimedOut(Deadline::Drain));
                drop(client);
                return true;
            }
        };
        let (upstream, address) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                entry.ended_first = Some(EndedFirst::Upstream);
                entry.upstream_received = Some(format!("failed_{}", io_kind_word(error.kind())).into());
                entry.explain(format!("cannot reach the upstream {}: {error}", self.upstream));
                entry.client_ended(&ReceivedEnding::Abandoned, &SentEnding::Aborted);
                drop(client);
                return false;
            }
        };
        entry.upstream = Some(address);
        entry.phase = Phase::Relay;
        self.relay(client, upstream, entry).await
    }

    /// Connects to the first of the upstream's addresses that answers.
    async fn connect(&self) -> io::Result<(Socket, SocketAddr)> {
        let attempt = async {
            let mut failure = None;
            for address in self.upstream.resolve().await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok((stream.into(), address)),
                    Err(error) => failure = Some(error),
                }
            }
            Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
        };
        timeout(self.timeouts.connect, attempt).await.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn relay(&self, client: Client, upstream: Socket, entry: &mut Entry) -> bool {
        let mut client = TlsLeg::new(client, self.truncation);
        let mut upstream = TcpLeg::new(upstream);
        let limits = Limits { idle: self.timeouts.idle, half_close: self.timeouts.half_close, until: None };
        let Relayed { report, counts, spin, aborted } = relay(&mut client, &mut upstream, limits, &self.abort).await;

        entry.polls = counts.polls;
        entry.wasted_polls = counts.wasted;
        entry.bytes_from_client = report.bytes_a_to_b;
        entry.bytes_from_upstream = report.bytes_b_to_a;
        entry.ended_first = report.first.map(|first| match first {
            First::A => EndedFirst::Client,
            First::B => EndedFirst::Upstream,
            First::Proxy => EndedFirst::Proxy,
        });
        if let Some(deadline) = report.timed_out {
            entry.explain(format!("{deadline} passed"));
        }
        if let Some(Spin { wasted, within, .. }) = spin {
            entry.explain(format!("the proxy spun, {wasted} polls for nothing within {within:.0?}: please report it"));
        }
        if report.b_to_a == Some(Outcome::SinkGone) && client.sent().is_none() {
            entry.explain("client: it reset the connection before its answer was complete".into());
        }
        // The two wait for different peers: neither keeps the other waiting.
        entry.trailing_bytes = client.looked();
        let ((received, sent, discarded, trailing), (upstream_received, upstream_sent)) =
            tokio::join!(self.end_client(client, &report), self.end_upstream(upstream, &report));
        entry.discarded_bytes = discarded;
        entry.trailing_bytes += trailing;
        // The side that ended first has the first word on why.
        if report.first == Some(First::B) {
            entry.upstream_ended(upstream_received, upstream_sent);
            entry.client_ended(&received, &sent);
        } else {
            entry.client_ended(&received, &sent);
            entry.upstream_ended(upstream_received, upstream_sent);
        }
        aborted
    }

    /// A handshake that failed has sent its alert; the connection is ended so that it arrives.
    async fn refuse(&self, entry: &mut Entry, error: &io::Error, client: Socket) {
        client.disarm();
        // An error of the transport comes as it is.
        let cause = HandshakeError::find(error).cloned().unwrap_or_else(|| match error.kind() {
            io::ErrorKind::ConnectionReset => HandshakeError::Reset,
            kind => HandshakeError::Failed(kind),
        });
        entry.handshake_failed(&cause);
        match cause {
            HandshakeError::Truncated { .. }
            | HandshakeError::Reset
            | HandshakeError::Failed(_)
            | HandshakeError::TimedOut(_) => drop(client),
            _ => {
                tokio::select! {
                    biased;
                    _discarded = linger(client, REFUSED) => {}
                    () = self.abort.aborting() => {}
                }
            }
        }
    }

    /// Ends the client's connection, and returns how its two halves ended, how much was discarded, and how much of that came
    /// after its close_notify.
    async fn end_client(&self, leg: TlsLeg<Socket>, report: &Report) -> (ReceivedEnding, SentEnding, u64, u64) {
        let given_up = report.timed_out.map_or(ReceivedEnding::Abandoned, ReceivedEnding::TimedOut);
        let received = leg.received().cloned();
        let sent = leg.sent().cloned();
        let mut stream = leg.into_stream();
        stream.set_send_queue(|io| io.get_ref().unsent());
        match sent {
            // It has been told that it has everything, or why not: it must get that.
            Some(sent @ (SentEnding::CloseNotify | SentEnding::Alert(_))) => {
                let (last, discarded, trailing) = tokio::select! {
                    biased;
                    ended = stream.close(Linger::default()) => (ended.received, ended.discarded, ended.trailing),
                    () = self.abort.aborting() => (ReceivedEnding::TimedOut(Deadline::Drain), 0, 0),
                };
                let received = received.unwrap_or(match report.timed_out {
                    Some(_) => given_up,
                    None => last,
                });
                (received, sent, discarded, trailing)
            }
            sent => {
                let reset = received == Some(ReceivedEnding::Reset);
                let sent = sent.unwrap_or(match report.timed_out {
                    Some(deadline) => SentEnding::TimedOut(deadline),
                    // Its reset came while the answer flowed.
                    None if reset => SentEnding::Failed(io::ErrorKind::ConnectionReset),
                    None => SentEnding::Aborted,
                });
                let mut io = stream.into_inner().0.into_inner();
                let mut discarded = 0;
                if report.timed_out.is_none() && !reset {
                    tokio::select! {
                        biased;
                        settled = settle(&mut io, Until::Reset, RESET_PATIENCE, report.sending[0]) => {
                            discarded = settled.discarded;
                        }
                        () = self.abort.aborting() => {}
                    }
                }
                io.arm();
                (received.unwrap_or(given_up), sent, discarded, 0)
            }
        }
    }

    /// Ends the upstream's connection, and says how its two directions ended.
    async fn end_upstream(&self, leg: TcpLeg<Socket>, report: &Report) -> (TcpEnding, TcpEnding) {
        let received = leg.received();
        let mut sent = leg.sent();
        let mut io = leg.into_inner();
        let finished = sent == Some(TcpEnding::Fin);
        if finished && received == Some(TcpEnding::Fin) {
            // Both ends have been exchanged: nothing can destroy what is still under way.
            drop(io);
        } else if finished && report.timed_out.is_none() {
            let settled = tokio::select! {
                biased;
                settled = settle(&mut io, Until::PeerEnds, self.timeouts.half_close, false) => Some(settled),
                () = self.abort.aborting() => None,
            };
            if settled.is_some_and(|settled| !settled.delivered) {
                sent = Some(TcpEnding::TimedOut(Deadline::HalfClose));
            }
            io.arm();
        } else {
            if report.timed_out.is_none() {
                tokio::select! {
                    biased;
                    _settled = settle(&mut io, Until::Reset, RESET_PATIENCE, false) => {}
                    () = self.abort.aborting() => {}
                }
            }
            io.arm();
        }
        let (no_end, by_us) = match report.timed_out {
            Some(deadline) => (TcpEnding::TimedOut(deadline), TcpEnding::TimedOut(deadline)),
            None => (TcpEnding::Abandoned, TcpEnding::Reset),
        };
        (received.unwrap_or(no_end), sent.unwrap_or(by_us))
    }
}

/// What a relay came to.
struct Relayed {
    report: Report,
    counts: Counts,
    /// What ended it, if that was it.
    spin: Option<Spin>,
    /// Aborting was ordered.
    aborted: bool,
}

/// Relays until the relay is done, spins, or aborting is ordered.
async fn relay<A: Leg, B: Leg>(a: &mut A, b: &mut B, limits: Limits, abort: &Shutdown) -> Relayed {
    let mut relay = Guard::new(Relay::new(a, b, limits), SpinAction::End, |_| {});
    let aborted = tokio::select! {
        biased;
        _reported = &mut relay => false,
        () = abort.aborting() => true,
    };
    if aborted {
        relay.stop(Deadline::Drain);
    }
    Relayed { report: relay.report(), counts: relay.counts(), spin: relay.spin(), aborted }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// How long a reset waits, at most, for the peer to take what had arrived for it.
const RESET_PATIENCE: Duration = Duration::from_secs(5);

/// How long, and over how many bytes, a connection whose handshake was refused is kept so that the alert arrives.
const REFUSED: Linger = Linger { idle: Duration::from_secs(2), time: Duration::from_secs(2), bytes: 256 * 1024 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use std::future::{Future as _, poll_fn};
    use std::io::Write;
    use std::pin::pin;
    use std::sync::Mutex;
    use testkit::certs::{Authority, TlsVersion};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    /// A ledger that can be read.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A whole session over sockets, in a task that wakes itself at every poll of its relay: as the incident did, a core at 100 %.
    #[tokio::test]
    async fn a_session_that_spins_is_reset_and_its_line_says_so() {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lines = Lines::default();
        let (_aborter, abort) = Shutdown::channel();
        let sessions = Arc::new(Sessions {
            acceptor: TlsAcceptor::from(authority.server_config(TlsVersion::Both)),
            upstream: HostPort::parse_target(&upstream.local_addr().unwrap().to_string()).unwrap(),
            truncation: TruncationPolicy::Strict,
            timeouts: Timeouts::default(),
            ledger: Ledger::new(LogFormat::Json, Box::new(lines.clone())),
            abort,
        });

        let connector = closenotify::TlsConnector::from(authority.client_config(TlsVersion::Both));
        let address = listener.local_addr().unwrap();
        let client = tokio::spawn(async move {
            let tcp = TcpStream::connect(address).await.unwrap();
            let mut client = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
            client.read(&mut [0; 9]).await.map_err(|error| error.kind())
        });
        let upstream = tokio::spawn(async move {
            let (mut tcp, _) = upstream.accept().await.unwrap();
            tcp.read(&mut [0; 9]).await.map_err(|error| error.kind())
        });

        let (tcp, from) = listener.accept().await.unwrap();
        let mut serving = pin!(serve(sessions, 7, tcp, from));
        let mut polls = 0;
        poll_fn(|cx| {
            let polled = serving.as_mut().poll(cx);
            polls += 1;
            // More than there need be: a machine that stands still for a second has polled too slowly for a spin.
            assert!(polls < 10_000_000, "nobody ends it");
            if polled.is_pending() {
                cx.waker().wake_by_ref();
            }
            polled.map(|aborted| assert!(!aborted))
        })
        .await;

        assert_eq!(client.await.unwrap(), Err(io::ErrorKind::ConnectionReset));
        assert_eq!(upstream.await.unwrap(), Err(io::ErrorKind::ConnectionReset));
        let line: serde_json::Value = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap();
        assert_eq!(line["session"], 7, "{line}");
        assert_eq!(line["ended_first"], "proxy", "{line}");
        assert_eq!(line["client_sent"], "aborted", "{line}");
        assert_eq!(line["upstream_sent"], "reset", "{line}");
        assert!(line["wasted_polls"].as_u64().unwrap() >= 10_000, "{line}");
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.starts_with("the proxy spun, 10000 polls for nothing within "), "{reason}");
    }
}
