//! What happened on a connection, in order and with times: the one account that verdicts and reports are made from.
//!
//! An event says who did it and on which link; it never says whether that was right.

use crate::alert;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the start of the case.
    pub at: Duration,
    /// On which connection.
    pub link: Link,
    /// Who did it.
    pub by: By,
    /// What was done.
    pub what: What,
}

/// A connection between the probe and the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// The TLS connection.
    Tls,
    /// The plain TCP connection of a proxy to its upstream, which the probe is.
    Upstream,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The checker.
    Probe,
    /// What is checked.
    Subject,
}

/// What an end did. A seal that was opened is not mentioned; a record that could not be opened is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A TCP connection came about.
    Connected,
    /// The handshake is complete, with this version and suite.
    Handshaken(String),
    /// Handshake messages that are part of the handshake, by the name of the flight ("ClientHello").
    Flight(String),
    /// Plaintext bytes of application data; of raw bytes on a link without TLS.
    Data(usize),
    /// The alert that ends a direction.
    CloseNotify {
        /// 1 is warning, which it must be.
        level: u8,
    },
    /// Another alert.
    Alert {
        /// 1 is warning, 2 is fatal.
        level: u8,
        /// The description.
        code: u8,
    },
    /// A KeyUpdate.
    KeyUpdate {
        /// Whether one is asked for in return.
        request: bool,
    },
    /// A NewSessionTicket.
    Ticket,
    /// Something else in TLS, in words ("an empty alert", "half a record", "1 byte behind close_notify").
    Odd(String),
    /// The end of the TCP direction.
    Fin,
    /// A TCP reset.
    Reset,
    /// Something that is not on the wire ("waits 500 ms", "exits with 0").
    Note(String),
}

impl What {
    /// Whether it ends a direction, in TLS or in TCP.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match self {
            Self::CloseNotify { .. } | Self::Fin | Self::Reset => true,
            Self::Alert { level, code } => *level == alert::FATAL && *code != alert::USER_CANCELED,
            _ => false,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("TCP connection"),
            Self::Handshaken(how) => write!(f, "handshake complete, {how}"),
            Self::Flight(name) => f.write_str(name),
            Self::Data(bytes) => write!(f, "data, {bytes} B"),
            Self::CloseNotify { level: alert::WARNING } => f.write_str("close_notify"),
            Self::CloseNotify { level } => write!(f, "close_notify (level {level})"),
            Self::Alert { level, code } => {
                let level = match *level {
                    alert::WARNING => "warning".to_owned(),
                    alert::FATAL => "fatal".to_owned(),
                    other => format!("level {other}"),
                };
                write!(f, "alert {} ({level})", alert::name(*code))
            }
            Self::KeyUpdate { request: true } => f.write_str("KeyUpdate (update_requested)"),
            Self::KeyUpdate { request: false } => f.write_str("KeyUpdate"),
            Self::Ticket => f.write_str("NewSessionTicket"),
            Self::Odd(what) | Self::Note(what) => f.write_str(what),
            Self::Fin => f.write_str("FIN"),
            Self::Reset => f.write_str("RST"),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "tls",
            Self::Upstream => "upstream",
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Probe => "probe",
            Self::Subject => "subject",
        })
    }
}

/// The events of one case, shared by its connections. Data in a row from one end is one event.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    start: Instant,
    events: Mutex<Vec<Event>>,
    news: Notify,
}

impl Log {
    /// An empty log whose clock starts now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "making a log starts its clock; a default would hide that")]
    pub fn new() -> Self {
        Self(Arc::new(Shared { start: Instant::now(), events: Mutex::default(), news: Notify::new() }))
    }

    /// Since the start of the case.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// Notes an event, now.
    pub fn push(&self, link: Link, by: By, what: What) {
        self.push_at(self.elapsed(), link, by, what);
    }

    /// What happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// Waits until `done` says so, which is asked again at every event and every change that [`stir`](Self::stir) tells of;
    /// `false` when `timeout` came first.
    pub async fn until(&self, timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
        let wait = async {
            loop {
                let news = self.0.news.notified();
                tokio::pin!(news);
                // Registered before the question is asked, so that no change is missed between the two.
                news.as_mut().enable();
                if done() {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(timeout, wait).await.is_ok()
    }

    /// Lets everyone who waits look again.
    pub fn stir(&self) {
        self.0.news.notify_waiters();
    }

    fn push_at(&self, at: Duration, link: Link, by: By, what: What) {
        {
            let mut events = self.lock();
            let full = events.len() >= EVENTS_MAX;
            match (events.iter_mut().rev().find(|event| event.link == link), &what) {
                (Some(Event { what: What::Data(sum), at: since, by: same, .. }), What::Data(more))
                    if *same == by && at.saturating_sub(*since) < ONE_EVENT =>
                {
                    *sum += more;
                }
                _ if full => {}
                _ => events.push(Event { at, link, by, what }),
            }
        }
        self.stir();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Data in a row counts as one event for this long.
const ONE_EVENT: Duration = Duration::from_millis(100);
/// A peer cannot make a log longer than this.
const EVENTS_MAX: usize = 2000;
