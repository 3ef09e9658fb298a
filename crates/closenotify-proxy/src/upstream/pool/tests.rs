//! Choice, retries, rests, the header and TLS, over a network that is made up.

use std::io;

use closenotify::TlsAcceptor;
use rustix::io::Errno;
use testkit::certs::{Authority, TlsVersion};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::advance;

use super::super::fake::{Answer, Fake, Seen};
use super::*;
use crate::config::UpstreamTls;

const S: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
const A: &str = "192.0.2.1:1";
const B: &str = "192.0.2.2:1";
const C: &str = "unix:/c.sock";
const REFUSED: Answer = Answer::Fails(io::ErrorKind::ConnectionRefused);

struct Setup {
    fake: Fake,
    seen: Arc<Seen>,
    upstream: Upstream,
}

fn settings(addresses: &[&str], balance: Balance) -> UpstreamSettings {
    UpstreamSettings {
        name: "app".into(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        balance,
        tls: None::<UpstreamTls>,
        send_proxy_protocol: None,
    }
}

fn setup(addresses: &[&str], balance: Balance) -> Setup {
    setup_with(addresses, balance, None)
}

fn setup_with(addresses: &[&str], balance: Balance, tls: Option<(TlsConnector, ServerName<'static>)>) -> Setup {
    let none = |_: &str| panic!("no name is configured");
    setup_resolving(&settings(addresses, balance), tls, none)
}

fn setup_resolving(
    settings: &UpstreamSettings,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
) -> Setup {
    let (fake, seen) = (Fake::default(), Arc::new(Seen::default()));
    let observer = Arc::clone(&seen) as Arc<dyn Observer>;
    let resolver = Resolver::new(resolve, Arc::clone(&observer));
    let network = Network { resolver, dial: Arc::new(fake.clone()), observer };
    let upstream = Upstream::new(settings, tls, &network);
    Setup { fake, seen, upstream }
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

impl Setup {
    async fn connect(&self) -> Connected {
        self.upstream.connect(TIMEOUT, None).await.unwrap()
    }

    async fn fails(&self) -> ConnectError {
        self.upstream.connect(TIMEOUT, None).await.unwrap_err()
    }

    /// The addresses that sessions get one after the other, each over before the next.
    async fn served(&self, count: usize) -> Vec<String> {
        let mut served = Vec::new();
        for _ in 0..count {
            served.push(self.connect().await.address);
        }
        served
    }
}

#[tokio::test(start_paused = true)]
async fn round_robin_takes_one_after_the_other() {
    let setup = setup(&[A, B, C], Balance::RoundRobin);
    assert_eq!(setup.served(5).await, [A, B, C, A, B]);
}

#[tokio::test(start_paused = true)]
async fn least_sessions_takes_the_one_with_the_fewest_and_turns_among_equals() {
    let setup = setup(&[A, B, C], Balance::LeastSessions);
    let held = [setup.connect().await, setup.connect().await, setup.connect().await];
    let addresses: Vec<_> = held.iter().map(|connected| connected.address.clone()).collect();
    assert_eq!(addresses, [A, B, C]);
    let [a, b, c] = held;
    drop(b);
    assert_eq!(setup.served(3).await, [B, B, B]);
    drop((a, c));
    let served = setup.served(3).await;
    assert!([A, B, C].iter().all(|address| served.iter().any(|served| served == address)), "{served:?}");
    assert!(setup.upstream.health().iter().all(|address| address.sessions == 0));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_costs_one_session_a_retry_and_then_rests() {
    let setup = setup(&[A, B], Balance::RoundRobin);
    setup.fake.set(A, REFUSED);
    let connected = setup.connect().await;
    assert_eq!((connected.address.as_str(), connected.attempts), (B, 2));
    assert_eq!(
        setup.seen.take(),
        [
            "app 192.0.2.1:1 failed_connection_refused",
            "app 192.0.2.1:1 rests 1s after failed_connection_refused",
            "app 192.0.2.2:1 reached",
        ]
    );
    setup.fake.dialed();
    assert_eq!(setup.served(4).await, [B, B, B, B]);
    assert_eq!(setup.fake.dialed(), [B, B, B, B]);

    advance(S).await;
    setup.fake.set(A, Answer::After(Duration::ZERO));
    setup.seen.take();
    let served = setup.served(4).await;
    assert_eq!(served.iter().filter(|address| *address == A).count(), 2, "{served:?}");
    assert!(setup.seen.take().contains(&"app 192.0.2.1:1 recovered".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn of_addresses_that_all_rest_the_one_that_rests_least_longer_is_tried() {
    let setup = setup(&[A, B], Balance::RoundRobin);
    setup.fake.set(A, REFUSED);
    setup.fake.set(B, Answer::FailsAfter(S / 2, io::ErrorKind::HostUnreachable));
    let error = setup.fails().await;
    assert_eq!(
        error.to_string(),
        "cannot reach the upstream app: 192.0.2.1:1: connection refused; nothing listens there; \
         192.0.2.2:1: host unreachable"
    );
    assert_eq!(error.word(), "failed_host_unreachable");
    // A rests for half a second more, B for one.
    setup.fake.dialed();
    assert_eq!(setup.fails().await.attempts().len(), 1);
    assert_eq!(setup.fake.dialed(), [A]);
    setup.fake.set(A, Answer::After(Duration::ZERO));
    assert_eq!(setup.served(3).await, [A, A, A]);
}

#[tokio::test(start_paused = true)]
async fn a_single_address_is_tried_however_often_it_failed() {
    let setup = setup(&[A], Balance::LeastSessions);
    setup.fake.set(A, REFUSED);
    for _ in 0..20 {
        assert_eq!(setup.fails().await.word(), "failed_connection_refused");
    }
    assert_eq!(setup.seen.take().iter().filter(|line| line.contains("rests")).count(), 1, "one rest, reported once");
    setup.fake.set(A, Answer::After(Duration::ZERO));
    assert_eq!(setup.served(1).await, [A]);
}

#[tokio::test(start_paused = true)]
async fn each_address_has_its_own_bound() {
    let setup = setup(&[A, C], Balance::RoundRobin);
    setup.fake.set(A, Answer::Never);
    setup.fake.set(C, Answer::Never);
    let started = Instant::now();
    let error = setup.fails().await;
    assert_eq!(started.elapsed(), 2 * TIMEOUT);
    let reasons: Vec<_> = error.attempts().iter().map(|attempt| (attempt.word(), attempt.reason())).collect();
    assert_eq!(reasons, [("failed_timed_out", "no connection within 5s"); 2]);
    assert_eq!(setup.fake.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_session_drops_its_attempt_and_changes_no_health() {
    let setup = setup(&[A], Balance::RoundRobin);
    setup.fake.set(A, Answer::Never);
    assert!(tokio::time::timeout(S, setup.upstream.connect(TIMEOUT, None)).await.is_err());
    assert_eq!(setup.fake.open(), 0);
    let [health] = &setup.upstream.health()[..] else { panic!() };
    assert_eq!((health.sessions, health.failures, health.resting), (0, 0, None));
    assert_eq!(setup.seen.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_shortage_of_descriptors_rests_no_address_and_tries_no_other() {
    let setup = setup(&[A, B], Balance::RoundRobin);
    setup.fake.set(A, Answer::FailsBy(Errno::MFILE));
    let error = setup.fails().await;
    assert_eq!(error.attempts().len(), 1);
    assert!(error.to_string().contains("too many open files in the proxy"), "{error}");
    assert!(setup.upstream.health().iter().all(|address| address.resting.is_none()));
}

#[tokio::test(start_paused = true)]
async fn addresses_that_stay_over_a_reload_keep_their_health_and_sessions() {
    let setup = setup(&[A, B, B], Balance::RoundRobin);
    assert_eq!(setup.upstream.health().len(), 2, "listed twice, counted once");
    setup.fake.set(A, REFUSED);
    let held = setup.connect().await;
    let reloaded = setup.upstream.reconfigured(&settings(&[C, B, A], Balance::LeastSessions), None);
    let health: Vec<_> =
        reloaded.health().into_iter().map(|health| (health.address, health.sessions, health.failures)).collect();
    assert_eq!(health, [(C.into(), 0, 0), (B.into(), 1, 0), (A.into(), 0, 1)]);
    assert_eq!(reloaded.connect(TIMEOUT, None).await.unwrap().address, C);
    drop(held);
    assert!(reloaded.health().iter().all(|health| health.sessions == 0));
    assert_eq!(setup.upstream.health()[1].sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn the_longest_timeout_is_no_panic() {
    let setup = setup(&[A], Balance::RoundRobin);
    assert!(setup.upstream.connect(Duration::MAX, None).await.is_ok());
}

/// docs/cases.md D02
#[tokio::test]
async fn the_header_comes_first() {
    let setup = setup(&[A], Balance::RoundRobin);
    let connected = setup.upstream.connect(TIMEOUT, Some(b"PROXY UNKNOWN\r\n")).await.unwrap();
    let mut peer = setup.fake.peer();
    drop(connected);
    let mut received = String::new();
    peer.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "PROXY UNKNOWN\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_not_taken_meets_the_bound() {
    let setup = setup(&[A], Balance::RoundRobin);
    let huge = vec![0; 64 << 20];
    let error = setup.upstream.connect(TIMEOUT, Some(&huge)).await.unwrap_err();
    assert_eq!(error.attempts()[0].reason(), "the PROXY protocol header was not taken within 5s");
}

#[tokio::test]
async fn a_name_is_reached_at_one_of_its_addresses() {
    let setup = setup_resolving(&settings(&["app.internal:1"], Balance::RoundRobin), None, |name| {
        assert_eq!(name, "app.internal");
        Ok(ips(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]))
    });
    setup.fake.set(A, REFUSED);
    let connected = setup.connect().await;
    assert_eq!((connected.address.as_str(), connected.attempts), ("[2001:db8::1]:1", 1));
    setup.fake.set("[2001:db8::1]:1", REFUSED);
    setup.fake.set(B, REFUSED);
    let error = setup.fails().await.to_string();
    assert!(error.contains("app.internal:1: connection refused; nothing listens there (192.0.2.1:1), "), "{error}");
    assert!(error.contains("([2001:db8::1]:1), ") && error.contains("(192.0.2.2:1)"), "{error}");
}

#[tokio::test]
async fn a_name_that_is_not_resolved_says_so_and_the_next_address_is_tried() {
    let unresolved = |_: &str| Err(io::Error::other("name or service not known"));
    let setup = setup_resolving(&settings(&["app.internal:1", B], Balance::RoundRobin), None, unresolved);
    assert_eq!(setup.connect().await.address, B);
    assert_eq!(
        setup.seen.take()[..2],
        ["app.internal: name or service not known", "app app.internal:1 failed_not_found"]
    );
    let setup = setup_resolving(&settings(&["app.internal:1"], Balance::RoundRobin), None, unresolved);
    let reason = "app.internal:1: the name is not resolved: name or service not known";
    assert_eq!(setup.fails().await.to_string(), format!("cannot reach the upstream app: {reason}"));
}

#[tokio::test]
async fn names_can_be_looked_up_before_the_first_session() {
    let unresolved = |_: &str| Err(io::Error::other("name or service not known"));
    let setup = setup_resolving(&settings(&["app.internal:1", A], Balance::RoundRobin), None, unresolved);
    setup.upstream.begin_lookups();
    setup.upstream.network.resolver.host("app.internal").ended().await;
    assert_eq!(setup.seen.take(), ["app.internal: name or service not known"]);
}

/// A resolver that answers what it is sent, and otherwise waits.
fn resolver_that_waits()
-> (std::sync::mpsc::Sender<Vec<IpAddr>>, impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync) {
    let (answers, to_give) = std::sync::mpsc::channel();
    let to_give = std::sync::Mutex::new(to_give);
    (answers, move |_: &str| to_give.lock().unwrap().recv().map_err(|_| io::Error::other("the test is over")))
}

#[tokio::test(start_paused = true)]
async fn a_silent_resolver_meets_the_bound() {
    let (_answers, resolve) = resolver_that_waits();
    let setup = setup_resolving(&settings(&["app.internal:1"], Balance::RoundRobin), None, resolve);
    let started = Instant::now();
    let error = setup.fails().await;
    assert_eq!((started.elapsed(), error.word()), (TIMEOUT, "failed_timed_out"));
    assert_eq!(error.attempts()[0].reason(), "the name was not resolved within 5s; check the resolver");
}

#[tokio::test]
async fn servers_that_moved_are_found_by_the_session_that_misses_them() {
    let (answers, resolve) = resolver_that_waits();
    let setup = setup_resolving(&settings(&["app.internal:1"], Balance::RoundRobin), None, resolve);
    let host = setup.upstream.network.resolver.host("app.internal");
    answers.send(ips(&["192.0.2.1"])).unwrap();
    assert_eq!(setup.connect().await.address, A);

    host.age(Duration::from_secs(60));
    setup.fake.set(A, Answer::RefusedWhenTold);
    let moved = async {
        // The session has the old answer, and has begun the lookup for the newer one.
        while setup.fake.open() == 0 {
            tokio::task::yield_now().await;
        }
        answers.send(ips(&["192.0.2.2"])).unwrap();
        host.ended().await;
        setup.fake.refuse_now();
    };
    let (connected, ()) = tokio::join!(setup.connect(), moved);
    assert_eq!((connected.address.as_str(), connected.attempts), (B, 1));
}

#[tokio::test(start_paused = true)]
async fn a_newer_answer_is_not_waited_for_long() {
    let (answers, resolve) = resolver_that_waits();
    let setup = setup_resolving(&settings(&["app.internal:1"], Balance::RoundRobin), None, resolve);
    answers.send(ips(&["192.0.2.1"])).unwrap();
    setup.upstream.network.resolver.host("app.internal").lookup().await.unwrap();
    advance(Duration::from_secs(60)).await;
    setup.fake.set(A, REFUSED);
    let started = Instant::now();
    assert_eq!(setup.fails().await.word(), "failed_connection_refused");
    assert_eq!(started.elapsed(), NEWER_ANSWER_WAIT);
}

#[test]
fn counts_are_right_over_threads() {
    let setup = Arc::new(setup(&[A, B, C], Balance::LeastSessions));
    setup.fake.set(B, REFUSED);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let setup = Arc::clone(&setup);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    for _ in 0..50 {
                        drop(setup.connect().await);
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let health = setup.upstream.health();
    assert!(health.iter().all(|address| address.sessions == 0), "{health:?}");
    assert_eq!(setup.seen.take().iter().filter(|line| line.ends_with("reached")).count(), 200);
}

#[tokio::test]
async fn real_sockets_reset_on_close_and_their_errors_are_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let network = Network::system(Arc::new(Seen::default()));
    let upstream = Upstream::new(&settings(&[&address], Balance::RoundRobin), None, &network);
    let connected = upstream.connect(TIMEOUT, None).await.unwrap();
    assert_eq!(connected.address, address);
    let UpstreamStream::Plain(socket) = &connected.stream else { panic!() };
    assert_eq!(socket2::SockRef::from(socket).linger().unwrap(), Some(Duration::ZERO));

    // Bound, so that no other socket takes its port, but not listening.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = bound.local_addr().unwrap().to_string();
    let upstream = Upstream::new(&settings(&[&address], Balance::RoundRobin), None, &network);
    let error = upstream.connect(TIMEOUT, None).await.unwrap_err();
    assert_eq!(error.word(), "failed_connection_refused");

    let upstream = Upstream::new(&settings(&["unix:/nonexistent/a.sock"], Balance::RoundRobin), None, &network);
    let error = upstream.connect(TIMEOUT, None).await.unwrap_err();
    assert_eq!(error.word(), "failed_not_found");
    assert!(error.to_string().contains("unix:/nonexistent/a.sock: no such file"), "{error}");
}

fn tls(authority: &Authority) -> Option<(TlsConnector, ServerName<'static>)> {
    Some((TlsConnector::from(authority.client_config(TlsVersion::Both)), "localhost".try_into().unwrap()))
}

/// Connects to a server that does `serve` with its end of the connection.
async fn with_server<F: Future<Output = ()>>(
    setup: &Setup,
    header: Option<&[u8]>,
    serve: impl FnOnce(UnixStream) -> F,
) -> Result<Connected, ConnectError> {
    let mut connecting = std::pin::pin!(setup.upstream.connect(TIMEOUT, header));
    // The first poll opens the connection.
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(connecting.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    tokio::join!(connecting, serve(setup.fake.peer())).0
}

#[tokio::test]
async fn tls_follows_the_header() {
    let authority = Authority::new();
    let setup = setup_with(&[A], Balance::RoundRobin, tls(&authority));
    let acceptor = TlsAcceptor::from(authority.server_config(TlsVersion::Both));
    let connected = with_server(&setup, Some(b"PROXY UNKNOWN\r\n"), async |mut peer| {
        let mut header = [0; 15];
        peer.read_exact(&mut header).await.unwrap();
        assert_eq!(&header, b"PROXY UNKNOWN\r\n");
        let server = acceptor.accept(peer).await.unwrap();
        assert_eq!(server.facts().server_name(), Some("localhost"));
    })
    .await
    .unwrap();
    assert!(matches!(connected.stream, UpstreamStream::Tls(_)));
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_named_and_rests_the_address() {
    let authority = Authority::new();
    let setup = setup_with(&[A], Balance::RoundRobin, tls(&authority));
    for (leaf, expected) in [
        (authority.issue_expired(&["localhost"]), "expired"),
        (authority.issue(&["elsewhere.example"]), "elsewhere.example"),
        (Authority::new().issue(&["localhost"]), "bad signature"),
    ] {
        let acceptor = TlsAcceptor::from(authority.server_config_with(TlsVersion::Both, &leaf));
        let error = with_server(&setup, None, async |peer| {
            let refused = acceptor.accept(peer).await.unwrap_err().to_string();
            assert!(refused.contains("alert"), "the server gets the alert: {refused}");
        })
        .await
        .unwrap_err();
        assert_eq!(error.word(), "tls_refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(setup.upstream.health()[0].resting.is_some());
}

#[tokio::test]
async fn an_alert_and_an_end_of_the_upstream_have_their_words() {
    let authority = Authority::new();
    let setup = setup_with(&[A], Balance::RoundRobin, tls(&authority));
    // Closed over a ClientHello that it never read.
    let error = with_server(&setup, None, async |peer| drop(peer)).await.unwrap_err();
    assert_eq!(error.word(), "failed_connection_reset");
    let error = with_server(&setup, None, async |mut peer| {
        let _hello = peer.read(&mut [0; 4096]).await.unwrap();
    })
    .await
    .unwrap_err();
    assert_eq!(error.word(), "tls_truncated_boundary");
    let error = with_server(&setup, None, async |mut peer| {
        let _hello = peer.read(&mut [0; 4096]).await.unwrap();
        peer.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
    })
    .await
    .unwrap_err();
    assert_eq!(error.word(), "tls_alert_handshake_failure");
}

#[tokio::test]
async fn our_alert_is_not_destroyed_by_a_reset() {
    let authority = Authority::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let network = Network::system(Arc::new(Seen::default()));
    let upstream = Upstream::new(&settings(&[&address], Balance::RoundRobin), tls(&authority), &network);
    let plain_http = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        let _hello = peer.read(&mut [0; 4096]).await.unwrap();
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut received = Vec::new();
        peer.read_to_end(&mut received).await.map(|_| received)
    };
    let (connected, received) = tokio::join!(upstream.connect(TIMEOUT, None), plain_http);
    assert!(connected.unwrap_err().word().starts_with("tls_not_tls"));
    let received = received.unwrap();
    assert_eq!(received.first(), Some(&21), "an alert, then FIN: {received:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_tls_upstream_meets_the_bound() {
    let authority = Authority::new();
    let setup = setup_with(&[A], Balance::RoundRobin, tls(&authority));
    let started = Instant::now();
    let error = setup.fails().await;
    assert_eq!(started.elapsed(), TIMEOUT);
    assert_eq!(
        (error.word(), error.attempts()[0].reason()),
        ("failed_timed_out", "the TLS handshake was not complete within 5s")
    );
}
