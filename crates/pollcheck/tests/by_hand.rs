//! The transport driven by hand returns what its steps tell it to, and keeps the poll contract itself.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::Poll;

use pollcheck::{CountingWaker, DoneStep, Op, Outcome, Polls, ReadStep, Strict, Transport, WriteStep};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

fn read(counter: &CountingWaker, from: &mut (impl AsyncRead + Unpin), size: usize) -> Poll<io::Result<Vec<u8>>> {
    let mut space = vec![0; size];
    let mut buf = ReadBuf::new(&mut space);
    counter.with_context(|cx| Pin::new(from).poll_read(cx, &mut buf)).map_ok(|()| buf.filled().to_vec())
}

fn kind<T>(polled: Poll<io::Result<T>>) -> Option<ErrorKind> {
    match polled {
        Poll::Ready(Err(error)) => Some(error.kind()),
        Poll::Ready(Ok(_)) | Poll::Pending => None,
    }
}

fn ready<T>(polled: Poll<io::Result<T>>) -> T {
    match polled {
        Poll::Ready(Ok(value)) => value,
        Poll::Ready(Err(error)) => panic!("an error: {error}"),
        Poll::Pending => panic!("pending"),
    }
}

#[test]
fn read_never_crosses_a_step_and_the_end_stays() {
    let counter = CountingWaker::new();
    let script = [ReadStep::Data(b"abc".into()), ReadStep::Data(b"d".into()), ReadStep::Eof];
    let (mut end, handle) = Transport::new(script);
    assert_eq!(ready(read(&counter, &mut end, 2)), b"ab");
    assert_eq!(ready(read(&counter, &mut end, 2)), b"c");
    assert_eq!(ready(read(&counter, &mut end, 2)), b"d");
    assert_eq!(ready(read(&counter, &mut end, 2)), b"");
    assert_eq!(ready(read(&counter, &mut end, 2)), b"");
    assert_eq!((handle.polls().read, counter.wakes(), counter.live()), (5, 0, 0));
}

#[test]
fn pending_read_keeps_the_latest_waker_alone() {
    let (first, second) = (CountingWaker::new(), CountingWaker::new());
    let (mut end, handle) = Transport::new([ReadStep::Pending, ReadStep::Data(b"x".into())]);
    assert!(read(&first, &mut end, 1).is_pending());
    assert!(read(&second, &mut end, 1).is_pending());
    assert_eq!((first.live(), second.live()), (0, 1));
    handle.push_data("more behind the gate wakes nobody");
    assert_eq!(second.wakes(), 0);
    handle.release_read();
    assert_eq!((first.wakes(), second.wakes(), second.live()), (0, 1, 0));
    assert_eq!(ready(read(&second, &mut end, 1)), b"x");
}

#[test]
fn reader_at_the_end_of_the_script_is_woken_by_the_next_step() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    assert!(read(&counter, &mut end, 9).is_pending());
    assert!(handle.is_reader_parked());
    handle.push_read(ReadStep::Error(ErrorKind::ConnectionReset));
    assert_eq!((counter.wakes(), handle.is_reader_parked()), (1, false));
    assert_eq!(kind(read(&counter, &mut end, 9)), Some(ErrorKind::ConnectionReset));
}

#[test]
fn writes_follow_their_script_then_take_everything() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    for step in [WriteStep::Accept(2), WriteStep::Zero, WriteStep::Error(ErrorKind::BrokenPipe), WriteStep::Pending] {
        handle.push_write(step);
    }
    let mut write = |data: &[u8]| counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, data));
    assert_eq!(ready(write(b"abc")), 2);
    assert_eq!(ready(write(b"c")), 0);
    assert_eq!(kind(write(b"c")), Some(ErrorKind::BrokenPipe));
    assert!(write(b"c").is_pending());
    assert!(handle.is_writer_parked());
    assert_eq!(handle.unused_faults(), ["write: pending"]);
    handle.release_write();
    assert_eq!(counter.wakes(), 1);
    assert_eq!(ready(write(b"cd")), 2);
    assert_eq!((handle.written(), handle.write_sizes()), (b"abcd".to_vec(), vec![2, 2]));
    assert!(handle.unused_faults().is_empty());
}

#[test]
fn vectored_write_obeys_the_limit_across_buffers() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    handle.push_write(WriteStep::Accept(4));
    let bufs = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"def")];
    let n = ready(counter.with_context(|cx| Pin::new(&mut end).poll_write_vectored(cx, &bufs)));
    assert_eq!((n, handle.written()), (4, b"abcd".to_vec()));
}

