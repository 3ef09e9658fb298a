//! The meter counts exactly, and tells a spin once.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pollcheck::meter::{Counts, Metered, Spin};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

#[test]
fn bytes_are_progress_and_a_second_pending_poll_is_wasted() {
    let (near, mut far) = tokio::io::duplex(64);
    let mut stream = Metered::new(near);
    assert!(read(&mut stream).is_pending());
    assert_eq!(each(stream.gauge().counts()), [1, 0, 0]);
    assert!(read(&mut stream).is_pending());
    assert_eq!(each(stream.gauge().counts()), [2, 0, 1]);
    assert!(write(&mut far).is_ready());
    assert!(read(&mut stream).is_ready());
    assert_eq!(each(stream.gauge().counts()), [3, 1, 1]);
    assert!(read(&mut stream).is_pending());
    assert_eq!(each(stream.gauge().counts()), [4, 1, 1]);
}

#[test]
fn an_end_is_progress_once() {
    let (near, far) = tokio::io::duplex(64);
    drop(far);
    let mut stream = Metered::new(near);
    for _ in 0..5 {
        assert!(matches!(read(&mut stream), Poll::Ready(Ok(0))));
    }
    assert_eq!(each(stream.gauge().counts()), [5, 1, 4]);
}

#[test]
fn a_future_lives_by_the_progress_of_its_stream() {
    let (near, mut far) = tokio::io::duplex(64);
    let mut stream = Metered::new(near);
    let moved = stream.gauge();
    let reader = poll_fn(move |_| match read(&mut stream) {
        Poll::Ready(Ok(0)) => Poll::Ready(()),
        _ => Poll::Pending,
    });
    let mut future = Box::pin(Metered::new(reader).progress_of(&moved));
    let counts = future.gauge();
    for _ in 0..3 {
        assert!(write(&mut far).is_ready());
        assert!(poll(future.as_mut()).is_pending());
    }
    assert_eq!(each(counts.counts()), [3, 0, 0], "bytes moved before each pending");
    assert!(poll(future.as_mut()).is_pending());
    assert_eq!(each(counts.counts()), [4, 0, 1]);
    drop(far);
    assert!(poll(future.as_mut()).is_ready());
    assert_eq!(each(counts.counts()), [5, 1, 1]);
}

#[test]
fn a_spin_is_told_once() {
    let told = Arc::new(Mutex::new(Vec::<Spin>::new()));
    let telling = Arc::clone(&told);
    let future = Metered::new(std::future::pending::<()>());
    let mut future = Box::pin(future.on_spin(100, Duration::MAX, move |spin| telling.lock().unwrap().push(spin)));
    for _ in 0..100 {
        assert!(poll(future.as_mut()).is_pending());
    }
    assert_eq!(told.lock().unwrap().len(), 0, "the first poll is not wasted, so these are 99");
    for _ in 0..1000 {
        assert!(poll(future.as_mut()).is_pending());
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(each(told[0].counts), [101, 0, 100]);
    assert!(told[0].to_string().starts_with("100 wasted polls within "), "{}", told[0]);
}

#[test]
fn wasted_polls_far_apart_are_no_spin() {
    let told = Arc::new(AtomicU32::new(0));
    let telling = Arc::clone(&told);
    let future = Metered::new(std::future::pending::<()>());
    let mut future = Box::pin(future.on_spin(2, Duration::ZERO, move |_| {
        telling.fetch_add(1, Ordering::SeqCst);
    }));
    for _ in 0..1000 {
        assert!(poll(future.as_mut()).is_pending());
    }
    assert_eq!(told.load(Ordering::SeqCst), 0);
}

#[test]
fn metered_stream_keeps_the_contract() {
    let made = Cell::new(0_u32);
    let report = pollcheck::check(|transport| {
        made.set(made.get() + 1);
        Metered::new(transport)
    });
    report.assert_clean();
    assert!(made.get() > 1000, "{} runs", made.get());
}

fn read(stream: &mut Metered<DuplexStream>) -> Poll<io::Result<usize>> {
    let mut memory = [0; 16];
    let mut buf = ReadBuf::new(&mut memory);
    let polled = Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
    polled.map_ok(|()| buf.filled().len())
}

fn write(stream: &mut DuplexStream) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), b"some bytes")
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// All polls, those with progress, those that were wasted.
fn each(Counts { polls, progress, wasted, .. }: Counts) -> [u64; 3] {
    [polls, progress, wasted]
}
