//! The sessions that run now, and what each of them is doing.
//!
//! A session is entered once and removes itself when it is dropped. What changes all the time (bytes, queues, polls) is not
//! kept up to date here: whoever looks asks, and the session answers with a sample. So a session that nobody looks at pays
//! for one check a poll.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::events::{Phase, SessionEndings};

/// All sessions that run now.
#[derive(Debug, Default)]
pub(crate) struct LiveSessions {
    all: Mutex<All>,
    /// When the last round of samples was over; one round at a time.
    asking: tokio::sync::Mutex<Option<(Instant, usize)>>,
}

#[derive(Debug, Default)]
struct All {
    /// By number, so that the oldest come first.
    views: BTreeMap<u64, Arc<View>>,
    by_listener: BTreeMap<Arc<str>, usize>,
}

impl LiveSessions {
    /// Enters a session. It is in the list until what is returned is dropped.
    pub(crate) fn open(self: &Arc<Self>, number: u64, client: String, listener: Arc<str>) -> LiveSession {
        let view = Arc::new(View {
            number,
            client,
            started: Instant::now(),
            facts: Mutex::new(Facts::new()),
            listener: Arc::clone(&listener),
            asked: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            round: Mutex::new(None),
            waker: AtomicWaker::new(),
        });
        let mut all = lock(&self.all);
        *all.by_listener.entry(listener).or_default() += 1;
        all.views.insert(number, Arc::clone(&view));
        drop(all);
        LiveSession { list: Arc::clone(self), view }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.all).views.len()
    }

    /// How many there are of each listener that has some.
    pub(crate) fn by_listener(&self) -> BTreeMap<Arc<str>, usize> {
        lock(&self.all).by_listener.clone()
    }

    /// The oldest `limit` sessions, with samples not older than half a second; of a session that does not answer within
    /// `patience`, the sample before.
    ///
    /// Dropping the future leaves sessions asked, which does no harm.
    pub(crate) async fn look(&self, limit: usize, patience: Duration) -> Vec<Arc<View>> {
        let views: Vec<_> = lock(&self.all).views.values().take(limit).cloned().collect();
        let mut last = self.asking.lock().await;
        let fresh = last.is_some_and(|(when, count)| when.elapsed() < FRESH && count >= views.len());
        if !fresh {
            let round = Arc::new(Round { pending: AtomicUsize::new(views.len()), done: Notify::new() });
            for view in &views {
                view.ask(&round);
            }
            if !views.is_empty() {
                let _late = timeout(patience, round.done.notified()).await;
            }
            *last = Some((Instant::now(), views.len()));
        }
        views
    }
}

/// A session's place in the list.
#[derive(Debug)]
pub(crate) struct LiveSession {
    list: Arc<LiveSessions>,
    view: Arc<View>,
}

impl LiveSession {
    /// Says how far the session is.
    pub(crate) fn set_phase(&self, phase: Phase) {
        lock(&self.view.facts).phase = phase;
    }

    /// Says which upstream is being tried, or was reached.
    pub(crate) fn set_upstream(&self, upstream: String) {
        lock(&self.view.facts).upstream = Some(upstream);
    }

    /// Says which name the client asked for.
    pub(crate) fn set_sni(&self, sni: Option<String>) {
        lock(&self.view.facts).sni = sni;
    }

    /// Says who the client is, where a PROXY header named another.
    pub(crate) fn set_client(&self, client: String) {
        lock(&self.view.facts).proxied_client = Some(client);
    }

    /// What others see of the session.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        let mut all = lock(&self.list.all);
        all.views.remove(&self.view.number);
        if let Some(count) = all.by_listener.get_mut(&self.view.listener) {
            *count -= 1;
            if *count == 0 {
                all.by_listener.remove(&self.view.listener);
            }
        }
        drop(all);
        // Whoever waits for its sample need not; whoever asks from now on sees that first.
        self.view.gone.store(true, Ordering::Release);
        self.view.settle();
    }
}

/// What others see of a session.
#[derive(Debug)]
pub(crate) struct View {
    number: u64,
    client: String,
    listener: Arc<str>,
    started: Instant,
    facts: Mutex<Facts>,
    /// Someone waits for a sample.
    asked: AtomicBool,
    /// The session is over: nobody answers any more.
    gone: AtomicBool,
    round: Mutex<Option<Arc<Round>>>,
    waker: AtomicWaker,
}

