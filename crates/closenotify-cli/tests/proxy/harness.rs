//! The binary as a process beside the test, its ledger line by line, and one session played from both sides.
//!
//! Every wait is for an event (a line, a peer's report, the end of the process), and fails after [`LIMIT`] with what was
//! collected until then. Nothing here sleeps.

use std::cell::Cell;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use testkit::certs::{Authority, PemFiles, TlsVersion};
use testkit::peers::{python_backend, python_tls_client};
use testkit::report::Report;

/// How long any one wait may be.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// `closenotify proxy` at work; killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where its plaintext goes, as it says itself.
    pub(crate) upstream: String,
    /// What it serves, where that is not the demo's own.
    pub(crate) authority: Arc<Authority>,
    pub(crate) files: Arc<PemFiles>,
    pub(crate) lines: Receiver<String>,
    seen: Vec<String>,
    said: Receiver<String>,
    greeting: Vec<String>,
}

impl Proxy {
    /// In front of `upstream`, with a certificate of its own authority, and the ledger as JSON.
    pub(crate) fn start(upstream: SocketAddr, options: &[&str]) -> Self {
        Self::launch(Some(&upstream.to_string()), &[&["--log", "json"], options].concat())
    }

    /// With the built-in upstream and certificate.
    pub(crate) fn demo(options: &[&str]) -> Self {
        Self::launch(None, &[&["--demo", "--log", "json"], options].concat())
    }

    /// With `options` alone, beside credentials, `upstream` if there is one, and `--listen 127.0.0.1:0` if they do not say
    /// where to listen.
    pub(crate) fn launch(upstream: Option<&str>, options: &[&str]) -> Self {
        let authority = Authority::new();
        let files = authority.write_pem_files();
        let mut command = Command::new(env!("CARGO_BIN_EXE_closenotify"));
        command.arg("proxy").args(options);
        if !options.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if let Some(upstream) = upstream {
            command.arg("--cert").arg(&files.cert).arg("--key").arg(&files.key).args(["--upstream", upstream]);
        }
        Self::spawn(command, authority, files)
    }

