//! The admin listener over real sockets, with sessions that are planted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use super::*;
use crate::address::Endpoint;
use crate::events::{Entry, Event, Phase, SessionEndings};
use crate::listen::{self, Listener, Listening};
use crate::listener::Slot;
use crate::live::{LiveSession, Sample};
use crate::relay::TcpEnding;
use crate::telemetry::tests::quiet;
use crate::upstream::Upstream;
use closenotify::{ReceivedEnding, SentEnding};

/// An admin listener on a port of its own.
pub(super) struct Served {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) address: String,
    pub(super) server: AdminServer,
    _folder: tempfile::TempDir,
}

pub(super) fn served() -> Served {
    served_within(Bounds::default())
}

fn served_within(bounds: Bounds) -> Served {
    let (telemetry, folder) = quiet();
    let (admin, socket) = open(&"127.0.0.1:0".parse().unwrap());
    let address = socket.local().to_string();
    let server = admin.serve_within(Arc::clone(&telemetry), bounds).unwrap();
    Served { telemetry, address, server, _folder: folder }
}

fn open(endpoint: &Endpoint) -> (Admin, Listening) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wanted = [listen::Wanted { listener: None, endpoint: endpoint.clone() }];
    let opened = runtime.block_on(listen::open(&wanted, NonZeroUsize::MIN, &mut listen::Pool::default()));
    let listening = opened.unwrap().remove(0);
    (Admin::over(&listening).unwrap(), listening)
}

/// A response: its status, its head, its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn exchange(mut stream: impl Read + Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {all:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

impl Served {
    fn ask(&self, method: &str, path: &str, host: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        exchange(connect(&self.address), &request)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &self.address)
    }

    fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

#[test]
fn readiness_follows_the_life_of_the_process_and_health_does_not() {
    let served = served();
    let ready = || {
        let answer = served.get("/readyz");
        (answer.status, answer.body)
    };
    assert_eq!(ready(), (503, "starting\n".into()));
    served.telemetry.ready();
    assert_eq!(ready(), (200, "ready\n".into()));
    served.telemetry.tell(&Event::Draining { signal: "SIGTERM".into(), drain: Duration::from_secs(30) });
    assert_eq!(ready(), (503, "draining\n".into()));
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn wrong_requests_say_what_is_right() {
    let served = served();
    let wrong = served.get("/metric");
    assert_eq!(wrong.status, 404);
    assert!(wrong.body.contains("/metrics"), "{}", wrong.body);
    let post = served.ask("POST", "/metrics", &served.address);
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{}", post.head);
    for path in ["/sessions?limit=x", "/sessions?limit=10001", "/sessions?limit=-1", "/status.json?result=bad"] {
        assert_eq!(served.get(path).status, 400, "{path}");
    }
    let head = served.ask("HEAD", "/metrics", "any.name");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn pages_of_other_origins_read_nothing() {
    let served = served();
    for path in ["/sessions", "/status.json"] {
        let answer = served.ask("GET", path, "rebound.example");
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("use an IP address"), "{}", answer.body);
        assert_eq!(served.ask("GET", &format!("http://rebound.example{path}"), &served.address).status, 403);
    }
    // Probes and scrapes come through the names of services.
    for path in ["/metrics", "/healthz", "/"] {
        assert_eq!(served.ask("GET", path, "proxy.mesh.svc:9901").status, 200);
    }
    for path in ["/", "/metrics", "/sessions", "/nowhere"] {
        let head = served.get(path).head;
        for wanted in [
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
        ] {
            assert!(head.contains(wanted), "{path}: {head}");
        }
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
}

#[test]
fn the_metrics_are_served_as_prometheus_reads_them() {
    let served = served();
    served.telemetry.listener("web");
    let answer = served.get("/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("closenotify_sessions{listener=\"web\"} 0\n"), "{}", answer.body);
}

/// A session that answers when it is asked, on a thread of its own, until what is returned is dropped.
fn answering(served: &Served, number: u64, sample: Sample) -> oneshot::Sender<()> {
    let web = served.telemetry.listener("web");
    let session: LiveSession = served.telemetry.open(&web, number, format!("192.0.2.1:{number}"));
    session.set_phase(Phase::Relay);
    session.set_upstream("10.0.0.1:8080".into());
    session.set_sni(Some("app.example.com".into()));
    let (stop, mut stopped) = oneshot::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(std::future::poll_fn(|cx| {
            while session.view().poll_asked(cx) {
                session.view().answer(sample.clone());
            }
            std::pin::Pin::new(&mut stopped).poll(cx).map(|_| ())
        }));
    });
    stop
}

