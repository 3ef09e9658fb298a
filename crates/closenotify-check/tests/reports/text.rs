//! The report for a terminal.

use crate::sample::{HOSTILE, endless, everything, hostile, judged, proxy};
use closenotify_check::report::text::{TextOptions, write};
use closenotify_check::{Deviations, Run};

fn text(run: &Run, deviations: &Deviations, options: TextOptions) -> String {
    let mut out = Vec::new();
    write(&judged(run, deviations), options, &mut out).expect("a Vec takes all");
    String::from_utf8(out).expect("it is text")
}

fn plain(run: &Run) -> String {
    text(run, &Deviations::none(), TextOptions::default())
}

fn everything_as(options: TextOptions) -> String {
    let (run, deviations) = everything();
    text(&run, &deviations, options)
}

#[test]
fn the_summary_comes_first_and_counts_by_level() {
    let text = everything_as(TextOptions::default());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "server 127.0.0.1:8443: some cases are not met");
    assert_eq!(
        lines[1],
        "7 results in 12.3 s, 2026-09-21T14:13:20Z: 2 not met, 1 known deviation, 1 inconclusive, 1 not applicable, 2 met"
    );
    assert_eq!(lines[3], "            not met  known  inconclusive  not applicable    met");
    assert_eq!(lines[4], "MUST              1      1             0               1      0");
    assert!(text.contains("\nnote: no process is watched\n"), "{text}");
    assert!(text.contains("1 not met at SHOULD or MAY, which only warns; --strict"), "{text}");
}

#[test]
fn what_is_not_met_is_told_with_times_harm_and_mend() {
    let text = everything_as(TextOptions::default());
    for line in [
        "1. server/half-close/answer-survives@1.2  MUST  not met",
        "   clauses   RFC 9846 6.1, RFC 9112 9.8",
        "   close     not met: it ended without a close_notify",
        "   allowed   the whole answer, then close_notify and FIN",
        "   seen      no answer; FIN without close_notify",
        "   code      data=nothing close=fin",
        "          +5 ms  probe    close_notify",
        "         +12 ms  subject  FIN  <-- here",
        "        +812 ms  the case was over",
        "   harm      Clients that half-close get no answer, or one that is cut.",
        "   mend      Go on writing after the client's close_notify; end with one of your own.",
    ] {
        assert!(text.lines().any(|at| at == line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn known_and_contradicted_deviations_are_told_with_their_file() {
    let text = everything_as(TextOptions::default());
    assert!(text.contains("\n   known     our framework; ticket 4711 (expect.toml:2)\n"), "{text}");
    assert!(text.contains("\n   file      expect.toml:8: server/end/one-close-notify@1.3: it is met now;"), "{text}");
}

#[test]
fn not_applicable_is_grouped_by_reason() {
    let text = everything_as(TextOptions::default());
    let (_, group) = text.split_once("\nNot applicable\n").expect("there is one");
    assert_eq!(
        group,
        "\n  no process is watched, so CPU time cannot be seen:\n    server/half-close/answer-survives@1.2\n"
    );
}

#[test]
fn met_is_a_list_unless_verbose() {
    let text = everything_as(TextOptions::default());
    assert!(text.contains("\nMet\n\n  server/end/fin-follows@1.3\n"), "{text}");
    let text = everything_as(TextOptions { verbose: true, ..TextOptions::default() });
    assert!(text.contains(". server/end/fin-follows@1.3  MAY  met\n   requires"), "{text}");
}

#[test]
fn colour_is_only_where_it_is_asked_for() {
    assert!(!everything_as(TextOptions::default()).contains('\u{1b}'));
    let colour = everything_as(TextOptions { colour: true, ..TextOptions::default() });
    assert!(colour.contains("\u{1b}[1;31mnot met\u{1b}[0m"));
}

#[test]
fn a_proxy_has_its_links_told_apart() {
    let text = plain(&proxy());
    assert!(text.contains("\n        +511 ms  upstream  probe    RST\n"), "{text}");
    assert!(text.contains("\n        +513 ms  tls       subject  close_notify  <-- here\n"), "{text}");
}

#[test]
fn no_control_character_of_a_peer_reaches_the_terminal() {
    let text = plain(&hostile());
    let unfit = |one: char| (one.is_control() && one != '\n') || "\u{202e}\u{feff}\u{fffe}".contains(one);
    assert_eq!(text.find(unfit), None, "{text:?}");
    assert!(HOSTILE.contains('\u{1b}') && text.contains("\\u{1b}[2J"), "what was there is spelled:\n{text}");
}

#[test]
fn a_long_account_is_cut_with_a_note() {
    let text = plain(&endless());
    assert!(text.len() < 20_000, "{} B", text.len());
    assert!(text.contains("…  (955 more events)"), "{text}");
    assert!(text.contains("  <-- here"), "the place where it goes wrong stays");
    assert!(text.contains("(998000 more characters)"), "{text}");
}
