//! Lookups with a resolver that answers when the test says so, on a clock that stands still.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;

use tokio::time::advance;

use super::super::fake::Seen;
use super::*;

const S: Duration = Duration::from_secs(1);

impl Host {
    /// Makes the answer older, for tests whose clock goes on.
    pub(in super::super) fn age(&self, by: Duration) {
        let Self::Name(entry) = self else { panic!("it has no answer") };
        let mut state = lock(&entry.state);
        let (_, asked) = state.answer.as_mut().unwrap();
        *asked -= by;
    }

    /// Waits until no lookup runs.
    pub(in super::super) async fn ended(&self) {
        let Self::Name(entry) = self else { panic!("it has no lookups") };
        let mut completed = entry.completed.subscribe();
        while lock(&entry.state).running.is_some() {
            completed.changed().await.unwrap();
        }
    }
}

/// A resolver whose every answer is given by the test, and who asked for what.
struct Scripted {
    resolver: Resolver,
    answers: mpsc::Sender<io::Result<Vec<IpAddr>>>,
    asked: tokio::sync::mpsc::UnboundedReceiver<String>,
    seen: Arc<Seen>,
}

impl Scripted {
    fn new() -> Self {
        let (answers, to_give) = mpsc::channel();
        let to_give = Mutex::new(to_give);
        let (ask, asked) = tokio::sync::mpsc::unbounded_channel();
        let seen = Arc::new(Seen::default());
        let resolve = move |name: &str| {
            ask.send(name.to_owned()).unwrap();
            let to_give = lock(&to_give);
            to_give.recv().unwrap_or_else(|_| Err(io::Error::other("the test is over")))
        };
        let observer = Arc::clone(&seen) as Arc<dyn Observer>;
        Self { resolver: Resolver::new(resolve, observer), answers, asked, seen }
    }

    fn answer(&self, addresses: &[&str]) {
        self.answers.send(Ok(ips(addresses))).unwrap();
    }

    fn fail(&self, reason: &str) {
        self.answers.send(Err(io::Error::other(reason.to_owned()))).unwrap();
    }

    /// Waits until a lookup runs.
    async fn asked(&mut self) -> String {
        self.asked.recv().await.unwrap()
    }

    /// How many lookups were begun since the last call, beyond those waited for.
    fn more_asked(&mut self) -> usize {
        std::iter::from_fn(|| self.asked.try_recv().ok()).count()
    }
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

/// What a session gets that does not wait.
async fn at_once(host: &Host) -> Option<Result<Vec<IpAddr>, String>> {
    let mut lookup = pin!(host.lookup());
    let polled = std::future::poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx))).await;
    match polled {
        Poll::Ready(result) => Some(result.map(|found| found.to_vec()).map_err(|error| error.reason)),
        Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_its_own_answer() {
    let mut scripted = Scripted::new();
    for address in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(at_once(&scripted.resolver.host(address)).await, Some(Ok(ips(&[address]))));
    }
    assert_eq!(scripted.more_asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn six_hundred_sessions_wait_for_one_lookup() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    let sessions: Vec<_> = (0..600)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move { host.lookup().await })
        })
        .collect();
    assert_eq!(scripted.asked().await, "app");
    scripted.answer(&["192.0.2.1", "2001:db8::1"]);
    for session in sessions {
        assert_eq!(session.await.unwrap().unwrap().to_vec(), ips(&["192.0.2.1", "2001:db8::1"]));
    }
    assert_eq!(scripted.more_asked(), 0);
    assert_eq!(scripted.seen.take(), [""; 0]);
}

