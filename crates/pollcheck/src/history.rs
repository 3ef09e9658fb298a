//! What happened in a run, event by event, in words short enough to read.
//!
//! The history is for people. Nothing is decided from it: the rules read the state of the world.

use std::fmt;
use std::io;

/// An end of the link, and the stream that stands on it. A link has these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first transport, and what was made of it.
    Left,
    /// The second transport, and what was made of it.
    Right,
}

impl Side {
    /// Both, left first.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Left => "left",
            Self::Right => "right",
        })
    }
}

/// A method of a stream. The two traits have these four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `poll_read`.
    Read,
    /// `poll_write` and `poll_write_vectored`.
    Write,
    /// `poll_flush`.
    Flush,
    /// `poll_shutdown`.
    Shutdown,
}

impl Op {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Flush, Self::Shutdown];

    /// The half whose waker the method registers: a stream keeps one for reading, and one for all the rest.
    #[must_use]
    pub fn half(self) -> Half {
        match self {
            Self::Read => Half::Reading,
            Self::Write | Self::Flush | Self::Shutdown => Half::Writing,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Shutdown => "shutdown",
        })
    }
}

/// One direction of a stream. A stream has these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// `poll_read`.
    Reading,
    /// `poll_write`, `poll_flush` and `poll_shutdown`.
    Writing,
}

impl Half {
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
        })
    }
}

/// What a poll returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// `Pending`.
    Pending,
    /// `Ready(Ok)` of so many bytes.
    Bytes(usize),
    /// `Ready(Ok)` without bytes, of a read into a buffer with room: the end.
    End,
    /// `Ready(Ok(()))` of a flush or a shutdown.
    Done,
    /// `Ready(Err)`.
    Error(io::ErrorKind),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Bytes(1) => f.write_str("1 byte"),
            Self::Bytes(n) => write!(f, "{n} bytes"),
            Self::End => f.write_str("the end"),
            Self::Done => f.write_str("done"),
            Self::Error(kind) => write!(f, "error: {kind}"),
        }
    }
}

/// How an answer reads in the history.
pub(crate) trait Told {
    fn told(&self, op: Op, size: usize) -> Seen;
}

impl Told for Vec<u8> {
    fn told(&self, _op: Op, size: usize) -> Seen {
        if self.is_empty() && size > 0 { Seen::End } else { Seen::Bytes(self.len()) }
    }
}

impl Told for usize {
    fn told(&self, _op: Op, _size: usize) -> Seen {
        Seen::Bytes(*self)
    }
}