    /// With the settings of a file, whose certificate is one of `authority` and whose log is JSON.
    pub(crate) fn configured(config: &Path, authority: Authority, files: PemFiles) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_closenotify"));
        command.args(["proxy", "--config"]).arg(config);
        Self::spawn(command, authority, files)
    }

    /// The command, which ends in `closenotify proxy`, with `stderr` as a pipe that is read.
    pub(crate) fn spawn(
        command: Command,
        authority: impl Into<Arc<Authority>>,
        files: impl Into<Arc<PemFiles>>,
    ) -> Self {
        Self::spawn_with(command, authority, files, Stdio::piped())
    }

    /// With another `stderr`, of which no line is collected.
    pub(crate) fn spawn_with(
        mut command: Command,
        authority: impl Into<Arc<Authority>>,
        files: impl Into<Arc<PemFiles>>,
        stderr: Stdio,
    ) -> Self {
        let (authority, files) = (authority.into(), files.into());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().expect("it was built");
        // It holds the other end of what stderr may be.
        drop(command);
        let lines = match child.stderr.take() {
            Some(stderr) => read_lines(stderr),
            None => mpsc::channel().1,
        };
        let said = read_lines(child.stdout.take().expect("stdout was asked to be a pipe"));
        let first = said.recv_timeout(LIMIT).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("it does not say where it listens; stderr: {:?}", lines.iter().collect::<Vec<_>>());
        });
        let (address, rest) = first
            .strip_prefix("listening on ")
            .and_then(|rest| rest.split_once(", "))
            .unwrap_or_else(|| panic!("an address was to come first, not {first:?}"));
        let upstream = rest.strip_prefix("upstream ").unwrap_or_default().to_owned();
        // A Unix socket has none.
        let address = address.parse().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        Self { child, address, upstream, authority, files, lines, seen: Vec::new(), said, greeting: vec![first] }
    }

    /// The rest of the first line on stdout that begins so.
    pub(crate) fn said(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(found) = self.greeting.iter().find_map(|line| line.strip_prefix(beginning)) {
                return found.to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(left) else {
                panic!("it does not say {beginning:?}, but {:?}", self.greeting)
            };
            self.greeting.push(line);
        }
    }

    /// Where its admin listener is.
    pub(crate) fn admin(&mut self) -> String {
        self.said("admin on ")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The `nth` event of this word, counted from 1.
    pub(crate) fn event(&mut self, word: &str, nth: usize) -> serde_json::Value {
        let count = Cell::new(0);
        self.line(&format!("{word} number {nth}"), |line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            count.set(count.get() + usize::from(event["event"] == word));
            (event["event"] == word && count.get() == nth).then_some(event)
        })
    }

    /// The first line that `wanted` takes, of those that came already and those still to come.
    pub(crate) fn line<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(|line| wanted(line)) {
            return found;
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(end) => panic!("no {what} ({end}); stderr so far:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// The ledger's line of the session with this number.
    pub(crate) fn session(&mut self, number: u64) -> Session {
        self.line(&format!("line of session {number}"), |line| {
            let Event::Session(session) = Event::of(line) else { return None };
            (session.session == number).then_some(*session)
        })
    }

    /// The line of the first session whose handshake came to this.
    pub(crate) fn handshake(&mut self, word: &str) -> Session {
        self.line(&format!("session whose handshake is {word}"), |line| {
            let Event::Session(session) = Event::of(line) else { return None };
            (session.handshake == word).then_some(*session)
        })
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.kill("-TERM");
    }

    /// Sends the signal.
    pub(crate) fn kill(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }

    /// Waits until it says that it drains.
    pub(crate) fn wait_until_draining(&mut self) {
        self.line("draining", |line| matches!(Event::of(line), Event::Draining).then_some(()));
    }

    /// Waits for the end of the process; what it still says is taken whole.
    pub(crate) fn wait(mut self) -> Stopped {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it runs on; stderr so far:\n{}", self.seen.join("\n")),
            }
        }
        // Its stdout closes with the process.
        loop {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_line) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it runs on; stderr so far:\n{}", self.seen.join("\n")),
            }
        }
        let code = self.child.wait().unwrap().code();
        let stopped = Stopped { code, lines: std::mem::take(&mut self.seen) };
        assert!(!stopped.lines.iter().any(|line| line.contains("panicked")), "{stopped:?}");
        stopped
    }

    /// Sends SIGTERM to a proxy without a session left, and sees that it ends well.
    pub(crate) fn stop(self) -> Stopped {
        self.terminate();
        let stopped = self.wait();
        assert_eq!(stopped.code, Some(0), "{stopped:?}");
        stopped
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail harmlessly on a process that was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy that has ended.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) code: Option<i32>,
    /// Everything on stderr.
    pub(crate) lines: Vec<String>,
}

impl Stopped {
    /// How many of the sessions that ran when draining began finished, and how many were aborted.
    pub(crate) fn drained(&self) -> (u64, u64) {
        match self.lines.last().map(|line| Event::of(line)) {
            Some(Event::Drained { finished, aborted }) => (finished, aborted),
            _ => panic!("the last line is to say how many drained: {self:?}"),
        }
    }
}

/// A line of stderr with `--log json`.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Session(Box<Session>),
    Draining,
    Aborting,
    Drained {
        finished: u64,
        aborted: u64,
    },
    #[serde(other)]
    Other,
}

impl Event {
    fn of(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("not an event ({error}): {line}"))
    }
}

/// The ledger's line of a session, as far as the tests look at it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Session {
    pub(crate) session: u64,
    pub(crate) upstream: Option<String>,
    pub(crate) phase: String,
    pub(crate) handshake: String,
    client_received: Option<String>,
    client_sent: Option<String>,
    upstream_received: Option<String>,
    upstream_sent: Option<String>,
    pub(crate) ended_first: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) trailing_bytes: u64,
    pub(crate) bytes_from_client: u64,
    pub(crate) bytes_from_upstream: u64,
    pub(crate) discarded_bytes: u64,
    pub(crate) tls_version: Option<String>,
    pub(crate) polls: u64,
    pub(crate) wasted_polls: u64,
}

