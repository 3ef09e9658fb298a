//! Lists of operations on a stream against a naive model: two counts of bytes, and an end each way.
//!
//! The cases are drawn anew in each run. A failing one is made small and printed, with the seed that draws it again.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod link;
mod operations;
mod world;

use closenotify::Truncation;
use operations::{Finish, Operation};
use proptest::prelude::any;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::hash::{BuildHasher as _, RandomState};
use testkit::plain;
use world::Case;

/// A runtime with a paused clock around what polls by hand: no task, so no budget of Tokio's that would wake by itself.
fn by_hand<T>(body: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    body()
}

fn cases(operations: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    let operations = proptest::collection::vec((any::<u8>(), any::<u16>()), operations);
    (0..plain::EACH.len(), any::<bool>(), any::<bool>(), 0..Finish::EACH.len(), operations).prop_map(
        |(session, as_eof, split, finish, operations)| {
            let (version, side) = plain::EACH[session];
            Case {
                version,
                side,
                truncation: if as_eof { Truncation::AsEof } else { Truncation::Error },
                operations: std::iter::repeat_n(Operation::Split, usize::from(split))
                    .chain(operations.into_iter().map(|(kind, amount)| Operation::of(kind, amount)))
                    .collect(),
                finish: Finish::EACH[finish],
            }
        },
    )
}

/// Runs so many cases, or as many as `PROPTEST_CASES` says; with the seed of `PROPTEST_RNG_SEED`, if it is set.
fn hold(count: u32, operations: std::ops::Range<usize>) {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 5_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = count;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    by_hand(|| {
        let outcome = TestRunner::new(config).run(&cases(operations), |case| {
            case.run();
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}\nagain with PROPTEST_RNG_SEED={seed}");
        }
    });
}

/// docs/cases.md N06
#[test]
fn short_lists_of_operations_hold_to_the_model() {
    hold(1_000, 0..12);
}

/// docs/cases.md R35, O14, L03
#[test]
fn long_lists_of_operations_hold_to_the_model() {
    hold(1_500, 0..150);
}