impl Told for () {
    fn told(&self, _op: Op, _size: usize) -> Seen {
        Seen::Done
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A stream under test is polled.
    Poll {
        /// Which.
        side: Side,
        /// With which method.
        op: Op,
        /// The size of the buffer, or 0.
        size: usize,
        /// The number of the waker; a half's next poll may come with a new one.
        waker: u64,
        /// Nobody woke: the checker polls to learn whether a wake was lost.
        unwoken: bool,
    },
    /// In that poll the stream asked its transport.
    Transport {
        /// Which transport.
        side: Side,
        /// With which method.
        op: Op,
        /// The transport's answer.
        seen: Seen,
        /// Why, if the schedule or a fault had a hand in it.
        why: &'static str,
    },
    /// The stream's answer to a poll.
    Answer {
        /// Which stream.
        side: Side,
        /// To which method.
        op: Op,
        /// What.
        seen: Seen,
        /// How many clones of this poll's waker are alive after it.
        kept: usize,
    },
    /// A waker was woken.
    Wake {
        /// Of which stream.
        side: Side,
        /// Of which half.
        half: Half,
        /// Its number.
        waker: u64,
        /// What it was worth.
        worth: Worth,
    },
    /// The last clone of a waiting task's waker was dropped, and nobody had woken it.
    WakerGone {
        /// Of which stream.
        side: Side,
        /// Of which half.
        half: Half,
        /// Its number.
        waker: u64,
    },
    /// A transport that answered `Pending` on the schedule's behalf can go on.
    Release {
        /// Which transport.
        side: Side,
        /// Which method.
        op: Op,
    },
    /// The future of an operation was dropped while it was pending.
    FutureDropped {
        /// On which stream.
        side: Side,
        /// Which operation.
        op: Op,
    },
    /// The scenario goes on to its next part.
    Note(String),
}

/// What a wake was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Worth {
    /// It woke the task that waits.
    Good,
    /// It came from within the task's own poll.
    OwnPoll,
    /// A later poll brought another waker: this wake reaches nobody.
    Stale,
    /// The operation was finished already.
    Late,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll { side, op, size, waker, unwoken } => {
                write!(f, "{side:<5} poll {op}")?;
                if *size > 0 {
                    write!(f, " of {size}")?;
                }
                write!(f, ", waker {waker}")?;
                if *unwoken { f.write_str(", which nobody woke") } else { Ok(()) }
            }
            Self::Transport { side, op, seen, why } => {
                write!(f, "{side:<5}   transport {op}: {seen}")?;
                if why.is_empty() { Ok(()) } else { write!(f, " ({why})") }
            }
            Self::Answer { side, op, seen, kept } => {
                write!(f, "{side:<5} {op}: {seen}")?;
                match (seen, kept) {
                    (Seen::Pending, 0) => f.write_str(", waker not kept"),
                    (Seen::Pending, 1) => f.write_str(", waker kept"),
                    (Seen::Pending, n) => write!(f, ", waker kept {n} times"),
                    _ => Ok(()),
                }
            }
            Self::Wake { side, half, waker, worth } => {
                write!(f, "{side:<5}   wakes waker {waker} of {half}")?;
                f.write_str(match worth {
                    Worth::Good => "",
                    Worth::OwnPoll => ", in its own poll",
                    Worth::Stale => ", which is not the last one",
                    Worth::Late => ", which waits no more",
                })
            }
            Self::WakerGone { side, half, waker } => {
                write!(f, "{side:<5}   waker {waker} of {half} is dropped, not woken")
            }
            Self::Release { side, op } => write!(f, "{side:<5} transport can {op} again"),
            Self::FutureDropped { side, op } => write!(f, "{side:<5} the {op}'s future is dropped"),
            Self::Note(text) => write!(f, "-- {text}"),
        }
    }
}

/// The events of one run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Event>);

impl History {
    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.0
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.0.push(event);
    }
}

/// One event a line; of a long history only both ends.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.len();
        let left_out = if lines > FIRST_LINES + LAST_LINES { FIRST_LINES..lines - LAST_LINES } else { 0..0 };
        for (number, event) in self.0.iter().enumerate() {
            if !left_out.contains(&number) {
                writeln!(f, "{:>5}  {event}", number + 1)?;
            } else if number == left_out.start {
                writeln!(f, "    …  {} events left out", left_out.len())?;
            }
        }
        Ok(())
    }
}

const FIRST_LINES: usize = 12;
const LAST_LINES: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_prints_both_ends() {
        let mut history = History::default();
        for n in 0..100 {
            history.push(Event::Note(format!("event {n}")));
        }
        let text = history.to_string();
        assert_eq!(text.lines().count(), FIRST_LINES + LAST_LINES + 1);
        assert!(text.contains("60 events left out") && text.contains("event 99"), "{text}");
    }

    #[test]
    fn events_read_as_sentences() {
        let event = Event::Poll { side: Side::Left, op: Op::Read, size: 8, waker: 3, unwoken: false };
        assert_eq!(event.to_string(), "left  poll read of 8, waker 3");
        let event = Event::Answer { side: Side::Right, op: Op::Flush, seen: Seen::Pending, kept: 0 };
        assert_eq!(event.to_string(), "right flush: pending, waker not kept");
    }
}
