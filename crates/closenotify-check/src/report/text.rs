//! The report for people at a terminal: the summary first, then what is to be done about it.
//!
//! It colours only where it is told to, and no character from outside moves a cursor.

use super::{GROUPS, Shown, began, by_reason, counted, excerpt, headline, remarks, safe, time, verdicts};
use crate::case::Level;
use crate::outcome::{Outcome, Verdict};
use crate::summary::{Decision, Judged, Ruling};
use std::io::{self, Write};

/// What a caller may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether to colour: a terminal, and no `NO_COLOR` in the environment.
    pub colour: bool,
    /// Whether every outcome is written in full, those that are met too.
    pub verbose: bool,
}

/// Writes the report.
///
/// # Errors
///
/// What `out` fails with.
pub fn write(judged: &Judged<'_>, options: TextOptions, out: &mut impl Write) -> io::Result<()> {
    let mut page = Page { judged, options, out };
    page.summary()?;
    let mut number = 0;
    for (title, take) in GROUPS {
        let group: Vec<_> = judged.each().filter(|(_, ruling)| take(ruling)).collect();
        if group.is_empty() {
            continue;
        }
        page.heading(title)?;
        let mut blank = false;
        for (outcome, ruling) in group {
            if *ruling == Ruling::Met && !options.verbose {
                writeln!(page.out, "  {}", outcome.id())?;
                continue;
            }
            number += 1;
            if blank {
                writeln!(page.out)?;
            }
            blank = true;
            page.outcome(number, outcome, ruling)?;
        }
    }
    page.not_applicable()
}

struct Page<'a, W> {
    judged: &'a Judged<'a>,
    options: TextOptions,
    out: &'a mut W,
}

