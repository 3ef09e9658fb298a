//! What a file of known deviations may say.

use crate::sample::{ALL, QUIET, SURVIVES, deviations, not_met, outcome, run};
use closenotify_check::{Deviations, ExpectError, Judged, Ruling, Strictness};
use closenotify_probe::Version;

const ENTRY: &str = "[[deviation]]\nid = \"server/half-close/answer-survives\"\nseen = \"a\"\nreason = \"b\"\n";

fn mistake(text: &str) -> String {
    Deviations::parse("expect.toml", text, ALL).expect_err("there is a mistake").to_string()
}

#[test]
fn a_file_is_parsed_with_its_lines() {
    let text = format!(
        "# known\n\n{ENTRY}\n[[deviation]]\nid = \"server/end/one-close-notify\"\nversion = \"1.2\"\nseen = \" c \"\nreason = \"d\"\n"
    );
    let parsed = deviations(&text);
    let [first, second] = parsed.entries() else { panic!("two entries, not {parsed:?}") };
    assert_eq!((first.line, first.version, first.seen.as_str()), (3, None, "a"));
    assert_eq!((second.line, second.version, second.seen.as_str()), (8, Some(Version::Tls12), "c"));
}

#[test]
fn an_empty_file_excuses_nothing() {
    assert!(deviations("").entries().is_empty());
    assert!(deviations("# nothing yet\n").entries().is_empty());
}

#[test]
fn an_id_that_no_case_has_is_named_with_its_line() {
    let says = mistake(&ENTRY.replace("answer-survives", "answer-dies"));
    assert_eq!(
        says,
        "expect.toml:2: server/half-close/answer-dies: no case has this id; write one as reports print it, or remove the entry"
    );
}

#[test]
fn an_id_with_its_version_says_where_the_version_goes() {
    let says = mistake(&ENTRY.replace("answer-survives", "answer-survives@1.3"));
    assert!(says.ends_with("write the id without its version, and `version = \"1.3\"` below it"), "{says}");
}

#[test]
fn a_missing_or_empty_field_is_refused() {
    for (field, line) in [("id", 2), ("seen", 3), ("reason", 4)] {
        let without: String =
            ENTRY.lines().filter(|at| !at.starts_with(field)).map(|line| format!("{line}\n")).collect();
        let says = mistake(&without);
        assert!(says.starts_with("expect.toml:1: ") && says.contains(&format!("`{field}` is missing")), "{says}");
        let blank: String = ENTRY
            .lines()
            .map(|at| if at.starts_with(field) { format!("{field} = \"  \"\n") } else { format!("{at}\n") })
            .collect();
        let says = mistake(&blank);
        assert!(says.starts_with(&format!("expect.toml:{line}: ")) && says.contains(field), "{says}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let says = mistake(&format!("{ENTRY}versoin = \"1.3\"\n"));
    assert!(says.starts_with("expect.toml:5: ") && says.contains("versoin"), "{says}");
    let says = mistake(&format!("{ENTRY}\n[[deviations]]\nid = \"x\"\n"));
    assert!(says.starts_with("expect.toml:6: ") && says.contains("deviations"), "{says}");
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let says = mistake("[[deviation]]\nid = server\n");
    assert!(says.starts_with("expect.toml:2: "), "{says}");
    assert_eq!(says.lines().count(), 1);
}

#[test]
fn a_version_that_the_case_does_not_have_is_refused() {
    let entry = ENTRY.replace(SURVIVES.id, QUIET.id);
    let says = mistake(&format!("{entry}version = \"1.2\"\n"));
    assert!(says.starts_with("expect.toml:5: ") && says.contains("not run in TLS 1.2"), "{says}");
    let says = mistake(&format!("{ENTRY}version = \"1.1\"\n"));
    assert!(says.contains("`version` is \"1.2\" or \"1.3\", not \"1.1\""), "{says}");
}

#[test]
fn two_entries_for_one_outcome_are_refused() {
    let says = mistake(&format!("{ENTRY}\n{ENTRY}version = \"1.3\"\n"));
    assert!(says.starts_with("expect.toml:6: ") && says.contains("line 1 is for the same outcome"), "{says}");
    let each = format!("{ENTRY}version = \"1.2\"\n\n{ENTRY}version = \"1.3\"\n");
    assert_eq!(deviations(&each).entries().len(), 2);
}

#[test]
fn every_mistake_is_said_at_once() {
    let text = format!("{}\n{}", ENTRY.replace("answer", "a"), ENTRY.replace("\"b\"", "\"\""));
    let error = Deviations::parse("expect.toml", &text, ALL).expect_err("two mistakes");
    let ExpectError::Wrong { mistakes, .. } = &error else { panic!("{error}") };
    assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [2, 9]);
    assert_eq!(error.to_string().lines().count(), 2);
}

#[test]
fn a_hostile_file_cannot_move_the_cursor() {
    let says = mistake(&ENTRY.replace("answer-survives", "\\u001b[2J"));
    assert!(!says.contains('\u{1b}') && says.contains("\\u{1b}[2J"), "{says}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Deviations::read(std::path::Path::new("/nonexistent/expect.toml"), ALL).expect_err("there is none");
    assert!(error.to_string().starts_with("/nonexistent/expect.toml: "), "{error}");
}

#[test]
fn an_entry_without_a_version_is_for_both() {
    let file = deviations(&ENTRY.replace("\"a\"", "\"data=nothing close=fin\""));
    let run = run(vec![outcome(&SURVIVES, Version::Tls12, not_met()), outcome(&SURVIVES, Version::Tls13, not_met())]);
    let judged = Judged::new(&run, &file, Strictness::Ordinary);
    assert!(judged.each().all(|(_, ruling)| matches!(ruling, Ruling::Known(_))));
}