impl Session {
    /// How the four directions ended: received from and sent to the client, received from and sent to the upstream.
    pub(crate) fn endings(&self) -> [&str; 4] {
        [&self.client_received, &self.client_sent, &self.upstream_received, &self.upstream_sent]
            .map(|ending| ending.as_deref().unwrap_or("-"))
    }

    pub(crate) fn first(&self) -> &str {
        self.ended_first.as_deref().unwrap_or("-")
    }

    /// Bytes taken from the client and from the upstream.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes_from_client, self.bytes_from_upstream)
    }
}

/// One session, played by a Python client and a Python backend with a proxy of its own between them.
pub(crate) struct Play<'a> {
    pub(crate) options: &'a [&'a str],
    pub(crate) client_options: &'a [&'a str],
    pub(crate) client: &'a [&'a str],
    pub(crate) backend: &'a [&'a str],
}

impl<'a> Play<'a> {
    pub(crate) fn new(client: &'a [&'a str], backend: &'a [&'a str]) -> Self {
        Self { options: &[], client_options: &[], client, backend }
    }

    pub(crate) fn options(self, options: &'a [&'a str]) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn client_options(self, client_options: &'a [&'a str]) -> Self {
        Self { client_options, ..self }
    }

    /// Plays it once in each version of TLS; `check` fails with all that was seen.
    pub(crate) fn in_each_version(&self, check: impl Fn(&Seen)) {
        for version in TlsVersion::EACH {
            let seen = self.once(version);
            let expected = if version == TlsVersion::V12 { "TLSv1.2" } else { "TLSv1.3" };
            assert_eq!(seen.session.tls_version.as_deref(), Some(expected));
            check(&seen);
        }
    }

    fn once(&self, version: TlsVersion) -> Seen {
        let (backend, upstream) = python_backend(&[], self.backend);
        let mut proxy = Proxy::start(upstream, self.options);
        let client_options = [&["--tls", number(version)], self.client_options].concat();
        let client = python_tls_client(proxy.address, &proxy.files.ca, &client_options, self.client);
        let (client, backend) = (client.report(), backend.report());
        let session = proxy.session(1);
        assert_eq!(session.upstream, Some(upstream.to_string()));
        assert_eq!((session.phase.as_str(), session.handshake.as_str()), ("relay", "complete"));
        proxy.stop();
        Seen { client, backend, session }
    }
}

/// What became of a [`Play`].
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) client: Report,
    pub(crate) backend: Report,
    pub(crate) session: Session,
}

impl Seen {
    /// What client and backend received, in order, and how the four directions ended.
    pub(crate) fn ended(&self, client: &[&str], backend: &[&str], endings: [&str; 4], first: &str) {
        assert_eq!(self.client.words(), client, "at the client: {self:#?}");
        assert_eq!(self.backend.words(), backend, "at the backend: {self:#?}");
        assert_eq!(self.session.endings(), endings, "in the ledger: {self:#?}");
        assert_eq!(self.session.first(), first, "{self:#?}");
    }
}

/// The version as `tls_peer.py` writes it.
pub(crate) fn number(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V12 => "1.2",
        TlsVersion::V13 => "1.3",
        TlsVersion::Both => panic!("one version at a time"),
    }
}

/// A plain TCP backend that accepts one connection and plays `part` on it.
pub(crate) fn backend<T: Send + 'static>(
    part: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (JoinHandle<T>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let playing = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        part(socket)
    });
    (playing, address)
}

/// Reads to the end and says what came: the data, and `fin` or `rst`.
pub(crate) fn collect(mut socket: impl Read) -> (Vec<u8>, &'static str) {
    let mut data = Vec::new();
    match socket.read_to_end(&mut data) {
        Ok(_) => (data, "fin"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "behind {data:?}");
            (data, "rst")
        }
    }
}

/// Reads aside, so that the process never waits for the test. The channel closes with the pipe.
fn read_lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (say, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // A test that has ended does not listen; the pipe is read on so that the process is not stuck.
            let _ = say.send(line);
        }
    });
    lines
}