#[test]
fn live_sessions_say_what_each_half_does() {
    let served = served();
    let mut endings =
        SessionEndings { client_received: Some(ReceivedEnding::CloseNotify.into()), ..Default::default() };
    endings.upstream_sent = Some(TcpEnding::Fin.into());
    let sample = Sample {
        bytes_from_client: 10,
        bytes_from_upstream: 2000,
        endings,
        unsent_to_client: Some(500),
        ..Sample::default()
    };
    let _one = answering(&served, 1, sample.clone());
    let _two = answering(&served, 2, sample);
    let all = served.json("/sessions");
    assert_eq!((&all["total"], &all["shown"]), (&2.into(), &2.into()));
    let first = &all["sessions"][0];
    for (field, value) in [
        ("session", serde_json::json!(1)),
        ("client", "192.0.2.1:1".into()),
        ("listener", "web".into()),
        ("sni", "app.example.com".into()),
        ("upstream", "10.0.0.1:8080".into()),
        ("phase", "relay".into()),
        ("client_received", "close_notify".into()),
        ("client_sent", "open".into()),
        ("upstream_received", "open".into()),
        ("upstream_sent", "fin".into()),
        ("bytes_from_upstream", 2000.into()),
        ("unsent_to_client", 500.into()),
        ("unsent_to_upstream", serde_json::Value::Null),
    ] {
        assert_eq!(first[field], value, "{field} in {first}");
    }
    let one = served.json("/sessions?limit=1");
    assert_eq!((&one["total"], &one["shown"]), (&2.into(), &1.into()));
    assert_eq!(served.json("/sessions?limit=0")["sessions"], serde_json::json!([]));
}

#[test]
fn the_oldest_connection_leaves_for_one_more() {
    let bounds = Bounds { connections: 2, header: LIMIT * 10, connection: LIMIT * 10, ..Bounds::default() };
    let served = served_within(bounds);
    let mut silent: Vec<_> = (0..5).map(|_| connect(&served.address)).collect();
    for _ in 0..3 {
        assert_eq!(served.get("/healthz").status, 200, "nobody who only holds a connection keeps a probe waiting");
    }
    let mut rest = Vec::new();
    silent[0].read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn silent_connections_leave() {
    let bounds = Bounds { connections: 2, header: Duration::from_millis(200), ..Bounds::default() };
    let served = served_within(bounds);
    // They say nothing, and hold all the room that there is.
    let mut silent = [connect(&served.address), connect(&served.address)];
    assert_eq!(served.get("/healthz").status, 200, "served when one of them had to leave");
    for stream in &mut silent {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
    }
}

#[test]
fn a_connection_does_not_last_for_ever_whatever_it_asks_or_does_not_read() {
    let bounds = Bounds {
        connections: 1,
        connection: Duration::from_millis(200),
        last: Duration::from_millis(200),
        ..Bounds::default()
    };
    let served = served_within(bounds);
    let mut greedy = connect(&served.address);
    // Asks for more than the kernel holds, and reads none of it.
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", served.address).repeat(400);
    let _ = greedy.set_write_timeout(Some(Duration::from_millis(100)));
    let _ = greedy.write_all(request.as_bytes());
    assert_eq!(served.get("/healthz").status, 200, "served when it had to leave");
}

#[test]
fn long_heads_are_refused() {
    let served = served();
    let long = "x".repeat(64 * 1024);
    let mut stream = connect(&served.address);
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n").as_bytes());
    let mut all = Vec::new();
    // It may reset what it did not read.
    let _ = stream.read_to_end(&mut all);
    assert!(all.is_empty() || all.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&all));
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn a_unix_socket_is_private_and_any_host_reaches_it() {
    let (telemetry, folder) = quiet();
    let path = folder.path().join("admin.sock");
    let endpoint = Endpoint::Unix(path.clone());
    let (admin, _socket) = open(&endpoint);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let _server = admin.serve(telemetry).unwrap();
    let request = "GET /sessions HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(UnixStream::connect(&path).unwrap(), request).status, 200);
}

#[test]
fn a_dropped_server_closes_its_port() {
    let Served { server, address, telemetry: _, _folder } = served();
    drop(server);
    let start = std::time::Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(start.elapsed() < LIMIT);
        thread::yield_now();
    }
}

