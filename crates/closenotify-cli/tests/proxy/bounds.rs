//! What whoever connects can make the proxy hold: sessions, handshakes, memory, threads. Beyond each bound the others are
//! served, and afterwards nothing is left.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};
use testkit::certs::TlsVersion;
use testkit::peers::python;

use crate::harness::Proxy;
use crate::site::{Site, app, echo, listener, metric, status, until, web};
use crate::tls_client::TlsClient;

const ADMIN: &str = "admin.listen = '127.0.0.1:0'";

/// An upstream that answers nobody before its gate is open.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>, Arc<AtomicUsize>);

impl Gate {
    fn upstream(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gate = self.clone();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                gate.1.fetch_add(1, Ordering::Relaxed);
                let gate = gate.clone();
                thread::spawn(move || {
                    let (open, opened) = &*gate.0;
                    drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
                    std::io::copy(&mut &socket, &mut &socket)
                });
            }
        });
        address
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn accepted(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }
}

fn descriptors(proxy: &Proxy) -> usize {
    fs::read_dir(Path::new("/proc").join(proxy.id().to_string()).join("fd")).unwrap().count()
}

fn until_sessions(admin: &str, count: usize) {
    until(&format!("{count} sessions"), || (metric(admin, "closenotify_sessions") == count as f64).then_some(()));
}

#[test]
fn sessions_beyond_the_descriptor_limit_wait_and_are_served_when_others_are_over() {
    let gate = Gate::default();
    let site = Site::web(&format!("{ADMIN}\nprocess.workers = 2"), gate.upstream());
    // Most of it is kept for all else: some twenty sessions.
    let mut proxy = site.start_after("ulimit -n 220");
    let admin = proxy.admin();
    let open_files = descriptors(&proxy);
    let start = Instant::now();
    let (client, address) = (site.client(), proxy.address);
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.ask(address).map(drop))
        })
        .collect();
    let limit = proxy.event("limit_reached", 1);
    assert_eq!((&limit["limit"], &limit["action"]), (&"sessions".into(), &"wait".into()), "{limit}");
    let most = usize::try_from(limit["value"].as_u64().unwrap()).unwrap();
    assert!((10..40).contains(&most), "{limit}");
    until("full proxy", || (gate.accepted() == most).then_some(()));
    until_sessions(&admin, most);
    gate.open();
    for client in clients {
        client.join().unwrap().unwrap();
    }
    until_sessions(&admin, 0);
    until("closed descriptors", || (descriptors(&proxy) <= open_files + 1).then_some(()));
    let lines = proxy.stop().lines;
    let said = lines.iter().filter(|line| line.contains("\"limit_reached\"")).count() as u64;
    assert!(said <= 1 + start.elapsed().as_secs(), "{said} lines in {:?}", start.elapsed());
    assert!(!lines.iter().any(|line| line.contains("accept_failed")), "{lines:#?}");
}

#[test]
fn connections_that_wait_for_a_place_at_the_order_to_drain_are_served_as_places_get_free() {
    let gate = Gate::default();
    let site = Site::web("process = { workers = 2, drain = '1h' }", gate.upstream());
    // Some twenty sessions.
    let mut proxy = site.start_after("ulimit -n 154");
    // All of them have connected before the order, and they are more than the descriptors that are kept for all else.
    let sockets: Vec<_> = (0..200).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    let clients: Vec<_> = sockets
        .into_iter()
        .map(|socket| {
            let authority = Arc::clone(&site.authority);
            thread::spawn(move || {
                let mut client = TlsClient::of(socket, &authority, TlsVersion::V13);
                client.send(b"hello");
                let end = client.close_notify();
                client.write(&end);
                client.read_to_end()
            })
        })
        .collect();
    let limit = proxy.event("limit_reached", 1);
    let most = usize::try_from(limit["value"].as_u64().unwrap()).unwrap();
    assert!((10..40).contains(&most), "{limit}");
    until("full proxy", || (gate.accepted() == most).then_some(()));
    proxy.terminate();
    proxy.wait_until_draining();
    assert_eq!(gate.accepted(), most, "nobody gets a place that is not free");
    gate.open();
    for client in clients {
        assert_eq!(client.join().unwrap(), (b"hello".to_vec(), vec!["close_notify", "fin"]));
    }
    let stopped = proxy.wait();
    assert_eq!((stopped.code, stopped.drained().1), (Some(0), 0), "{stopped:?}");
    assert!(!stopped.lines.iter().any(|line| line.contains("accept_failed")), "{stopped:?}");
    let complete = stopped.lines.iter().filter(|line| line.contains("\"result\":\"complete\"")).count();
    assert_eq!(complete, 200, "{stopped:?}");
}

