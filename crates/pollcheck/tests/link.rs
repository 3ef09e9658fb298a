//! The transport and the executor by hand: each fault on each method, wakes counted exactly, no run that hangs.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pollcheck::{Check, Fault, Op, Outcome, Rule, Script, Side, Strict, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

#[test]
fn each_method_can_be_held_back_and_is_woken_once() {
    for op in Op::ALL {
        let (mut strict, mut left, mut right) = Strict::with_link(Script::new().fault(Side::Left, op, 0, Fault::Pend));
        let feed = strict.spawn("peer", async move {
            right.write_all(b"x").await?;
            Ok::<_, io::Error>(right)
        });
        let task = strict.spawn("task", async move { one_call(&mut left, op).await.map(|()| left) });
        assert_eq!(strict.run(100), Outcome::Done, "{op}");
        assert!(task.take().expect("it is done").is_ok() && feed.take().is_some(), "{op}");
        assert_eq!((task.polls(), task.wakes()), (2, 1), "{op}");
        assert_eq!(strict.unused_faults(), Vec::<String>::new(), "{op}");
    }
}

#[test]
fn each_method_can_fail_and_goes_on_failing() {
    for op in Op::ALL {
        let fault = Fault::Fail(io::ErrorKind::ConnectionReset);
        let (mut strict, mut left, _right) = Strict::with_link(Script::new().fault(Side::Left, op, 0, fault));
        let task = strict.spawn("task", async move {
            let first = one_call(&mut left, op).await;
            let second = one_call(&mut left, op).await;
            [first, second].map(|answer| answer.expect_err("it fails").kind())
        });
        assert_eq!(strict.run(100), Outcome::Done, "{op}");
        assert_eq!(task.take(), Some([io::ErrorKind::ConnectionReset; 2]), "{op}");
        assert_eq!(strict.unused_faults(), Vec::<String>::new(), "{op}");
    }
}

#[test]
fn reads_and_writes_can_be_short_zero_and_over() {
    let script = Script::new()
        .fault(Side::Left, Op::Write, 0, Fault::Short)
        .fault(Side::Left, Op::Write, 1, Fault::Zero)
        .fault(Side::Right, Op::Read, 0, Fault::Eof);
    let (mut strict, mut left, mut right) = Strict::with_link(script);
    let writer = strict.spawn("writer", async move { (left.write(b"abc").await, left.write(b"bc").await) });
    let reader = strict.spawn("reader", async move { (right.read(&mut [0; 4]).await, right.read(&mut [0; 4]).await) });
    assert_eq!(strict.run(100), Outcome::Done);
    assert!(matches!(writer.take(), Some((Ok(1), Ok(0)))));
    assert!(matches!(reader.take(), Some((Ok(0), Ok(0)))), "an end that was told stays");
    assert_eq!(strict.unused_faults(), Vec::<String>::new());
}

#[test]
fn halves_of_an_end_are_dropped_one_by_one() {
    let (mut strict, left, mut right) = Strict::with_link(Script::new());
    let (mut from, to) = left.into_split();
    let peer = strict.spawn("peer", async move {
        let end = right.read(&mut [0; 4]).await;
        right.write_all(b"still read").await?;
        let mut refused = Ok(());
        while refused.is_ok() {
            refused = right.write_all(&[0; 512]).await;
        }
        Ok::<_, io::Error>((end?, refused.expect_err("it has ended").kind()))
    });
    let unfinished = vec!["peer".to_owned()];
    assert_eq!(strict.run(100), Outcome::Stalled { unfinished });
    drop(to);
    let reader = strict.spawn("reader", async move {
        let mut got = [0; 10];
        from.read_exact(&mut got).await.map(|_| (got, from))
    });
    let unfinished = vec!["peer".to_owned()];
    assert_eq!(strict.run(100), Outcome::Stalled { unfinished }, "the link is full");
    let (got, from) = reader.take().expect("it is done").expect("nothing fails");
    assert_eq!(&got, b"still read");
    drop(from);
    strict.finish(100);
    assert_eq!(peer.take().expect("it is done").expect("nothing else fails"), (0, io::ErrorKind::BrokenPipe));
    assert_eq!(peer.self_wakes(), 0);
}

