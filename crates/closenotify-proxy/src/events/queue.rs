//! The bounded queue between those who report and the one thread that writes.
//!
//! Pushing never waits for the writer. When the queue is full a line is dropped and counted, at its place in the queue, so that
//! the log says where lines are missing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The queue, and what is known of the writing.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer waits for this: there is something to do.
    work: Condvar,
    /// Whoever flushes waits for this: lines were written, or cannot be.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// Of the lines in `items`, and of those that the writer has taken and not yet written.
    bytes: usize,
    lines: usize,
    reopen: bool,
    /// Nobody can push any more.
    closed: bool,
    counts: LineCounts,
    /// Lines that were lost, of which no line that is written says so.
    unreported: u64,
    /// Writes that failed.
    failures: u64,
    /// The writer is asked to try again at once.
    hurry: bool,
}

/// A part of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// With its newline.
    Line(String),
    /// So many lines would have stood here.
    Lost(u64),
}

/// How many lines there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounts {
    /// Written completely.
    pub(crate) written: u64,
    /// Dropped, because the queue was full.
    pub(crate) lost: u64,
    /// Not written yet.
    pub(crate) waiting: u64,
}

/// What the writer is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Write these.
    Write(Vec<Item>),
    /// Open the log anew.
    Reopen,
    /// Nobody can push any more, and nothing is left.
    Over,
}

impl Queue {
    /// Adds a line, or counts it as lost.
    pub(super) fn push(&self, mut line: String) {
        line.push('\n');
        let mut state = self.lock();
        if state.bytes + line.len() > BYTES_MAX || state.lines >= LINES_MAX {
            state.counts.lost += 1;
            state.unreported += 1;
            match state.items.back_mut() {
                Some(Item::Lost(lost)) => *lost += 1,
                _ => state.items.push_back(Item::Lost(1)),
            }
            return;
        }
        state.bytes += line.len();
        state.lines += 1;
        state.items.push_back(Item::Line(line));
        drop(state);
        self.work.notify_one();
    }

    /// Asks the writer to open the log anew.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.work.notify_one();
    }

    /// Says that nobody can push any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
        self.progress.notify_all();
    }

    /// Whether the log is to be opened anew; says so once.
    pub(super) fn wants_reopen(&self) -> bool {
        std::mem::take(&mut self.lock().reopen)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn counts(&self) -> LineCounts {
        let state = self.lock();
        LineCounts { waiting: state.lines as u64, ..state.counts }
    }

    /// How many lines are not written, and will not be if nothing is written any more: those that wait, and those that were lost
    /// without a line that says so.
    pub(super) fn unwritten(&self) -> u64 {
        let state = self.lock();
        state.lines as u64 + state.unreported
    }

    /// Waits until everything pushed before is written, or cannot be written now, or `limit` has passed. Returns whether
    /// everything is written.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let now = Instant::now();
        // Years are for ever here.
        let deadline = now.checked_add(limit).unwrap_or(now + YEAR);
        let mut state = self.lock();
        state.hurry = true;
        self.work.notify_one();
        // One more may be under way that failed for what was true before.
        let failures = state.failures + 1;
        loop {
            if state.lines == 0 && state.items.is_empty() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.failures > failures || state.closed {
                return false;
            }
            state = self.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The writer's next work, when there is some. A reopen comes first.
    pub(super) fn next(&self) -> Work {
        let mut state = self.lock();
        loop {
            state.hurry = false;
            if std::mem::take(&mut state.reopen) {
                return Work::Reopen;
            }
            if !state.items.is_empty() {
                let mut size = 0;
                let fits = |item: &&Item| {
                    size += if let Item::Line(line) = item { line.len() } else { 0 };
                    size <= CHUNK
                };
                // The first goes alone where it does not fit.
                let count = state.items.iter().take_while(fits).count().max(1);
                return Work::Write(state.items.drain(..count).collect());
            }
            if state.closed {
                return Work::Over;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The writer has written so many lines of so many bytes, and that so many were lost.
    pub(super) fn written(&self, lines: usize, bytes: usize, lost: u64) {
        let mut state = self.lock();
        state.unreported -= lost;
        state.lines -= lines;
        state.bytes -= bytes;
        state.counts.written += lines as u64;
        drop(state);
        self.progress.notify_all();
    }

    /// The writer has given so many lines of so many bytes up.
    pub(super) fn gave_up(&self, lines: usize, bytes: usize) {
        let mut state = self.lock();
        state.lines -= lines;
        state.bytes -= bytes;
        state.counts.lost += lines as u64;
        drop(state);
        self.progress.notify_all();
    }

    /// The writer cannot write now: waits until it is asked to hurry, to reopen or to end, or `pause` has passed. Returns
    /// whether it is to reopen first.
    pub(super) fn failed(&self, pause: Duration) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        self.progress.notify_all();
        let calm = |state: &mut State| !(state.hurry || state.reopen || state.closed);
        let waited = self.work.wait_timeout_while(state, pause, calm);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.hurry = false;
        std::mem::take(&mut state.reopen)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is half done where a panic could come.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How much may wait: some thousand lines, for a reader that stands still for a moment.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many lines may wait, however short they are.
const LINES_MAX: usize = 65_536;

/// How much is written at once.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_at_the_place_of_the_loss() {
        let queue = Queue::default();
        let long = "x".repeat(BYTES_MAX / 4);
        for _ in 0..6 {
            queue.push(long.clone());
        }
        assert_eq!(queue.counts(), LineCounts { written: 0, lost: 3, waiting: 3 });
        assert_eq!(queue.unwritten(), 6);
        let Work::Write(first) = queue.next() else { panic!("there are lines") };
        assert_eq!(first.len(), 1, "a line longer than a chunk goes alone");
        queue.written(1, long.len() + 1, 0);
        queue.push("there is room again".into());
        let mut rest = Vec::new();
        while rest.len() < 4 {
            let Work::Write(items) = queue.next() else { panic!("there are lines") };
            rest.extend(items);
        }
        assert_eq!(rest[2..], [Item::Lost(3), Item::Line("there is room again\n".into())]);
        assert_eq!(queue.counts(), LineCounts { written: 1, lost: 3, waiting: 3 });
        queue.written(2, 2 * (long.len() + 1), 3);
        assert_eq!(queue.unwritten(), 1, "that lines were lost is written");
    }

    #[test]
    fn short_lines_are_bounded_by_their_number() {
        let queue = Queue::default();
        for _ in 0..LINES_MAX + 2 {
            queue.push(String::new());
        }
        assert_eq!(queue.counts().lost, 2);
    }

    #[test]
    fn a_closed_queue_is_over_when_it_is_empty() {
        let queue = Queue::default();
        queue.push("last".into());
        queue.close();
        assert_eq!(queue.next(), Work::Write(vec![Item::Line("last\n".into())]));
        queue.written(1, 5, 0);
        assert_eq!(queue.next(), Work::Over);
        assert!(queue.flush(Duration::MAX));
    }
}
