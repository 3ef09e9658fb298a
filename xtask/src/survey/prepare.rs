//! What a survey needs before the first run: packages, programs built here, and a folder that everyone may read.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::subjects::Subject;
use crate::peers;
use crate::shell::{self, Failure, Outcome, cargo};

/// All that a run needs. Dropping it removes its folder.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `closenotify`.
    pub(super) closenotify: PathBuf,
    /// The program of `lab/peers`.
    pub(super) peers: PathBuf,
    /// Where scripts and the file `big` are; others than we may read it.
    pub(super) work: PathBuf,
}

impl Prepared {
    /// Installs, builds and writes what `subjects` need; `whole` builds the crates that only the whole survey needs.
    ///
    /// Fails with [`peers::EXIT_MISSING`] when packages are missing and cannot be installed from here.
    pub(super) fn new(subjects: &[&Subject], whole: bool) -> Outcome<Self> {
        let mut packages: Vec<&str> = subjects.iter().flat_map(|subject| subject.packages).copied().collect();
        // `timeout` and `setpriv`, which end a run that hangs or whose xtask is gone.
        packages.extend(["coreutils", "util-linux"]);
        packages.sort_unstable();
        packages.dedup();
        install(&packages)?;

        let target = shell::target_folder();
        shell::run(cargo(&["build", "--quiet", "--locked", "-p", "closenotify-cli"]))?;
        let mut build = cargo(&["build", "--quiet", "--locked", "--manifest-path", "lab/peers/Cargo.toml"]);
        if !whole {
            build.arg("--no-default-features");
        }
        build.arg("--target-dir").arg(&target);
        shell::run(build)?;

        clear_old();
        let work = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
        let prepared = Self { closenotify: work.join("closenotify"), peers: work.join("peers"), work };
        let failed = |error| Failure::new(format!("{} cannot be written: {error}", prepared.work.display()));
        fs::create_dir_all(&prepared.work).map_err(failed)?;
        fs::set_permissions(&prepared.work, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        // Copies, for somebody may build here while the survey runs.
        for program in ["closenotify", "peers"] {
            fs::copy(target.join("debug").join(program), prepared.work.join(program)).map_err(failed)?;
        }
        fs::write(prepared.work.join("big"), vec![b'x'; BIG]).map_err(failed)?;
        for subject in subjects {
            for (name, text) in subject.files {
                fs::write(prepared.work.join(name), text.trim_start()).map_err(failed)?;
            }
            fs::write(prepared.script(subject), script(subject)).map_err(failed)?;
        }
        Ok(prepared)
    }

    /// The file with the subject's script.
    pub(super) fn script(&self, subject: &Subject) -> PathBuf {
        self.work.join(format!("{}.sh", subject.id))
    }

    /// What the subject's version is, by its own word.
    pub(super) fn version(&self, subject: &Subject) -> Outcome<String> {
        let mut command = shell::command("sh", &["-c", subject.version]);
        command.env("peers", &self.peers).env("closenotify", &self.closenotify);
        let version = shell::output(command)?.trim().to_owned();
        if version.is_empty() || version.contains('\n') {
            return Err(Failure::new(format!("{}: `{}` printed no version", subject.id, subject.version)));
        }
        Ok(version)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // What is left in the system's folder for temporary files is cleared in time.
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// Removes the folders of surveys that were killed.
fn clear_old() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDER)).filter(|id| id.parse::<u32>().is_ok());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // One that is not ours to remove stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// An address of this host that is free now.
pub(super) fn free_address() -> Outcome<SocketAddr> {
    let failed = |error| Failure::new(format!("no port is free: {error}"));
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).map_err(failed)
}

/// The script with its variables.
fn script(subject: &Subject) -> String {
    let mut text = String::from("set -eu\n");
    for (at, place) in subject.kind.places().iter().enumerate() {
        text.push_str(&format!("{place}=${{{}}}\n", at + 1));
    }
    for (name, value) in subject.with {
        text.push_str(&format!("{name}='{value}'\n"));
    }
    text + subject.start
}

/// Installs what is missing, without starting the services that come with it.
fn install(packages: &[&str]) -> Outcome {
    let missing: Vec<&str> = packages.iter().filter(|package| !is_installed(package)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("survey: missing packages: {}", missing.join(", "));
    let policy = Path::new(POLICY);
    let ours = peers::is_root() && !policy.exists();
    if ours {
        let failed = |error| Failure::new(format!("{POLICY} cannot be written: {error}"));
        fs::write(policy, "#!/bin/sh\nexit 101\n").map_err(failed)?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    let installed = peers::install(&missing);
    if ours {
        // It was not there before; a file that stays only keeps services from being started.
        let _ = fs::remove_file(policy);
    }
    installed
}

fn is_installed(package: &str) -> bool {
    let query = shell::command("dpkg-query", &["-W", "-f", "${db:Status-Status}", package]);
    shell::output(query).is_ok_and(|status| status == "installed")
}

/// Asked by Debian's packages whether they may start their services; 101 is no.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// The folders of surveys; the process id follows.
const FOLDER: &str = "closenotify-survey-";
/// Long enough for the cases about long answers.
const BIG: usize = 1_000_000;