impl<W: Write> Page<'_, W> {
    fn summary(&mut self) -> io::Result<()> {
        let judged = self.judged;
        let run = judged.run();
        let colour = match judged.decision() {
            Decision::AllMet => GREEN,
            Decision::InconclusiveOnly | Decision::Interrupted | Decision::NothingMatched => YELLOW,
            Decision::SomeNotMet | Decision::CouldNotRun => RED,
        };
        let headline = self.paint(colour, headline(judged));
        writeln!(self.out, "{} {}: {headline}", run.subject, safe::one_line(&run.name))?;
        let total = judged.counts(|_| true).total();
        let results = if total == 1 { "result" } else { "results" };
        writeln!(self.out, "{total} {results} in {}, {}: {}", time(run.took), began(run.began), counted(judged))?;
        if total > 0 {
            writeln!(
                self.out,
                "\n{:10}{:>9}{:>7}{:>14}{:>16}{:>7}",
                "", "not met", "known", "inconclusive", "not applicable", "met"
            )?;
            for level in Level::ALL {
                let counts = judged.counts(|outcome| outcome.case.level == level);
                if counts.total() > 0 {
                    writeln!(
                        self.out,
                        "{:10}{:>9}{:>7}{:>14}{:>16}{:>7}",
                        level.to_string(),
                        counts.not_met,
                        counts.known,
                        counts.inconclusive,
                        counts.not_applicable,
                        counts.met
                    )?;
                }
            }
        }
        let remarks = remarks(judged);
        if !remarks.is_empty() {
            writeln!(self.out)?;
        }
        for remark in remarks {
            self.wrapped("note: ", &remark)?;
        }
        Ok(())
    }

    fn outcome(&mut self, number: usize, outcome: &Outcome, ruling: &Ruling) -> io::Result<()> {
        let case = outcome.case;
        let colour = match ruling {
            Ruling::Met => GREEN,
            Ruling::Failed | Ruling::Contradicted { .. } => RED,
            Ruling::Warned | Ruling::Known(_) | Ruling::Unclear { .. } | Ruling::NotApplicable => YELLOW,
        };
        let id = self.paint(BOLD, &outcome.id());
        let word = self.paint(colour, ruling.word());
        writeln!(self.out, "{number}. {id}  {}  {word}", case.level)?;
        self.field("requires", case.requirement)?;
        if !case.clauses.is_empty() {
            self.field("clauses", &case.clauses.join(", "))?;
        }
        for (about, verdict) in verdicts(outcome) {
            let why = verdict.why().map_or_else(String::new, |why| format!(": {why}"));
            self.field(about, &format!("{}{why}", verdict.word()))?;
        }
        self.field("allowed", &outcome.allowed)?;
        self.field("seen", &outcome.seen)?;
        self.field("code", &outcome.code)?;
        match ruling {
            Ruling::Known(entry) => {
                self.field("known", &format!("{} ({}:{})", entry.reason, self.file(), entry.line))?;
            }
            Ruling::Contradicted { says, .. } => self.field("file", says)?,
            Ruling::Met | Ruling::Failed | Ruling::Warned | Ruling::Unclear { .. } | Ruling::NotApplicable => {}
        }
        self.timeline(outcome)?;
        if *outcome.verdict() != Verdict::Met {
            self.field("harm", case.harm)?;
            self.field("mend", case.mend)?;
        }
        Ok(())
    }

    fn timeline(&mut self, outcome: &Outcome) -> io::Result<()> {
        if outcome.events.is_empty() {
            return Ok(());
        }
        self.field("timeline", "since the start of the case")?;
        // Only a proxy has two connections, and only then must it be said which.
        let two = outcome.events.iter().any(|event| event.link != outcome.events[0].link);
        for shown in excerpt(outcome) {
            match shown {
                Shown::Left(left) => writeln!(self.out, "{:>15}  ({left} more events)", "…")?,
                Shown::Event(at, event) => {
                    let link = if two { format!("{:8}  ", event.link.to_string()) } else { String::new() };
                    let here = if outcome.wrong_at == Some(at) { self.paint(RED, "  <-- here") } else { String::new() };
                    let what = safe::cut(&event.what.to_string(), EVENT_MAX);
                    let since = format!("+{}", time(event.at));
                    writeln!(self.out, "{since:>15}  {link}{:7}  {what}{here}", event.by.to_string())?;
                }
            }
        }
        writeln!(self.out, "{:>15}  the case was over", format!("+{}", time(outcome.took)))
    }

    fn not_applicable(&mut self) -> io::Result<()> {
        let reasons = by_reason(self.judged, |ruling| *ruling == Ruling::NotApplicable);
        if reasons.is_empty() {
            return Ok(());
        }
        self.heading("Not applicable")?;
        for (reason, outcomes) in reasons {
            self.wrapped("  ", &format!("{reason}:"))?;
            for outcome in outcomes {
                writeln!(self.out, "    {}", outcome.id())?;
            }
        }
        Ok(())
    }

    fn heading(&mut self, title: &str) -> io::Result<()> {
        let title = self.paint(BOLD, title);
        writeln!(self.out, "\n{title}\n")
    }

    fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.wrapped(&format!("   {name:10}"), &safe::one_line(value))
    }

    /// Words in lines of at most [`COLUMNS`], the later ones under the first. A word that is longer has a line to itself.
    fn wrapped(&mut self, first: &str, text: &str) -> io::Result<()> {
        let indent = first.chars().count();
        let mut column = indent;
        write!(self.out, "{first}")?;
        for (at, word) in text.split_whitespace().enumerate() {
            let length = word.chars().count();
            if at > 0 && column + 1 + length > COLUMNS {
                write!(self.out, "\n{:indent$}", "")?;
                column = indent;
            } else if at > 0 {
                write!(self.out, " ")?;
                column += 1;
            }
            write!(self.out, "{word}")?;
            column += length;
        }
        writeln!(self.out)
    }

    fn file(&self) -> String {
        safe::one_line(self.judged.file().unwrap_or_default())
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.options.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
/// Lines are not longer than this, whatever the terminal: longer ones are tiring to read.
const COLUMNS: usize = 100;
/// An event is one line.
const EVENT_MAX: usize = 200;
