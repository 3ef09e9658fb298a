//! Files as they are read for TLS: how much of one, and whether any has changed since.
//!
//! Nothing here knows what a file is for. Only regular files of at most [`MAX_FILE`] bytes are read: a pipe could block the
//! reader, and could not be read a second time.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;

/// Reads files, and notes what each looked like just before.
#[derive(Debug)]
pub(super) struct Reader {
    directories: Vec<Seen>,
    files: Vec<Seen>,
    /// How many entries of directories may still be listed.
    entries: usize,
    /// Called after a file was read.
    #[cfg(test)]
    pub(super) after_read: Option<fn(&Path)>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            directories: Vec::new(),
            files: Vec::new(),
            entries: MAX_ENTRIES,
            #[cfg(test)]
            after_read: None,
        }
    }
}

impl Reader {
    /// The contents of a regular file.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Before it is read: a change while it is read shows afterwards.
        self.files.push(Seen::now(path));
        // A pipe without a writer must not hold up the open.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let bytes = contents(file)?;
        #[cfg(test)]
        if let Some(after_read) = self.after_read {
            after_read(path);
        }
        Ok(bytes)
    }

    /// As [`read`](Self::read); `None` where there is no such file. A file that appears later counts as a change.
    pub(super) fn read_if_there(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The files and directories in a directory, sorted by name. Links count as what they lead to. Hidden entries are left
    /// out, among them the `..data` of secrets that Kubernetes mounts, and so is whatever else there is.
    pub(super) fn list(&mut self, path: &Path) -> io::Result<Vec<Item>> {
        self.directories.push(Seen::now(path));
        let mut items = Vec::new();
        for entry in fs::read_dir(path)? {
            self.entries = self.entries.checked_sub(1).ok_or_else(|| {
                io::Error::other(format!("there are more than {MAX_ENTRIES} files and directories in all"))
            })?;
            let entry = entry?;
            // What is not UTF-8 is no name that we look for; what has a control character would disturb the log.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') || name.chars().any(char::is_control) {
                continue;
            }
            let path = entry.path();
            let mut kind = entry.file_type()?;
            if kind.is_symlink() {
                match fs::metadata(&path) {
                    Ok(metadata) => kind = metadata.file_type(),
                    // Listed as a file, so that whoever needs it says that it cannot be read.
                    Err(_) => {
                        items.push(Item { name, path, directory: false });
                        continue;
                    }
                }
            }
            if kind.is_dir() || kind.is_file() {
                items.push(Item { name, path, directory: kind.is_dir() });
            }
        }
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(items)
    }

    /// How many files were read.
    pub(super) fn mark(&self) -> usize {
        self.files.len()
    }

    /// Forgets the files read after a mark: they are read again.
    pub(super) fn forget_since(&mut self, mark: usize) {
        self.files.truncate(mark);
    }

    /// Watches what was read.
    pub(super) fn watch(self) -> Watch {
        Watch { directories: self.directories, files: self.files, next: AtomicUsize::new(0) }
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) directory: bool,
}

/// What the files and directories of a load looked like.
#[derive(Debug, Default)]
pub(super) struct Watch {
    directories: Vec<Seen>,
    files: Vec<Seen>,
    /// Where the next look at the files begins.
    next: AtomicUsize,
}

impl Watch {
    /// Whether something was changed, replaced, added or removed, also by a link that leads elsewhere now.
    ///
    /// One call looks at every directory and at [`FILES_PER_LOOK`] files at most; where there are more, the next call goes on
    /// with the others.
    pub(super) fn changed(&self) -> bool {
        if self.directories.iter().any(Seen::changed) {
            return true;
        }
        let count = self.files.len();
        let looked_at = count.min(FILES_PER_LOOK);
        let first = self.next.fetch_add(looked_at, Ordering::Relaxed);
        (0..looked_at).any(|offset| self.files[first.wrapping_add(offset) % count].changed())
    }
}

/// A path, and what was there.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    stamp: Option<Stamp>,
}

impl Seen {
    fn now(path: &Path) -> Self {
        Self { path: path.into(), stamp: Stamp::of(path) }
    }

    fn changed(&self) -> bool {
        Stamp::of(&self.path) != self.stamp
    }
}

