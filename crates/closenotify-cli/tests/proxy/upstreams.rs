//! Upstreams that cannot be reached, come back, or die: which address a session goes to, what it loses (nothing that had
//! arrived), and what the lines say.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use testkit::certs::TlsVersion;

use crate::bench::{Bench, Line, Served, sink};
use crate::far::{Far, Kind, Listening};
use crate::harness::LIMIT;
use crate::tls_client::TlsClient;

const TLS: Kind = Kind { tls: true, ..Kind::PLAIN };

/// A proxy in front of these addresses, with more settings of its listener and of its upstream.
fn serve(bench: Bench, addresses: &[&str], listener: &str, upstream: &str) -> Served {
    bench.serve(&format!(
        "[[listener]]
         name = 'web'
         listen = '127.0.0.1:0'
         certificates = 'web.pem'
         route = [{{ upstream = 'app' }}]
         {listener}
         [upstream.app]
         addresses = {addresses:?}
         {upstream}"
    ))
}

fn listening(kind: Kind, bench: &Bench) -> Listening {
    Listening::new(kind, bench.path("").as_path(), bench.authority.server_config(TlsVersion::Both))
}

/// An address at which nothing listens.
fn refusing() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A listener whose queue is full: whoever connects gets no answer.
struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(one);
            assert!(queued.len() < 100, "its queue has no end");
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

/// A session that comes to its end without an upstream: what the client gets, and the line.
fn refused(served: &mut Served, number: u64) -> Line {
    let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
    assert_eq!(client.read_to_end(), (vec![], vec!["rst"]), "no close_notify");
    let line = served.session(number);
    let endings = line.endings();
    assert_eq!((endings[0], endings[1], endings[3]), ("abandoned", "aborted", "-"), "{line}");
    assert_eq!((line.text("phase"), line.text("ended_first")), ("connect", "upstream"), "{line}");
    line
}

/// `hello` to the upstream and its end back, and the client's after it.
fn complete(client: &mut TlsClient, upstream: &mut Far) {
    assert_eq!(upstream.read(5), b"hello");
    upstream.end();
    assert_eq!(client.read_to_end(), (vec![], vec!["close_notify", "fin"]));
    let end = client.close_notify();
    client.write(&end);
    client.fin();
}

#[test]
fn the_next_address_is_tried_and_what_the_client_sent_meanwhile_goes_there() {
    for kind in [Kind::PLAIN, TLS, Kind { unix: true, ..Kind::PLAIN }] {
        let bench = Bench::new();
        let good = listening(kind, &bench);
        let down = refusing();
        let tls = if kind.tls { "tls = { name = 'localhost', ca = 'ca.pem' }" } else { "" };
        let mut served = serve(bench, &[&down, &good.address], "", tls);
        for (number, attempts) in [(1, 2), (2, 1)] {
            let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
            client.send(b"hello");
            let mut upstream = good.accept();
            complete(&mut client, &mut upstream);
            drop((client, upstream));
            let line = served.session(number);
            assert_eq!((line.text("result"), line.text("upstream")), ("complete", &*good.address), "{line}");
            // The one that failed rests, and the next session does not try it.
            assert_eq!(line.number("attempts"), attempts, "{line}");
        }
        let failing = served.event("upstream_failing", |line| line["address"] == *down);
        failing.says(&["connection refused"]);
        served.stop();
    }
}

#[test]
fn a_client_hello_that_is_passed_through_survives_the_retry() {
    let bench = Bench::new();
    let good = listening(TLS, &bench);
    let config = bench.authority.client_config(TlsVersion::V13);
    let settings = format!(
        "[[listener]]
         name = 'web'
         listen = '127.0.0.1:0'
         route = [{{ passthrough = 'raw' }}]
         [upstream.raw]
         addresses = ['{}', '{}']",
        refusing(),
        good.address
    );
    let mut served = bench.serve(&settings);
    let address = served.proxy.address;
    thread::scope(|scope| {
        let client = scope.spawn(move || {
            let mut client = TlsClient::connect_to(address, config, address.ip().into());
            client.send(b"hello");
            assert_eq!(client.read_to_end(), (vec![], vec!["close_notify", "fin"]));
        });
        let mut upstream = good.accept();
        assert_eq!(upstream.read(5), b"hello");
        upstream.end();
        client.join().unwrap();
    });
    let line = served.session(1);
    assert_eq!((line.text("upstream"), line.number("attempts")), (&*good.address, 2), "{line}");
    served.stop();
}

