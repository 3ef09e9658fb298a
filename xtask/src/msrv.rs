//! The published crates under the oldest Rust that they promise, and for Windows and macOS.
//!
//! The toolchain comes from Debian packages, unpacked into the target folder: nothing is installed. The standard library
//! of the other systems is checked from its sources, in the same packages, so that neither those systems nor a linker for
//! them are needed. No provider of cryptography is built: theirs are C, and no code of ours depends on which it is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers;
use crate::shell::{self, Failure, Outcome};

/// Checks the three crates with Rust 1.85.
pub(crate) fn run() -> Outcome {
    let toolchain = Toolchain::unpacked()?;
    let mut check = toolchain.cargo(&["check"]);
    check.args(SELECTION);
    shell::run(check)
}

/// Checks the three crates for each system, with the same toolchain.
pub(crate) fn systems() -> Outcome {
    let toolchain = Toolchain::unpacked()?;
    for system in SYSTEMS {
        let mut check = toolchain.cargo(&["check", "-Zbuild-std=std,panic_abort", "--target", system]);
        // `-Z` flags on a stable cargo; the standard library itself needs them, our code does not.
        check.args(SELECTION).env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        shell::run(check)?;
    }
    Ok(())
}

struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// Downloads and unpacks the packages, unless an earlier run has.
    fn unpacked() -> Outcome<Self> {
        let folder = shell::target_folder().join("msrv").join(VERSION);
        let toolchain = Self { folder: folder.clone() };
        if toolchain.is_right() {
            return Ok(toolchain);
        }
        let packages = folder.join("packages");
        fs::create_dir_all(&packages)
            .map_err(|error| Failure::new(format!("{} cannot be created: {error}", packages.display())))?;
        if peers::is_root() {
            // A fresh machine has no list of packages.
            peers::update()?;
        }
        let mut download = shell::command("apt-get", &["-q", "download"]);
        download.args(RUST.map(|package| format!("{package}={VERSION}"))).args(LIBRARIES).current_dir(&packages);
        shell::run(download).map_err(|failure| Failure {
            message: format!("{failure}\nthe packages come from Debian 12; as root: apt-get update"),
            ..failure
        })?;
        let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", packages.display()));
        for package in fs::read_dir(&packages).map_err(unreadable)? {
            let package = package.map_err(unreadable)?.path();
            let mut unpack = shell::command("dpkg", &["-x"]);
            unpack.arg(&package).arg(&folder);
            shell::run(unpack)?;
        }
        if toolchain.is_right() {
            Ok(toolchain)
        } else {
            Err(Failure::new(format!("{} does not run as Rust {RELEASE}", toolchain.program("rustc").display())))
        }
    }

    fn is_right(&self) -> bool {
        ["rustc", "cargo"].iter().all(|name| {
            let mut version = Command::new(self.program(name));
            version.arg("-V").env("LD_LIBRARY_PATH", self.libraries());
            let output = version.output();
            output
                .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with(&format!("{name} {RELEASE} ")))
        })
    }

    /// This toolchain's cargo, in a target folder of its own.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = shell::command(&self.program("cargo").to_string_lossy(), arguments);
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(self.folder.join("usr/bin")).chain(env::split_paths(&path)));
        cargo
            .env("PATH", path.expect("the entries were split from a PATH, and our folder has no colon"))
            .env("LD_LIBRARY_PATH", self.libraries())
            .env("RUSTC", self.program("rustc"))
            .env("RUSTDOC", self.program("rustdoc"))
            .env("CARGO_TARGET_DIR", shell::target_folder().join("msrv/target"))
            .env_remove("RUSTUP_TOOLCHAIN");
        cargo
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join("usr/bin").join(name)
    }

    fn libraries(&self) -> std::ffi::OsString {
        let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/llvm-19/lib"];
        env::join_paths(folders.map(|folder| self.folder.join(Path::new(folder)))).expect("our folder has no colon")
    }
}

/// The release that `rust-version` in the manifests promises.
const RELEASE: &str = "1.85.0";

/// Debian 12 offers several versions of these packages.
const VERSION: &str = "1.85.0+dfsg3-1~deb12u3";

const RUST: [&str; 5] = ["rustc-web", "cargo-web", "libstd-rust-web-dev", "libstd-rust-web-1.85", "rust-web-src"];

/// What those are linked with and a machine may lack.
const LIBRARIES: [&str; 5] = ["libllvm19", "libpcre3", "libhttp-parser2.9", "libssh2-1", "libcurl4"];

/// The published crates, and every feature of theirs that is not a provider. Left out are `tonic` and `tokio-postgres`: what they
/// depend on promises no Rust as old.
const SELECTION: [&str; 10] = [
    "--locked",
    "-p",
    "closenotify-core",
    "-p",
    "closenotify",
    "-p",
    "pollcheck",
    "--no-default-features",
    "--features",
    "closenotify/tls12,closenotify/logging,closenotify/early-data,closenotify/hyper-util",
];

const SYSTEMS: [&str; 2] = ["x86_64-pc-windows-msvc", "aarch64-apple-darwin"];

#[cfg(test)]
mod tests {
    use super::RELEASE;
    use crate::shell::root;

    #[test]
    fn the_published_crates_promise_the_release_that_is_checked() {
        for name in ["closenotify-core", "closenotify", "pollcheck"] {
            let manifest = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
            let promised = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
            assert_eq!(
                promised.map(|version| format!("{}.0", version.trim_matches('"'))).as_deref(),
                Some(RELEASE),
                "{name}"
            );
        }
    }
}
