//! The Debian package: built by cargo-deb, installed, tried and removed again.
//!
//! Without root it is only unpacked and tried from there. An installed package is never replaced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::peers;
use crate::shell::{self, Failure, Outcome, cargo};

/// Builds the package, and proves that it can be installed, used and removed.
pub(crate) fn run() -> Outcome {
    let cargo_deb = install_if_missing()?;
    shell::run(cargo(&["build", "--release", "--locked", "-p", "closenotify-cli"]))?;
    // Where the manifest of closenotify-cli looks, wherever cargo builds.
    let folder = shell::root().join("target/deb");
    write_generated(&folder)?;
    let package = folder.join("closenotify.deb");
    let mut build = shell::command(&path(&cargo_deb), &["-p", "closenotify-cli", "--no-build", "--locked", "--output"]);
    build.arg(&package);
    shell::run(build)?;
    if peers::is_root() && peers::is_there("dpkg") { try_installed(&package) } else { try_unpacked(&folder, &package) }
}

fn try_installed(package: &Path) -> Outcome {
    let installed = shell::command("dpkg-query", &["--show", "--showformat=${Status}", "closenotify"]);
    if shell::output(installed).is_ok_and(|status| status.ends_with(" installed")) {
        return Err(Failure::new(
            "closenotify is installed here as a package; remove it first: dpkg --purge closenotify",
        ));
    }
    shell::run(shell::command("dpkg", &["--install", &path(package)]))?;
    let outcome = try_what_is_installed();
    // Also after a failure: nothing is left but the user.
    shell::run(shell::command("dpkg", &["--purge", "closenotify"]))?;
    outcome?;
    for gone in ["/usr/bin/closenotify", "/etc/closenotify/proxy.toml", "/usr/lib/systemd/system/closenotify.service"] {
        if Path::new(gone).exists() {
            return Err(Failure::new(format!("{gone} is still there after the package was purged")));
        }
    }
    println!("deb: installed, tried and purged; the package is {}", package.display());
    Ok(())
}

fn try_what_is_installed() -> Outcome {
    try_binary(Path::new("/usr/bin/closenotify"))?;
    expect("getent", &["passwd", "closenotify"], "nologin")?;
    expect("dpkg-query", &["--show", "--showformat=${Conffiles}", "closenotify"], "/etc/closenotify/proxy.toml")?;
    for page in ["/usr/share/man/man1/closenotify.1.gz", "/usr/share/man/man1/closenotify-proxy.1.gz"] {
        if !Path::new(page).exists() {
            return Err(Failure::new(format!("the package has no {page}")));
        }
    }
    if peers::is_there("systemd-analyze") {
        let units =
            ["closenotify.service", "closenotify@x.service"].map(|unit| format!("/usr/lib/systemd/system/{unit}"));
        for unit in units {
            shell::run(shell::command("systemd-analyze", &["verify", "--man=no", &unit]))?;
        }
    } else {
        println!("deb: UNITS NOT VERIFIED: there is no systemd-analyze here");
    }
    Ok(())
}

fn try_unpacked(folder: &Path, package: &Path) -> Outcome {
    let root = folder.join("root");
    shell::run(shell::command("dpkg-deb", &["--extract", &path(package), &path(&root)]))?;
    try_binary(&root.join("usr/bin/closenotify"))?;
    println!("deb: NOT INSTALLED, only unpacked: that takes root; the package is {}", package.display());
    Ok(())
}

fn try_binary(binary: &Path) -> Outcome {
    expect(&path(binary), &["--version"], "closenotify ")
}

/// Runs a command, and fails unless it prints a text.
fn expect(program: &str, arguments: &[&str], text: &str) -> Outcome {
    let printed = shell::output(shell::command(program, arguments))?;
    if printed.contains(text) {
        return Ok(());
    }
    Err(Failure::new(format!("`{program} {}` does not print {text:?}, but:\n{printed}", arguments.join(" "))))
}

/// Man pages and completions, by the binary itself, and the pages of `docs` that a package has.
fn write_generated(folder: &Path) -> Outcome {
    let failed = |error| Failure::new(format!("{}: {error}", folder.display()));
    let _ = fs::remove_dir_all(folder);
    let [man, completions, docs] = ["man", "completions", "doc"].map(|name| folder.join(name));
    for new in [&man, &completions, &docs] {
        fs::create_dir_all(new).map_err(failed)?;
    }
    let binary = path(&shell::target_folder().join("release/closenotify"));
    shell::run(shell::command(&binary, &["man", &path(&man)]))?;
    for (shell, file) in [("bash", "closenotify"), ("zsh", "_closenotify"), ("fish", "closenotify.fish")] {
        let mut write = shell::command(&binary, &["completions", shell]);
        write.stdout(File::create(completions.join(file)).map_err(failed)?);
        shell::run(write)?;
    }
    for page in DOCS {
        let from = shell::root().join("docs").join(page);
        fs::copy(&from, docs.join(page)).map_err(|error| Failure::new(format!("{}: {error}", from.display())))?;
    }
    Ok(())
}

fn install_if_missing() -> Outcome<PathBuf> {
    let tools = shell::target_folder().join("tools");
    let program = tools.join("bin/cargo-deb");
    let there = shell::output(shell::command(&path(&program), &["--version"]));
    if there.is_ok_and(|said| said.split_whitespace().last() == Some(VERSION)) {
        return Ok(program);
    }
    // It runs for a second: built fast rather than to be fast. Without its default features it needs no liblzma.
    let mut install = cargo(&["install", "--locked", "cargo-deb", "--version", VERSION, "--profile", "dev"]);
    install.args(["--no-default-features", "--root"]).arg(&tools);
    install.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "0");
    shell::run(install)?;
    Ok(program)
}

/// Our own paths are UTF-8, or cargo would not build.
fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

const VERSION: &str = "3.8.0";

const DOCS: &[&str] =
    &["config.md", "example.toml", "tls.md", "running.md", "operations.md", "ledger.md", "endings.md", "exit-codes.md"];
