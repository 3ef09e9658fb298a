//! The deadline of a handshake, on Tokio's clock where there is one.
//!
//! A runtime may have been built without `enable_time`, and a future may be polled outside of any runtime. Nobody who did
//! not ask for a timeout is made to have a clock.

use closenotify_core::HandshakeError;
use std::future::Future as _;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::time::{Sleep, sleep};

/// How long a handshake may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// [`HANDSHAKE_TIMEOUT`], where there is a clock.
    #[default]
    Default,
    /// As long as it takes.
    Off,
    /// This long. Without a clock the handshake fails.
    After(Duration),
}

impl From<Option<Duration>> for Timeout {
    fn from(timeout: Option<Duration>) -> Self {
        timeout.map_or(Self::Off, Self::After)
    }
}

/// How long a handshake may take when nothing else is set.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A deadline that begins at its first poll.
#[derive(Debug)]
pub(crate) enum Timer {
    New,
    Running(Pin<Box<Sleep>>),
    /// There is none.
    Never,
}

/// What a [`Timer`] has to say.
pub(crate) enum Struck {
    /// The deadline passed.
    Late,
    /// A timeout was asked for, and there is no clock.
    NoClock,
}

impl From<Struck> for HandshakeError {
    fn from(struck: Struck) -> Self {
        match struck {
            Struck::Late => Self::TimedOut(closenotify_core::Deadline::Handshake),
            Struck::NoClock => Self::NoClock,
        }
    }
}

impl Timer {
    pub(crate) fn poll(&mut self, timeout: Timeout, cx: &mut Context<'_>) -> Poll<Struck> {
        if let Self::New = self {
            *self = match timeout {
                Timeout::Off => Self::Never,
                Timeout::Default => start(HANDSHAKE_TIMEOUT).map_or(Self::Never, Self::Running),
                Timeout::After(time) => match start(time) {
                    Some(sleep) => Self::Running(sleep),
                    None => return Poll::Ready(Struck::NoClock),
                },
            };
        }
        match self {
            Self::Running(sleep) => sleep.as_mut().poll(cx).map(|()| Struck::Late),
            Self::New | Self::Never => Poll::Pending,
        }
    }
}

/// A sleep, where the runtime has a clock. Tokio does not tell; it panics. So the panic is caught, and its message on
/// standard error comes once a runtime.
pub(crate) fn start(time: Duration) -> Option<Pin<Box<Sleep>>> {
    let runtime = Handle::try_current().ok()?.id();
    if is_clockless(runtime) {
        return None;
    }
    match catch_unwind(|| Box::pin(sleep(time))) {
        Ok(sleep) => Some(sleep),
        Err(_no_clock) => {
            let mut clockless = CLOCKLESS.lock().unwrap_or_else(PoisonError::into_inner);
            clockless.truncate(REMEMBERED - 1);
            clockless.insert(0, runtime);
            None
        }
    }
}

fn is_clockless(runtime: Id) -> bool {
    CLOCKLESS.lock().unwrap_or_else(PoisonError::into_inner).contains(&runtime)
}

/// Runtimes without a clock, the last one found first.
static CLOCKLESS: Mutex<Vec<Id>> = Mutex::new(Vec::new());
const REMEMBERED: usize = 16;
