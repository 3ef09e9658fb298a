//! What was found to be surprising, and looked at by hand: written in docs/survey.md, read from there for the other page.
//!
//! An entry is a heading, a line that names subjects and cases, and text:
//!
//! ```text
//! ### nginx does not answer a close_notify
//!
//! `nginx-http`, `nginx-stream`: `server/half-close/`, `server/end/one-close-notify`
//!
//! Text.
//! ```

use super::report::{Cell, Known, Surveyed, Verdict};
use crate::shell::{Failure, Outcome};

/// An entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Surprise {
    /// Its heading.
    pub(super) title: String,
    /// The ids of subjects.
    pub(super) subjects: Vec<String>,
    /// How the ids of its cases begin.
    pub(super) cases: Vec<String>,
    /// Its paragraphs, in Markdown.
    pub(super) text: Vec<String>,
}

impl Surprise {
    /// Whether it is about this case of this subject.
    pub(super) fn is_about(&self, subject: &str, case: &str) -> bool {
        self.subjects.iter().any(|id| id == subject) && self.cases.iter().any(|prefix| case.starts_with(&**prefix))
    }

    /// The place of its heading in a page.
    pub(super) fn anchor(&self) -> String {
        let mut anchor = String::new();
        for c in self.title.chars() {
            match c {
                ' ' | '-' => anchor.push('-'),
                c if c.is_alphanumeric() || c == '_' => anchor.extend(c.to_lowercase()),
                _ => {}
            }
        }
        anchor
    }
}

/// The first entry about a cell; none where all is as it should be.
pub(super) fn about<'a>(surprises: &'a [Surprise], subject: &Surveyed, cell: &Cell) -> Option<&'a Surprise> {
    let fine = cell.tls.values().all(|seen| matches!(seen.verdict, Verdict::Met | Verdict::NotApplicable));
    // One entry is about what is met: it was said not to be.
    let is_named = |surprise: &&Surprise| surprise.cases.contains(&cell.case);
    let is_about = |surprise: &&Surprise| surprise.is_about(subject.subject.id, &cell.case);
    surprises.iter().find(|surprise| is_about(surprise) && (!fine || is_only(surprise) && is_named(surprise)))
}

/// Whether the entry is about one cell.
fn is_only(surprise: &Surprise) -> bool {
    surprise.subjects.len() == 1 && surprise.cases.len() == 1
}

/// Reads the entries of the page.
///
/// Fails on an entry whose second line is not as it should be.
pub(super) fn parse(page: &str) -> Outcome<Vec<Surprise>> {
    let Some((_, section)) = page.split_once(&format!("\n{HEADING}\n")) else { return Ok(Vec::new()) };
    let section = section.split("\n## ").next().unwrap_or(section);
    section.split("\n### ").skip(1).map(entry).collect()
}

/// Fails where an entry names what was not surveyed: it is about nothing that a reader could see.
pub(super) fn check(surprises: &[Surprise], known: &Known) -> Outcome {
    for surprise in surprises {
        let wrong = |what: String| Failure::new(format!("{PAGE}, \"{}\": {what}", surprise.title));
        let mut cells = Vec::new();
        for id in &surprise.subjects {
            let subject = known.surveyed.iter().find(|surveyed| surveyed.subject.id == id);
            cells.extend(&subject.ok_or_else(|| wrong(format!("there is no report on a subject {id}")))?.cells);
        }
        for prefix in &surprise.cases {
            if !cells.iter().any(|cell| cell.case.starts_with(&**prefix)) {
                return Err(wrong(format!("none of its subjects has a case {prefix}")));
            }
        }
    }
    Ok(())
}

fn entry(text: &str) -> Outcome<Surprise> {
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.trim().replace('\n', " "));
    let title = paragraphs.next().unwrap_or_default();
    let names = paragraphs.next().unwrap_or_default();
    let (subjects, cases) = names.split_once("`: `").ok_or_else(|| {
        Failure::new(format!("{PAGE}, \"{title}\": behind the heading stand `subject`, `subject`: `case`, `case`"))
    })?;
    let words = |text: &str| -> Vec<String> {
        text.split('`').filter(|word| !word.trim_matches([',', ' ']).is_empty()).map(str::to_owned).collect()
    };
    let text = paragraphs.filter(|paragraph| !paragraph.is_empty()).collect();
    Ok(Surprise { title, subjects: words(subjects), cases: words(cases), text })
}

/// The page.
pub(super) const PAGE: &str = "docs/survey.md";
/// The section with the entries.
const HEADING: &str = "## What is surprising";

#[cfg(test)]
mod tests {
    use super::{Surprise, parse};

    #[test]
    fn an_entry_has_a_heading_a_line_of_names_and_text() {
        let page = "# Page\n\n## What is surprising\n\nIntro.\n\n### One is: so\n\n`a`, `b-c`: `server/end/`,\n`server/x`\n\nFirst\nline.\n\nSecond.\n\n### Two\n\n`a`: `server/y`\n\nMore.\n\n## Next\n\n### No\n";
        let surprises = parse(page).expect("it is one");
        assert_eq!(surprises.len(), 2);
        let one = &surprises[0];
        let words = |words: &[&str]| words.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            *one,
            Surprise {
                title: "One is: so".to_owned(),
                subjects: words(&["a", "b-c"]),
                cases: words(&["server/end/", "server/x"]),
                text: words(&["First line.", "Second."]),
            }
        );
        assert_eq!(one.anchor(), "one-is-so");
        assert!(one.is_about("b-c", "server/end/one") && !one.is_about("b", "server/end/one"));
        assert_eq!(surprises[1].text, ["More."]);
    }

    #[test]
    fn an_entry_without_names_is_refused() {
        let failure = parse("\n## What is surprising\n\n### One\n\nText.\n").expect_err("it names nothing");
        assert!(failure.message.contains("\"One\""), "{failure}");
    }
}
