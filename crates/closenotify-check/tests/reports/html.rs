//! The page.

use crate::sample::{endless, everything, hostile, judged, proxy, run};
use closenotify_check::report::html::write;
use closenotify_check::{Deviations, Run};
use quick_xml::Reader;
use quick_xml::events::Event;

/// The pages lie in the target folder afterwards, to be looked at.
#[test]
fn pages_can_be_looked_at() {
    for (name, page) in pages() {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
        std::fs::write(&path, page).expect("the target folder takes files");
    }
}

fn page(run: &Run, deviations: &Deviations) -> String {
    let mut out = Vec::new();
    write(&judged(run, deviations), &mut out).expect("a Vec takes all");
    String::from_utf8(out).expect("it is text")
}

fn plain(run: &Run) -> String {
    page(run, &Deviations::none())
}

fn pages() -> Vec<(&'static str, String)> {
    let (run, deviations) = everything();
    vec![
        ("everything", page(&run, &deviations)),
        ("proxy", plain(&proxy())),
        ("hostile", plain(&hostile())),
        ("endless", plain(&endless())),
        ("empty", plain(&self::run(vec![]))),
    ]
}

/// Every element and its attributes; panics where a tag is not closed by its own kind.
fn elements(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = false;
    let (mut open, mut all) = (Vec::<String>::new(), Vec::new());
    loop {
        let event = reader.read_event().expect("tags are well formed");
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                let of = element
                    .html_attributes()
                    .map(|attribute| {
                        let attribute = attribute.expect("attributes are well formed");
                        (attribute.key.as_ref().to_owned(), attribute.value.into_owned())
                    })
                    .collect();
                if matches!(event, Event::Start(_)) && !["meta", "input"].contains(&name.as_str()) {
                    open.push(name.clone());
                }
                all.push((name, of));
            }
            Event::End(element) => {
                assert_eq!(open.pop().as_deref(), Some(element.name().as_ref()));
            }
            Event::Eof => {
                assert!(open.is_empty(), "left open: {open:?}");
                return all;
            }
            _ => {}
        }
    }
}

#[test]
fn tags_are_balanced_and_ids_are_unique() {
    for (name, page) in pages() {
        let elements = elements(&page);
        let attributes = || elements.iter().flat_map(|(_, of)| of);
        let mut ids: Vec<_> = attributes().filter(|(key, _)| key == "id").map(|(_, value)| value.as_str()).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{name}: {ids:?}");
        for (_, target) in attributes().filter(|(key, _)| key == "href") {
            assert!(target.strip_prefix('#').is_some_and(|id| ids.contains(&id)), "{name}: {target} leads nowhere");
        }
        for (_, named) in attributes().filter(|(key, _)| key == "aria-labelledby") {
            assert!(named.split(' ').all(|id| ids.contains(&id)), "{name}: {named} names nothing");
        }
    }
}

#[test]
fn nothing_is_loaded_and_nothing_runs() {
    for (name, page) in pages() {
        assert!(!page.contains("://") && !page.contains("url(") && !page.contains("@import"), "{name}");
        for (element, of) in elements(&page) {
            assert!(
                !["script", "link", "img", "iframe", "object", "embed", "base"].contains(&element.as_str()),
                "{name}"
            );
            assert!(of.iter().all(|(key, _)| key != "src" && !key.starts_with("on")), "{name}: {element}");
        }
        assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""), "{name}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let page = plain(&hostile());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; \\u{1b}[2J"));
    assert_eq!(page.find(|one: char| (one.is_control() && one != '\n') || "\u{202e}\u{feff}".contains(one)), None);
}

#[test]
fn the_summary_stands_in_front_of_the_cases() {
    let (run, deviations) = everything();
    let page = page(&run, &deviations);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("Some cases are not met") < at("<table>"));
    assert!(at("<table>") < at("<h2>Not met</h2>"));
    assert!(at("<h2>Not met</h2>") < at("<h2>Inconclusive</h2>"));
    assert!(page.contains("<li class=\"failed\"><b>2</b> not met</li>"));
    assert!(page.contains("our framework; ticket 4711 (expect.toml:2)"));
}

#[test]
fn the_place_where_it_goes_wrong_is_marked_once_a_case() {
    let page = plain(&proxy());
    assert_eq!(page.matches("<g class=\"here\">").count(), 1);
    assert_eq!(page.matches("<g class=\"e-notify is-wrong\">").count(), 1);
    assert!(page.contains("close_notify (here it goes wrong)"), "it is said in words too");
}

#[test]
fn fin_and_reset_are_drawn_differently() {
    let page = plain(&proxy());
    let group = |class: &str| {
        let (_, rest) = page.split_once(&format!("<g class=\"{class}\"><title>")).expect("it is drawn");
        rest.split_once("</g>").expect("it ends").0.to_owned()
    };
    assert!(group("e-reset").contains("class=\"cross\""));
    assert!(group("e-fin").contains("class=\"open\""));
    assert!(group("e-notify is-wrong").contains("class=\"head\""));
}

#[test]
fn a_long_gap_is_a_break_with_its_length() {
    let page = plain(&proxy());
    assert!(page.contains(">500 ms of nothing</text>"));
    assert!(page.contains(">298 ms of nothing</text>"), "from the last event to the end of the case");
}

#[test]
fn a_long_account_is_cut_with_a_note() {
    let page = plain(&endless());
    assert!(page.len() < 80_000, "{} B", page.len());
    assert!(page.contains(">955 more events</text>") && page.contains("<g class=\"here\">"));
}
