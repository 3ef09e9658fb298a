//! The last half hour for a person who watches: results over time, the last sessions that did not end clean, the last events.
//!
//! It is a view, not a record: what it holds is bounded by number, and what it drops is in the log and the metrics.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use crate::events::{Entry, Event, SessionResult};

/// What is shown, beside the sessions that run.
#[derive(Debug)]
pub(crate) struct Board {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the newest bucket, and the counts of the last [`BUCKETS`], oldest first.
    newest: u64,
    buckets: VecDeque<[u32; RESULTS]>,
    totals: [u64; RESULTS],
    /// One queue a result, so that many refused scanners do not push a truncated answer out.
    unclean: [VecDeque<Kept<Entry>>; RESULTS],
    events: VecDeque<Kept<Event>>,
    spins: VecDeque<Kept<Event>>,
    certificates: BTreeMap<String, Vec<(PathBuf, SystemTime)>>,
}

/// Something that happened, and when.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    pub(crate) when: SystemTime,
    pub(crate) what: T,
}

/// A copy of everything on the board.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Counts of results in the order of [`SessionResult::ALL`], each over [`BUCKET_SECONDS`]; oldest first, the last one not
    /// over yet.
    pub(crate) buckets: Vec<[u32; RESULTS]>,
    /// Counts since the start.
    pub(crate) totals: [u64; RESULTS],
    /// Newest first.
    pub(crate) unclean: Vec<Kept<Entry>>,
    /// Newest first.
    pub(crate) events: Vec<Kept<Event>>,
    /// Newest first.
    pub(crate) spins: Vec<Kept<Event>>,
    /// Listener, file and expiry.
    pub(crate) certificates: Vec<(String, PathBuf, SystemTime)>,
    /// Seconds since the start.
    pub(crate) uptime: u64,
}

impl Board {
    /// An empty one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, state: Mutex::default() }
    }

    /// Counts a session that is over, and keeps it if it did not end clean.
    pub(crate) fn session(&self, entry: Entry, now: Instant) {
        let result = entry.result();
        let at = SessionResult::ALL.iter().position(|known| *known == result).expect("ALL has all of them");
        let mut state = self.at(now);
        state.totals[at] += 1;
        if let Some(bucket) = state.buckets.back_mut() {
            bucket[at] = bucket[at].saturating_add(1);
        }
        if result != SessionResult::Complete {
            keep(&mut state.unclean[at], Kept { when: SystemTime::now(), what: entry });
        }
    }

    /// Keeps an event, and what follows from it for the certificates.
    pub(crate) fn event(&self, event: &Event) {
        let mut state = self.lock();
        if let Event::Reloaded { removed, .. } = event {
            for listener in removed {
                state.certificates.remove(listener);
            }
        }
        let kept = Kept { when: SystemTime::now(), what: event.clone() };
        if matches!(event, Event::Spin { .. }) {
            keep(&mut state.spins, kept.clone());
        }
        keep(&mut state.events, kept);
    }

    /// Sets the certificates of a listener.
    pub(crate) fn certificates(&self, listener: &str, all: Vec<(PathBuf, SystemTime)>) {
        self.lock().certificates.insert(listener.to_owned(), all);
    }

    /// Everything; of the sessions that did not end clean only those with this `result`, if one is given.
    pub(crate) fn snapshot(&self, result: Option<SessionResult>, now: Instant) -> Snapshot {
        let state = self.at(now);
        let mut unclean: Vec<_> = SessionResult::ALL
            .iter()
            .zip(&state.unclean)
            .filter(|(known, _)| result.is_none_or(|wanted| wanted == **known))
            // Refused ones are many where scanners come by; the others come first.
            .flat_map(|(known, kept)| kept.iter().map(|kept| (*known == SessionResult::Refused, kept)))
            .collect();
        unclean.sort_by_key(|(refused, kept)| (*refused, std::cmp::Reverse(kept.when)));
        unclean.truncate(KEPT);
        let mut unclean: Vec<_> = unclean.into_iter().map(|(_, kept)| kept.clone()).collect();
        unclean.sort_by_key(|kept| std::cmp::Reverse(kept.when));
        let newest_first = |kept: &VecDeque<Kept<Event>>| kept.iter().rev().cloned().collect();
        Snapshot {
            buckets: state.buckets.iter().copied().collect(),
            totals: state.totals,
            unclean,
            events: newest_first(&state.events),
            spins: newest_first(&state.spins),
            certificates: state
                .certificates
                .iter()
                .flat_map(|(listener, all)| {
                    all.iter().map(|(path, expires)| (listener.clone(), path.clone(), *expires))
                })
                .collect(),
            uptime: now.saturating_duration_since(self.started).as_secs(),
        }
    }

    /// The state, its buckets brought up to `now`.
    fn at(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let bucket = now.saturating_duration_since(self.started).as_secs() / BUCKET_SECONDS;
        if state.buckets.is_empty() {
            state.buckets.resize(BUCKETS, [0; RESULTS]);
            state.newest = bucket;
        }
        // A bucket that was reached never comes back, whatever order the calls come in.
        let new = usize::try_from(bucket.saturating_sub(state.newest)).unwrap_or(BUCKETS).min(BUCKETS);
        state.buckets.drain(..new);
        state.buckets.resize(BUCKETS, [0; RESULTS]);
        state.newest = state.newest.max(bucket);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(new);
}

