//! A whole proxy in this process, with sessions whose relay spins or panics: each is ended or reported, and the others are
//! served meanwhile.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::certs::{Authority, TlsVersion};
use testkit::client::{BlockingClient, blocking};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::address::Endpoint;
use crate::config::ConfigFile;
use crate::proxy::{Drained, Order, Proxy};

/// The server name of a session that spins: its relay wakes itself at every poll, as the incident did.
pub(super) const SPINS: &str = "spin.test";

/// The server name of a session whose relay panics.
pub(super) const PANICS: &str = "panic.test";

/// That of any other.
const SERVED: &str = "served.test";

/// A proxy with one worker, in front of an upstream that the test plays.
struct Site {
    folder: TempDir,
    authority: Authority,
    upstream: TcpListener,
    address: SocketAddr,
    admin: String,
    orders: UnboundedSender<Order>,
    running: JoinHandle<Drained>,
    _alone: MutexGuard<'static, ()>,
}

impl Site {
    fn start(spin: &str) -> Self {
        // The hook for panics belongs to the process.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let authority = Authority::new();
        let leaf = authority.issue(&[SPINS, PANICS, SERVED]);
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("web.pem"), leaf.cert_pem().to_owned() + &leaf.key_pem()).unwrap();
        let settings = format!(
            "admin.listen = '127.0.0.1:0'\n\
             log = {{ format = 'json', file = 'log' }}\n\
             process = {{ workers = 1, spin = '{spin}' }}\n\
             [[listener]]\nname = 'web'\nlisten = '127.0.0.1:0'\ncertificates = 'web.pem'\n\
             [[listener.route]]\nupstream = 'app'\n\
             [upstream.app]\naddresses = '{}'\n",
            upstream.local_addr().unwrap()
        );
        let file = folder.path().join("proxy.toml");
        fs::write(&file, settings).unwrap();
        let config = ConfigFile::read(&file).unwrap().config;

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let others = panic::take_hook();
        let proxy = runtime.block_on(Proxy::start(config.clone())).unwrap();
        let ours = panic::take_hook();
        panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some("worker-0") => ours(info),
            _ => others(info),
        }));
        let Endpoint::Tcp(address) = &proxy.listening()[0].1 else { panic!("it is TCP") };
        let address = address.to_string().parse().unwrap();
        let admin = proxy.admin().unwrap().to_owned();
        let (orders, taken) = unbounded_channel();
        let running = thread::spawn(move || runtime.block_on(proxy.run(taken, move || Ok(config.clone()))));
        Self { folder, authority, upstream, address, admin, orders, running, _alone: alone }
    }

    /// A session that is relayed.
    fn session(&self, name: &'static str) -> Session {
        let socket = TcpStream::connect(self.address).unwrap();
        bound(&socket);
        let config = self.authority.client_config(TlsVersion::V13);
        let mut client = blocking(config, name, socket);
        client.flush().unwrap();
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        let (upstream, _) = self.upstream.accept().unwrap();
        bound(&upstream);
        Session { client, upstream }
    }

    /// The line in the log that is the first of its event, with this session.
    fn line(&self, event: &str, session: u64) -> Value {
        let start = std::time::Instant::now();
        loop {
            let text = fs::read_to_string(self.folder.path().join("log")).unwrap();
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.find(|line| line["event"] == event && line["session"] == session) {
                return line;
            }
            assert!(start.elapsed() < LIMIT, "no {event} of {session}: {text}");
            thread::yield_now();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        bound(&stream);
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stop(self) -> Drained {
        self.orders.send(Order::Drain("test")).unwrap();
        self.running.join().unwrap()
    }
}

/// A session with both of its ends in the test's hands.
struct Session {
    client: BlockingClient,
    upstream: TcpStream,
}

impl Session {
    fn round_trip(&mut self) {
        let mut read = [0; 4];
        self.client.write_all(b"ping").unwrap();
        self.upstream.read_exact(&mut read).unwrap();
        self.upstream.write_all(b"pong").unwrap();
        self.client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"pong");
    }

    /// Both sides are reset, and nothing looks complete.
    fn assert_reset(mut self) {
        for end in [self.upstream.read(&mut [0; 1]), self.client.read(&mut [0; 1])] {
            assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }

    /// Ends by close_notify and FIN.
    fn end(mut self) {
        self.client.conn.send_close_notify();
        self.client.flush().unwrap();
        assert_eq!(self.upstream.read(&mut [0; 1]).unwrap(), 0);
        drop(self.upstream);
        assert_eq!(self.client.read(&mut [0; 1]).unwrap(), 0, "close_notify: rustls reports anything else as an error");
    }
}

fn bound(socket: &TcpStream) {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.set_write_timeout(Some(LIMIT)).unwrap();
}

#[test]
fn session_that_spins_is_ended_and_said_and_the_others_are_served_meanwhile() {
    let site = Site::start("end");
    let mut kept = site.session(SERVED);
    kept.round_trip();
    let spinning = site.session(SPINS);
    // One worker serves both.
    (0..50).for_each(|_| kept.round_trip());
    spinning.assert_reset();
    kept.round_trip();
    let mut after = site.session(SERVED);
    after.round_trip();

    let event = site.line("spin", 2);
    assert_eq!((&event["action"], &event["level"]), (&"end".into(), &"error".into()), "{event}");
    assert!(event["wasted"].as_u64().unwrap() >= 10_000, "{event}");
    let line = site.line("session", 2);
    assert_eq!((&line["result"], &line["ended_first"]), (&"aborted".into(), &"proxy".into()), "{line}");
    assert!(line["reason"].as_str().unwrap().starts_with("the proxy spun: "), "{line}");
    assert!(line["wasted_polls"].as_u64().unwrap() >= 10_000, "{line}");
    assert!(site.metrics().contains("\nclosenotify_spins_total 1\n"));
    kept.end();
    after.end();
    for session in [1, 3] {
        let line = site.line("session", session);
        assert_eq!(line["result"], "complete", "{line}");
    }
    assert_eq!(site.stop(), Drained { finished: 0, aborted: 0 });
}

#[test]
fn session_that_spins_is_only_reported_where_the_settings_say_so() {
    let site = Site::start("report");
    let mut kept = site.session(SERVED);
    let mut spinning = site.session(SPINS);
    let event = site.line("spin", 2);
    assert_eq!(event["action"], "report", "{event}");
    for _ in 0..20 {
        spinning.round_trip();
        kept.round_trip();
    }
    assert!(site.metrics().contains("\nclosenotify_spins_total 1\n"), "a session is counted once");
    spinning.end();
    let line = site.line("session", 2);
    assert_eq!(line["result"], "complete", "{line}");
    assert!(line["reason"].as_str().unwrap().contains("the proxy spun: "), "{line}");
    kept.end();
    assert_eq!(site.log().matches("\"event\":\"spin\"").count(), 1);
    site.stop();
}

#[test]
fn session_that_panics_is_reset_on_both_sides_and_the_others_are_served() {
    let site = Site::start("end");
    let mut kept = site.session(SERVED);
    site.session(PANICS).assert_reset();
    kept.round_trip();
    let line = site.line("session", 2);
    assert_eq!((&line["result"], &line["reason"]), (&"aborted".into(), &"the proxy panicked; please report it".into()));
    assert!(site.log().contains("\"message\":\"planted\""), "{}", site.log());
    kept.end();
    site.line("session", 1);
    assert_eq!(site.stop(), Drained { finished: 0, aborted: 0 });
}

/// How long any one wait may be.
const LIMIT: Duration = Duration::from_secs(20);

static ALONE: Mutex<()> = Mutex::new(());
