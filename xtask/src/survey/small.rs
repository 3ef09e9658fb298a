//! The small survey: a few subjects and the cases that are the same in every run, compared with `docs/survey-small.txt`.
//!
//! It does not ask whether a case is met: it is there to notice that the checker, or our own server, client or proxy, says
//! something else than yesterday.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;

use super::prepare::Prepared;
use super::report::Report;
use super::run::{check, reports};
use super::subjects::{self, Subject};
use crate::shell::{self, Failure, Outcome};

/// What was seen, by subject and case with its version of TLS.
type Codes = BTreeMap<(String, String), String>;

/// The file: what is expected, and what is left out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    codes: Codes,
    /// Subject, beginning of the case, and why.
    without: Vec<(String, String, String)>,
}

/// Runs the small survey; compares with the file, or writes it.
pub(super) fn run(write: bool) -> Outcome {
    let small: Vec<&Subject> = subjects::all().filter(|subject| !subject.small.is_empty()).collect();
    let prepared = Prepared::new(&small, false)?;
    let path = shell::root().join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| Failure::new(format!("{FILE} cannot be read: {error}")))?;
    let expected = Expected::parse(&text)?;
    let seen = survey(&prepared, &small)?;
    if write {
        let codes = seen.into_iter().filter(|(key, _)| !expected.leaves_out(key)).collect();
        let text = Expected { codes, ..expected }.to_string();
        fs::write(&path, text).map_err(|error| Failure::new(format!("{FILE} cannot be written: {error}")))?;
        println!("survey: {FILE} is written");
        return Ok(());
    }
    let different = again(&prepared, &small, &expected, &seen)?;
    if different.is_empty() {
        println!("survey: {} cells of {} subjects are as {FILE} says", expected.codes.len(), small.len());
        return Ok(());
    }
    for line in &different {
        println!("survey: {line}");
    }
    let versions: Vec<String> = small
        .iter()
        .map(|subject| Ok(format!("{} {}", subject.id, prepared.version(subject)?)))
        .collect::<Outcome<_>>()?;
    Err(Failure::new(format!(
        "{} cells are not as {FILE} says, twice in a row ({})\nRerun: cargo xtask survey --small. If what is seen now is \
        right: cargo xtask survey --small --write, and say in the commit why it changed.",
        different.len(),
        versions.join(", ")
    )))
}

/// Runs all at once: they wait most of the time.
fn survey(prepared: &Prepared, small: &[&Subject]) -> Outcome<Codes> {
    let codes = thread::scope(|scope| {
        let running: Vec<_> =
            small.iter().map(|subject| scope.spawn(|| one(prepared, subject, subject.small, &[]))).collect();
        running.into_iter().map(|one| one.join().expect("nothing in it panics")).collect::<Outcome<Vec<_>>>()
    })?;
    Ok(codes.into_iter().flatten().collect())
}

/// Runs what differs once more, alone and with more time; what differs again.
fn again(prepared: &Prepared, small: &[&Subject], expected: &Expected, seen: &Codes) -> Outcome<Vec<String>> {
    let mut different = Vec::new();
    for subject in small {
        let faults = expected.compare(subject.id, seen);
        if faults.is_empty() {
            continue;
        }
        println!("survey: {}: {} cells differ, once more", subject.id, faults.len());
        let mut cases: Vec<&str> = faults.iter().filter_map(|((_, id), _)| id.split('@').next()).collect();
        cases.dedup();
        // A cell that was not seen is of a case that there is no more.
        let known = |case: &&str| seen.keys().any(|(_, id)| id.split('@').next() == Some(*case));
        let cases: Vec<&str> = cases.into_iter().filter(known).collect();
        let mut seen = seen.clone();
        if !cases.is_empty() {
            seen.extend(one(prepared, subject, &cases, &["--jobs", "2", "--timeout", "10s"])?);
        }
        different.extend(expected.compare(subject.id, &seen).into_iter().map(|(_, fault)| fault));
    }
    Ok(different)
}

