//! The programs that the tests talk to, and their installation from Debian packages.
//!
//! Nothing is downloaded in any other way, and nothing is installed that is there already.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{env, fs};

use crate::shell::{self, Failure, Outcome};

/// Installs what is missing.
///
/// Fails with [`EXIT_MISSING`] when that takes root or Debian's package manager and we have not got it.
pub(crate) fn install_missing() -> Outcome {
    let missing = missing();
    if missing.is_empty() {
        println!("peers: all there");
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|peer| peer.package).collect();
    let programs: Vec<&str> = missing.iter().map(|peer| peer.program).collect();
    println!("peers: missing: {}", programs.join(", "));
    install(&packages)?;
    match self::missing().first() {
        None => Ok(()),
        Some(peer) => {
            Err(Failure::new(format!("{} was installed and yet there is no `{}` in PATH", peer.package, peer.program))
                .with_code(EXIT_MISSING))
        }
    }
}

/// Installs Debian packages.
///
/// Fails with [`EXIT_MISSING`], and says what to type, when that takes root or Debian's package manager and we have not got it.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    if !is_there("apt-get") {
        return Err(refuse("from your system's packages", packages));
    }
    if !is_root() {
        let how = "as root: apt-get update && apt-get install -y --no-install-recommends";
        return Err(refuse(how, packages));
    }
    update()?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments)
}

/// Brings the list of Debian packages up to date; needs root.
pub(crate) fn update() -> Outcome {
    apt_get(&["update"])
}

fn missing() -> Vec<&'static Peer> {
    PEERS.iter().filter(|peer| !is_there(peer.program)).collect()
}

/// Whether there is a program, or a file, of this name.
pub(crate) fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

pub(crate) fn is_root() -> bool {
    // The owner of our own entry is who we are.
    fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}

fn apt_get(arguments: &[&str]) -> Outcome {
    let options = ["-q", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"];
    let mut command = shell::command("apt-get", &options);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null());
    shell::run(command).map_err(|failure| failure.with_code(EXIT_MISSING))
}

fn refuse(how: &str, packages: &[&str]) -> Failure {
    let packages = packages.join(" ");
    let message = format!("{packages}: needed, and cannot be installed from here.\nInstall {how} {packages}");
    Failure::new(message).with_code(EXIT_MISSING)
}

struct Peer {
    program: &'static str,
    package: &'static str,
}

const PEERS: [Peer; 13] = [
    Peer { program: "gnutls-cli", package: "gnutls-bin" },
    Peer { program: "curl", package: "curl" },
    Peer { program: "openssl", package: "openssl" },
    Peer { program: "python3", package: "python3" },
    Peer { program: "node", package: "nodejs" },
    Peer { program: "/usr/sbin/haproxy", package: "haproxy" },
    // Its server is in no folder of PATH; this starts it.
    Peer { program: "pg_ctlcluster", package: "postgresql" },
    // What scrapes the proxy, and checks its metrics and alert rules (promtool).
    Peer { program: "prometheus", package: "prometheus" },
    // What shows the proxy's page.
    Peer { program: "chromium", package: "chromium" },
    Peer { program: "chromedriver", package: "chromium-driver" },
    // What libFuzzer is built with.
    Peer { program: "c++", package: "g++" },
    // What streams over OpenSSL are built with in lab/streams: a program to find it by, and a file of its headers.
    Peer { program: "pkg-config", package: "pkg-config" },
    Peer { program: "/usr/include/openssl/ssl.h", package: "libssl-dev" },
];

/// The exit code for peers that are missing and cannot be installed from here.
pub(crate) const EXIT_MISSING: u8 = 3;
