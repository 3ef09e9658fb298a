//! The page of every setting, `docs/config.md`, made of the list that the reader uses.
//!
//! It holds no text of its own about a setting.

use std::fmt::Write as _;

use super::duration::{LONGEST_TEXT, SHORTEST_TEXT};
use super::schema::{Form, LeftOut, ROOT, Setting, Table};

/// The reference of the configuration file, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let durations = format!(
        "- A *duration* is a string with a number and its unit, {SHORTEST_TEXT} to {LONGEST_TEXT}: `\"500ms\"`, `\"30s\"`, \
         `\"5m\"`, `\"1h\"`, `\"1d\"`, or several: `\"1m 30s\"`.\n"
    );
    page += &durations;
    page += NOTES;
    write_table(&mut page, "", &ROOT);
    page
}

/// A table of settings under its name in a file, then those within it.
fn write_table(page: &mut String, path: &str, table: &Table) {
    let heading = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
    let Table { about, settings } = table;
    write!(page, "\n## {heading}\n\n{about}\n\n{COLUMNS}").expect("a String takes all that is written");
    for setting @ Setting { key, form, default, about, .. } in *settings {
        let reload = reload_text(setting);
        let (form, default) = (cell(&form_text(form)), cell(&default_text(default)));
        writeln!(page, "| `{key}` | {form} | {default} | {reload} | {} |", cell(about))
            .expect("a String takes all that is written");
    }
    for Setting { key, form, .. } in *settings {
        let Some(inner) = form.table() else { continue };
        // Tables by their header; those within a list of tables by the header of the list.
        let bare = path.trim_matches(['[', ']']);
        let bare = if bare.is_empty() { (*key).to_owned() } else { format!("{bare}.{key}") };
        let header = match form {
            Form::Tables(_) => format!("[[{bare}]]"),
            Form::Named(_) => format!("[{bare}.NAME]"),
            _ => format!("[{bare}]"),
        };
        write_table(page, &header, inner);
    }
}

/// Whether a reload applies a change; of a table, to all of its settings or to some.
fn reload_text(Setting { form, reload, .. }: &Setting) -> &'static str {
    let Some(table) = form.table() else { return if *reload { "yes" } else { "no" } };
    let mut words = table.settings.iter().map(reload_text);
    let first = words.next().unwrap_or("yes");
    if words.all(|word| word == first) { first } else { "some" }
}

fn form_text(form: &Form) -> String {
    let words = |words: Vec<&str>| {
        let quoted: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
        quoted.join(", ")
    };
    match form {
        Form::Table(_) => "table".to_owned(),
        Form::Tables(_) => "list of tables".to_owned(),
        Form::Named(_) => "tables by name".to_owned(),
        Form::Word(all) => format!("one of {}", words(all())),
        Form::Words(all) => format!("list of {}", words(all())),
        Form::Duration => "duration".to_owned(),
        Form::Count { max } => format!("number, 1 to {max}"),
        Form::Text(kind) => format!("string: {kind}"),
        Form::Texts(kind) => format!("list of strings: {kind}"),
    }
}

fn default_text(default: &LeftOut) -> String {
    match default {
        LeftOut::Required => "required".to_owned(),
        LeftOut::Value(value) => format!("`{value}`"),
        LeftOut::Nothing(meaning) => format!("none: {meaning}"),
    }
}

/// A text that neither ends a cell nor begins emphasis.
fn cell(text: &str) -> String {
    let mut code = false;
    text.chars().fold(String::new(), |mut cell, letter| {
        code ^= letter == '`';
        if letter == '|' || (matches!(letter, '*' | '_' | '[' | ']') && !code) {
            cell.push('\\');
        }
        cell.push(letter);
        cell
    })
}

const HEAD: &str = "\
# Configuration

Every setting of the file that `closenotify proxy --config FILE` reads. [example.toml](example.toml) is a complete file with
comments. `closenotify proxy --check-config --config FILE` checks a file without serving: it prints every error with its line and
column, and exits with a code of [exit-codes.md](exit-codes.md).

This page is generated: `cargo xtask config-docs --bless` writes it.

- The file is [TOML](https://toml.io) in UTF-8, at most 1 MiB. An unknown setting is an error.
";

const NOTES: &str = "\
- A relative *path* begins at the directory of the file.
- A list of strings with one value can be written as that string alone. An empty list is an error.
- *Reload* says whether SIGHUP applies a change. If a setting with \"no\" has changed, the reload fails, the old settings stay in
  force, and the log says which setting it is: restart, or use a takeover ([running.md](running.md)).
";

const COLUMNS: &str = "| setting | value | default | reload | what it does |\n|---|---|---|---|---|\n";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `cargo xtask config-docs --bless` runs this with the variable set.
    #[test]
    fn page_of_the_docs_is_the_reference() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
        if std::env::var_os("CLOSENOTIFY_BLESS").is_some() {
            std::fs::write(&page, reference()).unwrap();
        }
        let written = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(written == reference(), "docs/config.md is out of date; run: cargo xtask config-docs --bless");
    }

    #[test]
    fn cells_hold_no_markup_by_accident() {
        assert_eq!(cell("a|b *.c `*_d` e_f"), "a\\|b \\*.c `*_d` e\\_f");
    }
}
