//! The checker checked: a right client meets every case, each planted fault fails the cases that it must, and a command that is
//! none to check is told from one that fails.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod planted;

#[path = "../src/bin/planted/client_faults.rs"]
mod client_faults;

use client_faults::FAULTS;
use closenotify_check::process::Template;
use closenotify_check::{
    App, CheckErrorKind, Client, Need, Options, Output, Run, Subject, Verdict, cases_of, check_client,
};
use closenotify_probe::Version;
use futures_util::stream::{self, StreamExt as _};
use planted::{options, verdicts};
use std::collections::BTreeSet;
use std::time::Duration;

fn command(words: &[&str]) -> Client {
    let template = Template::new(words.iter().map(|word| (*word).to_owned()).collect()).unwrap();
    let app = App::Http1 { path: "/".to_owned() };
    Client { label: template.to_string(), template, app, output: Output::Body }
}

fn planted_client(more: &[&str]) -> Client {
    command(&[&[env!("CARGO_BIN_EXE_planted"), "client", "--connect", "{addr}"], more].concat())
}

/// Long enough that a right client is never too late, however busy the machine is.
fn patient(select: &[&str]) -> Options {
    Options { timeout: Duration::from_secs(30), ..options(select) }
}

fn not_met(run: &Run) -> Vec<String> {
    run.outcomes.iter().filter(|outcome| *outcome.verdict() != Verdict::Met).map(verdicts).collect()
}

#[tokio::test]
async fn a_right_client_meets_every_case() {
    let run = check_client(&planted_client(&[]), &patient(&[])).await.unwrap();
    assert!(not_met(&run).is_empty(), "{}", not_met(&run).join("\n"));
    let expected: usize = cases_of(Subject::Client).iter().map(|case| case.versions.len()).sum();
    assert_eq!(run.outcomes.len(), expected);
    assert!(run.notes.is_empty(), "{:?}", run.notes);
}

#[tokio::test]
async fn a_right_client_without_http_meets_every_case_that_applies() {
    let client = Client { app: App::Greeting, ..planted_client(&["--bare"]) };
    let mut run = check_client(&client, &patient(&[])).await.unwrap();
    run.outcomes.retain(|outcome| outcome.case.needs != Need::Http);
    assert!(not_met(&run).is_empty(), "{}", not_met(&run).join("\n"));
    assert!(run.outcomes.len() > 80, "{}", run.outcomes.len());
}

