//! What is said while cases run.

use crate::sample::{ONE, SURVIVES, not_met, outcome};
use closenotify_check::Verdict;
use closenotify_check::report::progress::{Progress, ProgressStyle};
use closenotify_probe::Version;

fn said(style: ProgressStyle) -> String {
    let mut out = Vec::new();
    let mut progress = Progress::new(&mut out, style, 2);
    for outcome in [outcome(&SURVIVES, Version::Tls13, not_met()), outcome(&ONE, Version::Tls13, Verdict::Met)] {
        progress.started(&outcome.id());
        progress.finished(&outcome);
    }
    progress.done();
    String::from_utf8(out).expect("it is text")
}

#[test]
fn a_terminal_sees_one_line_that_is_rewritten_and_wiped() {
    assert_eq!(
        said(ProgressStyle::Rewritten(80)),
        "\r\u{1b}[K[1/2] server/half-close/answer-survives@1.3\r\u{1b}[K[2/2] 1 not met server/end/one-close-notify@1.3\r\u{1b}[K"
    );
}

#[test]
fn a_narrow_terminal_does_not_wrap() {
    assert!(said(ProgressStyle::Rewritten(20)).split("\r\u{1b}[K").all(|line| line.chars().count() < 20));
}

#[test]
fn a_log_gets_one_plain_line_a_case() {
    assert_eq!(
        said(ProgressStyle::Lines),
        "[1/2] server/half-close/answer-survives@1.3: not met\n[2/2] server/end/one-close-notify@1.3: met\n"
    );
}

#[test]
fn silence_is_silent() {
    assert_eq!(said(ProgressStyle::Silent), "");
}
