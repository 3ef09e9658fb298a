//! Watches a relay for polls that achieve nothing, and reports or ends one that spins: a bad session must never cost a core.
//!
//! It counts by the meter of `pollcheck` and looks at nothing else: a relay that waits, however long, is not its concern.

use super::{Leg, Relay, Report, Side};
use crate::config::SpinAction;
use crate::events::SessionEndings;
use crate::live::Sample;
use crate::socket::Transport;
use closenotify::Deadline;
use pollcheck::meter::{Counts, Metered, Spin};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

/// A relay that ends when it spins, if that is asked for. Returns the relay's report; [`spin`](Self::spin) returns whether it
/// has spun.
pub(crate) struct Guard<'a, A, B> {
    relay: Metered<Relay<'a, A, B>>,
    action: SpinAction,
    spin: Arc<OnceLock<Spin>>,
}

impl<'a, A: Leg, B: Leg> Guard<'a, A, B> {
    /// `report` is called at the first spin, in the poll in which it is noticed.
    pub(crate) fn new(relay: Relay<'a, A, B>, action: SpinAction, report: impl FnOnce(Spin) + Send + 'static) -> Self {
        let spin = Arc::<OnceLock<Spin>>::default();
        let told = Arc::clone(&spin);
        let [one, other] = relay.gauges().clone();
        let relay = Metered::new(relay).progress_of(&one).progress_of(&other).on_spin(WASTED, WITHIN, move |spin| {
            told.get_or_init(|| spin);
            report(spin);
        });
        Self { relay, action, spin }
    }

    /// Where the relay is.
    pub(crate) fn report(&self) -> Report {
        self.relay.get_ref().report()
    }

    /// How often the relay was polled, and how often for nothing.
    pub(crate) fn counts(&self) -> Counts {
        self.relay.gauge().counts()
    }

    /// The first spin, if there was one.
    pub(crate) fn spin(&self) -> Option<Spin> {
        self.spin.get().copied()
    }

    /// Ends the relay by an order of ours: the report then says so.
    pub(crate) fn stop(&mut self, why: Deadline) {
        self.relay.get_mut().stop(why);
    }
}

impl<T: Transport> Guard<'_, Side<T>, Side<T>> {
    /// What there is to see of the session now; the first leg is the client's.
    pub(crate) fn sample(&self) -> Sample {
        let (client, upstream) = self.relay.get_ref().legs();
        let (report, counts) = (self.report(), self.counts());
        Sample {
            bytes_from_client: report.bytes_a_to_b,
            bytes_from_upstream: report.bytes_b_to_a,
            endings: SessionEndings {
                client_received: client.received(),
                client_sent: client.sent(),
                upstream_received: upstream.received(),
                upstream_sent: upstream.sent(),
            },
            unsent_to_client: client.unsent(),
            unsent_to_upstream: upstream.unsent(),
            polls: counts.polls,
            wasted_polls: counts.wasted,
        }
    }
}

impl<A: Leg, B: Leg> Future for Guard<'_, A, B> {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let polled = Pin::new(&mut self.relay).poll(cx);
        if polled.is_pending() && self.action == SpinAction::End && self.spin.get().is_some() {
            self.relay.get_mut().give_up();
            return Poll::Ready(self.report());
        }
        polled
    }
}

/// So many wasted polls within this time are a spin. A session without one wastes a poll now and then: when a timer was
/// put off, or the kernel was ready for less than it had said.
const WASTED: u32 = 10_000;
const WITHIN: Duration = Duration::from_secs(1);
