//! The manifests in deploy/kubernetes, judged by kubernetes-validate from PyPI against the schemas of Kubernetes.
//!
//! It goes into a virtual environment in the target folder. No cluster is asked anything.

use std::fs;
use std::path::Path;

use crate::shell::{self, Failure, Outcome};

/// Validates every manifest; unknown properties are errors.
pub(crate) fn run() -> Outcome {
    let folder = shell::root().join(FOLDER);
    let failed = |error| Failure::new(format!("{FOLDER}: {error}"));
    let mut manifests = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        // For kubectl, which no schema of the API describes.
        if name.ends_with(".yaml") && name != "kustomization.yaml" {
            manifests.push(format!("{FOLDER}/{name}"));
        }
    }
    manifests.sort();
    if manifests.is_empty() {
        return Err(Failure::new(format!("{FOLDER} has no manifests")));
    }
    for version in VERSIONS {
        let mut validate = shell::command(&validator()?, &["--strict", "--quiet", "-k", version]);
        validate.args(&manifests);
        shell::run(validate)?;
    }
    listed(&folder, &manifests)?;
    println!("kubernetes: {} manifests are valid", manifests.len());
    Ok(())
}

/// Whether the kustomization names every manifest, and no other.
fn listed(folder: &Path, manifests: &[String]) -> Outcome {
    let text = fs::read_to_string(folder.join("kustomization.yaml"))
        .map_err(|error| Failure::new(format!("{FOLDER}/kustomization.yaml: {error}")))?;
    let mut named: Vec<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix("- ")).map(|name| format!("{FOLDER}/{name}")).collect();
    named.sort();
    if named == manifests {
        return Ok(());
    }
    Err(Failure::new(format!("{FOLDER}/kustomization.yaml lists {named:?}, the folder has {manifests:?}")))
}

/// The installed program.
fn validator() -> Outcome<String> {
    let environment = shell::target_folder().join("kubernetes-validate");
    let program = environment.join("bin/kubernetes-validate").to_string_lossy().into_owned();
    let there = shell::output(shell::command(&program, &["--version"]));
    if there.is_ok_and(|said| said.contains(VERSION)) {
        return Ok(program);
    }
    shell::run(shell::command("python3", &["-m", "venv", "--clear", &environment.to_string_lossy()]))?;
    let pip = environment.join("bin/pip").to_string_lossy().into_owned();
    let package = format!("kubernetes-validate=={VERSION}");
    shell::run(shell::command(&pip, &["install", "--quiet", "--disable-pip-version-check", &package]))?;
    Ok(program)
}

const FOLDER: &str = "deploy/kubernetes";

/// Of kubernetes-validate.
const VERSION: &str = "1.37.0";

/// Of Kubernetes: the oldest that the manifests are for, and the newest.
const VERSIONS: &[&str] = &["1.31", "1.37"];