#[test]
fn flush_and_shutdown_follow_their_scripts() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    handle.push_flush(DoneStep::Pending);
    handle.push_shutdown(DoneStep::Error(ErrorKind::NotConnected));
    handle.push_shutdown(DoneStep::Pending);
    assert_eq!(ready(counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, b"x"))), 1);
    assert!(!handle.is_flushed());
    assert!(counter.with_context(|cx| Pin::new(&mut end).poll_flush(cx)).is_pending());
    handle.release_flush();
    ready(counter.with_context(|cx| Pin::new(&mut end).poll_flush(cx)));
    assert!(handle.is_flushed());
    let failed = counter.with_context(|cx| Pin::new(&mut end).poll_shutdown(cx));
    assert_eq!(kind(failed), Some(ErrorKind::NotConnected));
    assert!(counter.with_context(|cx| Pin::new(&mut end).poll_shutdown(cx)).is_pending());
    assert!(!handle.is_shut_down());
    handle.release_shutdown();
    ready(counter.with_context(|cx| Pin::new(&mut end).poll_shutdown(cx)));
    assert!(handle.is_shut_down());
    let late = counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, b"x"));
    assert_eq!(kind(late), Some(ErrorKind::BrokenPipe), "nothing is taken behind a shutdown");
    assert_eq!(handle.polls(), Polls { read: 0, write: 2, flush: 2, shutdown: 3 });
    assert_eq!((counter.wakes(), counter.live()), (2, 0));
}

#[test]
fn dropped_direction_leaves_no_waker() {
    let (reading, writing) = (CountingWaker::new(), CountingWaker::new());
    let (end, handle) = Transport::new([]);
    handle.push_write(WriteStep::Pending);
    let (mut from, mut to) = end.into_split();
    assert!(read(&reading, &mut from, 1).is_pending());
    assert!(writing.with_context(|cx| Pin::new(&mut to).poll_write(cx, b"x")).is_pending());
    assert_eq!((reading.live(), writing.live()), (1, 1));
    drop(from);
    assert_eq!((reading.live(), writing.live()), (0, 1));
    assert!(handle.is_read_dropped() && !handle.is_write_dropped());
    drop(to);
    assert_eq!((reading.live(), writing.live()), (0, 0));
    assert_eq!((reading.wakes(), writing.wakes()), (0, 0));
}

#[test]
fn split_directions_run_as_tasks_of_the_strict_executor() {
    let (end, handle) = Transport::new([ReadStep::Data(b"one".into())]);
    let (mut from, mut to) = end.into_split();
    handle.push_flush(DoneStep::Pending);
    let mut executor = Strict::new();
    let reader = executor.spawn("reader", async move {
        let mut all = String::new();
        from.read_to_string(&mut all).await.map(|_| all)
    });
    executor.spawn("writer", async move {
        to.write_all(b"two").await.expect("the script takes everything");
        to.flush().await.expect("the script flushes");
    });
    let both = vec!["reader".to_owned(), "writer".to_owned()];
    assert_eq!(executor.run(10), Outcome::Stalled { unfinished: both });
    handle.release_flush();
    assert_eq!(executor.run(10), Outcome::Stalled { unfinished: vec!["reader".to_owned()] });
    handle.push_read(ReadStep::Eof);
    executor.finish(10);
    assert_eq!(reader.take().expect("finished").expect("no error"), "one");
    assert_eq!(handle.written(), b"two");
}

#[test]
fn room_is_used_up_and_new_room_wakes_the_writer_once() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    handle.set_room(3);
    let mut write = |data: &[u8]| counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, data));
    assert_eq!(ready(write(b"abcde")), 3);
    assert!(write(b"de").is_pending());
    handle.set_room(0);
    assert_eq!((handle.room(), counter.wakes(), handle.is_writer_parked()), (0, 0, true));
    handle.set_room(usize::MAX);
    assert_eq!((counter.wakes(), counter.live()), (1, 0));
    assert_eq!(ready(write(b"de")), 2);
    assert_eq!((handle.take_written(), handle.room()), (b"abcde".to_vec(), usize::MAX));
    assert!(handle.written().is_empty(), "it was taken");
}

