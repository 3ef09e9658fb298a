//! docs/survey.html: the matrices to look at, one page without scripts, fonts or pictures from elsewhere.
//!
//! It says nothing that the reports and docs/survey.md do not. What a cell shows when it is chosen is shown by `:target`.

use std::fmt::Write as _;
use std::fs;

use super::matrix::cases;
use super::report::{Cell, Known, Seen, Surveyed, Verdict};
use super::subjects::Kind;
use super::surprises::{self, Surprise};
use crate::shell::{self, Failure, Outcome};

/// Writes the page.
pub(super) fn write(known: &Known, surprises: &[Surprise]) -> Outcome {
    let path = shell::root().join(PAGE);
    let html = page(known, surprises);
    fs::write(path, html).map_err(|error| Failure::new(format!("{PAGE} cannot be written: {error}")))?;
    println!("survey: {PAGE} is written");
    Ok(())
}

fn page(known: &Known, surprises: &[Surprise]) -> String {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !known.of(*kind).is_empty()).collect();
    let mut html = HEAD.replace("{CSS}", include_str!("page.css"));
    intro(&mut html, known, &kinds);
    for kind in &kinds {
        section(&mut html, *kind, &known.of(*kind), surprises);
    }
    if !surprises.is_empty() {
        html.push_str(
            "<section id=\"surprising\"><h2>What is surprising</h2>\n<p class=\"lead\">Looked at by hand.</p>\n",
        );
        for surprise in surprises {
            let _ = write!(html, "<article id=\"{}\"><h3>{}</h3>", surprise.anchor(), inline(&surprise.title));
            let names =
                surprise.subjects.iter().filter_map(|id| known.surveyed.iter().find(|one| one.subject.id == id));
            let names: Vec<String> =
                names.map(|one| format!("<b>{}</b> {}", escape(one.subject.name), escape(&one.version))).collect();
            let cases: Vec<String> =
                surprise.cases.iter().map(|case| format!("<code>{}</code>", escape(case))).collect();
            let _ = write!(html, "<p class=\"about\">{} · {}</p>", names.join(", "), cases.join(", "));
            for paragraph in &surprise.text {
                let _ = write!(html, "<p>{}</p>", inline(paragraph));
            }
            html.push_str("</article>\n");
        }
        html.push_str("</section>\n");
    }
    html.push_str(FOOT);
    html
}

fn intro(html: &mut String, known: &Known, kinds: &[Kind]) {
    let outcomes: usize = known.surveyed.iter().flat_map(|one| &one.cells).map(|cell| cell.tls.len()).sum();
    let not_met: usize = known.surveyed.iter().map(|one| one.count(Verdict::NotMet)).sum();
    let first = known.surveyed.iter().map(|one| &*one.day).min().unwrap_or_default();
    let last = known.surveyed.iter().map(|one| &*one.day).max().unwrap_or_default();
    let days = if first == last { last.to_owned() } else { format!("{first} to {last}") };
    let _ = write!(
        html,
        "<header><p class=\"brand\">closenotify check</p><h1>How real software ends its TLS sessions</h1>\
        <p class=\"lead\">A TLS session is two one-way streams, and each ends on its own, by its own \
        <code>close_notify</code>. {} programs, as Debian 12, crates.io and this project have them, each taken through every \
        ending that the checker knows, in TLS 1.2 and 1.3.</p>\
        <dl class=\"facts\"><div><dt>programs</dt><dd>{}</dd></div><div><dt>results</dt><dd>{outcomes}</dd></div>\
        <div><dt>not met</dt><dd>{not_met}</dd></div><div><dt>run</dt><dd>{days}</dd></div></dl><nav>",
        known.surveyed.len(),
        known.surveyed.len(),
    );
    for kind in kinds {
        let _ = write!(html, "<a href=\"#{kind}\">{}</a> ", kind.heading());
    }
    html.push_str("<a href=\"#surprising\">What is surprising</a></nav></header>\n");
    html.push_str(LEGEND);
}

