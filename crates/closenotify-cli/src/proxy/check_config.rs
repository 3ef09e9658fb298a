//! `closenotify proxy --check-config`: the configuration file, and the files that it names.
//!
//! It binds no address, resolves no name and writes nothing but its result.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use closenotify_proxy::config::{ConfigFile, FileKind, NamedFile, Problem};
use closenotify_proxy::credentials::Credentials;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::exit::{ExitCode, Failure};

/// Checks a file: its result on stdout, what is wrong on stderr.
pub(crate) fn run(file: &Path) -> Result<ExitCode, Failure> {
    let ConfigFile { config, warnings, files } = load(file)?;
    print_lines(&warnings);
    let unusable: Vec<_> = files.iter().filter_map(unusable).collect();
    if !unusable.is_empty() {
        print_lines(&unusable);
        let count = counted(unusable.len(), "file that it names", "files that it names");
        return Err(Failure::new(ExitCode::Credentials, format!("{}: {count} cannot be used", file.display())));
    }
    let listeners = counted(config.listeners.len(), "listener", "listeners");
    let upstreams = counted(config.upstreams.len(), "upstream", "upstreams");
    // The exit code says it, too: a closed stdout is no error.
    let _ = writeln!(io::stdout(), "{}: ok, {listeners}, {upstreams}", file.display());
    Ok(ExitCode::Fine)
}

/// Reads a file for serving or checking. What is wrong with it is printed to stderr; the warnings of a good file are not.
pub(crate) fn load(file: &Path) -> Result<ConfigFile, Failure> {
    ConfigFile::read(file).map_err(|errors| {
        print_lines(errors.problems());
        let count = counted(errors.error_count(), "error", "errors");
        Failure::new(ExitCode::Config, format!("cannot use the configuration {}: {count}", file.display()))
    })
}

/// What is wrong with a file that the settings name.
fn unusable(named: &NamedFile) -> Option<Problem> {
    let path = &named.path;
    let outcome = match named.kind {
        FileKind::Certificates => certificates(path),
        FileKind::TrustedCa => trusted(path),
        FileKind::TicketKeys => fs::metadata(path).map(drop).map_err(|error| unreadable(path, &error)),
        FileKind::ClientCertificate => pair(path, path),
    };
    outcome.err().map(|message| named.problem(message))
}

/// A directory of certificates, or a file with a chain and its key.
fn certificates(path: &Path) -> Result<(), String> {
    let kind = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if kind.is_dir() {
        return fs::read_dir(path).map(drop).map_err(|error| unreadable(path, &error));
    }
    pair(path, path)
}

fn pair(cert: &Path, key: &Path) -> Result<(), String> {
    Credentials::from_files(cert, key, SystemTime::now()).map(drop).map_err(|error| error.to_string())
}

fn trusted(path: &Path) -> Result<(), String> {
    let none = || {
        let path = path.display();
        format!("{path}: no PEM certificate in the file; expected a \"BEGIN CERTIFICATE\" block for each trusted CA")
    };
    // The library's error for a file that cannot be opened has a less clear text than the system's.
    let open = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    match CertificateDer::pem_reader_iter(io::BufReader::new(open)).next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Err(none()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{path}: there is no such file or directory; create it, or correct the path")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{path}: permission denied; give the user of the proxy the right to read it")
        }
        _ => format!("{path}: cannot be read: {error}"),
    }
}

/// A number with its noun.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// One line each on stderr, as an editor can follow them. A closed stderr is no error.
fn print_lines<T: ToString>(lines: &[T]) {
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    let _ = io::stderr().write_all(text.as_bytes());
}
