//! The strict executor tells a lost wake from a finished task, and counts wakes exactly.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use pollcheck::{CountingWaker, Outcome, Strict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn tasks_over_a_duplex_finish() {
    let (mut left, mut right) = tokio::io::duplex(4);
    let mut executor = Strict::new();
    let sender = executor.spawn("sender", async move {
        left.write_all(b"longer than the pipe").await.expect("the reader lives");
        left.shutdown().await.expect("the reader lives");
    });
    let reader = executor.spawn("reader", async move {
        let mut all = Vec::new();
        right.read_to_end(&mut all).await.expect("the pipe does not fail");
        all
    });
    assert_eq!(executor.run(1000), Outcome::Done);
    assert_eq!(sender.take(), Some(()));
    assert_eq!(reader.take().as_deref(), Some(&b"longer than the pipe"[..]));
    assert_eq!(reader.self_wakes(), 0);
}

#[test]
fn lost_wake_stalls_and_names_the_task() {
    let mut executor = Strict::new();
    let fine = executor.spawn("fine", async {});
    let lost = executor.spawn("lost", pending::<()>());
    assert_eq!(executor.run(10), Outcome::Stalled { unfinished: vec!["lost".to_owned()] });
    assert_eq!((fine.polls(), lost.polls()), (1, 1), "what was not woken is not polled again");
    assert_eq!(executor.run(10), Outcome::Stalled { unfinished: vec!["lost".to_owned()] });
    assert_eq!(lost.polls(), 1);
}

#[test]
fn stalled_task_goes_on_after_its_wake() {
    let parked: Rc<RefCell<Option<Waker>>> = Rc::default();
    let slot = Rc::clone(&parked);
    let mut executor = Strict::new();
    let mut ready = false;
    let task = executor.spawn(
        "task",
        poll_fn(move |cx| {
            if ready {
                return Poll::Ready(7);
            }
            ready = true;
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }),
    );
    assert!(matches!(executor.run(10), Outcome::Stalled { .. }));
    parked.take().expect("the task parked its waker").wake();
    executor.finish(10);
    assert_eq!((task.take(), task.polls(), task.wakes()), (Some(7), 2, 1));
}

#[test]
fn spin_ends_at_the_step_bound_and_its_self_wakes_are_counted() {
    let mut executor = Strict::new();
    let spinner = executor.spawn(
        "spinner",
        poll_fn::<(), _>(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
    assert_eq!(executor.run(50), Outcome::StepBound);
    assert_eq!((spinner.polls(), spinner.self_wakes()), (50, 50));
}

#[test]
fn several_wakes_before_a_poll_make_one_poll() {
    let mut executor = Strict::new();
    let parked: Rc<RefCell<Option<Waker>>> = Rc::default();
    let slot = Rc::clone(&parked);
    let task = executor.spawn(
        "task",
        poll_fn::<(), _>(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }),
    );
    assert!(matches!(executor.run(10), Outcome::Stalled { .. }));
    let waker = parked.take().expect("the task parked its waker");
    waker.wake_by_ref();
    waker.wake_by_ref();
    assert!(matches!(executor.run(10), Outcome::Stalled { .. }));
    assert_eq!((task.polls(), task.wakes()), (2, 2));
}

#[test]
fn counting_waker_counts_wakes_and_live_wakers() {
    let counter = CountingWaker::new();
    let same = counter.clone();
    assert_eq!((counter.live(), counter.wakes()), (0, 0));
    let first = counter.waker();
    let second = first.clone();
    assert_eq!(counter.live(), 2);
    first.wake();
    assert_eq!((counter.live(), counter.wakes()), (1, 1));
    second.wake_by_ref();
    drop(second);
    assert_eq!((same.live(), same.take_wakes(), same.wakes()), (0, 2, 0));
}

#[test]
fn poll_by_hand_leaves_no_waker_behind() {
    let counter = CountingWaker::new();
    let mut never = Box::pin(pending::<()>());
    assert!(counter.poll(never.as_mut()).is_pending());
    assert_eq!((counter.live(), counter.wakes()), (0, 0));
}
