//! The listening sockets that a service manager opened before the start: systemd's socket activation.
//!
//! They are found as `sd_listen_fds(3)` says: `LISTEN_PID` is this process, `LISTEN_FDS` counts descriptors from 3 on, and
//! `LISTEN_FDNAMES` has their names. Which address each one is for is decided in [`Pool`](super::Pool).

use std::{env, error, fmt, io, process};

use listenfd::ListenFd;

use super::listener::Listener;

/// The sockets that this process was started with, each with its name (`FileDescriptorName=`), if it has one.
///
/// Call it once, before any thread is started: it takes `LISTEN_PID` and `LISTEN_FDS` out of the environment, so that no process
/// started from here takes the sockets for its own.
///
/// # Errors
///
/// [`InheritedError`] where the environment announces what is not there, or what cannot be listened on.
pub(crate) fn inherited() -> Result<Vec<(Option<String>, Listener)>, InheritedError> {
    let variable = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let announced = announced(
        variable("LISTEN_PID").as_deref(),
        variable("LISTEN_FDS").as_deref(),
        variable("LISTEN_FDNAMES").as_deref(),
        process::id(),
    )?;
    if announced.is_empty() {
        return Ok(Vec::new());
    }
    let mut descriptors = ListenFd::from_env();
    announced
        .into_iter()
        .enumerate()
        .map(|(at, name)| {
            let failed = |source| InheritedError::Unusable { descriptor: FIRST + at, name: name.clone(), source };
            // The crate tells the two kinds apart by failing, and leaves the descriptor where it is then.
            let listener = match descriptors.take_tcp_listener(at) {
                Ok(tcp) => tcp.map(Into::into),
                Err(_) => descriptors.take_unix_listener(at).map_err(failed)?.map(Into::into),
            };
            let fd = listener.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            Ok((name.clone(), Listener::from_fd(fd).map_err(failed)?))
        })
        .collect()
}

/// The names of the descriptors that are for this process; none of the names is one of systemd's own words for "no name".
fn announced(
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
    own: u32,
) -> Result<Vec<Option<String>>, InheritedError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(Vec::new()) };
    // Meant for whoever started us: a shell, say.
    if pid.parse() != Ok(own) {
        return Ok(Vec::new());
    }
    let count = match count.parse::<usize>() {
        Ok(count) if count <= MAX => count,
        _ => return Err(InheritedError::Count { value: count.to_owned() }),
    };
    let mut names = names.unwrap_or_default().split(':');
    let named = |name: &str| !["", "unknown", "stored", "connection"].contains(&name) && !name.ends_with(".socket");
    Ok((0..count).map(|_| names.next().filter(|name| named(name)).map(str::to_owned)).collect())
}

/// Why sockets of the service manager cannot be used.
#[derive(Debug)]
pub(crate) enum InheritedError {
    /// `LISTEN_FDS` is not a number of descriptors.
    Count {
        /// What it is.
        value: String,
    },
    /// A descriptor cannot be listened on.
    Unusable {
        /// Its number.
        descriptor: usize,
        /// Its name, if it has one.
        name: Option<String>,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for InheritedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { value } => write!(
                f,
                "LISTEN_FDS={value:?} in the environment is not a number from 0 to {MAX}; it is set by systemd, or must be unset"
            ),
            Self::Unusable { descriptor, name, source } => {
                write!(f, "descriptor {descriptor}")?;
                if let Some(name) = name {
                    write!(f, " ({name})")?;
                }
                write!(
                    f,
                    " from the service manager cannot be used: {source}; the socket unit needs ListenStream= with a TCP address or \
                     a path, and Accept=no"
                )
            }
        }
    }
}

impl error::Error for InheritedError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Count { .. } => None,
            Self::Unusable { source, .. } => Some(source),
        }
    }
}

/// `SD_LISTEN_FDS_START`.
const FIRST: usize = 3;

/// More than a service manager can open for one unit in practice; a value from elsewhere must not make us allocate.
const MAX: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn descriptors_are_counted_and_named_for_this_process_only() {
        let count = |pid, fds| announced(pid, fds, None, 7).map(|found| found.len());
        assert_eq!(count(Some("7"), Some("2")).unwrap(), 2);
        for (pid, fds) in
            [(None, None), (Some("7"), None), (None, Some("2")), (Some("8"), Some("2")), (Some("x"), Some("2"))]
        {
            assert_eq!(count(pid, fds).unwrap(), 0, "{pid:?} {fds:?}");
        }
        for fds in ["-1", "", "4097", "99999999999999999999", "2 "] {
            let error = count(Some("7"), Some(fds)).unwrap_err().to_string();
            assert!(error.contains("LISTEN_FDS"), "{error}");
        }
        let names = announced(Some("7"), Some("5"), Some("web:unknown::closenotify.socket"), 7).unwrap();
        assert_eq!(names, [Some("web".to_owned()), None, None, None, None]);
    }

    /// Not a test of its own: the process that the next test starts with sockets.
    #[test]
    fn child_prints_what_it_inherited() {
        if env::var_os(CHILD).is_none() {
            return;
        }
        let found = match inherited() {
            Ok(sockets) => {
                let shown = sockets.iter().map(|(name, socket)| format!("{name:?} {}", socket.local().unwrap()));
                shown.collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        println!("found: {found}");
        assert_eq!(env::var_os("LISTEN_FDS"), None);
    }

    /// Runs the child above with what a line of Python puts into `fds`.
    fn child(sockets: &str) -> String {
        let script = format!(
            "import os, socket, sys\n\
             fds = []\n\
             {sockets}\n\
             high = [os.dup2(fd, 100 + at) for at, fd in enumerate(fds)]\n\
             for at, fd in enumerate(high): os.dup2(fd, 3 + at)\n\
             os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES='web', {CHILD}='1')\n\
             os.execv(sys.argv[1], sys.argv[1:])\n"
        );
        let mut command = Command::new("python3");
        command.args(["-c", &script]).arg(env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "listen::inherited::tests::child_prints_what_it_inherited"]);
        let output = command.output().expect("python3 is installed; see `cargo xtask peers`");
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
        shown.lines().find_map(|line| line.split_once("found: ")).unwrap_or_else(|| panic!("{shown}")).1.to_owned()
    }

    #[test]
    fn sockets_of_the_service_manager_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let found = child(&format!(
            "a = socket.create_server(('127.0.0.1', 0)); b = socket.socket(socket.AF_UNIX); b.bind('{}'); b.listen()\n\
             fds = [a.detach(), b.detach()]",
            path.display()
        ));
        let (web, unix) = found.split_once(", ").unwrap();
        assert!(web.starts_with("Some(\"web\") 127.0.0.1:"), "{found}");
        assert_eq!(unix, format!("None unix:{}", path.display()));
    }

    #[test]
    fn descriptor_that_does_not_listen_is_named() {
        for sockets in [
            "s = socket.socket(); s.bind(('127.0.0.1', 0)); fds = [s.detach()]",
            "s = socket.socket(type=socket.SOCK_DGRAM); fds = [s.detach()]",
            "fds = [os.open('/dev/null', os.O_RDONLY)]",
        ] {
            let found = child(sockets);
            assert!(found.starts_with("descriptor 3 (web) from the service manager cannot be used"), "{found}");
        }
    }

    const CHILD: &str = "CLOSENOTIFY_TEST_INHERITED";
}
