//! The report for build servers: JUnit XML, one test case an outcome.
//!
//! It is red exactly where the command does not end with "all met", so that a build server and an exit code never
//! contradict each other:
//!
//! | outcome | element | why |
//! |---|---|---|
//! | not met, and the run fails | `failure` | |
//! | not as the file of known deviations says | `failure` | the file must be mended, else it hides the next change |
//! | inconclusive, and the level counts | `error` | the test could not tell; skipped would be green, and hide it |
//! | not met or inconclusive at a level that only warns | `skipped` | the message says so; `--strict` makes it red |
//! | known deviation | `skipped` | with its reason |
//! | not applicable | `skipped` | with the reason |
//! | interrupted, or no case was judged | one more test case `the run`, with an `error` | |
//!
//! The format has no place for more than a text; the whole account is in the JSON.

use super::{began, headline, remarks, safe, time, verdicts};
use crate::outcome::{Outcome, Run};
use crate::summary::{Decision, Judged, Ruling};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io::{self, Write};

/// Writes the report.
///
/// # Errors
///
/// What `out` fails with.
pub fn write(judged: &Judged<'_>, out: &mut impl Write) -> io::Result<()> {
    let run = judged.run();
    let whole = whole_run(judged);
    let of = |take: fn(&Ruling) -> bool| judged.each().filter(|(_, ruling)| take(ruling)).count();
    let tests = (run.outcomes.len() + usize::from(whole.is_some())).to_string();
    let failures = of(|ruling| matches!(ruling, Ruling::Failed | Ruling::Contradicted { .. })).to_string();
    let errors = of(|ruling| matches!(ruling, Ruling::Unclear { counts: true })) + usize::from(whole.is_some());
    let errors = errors.to_string();
    let skipped = of(|ruling| {
        matches!(ruling, Ruling::Warned | Ruling::Known(_) | Ruling::Unclear { counts: false } | Ruling::NotApplicable)
    });
    let (skipped, took) = (skipped.to_string(), seconds(run.took));
    let name = safe::one_line(&format!("closenotify check {} {}", run.subject, run.name));
    let began = began(run.began);
    // The zone is left out: the schema that most readers check against has a local time without one.
    let timestamp = began.trim_end_matches('Z');

    let mut xml = Writer::new_with_indent(&mut *out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites")
        .with_attributes([
            ("name", name.as_str()),
            ("tests", tests.as_str()),
            ("failures", failures.as_str()),
            ("errors", errors.as_str()),
            ("time", took.as_str()),
        ])
        .write_inner_content(|xml| {
            xml.create_element("testsuite")
                .with_attributes([
                    ("name", name.as_str()),
                    ("tests", tests.as_str()),
                    ("failures", failures.as_str()),
                    ("errors", errors.as_str()),
                    ("skipped", skipped.as_str()),
                    ("time", took.as_str()),
                    ("timestamp", timestamp),
                ])
                .write_inner_content(|xml| {
                    for (outcome, ruling) in judged.each() {
                        test_case(xml, judged, outcome, ruling)?;
                    }
                    if let Some(message) = &whole {
                        xml.create_element("testcase")
                            .with_attributes([
                                ("name", "the run"),
                                ("classname", run.subject.word()),
                                ("time", "0.000"),
                            ])
                            .write_inner_content(|xml| element(xml, "error", message, message))?;
                    }
                    let remarks = remarks(judged);
                    if !remarks.is_empty() {
                        xml.create_element("system-out").write_text_content(text(&remarks.join("\n")))?;
                    }
                    Ok(())
                })?;
            Ok(())
        })?;
    writeln!(out)
}

/// What is wrong with the run as a whole.
fn whole_run(judged: &Judged<'_>) -> Option<String> {
    let run: &Run = judged.run();
    match judged.decision() {
        Decision::NothingMatched => Some(headline(judged).to_owned()),
        _ => run.interrupted.map(|left| format!("interrupted, with {left} of the cases still to run")),
    }
}

fn test_case<W: Write>(xml: &mut Writer<W>, judged: &Judged<'_>, outcome: &Outcome, ruling: &Ruling) -> io::Result<()> {
    let case = outcome.case;
    let (class, name) = case.id.rsplit_once('/').unwrap_or(("", case.id));
    let (class, name) = (class.replace('/', "."), format!("{name}@{}", outcome.version_word()));
    xml.create_element("testcase")
        .with_attributes([
            ("name", name.as_str()),
            ("classname", class.as_str()),
            ("time", seconds(outcome.took).as_str()),
        ])
        .write_inner_content(|xml| {
            let (level, verdict) = (case.level.to_string(), outcome.verdict().word());
            xml.create_element("properties").write_inner_content(|xml| {
                let mut property = |name: &str, value: &str| {
                    let value = safe::one_line(value);
                    xml.create_element("property")
                        .with_attributes([("name", name), ("value", value.as_str())])
                        .write_empty()
                        .map(drop)
                };
                property("level", &level)?;
                for clause in case.clauses {
                    property("clause", clause)?;
                }
                property("verdict", verdict)?;
                property("seen", &outcome.code)
            })?;
            let account = account(outcome);
            match ruling {
                Ruling::Met => Ok(()),
                Ruling::Failed => element(xml, "failure", &why(outcome), &account),
                Ruling::Contradicted { says, .. } => element(xml, "failure", says, &account),
                Ruling::Unclear { counts: true } => element(xml, "error", &why(outcome), &account),
                Ruling::Unclear { counts: false } => {
                    element(xml, "skipped", &format!("inconclusive: {}", why(outcome)), "")
                }
                Ruling::Warned => {
                    element(xml, "skipped", &format!("not met, a warning at {level}: {}", why(outcome)), "")
                }
                Ruling::Known(entry) => {
                    let file = judged.file().unwrap_or_default();
                    let message = format!("known deviation: {} ({file}:{})", entry.reason, entry.line);
                    element(xml, "skipped", &message, "")
                }
                Ruling::NotApplicable => element(xml, "skipped", &format!("not applicable: {}", why(outcome)), ""),
            }
        })?;
    Ok(())
}

/// An element with a message, its kind where it is not skipped, and a text.
fn element<W: Write>(xml: &mut Writer<W>, name: &str, message: &str, inner: &str) -> io::Result<()> {
    let message = safe::one_line(message);
    let mut element = xml.create_element(name).with_attribute(("message", message.as_str()));
    if name == "failure" {
        element = element.with_attribute(("type", "not met"));
    } else if name == "error" {
        element = element.with_attribute(("type", "inconclusive"));
    }
    if inner.is_empty() {
        element.write_empty()?
    } else {
        element.write_text_content(text(inner))?
    };
    Ok(())
}

/// What a person reads under a red test.
fn account(outcome: &Outcome) -> String {
    let case = outcome.case;
    let mut lines = vec![format!("requires: {}", case.requirement)];
    if !case.clauses.is_empty() {
        lines.push(format!("clauses: {} ({})", case.clauses.join(", "), case.level));
    }
    lines.extend([format!("allowed: {}", outcome.allowed), format!("seen: {}", outcome.seen)]);
    lines.push(format!("code: {}", outcome.code));
    for shown in super::excerpt(outcome) {
        lines.push(match shown {
            super::Shown::Left(left) => format!("  … {left} more events"),
            super::Shown::Event(at, event) => {
                let here = if outcome.wrong_at == Some(at) { "  <-- here" } else { "" };
                let what = safe::cut(&event.what.to_string(), EVENT_MAX);
                format!("  +{}  {}  {}  {what}{here}", time(event.at), event.link, event.by)
            }
        });
    }
    lines.extend([format!("harm: {}", case.harm), format!("mend: {}", case.mend)]);
    let lines: Vec<_> = lines.iter().map(|line| safe::one_line(line)).collect();
    lines.join("\n")
}

/// Why, for all verdicts that have a reason.
fn why(outcome: &Outcome) -> String {
    let reasons: Vec<_> = verdicts(outcome).filter_map(|(about, verdict)| Some((about, verdict.why()?))).collect();
    match reasons.as_slice() {
        [] => outcome.seen.clone(),
        [(_, why)] => (*why).to_owned(),
        several => several.iter().map(|(about, why)| format!("{about}: {why}")).collect::<Vec<_>>().join("; "),
    }
}

fn text(text: &str) -> BytesText<'_> {
    BytesText::new(text)
}

fn seconds(time: std::time::Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// An event is one line.
const EVENT_MAX: usize = 200;
