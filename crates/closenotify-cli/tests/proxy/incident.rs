//! The incident: data, close_notify and a few bytes more in one segment, and the socket stays open. What had to happen
//! once for ever, a poll that can do nothing, must not happen here more often than is stated below.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use testkit::certs::TlsVersion;

use crate::harness::{LIMIT, Proxy, collect};
use crate::tls_client::TlsClient;

/// How often the relay looks at what comes behind a close_notify, for a reset might lie behind it.
const LOOKS_MAX: u64 = 16;

/// The most polls of a session's relay: one to begin with, one for each thing that happens (the client's segment, the
/// upstream's answer, the upstream's FIN), and the one below. What comes together takes one.
const POLLS_MAX: u64 = 5;

/// The most of them without any effect: the wake for an event that a poll has met already while it ran.
const WASTED_POLLS_MAX: u64 = 1;

/// A session whose client has sent its last and keeps its socket open, as the upstream does.
struct Held {
    client: TlsClient,
    upstream: TcpStream,
}

impl Held {
    /// Sends `data`, close_notify and what `behind` makes, in one write.
    fn new(
        proxy: &Proxy,
        listener: &TcpListener,
        version: TlsVersion,
        data: &[u8],
        behind: impl FnOnce(&mut TlsClient) -> Vec<u8>,
    ) -> Self {
        let mut client = TlsClient::connect(proxy, version);
        let segment = [client.seal(data), client.close_notify(), behind(&mut client)].concat();
        client.write(&segment);
        let (upstream, _) = listener.accept().unwrap();
        upstream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(collect(&upstream), (data.to_vec(), "fin"));
        Self { client, upstream }
    }

    /// The upstream answers behind the client's end, and both sides finish.
    fn finish(mut self) {
        self.upstream.write_all(b"answer").unwrap();
        drop(self.upstream);
        assert_eq!(self.client.read_to_end(), (b"answer".to_vec(), vec!["close_notify", "fin"]));
    }
}

/// `t` bytes of one record of application data, which is whole at 64.
fn record(t: usize) -> Vec<u8> {
    [&[23, 3, 3, 0, 59][..], &[0xee; 59]].concat()[..t].to_vec()
}

/// docs/cases.md R01
#[test]
fn bytes_behind_a_close_notify_cost_no_poll_and_no_cpu_while_the_socket_stays_open() {
    for version in TlsVersion::EACH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut proxy = Proxy::start(listener.local_addr().unwrap(), &[]);
        let mut trailing: Vec<u64> = (1..=64).collect();
        let mut held: Vec<_> =
            (1..=64).map(|t| Held::new(&proxy, &listener, version, b"hello", |_| record(t))).collect();
        let texts = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), vec![b'\n'; 1000], record(64).repeat(100)];
        for text in texts {
            trailing.push(text.len() as u64);
            held.push(Held::new(&proxy, &listener, version, b"hello", |_| text));
        }
        // Records that would open with the session's keys, whole and half.
        for half in [false, true] {
            held.push(Held::new(&proxy, &listener, version, b"hello", |client| {
                let mut record = client.seal(b"behind the close_notify");
                record.truncate(record.len() >> u32::from(half));
                trailing.push(record.len() as u64);
                record
            }));
        }

        proxy.stays_at_rest();

        held.into_iter().for_each(Held::finish);
        for (number, trailing) in (1..).zip(trailing) {
            let session = proxy.session(number);
            assert_eq!(session.endings(), ["close_notify", "close_notify", "fin", "fin"], "{session:#?}");
            assert_eq!((session.trailing_bytes, session.bytes()), (trailing, (5, 6)), "{session:#?}");
            assert!(session.polls <= POLLS_MAX && session.wasted_polls <= WASTED_POLLS_MAX, "{session:#?}");
        }
        proxy.stop();
    }
}

/// docs/cases.md H07
#[test]
fn bytes_that_come_later_behind_a_close_notify_are_looked_at_sixteen_times_and_no_more() {
    for version in TlsVersion::EACH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut proxy = Proxy::start(listener.local_addr().unwrap(), &[]);
        let mut held = Held::new(&proxy, &listener, version, b"hello", |_| vec![23]);
        for _ in 0..1000 {
            held.client.write(b"more");
        }
        held.finish();
        let session = proxy.session(1);
        assert_eq!(session.endings(), ["close_notify", "close_notify", "fin", "fin"], "{session:#?}");
        assert_eq!((session.trailing_bytes, session.bytes()), (1 + 4 * 1000, (5, 6)), "{session:#?}");
        assert!(session.polls <= POLLS_MAX + LOOKS_MAX && session.wasted_polls <= WASTED_POLLS_MAX, "{session:#?}");
        proxy.stop();
    }
}

impl Proxy {
    /// Nothing happens from here on, and so the process uses no time of any processor: at most one tick (10 ms) in 300 ms,
    /// of which a spinning thread would use thirty.
    fn stays_at_rest(&mut self) {
        while self.lines.try_recv().is_ok() {}
        let before = self.cpu_ticks();
        assert_eq!(self.lines.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout));
        let used = self.cpu_ticks() - before;
        assert!(used <= 1, "{used} ticks at rest");
    }

    /// User and system time of all threads, in ticks of the kernel.
    fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The fields behind the name in parentheses, of which the first is the third of all.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let tick = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        tick(14) + tick(15)
    }
}