impl View {
    /// Whether someone waits for a sample; if not, registers the task to be woken when someone does.
    ///
    /// To be called at each poll; then [`answer`](Self::answer).
    pub(crate) fn poll_asked(&self, cx: &mut Context<'_>) -> bool {
        if self.asked.load(Ordering::Acquire) {
            return true;
        }
        self.waker.register(cx.waker());
        // Asked between the check and the registration: that wake went nowhere.
        self.asked.load(Ordering::Acquire)
    }

    /// Stores a sample, and ends the wait for it.
    pub(crate) fn answer(&self, sample: Sample) {
        let mut facts = lock(&self.facts);
        let now = Instant::now();
        if sample.progress() != facts.sample.progress() {
            facts.progress = now;
        }
        facts.sample = sample;
        drop(facts);
        self.settle();
    }

    /// What is known of the session now.
    pub(crate) fn shown(&self) -> Shown {
        let facts = lock(&self.facts);
        Shown {
            session: self.number,
            listener: Arc::clone(&self.listener),
            client: facts.proxied_client.clone().unwrap_or_else(|| self.client.clone()),
            sni: facts.sni.clone(),
            upstream: facts.upstream.clone(),
            phase: facts.phase,
            age: self.started.elapsed(),
            quiet: facts.progress.elapsed(),
            sample: facts.sample.clone(),
        }
    }

    fn ask(&self, round: &Arc<Round>) {
        let before = lock(&self.round).replace(Arc::clone(round));
        if let Some(before) = before {
            before.one_less();
        }
        self.asked.store(true, Ordering::Release);
        if self.gone.load(Ordering::Acquire) || lock(&self.facts).phase != Phase::Relay {
            // Nothing is sampled any more, or yet.
            self.settle();
            return;
        }
        self.waker.wake();
    }

    fn settle(&self) {
        self.asked.store(false, Ordering::Release);
        let round = lock(&self.round).take();
        if let Some(round) = round {
            round.one_less();
        }
    }
}

/// What a session says when it is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) bytes_from_client: u64,
    pub(crate) bytes_from_upstream: u64,
    /// The directions that have ended so far.
    pub(crate) endings: SessionEndings,
    /// Bytes in the send queue of the kernel. `None` where it does not say.
    pub(crate) unsent_to_client: Option<u64>,
    pub(crate) unsent_to_upstream: Option<u64>,
    pub(crate) polls: u64,
    pub(crate) wasted_polls: u64,
}

impl Sample {
    /// What changes when the session gets on: bytes that we move, bytes that a peer takes, ends.
    fn progress(&self) -> (u64, u64, [Option<u64>; 2], [bool; 4]) {
        (
            self.bytes_from_client,
            self.bytes_from_upstream,
            [self.unsent_to_client, self.unsent_to_upstream],
            self.endings.words().map(|word| word.is_some()),
        )
    }
}

/// A session as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) session: u64,
    pub(crate) listener: Arc<str>,
    pub(crate) client: String,
    pub(crate) sni: Option<String>,
    pub(crate) upstream: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) age: Duration,
    /// Since the last sample that differed from the one before.
    pub(crate) quiet: Duration,
    pub(crate) sample: Sample,
}

#[derive(Debug)]
struct Facts {
    phase: Phase,
    proxied_client: Option<String>,
    upstream: Option<String>,
    sni: Option<String>,
    sample: Sample,
    progress: Instant,
}

impl Facts {
    fn new() -> Self {
        Self {
            phase: Phase::Handshake,
            proxied_client: None,
            upstream: None,
            sni: None,
            sample: Sample::default(),
            progress: Instant::now(),
        }
    }
}

/// One look at many sessions.
#[derive(Debug)]
struct Round {
    pending: AtomicUsize,
    done: Notify,
}