#[test]
fn pieces_bound_reads_and_writes_and_appended_data_has_no_boundary() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    assert!(read(&counter, &mut end, 9).is_pending());
    handle.append_data(b"ab");
    handle.append_data(b"cd");
    assert_eq!(counter.wakes(), 1, "the second finds nobody waiting");
    handle.set_piece(3);
    assert_eq!(ready(read(&counter, &mut end, 9)), b"abc");
    assert_eq!(ready(read(&counter, &mut end, 9)), b"d");
    assert_eq!(ready(counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, b"answer"))), 3);
    assert_eq!((handle.bytes_read(), handle.written()), (4, b"ans".to_vec()));
}

#[test]
fn appended_data_waits_behind_a_held_read() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([ReadStep::Pending]);
    assert!(read(&counter, &mut end, 9).is_pending());
    handle.append_data(b"ab");
    assert_eq!((counter.wakes(), handle.is_held(Op::Read)), (0, true));
    assert!(read(&counter, &mut end, 9).is_pending());
    handle.release_read();
    assert_eq!((counter.wakes(), handle.is_held(Op::Read)), (1, false));
    assert_eq!(ready(read(&counter, &mut end, 9)), b"ab");
}

#[test]
fn failed_directions_stay_failed_and_wake_who_waits() {
    let (reading, writing) = (CountingWaker::new(), CountingWaker::new());
    let (mut end, handle) = Transport::new([]);
    handle.push_flush(DoneStep::Pending);
    assert!(read(&reading, &mut end, 9).is_pending());
    assert!(writing.with_context(|cx| Pin::new(&mut end).poll_flush(cx)).is_pending());
    handle.fail_writes(ErrorKind::BrokenPipe);
    assert_eq!((reading.wakes(), writing.wakes()), (0, 1));
    handle.append_data(b"lost");
    assert_eq!(reading.take_wakes(), 1);
    assert!(handle.polls().read == 1 && !handle.is_reader_parked());
    handle.fail_reads(ErrorKind::ConnectionReset);
    for _ in 0..2 {
        assert_eq!(kind(read(&reading, &mut end, 9)), Some(ErrorKind::ConnectionReset), "and no data before");
        assert_eq!(
            kind(writing.with_context(|cx| Pin::new(&mut end).poll_write(cx, b"x"))),
            Some(ErrorKind::BrokenPipe)
        );
        assert_eq!(kind(writing.with_context(|cx| Pin::new(&mut end).poll_flush(cx))), Some(ErrorKind::BrokenPipe));
        assert_eq!(kind(writing.with_context(|cx| Pin::new(&mut end).poll_shutdown(cx))), Some(ErrorKind::BrokenPipe));
    }
    assert_eq!(handle.unused_faults(), ["flush: pending"]);
    assert_eq!((reading.wakes(), reading.live(), writing.live()), (0, 0, 0));
}

#[test]
fn every_step_that_was_not_used_is_named() {
    let (_end, handle) = Transport::new([ReadStep::Data(b"data".into()), ReadStep::Error(ErrorKind::TimedOut)]);
    handle.push_read(ReadStep::Pending);
    handle.push_read(ReadStep::Eof);
    for step in [WriteStep::Accept(2), WriteStep::Zero, WriteStep::Error(ErrorKind::BrokenPipe)] {
        handle.push_write(step);
    }
    handle.push_flush(DoneStep::Ready);
    handle.push_flush(DoneStep::Error(ErrorKind::BrokenPipe));
    handle.push_shutdown(DoneStep::Pending);
    let unused = [
        "read: error: timed out",
        "read: pending",
        "write: at most 2 bytes",
        "write: zero bytes",
        "write: error: broken pipe",
        "flush: error: broken pipe",
        "shutdown: pending",
    ];
    assert_eq!(handle.unused_faults(), unused);
}

#[test]
fn a_write_after_the_shutdown_fails_and_is_counted() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    ready(counter.with_context(|cx| Pin::new(&mut end).poll_shutdown(cx)));
    assert_eq!(handle.late_writes(), 0);
    assert_eq!(kind(counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, b"x"))), Some(ErrorKind::BrokenPipe));
    assert_eq!((handle.late_writes(), handle.written()), (1, Vec::new()));
}

#[test]
fn what_was_taken_is_unflushed_until_a_flush_whoever_looked_at_it() {
    let counter = CountingWaker::new();
    let (mut end, handle) = Transport::new([]);
    assert!(handle.is_flushed(), "nothing was written");
    assert_eq!(ready(counter.with_context(|cx| Pin::new(&mut end).poll_write(cx, b"x"))), 1);
    assert_eq!((handle.take_written(), handle.is_flushed()), (b"x".to_vec(), false));
    ready(counter.with_context(|cx| Pin::new(&mut end).poll_flush(cx)));
    assert!(handle.is_flushed());
}
