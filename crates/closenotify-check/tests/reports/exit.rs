//! How the command ends.

use crate::sample::{FIN, ONE, QUIET, SURVIVES, deviations, none, not_met, outcome, run, unclear};
use closenotify_check::{Case, Decision, Deviations, Judged, Outcome, Ruling, Run, Strictness, Verdict};
use closenotify_probe::Version;

fn of(case: &'static Case, verdict: Verdict) -> Outcome {
    outcome(case, Version::Tls13, verdict)
}

fn decide(run: &Run, strictness: Strictness) -> Decision {
    Judged::new(run, &Deviations::none(), strictness).decision()
}

fn ordinary(outcomes: Vec<Outcome>) -> Decision {
    decide(&run(outcomes), Strictness::Ordinary)
}

/// The ruling on one outcome under an entry for it, and the decision.
fn under(entry_seen: &str, verdict: Verdict) -> (Ruling, Decision) {
    let file = deviations(&format!(
        "[[deviation]]\nid = \"{}\"\nversion = \"1.3\"\nseen = \"{entry_seen}\"\nreason = \"known\"\n",
        SURVIVES.id
    ));
    let run = run(vec![of(&SURVIVES, verdict), of(&ONE, Verdict::Met)]);
    let judged = Judged::new(&run, &file, Strictness::Ordinary);
    let ruling = judged.each().next().map(|(_, ruling)| ruling.clone()).expect("there is one");
    (ruling, judged.decision())
}

#[test]
fn all_met_is_all_met() {
    assert_eq!(ordinary(vec![of(&SURVIVES, Verdict::Met), of(&QUIET, none())]), Decision::AllMet);
}

#[test]
fn must_and_practice_fail_the_run() {
    assert_eq!(ordinary(vec![of(&SURVIVES, not_met())]), Decision::SomeNotMet);
    assert_eq!(ordinary(vec![of(&QUIET, not_met())]), Decision::SomeNotMet);
}

#[test]
fn should_and_may_only_warn_unless_strict() {
    for case in [&ONE, &FIN] {
        let failed = run(vec![of(case, not_met())]);
        assert_eq!(decide(&failed, Strictness::Ordinary), Decision::AllMet);
        assert_eq!(decide(&failed, Strictness::Strict), Decision::SomeNotMet);
        let unclear = run(vec![of(case, unclear())]);
        assert_eq!(decide(&unclear, Strictness::Ordinary), Decision::AllMet);
        assert_eq!(decide(&unclear, Strictness::Strict), Decision::InconclusiveOnly);
    }
}

#[test]
fn nothing_judged_is_never_a_pass() {
    assert_eq!(ordinary(vec![]), Decision::NothingMatched);
    assert_eq!(ordinary(vec![of(&SURVIVES, none()), of(&ONE, none())]), Decision::NothingMatched);
}

#[test]
fn inconclusive_is_neither_met_nor_failed() {
    assert_eq!(ordinary(vec![of(&SURVIVES, unclear()), of(&QUIET, Verdict::Met)]), Decision::InconclusiveOnly);
    assert_eq!(ordinary(vec![of(&SURVIVES, unclear()), of(&QUIET, not_met())]), Decision::SomeNotMet);
}

#[test]
fn an_interrupted_run_is_never_a_pass() {
    let interrupted = |outcomes| Run { interrupted: Some(3), ..run(outcomes) };
    assert_eq!(decide(&interrupted(vec![of(&SURVIVES, Verdict::Met)]), Strictness::Ordinary), Decision::Interrupted);
    assert_eq!(decide(&interrupted(vec![]), Strictness::Ordinary), Decision::Interrupted);
    assert_eq!(decide(&interrupted(vec![of(&SURVIVES, not_met())]), Strictness::Ordinary), Decision::SomeNotMet);
}

#[test]
fn a_known_deviation_does_not_fail_the_run() {
    for verdict in [not_met(), unclear()] {
        let (ruling, decision) = under("data=nothing close=fin", verdict);
        assert!(matches!(ruling, Ruling::Known(_)), "{ruling:?}");
        assert_eq!(decision, Decision::AllMet);
    }
}

#[test]
fn another_behaviour_than_the_known_one_fails_the_run() {
    for verdict in [not_met(), unclear()] {
        let (ruling, decision) = under("data=cut close=reset", verdict);
        let Ruling::Contradicted { says, .. } = ruling else { panic!("{ruling:?}") };
        assert_eq!(
            says,
            "expect.toml:1: server/half-close/answer-survives@1.3: `seen` is \"data=cut close=reset\", but it was \
             \"data=nothing close=fin\"; mend the subject, or write that"
        );
        assert_eq!(decision, Decision::SomeNotMet);
    }
}

#[test]
fn a_stale_entry_fails_the_run() {
    // Whatever it says: the behaviour of a case that is met is no deviation.
    let (ruling, decision) = under("data=nothing close=fin", Verdict::Met);
    let Ruling::Contradicted { says, .. } = ruling else { panic!("{ruling:?}") };
    assert_eq!(says, "expect.toml:1: server/half-close/answer-survives@1.3: it is met now; remove the entry");
    assert_eq!(decision, Decision::SomeNotMet);
}

#[test]
fn an_entry_whose_case_was_not_judged_is_not_stale() {
    let (ruling, decision) = under("data=nothing close=fin", none());
    assert_eq!((ruling, decision), (Ruling::NotApplicable, Decision::AllMet));
    let file = deviations(&format!("[[deviation]]\nid = \"{}\"\nseen = \"a\"\nreason = \"b\"\n", FIN.id));
    let run = run(vec![of(&SURVIVES, Verdict::Met)]);
    assert_eq!(Judged::new(&run, &file, Strictness::Ordinary).decision(), Decision::AllMet);
}

#[test]
fn the_worse_of_two_verdicts_decides() {
    let mut both = of(&SURVIVES, Verdict::Met);
    both.data = Some(not_met());
    assert_eq!(ordinary(vec![both]), Decision::SomeNotMet);
}
