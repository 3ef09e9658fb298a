//! The file of known deviations: what a subject is known to do wrong, and why it is put up with.
//!
//! An entry excuses one exact behaviour and no other. A file that says something which cannot be so (an id that no case has,
//! an entry without a reason, a key that means nothing) is refused whole, before a case is run, with every mistake and its
//! line. Whether an entry still is true can only be said of a run, and that is [`Judged`](crate::summary::Judged)'s to say.
//!
//! ```toml
//! [[deviation]]
//! id = "server/half-close/answer-survives"
//! version = "1.3"                  # left out: in every version
//! seen = "data=nothing close=fin"  # the line `code` of a report
//! reason = "our framework closes with the client; ticket 4711"
//! ```

use crate::case::Case;
use crate::outcome::Outcome;
use crate::report::safe;
use closenotify_probe::Version;
use serde::Deserialize;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// The entries of a file, each of which names a case that there is.
#[derive(Clone, Debug, Default)]
pub struct Deviations {
    file: String,
    entries: Vec<Deviation>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Where it begins in the file, counted from 1.
    pub line: usize,
    /// The id of the case, without a version.
    pub id: String,
    /// The version of TLS; `None`: every version that the case has.
    pub version: Option<Version>,
    /// What is seen, exactly as [`Outcome::code`].
    pub seen: String,
    /// Why it is put up with; never empty.
    pub reason: String,
}

impl Deviations {
    /// No file.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads and parses a file. `known` are all cases that there are, of every subject, so that one file can serve several
    /// runs.
    ///
    /// # Errors
    ///
    /// [`ExpectError::Unreadable`] where it cannot be read, is no UTF-8 or has more than 1 MiB; else as [`parse`](Self::parse).
    pub fn read(path: &Path, known: &[&Case]) -> Result<Self, ExpectError> {
        let file = path.display().to_string();
        let unreadable = |why: String| ExpectError::Unreadable { file: file.clone(), why };
        let open = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let mut text = String::new();
        open.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > FILE_MAX {
            return Err(unreadable(format!("it has more than {FILE_MAX} B")));
        }
        Self::parse(&file, &text, known)
    }

    /// Parses the text of a file. `file` is its name in messages, `known` as in [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// [`ExpectError::Wrong`] with every mistake: text that is no TOML, a key that is not one of the four, `id`, `seen` or
    /// `reason` missing or empty, an id or a version that no case has, two entries for the same outcome.
    pub fn parse(file: &str, text: &str, known: &[&Case]) -> Result<Self, ExpectError> {
        let parsed: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, &span));
            ExpectError::wrong(file, vec![Mistake { line, says: safe::one_line(error.message()) }])
        })?;
        let mut mistakes = Vec::new();
        let mut entries: Vec<Deviation> = Vec::new();
        for entry in parsed.deviation {
            let line = line_of(text, &entry.span());
            match entry.into_inner().parse(line, text, known) {
                Ok(entry) => match entries.iter().find(|other| other.overlaps(&entry)) {
                    Some(other) => mistakes.push(Mistake {
                        line,
                        says: format!(
                            "{}: line {} is for the same outcome; keep one of them, or give each its own `version`",
                            safe::one_line(&entry.id),
                            other.line
                        ),
                    }),
                    None => entries.push(entry),
                },
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            Ok(Self { file: file.to_owned(), entries })
        } else {
            Err(ExpectError::wrong(file, mistakes))
        }
    }

    /// The entry for an outcome, whatever it says of it.
    #[must_use]
    pub fn of(&self, outcome: &Outcome) -> Option<&Deviation> {
        self.entries
            .iter()
            .find(|entry| entry.id == outcome.case.id && entry.version.is_none_or(|version| version == outcome.version))
    }

    /// The name of the file, as given; empty where there is none.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The entries, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Deviation] {
        &self.entries
    }
}

impl Deviation {
    fn overlaps(&self, other: &Self) -> bool {
        self.id == other.id && (self.version.is_none() || other.version.is_none() || self.version == other.version)
    }
}

