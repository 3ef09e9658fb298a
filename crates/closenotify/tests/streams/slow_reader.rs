//! A close over a transport that shows its send queue: it waits for a peer that reads slowly, and not for one that does not.

use crate::peer::{self, Configs, Side, Wire};
use closenotify::{Deadline, Ended, Linger, ReceivedEnding, SentEnding, TlsStream};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::transport::{Handle, ReadStep};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpSocket;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep};

/// A transport whose send queue is what the test says.
struct Queued {
    wire: Wire,
    queue: Arc<AtomicU64>,
}

/// The queue of a transport that cannot tell.
const UNKNOWN: u64 = u64::MAX;

fn queue_of(io: &Queued) -> Option<u64> {
    Some(io.queue.load(Ordering::Relaxed)).filter(|queue| *queue != UNKNOWN)
}

impl AsyncRead for Queued {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Queued {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

struct Slow {
    stream: TlsStream<Queued>,
    handle: Handle,
    peer: rustls::Connection,
    queue: Arc<AtomicU64>,
}

fn meet(queue: u64) -> Slow {
    let configs = Configs::of(TlsVersion::V13);
    let (wire, handle) = Wire::new();
    let mut peer = configs.peer_of(Side::Server);
    let queue = Arc::new(AtomicU64::new(queue));
    let queued = Queued { wire, queue: Arc::clone(&queue) };
    let mut stream = TlsStream::from(peer::shake(configs.acceptor().accept(queued), &handle, &mut peer));
    stream.set_send_queue(queue_of);
    Slow { stream, handle, peer, queue }
}

/// Closes with the default bounds; also how long it took on the paused clock.
async fn close(stream: TlsStream<Queued>) -> (Ended, Duration) {
    let start = Instant::now();
    let ended = stream.close(BOUNDS).await;
    (ended, start.elapsed())
}

const BOUNDS: Linger = Linger { idle: Duration::from_secs(5), time: Duration::from_secs(30), bytes: 16 * 1024 * 1024 };
const LATE: ReceivedEnding = ReceivedEnding::TimedOut(Deadline::Close);

/// Takes a byte from the queue every four seconds, so many times; the peer pings all the while where `pings`.
async fn shrink(queue: &AtomicU64, handle: &Handle, peer: &mut rustls::Connection, times: u32, pings: bool) {
    for _ in 0..times {
        sleep(Duration::from_secs(4)).await;
        queue.fetch_sub(1, Ordering::Relaxed);
        if pings && !handle.is_read_dropped() {
            handle.push_data(peer::data(peer, b"ping"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_past_both_bounds_while_the_queue_shrinks() {
    for pings in [false, true] {
        let Slow { stream, handle, mut peer, queue } = meet(50);
        let reads = async {
            shrink(&queue, &handle, &mut peer, 50, pings).await;
            handle.push_data(peer::close_notify(&mut peer));
            handle.push_read(ReadStep::Eof);
        };
        let ((ended, took), ()) = tokio::join!(close(stream), reads);
        assert_eq!((ended.received, ended.sent), (ReceivedEnding::CloseNotify, SentEnding::CloseNotify), "{pings}");
        assert_eq!(took, Duration::from_secs(200));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_within_two_idle_times_when_the_queue_stops_shrinking() {
    for shrinks in [1, 2, 3, 10, 11, 12, 13] {
        let Slow { stream, handle, mut peer, queue } = meet(50);
        let stopped = Duration::from_secs(4) * shrinks;
        let ((ended, took), ()) = tokio::join!(close(stream), shrink(&queue, &handle, &mut peer, shrinks, false));
        assert_eq!((ended.received, ended.sent), (LATE, SentEnding::CloseNotify));
        assert!(took > stopped && took <= stopped + 2 * BOUNDS.idle, "stopped at {stopped:?}, ended at {took:?}");
    }
    // One that never shrinks: looked at once, and once more.
    let Slow { stream, .. } = meet(50);
    assert_eq!(close(stream).await.1, 2 * BOUNDS.idle);
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_sends_does_not_hold_a_close_whose_queue_stands_still() {
    let Slow { stream, handle, mut peer, .. } = meet(50);
    let pings = async {
        while !handle.is_read_dropped() {
            handle.push_data(peer::data(&mut peer, b"ping"));
            sleep(Duration::from_secs(1)).await;
        }
    };
    let ((ended, took), ()) = tokio::join!(close(stream), pings);
    assert_eq!((ended.received, ended.sent), (LATE, SentEnding::CloseNotify));
    assert_eq!(took, BOUNDS.time + BOUNDS.idle);
}

/// What has left our kernel lies in the peer's: it has `time` for that.
#[tokio::test(start_paused = true)]
async fn the_time_begins_anew_when_the_queue_is_seen_to_be_empty() {
    let Slow { stream, handle, mut peer, queue } = meet(10);
    let reads = async {
        // Empty at 40 s, and seen so at 45 s at the latest.
        shrink(&queue, &handle, &mut peer, 10, true).await;
        while !handle.is_read_dropped() {
            sleep(Duration::from_secs(4)).await;
            handle.push_data(peer::data(&mut peer, b"ping"));
        }
    };
    let ((ended, took), ()) = tokio::join!(close(stream), reads);
    assert_eq!((ended.received, ended.sent), (LATE, SentEnding::CloseNotify));
    let emptied = Duration::from_secs(40);
    assert!(took >= emptied + BOUNDS.time && took <= emptied + BOUNDS.idle + BOUNDS.time, "{took:?}");

    // A silent one has an idle time.
    let Slow { stream, handle, mut peer, queue } = meet(10);
    let ((_, took), ()) = tokio::join!(close(stream), shrink(&queue, &handle, &mut peer, 10, false));
    assert!(took >= emptied && took <= emptied + 2 * BOUNDS.idle, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_and_an_unknown_queue_change_nothing() {
    for queue in [0, UNKNOWN] {
        let Slow { stream, .. } = meet(queue);
        assert_eq!(close(stream).await.1, BOUNDS.idle);
        let Slow { stream, handle, mut peer, .. } = meet(queue);
        let pings = async {
            while !handle.is_read_dropped() {
                handle.push_data(peer::data(&mut peer, b"ping"));
                sleep(Duration::from_secs(1)).await;
            }
        };
        let ((_, took), ()) = tokio::join!(close(stream), pings);
        assert_eq!(took, BOUNDS.time);
    }
}

/// Whoever sets a short time gets it back when nothing is taken.
#[tokio::test(start_paused = true)]
async fn a_time_shorter_than_the_idle_time_holds_for_a_queue_that_stands_still() {
    for time in [Duration::ZERO, Duration::from_secs(1)] {
        let Slow { stream, handle, .. } = meet(50);
        let start = Instant::now();
        let ended = stream.close(Linger { time, ..BOUNDS }).await;
        assert_eq!(ended.sent, SentEnding::CloseNotify);
        assert_eq!(start.elapsed(), 2 * time);
        assert!(handle.is_shut_down());
    }
}

/// A real socket, whose peer has a small receive buffer and reads a piece every idle time of a clock that only the test moves.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_300_kb_slowly_from_our_kernel_gets_all_of_it() {
    // While a blocking task runs, the clock does not go on by itself when all tasks wait.
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let clock_held = tokio::task::spawn_blocking(move || waiting.recv());

    let listening = TcpSocket::new_v4().unwrap();
    let connecting = TcpSocket::new_v4().unwrap();
    connecting.set_recv_buffer_size(8 * 1024).unwrap();
    listening.set_send_buffer_size(1 << 20).unwrap();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let configs = Configs::of(TlsVersion::V13);
    let (client, server) = tokio::join!(
        async {
            let socket = connecting.connect(address).await.unwrap();
            configs.connector().connect("localhost".try_into().unwrap(), socket).await.unwrap()
        },
        async { configs.acceptor().accept(listener.accept().await.unwrap().0).await.unwrap() }
    );
    let (mut client, mut server) = (client, server);
    let sent: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    server.write_all(&sent).await.unwrap();
    server.flush().await.unwrap();
    let start = Instant::now();
    let closing = tokio::spawn(async move { server.close(BOUNDS).await });
    yield_now().await;
    let mut got = vec![0; sent.len()];
    for piece in got.chunks_mut(30_000) {
        advance(BOUNDS.idle).await;
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!closing.is_finished(), "given up after {:?}", start.elapsed());
        // More than its kernel holds: so some of it has left ours.
        client.read_exact(piece).await.unwrap();
    }
    assert!(start.elapsed() > BOUNDS.time);
    assert!(got == sent);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(client.received_ending(), Some(&ReceivedEnding::CloseNotify));
    client.shutdown().await.unwrap();
    drop(client);
    let ended = closing.await.unwrap();
    assert!(ended.is_clean(), "{ended:?}");
    drop(done);
    let _ = clock_held.await;
}
