//! The file of a Unix socket: replaced if it is stale, removed by its owner only.
//!
//! A file that is not a socket is never touched, nor one that has replaced ours.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use socket2::{Domain, SockAddr, Socket, Type};

/// Removes the file when dropped, if it is owned and still the same one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
    owned: bool,
}

impl SocketFile {
    /// Takes note of the file as it is now, without owning it.
    ///
    /// # Errors
    ///
    /// The system's error if there is no such file.
    pub(crate) fn note(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)?, owned: false })
    }

    /// From here on dropping this removes the file.
    pub(crate) fn own(&mut self) {
        self.owned = true;
    }

    /// From here on dropping this leaves the file.
    pub(crate) fn leave(&mut self) {
        self.owned = false;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.owned && identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Fails if the directory is not writable after privileges were dropped. The next start then replaces the stale file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the file of a Unix socket at which no process listens. A missing file is not an error.
///
/// # Errors
///
/// [`io::ErrorKind::AddrInUse`] if a process listens, [`io::ErrorKind::AlreadyExists`] if the file is not a socket, and the
/// system's error.
pub(crate) fn clear_stale(path: &Path) -> io::Result<()> {
    let is_socket = match fs::symlink_metadata(path) {
        Ok(file) => file.file_type().is_socket(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_socket {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue must not hold up the start: a timeout means that a process listens.
    probe.set_write_timeout(Some(Duration::from_millis(1)))?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Connected, a full queue, or a socket of another type: a process listens.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Device, inode and birth: the inode of a file that is gone is soon another's.
type Identity = (u64, u64, Option<SystemTime>);

fn identity(path: &Path) -> io::Result<Identity> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino(), file.created().ok()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    #[test]
    fn only_a_stale_socket_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        clear_stale(&path).unwrap();

        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(clear_stale(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
        drop(listener);
        clear_stale(&path).unwrap();
        assert!(!path.exists());

        let _datagrams = UnixDatagram::bind(&path).unwrap();
        assert_eq!(clear_stale(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();

        fs::write(&path, "precious").unwrap();
        assert_eq!(clear_stale(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn full_queue_counts_as_listening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let address = SockAddr::unix(&path).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..8 {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let refused = client.connect(&address).is_err();
            waiting.push(client);
            if refused {
                break;
            }
        }
        assert!(waiting.len() < 8, "the queue never filled");
        assert_eq!(clear_stale(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn owner_removes_its_own_file_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _first = UnixListener::bind(&path).unwrap();
        drop(SocketFile::note(&path).unwrap());
        assert!(path.exists(), "a file that is only noted stays");

        let mut left = SocketFile::note(&path).unwrap();
        left.own();
        left.leave();
        drop(left);
        assert!(path.exists(), "a file that was left to another stays");

        let mut owned = SocketFile::note(&path).unwrap();
        owned.own();
        let moved = folder.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        let _second = UnixListener::bind(&path).unwrap();
        drop(owned);
        assert!(path.exists(), "the file of another socket stays");

        let mut owned = SocketFile::note(&path).unwrap();
        owned.own();
        drop(owned);
        assert!(!path.exists());
    }
}
