//! The search: every scenario under many schedules, and the shortest history of each rule that is broken.
//!
//! Small schedules are counted through, single changes of the plain run are tried one by one, and beyond that a seed
//! draws. What breaks a rule is shrunk by the same means: choices are cut off and set back to the kindest.

use std::io;

use crate::check::Check;
use crate::executor::Strict;
use crate::history::{History, Op, Side};
use crate::report::{Explored, Report, Violation};
use crate::rules::Rule;
use crate::scenario::{self, Made, Scenario, Stage};
use crate::schedule::{Choice, Chooser, Random, next_plan, single_deviations};
use crate::script::{Fault, Script};
use crate::transport::Transport;
use crate::world::{Found, World};

type Make<'a> = &'a mut dyn FnMut(Transport, Transport) -> Made;

/// One check under way.
pub(crate) struct Search<'a> {
    check: Check,
    make: Make<'a>,
    plain_wire: bool,
    has_set_up: bool,
    report: Report,
}

impl<'a> Search<'a> {
    pub(crate) fn new(check: Check, make: Make<'a>, plain_wire: bool, has_set_up: bool) -> Self {
        let report = Report::new(check.seed);
        Self { check, make, plain_wire, has_set_up, report }
    }

    pub(crate) fn run(mut self) -> Report {
        if self.has_set_up {
            self.scenario(&SET_UP, Side::Left);
            if !self.report.is_clean() {
                return self.report;
            }
        }
        for scenario in scenario::ALL {
            if self.check.only.as_ref().is_some_and(|only| only != scenario.name)
                || (self.check.one_way && scenario.two_way)
            {
                continue;
            }
            self.scenario(scenario, Side::Left);
            if !self.check.one_way {
                self.scenario(scenario, Side::Right);
            }
        }
        self.report.drop_consequences();
        self.report
    }

    fn scenario(&mut self, scenario: &Scenario, from: Side) {
        let mut task = Hunt { scenario, from, script: Script::new(), broken: Vec::new() };
        let mut explored = Explored::new(scenario.name, from);
        let plain = self.follow(&mut task, Chooser::planned(Vec::new()), &mut explored);
        if scenario.faulty {
            self.faults(&mut task, &plain, &mut explored);
        } else {
            self.schedules(&mut task, &plain, &mut explored);
        }
        self.report.add_explored(explored);
    }

    fn schedules(&mut self, task: &mut Hunt<'_>, plain: &Run, explored: &mut Explored) {
        let mut plan = next_plan(&plain.log, self.check.depth);
        while let Some(next) = plan {
            if task.broken.len() >= ENOUGH {
                return;
            }
            let run = self.follow(task, Chooser::planned(next), explored);
            plan = next_plan(&run.log, self.check.depth);
        }
        explored.all_to_depth = Some(self.check.depth);
        for plan in single_deviations(&plain.log, self.check.deviations) {
            if task.broken.len() >= ENOUGH {
                return;
            }
            self.follow(task, Chooser::planned(plan), explored);
        }
        self.at_random(task, self.check.random, explored);
    }

    fn at_random(&mut self, task: &mut Hunt<'_>, runs: usize, explored: &mut Explored) {
        let mut seeds = Random::new(self.check.seed);
        for _ in 0..runs {
            if task.broken.len() >= ENOUGH {
                return;
            }
            self.follow(task, Chooser::seeded(seeds.next()), explored);
        }
    }

    // Every call that the plain run makes is made to fail in turn.
    fn faults(&mut self, task: &mut Hunt<'_>, plain: &Run, explored: &mut Explored) {
        let from = task.from;
        let mut faults = Vec::new();
        for (side, op, fault) in [
            (from, Op::Write, Fault::Fail(io::ErrorKind::ConnectionReset)),
            (from, Op::Write, Fault::Zero),
            (from, Op::Flush, Fault::Fail(io::ErrorKind::ConnectionReset)),
            (from, Op::Shutdown, Fault::Fail(io::ErrorKind::ConnectionReset)),
            (from.other(), Op::Read, Fault::Fail(io::ErrorKind::ConnectionReset)),
            (from.other(), Op::Read, Fault::Eof),
        ] {
            // The far end of a wrapper is the checker's own transport.
            let judged = !self.plain_wire || side == Side::Left;
            let calls = if judged { plain.calls[side.index()][op.index()].min(FAULTY_CALLS) } else { 0 };
            faults.extend((0..calls).map(|call| (side, op, call, fault)));
        }
        for (side, op, call, fault) in faults {
            task.script = Script::new().fault(side, op, call, fault);
            explored.faults += 1;
            let run = self.follow(task, Chooser::planned(Vec::new()), explored);
            if run.found.is_none() {
                explored.unused.extend(run.unused);
            }
            self.at_random(task, RUNS_OF_A_FAULT.min(self.check.random), explored);
        }
    }

