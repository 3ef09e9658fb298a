//! The report as one HTML page for people: the summary, a table of cases by topic, then a diagram for each case.
//!
//! The page is complete in itself: it loads nothing, runs no script, and its own policy forbids both. Every text is escaped.

use super::{GROUPS, began, by_reason, counted, headline, ladder, remarks, safe, time, topic, verdicts};
use crate::case::Case;
use crate::outcome::{Outcome, Verdict};
use crate::summary::{Decision, Judged, Ruling, Strictness};
use closenotify_probe::Version;
use std::io::{self, Write};

/// Writes the page.
///
/// # Errors
///
/// What `out` fails with.
pub fn write(judged: &Judged<'_>, out: &mut impl Write) -> io::Result<()> {
    let run = judged.run();
    let name = escape(&run.name, TEXT_MAX);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{name}: closenotify check {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        run.subject
    )?;
    header(judged, &name, out)?;
    writeln!(out, "<main>")?;
    if judged.each().next().is_some() {
        table(judged, out)?;
        writeln!(out, "{}", ladder::legend())?;
        details(judged, out)?;
        not_applicable(judged, out)?;
    }
    writeln!(out, "</main>")?;
    writeln!(out, "<footer>closenotify {}</footer>\n</body>\n</html>", env!("CARGO_PKG_VERSION"))
}

/// Text as the content of an element or of a quoted attribute: made fit to be shown, cut after `max` characters, escaped.
pub(super) fn escape(text: &str, max: usize) -> String {
    let mut escaped = String::new();
    for one in safe::cut(text, max).chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(one),
        }
    }
    escaped
}