#[tokio::test]
async fn every_planted_fault_fails_the_cases_that_it_must() {
    // What watches CPU time must be alone.
    let (alone, together): (Vec<_>, Vec<_>) = FAULTS.iter().partition(|(fault, _)| fault.starts_with("spins"));
    let mut missed: Vec<_> =
        stream::iter(together).map(|(fault, cases)| missed(fault, cases)).buffer_unordered(4).collect().await;
    for (fault, cases) in alone {
        missed.push(self::missed(fault, cases).await);
    }
    let missed: Vec<_> = missed.into_iter().flatten().collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What was seen where a fault was not noticed. It may show in one version alone.
async fn missed(fault: &str, cases: &[&str]) -> Vec<String> {
    let mut options = options(cases);
    if fault.starts_with("spins") {
        // On a busy machine it takes a while until a client gets to spin.
        options.watch = Duration::from_millis(500);
        options.versions = vec![Version::Tls13];
    }
    let run = match check_client(&planted_client(&["--fault", fault]), &options).await {
        Ok(run) => run,
        Err(error) => return vec![format!("{fault}: {error}")],
    };
    let of = |case: &str| run.outcomes.iter().filter(move |outcome| outcome.case.id == case).collect::<Vec<_>>();
    let unnoticed = |case: &&&str| !of(case).iter().any(|outcome| matches!(outcome.verdict(), Verdict::NotMet(_)));
    cases
        .iter()
        .filter(unnoticed)
        .map(|case| format!("{fault}: {}", of(case).into_iter().map(verdicts).collect::<Vec<_>>().join("\n")))
        .collect()
}

#[test]
fn every_case_can_be_failed_by_a_planted_fault() {
    let named: BTreeSet<_> = FAULTS.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
    let cases: BTreeSet<_> = cases_of(Subject::Client).iter().map(|case| case.id).collect();
    assert_eq!(cases.difference(&named).collect::<Vec<_>>(), Vec::<&&str>::new(), "cases that no fault can fail");
    assert_eq!(named.difference(&cases).collect::<Vec<_>>(), Vec::<&&str>::new(), "faults of cases that do not exist");
    assert!(FAULTS.iter().all(|(_, cases)| !cases.is_empty()));
}

#[test]
fn there_are_enough_cases_and_each_says_where_it_comes_from() {
    let cases = cases_of(Subject::Client);
    assert!(cases.len() >= 30, "{}", cases.len());
    for version in Version::ALL {
        assert!(cases.iter().filter(|case| case.versions.contains(&version)).count() >= 30);
    }
    planted::assert_well_formed(&cases);
}

#[tokio::test]
async fn a_short_body_that_is_called_a_success_is_told() {
    let of = &["client/end/chunked"];
    let run = check_client(&planted_client(&["--fault", "end-overtakes-data"]), &patient(of)).await.unwrap();
    assert_eq!(run.outcomes[0].code, "data=cut");
    let ignored = Client { output: Output::Ignored, ..planted_client(&["--fault", "end-overtakes-data"]) };
    let run = check_client(&ignored, &patient(of)).await.unwrap();
    assert_eq!(run.outcomes[0].code, "data=taken-as-whole");
    assert!(run.notes[0].contains("not compared"), "{:?}", run.notes);
}

async fn error(client: &Client) -> (CheckErrorKind, String) {
    let quick = Options { timeout: Duration::from_millis(300), ..options(&[]) };
    let error = check_client(client, &quick).await.expect_err("there is nothing to check");
    (error.kind, error.message)
}

#[tokio::test]
async fn a_command_that_is_no_client_to_check_is_told_for_what_it_is() {
    let (kind, text) = error(&command(&["/nowhere/to/be/found", "{url}"])).await;
    assert!(kind == CheckErrorKind::Subject && text.contains("cannot run `/nowhere/to/be/found"), "{text}");

    let (kind, text) = error(&command(&["echo", "{cert}"])).await;
    assert!(kind == CheckErrorKind::Usage && text.contains("{cert}, which is not known here"), "{text}");

    let (kind, text) = error(&command(&["echo", "{ca}", "{host}"])).await;
    assert!(kind == CheckErrorKind::Usage && text.contains("none of {url}, {addr} and {port}"), "{text}");

    let (kind, text) = error(&command(&["sh", "-c", "echo no such option >&2; exit 3", "{addr}"])).await;
    assert!(kind == CheckErrorKind::Subject && text.contains("exits with 3 and never connected"), "{text}");
    assert!(text.contains("no such option"), "{text}");

    let (_, text) = error(&planted_client(&["--distrust"])).await;
    assert!(text.contains("refused the probe's certificate (alert "), "{text}");
    assert!(text.contains("exits with 2"), "{text}");

    let (_, text) = error(&planted_client(&["--bare", "--fault", "no-close-notify"])).await;
    assert!(text.contains("prints") || text.contains("reports"), "{text}");

    let echo = Client { app: App::Echo, ..planted_client(&[]) };
    let (kind, text) = error(&echo).await;
    assert!(kind == CheckErrorKind::Usage && text.contains("use http1 or greeting"), "{text}");
}

#[tokio::test]
async fn a_command_that_calls_a_whole_answer_an_error_is_not_checked() {
    // It succeeds in connecting and in reading, and fails.
    let words = ["sh", "-c", "\"$0\" client --connect \"$1\" >&2; echo I give up >&2; exit 7"];
    let client = command(&[&words[..], &[env!("CARGO_BIN_EXE_planted"), "{addr}"]].concat());
    let (kind, text) = error(&client).await;
    assert!(kind == CheckErrorKind::Subject && text.contains("reports an error (exits with 7)"), "{text}");
    assert!(text.contains("I give up"), "{text}");
}

#[tokio::test]
async fn a_command_that_never_connects_is_not_waited_for_without_end() {
    tokio::time::pause();
    let client = command(&["sh", "-c", "exec sleep 1000", "{addr}"]);
    // The command is real and the clock is not: whatever time there is passes at once.
    let (_, text) = error(&client).await;
    assert!(text.contains("does not connect to the probe within 30 s; does it use a proxy"), "{text}");
}