    fn follow(&mut self, task: &mut Hunt<'_>, chooser: Chooser, explored: &mut Explored) -> Run {
        let run = self.play(task, chooser);
        explored.runs += 1;
        if let Some(found) = &run.found {
            let known = task.broken.contains(&found.rule);
            task.broken.push(found.rule);
            if !known {
                let shrunk = self.shrink(task, run.clone(), explored);
                self.report.add(task.violation(shrunk));
            }
        }
        run
    }

    // Choices are cut off at the end, and set back to the kindest one by one, as long as the rule stays broken.
    fn shrink(&mut self, task: &Hunt<'_>, run: Run, explored: &mut Explored) -> Run {
        let mut best = run;
        let mut tries = 0;
        'better: loop {
            let plan = best.plan();
            let cuts = (0..plan.len()).map(|length| (length, None));
            let lower = (0..plan.len()).filter(|&at| plan[at] > 0).flat_map(|at| {
                let less = (plan[at] > 1).then_some((plan.len(), Some((at, plan[at] - 1))));
                [Some((plan.len(), Some((at, 0)))), less].into_iter().flatten()
            });
            for (length, change) in cuts.chain(lower) {
                tries += 1;
                if tries > SHRINK_RUNS {
                    return best;
                }
                let mut candidate = plan[..length].to_vec();
                if let Some((at, picked)) = change {
                    candidate[at] = picked;
                }
                let run = self.play(task, Chooser::planned(candidate));
                explored.runs += 1;
                let same = run.found.as_ref().map(|found| found.rule) == best.found.as_ref().map(|found| found.rule);
                if same && run.cost() < best.cost() {
                    best = run;
                    continue 'better;
                }
            }
            return best;
        }
    }

    fn play(&mut self, task: &Hunt<'_>, chooser: Chooser) -> Run {
        let world = World::new(chooser, task.script.clone(), self.check.limits);
        let (strict, left, right) = Strict::over(std::sync::Arc::clone(&world));
        let made = (self.make)(left, right);
        let scenario = task.scenario;
        let mut stage = Stage::new(strict, task.from, self.check.fill, self.check.park.as_mut());
        let explore = scenario.name == SET_UP.name;
        // How the run ended is in the world.
        let _stopped =
            stage.set_up(made, self.plain_wire, scenario.provoking, explore).and_then(|()| (scenario.run)(&mut stage));
        let mut state = world.lock();
        let run = Run {
            found: state.found.clone(),
            log: state.chooser.log().to_vec(),
            history: std::mem::take(&mut state.history),
            unused: state.script.unused(),
            calls: state.ports.each_ref().map(|port| {
                // What has ended cannot fail any more.
                let [reads, writes, flushes, shutdowns] = port.calls;
                [port.told_end.unwrap_or(reads), writes, flushes, shutdowns]
            }),
        };
        drop(state);
        drop(stage);
        run
    }
}

/// What is being looked at, and the rules that were broken so far, once for each run that broke them.
struct Hunt<'a> {
    scenario: &'a Scenario,
    from: Side,
    script: Script,
    broken: Vec<Rule>,
}

impl Hunt<'_> {
    fn violation(&self, run: Run) -> Violation {
        let schedule = run.plan();
        let found = run.found.expect("only runs that broke a rule are told");
        Violation {
            rule: found.rule,
            seen: found.seen,
            scenario: self.scenario.name,
            from: self.from,
            schedule,
            history: run.history,
        }
    }
}

/// One run, afterwards.
#[derive(Clone)]
struct Run {
    found: Option<Found>,
    log: Vec<Choice>,
    history: History,
    unused: Vec<String>,
    calls: [[usize; 4]; 2],
}

impl Run {
    /// The choices, without the kindest at the end.
    fn plan(&self) -> Vec<usize> {
        let mut plan: Vec<usize> = self.log.iter().map(|choice| choice.picked).collect();
        while plan.last() == Some(&0) {
            plan.pop();
        }
        plan
    }

    /// Fewer unkind choices first, then fewer events.
    fn cost(&self) -> (usize, usize, usize) {
        let picked = self.log.iter().map(|choice| choice.picked);
        (picked.clone().filter(|&picked| picked > 0).count(), self.history.events().len(), picked.sum())
    }
}

const SET_UP: Scenario = Scenario {
    name: "set-up",
    two_way: false,
    faulty: false,
    provoking: crate::endpoint::Provoking::Nothing,
    run: |_| Ok(()),
};

/// Broken runs of one scenario after which it has told enough.
const ENOUGH: usize = 40;
const SHRINK_RUNS: usize = 400;
const FAULTY_CALLS: usize = 4;
const RUNS_OF_A_FAULT: usize = 4;