fn header(judged: &Judged<'_>, name: &str, out: &mut impl Write) -> io::Result<()> {
    let run = judged.run();
    let counts = judged.counts(|_| true);
    let class = match judged.decision() {
        Decision::AllMet => "met",
        Decision::InconclusiveOnly | Decision::Interrupted | Decision::NothingMatched => "unclear",
        Decision::SomeNotMet | Decision::CouldNotRun => "failed",
    };
    let levels = match judged.strictness() {
        Strictness::Ordinary => "MUST and practice fail the run, SHOULD and MAY warn",
        Strictness::Strict => "every level fails the run",
    };
    writeln!(
        out,
        "<header>\n<p class=\"kicker\">closenotify check {}</p>\n<h1>{name}</h1>\n\
         <p class=\"headline {class}\">{}</p>\n<p class=\"meta\">{}</p>\n\
         <p class=\"meta\">{} in {} · <time>{}</time> · {levels}</p>\n<ul class=\"tiles\">",
        run.subject,
        capital(headline(judged)),
        capital(&counted(judged)),
        if counts.total() == 1 { "1 result".to_owned() } else { format!("{} results", counts.total()) },
        time(run.took),
        began(run.began),
    )?;
    for (class, count, word) in [
        ("failed", counts.not_met, "not met"),
        ("unclear", counts.inconclusive, "inconclusive"),
        ("known", counts.known, "known"),
        ("na", counts.not_applicable, "not applicable"),
        ("met", counts.met, "met"),
    ] {
        let zero = if count == 0 { " zero" } else { "" };
        writeln!(out, "<li class=\"{class}{zero}\"><b>{count}</b> {word}</li>")?;
    }
    writeln!(out, "</ul>")?;
    let remarks = remarks(judged);
    if !remarks.is_empty() {
        writeln!(out, "<ul class=\"remarks\">")?;
        for remark in remarks {
            writeln!(out, "<li>{}</li>", escape(&capital(&remark), TEXT_MAX))?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</header>")
}

/// A row a case, a column a version of TLS, the cases of one topic together.
fn table(judged: &Judged<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut topics: Vec<(&str, Vec<Row<'_>>)> = Vec::new();
    let mut versions: Vec<Version> = Vec::new();
    for (key, (outcome, ruling)) in judged.each().enumerate() {
        if !versions.contains(&outcome.version) {
            versions.push(outcome.version);
        }
        let of = topic(outcome.case);
        let at = topics.iter().position(|(topic, _)| *topic == of).unwrap_or_else(|| {
            topics.push((of, Vec::new()));
            topics.len() - 1
        });
        let cases = &mut topics[at].1;
        let cell = Cell { version: outcome.version, key, ruling };
        match cases.iter_mut().find(|(case, _)| case.id == outcome.case.id) {
            Some((_, cells)) => cells.push(cell),
            None => cases.push((outcome.case, vec![cell])),
        }
    }
    versions.sort_unstable();

    writeln!(out, "<section aria-labelledby=\"cases\">\n<h2 id=\"cases\">Cases</h2>")?;
    filter(out)?;
    write!(out, "<table>\n<thead><tr><th scope=\"col\">Case</th>")?;
    for version in &versions {
        write!(out, "<th scope=\"col\">{version}</th>")?;
    }
    writeln!(out, "</tr></thead>")?;
    for (topic, cases) in &topics {
        writeln!(
            out,
            "<tbody>\n<tr class=\"topic\"><th scope=\"rowgroup\" colspan=\"{}\">{}</th></tr>",
            versions.len() + 1,
            escape(topic, TEXT_MAX)
        )?;
        for (case, cells) in cases {
            let classes: Vec<_> = cells.iter().map(|cell| class(cell.ruling)).collect();
            write!(
                out,
                "<tr class=\"{}\"><th scope=\"row\"><code>{}</code> {}<span class=\"req\">{}</span></th>",
                classes.join(" "),
                escape(case.id.rsplit('/').next().unwrap_or(case.id), TEXT_MAX),
                level(case),
                escape(case.requirement, TEXT_MAX)
            )?;
            for version in &versions {
                match cells.iter().find(|cell| cell.version == *version) {
                    None => write!(out, "<td></td>")?,
                    Some(Cell { ruling: Ruling::NotApplicable, .. }) => {
                        write!(out, "<td data-version=\"{version}\"><a class=\"pill na\" href=\"#na\">n/a</a></td>")?;
                    }
                    Some(Cell { key, ruling, .. }) => write!(
                        out,
                        "<td data-version=\"{version}\"><a class=\"pill {}\" href=\"#c{key}\">{}</a></td>",
                        class(ruling),
                        short(ruling)
                    )?,
                }
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody>")?;
    }
    writeln!(out, "</table>\n</section>")
}

type Row<'a> = (&'a Case, Vec<Cell<'a>>);

struct Cell<'a> {
    version: Version,
    key: usize,
    ruling: &'a Ruling,
}

/// Radio buttons that the style sheet reads; without one that does, all is shown.
fn filter(out: &mut impl Write) -> io::Result<()> {
    write!(out, "<fieldset class=\"filter\"><legend>Show</legend>")?;
    for (id, label) in [
        ("all", "all"),
        ("failed", "not met"),
        ("unclear", "inconclusive"),
        ("known", "known"),
        ("met", "met"),
        ("na", "not applicable"),
    ] {
        let checked = if id == "all" { " checked" } else { "" };
        write!(
            out,
            "<input type=\"radio\" name=\"show\" id=\"show-{id}\"{checked}><label for=\"show-{id}\">{label}</label>"
        )?;
    }
    writeln!(out, "</fieldset>")
}

fn details(judged: &Judged<'_>, out: &mut impl Write) -> io::Result<()> {
    for (title, take) in GROUPS {
        let group: Vec<_> = judged.each().enumerate().filter(|(_, (_, ruling))| take(ruling)).collect();
        let Some((_, (_, ruling))) = group.first() else { continue };
        writeln!(out, "<section class=\"group {}\">\n<h2>{title}</h2>", class(ruling))?;
        for (key, (outcome, ruling)) in group {
            outcome_section(judged, outcome, ruling, key, out)?;
        }
        writeln!(out, "</section>")?;
    }
    Ok(())
}

fn outcome_section(
    judged: &Judged<'_>,
    outcome: &Outcome,
    ruling: &Ruling,
    key: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let case = outcome.case;
    let open = if matches!(ruling, Ruling::Failed | Ruling::Contradicted { .. }) { " open" } else { "" };
    let ladder = ladder::draw(outcome, judged.run().subject, key);
    let wide = if judged.run().subject.word() == "proxy" { " wide" } else { "" };
    writeln!(
        out,
        "<details class=\"case {}\"{open}>\n<summary><span class=\"pill {}\">{}</span> <code>{}</code> \
         <span class=\"tls\">{}</span> {}</summary>\n<div class=\"body{wide}\" id=\"c{key}\">\n<div>\n\
         <p class=\"requirement\">{}</p>\n<dl>",
        class(ruling),
        class(ruling),
        ruling.word(),
        escape(case.id, TEXT_MAX),
        outcome.version,
        level(case),
        escape(case.requirement, TEXT_MAX),
    )?;
    if let Ruling::Contradicted { says, .. } = ruling {
        field("File of known deviations", &escape(says, TEXT_MAX), out)?;
    }
    if let Ruling::Known(entry) = ruling {
        let place = format!("{} ({}:{})", entry.reason, judged.file().unwrap_or_default(), entry.line);
        field("Known, because", &escape(&place, TEXT_MAX), out)?;
    }
    for (about, verdict) in verdicts(outcome) {
        let why = verdict.why().map_or_else(String::new, |why| format!(": {}", escape(why, TEXT_MAX)));
        field(&capital(about), &format!("<strong>{}</strong>{why}", verdict.word()), out)?;
    }
    field("Allowed", &escape(&outcome.allowed, TEXT_MAX), out)?;
    field("Seen", &escape(&outcome.seen, TEXT_MAX), out)?;
    if *outcome.verdict() != Verdict::Met {
        field("Harm", &escape(case.harm, TEXT_MAX), out)?;
        field("Mend", &escape(case.mend, TEXT_MAX), out)?;
    }
    if !case.clauses.is_empty() {
        field("Clauses", &escape(&case.clauses.join(", "), TEXT_MAX), out)?;
    }
    if !case.origin.is_empty() {
        field("Seen before in", &escape(&case.origin.join(", "), TEXT_MAX), out)?;
    }
    field("Code", &format!("<code>{}</code>", escape(&outcome.code, TEXT_MAX)), out)?;
    writeln!(out, "</dl>\n</div>")?;
    match ladder {
        Some(ladder) => writeln!(out, "<figure>{ladder}</figure>")?,
        None => writeln!(out, "<p class=\"nothing\">Nothing happened on the wire.</p>")?,
    }
    writeln!(out, "</div>\n</details>")
}

fn not_applicable(judged: &Judged<'_>, out: &mut impl Write) -> io::Result<()> {
    let reasons = by_reason(judged, |ruling| *ruling == Ruling::NotApplicable);
    if reasons.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section class=\"group na\">\n<h2 id=\"na\">Not applicable</h2>")?;
    for (reason, outcomes) in reasons {
        writeln!(out, "<h3>{}</h3>\n<ul class=\"ids\">", escape(&capital(&reason), TEXT_MAX))?;
        for outcome in outcomes {
            writeln!(out, "<li><code>{}</code></li>", escape(&outcome.id(), TEXT_MAX))?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</section>")
}

/// A name and a value that is HTML already.
fn field(name: &str, value: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<dt>{name}</dt><dd>{value}</dd>")
}

fn level(case: &Case) -> String {
    format!("<span class=\"level\">{}</span>", case.level)
}

fn capital(text: &str) -> String {
    let mut all = text.chars();
    all.next().map_or_else(String::new, |first| first.to_uppercase().chain(all).collect())
}

/// What the style sheet and the filter know a ruling by.
fn class(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling::Met => "met",
        Ruling::Failed | Ruling::Contradicted { .. } => "failed",
        Ruling::Warned => "failed warned",
        Ruling::Known(_) => "known",
        Ruling::Unclear { .. } => "unclear",
        Ruling::NotApplicable => "na",
    }
}

/// A word that fits a narrow column.
fn short(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling::Known(_) => "known",
        Ruling::Unclear { .. } => "unclear",
        _ => ruling.word(),
    }
}

/// Longer than any text of ours; a bound for those of others.
const TEXT_MAX: usize = 2000;
const STYLE: &str = include_str!("page.css");