/// How long a bucket is.
pub(crate) const BUCKET_SECONDS: u64 = 10;

/// How many there are: half an hour.
const BUCKETS: usize = 180;

/// How many sessions of a result, events and spins are kept, and how many sessions are shown.
const KEPT: usize = 50;

/// As many as [`SessionResult::ALL`] has.
const RESULTS: usize = SessionResult::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EndedFirst, Phase};
    use closenotify::{Deadline, ReceivedEnding, SentEnding};
    use std::time::Duration;

    fn entry(number: u64, result: SessionResult) -> Entry {
        let mut entry = Entry::new(number, "web".into(), "192.0.2.1:5".into());
        entry.phase = if result == SessionResult::Refused { Phase::Handshake } else { Phase::Relay };
        match result {
            SessionResult::TimedOut => entry.stop = Some(crate::events::Stop::Deadline(Deadline::Idle)),
            SessionResult::Complete => {
                entry.endings.client(ReceivedEnding::CloseNotify, SentEnding::CloseNotify);
                entry.endings.upstream(crate::relay::TcpEnding::Fin, crate::relay::TcpEnding::Fin);
                entry.ended_first = Some(EndedFirst::Client);
            }
            _ => {}
        }
        assert!(matches!(result, SessionResult::AnswerTruncated) || entry.result() == result);
        entry
    }

    #[test]
    fn results_are_counted_by_time_and_the_oldest_leave() {
        let start = Instant::now();
        let board = Board::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        board.session(entry(1, SessionResult::Complete), at(5));
        board.session(entry(2, SessionResult::Refused), at(19));
        board.session(entry(3, SessionResult::Complete), at(12));
        let buckets = board.snapshot(None, at(21)).buckets;
        assert_eq!(buckets.len(), BUCKETS);
        assert_eq!(buckets[BUCKETS - 3..], [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0; 6]]);
        let later = board.snapshot(None, at(1800));
        assert_eq!(later.buckets.iter().map(|bucket| bucket[0]).sum::<u32>(), 1, "the first bucket has left");
        assert_eq!((later.totals, later.uptime), ([2, 1, 0, 0, 0, 0], 1800));
        assert_eq!(board.snapshot(None, at(u64::from(u32::MAX))).buckets, [[0; 6]; BUCKETS]);
    }

    #[test]
    fn refused_sessions_do_not_push_truncated_ones_out() {
        let board = Board::new(Instant::now());
        let now = Instant::now();
        for number in 0..3 {
            board.session(entry(number, SessionResult::AnswerTruncated), now);
        }
        for number in 10..10 + 3 * KEPT as u64 {
            board.session(entry(number, SessionResult::Refused), now);
            board.session(entry(number, SessionResult::Complete), now);
        }
        let unclean = board.snapshot(None, now).unclean;
        assert_eq!(unclean.len(), KEPT);
        let truncated = |kept: &&Kept<Entry>| kept.what.result() == SessionResult::AnswerTruncated;
        assert_eq!(unclean.iter().filter(truncated).count(), 3);
        let only = board.snapshot(Some(SessionResult::AnswerTruncated), now).unclean;
        assert_eq!(only.iter().map(|kept| kept.what.session).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn events_are_bounded() {
        let board = Board::new(Instant::now());
        for _ in 0..2 * KEPT {
            board.event(&Event::UpstreamFailing { upstream: "app".into(), address: "a:1".into(), reason: "no".into() });
        }
        assert_eq!(board.snapshot(None, Instant::now()).events.len(), KEPT);
    }
}