/// Why a file of known deviations cannot be used. Nothing was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectError {
    /// It could not be read.
    Unreadable {
        /// Its name.
        file: String,
        /// What the system says.
        why: String,
    },
    /// It was read, and these are wrong; at least one.
    Wrong {
        /// Its name.
        file: String,
        /// In the order of the file.
        mistakes: Vec<Mistake>,
    },
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to write.
    pub says: String,
}

impl ExpectError {
    fn wrong(file: &str, mistakes: Vec<Mistake>) -> Self {
        Self::Wrong { file: file.to_owned(), mistakes }
    }
}

impl fmt::Display for ExpectError {
    /// One line a mistake, `FILE:LINE: what is wrong and what to write`, without a newline at the end. No control character
    /// of the file reaches a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, why } => {
                write!(
                    f,
                    "{}: the file of known deviations cannot be read: {}",
                    safe::one_line(file),
                    safe::one_line(why)
                )
            }
            Self::Wrong { file, mistakes } => {
                for (at, Mistake { line, says }) in mistakes.iter().enumerate() {
                    let newline = if at == 0 { "" } else { "\n" };
                    write!(f, "{newline}{}:{line}: {says}", safe::one_line(file))?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ExpectError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    deviation: Vec<Spanned<Entry>>,
}

/// An entry as it is written. What is missing is said by us, with the id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Option<Spanned<String>>,
    version: Option<Spanned<String>>,
    seen: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
}

impl Entry {
    fn parse(self, line: usize, text: &str, known: &[&Case]) -> Result<Deviation, Mistake> {
        let at = |field: &Option<Spanned<String>>| field.as_ref().map_or(line, |field| line_of(text, &field.span()));
        let wrong = |line, says| Err(Mistake { line, says });
        let (id_at, version_at) = (at(&self.id), at(&self.version));
        let (seen_at, reason_at) = (at(&self.seen), at(&self.reason));

        let Some(id) = self.id.and_then(filled) else {
            return wrong(id_at, "`id` is missing: write the id of the case, as reports print it".to_owned());
        };
        let shown = safe::one_line(&id);
        let Some(case) = known.iter().find(|case| case.id == id) else {
            return wrong(
                id_at,
                match id.split_once('@') {
                    Some((bare, version)) if known.iter().any(|case| case.id == bare) => {
                        let version = safe::one_line(version);
                        format!("{shown}: write the id without its version, and `version = \"{version}\"` below it")
                    }
                    _ => format!("{shown}: no case has this id; write one as reports print it, or remove the entry"),
                },
            );
        };
        let version = match self.version.map(Spanned::into_inner).as_deref() {
            None => None,
            Some("1.2") => Some(Version::Tls12),
            Some("1.3") => Some(Version::Tls13),
            Some(other) => {
                let other = safe::one_line(other);
                return wrong(version_at, format!("{shown}: `version` is \"1.2\" or \"1.3\", not \"{other}\""));
            }
        };
        if let Some(version) = version
            && !case.versions.contains(&version)
        {
            return wrong(version_at, format!("{shown}: the case is not run in {version}; remove the entry"));
        }
        let Some(seen) = self.seen.and_then(filled) else {
            let like = "as the line `code` of a report has it (\"data=nothing close=fin\")";
            return wrong(seen_at, format!("{shown}: `seen` is missing: write what the subject does, {like}"));
        };
        let Some(reason) = self.reason.and_then(filled) else {
            return wrong(reason_at, format!("{shown}: `reason` is missing: write why this is put up with"));
        };
        Ok(Deviation { line, id, version, seen, reason })
    }
}

/// The text, unless it is blank.
fn filled(text: Spanned<String>) -> Option<String> {
    let text = text.into_inner().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The line that a span begins in, counted from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}

/// A file with an entry for every case in both versions has some 50 KiB.
const FILE_MAX: u64 = 1 << 20;
