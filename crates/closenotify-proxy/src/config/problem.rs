//! What is wrong with a configuration file: where, which setting, why, and what to write.
//!
//! It does not stop at the first problem, and it keeps a bounded number of them.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a configuration file cannot be used: every error that was found, and the warnings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
    /// Errors, also those that are not among the problems.
    errors: usize,
}

impl ConfigErrors {
    /// The errors and the warnings, in the order of the file. At least one is an error.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many errors were found: more than are shown if there are more than a hundred.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// A file that cannot be read at all.
    pub(super) fn unreadable(file: &Path, message: String) -> Self {
        let problem = Problem { severity: Severity::Error, file: file.into(), place: None, setting: None, message };
        Self { problems: vec![problem], errors: 1 }
    }
}

impl fmt::Display for ConfigErrors {
    /// One line a problem, without a line feed at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One thing that is wrong with a configuration file, or probably wrong.
///
/// Shown as `FILE:LINE:COLUMN: setting: what is wrong; what to write`, with `warning: ` after the place if it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    file: PathBuf,
    /// Line and column, counted from 1, the column in characters.
    place: Option<(usize, usize)>,
    setting: Option<String>,
    message: String,
}

/// Whether a configuration file can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

impl Problem {
    /// An error of the setting whose text begins at byte `at`.
    pub(super) fn error(file: &Path, lines: &Lines<'_>, at: usize, setting: String, message: String) -> Self {
        let (severity, place) = (Severity::Error, Some(lines.place(at)));
        Self { severity, file: file.into(), place, setting: Some(setting), message }
    }

    /// The same place, with another message.
    pub(super) fn with_message(&self, message: String) -> Self {
        Self { message, ..self.clone() }
    }

    /// Whether it keeps the file from being used.
    pub fn severity(&self) -> Severity {
        self.severity
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        if let Some(setting) = &self.setting {
            write!(f, " {setting}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// Proof that an error was noted: whoever has one can stop without a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted(());

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    errors: Vec<Note>,
    warnings: Vec<Note>,
    /// Errors for which there was no room.
    more: usize,
}

#[derive(Debug)]
struct Note {
    /// The byte of the text at which the value begins.
    at: usize,
    setting: Option<String>,
    message: String,
}

impl Notes {
    /// Notes an error of the setting whose text begins at byte `at`.
    pub(super) fn error(&mut self, at: usize, setting: &str, message: impl Into<String>) -> Noted {
        self.push_error(Note { at, setting: Some(setting.to_owned()), message: message.into() })
    }

    /// Notes an error of no setting.
    pub(super) fn general_error(&mut self, at: usize, message: impl Into<String>) -> Noted {
        self.push_error(Note { at, setting: None, message: message.into() })
    }

    /// Notes what is probably not meant.
    pub(super) fn warning(&mut self, at: usize, setting: &str, message: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(Note { at, setting: Some(setting.to_owned()), message: message.into() });
        }
    }

    /// How many errors are kept so far.
    pub(super) fn errors(&self) -> usize {
        self.errors.len()
    }

    /// Whether more errors are counted only, so that their texts need no work.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= PROBLEMS_MAX
    }

    /// The warnings if there is no error, or else everything, as problems of `file` with these lines.
    pub(super) fn finish(self, file: &Path, lines: &Lines<'_>) -> Result<Vec<Problem>, ConfigErrors> {
        let errors = self.errors.len() + self.more;
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        for (severity, notes) in [(Severity::Error, self.errors), (Severity::Warning, self.warnings)] {
            problems.extend(notes.into_iter().map(|Note { at, setting, message }| {
                let place = Some(lines.place(at));
                (at, Problem { severity, file: file.into(), place, setting, message })
            }));
        }
        problems.sort_by_key(|(at, _)| *at);
        let mut problems: Vec<_> = problems.into_iter().map(|(_, problem)| problem).collect();
        if errors == 0 {
            return Ok(problems);
        }
        if self.more > 0 {
            let message = format!("{} more errors are not shown", self.more);
            problems.extend(ConfigErrors::unreadable(file, message).problems);
        }
        Err(ConfigErrors { problems, errors })
    }

    fn push_error(&mut self, note: Note) -> Noted {
        if self.is_full() {
            self.more += 1;
        } else {
            self.errors.push(note);
        }
        Noted(())
    }
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after_feeds = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_feeds).collect() }
    }

    /// Line and column of a byte, counted from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        // The parser may point after the text, and never into a character.
        let before = self.text.get(start..at.min(self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// How many errors, and how many warnings, are kept.
pub(super) const PROBLEMS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let lines = Lines::new("a\nbé = 1\n\nx");
        assert_eq!([0, 2, 6, 11, 12, 99].map(|at| lines.place(at)), [(1, 1), (2, 1), (2, 4), (4, 1), (4, 2), (4, 2)]);
        assert_eq!(Lines::new("").place(0), (1, 1));
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_and_warnings_say_so() {
        let mut notes = Notes::default();
        notes.error(4, "b", "second");
        notes.warning(2, "a.b", "probably");
        notes.general_error(0, "first");
        let shown = notes.finish(Path::new("f.toml"), &Lines::new("x\ny\nz")).unwrap_err().to_string();
        assert_eq!(shown, "f.toml:1:1: first\nf.toml:2:1: warning: a.b: probably\nf.toml:3:1: b: second");
    }

    #[test]
    fn errors_beyond_the_bound_are_counted() {
        let mut notes = Notes::default();
        for _ in 0..PROBLEMS_MAX + 5 {
            notes.error(0, "a", "wrong");
            notes.warning(0, "a", "odd");
        }
        let errors = notes.finish(Path::new("f"), &Lines::new("")).unwrap_err();
        assert_eq!(errors.problems().len(), 2 * PROBLEMS_MAX + 1);
        assert_eq!(errors.error_count(), PROBLEMS_MAX + 5);
        assert!(errors.to_string().ends_with("\nf: 5 more errors are not shown"));
    }
}