/// Another process has the socket, too, and what connects from now on is for it.
#[test]
fn a_server_that_leaves_answers_whom_it_has_accepted_and_nobody_else() {
    let (telemetry, _folder) = quiet();
    let (admin, socket) = open(&"127.0.0.1:0".parse().unwrap());
    let address = socket.local().to_string();
    let server = admin.serve(telemetry).unwrap();
    let accepted = connect(&address);
    let mut kept = connect(&address);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    kept.write_all(request.as_bytes()).unwrap();
    assert!(kept.read(&mut [0; 1024]).unwrap() > 0, "both are accepted by now");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, server.leave()).await.unwrap() });
    assert_eq!(kept.read(&mut [0; 1024]).unwrap(), 0, "one that rests is closed");
    assert_eq!(exchange(accepted, &request).status, 200);
    // The kernel completes it, for whoever has the socket.
    let waits = connect(&address);
    waits.set_nonblocking(true).unwrap();
    (&waits).write_all(request.as_bytes()).unwrap();
    let Listener::Tcp(ours) = &socket.sockets()[0] else { panic!("it is TCP") };
    let (mut connection, _) = ours.accept().unwrap();
    connection.set_nonblocking(false).unwrap();
    let mut asked = vec![0; request.len()];
    connection.read_exact(&mut asked).unwrap();
    assert_eq!(asked, request.as_bytes(), "nobody took it before");
}

#[test]
fn the_status_has_what_the_page_shows() {
    let served = served();
    plant(&served.telemetry);
    let status = served.json("/status.json");
    assert_eq!(status["stage"], "ready");
    assert_eq!(status["results"].as_array().unwrap().len(), status["totals"].as_array().unwrap().len());
    assert_eq!(status["buckets"].as_array().unwrap().len(), 180);
    assert_eq!(status["certificates"][0]["days"], 8);
    assert_eq!(status["upstreams"][0]["resting"], "connection refused");
    assert_eq!(status["spins"].as_array().unwrap().len(), 1);
    let line = status["unclean"][0]["line"].as_str().unwrap();
    assert!(line.starts_with(status["unclean"][0]["result"].as_str().unwrap()), "{line}");
    let only = served.json("/status.json?result=request_truncated");
    assert!(only["unclean"].as_array().unwrap().iter().all(|entry| entry["result"] == "request_truncated"));
}

/// A session that was relayed.
pub(super) fn entry(number: u64) -> Entry {
    let mut entry = Entry::new(number, "web".into(), format!("192.0.2.{}:50123", number % 200));
    entry.phase = Phase::Relay;
    entry.upstream_name = Some("app".into());
    entry.upstream = Some("10.0.0.2:8080".into());
    entry.sni = Some("app.example.com".into());
    entry.ended_first = Some(crate::events::EndedFirst::Client);
    (entry.bytes_from_client, entry.bytes_from_upstream, entry.duration_ms) = (412, 6204, 41.5);
    entry
}

/// One that ended clean.
fn complete(number: u64) -> Entry {
    let mut entry = entry(number);
    entry.endings.client(ReceivedEnding::CloseNotify, SentEnding::CloseNotify);
    entry.endings.upstream(TcpEnding::Fin, TcpEnding::Fin);
    entry
}

/// One whose upstream reset the connection.
fn cut_answer(number: u64) -> Entry {
    let mut entry = entry(number);
    entry.endings.client(ReceivedEnding::CloseNotify, SentEnding::Aborted);
    entry.endings.upstream(TcpEnding::Reset, TcpEnding::Fin);
    entry
}

