//! Ends a session's connections when the relay is over, by one rule: a side that has been told that it has everything is closed
//! so that it gets it; every other side is reset, after what had arrived for it.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use closenotify::{Deadline, Linger, ReceivedEnding, SentEnding};

use crate::events::{Received, Sent};
use crate::relay::{Side, TcpEnding, TcpLeg, TlsLeg};
use crate::shutdown::Shutdown;
use crate::socket::{Socket, Transport as _};
use crate::tcp_end::{Settled, Until, settle};

/// What the end of a connection depends on beside the connection.
pub(super) struct Ends<'a> {
    pub(super) abort: &'a Shutdown,
    /// The deadline that ended the relay. Then nobody is waited for: the peers have had their time.
    pub(super) stopped: Option<Deadline>,
    /// How long a peer may take nothing of what is left for it.
    pub(super) half_close: Duration,
}

/// How the relay left a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// It was sending more than the other side took.
    pub(super) sending: bool,
    /// It takes nothing more: its connection was found to be reset.
    pub(super) gone: bool,
}

/// How a connection ended.
pub(super) struct End {
    pub(super) received: Received,
    pub(super) sent: Sent,
    /// Bytes that were read and discarded,
    pub(super) discarded: u64,
    /// and those that came after a close_notify.
    pub(super) trailing: u64,
    /// The deadline that passed while the peer took what was left for it.
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
        let mut stream = leg.into_stream();
        match sent {
            // It has been told that it has everything, or why not: it must get that.
            Some(sent @ (SentEnding::CloseNotify | SentEnding::Alert(_))) => {
                let socket = stream.get_mut().0.get_mut();
                socket.disarm();
                let unacknowledged = socket.unacknowledged_at_drop();
                stream.set_send_queue(|io| io.get_ref().unsent());
                let ended = tokio::select! {
                    biased;
                    ended = stream.close(Linger::default()) => Some(ended),
                    () = self.abort.aborting() => None,
                };
                let last = match (self.stopped, &ended) {
                    (Some(deadline), _) => ReceivedEnding::TimedOut(deadline),
                    (None, Some(ended)) => ended.received.clone(),
                    (None, None) => ReceivedEnding::TimedOut(Deadline::Drain),
                };
                // After a FIN of the peer's the kernel goes on delivering; a reset has destroyed what was left.
                let reset = ended.as_ref().and_then(|ended| ended.error.as_ref()).map(|error| error.kind());
                let sent = match reset {
                    Some(kind) if unacknowledged.load(Ordering::Acquire) > 0 => SentEnding::Failed(kind),
                    _ => sent,
                };
                End {
                    received: received.unwrap_or(last).into(),
                    sent: sent.into(),
                    discarded: ended.as_ref().map_or(0, |ended| ended.discarded),
                    trailing: looked + ended.map_or(0, |ended| ended.trailing),
                    late: None,
                }
            }
            sent => {
                let gone = left.gone || received == Some(ReceivedEnding::Reset);
                let sent = sent.unwrap_or(match self.stopped {
                    Some(deadline) => SentEnding::TimedOut(deadline),
                    // Its reset came before what we sent was complete.
                    None if gone => SentEnding::Failed(io::ErrorKind::ConnectionReset),
                    None => SentEnding::Aborted,
                });
                let mut io = stream.into_inner().0.into_inner();
                let settled = match gone {
                    true => None,
                    false => self.settle(&mut io, Until::Reset, RESET_PATIENCE, left.sending).await,
                };
                io.arm();
                End {
                    received: received.unwrap_or(not_received(self.stopped)).into(),
                    sent: sent.into(),
                    discarded: settled.map_or(0, |settled| settled.discarded),
                    trailing: looked,
                    late: None,
                }
            }
        }
    }

    async fn end_tcp(&self, leg: TcpLeg<Socket>, left: Left) -> End {
        let received = leg.received();
        let sent = leg.sent();
        let mut io = leg.into_inner();
        let finished = sent == Some(TcpEnding::Fin);
        let (mut late, mut lost, mut discarded) = (None, false, 0);
        if finished && received == Some(TcpEnding::Fin) {
            // Both ends have been exchanged: nothing can destroy what is still under way.
            drop(io);
        } else if finished {
            let settled = self.settle(&mut io, Until::PeerEnds, self.half_close, false).await;
            if let Some(settled) = settled {
                discarded = settled.discarded;
                late = (!settled.delivered && !settled.ended).then_some(Deadline::HalfClose);
                lost = !settled.delivered && settled.ended;
            }
            io.arm();
        } else {
            let settled = self.settle(&mut io, Until::Reset, RESET_PATIENCE, left.sending).await;
            discarded = settled.map_or(0, |settled| settled.discarded);
            io.arm();
        }
        let (no_end, by_us) = match self.stopped {
            Some(deadline) => (TcpEnding::TimedOut(deadline), TcpEnding::TimedOut(deadline)),
            // It was gone before we could end it.
            None if left.gone => (TcpEnding::Abandoned, TcpEnding::Failed(io::ErrorKind::ConnectionReset)),
            None => (TcpEnding::Abandoned, TcpEnding::Reset),
        };
        let sent = match late {
            Some(deadline) => TcpEnding::TimedOut(deadline),
            None if lost => TcpEnding::Failed(io::ErrorKind::ConnectionReset),
            None => sent.unwrap_or(by_us),
        };
        End { received: received.unwrap_or(no_end).into(), sent: sent.into(), discarded, trailing: 0, late }
    }

    /// `None`: nobody is waited for.
    async fn settle(&self, io: &mut Socket, until: Until, patience: Duration, sending: bool) -> Option<Settled> {
        if self.stopped.is_some() {
            return None;
        }
        tokio::select! {
            biased;
            settled = settle(io, until, patience, sending) => Some(settled),
            () = self.abort.aborting() => None,
        }
    }
}

impl Side<Socket> {
    /// The socket under it.
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Tls(leg) => leg.transport(),
            Self::Tcp(leg) => leg.transport(),
        }
    }

    /// How its peer's stream ended, where the session ends before the relay.
    pub(super) fn not_received(&self, stopped: Option<Deadline>) -> Received {
        match self {
            Self::Tls(leg) => leg.received().cloned().unwrap_or(not_received(stopped)).into(),
            Self::Tcp(leg) => {
                let none = stopped.map_or(TcpEnding::Abandoned, TcpEnding::TimedOut);
                leg.received().unwrap_or(none).into()
            }
        }
    }

    /// How the stream to it ended, where the session ends before the relay.
    pub(super) fn not_sent(&self, stopped: Option<Deadline>) -> Sent {
        match self {
            Self::Tls(leg) if leg.received() == Some(&ReceivedEnding::Reset) => {
                SentEnding::Failed(io::ErrorKind::ConnectionReset).into()
            }
            Self::Tls(_) => stopped.map_or(SentEnding::Aborted, SentEnding::TimedOut).into(),
            Self::Tcp(_) => stopped.map_or(TcpEnding::Reset, TcpEnding::TimedOut).into(),
        }
    }
}

fn not_received(stopped: Option<Deadline>) -> ReceivedEnding {
    stopped.map_or(ReceivedEnding::Abandoned, ReceivedEnding::TimedOut)
}

/// How long a reset waits, at most, while the peer takes nothing of what had arrived for it.
const RESET_PATIENCE: Duration = Duration::from_secs(5);