#[test]
fn an_address_without_an_answer_is_left_for_the_next_one_in_time() {
    let hole = BlackHole::new();
    let bench = Bench::new();
    let good = listening(Kind::PLAIN, &bench);
    let timeouts = "timeouts = { connect = '500ms' }";
    let mut served = serve(bench, &[&hole.address.to_string(), &good.address], timeouts, "");
    let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
    client.send(b"hello");
    complete(&mut client, &mut good.accept());
    drop(client);
    let line = served.session(1);
    assert_eq!((line.text("result"), line.number("attempts")), ("complete", 2), "{line}");
    served.event("upstream_failing", |_| true).says(&["no connection within 500ms"]);
    served.stop();

    let mut served = serve(Bench::new(), &[&hole.address.to_string()], timeouts, "");
    let line = refused(&mut served, 1);
    assert_eq!((line.text("result"), line.text("upstream_received")), ("timed_out", "failed_timed_out"), "{line}");
    line.says(&[&hole.address.to_string(), "no connection within 500ms"]);
    served.stop();
}

#[test]
fn an_upstream_that_dies_in_its_handshake_is_left_for_the_next_one() {
    let bench = Bench::new();
    let good = listening(TLS, &bench);
    let dying = listening(Kind::PLAIN, &bench);
    let upstream = "tls = { name = 'localhost', ca = 'ca.pem' }";
    let mut served = serve(bench, &[&dying.address, &good.address], "", upstream);
    let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
    client.send(b"hello");
    drop(dying.accept());
    complete(&mut client, &mut good.accept());
    drop(client);
    let line = served.session(1);
    assert_eq!((line.text("result"), line.number("attempts")), ("complete", 2), "{line}");
    served.stop();
}

#[test]
fn an_upstream_with_the_wrong_certificate_gets_nothing_and_the_line_says_why() {
    for (name, own_ca, why) in [("other.test", true, "other.test"), ("localhost", false, "invalid peer certificate")] {
        let bench = Bench::new();
        let far = listening(Kind::PLAIN, &bench);
        let config = bench.authority.server_config(TlsVersion::Both);
        if !own_ca {
            bench.write("ca.pem", Bench::new().authority.cert_pem());
        }
        let settings = format!("tls = {{ name = '{name}', ca = 'ca.pem' }}");
        let mut served = serve(bench, &[&far.address], "", &settings);
        let server = thread::spawn(move || {
            let mut tls = rustls::ServerConnection::new(config).unwrap();
            let mut socket = far.accept().socket;
            while tls.is_handshaking() {
                if tls.complete_io(&mut socket).is_err() {
                    return true;
                }
            }
            false
        });
        let line = refused(&mut served, 1);
        assert!(server.join().unwrap(), "the handshake is not to succeed");
        assert_eq!(line.text("result"), "refused", "{line}");
        assert!(line.text("upstream_received").starts_with("tls_"), "{line}");
        line.says(&["TLS to the upstream", why]);
        served.stop();
    }
}

#[test]
fn an_upstream_that_is_down_is_named_with_each_address_and_the_client_is_reset() {
    let bench = Bench::new();
    let [one, two] = [refusing(), refusing()];
    let three = format!("unix:{}", bench.path("none.sock").display());
    let mut served = serve(bench, &[&one, &two, &three], "", "");
    let line = refused(&mut served, 1);
    assert_eq!((line.text("result"), line.number("attempts")), ("refused", 3), "{line}");
    assert_eq!((line.text("upstream_name"), line.text("upstream_received")), ("app", "failed_not_found"), "{line}");
    let refused = "connection refused; nothing listens there";
    let missing = "no such file or directory; nothing has created the socket";
    let reason = format!("cannot reach the upstream app: {one}: {refused}; {two}: {refused}; {three}: {missing}");
    assert_eq!(line.text("reason"), reason);
    served.stop();
}

