//! Real peers: the programs of other people that the tests talk to, found, run and bounded in time.
//!
//! A missing program fails the test that needs it, with the words that install it; a test is never skipped for that.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use crate::report::Report;

/// Python 3: the interpreter itself, where `python3` on the path is a version manager's script, which takes longer to
/// start than Python.
#[must_use]
pub fn python() -> PathBuf {
    static INTERPRETER: OnceLock<PathBuf> = OnceLock::new();
    let ask = || {
        let found = find("python3", "python3");
        let said = run(Command::new(&found).args(["-c", "import sys; print(sys.executable)"]), b"", LIMIT);
        let interpreter = PathBuf::from(said.stdout_text().trim_end());
        if interpreter.is_file() { interpreter } else { found }
    };
    INTERPRETER.get_or_init(ask).clone()
}

/// curl.
#[must_use]
pub fn curl() -> PathBuf {
    find("curl", "curl")
}

/// OpenSSL's command line.
#[must_use]
pub fn openssl() -> PathBuf {
    find("openssl", "openssl")
}

/// GnuTLS' client.
#[must_use]
pub fn gnutls_cli() -> PathBuf {
    find("gnutls-cli", "gnutls-bin")
}

/// Node.js.
#[must_use]
pub fn node() -> PathBuf {
    find("node", "nodejs")
}

/// HAProxy, which a user's PATH may not have.
#[must_use]
pub fn haproxy() -> PathBuf {
    find("/usr/sbin/haproxy", "haproxy")
}

/// A command that runs a Python script of this crate's `py/` folder, such as `tls_peer.py`.
#[must_use]
pub fn python_client(script_name: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("py").join(script_name);
    assert!(script.is_file(), "{} is not in crates/testkit/py", script.display());
    let mut command = Command::new(python());
    // Without -B a run would leave bytecode in the source tree.
    command.arg("-B").arg(script);
    command
}

/// A finished program.
#[derive(Debug)]
pub struct Output {
    /// How it ended; killed by signal 9 if the time was up.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether it was killed because the time was up.
    pub timed_out: bool,
    /// How long it ran.
    pub took: Duration,
}

impl Output {
    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = if self.timed_out { ", killed: time was up" } else { "" };
        writeln!(f, "{} after {:?}{late}", self.status, self.took)?;
        write!(f, "stdout: {}\nstderr: {}", self.stdout_text(), self.stderr_text())
    }
}

/// Runs `command` with `input` as standard input, then closed; kills it when `timeout` has passed.
///
/// Standard output and error are taken whole. What a killed program's own children still write is not waited for.
///
/// # Panics
///
/// When the program cannot be started.
#[must_use]
pub fn run(command: &mut Command, input: &[u8], timeout: Duration) -> Output {
    let mut running = Running::start(command);
    running.write_and_close(input);
    running.finish(timeout)
}

/// A program that runs beside the test; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    stdout: Option<Receiver<Vec<u8>>>,
    stderr: Receiver<Vec<u8>>,
    first: Vec<u8>,
}

