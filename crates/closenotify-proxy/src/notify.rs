//! Status messages to the service manager: `sd_notify(3)`.
//!
//! It never waits: if the service manager does not read, a message is lost, and no session is delayed. Without `NOTIFY_SOCKET` in
//! the environment nothing is sent. The crate `sd-notify` is not used, since it blocks and lacks abstract sockets.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<UnixDatagram>,
}

impl Notify {
    /// As `NOTIFY_SOCKET` says.
    ///
    /// # Errors
    ///
    /// What the system says of a socket that cannot be reached; its text names the variable.
    pub(crate) fn from_env() -> io::Result<Self> {
        Self::to(env::var_os(VARIABLE)).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot reach the service manager at the path in {VARIABLE}: {error}"))
        })
    }

    fn to(path: Option<OsString>) -> io::Result<Self> {
        let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(Self { socket: None }) };
        let address = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Self { socket: Some(socket) })
    }

    /// The start, or a reload, is complete.
    ///
    /// # Errors
    ///
    /// Also of the other methods: the system's error; [`io::ErrorKind::WouldBlock`] if the service manager does not read.
    pub(crate) fn ready(&self, status: &str) -> io::Result<()> {
        self.send(format_args!("READY=1\nSTATUS={}", OneLine(status)))
    }

    /// A reload begins. It ends with [`ready`](Self::ready), also when it failed: `systemctl reload` waits for that.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub(crate) fn reloading(&self) -> io::Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        // Neither is negative for this clock.
        let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000;
        self.send(format_args!("RELOADING=1\nMONOTONIC_USEC={micros}"))
    }

    /// A line for `systemctl status`.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub(crate) fn status(&self, status: &str) -> io::Result<()> {
        self.send(format_args!("STATUS={}", OneLine(status)))
    }

    /// The drain has begun.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub(crate) fn stopping(&self, status: &str) -> io::Result<()> {
        self.send(format_args!("STOPPING=1\nSTATUS={}", OneLine(status)))
    }

    /// A successor serves. If it is a process of the same unit, that is its main process from now on, and this one says
    /// nothing more; if not, this is [`stopping`](Self::stopping).
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub(crate) fn succeeded(&self, successor: Option<u32>) -> io::Result<()> {
        // systemd would accept a process of another unit as the main process of a privileged service.
        match successor.filter(|&pid| is_of_our_unit(pid)) {
            Some(pid) => self.send(format_args!("MAINPID={pid}")),
            None => self.stopping("a successor serves; draining"),
        }
    }

    fn send(&self, message: std::fmt::Arguments<'_>) -> io::Result<()> {
        match &self.socket {
            Some(socket) => socket.send(format!("{message}\n").as_bytes()).map(drop),
            None => Ok(()),
        }
    }
}

/// Whether a process is in our control group: systemd's only way to tell, too.
fn is_of_our_unit(pid: u32) -> bool {
    let group = |process: &str| fs::read_to_string(format!("/proc/{process}/cgroup")).ok();
    group("self").is_some_and(|own| Some(own) == group(&pid.to_string()))
}

/// A text that may hold a name from the settings, and must stay one assignment.
struct OneLine<'a>(&'a str);

impl std::fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| std::fmt::Write::write_char(f, if c.is_control() { ' ' } else { c }))
    }
}

const VARIABLE: &str = "NOTIFY_SOCKET";

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use super::*;

    fn manager() -> (UnixDatagram, Notify, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notify = Notify::to(Some(path.into())).unwrap();
        (manager, notify, folder)
    }

    fn next(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn states_are_sent_as_systemd_reads_them() {
        let (manager, notify, _folder) = manager();
        notify.ready("listening on\n[::]:443").unwrap();
        assert_eq!(next(&manager), "READY=1\nSTATUS=listening on [::]:443\n");
        notify.status("7 sessions\nMAINPID=1").unwrap();
        assert_eq!(next(&manager), "STATUS=7 sessions MAINPID=1\n");
        notify.stopping("draining").unwrap();
        assert_eq!(next(&manager), "STOPPING=1\nSTATUS=draining\n");
        notify.reloading().unwrap();
        let reloading = next(&manager);
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!(micros.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn only_a_successor_of_the_same_unit_becomes_the_main_process() {
        let (manager, notify, _folder) = manager();
        let own = std::process::id();
        notify.succeeded(Some(own)).unwrap();
        assert_eq!(next(&manager), format!("MAINPID={own}\n"));
        for other in [None, Some(u32::MAX)] {
            notify.succeeded(other).unwrap();
            assert!(next(&manager).starts_with("STOPPING=1\n"));
        }
    }

    #[test]
    fn service_manager_that_does_not_read_holds_nothing_up() {
        let (_manager, notify, _folder) = manager();
        let full = (0..100_000).find_map(|_| notify.status("x").err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn abstract_sockets_are_reached_and_none_is_fine() {
        let name = format!("closenotify-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notify::to(Some(format!("@{name}").into())).unwrap().status("x").unwrap();
        assert_eq!(next(&manager), "STATUS=x\n");
        // Whether or not the test itself runs under a service manager.
        Notify::from_env().unwrap().status("testing").unwrap();
        Notify::to(None).unwrap().ready("x").unwrap();
        Notify::to(Some(OsString::new())).unwrap().ready("x").unwrap();
        assert!(Notify::to(Some("/nowhere/at/all".into())).is_err());
    }
}