#[test]
fn a_name_that_does_not_resolve_is_reported_before_any_session() {
    let mut served = serve(Bench::new(), &["nothing.invalid:80"], "", "");
    let line = served.event("lookup_failed", |line| line["name"] == "nothing.invalid");
    assert_eq!(line.text("result"), "failed", "{line}");
    let line = refused(&mut served, 1);
    line.says(&["nothing.invalid:80", "the name "]);
    served.stop();
}

#[test]
fn a_failing_upstream_is_used_again_when_it_is_back() {
    let bench = Bench::new();
    let down = refusing();
    let other = sink().to_string();
    let mut served = serve(bench, &[&down, &other], "", "");
    let mut sessions = 0;
    let mut upstream_of_next = |served: &mut Served| {
        let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(client.read_to_end(), (vec![], vec!["close_notify", "fin"]));
        drop(client);
        sessions += 1;
        served.session(sessions).text("upstream").to_owned()
    };
    assert_eq!(upstream_of_next(&mut served), other);
    served.event("upstream_failing", |line| line["upstream"] == "app" && line["address"] == *down);
    let back = TcpListener::bind(&down).unwrap();
    thread::spawn(move || back.incoming().for_each(drop));
    let deadline = Instant::now() + LIMIT;
    // It rests for a second first.
    while upstream_of_next(&mut served) != down {
        assert!(Instant::now() < deadline, "it is never tried again");
    }
    served.event("upstream_recovered", |line| line["upstream"] == "app" && line["address"] == *down);
    served.stop();
}

#[test]
fn least_sessions_goes_where_the_fewest_are() {
    let bench = Bench::new();
    let upstreams = [0, 1, 2].map(|_| listening(Kind::PLAIN, &bench));
    let addresses = upstreams.each_ref().map(|upstream| &*upstream.address);
    let mut served = serve(bench, &addresses, "", "balance = 'least_sessions'");
    let mut open: HashMap<_, Vec<_>> = HashMap::new();
    for _ in 0..9 {
        let client = TlsClient::connect(&served.proxy, TlsVersion::V13);
        let (at, upstream) = accept_at_any(&upstreams);
        open.entry(at).or_default().push((client, upstream));
    }
    assert_eq!([0, 1, 2].map(|at| open[&at].len()), [3; 3]);
    // Those of one end, and it gets the next ones.
    for (mut client, mut upstream) in open.remove(&1).unwrap() {
        client.send(b"hello");
        complete(&mut client, &mut upstream);
        let address = client.socket.local_addr().unwrap().to_string();
        drop((client, upstream));
        served.event("session", |line| line["client"] == *address);
    }
    for _ in 0..3 {
        let client = TlsClient::connect(&served.proxy, TlsVersion::V13);
        let (at, upstream) = accept_at_any(&upstreams);
        assert_eq!(at, 1);
        open.entry(at).or_default().push((client, upstream));
    }
}

/// The next connection to one of them, and to which.
fn accept_at_any(upstreams: &[Listening]) -> (usize, Far) {
    let deadline = Instant::now() + LIMIT;
    loop {
        for (at, upstream) in upstreams.iter().enumerate() {
            if let Some(far) = upstream.accept_within(Duration::from_millis(1)) {
                return (at, far);
            }
        }
        assert!(Instant::now() < deadline, "nobody connects");
    }
}

/// Bytes that fit into any kernel's buffers.
const ANSWER: usize = 32 * 1024;

