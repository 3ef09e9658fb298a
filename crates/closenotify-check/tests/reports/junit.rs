//! The report for build servers.

use crate::sample::{ALL, HOSTILE, endless, everything, hostile, judged, none, not_met, outcome, run, unclear};
use closenotify_check::report::junit::write;
use closenotify_check::{Decision, Deviations, Judged, Run, Strictness, Verdict};
use closenotify_probe::Version;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct TestCase {
    name: String,
    class: String,
    properties: Vec<(String, String)>,
    result: Option<(String, String)>,
    text: String,
}

fn xml(judged: &Judged<'_>) -> String {
    let mut out = Vec::new();
    write(judged, &mut out).expect("a Vec takes all");
    String::from_utf8(out).expect("it is text")
}

fn attributes(element: &BytesStart<'_>) -> BTreeMap<String, String> {
    element
        .attributes()
        .map(|attribute| {
            let attribute = attribute.expect("an attribute");
            let name = attribute.key.as_ref().to_owned();
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).expect("a value").into_owned();
            (name, value)
        })
        .collect()
}

/// The attributes of the suite and the test cases, as a reader understands them.
fn parsed(xml: &str) -> (BTreeMap<String, String>, Vec<TestCase>) {
    let (mut suite, mut cases) = (BTreeMap::new(), Vec::new());
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    loop {
        match reader.read_event().expect("it is XML") {
            Event::Eof => return (suite, cases),
            Event::Start(element) | Event::Empty(element) => {
                let mut of = attributes(&element);
                let mut take = |name: &str| of.remove(name).unwrap_or_default();
                match element.name().as_ref() {
                    "testsuite" => suite = of,
                    "testcase" => {
                        let (name, class) = (take("name"), take("classname"));
                        cases.push(TestCase { name, class, ..TestCase::default() });
                    }
                    "property" => cases.last_mut().expect("a case").properties.push((take("name"), take("value"))),
                    result @ ("failure" | "error" | "skipped") => {
                        let kind = result.to_owned();
                        cases.last_mut().expect("a case").result = Some((kind, take("message")));
                    }
                    _ => {}
                }
            }
            Event::Text(text) => {
                if let Some(case) = cases.last_mut() {
                    case.text.push_str(&text.xml10_content());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn each_outcome_is_one_test_case() {
    let (run, deviations) = everything();
    let (suite, cases) = parsed(&xml(&judged(&run, &deviations)));
    assert_eq!(suite["name"], "closenotify check server 127.0.0.1:8443");
    assert_eq!(suite["timestamp"], "2026-09-21T14:13:20");
    let counts = ["tests", "failures", "errors", "skipped"].map(|name| suite[name].as_str());
    assert_eq!(counts, ["7", "2", "1", "3"]);
    let kinds: Vec<_> = cases.iter().map(|case| case.result.as_ref().map(|(kind, _)| kind.as_str())).collect();
    assert_eq!(
        kinds,
        [Some("failure"), Some("skipped"), Some("skipped"), Some("failure"), Some("error"), None, Some("skipped")]
    );
    assert_eq!((cases[0].class.as_str(), cases[0].name.as_str()), ("server.half-close", "answer-survives@1.2"));
    let properties: Vec<_> = cases[0].properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        properties,
        [
            ("level", "MUST"),
            ("clause", "RFC 9846 6.1"),
            ("clause", "RFC 9112 9.8"),
            ("verdict", "not met"),
            ("seen", "data=nothing close=fin")
        ]
    );
    assert!(cases[0].text.contains("  +12 ms  tls  subject  FIN  "), "{}", cases[0].text);
    let messages: Vec<_> = cases.iter().filter_map(|case| Some(case.result.as_ref()?.1.as_str())).collect();
    assert_eq!(messages[1], "known deviation: our framework; ticket 4711 (expect.toml:2)");
    assert_eq!(messages[2], "not met, a warning at SHOULD: it ended without a close_notify");
    assert_eq!(messages[5], "not applicable: no process is watched, so CPU time cannot be seen");
}

#[test]
fn it_is_red_exactly_where_the_command_does_not_end_with_all_met() {
    let verdicts = [Verdict::Met, not_met(), unclear(), none()];
    let none = Deviations::none();
    let mut runs = vec![run(vec![]), Run { interrupted: Some(2), ..run(vec![]) }];
    for case in ALL {
        for verdict in &verdicts {
            let outcomes = vec![outcome(case, Version::Tls13, verdict.clone())];
            runs.push(Run { interrupted: Some(1), ..run(outcomes.clone()) });
            runs.push(run(outcomes));
        }
    }
    for run in &runs {
        for strictness in [Strictness::Ordinary, Strictness::Strict] {
            let judged = Judged::new(run, &none, strictness);
            let (suite, cases) = parsed(&xml(&judged));
            let red = cases.iter().filter(|case| matches!(&case.result, Some((kind, _)) if kind != "skipped")).count();
            assert_eq!(red > 0, judged.decision() != Decision::AllMet, "{strictness:?} {run:?}");
            let counted: usize =
                ["failures", "errors"].iter().map(|name| suite[*name].parse::<usize>().expect("a number")).sum();
            assert_eq!((counted, suite["tests"].as_str()), (red, cases.len().to_string().as_str()));
        }
    }
}

#[test]
fn hostile_text_stays_text() {
    let run = hostile();
    let xml = xml(&judged(&run, &Deviations::none()));
    assert!(!xml.contains("<script"), "{xml}");
    assert_eq!(xml.find(|one: char| (one.is_control() && one != '\n') || one == '\u{fffe}'), None, "{xml:?}");
    let (_, cases) = parsed(&xml);
    let (_, message) = cases[0].result.as_ref().expect("it failed");
    assert!(message.contains("<script>alert(1)</script> \\u{1b}[2J"), "{message}");
    assert!(HOSTILE.contains("]]>") && message.contains("]]>"), "{message}");
}

#[test]
fn a_long_account_is_cut() {
    let run = endless();
    assert!(xml(&judged(&run, &Deviations::none())).len() < 20_000);
}