impl Running {
    /// Starts `command` with pipes for its three streams.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut running = Self::spawn(command);
        let stdout = running.child.stdout.take().expect("stdout was asked to be a pipe");
        running.stdout = Some(read_aside(stdout));
        running
    }

    /// Starts `command` and waits for its first line of standard output, such as a port, without the line's end.
    ///
    /// # Panics
    ///
    /// When the program cannot be started, or says nothing within `timeout`.
    #[must_use]
    pub fn start_until_line(command: &mut Command, timeout: Duration) -> (Self, String) {
        let mut running = Self::spawn(command);
        let stdout = running.child.stdout.take().expect("stdout was asked to be a pipe");
        let (say_line, line) = mpsc::channel();
        let (say_rest, rest) = mpsc::channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut first = String::new();
            // A program that ends without a line is told apart by the closed channel.
            if stdout.read_line(&mut first).is_ok_and(|n| n > 0) {
                let _ = say_line.send(first);
            }
            drop(say_line);
            let mut all = Vec::new();
            let _ = stdout.read_to_end(&mut all);
            let _ = say_rest.send(all);
        });
        running.stdout = Some(rest);
        match line.recv_timeout(timeout) {
            Ok(first) => {
                running.first = first.clone().into_bytes();
                (running, first.trim_end().to_owned())
            }
            Err(_) => {
                let output = running.finish(Duration::ZERO);
                panic!("{command:?} printed no line within {timeout:?}: {output}");
            }
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes `input` to standard input beside the test, then closes it.
    pub fn write_and_close(&mut self, input: &[u8]) {
        if let Some(mut stdin) = self.child.stdin.take() {
            let input = input.to_owned();
            // A program that reads no input closes the pipe; that is its own affair.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
    }

    /// Waits for the end; kills the program when `timeout` has passed.
    ///
    /// # Panics
    ///
    /// When the operating system cannot say how the program ended.
    #[must_use]
    pub fn finish(mut self, timeout: Duration) -> Output {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + timeout;
        let mut timed_out = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child that we have not waited for can be waited for")
            {
                break status;
            }
            if Instant::now() >= deadline {
                timed_out = true;
                let _ = self.child.kill();
                break self.child.wait().expect("a child that we have not waited for can be waited for");
            }
            // std has no wait with a time limit, so the end is looked for every few milliseconds.
            thread::park_timeout(Duration::from_millis(3));
        };
        let took = self.started.elapsed();
        let taken = |pipe: &Receiver<Vec<u8>>| pipe.recv_timeout(PIPE_GRACE).unwrap_or_default();
        let mut stdout = std::mem::take(&mut self.first);
        if let Some(rest) = &self.stdout {
            stdout.extend(taken(rest));
        }
        let stderr = taken(&self.stderr);
        Output { status, stdout, stderr, timed_out, took }
    }

    fn spawn(command: &mut Command) -> Self {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let stderr = read_aside(child.stderr.take().expect("stderr was asked to be a pipe"));
        Self { child, started, stdout: None, stderr, first: Vec::new() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail harmlessly on a program that was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tls_peer.py` as a client that runs beside the test.
///
/// The actions are those of `tls_peer.py --help`. [`PythonPeer::report`] says what the client saw.
#[must_use]
pub fn python_tls_client<S: AsRef<OsStr>>(
    server: SocketAddr,
    ca: &Path,
    options: &[&str],
    actions: &[S],
) -> PythonPeer {
    let mut command = python_client("tls_peer.py");
    command.arg("connect").arg(server.ip().to_string()).arg(server.port().to_string());
    command.arg("--ca").arg(ca).args(options).arg("--").args(actions);
    PythonPeer { running: Running::start(&mut command) }
}

/// `tls_peer.py` as a plain TCP backend on 127.0.0.1 that runs beside the test, and its address.
///
/// With `--cert` and `--key` among the options it is a TLS server.
#[must_use]
pub fn python_backend<S: AsRef<OsStr>>(options: &[&str], actions: &[S]) -> (PythonPeer, SocketAddr) {
    let mut command = python_client("tls_peer.py");
    command.arg("listen").args(options).arg("--").args(actions);
    let (running, line) = Running::start_until_line(&mut command, LIMIT);
    let port: u16 = line.parse().unwrap_or_else(|_| panic!("a port was to come first, not {line:?}"));
    (PythonPeer { running }, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A `tls_peer.py` at work.
#[derive(Debug)]
pub struct PythonPeer {
    running: Running,
}

impl PythonPeer {
    /// Waits for the end of its actions and says what it saw.
    ///
    /// The script bounds itself (20 s, or its `--timeout`); its failure is in the report, not a panic here.
    ///
    /// # Panics
    ///
    /// When the script printed no report: a wrong command line.
    #[must_use]
    pub fn report(self) -> Report {
        let output = self.running.finish(LIMIT);
        let stdout = output.stdout_text();
        let last = stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("no report ({error}): {output}"))
    }
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (say, taken) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        let _ = say.send(all);
    });
    taken
}

fn find(program: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{program} is missing; install it: `cargo xtask peers` (as root) or `apt-get install {package}`")
    })
}

/// Above the script's own limit, so that its report comes first.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a pipe is read on after its program ended; a grandchild may hold it open.
const PIPE_GRACE: Duration = Duration::from_secs(5);
