//! What the meter costs: nanoseconds a poll, bare and metered, of a future and of a stream that do next to nothing.
//!
//! `cargo run --release -p pollcheck --example meter_cost`

use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pollcheck::meter::Metered;
use tokio::io::{AsyncRead, ReadBuf};

fn main() {
    let never = |_spin| unreachable!("no such number of polls is made");
    let waits = || std::future::poll_fn(|_| black_box(Poll::<()>::Pending));
    let bare = polls(pin!(waits()));
    let metered = polls(pin!(Metered::new(waits()).on_spin(u32::MAX, Duration::MAX, never)));
    print("future that is pending (every poll wasted)", bare, metered);
    print("stream that gives a byte", reads(Source(true)), reads(Metered::new(Source(true))));
    let idle = Metered::new(Source(false)).on_spin(u32::MAX, Duration::MAX, never);
    print("stream that is pending (every poll wasted)", reads(Source(false)), reads(idle));
}

#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
fn print(what: &str, bare: f64, metered: f64) {
    println!("{what:<45} bare {bare:6.2} ns   metered {metered:6.2} ns   the meter {:6.2} ns", metered - bare);
}

fn polls<F: Future>(mut future: Pin<&mut F>) -> f64 {
    best(|| {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(black_box(polled));
    })
}

fn reads<S: AsyncRead + Unpin>(mut stream: S) -> f64 {
    let mut memory = [0; 16];
    best(|| {
        let mut buf = ReadBuf::new(&mut memory);
        let polled = Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
        drop(black_box(polled));
    })
}

/// The fastest of some rounds: what is slower was disturbed.
fn best(mut poll: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        for _ in 0..POLLS {
            poll();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(POLLS)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Gives one byte a poll, or none ever.
struct Source(bool);

impl AsyncRead for Source {
    fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !black_box(self.0) {
            return Poll::Pending;
        }
        buf.put_slice(b"x");
        Poll::Ready(Ok(()))
    }
}

const POLLS: u32 = 5_000_000;
const ROUNDS: u32 = 7;
