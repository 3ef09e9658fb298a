//! Every free choice of a run: what a transport answers, who is polled next, how large a buffer is.
//!
//! A run is a function of its choices and nothing else, so a list of small numbers is a whole schedule: it can be
//! counted through, drawn from a seed, cut shorter and played again. This module knows nothing of what is chosen;
//! by convention the choice 0 is always the kindest one.

/// One choice that a run made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What was picked, below `arity`.
    pub(crate) picked: usize,
    /// Of how many.
    pub(crate) arity: usize,
    /// Whether it set up the scenario (a size, a mode) rather than ordered its events.
    pub(crate) setting: bool,
}

/// Answers the questions of one run: first from a plan, then from a seed or with 0.
#[derive(Debug)]
pub(crate) struct Chooser {
    plan: Vec<usize>,
    random: Option<Random>,
    log: Vec<Choice>,
    muted: bool,
}

impl Chooser {
    /// Follows `plan` and then always picks 0.
    pub(crate) fn planned(plan: Vec<usize>) -> Self {
        Self { plan, random: None, log: Vec::new(), muted: false }
    }

    /// Picks at random, most often 0.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { plan: Vec::new(), random: Some(Random::new(seed)), log: Vec::new(), muted: false }
    }

    /// Picks one of `arity` events.
    pub(crate) fn event(&mut self, arity: usize) -> usize {
        self.choose(arity, false)
    }

    /// Picks one of `arity` settings of the scenario.
    pub(crate) fn setting(&mut self, arity: usize) -> usize {
        self.choose(arity, true)
    }

    /// While muted every choice is 0 and none is recorded.
    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The choices made so far.
    pub(crate) fn log(&self) -> &[Choice] {
        &self.log
    }

    fn choose(&mut self, arity: usize, setting: bool) -> usize {
        if self.muted || arity < 2 {
            return 0;
        }
        let picked = match (self.plan.get(self.log.len()), &mut self.random) {
            (Some(&planned), _) => planned.min(arity - 1),
            (None, Some(random)) => random.mostly_zero(arity),
            (None, None) => 0,
        };
        self.log.push(Choice { picked, arity, setting });
        picked
    }
}

/// The plan of the next schedule in which only the first `depth` events are chosen freely, after the run that made
/// `log`; `None` when that was the last one.
pub(crate) fn next_plan(log: &[Choice], depth: usize) -> Option<Vec<usize>> {
    let events: Vec<usize> = (0..log.len()).filter(|&at| !log[at].setting).take(depth).collect();
    let at = *events.iter().rev().find(|&&at| log[at].picked + 1 < log[at].arity)?;
    let mut plan: Vec<usize> = log[..at].iter().map(|choice| choice.picked).collect();
    plan.push(log[at].picked + 1);
    Some(plan)
}

/// The plans that differ in one choice from the run that made `log`, among its first `choices` choices.
pub(crate) fn single_deviations(log: &[Choice], choices: usize) -> Vec<Vec<usize>> {
    let mut plans = Vec::new();
    for at in 0..log.len().min(choices) {
        for picked in (0..log[at].arity).filter(|&picked| picked != log[at].picked) {
            let mut plan: Vec<usize> = log[..at].iter().map(|choice| choice.picked).collect();
            plan.push(picked);
            plans.push(plan);
        }
    }
    plans
}

/// A small generator (splitmix64), so that a seed means the same schedule on every machine and in every version.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn mostly_zero(&mut self, arity: usize) -> usize {
        let bits = self.next();
        if bits % 5 < 3 { 0 } else { ((bits >> 32) % arity as u64) as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_visits_every_schedule_once() {
        let mut seen = Vec::new();
        let mut plan = Some(Vec::new());
        while let Some(next) = plan {
            let mut chooser = Chooser::planned(next);
            chooser.setting(4);
            for arity in [2, 3, 2, 2] {
                chooser.event(arity);
            }
            seen.push(chooser.log().iter().map(|choice| choice.picked).collect::<Vec<_>>());
            plan = next_plan(chooser.log(), 3);
        }
        assert_eq!(seen.len(), 2 * 3 * 2, "settings and events beyond the depth stay 0: {seen:?}");
        seen.dedup();
        assert_eq!(seen.len(), 12);
    }

    #[test]
    fn deviations_differ_in_one_choice() {
        let mut chooser = Chooser::planned(Vec::new());
        chooser.event(3);
        chooser.event(2);
        assert_eq!(single_deviations(chooser.log(), 9), [vec![1], vec![2], vec![0, 1]]);
    }

    #[test]
    fn a_seed_is_a_schedule() {
        let draw = |seed| {
            let mut chooser = Chooser::seeded(seed);
            (0..50).map(|_| chooser.event(4)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
