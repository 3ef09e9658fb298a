//! The report for programs.

use crate::sample::{HOSTILE, everything, hostile, judged};
use closenotify_check::report::json::{SCHEMA, write};
use closenotify_check::{Deviations, Run};
use serde_json::Value;
use std::collections::BTreeSet;

fn json(run: &Run, deviations: &Deviations) -> Value {
    let mut out = Vec::new();
    write(&judged(run, deviations), &mut out).expect("a Vec takes all");
    assert_eq!(out.last(), Some(&b'\n'));
    serde_json::from_slice(&out).expect("it is JSON")
}

/// The names of all fields: `outcomes[].events[].at_ms`.
fn fields(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields(value, &path, all);
                all.insert(path);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| fields(value, &format!("{path}[]"), all)),
        _ => {}
    }
}

#[test]
fn docs_list_exactly_the_fields_that_are_written() {
    let (mut run, deviations) = everything();
    run.interrupted = Some(1);
    let mut written = BTreeSet::new();
    fields(&json(&run, &deviations), "", &mut written);
    let docs = include_str!("../../../../docs/check-json.md");
    let listed: BTreeSet<_> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(written.difference(&listed).collect::<Vec<_>>(), [""; 0], "written, but not in docs/check-json.md");
    assert_eq!(listed.difference(&written).collect::<Vec<_>>(), [""; 0], "in docs/check-json.md, but not written");
}

#[test]
fn every_outcome_has_every_field() {
    let (run, deviations) = everything();
    let json = json(&run, &deviations);
    let names = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    let outcomes = json["outcomes"].as_array().expect("a list");
    assert!(outcomes.iter().all(|outcome| names(outcome) == names(&outcomes[0])));
}

#[test]
fn a_run_is_told_whole() {
    let (run, deviations) = everything();
    let json = json(&run, &deviations);
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["decision"], "some_not_met");
    assert_eq!(json["expect"], "expect.toml");
    assert_eq!(json["counts"]["not_met"], 2);
    let rulings: Vec<_> = json["outcomes"].as_array().expect("a list").iter().map(|one| &one["ruling"]).collect();
    assert_eq!(rulings, ["failed", "known", "warned", "contradicted", "unclear", "met", "not_applicable"]);
    let first = &json["outcomes"][0];
    assert_eq!(first["id"], "server/half-close/answer-survives@1.2");
    assert_eq!(first["close"]["why"], "it ended without a close_notify");
    assert_eq!(first["data"], Value::Null);
    assert_eq!(first["wrong_at"], 7);
    assert_eq!(first["events"][7]["kind"], "fin");
    assert_eq!(first["events"][7]["at_ms"], 12.0);
    assert_eq!(first["events"][6]["alert"]["name"], "close_notify");
    assert_eq!(json["outcomes"][3]["deviation"]["line"], 8);
}

#[test]
fn text_from_outside_is_kept_as_it_was() {
    let json = json(&hostile(), &Deviations::none());
    assert_eq!(json["name"], HOSTILE);
    assert_eq!(json["outcomes"][0]["events"][0]["text"], HOSTILE);
}
