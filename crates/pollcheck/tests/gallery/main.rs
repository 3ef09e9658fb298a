//! Faulty streams, each caught by its own rule and by no other, and right streams, in which nothing is found.

mod closing;
mod faulty;
mod halves;
mod reading;
mod right;
mod wakers;
mod writing;

use pollcheck::Rule;

/// Every rule that a stream of the gallery breaks, by the file that breaks it.
const SHOWN: &[&[Rule]] = &[wakers::SHOWN, reading::SHOWN, writing::SHOWN, closing::SHOWN, halves::SHOWN];

#[test]
fn every_rule_has_one_faulty_stream() {
    let mut shown: Vec<Rule> = SHOWN.concat();
    shown.sort_unstable();
    assert_eq!(shown, Rule::ALL, "each rule of `Rule::ALL`, once");
}

#[test]
fn every_rule_has_its_page() {
    let pages = include_str!("../../docs/rules.md");
    let headings: Vec<&str> = pages.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let ids: Vec<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    assert_eq!(headings, ids, "docs/rules.md has one section for each rule, in their order");
    for rule in Rule::ALL {
        let sentence = rule.sentence().trim_start_matches("[…] ");
        let page = pages.split("\n## ").find(|page| page.starts_with(rule.id())).expect("seen above");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ").replace("> ", "");
        assert!(page.contains(sentence), "the page of {rule} quotes: {sentence}");
    }
}
