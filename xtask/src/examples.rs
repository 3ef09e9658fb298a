//! The examples of `closenotify`, each run to its end: what has a server of its own by itself, what serves by the curl line that
//! it prints and a Ctrl-C.
//!
//! It refuses to judge what they print: that the streams work under these libraries is tested in `tests/ecosystem`.

use crate::peers;
use crate::readme::{Demo, curl};
use crate::shell::{self, Failure, Outcome, cargo};
use std::fs;

/// Runs every example.
pub(crate) fn run() -> Outcome {
    // curl, for those that serve.
    peers::install_missing()?;
    let found = names()?;
    let mut known: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    if found != known {
        return Err(Failure::new(format!("{FOLDER} has {found:?}, and xtask/src/examples.rs runs {known:?}")));
    }
    // Built first, so that the limits are those of the examples and not of the compiler.
    shell::run(cargo(&["build", "--quiet", "--locked", "-p", "closenotify", "--examples"]))?;
    for (name, page) in EXAMPLES {
        println!("$ cargo run -p closenotify --example {name}");
        let mut example = Demo::start(cargo(&["run", "--quiet", "--locked", "-p", "closenotify", "--example", name]))?;
        let run = match page {
            None => example.ended("by itself"),
            Some(page) => example.curl_line().and_then(|line| curl(&line, page)).and_then(|_| example.end_by("INT")),
        };
        run.map_err(|failure| Failure { message: format!("example {name}: {failure}"), ..failure })?;
    }
    Ok(())
}

/// The examples that there are, sorted.
fn names() -> Outcome<Vec<String>> {
    let folder = shell::root().join(FOLDER);
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        names.push(name.strip_suffix(".rs").unwrap_or(&name).to_owned());
    }
    names.sort_unstable();
    Ok(names)
}

const FOLDER: &str = "crates/closenotify/examples";

/// Each with what the page says that it serves, if it serves one.
const EXAMPLES: [(&str, Option<&str>); 5] = [
    ("codec", None),
    ("hyper_client", None),
    ("proxy_copy_bidirectional", None),
    ("axum_server", Some("hello")),
    ("hyper_server", Some("HTTP/")),
];