impl Round {
    fn one_less(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is half done where a panic could come.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How old samples may be for whoever looks: many who look must not keep all sessions busy.
const FRESH: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn relaying(live: &Arc<LiveSessions>, number: u64) -> LiveSession {
        let session = live.open(number, format!("192.0.2.1:{number}"), "web".into());
        session.set_phase(Phase::Relay);
        session
    }

    /// A session that answers whenever it is asked, until dropped.
    async fn answer(session: LiveSession, bytes: u64) {
        poll_fn::<(), _>(|cx| {
            while session.view().poll_asked(cx) {
                session.view().answer(Sample { bytes_from_client: bytes, ..Sample::default() });
            }
            Poll::Pending
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_run_answer_at_once() {
        let live = Arc::<LiveSessions>::default();
        let tasks: Vec<_> = (1..=3).map(|n| tokio::spawn(answer(relaying(&live, n), n * 10))).collect();
        tokio::task::yield_now().await;
        let before = Instant::now();
        let seen = live.look(2, PATIENCE).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        let bytes: Vec<_> = seen.iter().map(|view| view.shown().sample.bytes_from_client).collect();
        assert_eq!(bytes, [10, 20], "the oldest first, and no more than asked for");
        for task in tasks {
            task.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_does_not_answer_is_waited_for_once() {
        let live = Arc::<LiveSessions>::default();
        let _stuck = relaying(&live, 1);
        let before = Instant::now();
        assert_eq!(live.look(10, PATIENCE).await.len(), 1);
        assert_eq!(before.elapsed(), PATIENCE);
        // Those who look after that get what there is.
        live.look(10, PATIENCE).await;
        assert_eq!(before.elapsed(), PATIENCE);
        tokio::time::advance(FRESH).await;
        live.look(10, PATIENCE).await;
        assert!(before.elapsed() >= 2 * PATIENCE + FRESH, "{:?}", before.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_end_or_shake_hands_are_not_waited_for() {
        let live = Arc::<LiveSessions>::default();
        let _handshake = live.open(1, "unix".into(), "web".into());
        let ends = relaying(&live, 2);
        let before = Instant::now();
        let dropping = async {
            tokio::task::yield_now().await;
            drop(ends);
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            seen = live.look(10, PATIENCE) => assert_eq!(seen.len(), 2),
            () = dropping => {}
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(live.len(), 1);
    }

    #[test]
    fn a_dropped_session_leaves_nothing_behind() {
        let live = Arc::<LiveSessions>::default();
        let (one, two) = (relaying(&live, 1), live.open(2, "unix".into(), "db".into()));
        assert_eq!(live.by_listener(), BTreeMap::from([("db".into(), 1), ("web".into(), 1)]));
        drop(one);
        assert_eq!(live.by_listener(), BTreeMap::from([("db".into(), 1)]));
        drop(two);
        assert_eq!((live.len(), live.by_listener().len()), (0, 0));
    }

    #[test]
    fn a_session_costs_little_to_watch() {
        // Beside its names. A session at rest has some 18 KB in all.
        assert!(size_of::<View>() <= 768, "{}", size_of::<View>());
    }

    #[test]
    fn nobody_who_looks_means_no_wake_and_one_who_does_means_one() {
        let live = Arc::<LiveSessions>::default();
        let session = relaying(&live, 1);
        let waker = pollcheck::CountingWaker::default();
        let task = waker.waker();
        let mut cx = Context::from_waker(&task);
        assert!(!session.view().poll_asked(&mut cx));
        assert_eq!(waker.wakes(), 0);
        let round = Arc::new(Round { pending: AtomicUsize::new(1), done: Notify::new() });
        session.view().ask(&round);
        assert_eq!(waker.wakes(), 1);
        assert!(session.view().poll_asked(&mut cx));
        session.view().answer(Sample::default());
        assert!(!session.view().poll_asked(&mut cx));
        assert_eq!(waker.wakes(), 1);
    }

    #[test]
    fn a_session_that_is_over_answers_no_one_and_holds_up_no_one() {
        let live = Arc::<LiveSessions>::default();
        let session = relaying(&live, 1);
        // As somebody has it who listed the sessions just before it ended.
        let view = Arc::clone(session.view());
        drop(session);
        let round = Arc::new(Round { pending: AtomicUsize::new(1), done: Notify::new() });
        view.ask(&round);
        assert_eq!(round.pending.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_is_counted_from_the_last_sample_that_differs() {
        let live = Arc::<LiveSessions>::default();
        let session = relaying(&live, 1);
        session.set_client("198.51.100.7:9".into());
        assert_eq!(session.view().shown().client, "198.51.100.7:9", "as the PROXY header says");
        let sample = Sample { unsent_to_client: Some(4_000_000), ..Sample::default() };
        session.view().answer(sample.clone());
        tokio::time::advance(Duration::from_secs(60)).await;
        session.view().answer(sample.clone());
        assert_eq!(session.view().shown().quiet, Duration::from_secs(60));
        // Nothing moved here, but the peer took some of what had been sent.
        session.view().answer(Sample { unsent_to_client: Some(3_000_000), ..sample });
        assert_eq!(session.view().shown().quiet, Duration::ZERO);
        assert_eq!(session.view().shown().age, Duration::from_secs(60));
    }
}