#[test]
fn connections_beyond_the_limit_are_reset_at_once_where_the_settings_say_so() {
    let site = Site::web(&format!("{ADMIN}\nlimits = {{ sessions = 2, when_full = 'refuse' }}"), echo());
    let mut proxy = site.start();
    let admin = proxy.admin();
    let kept: Vec<_> = (0..2).map(|_| TlsClient::connect(&proxy, TlsVersion::V13)).collect();
    let refused = site.client().ask(proxy.address).unwrap_err();
    assert!(refused.contains("reset") || refused.contains("Broken pipe"), "{refused}");
    assert_eq!(proxy.event("limit_reached", 1)["action"], "refuse");
    drop(kept);
    until_sessions(&admin, 0);
    site.client().ask(proxy.address).unwrap();
    proxy.stop();
}

#[test]
fn address_with_too_many_sessions_is_refused_and_others_are_not() {
    let site = Site::web(&format!("{ADMIN}\nlimits.sessions_per_address = 2"), echo());
    let mut proxy = site.start();
    let kept: Vec<_> = (0..2).map(|_| TlsClient::connect(&proxy, TlsVersion::V13)).collect();
    site.client().ask(proxy.address).unwrap_err();
    let refused = proxy.session(3);
    assert_eq!(refused.handshake, "sessions_per_address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    let other = TlsClient::of(socket.into(), &site.authority, TlsVersion::V13);
    drop((kept, other));
    let admin = proxy.admin();
    until_sessions(&admin, 0);
    site.client().ask(proxy.address).unwrap();
    proxy.stop();
}

#[test]
fn handshakes_beyond_the_rate_wait_their_turn_or_are_reset() {
    for wait in [true, false] {
        let when_full = if wait { "wait" } else { "refuse" };
        let limits = format!("limits = {{ handshakes_per_second = 8, when_full = '{when_full}' }}");
        let site = Site::web(&limits, echo());
        let mut proxy = site.start();
        let (client, address) = (site.client(), proxy.address);
        // All of them at once: more than a second has.
        let asking: Vec<_> = (0..24)
            .map(|_| {
                let client = client.clone();
                thread::spawn(move || client.ask(address).is_ok())
            })
            .collect();
        let answered = asking.into_iter().map(|client| usize::from(client.join().unwrap())).sum::<usize>();
        let event = proxy.event("limit_reached", 1);
        assert_eq!((&event["limit"], &event["value"]), (&"handshakes_per_second".into(), &8.into()), "{event}");
        if wait {
            assert_eq!(answered, 24);
        } else {
            assert!((8..24).contains(&answered), "{answered}");
        }
        proxy.stop();
    }
}

/// Connections that a process of their own holds, until it is dropped.
struct Held(Child);

impl Held {
    /// Each begins as `begin` says, in Python, with `s` as its socket.
    fn connections(count: usize, proxy: &Proxy, begin: &str) -> Self {
        let script = format!(
            "import resource, socket, ssl, sys\n\
             hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n\
             resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))\n\
             context = ssl._create_unverified_context()\n\
             held = []\n\
             for _ in range({count}):\n\
             \x20   s = socket.socket()\n\
             \x20   s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)\n\
             \x20   s.connect(('127.0.0.1', {}))\n\
             \x20   {begin}\n\
             \x20   held.append(s)\n\
             print('held', flush=True)\n\
             sys.stdin.read()\n",
            proxy.address.port()
        );
        let mut child =
            Command::new(python()).args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In KiB.
fn memory(proxy: &Proxy) -> u64 {
    status(proxy.id(), "VmRSS")
}

#[test]
fn five_thousand_half_open_handshakes_cost_little_and_delay_nobody() {
    let settings = web(ADMIN, echo()).replace("certificates", "timeouts.handshake = '1h'\ncertificates");
    let site = Site::new(&settings);
    let mut proxy = site.start();
    let admin = proxy.admin();
    (0..10).for_each(|_| drop(site.client().ask(proxy.address).unwrap()));
    until_sessions(&admin, 0);
    let (before, open_files) = (memory(&proxy), descriptors(&proxy));
    let mut peaks = Vec::new();
    for _ in 0..3 {
        // The head of a record with the head of a hello, and no more.
        let held = Held::connections(5000, &proxy, r"s.send(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')");
        until_sessions(&admin, 5000);
        (0..20).for_each(|_| drop(site.client().ask(proxy.address).unwrap()));
        peaks.push(memory(&proxy));
        drop(held);
        until_sessions(&admin, 0);
    }
    until("closed descriptors", || (descriptors(&proxy) <= open_files + 1).then_some(()));
    let after = memory(&proxy);
    println!("KiB before {before}, with 5000 handshakes {peaks:?}, after {after}");
    assert!((peaks[0] - before) * 1024 / 5000 <= 51 * 1024, "a handshake costs more than 51 KiB: {before} {peaks:?}");
    assert!(peaks[2] <= peaks[0] + peaks[0] / 5, "what a round took is used by the next one: {before} {peaks:?}");
    proxy.stop();
}

/// An upstream that sends to everybody until nobody takes any more; counts those that are stuck.
fn flooding_upstream(stuck: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stuck = Arc::clone(stuck);
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let stuck = Arc::clone(&stuck);
            let flood = move || {
                SockRef::from(&socket).set_send_buffer_size(16 * 1024).unwrap();
                socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
                while socket.write(&[7; 16 * 1024]).is_ok() {}
                stuck.fetch_add(1, Ordering::Relaxed);
                // Until the session is over.
                let _ = socket.read(&mut [0; 1]);
            };
            thread::Builder::new().stack_size(64 * 1024).spawn(flood).unwrap();
        }
    });
    address
}