fn one(prepared: &Prepared, subject: &Subject, cases: &[&str], options: &[&str]) -> Outcome<Codes> {
    let folder = reports().join("small");
    let failed = |error| Failure::new(format!("{} cannot be written: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    let report = folder.join(format!("{}.json", subject.id));
    let mut all: Vec<&str> = cases.iter().flat_map(|case| ["--case", case]).collect();
    all.extend(options);
    // A port that was free may be taken by the time that the subject listens.
    let checked = check(prepared, subject, &report, &all).or_else(|_| check(prepared, subject, &report, &all));
    checked.map_err(|failure| Failure { message: format!("{}: {failure}", subject.id), ..failure })?;
    codes(subject, &report)
}

fn codes(subject: &Subject, report: &Path) -> Outcome<Codes> {
    let outcomes = Report::read(report)?.outcomes.into_iter();
    Ok(outcomes.map(|outcome| ((subject.id.to_owned(), outcome.id), outcome.code)).collect())
}

impl Expected {
    fn parse(text: &str) -> Outcome<Self> {
        let mut expected = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = || {
                Failure::new(format!(
                    "{FILE}, line {}: it is neither `SUBJECT CASE@TLS CODE` nor `without SUBJECT CASE: WHY`",
                    at + 1
                ))
            };
            if let Some(rest) = line.strip_prefix("without ") {
                let (names, why) = rest.split_once(": ").ok_or_else(wrong)?;
                let (subject, case) = names.split_once(' ').ok_or_else(wrong)?;
                expected.without.push((subject.to_owned(), case.to_owned(), why.to_owned()));
            } else {
                let (subject, rest) = line.split_once(' ').ok_or_else(wrong)?;
                let (id, code) = rest.split_once(' ').ok_or_else(wrong)?;
                expected.codes.insert((subject.to_owned(), id.to_owned()), code.to_owned());
            }
        }
        Ok(expected)
    }

    fn leaves_out(&self, (subject, id): &(String, String)) -> bool {
        self.without.iter().any(|(of, case, _)| of == subject && id.starts_with(&**case))
    }

    /// What of this subject is not as it should be: where, and a line for a person.
    fn compare(&self, subject: &str, seen: &Codes) -> Vec<((String, String), String)> {
        let mut faults = Vec::new();
        for (key, code) in self.codes.iter().filter(|((of, _), _)| of == subject) {
            let now = seen.get(key).map_or("no such case", |code| code);
            if now != code {
                faults.push((key.clone(), format!("{subject} {}: expected `{code}`, seen `{now}`", key.1)));
            }
        }
        for (key, code) in seen.iter().filter(|((of, _), _)| of == subject) {
            if !self.codes.contains_key(key) && !self.leaves_out(key) {
                faults.push((key.clone(), format!("{subject} {}: not expected at all, seen `{code}`", key.1)));
            }
        }
        faults
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = HEAD.to_owned();
        for (subject, case, why) in &self.without {
            let _ = writeln!(text, "without {subject} {case}: {why}");
        }
        for ((subject, id), code) in &self.codes {
            let _ = writeln!(text, "{subject} {id} {code}");
        }
        f.write_str(&text)
    }
}

const FILE: &str = "docs/survey-small.txt";
const HEAD: &str =
    "# What the checker sees in a few subjects, in the words of its reports. `cargo xtask survey --small` compares,
# with --write it writes this file. A line that begins with `without` is written by hand: cells that are not the same in
# every run, and why.
";

#[cfg(test)]
mod tests {
    use super::{Codes, Expected};

    const TEXT: &str = "# Head\nwithout a server/x: it depends on time\na server/y@1.2 data=whole close=fin\n";

    fn seen(cells: &[(&str, &str)]) -> Codes {
        cells.iter().map(|(id, code)| (("a".to_owned(), (*id).to_owned()), (*code).to_owned())).collect()
    }

    #[test]
    fn what_is_left_out_may_be_anything() {
        let expected = Expected::parse(TEXT).expect("it is right");
        let seen = seen(&[("server/y@1.2", "data=whole close=fin"), ("server/x@1.2", "anything")]);
        assert_eq!(expected.compare("a", &seen), []);
    }

    #[test]
    fn what_is_new_gone_or_different_is_told() {
        let expected = Expected::parse(TEXT).expect("it is right");
        let lines = |seen| expected.compare("a", &seen).into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        let different = "a server/y@1.2: expected `data=whole close=fin`, seen `data=cut close=reset`";
        assert_eq!(lines(seen(&[("server/y@1.2", "data=cut close=reset")])), [different]);
        assert_eq!(
            lines(seen(&[("server/z@1.2", "close=fin")])),
            [
                "a server/y@1.2: expected `data=whole close=fin`, seen `no such case`",
                "a server/z@1.2: not expected at all, seen `close=fin`"
            ]
        );
    }

    #[test]
    fn the_file_is_read_as_it_is_written() {
        let expected = Expected::parse(TEXT).expect("it is right");
        assert_eq!(Expected::parse(&expected.to_string()).expect("it is right"), expected);
        let failure = Expected::parse("\nnonsense\n").expect_err("it is wrong");
        assert!(failure.message.contains("line 2"), "{failure}");
    }
}
