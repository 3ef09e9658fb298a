//! Rests and trials, on a clock that stands still.

use super::super::error::Late;
use super::*;

const S: Duration = Duration::from_secs(1);

fn address() -> Arc<Address> {
    Arc::new(Address::new("192.0.2.1:1".parse().unwrap(), None))
}

fn error() -> AttemptError {
    AttemptError::late("192.0.2.1:1", Late::Connection, S)
}

fn fail(attempt: Attempt) -> Option<Duration> {
    attempt.failed(&error(), Instant::now())
}

fn begin(address: &Arc<Address>) -> Attempt {
    Attempt::begin(address, Instant::now())
}

fn standing(address: &Address) -> Standing {
    address.standing(Instant::now())
}

#[tokio::test(start_paused = true)]
async fn rests_double_up_to_half_a_minute_and_a_success_ends_them() {
    let address = address();
    for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
        assert_eq!(standing(&address), Standing::Available);
        assert_eq!(fail(begin(&address)), Some(seconds * S));
        assert_eq!(standing(&address), Standing::Resting(seconds * S));
        tokio::time::advance(seconds * S).await;
    }
    let (_lease, recovered) = begin(&address).succeeded();
    assert!(recovered);
    assert_eq!(standing(&address), Standing::Available);
    assert!(!begin(&address).succeeded().1, "it was healthy already");
    assert_eq!(fail(begin(&address)), Some(S));
}

#[tokio::test(start_paused = true)]
async fn failures_of_attempts_that_began_before_the_end_of_the_rest_count_once() {
    let address = address();
    let together: Vec<_> = (0..100).map(|_| begin(&address)).collect();
    tokio::time::advance(S).await;
    let rests: Vec<_> = together.into_iter().filter_map(fail).collect();
    assert_eq!(rests, [S]);
    let during = begin(&address);
    tokio::time::advance(S).await;
    assert_eq!(fail(during), None);
    assert_eq!(standing(&address), Standing::Available);
    assert_eq!(fail(begin(&address)), Some(2 * S));
}

#[tokio::test(start_paused = true)]
async fn after_a_rest_one_session_tries_it() {
    let address = address();
    fail(begin(&address));
    tokio::time::advance(S).await;
    let trial = begin(&address);
    assert_eq!(standing(&address), Standing::Resting(Duration::ZERO));
    let anyway = begin(&address);
    drop(anyway);
    assert_eq!(standing(&address), Standing::Resting(Duration::ZERO), "only the trial itself ends it");
    drop(trial);
    assert_eq!(standing(&address), Standing::Available, "a trial that was given up says nothing");
    assert_eq!(fail(begin(&address)), Some(2 * S));
    assert_eq!(standing(&address), Standing::Resting(2 * S));
}

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_from_their_attempt_to_the_end_of_their_lease() {
    let address = address();
    let (one, two) = (begin(&address), begin(&address));
    assert_eq!(address.sessions(), 2);
    let (lease, _) = one.succeeded();
    fail(two);
    assert_eq!(address.sessions(), 1);
    let report = address.report(Instant::now());
    assert_eq!((report.sessions, report.failures, report.resting), (1, 1, Some(S)));
    assert_eq!(report.last_error.as_deref(), Some("no connection within 1s"));
    drop(lease);
    assert_eq!(address.sessions(), 0);
}