/// What tells one state of a file from another. The time of the last change of the inode catches what keeps the time of
/// modification, as `cp -p` does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata: Metadata| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Reads no more than a byte too many, whatever size the file claims.
fn contents(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(bytes)
}

/// The longest file that is read.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// The most entries that are listed for one load: 10,000 certificates, each in a directory of its own with what certbot
/// puts there.
const MAX_ENTRIES: usize = 100_000;

/// The most files that are looked at for a change in one call: some milliseconds of work.
const FILES_PER_LOOK: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    #[test]
    fn a_file_of_the_longest_length_is_read_and_one_byte_more_is_not() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(Reader::default().read(&path).unwrap().len(), 1 << 20);
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert_eq!(Reader::default().read(&path).unwrap_err().to_string(), "it is longer than 1 MiB");
    }

    #[test]
    fn what_is_no_regular_file_is_not_read_and_does_not_block() {
        let dir = TempDir::new().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for path in [&pipe, Path::new("/dev/zero")] {
            assert_eq!(Reader::default().read(path).unwrap_err().to_string(), "it is not a regular file");
        }
        assert_eq!(Reader::default().read(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_directory_lists_what_links_lead_to_and_nothing_hidden() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("..2024")).unwrap();
        fs::write(at("..2024/b"), "").unwrap();
        symlink("..2024", at("..data")).unwrap();
        symlink("..data/b", at("b")).unwrap();
        symlink("..data", at("d")).unwrap();
        symlink("nowhere", at("a")).unwrap();
        fs::write(at(".c"), "").unwrap();
        fs::write(at("e\nf"), "").unwrap();
        let items = Reader::default().list(dir.path()).unwrap();
        let items: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.directory)).collect();
        assert_eq!(items, [("a", false), ("b", false), ("d", true)]);
    }

    #[test]
    fn the_entries_of_all_directories_together_are_bounded() {
        let dir = TempDir::new().unwrap();
        for name in ["a", "b"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let mut reader = Reader { entries: 5, ..Reader::default() };
        for _ in 0..2 {
            assert_eq!(reader.list(dir.path()).unwrap().len(), 2);
        }
        let error = reader.list(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "there are more than 100000 files and directories in all");
    }

    #[test]
    fn a_change_of_any_kind_is_seen_and_no_other() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        let watch = || {
            let mut reader = Reader::default();
            for name in ["file", "link", "absent"] {
                reader.read_if_there(&at(name)).unwrap();
            }
            reader.list(&at("directory")).unwrap();
            reader.watch()
        };
        fs::create_dir(at("directory")).unwrap();
        fs::write(at("file"), "1").unwrap();
        fs::write(at("old"), "1").unwrap();
        fs::write(at("new"), "1").unwrap();
        symlink("old", at("link")).unwrap();
        let changes: [(&str, &dyn Fn()); 5] = [
            ("a file is written", &|| fs::write(at("file"), "12").unwrap()),
            ("a file is replaced", &|| fs::rename(at("new"), at("file")).unwrap()),
            ("a link leads elsewhere", &|| {
                fs::write(at("newer"), "1").unwrap();
                symlink("newer", at("next")).unwrap();
                fs::rename(at("next"), at("link")).unwrap();
            }),
            ("a file appears", &|| fs::write(at("absent"), "").unwrap()),
            ("a file is added to the directory", &|| fs::write(at("directory/more"), "").unwrap()),
        ];
        for (what, change) in changes {
            let watch = watch();
            assert!(!watch.changed(), "before: {what}");
            change();
            assert!(watch.changed(), "{what}");
        }
        let watch = watch();
        fs::write(at("unrelated"), "").unwrap();
        assert!(!watch.changed());
        fs::remove_file(at("file")).unwrap();
        assert!(watch.changed());
    }

    #[test]
    fn files_beyond_one_look_are_looked_at_in_turn() {
        let dir = TempDir::new().unwrap();
        let last = dir.path().join("last");
        let mut reader = Reader::default();
        for _ in 0..FILES_PER_LOOK {
            reader.read_if_there(&dir.path().join("absent")).unwrap();
        }
        reader.read_if_there(&last).unwrap();
        let watch = reader.watch();
        assert!(!watch.changed());
        fs::write(&last, "").unwrap();
        assert!(watch.changed(), "the second look begins with the last file");
    }
}
