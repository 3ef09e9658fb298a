//! What is said while cases run: which one it is, how many there are, how many were not met so far.
//!
//! It goes to standard error and is no report: on a terminal it is one line, rewritten, and gone when all is done. It never
//! fails a run; a line that cannot be written is lost.

use crate::outcome::{Outcome, Verdict};
use crate::report::safe;
use std::io::{self, Write};

/// Writes progress. The engine calls [`started`](Self::started) and [`finished`](Self::finished) for each case, in any
/// order where cases run side by side, then [`done`](Self::done) once.
#[derive(Debug)]
pub struct Progress<W> {
    out: W,
    style: ProgressStyle,
    total: usize,
    finished: usize,
    not_met: usize,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// One line that is rewritten; only for a terminal, of so many columns.
    Rewritten(usize),
    /// A plain line for each case that is finished.
    Lines,
    /// Nothing.
    Silent,
}

impl<W: Write> Progress<W> {
    /// Progress of `total` cases.
    pub fn new(out: W, style: ProgressStyle, total: usize) -> Self {
        Self { out, style, total, finished: 0, not_met: 0 }
    }

    /// A case begins; `id` is as [`Outcome::id`] gives it.
    pub fn started(&mut self, id: &str) {
        if let ProgressStyle::Rewritten(columns) = self.style {
            let failed = if self.not_met == 0 { String::new() } else { format!(" {} not met", self.not_met) };
            // One is running: it is the next to be finished.
            let at = (self.finished + 1).min(self.total);
            let line = format!("[{at}/{}]{failed} {}", self.total, safe::one_line(id));
            // One column less than there are: a full line would wrap, and could not be rewritten.
            self.write(&format!("\r\u{1b}[K{}", safe::ellipsis(&line, columns.saturating_sub(1).max(1))));
        }
    }

    /// A case is over.
    pub fn finished(&mut self, outcome: &Outcome) {
        self.finished += 1;
        self.not_met += usize::from(matches!(outcome.verdict(), Verdict::NotMet(_)));
        if self.style == ProgressStyle::Lines {
            let line = format!("[{}/{}] {}: {}\n", self.finished, self.total, outcome.id(), outcome.verdict().word());
            self.write(&line);
        }
    }

    /// All cases are over, or the run was interrupted: the line of a terminal is wiped, so that a report can follow.
    pub fn done(&mut self) {
        if matches!(self.style, ProgressStyle::Rewritten(_)) {
            self.write("\r\u{1b}[K");
        }
    }

    fn write(&mut self, text: &str) {
        // Nothing can be told to whoever does not take it.
        let _: io::Result<()> = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}
