//! A configuration file with the certificates that it names, the proxy that serves it, and its log lines with every field.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use testkit::certs::{Authority, LOCAL_NAMES, Leaf};

use crate::harness::Proxy;

/// A directory for a configuration, with `web.pem` (a chain and its key for the local names) and `ca.pem`.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) authority: Authority,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { dir: TempDir::new().unwrap(), authority: Authority::new() };
        bench.issue("web.pem", &LOCAL_NAMES);
        bench.write("ca.pem", bench.authority.cert_pem());
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Writes a new certificate for `names`, and its key after it.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> PathBuf {
        self.write(file, both(&self.authority.issue(names)))
    }

    /// Writes a new client certificate for `name`, and its key after it.
    pub(crate) fn issue_client(&self, file: &str, name: &str) -> PathBuf {
        self.write(file, both(&self.authority.issue_client(name)))
    }

    /// Starts a proxy with these settings, and JSON lines on stderr.
    pub(crate) fn serve(self, settings: &str) -> Served {
        let config = self.write("proxy.toml", format!("log.format = 'json'\n{settings}"));
        let files = self.authority.write_pem_files();
        Served { proxy: Proxy::configured(&config, self.authority, files), dir: self.dir }
    }
}

/// An upstream that takes any number of connections, reads each to its end, and closes it.
pub(crate) fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            thread::spawn(move || io::copy(&mut socket.unwrap(), &mut io::sink()));
        }
    });
    address
}

fn both(leaf: &Leaf) -> String {
    format!("{}{}", leaf.cert_pem(), leaf.key_pem())
}

/// A proxy at work on the settings of a [`Bench`].
pub(crate) struct Served {
    pub(crate) proxy: Proxy,
    dir: TempDir,
}

impl Served {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The line of the session with this number.
    pub(crate) fn session(&mut self, number: u64) -> Line {
        self.event("session", |line| line["session"] == number)
    }

    /// The first line of this event that `wanted` takes.
    pub(crate) fn event(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Line {
        self.proxy.line(&format!("{event} line"), |line| {
            // What is wrong with the settings is said in text, before the log begins.
            let Ok(line) = serde_json::from_str::<Value>(line) else { return None };
            (line["event"] == event && wanted(&line)).then_some(Line(line))
        })
    }

    pub(crate) fn stop(self) {
        self.proxy.stop();
    }
}

/// A line of the log.
pub(crate) struct Line(pub(crate) Value);

impl Line {
    /// The field as text; `-` where it is null.
    pub(crate) fn text(&self, field: &str) -> &str {
        let value = self.0.get(field).unwrap_or_else(|| panic!("no field {field} in {self}"));
        value.as_str().unwrap_or_else(|| if value.is_null() { "-" } else { panic!("{field} is no text in {self}") })
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("{field} is no number in {self}"))
    }

    /// How the four directions ended: received from and sent to the client, received from and sent to the upstream.
    pub(crate) fn endings(&self) -> [&str; 4] {
        ["client_received", "client_sent", "upstream_received", "upstream_sent"].map(|field| self.text(field))
    }

    /// Asserts result, endings and who ended first.
    pub(crate) fn ended(&self, result: &str, endings: [&str; 4], first: &str) {
        assert_eq!((self.text("result"), self.endings(), self.text("ended_first")), (result, endings, first), "{self}");
    }

    /// Asserts that the reason says each of these.
    pub(crate) fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text("reason").contains(part), "{part:?} in {self}");
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
