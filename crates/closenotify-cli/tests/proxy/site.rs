//! A proxy with a configuration file in a folder of its own, an upstream that echoes, and clients that ask without a pause.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use testkit::certs::{Authority, Leaf, PemFiles, TlsVersion};

use crate::admin::get;
use crate::harness::{LIMIT, Proxy};
use crate::tls_client::TlsClient;

/// The folder: `proxy.toml`, and `web.pem` with a certificate for this machine.
pub(crate) struct Site {
    dir: TempDir,
    pub(crate) authority: Arc<Authority>,
    files: Arc<PemFiles>,
}

impl Site {
    /// With these settings, after those for a log as JSON on stderr.
    pub(crate) fn new(settings: &str) -> Self {
        let authority = Authority::new();
        let files = authority.write_pem_files();
        let site = Self { dir: TempDir::new().unwrap(), authority: Arc::new(authority), files: Arc::new(files) };
        let leaf = site.issue();
        site.write("web.pem", &pem(&leaf));
        site.configure(settings);
        site
    }

    /// With one listener `web` on a free port, in front of `upstream`, after these settings.
    pub(crate) fn web(settings: &str, upstream: SocketAddr) -> Self {
        Self::new(&web(settings, upstream))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Replaces the settings.
    pub(crate) fn configure(&self, settings: &str) {
        let text = settings.replace("DIR", &self.dir.path().to_string_lossy());
        self.write("proxy.toml", &format!("log.format = 'json'\n{text}"));
    }

    /// Another certificate for this machine.
    pub(crate) fn issue(&self) -> Leaf {
        self.authority.issue(&["localhost", "127.0.0.1", "127.0.0.2"])
    }

    pub(crate) fn start(&self) -> Proxy {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_closenotify")))
    }

    /// In a shell that runs this first.
    pub(crate) fn start_after(&self, script: &str) -> Proxy {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(env!("CARGO_BIN_EXE_closenotify"));
        self.start_by(command)
    }

    /// In a mount namespace of its own, in which a shell runs this first; `None` without the right to have one.
    pub(crate) fn start_unshared(&self, script: &str) -> Option<Proxy> {
        let script = format!("{script} && exec \"$0\" \"$@\"");
        if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script]).arg(env!("CARGO_BIN_EXE_closenotify"));
        Some(self.start_by(command))
    }

    /// With a stderr of the test's own.
    pub(crate) fn start_into(&self, stderr: Stdio) -> Proxy {
        let mut command = Command::new(env!("CARGO_BIN_EXE_closenotify"));
        command.args(["proxy", "--config"]).arg(self.path("proxy.toml"));
        Proxy::spawn_with(command, Arc::clone(&self.authority), Arc::clone(&self.files), stderr)
    }

    fn start_by(&self, mut command: Command) -> Proxy {
        command.args(["proxy", "--config"]).arg(self.path("proxy.toml"));
        Proxy::spawn(command, Arc::clone(&self.authority), Arc::clone(&self.files))
    }

    pub(crate) fn client(&self) -> Client {
        Client { config: self.authority.client_config(TlsVersion::V13) }
    }
}

/// Settings with one listener `web` on a free port, in front of `upstream`, after others.
pub(crate) fn web(settings: &str, upstream: SocketAddr) -> String {
    format!("{settings}\n{}{}", listener("web", "127.0.0.1:0"), app(upstream))
}

/// Settings of a listener that leads to `app`.
pub(crate) fn listener(name: &str, listen: &str) -> String {
    format!(
        "[[listener]]\nname = '{name}'\nlisten = '{listen}'\ncertificates = 'web.pem'\n[[listener.route]]\nupstream = 'app'\n"
    )
}

/// Settings of the upstream `app`.
pub(crate) fn app(address: SocketAddr) -> String {
    format!("[upstream.app]\naddresses = '{address}'\n")
}

/// A certificate and its key, as a listener takes them.
pub(crate) fn pem(leaf: &Leaf) -> String {
    leaf.cert_pem().to_owned() + &leaf.key_pem()
}

/// Where a listener listens, as the log says last.
pub(crate) fn listening(proxy: &mut Proxy, listener: &str, nth: usize) -> SocketAddr {
    let event = (1..).map(|at| proxy.event("listening", at)).filter(|event| event["listener"] == listener);
    event.take(nth).last().unwrap()["address"].as_str().unwrap().parse().unwrap()
}

/// An upstream that sends everything back, and ends after its client has.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            // How a connection fares here is for its client to say.
            thread::spawn(move || io::copy(&mut &socket, &mut &socket));
        }
    });
    address
}

/// A client that asks, and expects the answer with every end of it.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    /// One session; returns the certificate that it was shown, or says what went wrong.
    pub(crate) fn ask(&self, address: SocketAddr) -> Result<CertificateDer<'static>, String> {
        let failed = |what: &str, error: &dyn ToString| format!("{what}: {}", error.to_string());
        let socket = TcpStream::connect(address).map_err(|error| failed("connecting", &error))?;
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.config), ServerName::from(address.ip())).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(b"hello").map_err(|error| failed("asking", &error))?;
        stream.conn.send_close_notify();
        stream.flush().map_err(|error| failed("ending", &error))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| failed("reading", &error))?;
        if answer != b"hello" {
            return Err(format!("an answer of {} bytes", answer.len()));
        }
        Ok(stream.conn.peer_certificates().unwrap()[0].clone().into_owned())
    }
}

/// Clients that ask one question after the other.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answers: Receiver<Result<(), String>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(clients: usize, ask: impl Fn() -> Result<(), String> + Clone + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (say, answers) = mpsc::channel();
        let client = |_| {
            let (stop, say, ask) = (Arc::clone(&stop), say.clone(), ask.clone());
            thread::spawn(move || while !stop.load(Ordering::Relaxed) && say.send(ask()).is_ok() {})
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, answers, clients }
    }

    /// Waits for so many more answers.
    pub(crate) fn more(&self, count: usize) {
        for _ in 0..count {
            self.answers.recv_timeout(LIMIT).expect("clients that go on").expect("every question is answered");
        }
    }

    /// Forgets the answers that came until now, all of which must be right.
    pub(crate) fn catch_up(&self) {
        while let Ok(answer) = self.answers.try_recv() {
            answer.expect("every question is answered");
        }
    }

    /// Stops; returns how many answers were left, all of them right.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        for answer in self.answers {
            answer.expect("every question is answered");
        }
    }
}

/// Waits until there is something: looks again and again, for [`LIMIT`] at most.
pub(crate) fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "no {what}");
        thread::park_timeout(Duration::from_millis(3));
    }
}

/// Bytes there and back on an open session.
pub(crate) fn round_trip(client: &mut TlsClient) {
    client.send(b"ping");
    assert_eq!(client.read(4), b"ping");
}

/// The sum of a metric over its labels.
pub(crate) fn metric(admin: &str, name: &str) -> f64 {
    let (status, text) = get(admin, "/metrics");
    assert_eq!(status, 200);
    let of = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(of).sum()
}

/// A field of `/proc/PID/status`, in its unit.
pub(crate) fn status(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
