//! All certificates of a listener: found, loaded, and loaded again without losing one that was good.
//!
//! It does not choose among them; that is the resolver's. Nothing is loaded from deeper than one directory below a directory
//! of the settings.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::certificate::{Certificate, Loaded, Place, unix_seconds};
use super::error::{FileRole, TlsError};
use super::files::{Item, Reader};
use super::self_signed;
use crate::config::CertificateSource;

/// The most certificates of a listener.
pub(super) const MAX_CERTIFICATES: usize = 10_000;

/// The certificates of a source, and what could not be loaded.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of the paths; within a directory the files come in the order of their names, then the files of each
    /// directory below it. The first one is the default.
    pub(super) certificates: Vec<Arc<Certificate>>,
    pub(super) rejected: Vec<TlsError>,
}

/// Loads all certificates of `source`. One that cannot be loaded now, but is among `old`, stays as it was.
///
/// Where the first path has nothing to serve, a client without SNI would get another certificate than the one meant: then
/// all of `old` stays.
pub(super) fn load(
    source: &CertificateSource,
    old: &[Arc<Certificate>],
    reader: &mut Reader,
    now: SystemTime,
) -> Found {
    load_at_most(MAX_CERTIFICATES, source, old, reader, now)
}

fn load_at_most(
    limit: usize,
    source: &CertificateSource,
    old: &[Arc<Certificate>],
    reader: &mut Reader,
    now: SystemTime,
) -> Found {
    let mut loading = Loading { limit, old: Old::new(old), reader, now, found: Found::default(), full: false };
    let first = match source {
        CertificateSource::Paths(paths) => {
            for path in paths {
                loading.path(path);
            }
            paths.first().cloned()
        }
        CertificateSource::Pair { cert, key } => {
            loading.file(Place { root: cert.clone(), chain: cert.clone(), key: Some(key.clone()) }, false);
            Some(cert.clone())
        }
        CertificateSource::SelfSigned => {
            loading.self_signed();
            Some(self_signed::place().root)
        }
    };
    let Loading { mut found, full, .. } = loading;
    let default = found.certificates.first().map(|certificate| certificate.place().root.clone());
    if full || default != first {
        found.certificates = old.to_vec();
    }
    found
}

/// What is served already.
struct Old<'a> {
    all: &'a [Arc<Certificate>],
    by_file: HashMap<(&'a Path, &'a Path), &'a Arc<Certificate>>,
    /// The paths of the settings that were directories.
    directories: HashSet<&'a Path>,
}

impl<'a> Old<'a> {
    fn new(all: &'a [Arc<Certificate>]) -> Self {
        let by_file = all.iter().map(|old| ((old.place().root.as_path(), old.place().chain.as_path()), old)).collect();
        let places = all.iter().map(|old| old.place());
        let directories = places.filter(|place| place.root != place.chain).map(|place| place.root.as_path()).collect();
        Self { all, by_file, directories }
    }

    fn get(&self, root: &Path, chain: &Path) -> Option<&'a Arc<Certificate>> {
        self.by_file.get(&(root, chain)).copied()
    }
}

struct Loading<'a> {
    limit: usize,
    old: Old<'a>,
    reader: &'a mut Reader,
    now: SystemTime,
    found: Found,
    /// There are too many certificates.
    full: bool,
}

