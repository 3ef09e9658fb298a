//! Cases that proptest draws anew in each run: a failing one is made small and printed, with the seed that draws it again.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::hash::{BuildHasher as _, RandomState};

/// Runs so many cases, or as many as `PROPTEST_CASES` sets; with the seed of `PROPTEST_RNG_SEED`, if it is set.
pub(crate) fn hold<S: Strategy>(count: u32, cases: &S, run: impl Fn(S::Value)) {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 5_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = count;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let outcome = TestRunner::new(config).run(cases, |case| {
        run(case);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}\nagain with PROPTEST_RNG_SEED={seed}");
    }
}