fn section(html: &mut String, kind: Kind, subjects: &[&Surveyed], surprises: &[Surprise]) {
    let _ = writeln!(html, "<section id=\"{kind}\"><h2>{}</h2>\n<ul class=\"bars\">", kind.heading());
    for one in subjects {
        bar(html, one);
    }
    let _ = write!(
        html,
        "</ul>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}: cases and programs\">\
        <table><thead><tr><th scope=\"col\" class=\"corner\">case</th>",
        kind.heading()
    );
    for one in subjects {
        let _ = write!(
            html,
            "<th scope=\"col\" id=\"{}\" title=\"{}\"><span>{} <small>{}</small></span></th>",
            one.subject.id,
            escape(&format!("{} {}", one.subject.name, one.version)),
            escape(one.subject.name),
            escape(&one.version)
        );
    }
    html.push_str("</tr></thead>\n");
    let (mut topic, mut notes) = (String::new(), String::new());
    for case in cases(subjects) {
        let words: Vec<&str> = case.case.split('/').collect();
        let (of, name) = (words.get(1).copied().unwrap_or_default(), words.get(2..).unwrap_or_default().join("/"));
        if of != topic {
            of.clone_into(&mut topic);
            let _ = writeln!(
                html,
                "<tbody><tr class=\"topic\"><th scope=\"rowgroup\" colspan=\"{}\"><span>{}</span></th></tr>",
                subjects.len() + 1,
                escape(&of.replace('-', " "))
            );
        }
        let level = case.level.to_lowercase();
        let _ = write!(
            html,
            "<tr class=\"{level}\"><th scope=\"row\"><span class=\"id\">{}</span> <i class=\"level\">{}</i>\
            <span class=\"what\">{}</span></th>",
            escape(&name),
            escape(&case.level),
            escape(&case.requirement)
        );
        for one in subjects {
            match one.cell(&case.case) {
                Some(cell) => show(html, &mut notes, one, cell, surprises),
                None => html.push_str("<td class=\"na\"></td>"),
            }
        }
        html.push_str("</tr>\n");
    }
    let _ = writeln!(html, "</table></div>\n{notes}</section>");
}

/// A subject with how often which verdict was given.
fn bar(html: &mut String, one: &Surveyed) {
    let counts = [Verdict::Met, Verdict::NotMet, Verdict::Inconclusive, Verdict::NotApplicable]
        .map(|verdict| (verdict, one.count(verdict)));
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let _ = write!(
        html,
        "<li><p><b>{}</b> <span class=\"version\">{}</span> <span class=\"how\">{}</span></p><p class=\"bar\">",
        escape(one.subject.name),
        escape(&one.version),
        inline(one.subject.how)
    );
    for (verdict, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let width = 100.0 * count as f64 / all as f64;
        let (class, word) = (class(verdict), word(verdict));
        let _ = write!(html, "<span class=\"{class}\" style=\"width:{width:.2}%\" title=\"{count} {word}\"></span>");
    }
    html.push_str("</p><p class=\"counts\">");
    for (verdict, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(html, "<span><b class=\"{}\">{count}</b> {}</span> ", class(verdict), word(verdict));
    }
    html.push_str("</p></li>\n");
}

/// A cell, and what it shows when it is chosen.
fn show(html: &mut String, notes: &mut String, one: &Surveyed, cell: &Cell, surprises: &[Surprise]) {
    let verdicts = cell.verdicts();
    let worst = verdicts.iter().max().copied().unwrap_or(Verdict::NotApplicable);
    let mark = if cell.varies() { "<sup title=\"the runs were not alike\">~</sup>" } else { "" };
    let surprise = surprises::about(surprises, one, cell);
    let star = if surprise.is_some() { " told" } else { "" };
    let glyphs: String =
        verdicts.iter().map(|verdict| format!("<b class=\"{}\">{}</b>", class(*verdict), glyph(*verdict))).collect();
    let alike = cell.tls.values().all(|seen| matches!(seen.verdict, Verdict::Met | Verdict::NotApplicable));
    let title = cell.tls.iter().map(|(tls, seen)| format!("{tls}: {}", seen.code())).collect::<Vec<_>>().join("\n");
    if alike && surprise.is_none() && !cell.varies() {
        let _ = write!(html, "<td class=\"{}\" title=\"{}\">{glyphs}</td>", class(worst), escape(&title));
        return;
    }
    let id = format!("{}.{}", one.subject.id, cell.case.replace('/', "."));
    let words: Vec<&str> = verdicts.iter().map(|verdict| word(*verdict)).collect();
    let label = format!("{}, {}: {}", one.subject.name, cell.case, words.join(" and "));
    let _ = write!(
        html,
        "<td class=\"{}{star}\"><a href=\"#{id}\" aria-label=\"{}\" title=\"{}\">{glyphs}{mark}</a></td>",
        class(worst),
        escape(&label),
        escape(&title)
    );
    let _ = write!(
        notes,
        "<aside class=\"note\" id=\"{id}\"><a class=\"close\" href=\"#_\" aria-label=\"close\">✕</a>\
        <p class=\"about\"><b>{}</b> {} · <code>{}</code> · {}</p><p class=\"asked\">{}</p><dl>",
        escape(one.subject.name),
        escape(&one.version),
        escape(&cell.case),
        escape(&level(cell)),
        escape(&cell.requirement)
    );
    for (tls, seen) in merged(cell) {
        let why = if seen.why.is_empty() { &seen.words } else { &seen.why };
        let _ = write!(
            notes,
            "<div><dt>{} <b class=\"{}\">{}</b></dt><dd>{}<br><code>{}</code></dd></div>",
            escape(&tls),
            class(seen.verdict),
            word(seen.verdict),
            escape(why),
            escape(&seen.code())
        );
    }
    notes.push_str("</dl>");
    if verdicts.contains(&Verdict::NotMet) {
        let _ = write!(notes, "<p class=\"harm\">{}.</p>", escape(cell.harm.trim_end_matches('.')));
    }
    if let Some(surprise) = surprise {
        let _ =
            write!(notes, "<p class=\"more\"><a href=\"#{}\">{}</a></p>", surprise.anchor(), inline(&surprise.title));
    }
    notes.push_str("</aside>\n");
}