#[test]
fn a_fault_that_is_never_met_is_told() {
    let (mut strict, _left, _right) = Strict::with_link(Script::new().fault(Side::Right, Op::Flush, 3, Fault::Pend));
    assert_eq!(strict.run(100), Outcome::Done);
    assert_eq!(strict.unused_faults(), ["right flush 3: pending"]);
}

#[test]
fn a_lost_wake_ends_the_run() {
    let (mut strict, mut left, _right) = Strict::with_link(Script::new());
    let waiting = strict.spawn("waiting", async move { left.read(&mut [0; 4]).await });
    let forgetful = strict.spawn("forgetful", poll_fn(|_| Poll::<()>::Pending));
    let unfinished = vec!["waiting".to_owned(), "forgetful".to_owned()];
    assert_eq!(strict.run(100), Outcome::Stalled { unfinished });
    assert_eq!((waiting.live_wakers(), forgetful.live_wakers()), (1, 0));
    assert!(!waiting.is_done());
}

#[test]
fn a_spin_ends_at_the_step_bound() {
    let (mut strict, _left, _right) = Strict::with_link(Script::new());
    let spinning = strict.spawn(
        "spinning",
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }),
    );
    assert_eq!(strict.run(100), Outcome::StepBound);
    assert_eq!((spinning.polls(), spinning.wakes()), (100, 100));
}

#[test]
fn only_the_last_waker_counts() {
    let (mut strict, mut left, mut right) = Strict::with_link(Script::new());
    let mut kept = None;
    let stale = strict.spawn(
        "stale",
        poll_fn(move |cx| {
            // Polled twice by its own wake; what it keeps is the waker of the first poll.
            if kept.is_none() {
                kept = Some(cx.waker().clone());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut memory = [0; 4];
            let waker = kept.as_ref().expect("kept above");
            let mut cx = Context::from_waker(waker);
            Pin::new(&mut left).poll_read(&mut cx, &mut ReadBuf::new(&mut memory)).map(|_| ())
        }),
    );
    let stalled = Outcome::Stalled { unfinished: vec!["stale".to_owned()] };
    assert_eq!(strict.run(100), stalled);
    let _peer = strict.spawn("peer", async move { right.write_all(b"x").await.map(|()| right) });
    assert_eq!(strict.run(100), stalled, "the bytes are there, and the first poll's waker reaches nobody");
    assert_eq!(stale.polls(), 2);
    assert_eq!(stale.wakes(), 2, "its own, and a stale one");
}

#[test]
fn a_seed_gives_the_same_report() {
    let report = |seed| {
        // Breaks only behind a schedule that is neither plain nor small.
        let make = |transport| LosesAfter { io: transport, held_back: 0 };
        Check::new().depth(1).deviations(0).random_runs(60).seed(seed).wrapper(make)
    };
    let first = report(3);
    assert!(!first.is_clean());
    assert_eq!(first.to_string(), report(3).to_string());
    assert!(first.to_string().contains("seed 0x3"), "{first}");
}

#[test]
fn a_wake_lost_in_a_handshake_is_found() {
    let hello = |mut transport: Transport| async move {
        transport.write_all(b"hello").await?;
        // The waker leads nowhere.
        poll_fn(|_| {
            let mut memory = [0; 5];
            let mut cx = Context::from_waker(Waker::noop());
            Pin::new(&mut transport).poll_read(&mut cx, &mut ReadBuf::new(&mut memory))
        })
        .await?;
        Ok(transport)
    };
    let report = Check::new().pair_async(|left, right| (hello(left), hello(right)));
    assert_eq!(report.violations()[0].rule(), Rule::PendingWithoutWaker, "{report}");
    assert_eq!(report.violations()[0].scenario(), "set-up", "{report}");
}

async fn one_call(transport: &mut Transport, op: Op) -> io::Result<()> {
    match op {
        Op::Read => transport.read(&mut [0; 4]).await.map(|_| ()),
        Op::Write => transport.write(b"some").await.map(|_| ()),
        Op::Flush => transport.flush().await,
        Op::Shutdown => transport.shutdown().await,
    }
}

/// Loses a read's waker the third time that its transport is pending.
struct LosesAfter {
    io: Transport,
    held_back: u32,
}

impl AsyncRead for LosesAfter {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut nowhere = Context::from_waker(Waker::noop());
        let cx = if self.held_back >= 2 { &mut nowhere } else { cx };
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.held_back += u32::from(polled.is_pending());
        polled
    }
}

impl AsyncWrite for LosesAfter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
