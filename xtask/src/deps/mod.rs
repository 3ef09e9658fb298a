//! The rules between our crates: who may depend on whom, and who may name what.
//!
//! The rules are data and the judging is pure, so that tests can plant violations; only this file asks cargo and
//! reads files.

mod graph;
mod rules;
mod source;

use std::fs;
use std::path::Path;

use self::graph::Graph;
use self::source::SourceFile;
use crate::shell::{self, Failure, Outcome, cargo};

/// Judges the workspace; prints every violation, with the rule's reason. Fails when a lock file outside the workspace is older than
/// our crates, which the steps that build from it would find late.
pub(crate) fn run() -> Outcome {
    // Every feature and every target: a rule that holds only without a feature does not hold.
    let text = shell::output(cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"]))?;
    let graph = Graph::from_metadata(&text).map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    let mut violations = rules::check_graph(&graph);
    let root = shell::root();
    let root_manifest = read(&root.join("Cargo.toml"))?;
    for member in graph.members() {
        let manifest = read(&member.folder.join("Cargo.toml"))?;
        let files = sources(&member.folder)?;
        violations.extend(rules::check_sources(&member.name, &files));
        violations.extend(rules::check_unsafe(&member.name, &root_manifest, &manifest, &files));
    }
    for manifest in OUTSIDE {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest];
        shell::output(cargo(&arguments)).map_err(|failure| Failure {
            message: format!("{failure}\nif its lock file is old: cargo metadata --manifest-path {manifest}"),
            ..failure
        })?;
    }
    if violations.is_empty() {
        println!("deps: {} crates keep their rules", graph.members().len());
        return Ok(());
    }
    for violation in &violations {
        println!("deps: {violation}");
    }
    Err(Failure::new(format!("{} broken rules between crates", violations.len())))
}

/// Every Rust file under a crate's `src`, with its path from there.
fn sources(folder: &Path) -> Outcome<Vec<SourceFile>> {
    let src = folder.join("src");
    let mut files = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        let failed = |error| Failure::new(format!("{} cannot be read: {error}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&src).expect("the walk started at src");
                files.push(SourceFile::new(name.to_string_lossy(), &read(&path)?));
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}

/// The packages outside the workspace, each with a lock file of its own.
const OUTSIDE: [&str; 7] = [
    "bench/Cargo.toml",
    "fuzz/Cargo.toml",
    "lab/ecosystem/Cargo.toml",
    "lab/incident/Cargo.toml",
    "lab/peers/Cargo.toml",
    "lab/streams/Cargo.toml",
    "lab/unexpected-eof/Cargo.toml",
];
