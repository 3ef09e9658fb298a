//! The tables of `docs/ledger.md`, for tests that compare.

/// The first column of the table of a session's fields.
pub(super) fn session_fields() -> Vec<String> {
    rows("| field").into_iter().map(|row| words(&row[0]).remove(0)).collect()
}

/// Word, level and fields of each event.
pub(super) fn events() -> Vec<(String, String, Vec<String>)> {
    rows("| event").into_iter().map(|row| (words(&row[0]).remove(0), row[1].clone(), words(&row[2]))).collect()
}

/// Whether a page has a word, in backticks.
pub(super) fn has(page: &str, word: &str) -> bool {
    page.contains(&format!("`{word}`"))
}

/// Whether a page has a row of a table about a word.
pub(super) fn has_row(page: &str, word: &str) -> bool {
    page.lines().any(|line| line.starts_with('|') && has(line, word))
}

/// The cells of the table whose head begins so.
fn rows(head: &str) -> Vec<Vec<String>> {
    LEDGER
        .lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .map_while(|line| line.strip_prefix('|'))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands in backticks.
fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The page of the fields and the words.
pub(super) const LEDGER: &str = include_str!("../../../../docs/ledger.md");

/// The page of what to do.
pub(super) const OPERATIONS: &str = include_str!("../../../../docs/operations.md");
