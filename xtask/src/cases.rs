//! The page of closing cases against the tests: what a row names exists and says so, and what a test says stands in the row.
//!
//! It does not judge whether a test holds a case off.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::shell::{self, Failure, Outcome};

/// Compares `docs/cases.md` with the sources; prints every difference.
pub(crate) fn run() -> Outcome {
    let root = shell::root();
    let mut tests = Tests::default();
    add_folder(&root.join("crates"), &mut tests)?;
    let cases = Cases::new(&read(&root.join(PAGE))?);
    let faults = compare(&cases, &tests);
    if faults.is_empty() {
        println!("cases: {} cases, {} tests hold them off", cases.0.len(), tests.claims());
        return Ok(());
    }
    for fault in &faults {
        println!("cases: {fault}");
    }
    Err(Failure::new(format!("{PAGE} and the tests differ in {} places", faults.len())))
}

/// The ids of the page, each with the tests that its row names.
struct Cases(Vec<(String, BTreeSet<String>)>);

impl Cases {
    fn new(page: &str) -> Self {
        let rows = page.lines().filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let id = cells.next().filter(|cell| is_id(cell))?;
            let here = cells.nth(1)?;
            // Every second piece stands between backticks.
            let tests = here.split('`').skip(1).step_by(2).filter(|name| is_test(name)).map(str::to_owned).collect();
            Some((id.to_owned(), tests))
        });
        Self(rows.collect())
    }
}

/// The tests of the workspace by file and function, each with the ids that its doc comment claims.
#[derive(Default)]
struct Tests(BTreeMap<String, BTreeSet<String>>);

impl Tests {
    /// Adds the tests of a file, named without its folder and ending.
    fn add(&mut self, file: &str, text: &str) {
        // What stands above a function: its doc comment and its attributes.
        let (mut ids, mut is_test) = (BTreeSet::new(), false);
        for line in text.lines().map(str::trim) {
            if let Some(doc) = line.strip_prefix("///") {
                ids.extend(claims(doc));
            } else if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            } else {
                if let Some(name) = function(line).filter(|_| is_test) {
                    self.0.entry(format!("{file}::{name}")).or_default().append(&mut ids);
                }
                (ids, is_test) = (BTreeSet::new(), false);
            }
        }
    }

    /// How many tests claim a case.
    fn claims(&self) -> usize {
        self.0.values().filter(|ids| !ids.is_empty()).count()
    }
}

fn compare(cases: &Cases, tests: &Tests) -> Vec<String> {
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (id, names) in &cases.0 {
        if !ids.insert(id) {
            faults.push(format!("{id} has two rows"));
        }
        for name in names {
            match tests.0.get(name) {
                None => faults.push(format!("{id} names {name}, which is no test")),
                Some(claimed) if !claimed.contains(id) => {
                    faults.push(format!("{id} names {name}, whose doc comment does not say `{PAGE} {id}`"));
                }
                Some(_) => drop(named.insert((name, id))),
            }
        }
    }
    for (name, claimed) in &tests.0 {
        for id in claimed.iter().filter(|id| !named.contains(&(name, *id))) {
            faults.push(format!("{name} claims {id}, whose row does not name it"));
        }
    }
    faults
}

/// The ids behind the page's name in a line.
fn claims(line: &str) -> impl Iterator<Item = String> {
    let behind = line.split_once(PAGE).map_or("", |(_, behind)| behind);
    behind.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_id(word)).map(str::to_owned)
}

/// A letter and two digits.
fn is_id(word: &str) -> bool {
    matches!(word.as_bytes(), [letter, tens, ones]
        if letter.is_ascii_uppercase() && tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// `file::function`.
fn is_test(word: &str) -> bool {
    let is_name = |name: &str| name.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
    word.split_once("::").is_some_and(|(file, function)| is_name(file) && is_name(function))
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split('(').next()
}

fn add_folder(folder: &Path, tests: &mut Tests) -> Outcome {
    let failed = |error| Failure::new(format!("{} cannot be read: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            add_folder(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().expect("it has an ending").to_string_lossy();
            tests.add(&name, &read(&path)?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}

const PAGE: &str = "docs/cases.md";

#[cfg(test)]
mod tests {
    use super::{Cases, Tests, compare};

    const SOURCE: &str = "
        /// Why.
        /// docs/cases.md R01, L02
        #[test]
        fn holds() {}

        /// docs/cases.md R01
        #[tokio::test(start_paused = true)]
        async fn waits() {}

        /// docs/cases.md R01
        fn helps() {}
    ";

    fn faults(page: &str) -> Vec<String> {
        let mut tests = Tests::default();
        tests.add("file", SOURCE);
        compare(&Cases::new(page), &tests)
    }

    #[test]
    fn a_page_that_agrees_has_no_fault() {
        let page = "
| id | what | here |
|---|---|---|
| R01 | it broke | `file::holds`, and `file::waits`; see `lab/incident` |
| L02 | it broke | `file::holds` |
| L03 | it broke | cannot occur |";
        let page = page.trim();
        assert_eq!(faults(page), [""; 0]);
    }

    #[test]
    fn every_difference_is_a_fault() {
        let page = "| R01 | it broke | `file::holds`, `file::helps` |\n| L04 | it broke | `file::waits` |\n| L04 | | |";
        assert_eq!(
            faults(page),
            [
                "R01 names file::helps, which is no test",
                "L04 names file::waits, whose doc comment does not say `docs/cases.md L04`",
                "L04 has two rows",
                "file::holds claims L02, whose row does not name it",
                "file::waits claims R01, whose row does not name it",
            ]
        );
    }
}