/// One whose client sent no TLS.
fn refused(number: u64) -> Entry {
    let mut entry = Entry::new(number, "web".into(), "198.51.100.9:4000".into());
    entry.handshake_failed(&closenotify::HandshakeError::NotTls { plain_http: true });
    entry
}

/// Half an hour of a proxy whose upstream failed for a while: for the pictures.
pub(super) fn plant_history(telemetry: &Telemetry) {
    for seconds in (10..1790).rev().step_by(2) {
        let ago = Duration::from_secs(seconds);
        // A day's hills, without chance.
        let hill = 3.0 + 2.0 * (seconds as f64 / 230.0).sin();
        for _ in 0..hill as u32 {
            telemetry.plant(complete(seconds), ago);
        }
        if (600..720).contains(&seconds) {
            telemetry.plant(cut_answer(seconds), ago);
        }
        if seconds % 66 == 1 {
            telemetry.plant(refused(seconds), ago);
        }
    }
}

/// A proxy that has seen a little of everything.
pub(super) fn plant(telemetry: &Telemetry) {
    telemetry.ready();
    let web = telemetry.listener("web");
    for number in 1..40 {
        telemetry.closed(&web, complete(number));
    }
    for number in 40..44 {
        telemetry.closed(&web, cut_answer(number));
    }
    let mut truncated = entry(44);
    let at = closenotify::TruncatedAt::Boundary;
    truncated.endings.client(ReceivedEnding::Truncated { at }, SentEnding::Aborted);
    truncated.endings.upstream(TcpEnding::Abandoned, TcpEnding::Reset);
    telemetry.closed(&web, truncated);
    telemetry.closed(&web, refused(45));
    let mut late = entry(46);
    late.stop = Some(crate::events::Stop::Deadline(closenotify::Deadline::Idle));
    let idle = closenotify::Deadline::Idle;
    late.endings.client(ReceivedEnding::TimedOut(idle), SentEnding::TimedOut(idle));
    late.endings.upstream(TcpEnding::TimedOut(idle), TcpEnding::TimedOut(idle));
    late.ended_first = Some(crate::events::EndedFirst::Proxy);
    telemetry.closed(&web, late);
    let addresses = [("10.0.0.1:8080", Some("connection refused")), ("10.0.0.2:8080", None)];
    let upstream = Arc::new(Slot::new(Upstream::planted("app", &addresses)));
    telemetry.watch_upstreams(vec![("app".into(), upstream)]);
    telemetry.tell(&Event::UpstreamFailing {
        upstream: "app".into(),
        address: "10.0.0.1:8080".into(),
        reason: "connection refused".into(),
    });
    telemetry.tell(&Event::Spin {
        session: 17,
        wasted: 10_000,
        within: Duration::from_millis(12),
        action: crate::config::SpinAction::End,
    });
    let expires = SystemTime::now() + Duration::from_secs(8 * 24 * 60 * 60 + 3600);
    telemetry.set_certificates("web", vec![("/etc/closenotify/certs/app.pem".into(), expires)]);
}

/// Planted live sessions for the page; they run until what is returned is dropped.
pub(super) fn plant_sessions(served: &Served) -> Vec<oneshot::Sender<()>> {
    let done = SessionEndings {
        client_received: Some(ReceivedEnding::CloseNotify.into()),
        upstream_sent: Some(TcpEnding::Fin.into()),
        ..SessionEndings::default()
    };
    let sample = |bytes_from_client, bytes_from_upstream, unsent, endings: &SessionEndings| Sample {
        bytes_from_client,
        bytes_from_upstream,
        unsent_to_client: Some(unsent),
        unsent_to_upstream: Some(0),
        endings: endings.clone(),
        polls: 40,
        wasted_polls: 1,
    };
    vec![
        answering(served, 47, sample(412, 5_320_110, 262_144, &done)),
        answering(served, 48, sample(90_412_000, 0, 0, &SessionEndings::default())),
        answering(served, 49, sample(1200, 64_000, 0, &SessionEndings::default())),
    ]
}

/// Long enough for any machine; never waited for in full by a test that passes.
const LIMIT: Duration = Duration::from_secs(20);
