//! Ends a session's connections when the relay is over, by one rule: a side that has been told that it has everything is closed
//! so that it gets it; every other side is reset, after what had arrived for it.

use std::future::pending;
use std::io;
use std::time::Duration;

use closenotify::{Deadline, Linger, ReceivedEnding, SentEnding, TlsStream};
use pollcheck::meter::Metered;
use tokio::time::{Instant, sleep_until};

use crate::events::{Received, Sent};
use crate::relay::{Sending, Side, TcpEnding, TcpLeg, TlsLeg};
use crate::shutdown::Shutdown;
use crate::socket::{Socket, Transport as _};
use crate::tcp_end::{Ending, Session, Settled, Until, settle};

/// What the end of a connection depends on beside the connection.
pub(super) struct Ends<'a> {
    pub(super) abort: &'a Shutdown,
    /// The deadline that ended the relay. Then nobody is waited for: the peers have had their time.
    pub(super) stopped: Option<Deadline>,
    /// How long a peer may take nothing of what is left for it.
    pub(super) half_close: Duration,
    /// When the session must be over.
    pub(super) until: Option<Instant>,
}

/// How the relay left a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// Whether it was sending.
    pub(super) sending: Sending,
    /// It takes nothing more: its connection was found to be reset.
    pub(super) gone: bool,
}

/// How a complete stream was let go.
struct LetGo {
    /// Its peer has acknowledged all of it.
    delivered: bool,
    /// The deadline for which it was reset, undelivered.
    reset_for: Option<Deadline>,
}

/// How a connection ended.
pub(super) struct End {
    pub(super) received: Received,
    pub(super) sent: Sent,
    /// Bytes that were read and discarded,
    pub(super) discarded: u64,
    /// and those that came after a close_notify.
    pub(super) trailing: u64,
    /// The deadline that ended it, where the relay had come to its own end.
    pub(super) late: Option<Deadline>,
}