/// docs/cases.md D14
#[tokio::test(start_paused = true)]
async fn a_silent_resolver_holds_one_thread_however_long_sessions_come() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    assert_eq!(at_once(&host).await, None);
    assert_eq!(scripted.asked().await, "app");
    for _ in 0..600 {
        advance(S).await;
        assert_eq!(at_once(&host).await, None);
    }
    assert_eq!(scripted.more_asked(), 0);
    assert_eq!(scripted.seen.take(), ["app: no answer from the resolver for 5 s"], "reported once");
    scripted.answer(&["192.0.2.1"]);
    host.ended().await;
    // The answer is as old as the question: it is used, and the next lookup begins.
    assert_eq!(at_once(&host).await, None);
    assert_eq!(scripted.asked().await, "app");
    scripted.answer(&["192.0.2.2"]);
    host.ended().await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.2"]))));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_used_without_asking_and_a_stale_one_while_asking() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    scripted.answer(&["192.0.2.1"]);
    assert_eq!(host.lookup().await.unwrap().to_vec(), ips(&["192.0.2.1"]));
    assert_eq!(scripted.more_asked(), 1);
    advance(FRESH - S).await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
    assert_eq!(scripted.more_asked(), 0);
    advance(S).await;
    for _ in 0..3 {
        assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
    }
    assert_eq!(scripted.asked().await, "app");
    assert_eq!(scripted.more_asked(), 0);
    scripted.answer(&["192.0.2.2"]);
    host.ended().await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.2"]))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_for_ten_minutes_while_the_resolver_is_silent() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    scripted.answer(&["192.0.2.1"]);
    host.lookup().await.unwrap();
    advance(FRESH).await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
    advance(OVERDUE).await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
    let reported = "app: no answer from the resolver for 5 s; the addresses of 15 s ago stay in use";
    assert_eq!(scripted.seen.take(), [reported]);
    advance(KEPT - FRESH - OVERDUE - S).await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
    advance(S).await;
    assert_eq!(at_once(&host).await, None);
    // The first, and the one that is silent.
    scripted.asked().await;
    scripted.asked().await;
    assert_eq!(scripted.more_asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_every_waiting_sessions_and_is_kept_for_a_second() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    let sessions: Vec<_> = (0..3)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move { host.lookup().await })
        })
        .collect();
    scripted.asked().await;
    // However long it took: who waited for it gets it, and does not wait for another.
    advance(7 * S).await;
    scripted.fail("no such name");
    for session in sessions {
        let error = session.await.unwrap().unwrap_err();
        assert_eq!((error.reason.as_str(), error.word().as_str()), ("no such name", "failed_not_found"));
    }
    assert_eq!(scripted.seen.take(), ["app: no such name"]);

    assert_eq!(at_once(&host).await, None, "it failed long after it was asked");
    scripted.asked().await;
    scripted.fail("again");
    host.ended().await;
    assert_eq!(at_once(&host).await, Some(Err("again".into())));
    advance(FAILED).await;
    assert_eq!(at_once(&host).await, None);
    scripted.asked().await;
    scripted.answer(&["192.0.2.1"]);
    host.ended().await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_fails_leaves_the_answer_in_use() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    scripted.answer(&["192.0.2.1"]);
    host.lookup().await.unwrap();
    scripted.asked().await;
    advance(FRESH).await;
    for _ in 0..3 {
        assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
        scripted.asked().await;
        scripted.fail("temporary failure");
        host.ended().await;
        assert_eq!(scripted.seen.take(), ["app: temporary failure"]);
        assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
        assert_eq!(scripted.more_asked(), 0, "not within a second of a failure");
        advance(FAILED).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_without_addresses_is_not_resolved_and_many_addresses_are_bounded() {
    let scripted = Scripted::new();
    scripted.answer(&[]);
    assert_eq!(scripted.resolver.host("none").lookup().await.unwrap_err().reason, "it has no address");
    let many: Vec<String> = (0..200).map(|at| format!("192.0.2.{at}")).collect();
    scripted.answer(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(scripted.resolver.host("many").lookup().await.unwrap().len(), ADDRESSES_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_panics_has_failed() {
    let seen = Arc::new(Seen::default());
    let resolver = Resolver::new(|_| panic!("planted"), Arc::clone(&seen) as Arc<dyn Observer>);
    let error = resolver.host("app").lookup().await.unwrap_err();
    assert_eq!(error.kind, io::ErrorKind::NotFound);
    assert_eq!(seen.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_known_as_long_as_it_is_held() {
    let mut scripted = Scripted::new();
    let (host, same) = (scripted.resolver.host("app"), scripted.resolver.clone().host("app"));
    scripted.answer(&["192.0.2.1"]);
    host.lookup().await.unwrap();
    assert_eq!(at_once(&same).await, Some(Ok(ips(&["192.0.2.1"]))));
    assert_eq!(scripted.more_asked(), 1);
    host.ended().await;
    drop((host, same));
    let _other = scripted.resolver.host("other");
    // The lookup's thread may still hold its own share of the first for a moment, but nobody else does.
    assert!(lock(&scripted.resolver.names).len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn who_looks_again_waits_for_the_lookup_that_runs() {
    let mut scripted = Scripted::new();
    let host = scripted.resolver.host("app");
    scripted.answer(&["192.0.2.1"]);
    host.lookup().await.unwrap();
    assert_eq!(host.lookup_again().await.unwrap().to_vec(), ips(&["192.0.2.1"]), "none runs");
    advance(FRESH).await;
    assert_eq!(at_once(&host).await, Some(Ok(ips(&["192.0.2.1"]))));
    let again = tokio::spawn({
        let host = host.clone();
        async move { host.lookup_again().await }
    });
    scripted.asked().await;
    scripted.answer(&["192.0.2.2"]);
    assert_eq!(again.await.unwrap().unwrap().to_vec(), ips(&["192.0.2.2"]));
}

#[tokio::test]
async fn the_system_resolves_localhost() {
    let resolver = Resolver::system(Arc::new(Seen::default()));
    let found = resolver.host("localhost").lookup().await.unwrap();
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
}