/// HAProxy's figure is 51 KB.
#[test]
fn session_whose_client_stopped_reading_costs_no_more_than_51_kb() {
    const SESSIONS: usize = 500;
    let stuck = Arc::new(AtomicUsize::new(0));
    let site = Site::web(ADMIN, flooding_upstream(&stuck));
    let mut proxy = site.start();
    let admin = proxy.admin();
    let warm = Held::connections(20, &proxy, "s = context.wrap_socket(s)");
    until("stuck sessions", || (stuck.load(Ordering::Relaxed) == 20).then_some(()));
    let before = memory(&proxy);
    let held = Held::connections(SESSIONS, &proxy, "s = context.wrap_socket(s)");
    until("stuck sessions", || (stuck.load(Ordering::Relaxed) == SESSIONS + 20).then_some(()));
    let each = (memory(&proxy) - before) * 1024 / SESSIONS as u64;
    println!("a stuck session costs {each} bytes of user memory");
    assert!(each <= 51_000, "{each} bytes");
    drop((warm, held));
    until_sessions(&admin, 0);
    proxy.stop();
}

/// Only root can have a resolver of its own.
#[test]
fn silent_resolver_costs_few_threads_and_delays_no_order() {
    let Ok(silent) = UdpSocket::bind("127.99.0.53:53") else { return };
    let settings = listener("web", "127.0.0.1:0").replace("certificates", "timeouts.connect = '1h'\ncertificates")
        + &app(([127, 0, 0, 1], 1).into()).replace("127.0.0.1:1", "app.silent.example:80");
    let site = Site::new(&format!("{ADMIN}\nprocess.drain = '1h'\n{settings}"));
    // Longer than the test, if somebody waited for it.
    site.write("resolv.conf", "nameserver 127.99.0.53\noptions timeout:30 attempts:5\n");
    let script = format!("mount --bind {} /etc/resolv.conf", site.path("resolv.conf").display());
    let Some(mut proxy) = site.start_unshared(&script) else { return };
    let admin = proxy.admin();
    let idle = status(proxy.id(), "Threads");
    let mut clients: Vec<_> = (0..600).map(|_| TlsClient::connect(&proxy, TlsVersion::V13)).collect();
    until_sessions(&admin, 600);
    let threads = status(proxy.id(), "Threads");
    assert!(threads <= idle + 8, "{idle} threads, with 600 sessions that wait {threads}");
    proxy.terminate();
    proxy.wait_until_draining();
    proxy.terminate();
    for client in &mut clients {
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["rst"]));
    }
    let stopped = proxy.wait();
    assert_eq!((stopped.code, stopped.drained()), (Some(5), (0, 600)));
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 512]).is_ok(), "it was asked");
}