impl Ends<'_> {
    /// Ends a connection, whose peer was left in this state.
    pub(super) async fn end(&self, side: Side<Socket>, left: Left) -> End {
        match side {
            Side::Tls(leg) => self.end_tls(*leg, left).await,
            Side::Tcp(leg) => self.end_tcp(leg, left).await,
        }
    }

    async fn end_tls(&self, leg: TlsLeg<Socket>, left: Left) -> End {
        let received = leg.received().cloned();
        let sent = leg.sent().cloned();
        let looked = leg.looked();
        let stream = leg.into_stream();
        match sent {
            Some(sent @ (SentEnding::CloseNotify | SentEnding::Alert(_))) => {
                self.end_complete_tls(stream, received, sent, looked).await
            }
            sent => {
                // A reset that lies after bytes that nobody will read is known all the same.
                let unread = received.is_none() && stream.get_ref().0.get_ref().is_dead();
                let received = if unread { Some(ReceivedEnding::Reset) } else { received };
                let gone = left.gone || received == Some(ReceivedEnding::Reset);
                let sent = sent.unwrap_or(match self.stopped {
                    Some(deadline) => SentEnding::TimedOut(deadline),
                    // Its reset came before what we sent was complete.
                    None if gone => SentEnding::Failed(io::ErrorKind::ConnectionReset),
                    None => SentEnding::Aborted,
                });
                let mut io = stream.into_inner().0.into_inner();
                let waited = match gone {
                    true => Ok(None),
                    false => self.settle(&mut io, Until::Quiet, RESET_PATIENCE, left.sending).await.map(Some),
                };
                io.arm();
                End {
                    received: received.unwrap_or(not_received(self.stopped)).into(),
                    sent: sent.into(),
                    discarded: waited.ok().flatten().map_or(0, |settled| settled.discarded),
                    trailing: looked,
                    late: None,
                }
            }
        }
    }

    /// It has been told that it has everything, or why not: it must get that.
    async fn end_complete_tls(
        &self,
        mut stream: TlsStream<Metered<Socket>>,
        received: Option<ReceivedEnding>,
        mut sent: SentEnding,
        looked: u64,
    ) -> End {
        stream.get_ref().0.get_ref().disarm();
        let waited = self.settle(&mut Session(&mut stream), Until::Delivered, self.half_close, Sending::No).await;
        let mut discarded = waited.as_ref().map_or(0, |settled| settled.discarded);
        let (mut late, mut over, mut last, mut trailing) = (None, None, None, looked);
        match waited {
            Ok(Settled { delivered: true, .. }) => {
                stream.set_send_queue(|io| io.get_ref().unsent());
                match self.unless_over(stream.close(Linger::default())).await {
                    Ok(ended) => {
                        discarded += ended.discarded;
                        trailing += ended.trailing;
                        last = Some(ended.received);
                    }
                    // Everything is delivered: what was cut short is only the wait for the client's end.
                    Err(deadline) => over = Some(deadline),
                }
            }
            Ok(_) => {
                let dead = stream.get_ref().0.get_ref().is_dead();
                let seen = stream.received_ending().cloned();
                let socket = stream.get_ref().0.get_ref();
                sent = if dead {
                    last = Some(seen.unwrap_or(ReceivedEnding::Reset));
                    if socket.has_lost() { SentEnding::Failed(io::ErrorKind::ConnectionReset) } else { sent }
                } else {
                    last = seen;
                    late = Some(Deadline::HalfClose);
                    SentEnding::TimedOut(Deadline::HalfClose)
                };
                stream.get_ref().0.get_ref().arm();
            }
            Err(deadline) => {
                over = Some(deadline);
                last = stream.received_ending().cloned();
                let gone = self.let_go(stream.get_mut().0.get_mut()).await;
                late = (!gone.delivered).then_some(deadline);
                if let Some(deadline) = gone.reset_for {
                    sent = SentEnding::TimedOut(deadline);
                }
            }
        }
        let received = received.or(last).unwrap_or(not_received(self.stopped.or(over)));
        let late = if self.stopped.is_some() { None } else { late };
        End { received: received.into(), sent: sent.into(), discarded, trailing, late }
    }

    async fn end_tcp(&self, leg: TcpLeg<Socket>, left: Left) -> End {
        let received = leg.received();
        let mut sent = leg.sent();
        let mut io = leg.into_inner();
        let finished = sent == Some(TcpEnding::Fin);
        let (mut late, mut over, mut discarded) = (None, None, 0);
        if finished && received == Some(TcpEnding::Fin) {
            // Both ends have been exchanged: nothing can destroy what is still under way.
            drop(io);
        } else if finished {
            match self.settle(&mut io, Until::PeerEnds, self.half_close, Sending::No).await {
                Ok(settled) => {
                    discarded = settled.discarded;
                    if !settled.delivered && io.is_dead() {
                        if io.has_lost() {
                            sent = Some(TcpEnding::Failed(io::ErrorKind::ConnectionReset));
                        }
                    } else if !settled.delivered {
                        late = Some(Deadline::HalfClose);
                        sent = Some(TcpEnding::TimedOut(Deadline::HalfClose));
                    }
                    io.arm();
                }
                Err(deadline) => {
                    over = Some(deadline);
                    let gone = self.let_go(&mut io).await;
                    late = (!gone.delivered).then_some(deadline);
                    if let Some(deadline) = gone.reset_for {
                        sent = Some(TcpEnding::TimedOut(deadline));
                    }
                }
            }
        } else {
            let waited = self.settle(&mut io, Until::Quiet, RESET_PATIENCE, left.sending).await;
            discarded = waited.map_or(0, |settled| settled.discarded);
            io.arm();
        }
        let (no_end, by_us) = match self.stopped.or(late).or(over) {
            Some(deadline) => (TcpEnding::TimedOut(deadline), TcpEnding::TimedOut(deadline)),
            // It was gone before we could end it.
            None if left.gone => (TcpEnding::Abandoned, TcpEnding::Failed(io::ErrorKind::ConnectionReset)),
            None => (TcpEnding::Abandoned, TcpEnding::Reset),
        };
        let late = if self.stopped.is_some() { None } else { late };
        let (received, sent) = (received.unwrap_or(no_end), sent.unwrap_or(by_us));
        End { received: received.into(), sent: sent.into(), discarded, trailing: 0, late }
    }

    /// Lets a connection go over which everything was sent, FIN included, when it is over for the session. What the peer has not
    /// acknowledged is left to the kernel, unless the peer has had its time and took nothing: then it is reset.
    async fn let_go(&self, io: &mut Socket) -> LetGo {
        if let Some(deadline @ (Deadline::Idle | Deadline::HalfClose)) = self.stopped {
            let delivered = io.unsent().unwrap_or(0) == 0;
            io.arm();
            return LetGo { delivered, reset_for: (!delivered).then_some(deadline) };
        }
        // An acknowledgement may be on its way.
        let settled = settle(io, Until::Delivered, LAST_ACKNOWLEDGEMENT, Sending::No).await;
        LetGo { delivered: settled.delivered, reset_for: None }
    }

    /// As [`settle`]; the deadline where it is over before.
    async fn settle<T: Ending>(
        &self,
        io: &mut T,
        until: Until,
        patience: Duration,
        sending: Sending,
    ) -> Result<Settled, Deadline> {
        self.unless_over(settle(io, until, patience, sending)).await
    }

    /// What a wait returns, unless the session is over: because a deadline has ended the relay, its lifetime is, or aborting
    /// was ordered.
    async fn unless_over<T>(&self, wait: impl Future<Output = T>) -> Result<T, Deadline> {
        if let Some(deadline) = self.stopped {
            return Err(deadline);
        }
        let lifetime = async {
            match self.until {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            done = wait => Ok(done),
            () = self.abort.aborting() => Err(Deadline::Drain),
            () = lifetime => Err(Deadline::Lifetime),
        }
    }
}

fn not_received(stopped: Option<Deadline>) -> ReceivedEnding {
    stopped.map_or(ReceivedEnding::Abandoned, ReceivedEnding::TimedOut)
}

/// How long a reset waits, at most, while the peer takes nothing of what had arrived for it.
const RESET_PATIENCE: Duration = Duration::from_secs(5);

/// How long an acknowledgement is waited for at most: twice as long as Linux delays one.
const LAST_ACKNOWLEDGEMENT: Duration = Duration::from_millis(80);