impl Loading<'_> {
    fn path(&mut self, path: &Path) {
        if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            self.root(path);
        } else if self.old.directories.contains(path) {
            // It was a directory. Listing it fails, which is the reason to give.
            self.root(path);
        } else {
            self.file(Place { root: path.into(), chain: path.into(), key: None }, false);
        }
    }

    /// A directory of the settings.
    fn root(&mut self, root: &Path) {
        let before = (self.found.certificates.len(), self.found.rejected.len());
        let below: Vec<_> = self.directory(root, root).into_iter().filter(|item| item.directory).collect();
        for Item { name, path, .. } in below {
            if name != LOST_AND_FOUND {
                self.directory(root, &path);
            }
        }
        if before == (self.found.certificates.len(), self.found.rejected.len()) {
            self.found.rejected.push(TlsError::NothingUsable { path: root.into() });
            self.keep(root, root);
        }
    }

    /// The files of one directory. Returns its entries.
    fn directory(&mut self, root: &Path, directory: &Path) -> Vec<Item> {
        let items = match self.reader.list(directory) {
            Ok(items) => items,
            Err(source) => {
                let role = FileRole::Directory;
                self.found.rejected.push(TlsError::Unreadable { path: directory.into(), role, source });
                self.keep(root, directory);
                return Vec::new();
            }
        };
        let names: HashMap<&str, &Path> =
            items.iter().filter(|item| !item.directory).map(|item| (item.name.as_str(), item.path.as_path())).collect();
        for item in items.iter().filter(|item| !item.directory) {
            let old = self.old.get(root, &item.path);
            if let Some(key) = key_beside(item, &names, old) {
                self.file(Place { root: root.into(), chain: item.path.clone(), key }, true);
            }
        }
        items
    }

    fn file(&mut self, place: Place, from_directory: bool) {
        if self.full {
            return;
        }
        let old = self.old.get(&place.root, &place.chain);
        let chain = place.chain.clone();
        match Certificate::load(place, from_directory, old, self.reader, self.now) {
            Ok(Some(Loaded { certificate, staple_rejected })) => {
                self.push(certificate);
                self.found.rejected.extend(staple_rejected);
            }
            Ok(None) => {}
            Err(error) => {
                self.found.rejected.push(error);
                if let Some(old) = old {
                    self.push(Arc::clone(old));
                }
            }
        }
        if self.found.certificates.len() > self.limit {
            self.full = true;
            self.found.rejected.push(TlsError::TooManyCertificates { path: chain });
        }
    }

    fn self_signed(&mut self) {
        let place = self_signed::place();
        let old = self.old.get(&place.root, &place.chain);
        match old.filter(|old| unix_seconds(self.now) <= old.not_after()) {
            Some(old) => self.push(Arc::clone(old)),
            None => match self_signed::make(self.now) {
                Ok(made) => self.push(Arc::new(made)),
                Err(error) => self.found.rejected.push(error),
            },
        }
    }

    /// Keeps what was found through `root` at or below `directory`.
    fn keep(&mut self, root: &Path, directory: &Path) {
        let kept =
            self.old.all.iter().filter(|old| old.place().root == root && old.place().chain.starts_with(directory));
        self.found.certificates.extend(kept.cloned());
    }

    fn push(&mut self, certificate: Arc<Certificate>) {
        self.found.certificates.push(certificate);
    }
}

/// Whether a file of a directory can be a chain, and the file with its key where that is another one.
///
/// A chain that is served already keeps its key file, even one that is gone: that is a broken pair then.
fn key_beside(item: &Item, names: &HashMap<&str, &Path>, old: Option<&Arc<Certificate>>) -> Option<Option<PathBuf>> {
    let beside = |name: &str| names.get(name).map(|path| path.to_path_buf());
    let (stem, extension) = item.name.rsplit_once('.')?;
    let key = match extension {
        "crt" => beside(&format!("{stem}.key")),
        "pem" if stem == "fullchain" => beside("privkey.pem").or_else(|| beside("fullchain.key")),
        "pem" => beside(&format!("{stem}.key")),
        _ => return None,
    };
    match (key, old) {
        (Some(key), _) => Some(Some(key)),
        (None, Some(old)) => Some(old.place().key.clone()),
        (None, None) => (extension == "pem").then_some(None),
    }
}

/// What mkfs puts into the root of a file system, for root alone.
const LOST_AND_FOUND: &str = "lost+found";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::bench::{Bench, now};

    #[test]
    fn more_certificates_than_allowed_are_an_error_and_leave_what_is_served() {
        let bench = Bench::new();
        let issued = bench.issue(&["a.test"]).both();
        for name in ["certs/1.pem", "certs/2.pem", "certs/below/3.pem"] {
            bench.write(name, &issued);
        }
        let source = bench.settings(&["certs"]).certificates;
        let all = load_at_most(3, &source, &[], &mut Reader::default(), now());
        assert_eq!((all.certificates.len(), all.rejected.len()), (3, 0));

        bench.write("certs/0.pem", &issued);
        let path = bench.path("certs/below/3.pem");
        for old in [&all.certificates[..], &[]] {
            let found = load_at_most(3, &source, old, &mut Reader::default(), now());
            assert_eq!(found.certificates.len(), old.len());
            assert!(matches!(&found.rejected[..], [TlsError::TooManyCertificates { path: at }] if *at == path));
            assert!(found.rejected[0].to_string().contains("more than 10000 certificates"), "{:?}", found.rejected);
        }
    }

    #[test]
    fn a_link_that_changes_between_certificate_and_key_is_no_mismatch() {
        let bench = Bench::new();
        for (name, issued) in [("old", bench.issue(&["a.test"])), ("new", bench.issue(&["a.test"]))] {
            bench.write(&format!("{name}/tls.crt"), issued.cert);
            bench.write(&format!("{name}/tls.key"), issued.key);
        }
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(bench.path(to), bench.path(name)).unwrap();
        link("old", "live");
        link("new", "next");
        let mut reader = Reader::default();
        reader.after_read = Some(|path| {
            let live = path.parent().unwrap();
            // Only the first time is there a next one.
            let _ = fs::rename(live.with_file_name("next"), live);
        });
        let (cert, key) = (bench.path("live/tls.crt"), bench.path("live/tls.key"));
        let found = load(&CertificateSource::Pair { cert, key }, &[], &mut reader, now());
        assert_eq!((found.certificates.len(), found.rejected.len()), (1, 0), "{:?}", found.rejected);
        assert!(!reader.watch().changed(), "what is watched is what was read last");
    }
}
