//! One session of a proxy in front of each kind of upstream, with both of its ends in the test's hands.

use std::thread;

use testkit::certs::TlsVersion;

use crate::bench::{Bench, Served};
use crate::far::{Far, Kind, Listening};
use crate::tls_client::TlsClient;

/// A session with both of its ends in the test's hands.
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    pub(crate) served: Served,
    pub(crate) client: TlsClient,
    pub(crate) upstream: Far,
}

impl Scene {
    pub(crate) fn open(kind: Kind, version: TlsVersion, settings: &str, process: &str) -> Self {
        let bench = Bench::new();
        let config = bench.authority.server_config(TlsVersion::Both);
        let listening = Listening::new(kind, bench.path("").as_path(), config);
        let tls = if kind.tls { "tls = { name = 'localhost', ca = 'ca.pem' }" } else { "" };
        let header = if kind.header { "send_proxy_protocol = 'v2'" } else { "" };
        let served = bench.serve(&format!(
            "process = {{ {process} }}
             [[listener]]
             name = 'web'
             listen = '127.0.0.1:0'
             certificates = 'web.pem'
             {settings}
             route = [{{ upstream = 'app' }}]
             [upstream.app]
             addresses = '{}'
             {tls}
             {header}",
            listening.address
        ));
        let client = TlsClient::connect(&served.proxy, version);
        let upstream = listening.accept();
        Self { kind, served, client, upstream }
    }

    /// Sends `hello` one way and `ready` the other.
    pub(crate) fn greeted(mut self) -> Self {
        self.client.send(b"hello");
        assert_eq!(self.upstream.read(5), b"hello", "{}", self.kind);
        self.upstream.send(b"ready");
        assert_eq!(self.client.read(5), b"ready", "{}", self.kind);
        self
    }

    /// What the client gets until the end of its connection.
    #[track_caller]
    pub(crate) fn client_gets(&mut self, data: &[u8], words: &[&str]) {
        assert_eq!(self.client.read_to_end(), (data.to_vec(), words.to_vec()), "at the client, upstream {}", self.kind);
    }

    /// What the upstream gets after `hello` until the end of its connection.
    #[track_caller]
    pub(crate) fn upstream_gets(&mut self, data: &[u8], words: Vec<&'static str>) {
        assert_eq!(self.upstream.read_to_end(), (data.to_vec(), words), "at the upstream, {}", self.kind);
    }

    /// Closes both ends, and asserts what the line says.
    #[track_caller]
    pub(crate) fn line(self, result: &str, endings: [&str; 4], first: &str) -> Served {
        let Self { mut served, client, upstream, kind } = self;
        drop((client, upstream));
        let line = served.session(1);
        let seen = (line.text("result"), line.endings(), line.text("ended_first"));
        assert_eq!(seen, (result, endings, first), "{kind}: {line}");
        // Only what is not clean has a reason.
        assert_eq!(line.text("reason") == "-", result == "complete", "{kind}: {line}");
        served
    }
}

/// Plays `row` in every combination, when bytes have passed both ways.
pub(crate) fn each(settings: &str, row: impl Fn(Scene) + Sync) {
    each_silent("", settings, |scene| row(scene.greeted()));
}

/// The same before any byte has passed, so that a short deadline has nothing to race with. The kinds of upstream go at the same
/// time.
pub(crate) fn each_silent(process: &str, settings: &str, row: impl Fn(Scene) + Sync) {
    let row = &row;
    thread::scope(|scope| {
        for kind in Kind::all() {
            scope.spawn(move || {
                for version in TlsVersion::EACH {
                    row(Scene::open(kind, version, settings, process));
                }
            });
        }
    });
}

pub(crate) const STRICT: &str = "truncation = 'strict'";
pub(crate) const TOLERANT: &str = "truncation = 'tolerant'";
