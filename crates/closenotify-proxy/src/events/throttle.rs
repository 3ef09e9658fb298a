//! At most one line a second for what goes on happening, with the number of times.
//!
//! It bounds lines, not counts: the metrics count each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was written when, by kind of event.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Mutex<BTreeMap<(&'static str, &'static str), Last>>,
}

#[derive(Debug)]
struct Last {
    written: Instant,
    since: u64,
}

impl Throttle {
    /// Whether a line may be written `now`: then how often it has happened since the last one, this time included.
    pub(super) fn admit(&self, kind: (&'static str, &'static str), now: Instant) -> Option<u64> {
        let mut all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = all.get_mut(&kind) else {
            all.insert(kind, Last { written: now, since: 0 });
            return Some(1);
        };
        last.since += 1;
        if now.saturating_duration_since(last.written) < APART {
            return None;
        }
        last.written = now;
        Some(std::mem::take(&mut last.since))
    }
}

/// How far apart two lines of a kind are.
const APART: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_often() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let at = |millis| throttle.admit(("limit_reached", "sessions"), start + Duration::from_millis(millis));
        assert_eq!(at(0), Some(1));
        assert_eq!((at(10), at(500), at(999)), (None, None, None));
        assert_eq!(at(1000), Some(4));
        assert_eq!(at(1500), None);
        assert_eq!(throttle.admit(("limit_reached", "other"), start + Duration::from_millis(1500)), Some(1));
        assert_eq!(at(60_000), Some(2));
    }
}