/// As the kernel ends the connections of a process that is killed.
#[test]
fn an_upstream_that_is_killed_loses_nothing_that_had_arrived() {
    for kind in [Kind::PLAIN, TLS, Kind { unix: true, ..Kind::PLAIN }, Kind { unix: true, ..TLS }] {
        for unread in [false, true] {
            let bench = Bench::new();
            let far = listening(kind, &bench);
            let tls = if kind.tls { "tls = { name = 'localhost', ca = 'ca.pem' }" } else { "" };
            let mut served = serve(bench, &[&far.address], "", tls);
            let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
            let mut upstream = far.accept();
            client.send(b"hello");
            if unread {
                upstream.socket.exactly(1);
            } else {
                assert_eq!(upstream.read(5), b"hello");
            }
            upstream.send(&[7; ANSWER]);
            drop(upstream);
            // Without TLS to the upstream, and all of the request read, this is what no proxy can tell from an end.
            let complete = !kind.tls && !unread;
            let expected = if complete { vec!["close_notify", "fin"] } else { vec!["rst"] };
            let (data, words) = client.read_to_end();
            assert_eq!((data.len(), words), (ANSWER, expected), "{kind}, unread {unread}");
            if complete {
                let end = client.close_notify();
                client.write(&end);
            }
            drop(client);
            let line = served.session(1);
            let result = if complete { "complete" } else { "answer_truncated" };
            let received = match (complete, unread) {
                (true, _) => "fin",
                (false, true) => "reset",
                (false, false) => "truncated_boundary",
            };
            assert_eq!((line.text("result"), line.text("upstream_received")), (result, received), "{kind}: {line}");
            assert_eq!((line.number("attempts"), line.number("bytes_from_upstream")), (1, ANSWER as u64), "{line}");
            served.stop();
        }
    }
}

#[test]
fn an_upstream_that_dies_before_it_accepts_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut served = serve(Bench::new(), &[&listener.local_addr().unwrap().to_string()], "", "");
    let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
    client.send(b"hello");
    // The kernel has taken the connection, and nobody else; or it has not been made yet.
    drop(listener);
    assert_eq!(client.read_to_end(), (vec![], vec!["rst"]));
    let line = served.session(1);
    assert!(["answer_truncated", "refused"].contains(&line.text("result")), "{line}");
    served.stop();
}

#[test]
fn a_client_that_resets_while_its_upstream_is_being_reached_ends_its_session() {
    let hole = BlackHole::new();
    let mut served = serve(Bench::new(), &[&hole.address.to_string()], "timeouts = { connect = '1h' }", "");
    for (number, version) in (1..).zip(TlsVersion::EACH) {
        let mut client = TlsClient::connect(&served.proxy, version);
        client.send(b"hello");
        client.reset();
        let line = served.session(number);
        assert_eq!((line.text("phase"), line.text("ended_first")), ("connect", "client"), "{line}");
        assert_eq!((line.text("result"), line.text("client_received")), ("refused", "reset"), "{line}");
        line.says(&["left while the upstream was being reached"]);
    }
    served.stop();
}

#[test]
fn a_request_that_is_complete_before_its_upstream_is_reached_arrives_complete() {
    let hole = BlackHole::new();
    let bench = Bench::new();
    let good = listening(Kind::PLAIN, &bench);
    let timeouts = "timeouts = { connect = '500ms' }";
    let mut served = serve(bench, &[&hole.address.to_string(), &good.address], timeouts, "");
    let mut client = TlsClient::connect(&served.proxy, TlsVersion::V13);
    let records = [client.seal(b"hello"), client.close_notify()].concat();
    client.write(&records);
    client.fin();
    let mut upstream = good.accept();
    assert_eq!(upstream.read_to_end(), (b"hello".to_vec(), vec!["fin"]));
    upstream.send(b"answer");
    upstream.end();
    assert_eq!(client.read_to_end(), (b"answer".to_vec(), vec!["close_notify", "fin"]));
    drop((client, upstream));
    served.session(1).ended("complete", ["close_notify", "close_notify", "fin", "fin"], "client");
    served.stop();
}
