//! `closenotify proxy --check-config`: the configuration file, and the files that it names.
//!
//! It binds no address, resolves no name and writes nothing but its result.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use closenotify_proxy::config::{
    CertificateSource, ConfigFile, FileKind, NamedFile, Problem, TlsSettings, TlsVersion, UpstreamTls,
};
use closenotify_proxy::tls::{ListenerTls, UpstreamTlsState};
use rustls_pki_types::ServerName;

use crate::exit::{ExitCode, Failure};

/// Checks a file: its result on stdout, what is wrong on stderr.
pub(crate) fn run(file: &Path) -> Result<ExitCode, Failure> {
    let ConfigFile { config, warnings, files, user } = load(file)?;
    print_lines(&warnings);
    let wrong = user.and_then(|user| user.problem());
    print_lines(wrong.as_slice());
    let unusable: Vec<_> = files.iter().filter_map(|named| Some((named.kind, unusable(named)?))).collect();
    print_lines(&unusable.iter().map(|(_, problem)| problem).collect::<Vec<_>>());
    let shown = file.display();
    if !unusable.is_empty() {
        let count = counted(unusable.len(), "file that it names", "files that it names");
        let code = match unusable.iter().all(|(kind, _)| *kind == FileKind::Created) {
            true => ExitCode::Config,
            false => ExitCode::Credentials,
        };
        return Err(Failure::new(code, format!("{shown}: {count} cannot be used")));
    }
    if wrong.is_some() {
        return Err(Failure::new(ExitCode::Config, format!("{shown}: the user that it names cannot be used")));
    }
    // Each file is good by itself; now as the proxy will load them.
    for listener in config.listeners.iter().filter(|listener| !is_empty(&listener.tls.certificates)) {
        ListenerTls::load(&listener.tls, listener.timeouts.handshake, SystemTime::now()).map_err(|error| {
            Failure::new(ExitCode::Credentials, format!("{}: listener {:?}: {error}", file.display(), listener.name))
        })?;
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
    let path = named.path.clone();
    let now = SystemTime::now();
    let listener = |certificates, ticket_keys| {
        let settings =
            TlsSettings { certificates, alpn: Vec::new(), min_tls: TlsVersion::V12, client_auth: None, ticket_keys };
        ListenerTls::load(&settings, HANDSHAKE, now).map(drop)
    };
    let outcome = match named.kind {
        FileKind::Created => return no_directory(&path).map(|reason| named.problem(reason)),
        FileKind::Certificates | FileKind::ClientCertificate => listener(CertificateSource::Paths(vec![path]), None),
        FileKind::TicketKeys => listener(CertificateSource::SelfSigned, Some(path)),
        FileKind::TrustedCa => {
            let name = ServerName::try_from("localhost").expect("it is a name");
            UpstreamTlsState::load(&UpstreamTls { name, ca: path, certificate: None }, HANDSHAKE, now).map(drop)
        }
    };
    outcome.err().map(|error| named.problem(error.to_string()))
}

/// Why a file cannot be created at a path.
fn no_directory(path: &Path) -> Option<String> {
    let directory = path.parent()?;
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(format!("{} is not a directory; choose another path", directory.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("there is no directory {}; create it, or choose another path", directory.display()))
        }
        Err(error) => Some(format!("cannot look at the directory {}: {error}", directory.display())),
    }
}

fn is_empty(certificates: &CertificateSource) -> bool {
    matches!(certificates, CertificateSource::Paths(paths) if paths.is_empty())
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

/// Nothing is handshaken here.
const HANDSHAKE: Duration = Duration::from_secs(10);