/// One line for both versions where they are alike.
fn merged(cell: &Cell) -> Vec<(String, &Seen)> {
    let mut lines: Vec<(String, &Seen)> = Vec::new();
    for (tls, seen) in &cell.tls {
        match lines.last_mut() {
            Some((name, last)) if last.verdict == seen.verdict && last.codes == seen.codes => {
                let _ = write!(name, " and {tls}");
            }
            _ => lines.push((format!("TLS {tls}"), seen)),
        }
    }
    lines
}

fn level(cell: &Cell) -> String {
    if cell.clauses.is_empty() { cell.level.clone() } else { format!("{}, {}", cell.level, cell.clauses.join(", ")) }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::NotMet => "no",
        Verdict::Inconclusive => "open",
        Verdict::NotApplicable => "na",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::NotMet => "not met",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotApplicable => "not applicable",
    }
}

fn glyph(verdict: Verdict) -> char {
    match verdict {
        Verdict::Met => '✓',
        Verdict::NotMet => '✕',
        Verdict::Inconclusive => '?',
        Verdict::NotApplicable => '·',
    }
}

/// The little Markdown there is inside a line: code and links.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escape(part));
        } else {
            links(&mut html, part);
        }
    }
    html
}

fn links(html: &mut String, text: &str) {
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        html.push_str(&escape(before));
        let link = behind.split_once("](").and_then(|(name, rest)| Some((name, rest.split_once(')')?)));
        match link {
            Some((name, (target, after))) => {
                let _ = write!(html, "<a href=\"{}\">{}</a>", escape(target), escape(name));
                rest = after;
            }
            None => {
                html.push('[');
                rest = behind;
            }
        }
    }
    html.push_str(&escape(rest));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\">\
<title>How real software ends its TLS sessions</title>\n<style>\n{CSS}</style></head><body><main>\n";

const LEGEND: &str = "<ul class=\"legend\"><li><b class=\"met\">✓</b> met</li><li><b class=\"no\">✕</b> not met</li>\
<li><b class=\"open\">?</b> inconclusive</li><li><b class=\"na\">·</b> not applicable</li>\
<li class=\"told\"><b class=\"no\">✕</b> looked at by hand</li><li>two signs: TLS 1.2, then 1.3</li>\
<li>~ the runs were not alike: it depends on time, the worst is shown</li>\
<li><i class=\"level\">practice</i> no RFC asks for it, but users are hurt without it</li></ul>\
<p class=\"hint\">Choose a cell to see what was asked and what was seen.</p>\n";

const FOOT: &str = "<footer><p>Written by <code>cargo xtask survey</code>; the words are in <a href=\"survey.md\">survey.md</a>. \
All over loopback, on one machine. Not met is not broken: much of it needs a peer that does rare things.</p></footer>\n\
</main></body></html>\n";

const PAGE: &str = "docs/survey.html";

#[cfg(test)]
mod tests {
    use super::inline;

    #[test]
    fn code_and_links_are_made_and_the_rest_is_escaped() {
        assert_eq!(
            inline("a <b> `c [d](e) <` [f](g&h) [i]"),
            "a &lt;b&gt; <code>c [d](e) &lt;</code> <a href=\"g&amp;h\">f</a> [i]"
        );
    }
}
