//! Streams without TLS: tokio's own, tokio-util's, compression, and what hyper hands over after an upgrade.

use crate::Stream;
use async_compression::Level;
use async_compression::tokio::{bufread, write};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use pollcheck::{Check, Report, Transport, check, check_pair};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{BufReader, BufStream, ReadHalf, WriteHalf, join};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio_util::codec::{BytesCodec, FramedWrite};
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use tokio_util::either::Either;
use tokio_util::io::{CopyToBytes, InspectReader, InspectWriter, ReaderStream, SinkWriter, StreamReader};

/// The rows of this file.
pub fn streams() -> Vec<Stream> {
    let row = |name, crates, check| Stream { name, crates, check };
    let mut streams = vec![
        row("`net::TcpStream`", &["tokio"] as &[_], tcp as fn() -> Report),
        row("`net::UnixStream`", &["tokio"], unix),
        row("`io::duplex`", &["tokio"], || check_pair(|_, _| tokio::io::duplex(64))),
        row("`io::simplex`", &["tokio"], simplex),
        row("`io::BufStream`", &["tokio"], || check(BufStream::new)),
        row("`either::Either`", &["tokio-util"], || check(Either::<Transport, BufStream<Transport>>::Left)),
        row("`compat::Compat`, there and back", &["tokio-util"], || check(|link| link.compat().compat())),
        row("`io::InspectReader`, `InspectWriter`", &["tokio-util"], inspected),
        row(
            "`io::StreamReader` over `ReaderStream`, `SinkWriter` over `CopyToBytes`",
            &["tokio-util"],
            stream_and_sink,
        ),
        row("`rt::TokioIo`, there and back", &["hyper-util"], || check(|link| TokioIo::new(TokioIo::new(link)))),
        row("`TokioIo<Upgraded>`", &["hyper", "hyper-util"], upgraded),
    ];
    macro_rules! compression {
        ($name:literal, $decoder:ident, $encoder:ident) => {
            streams.push(row($name, &["async-compression"], || {
                crate::with_handshake().pair(|left, right| {
                    let end = |link| {
                        let (read, write) = split(link);
                        // The tables of the better levels take longer to set up than a run does.
                        let encoder = write::$encoder::with_quality(write, Level::Fastest);
                        join(bufread::$decoder::new(BufReader::new(read)), encoder)
                    };
                    (end(left), end(right))
                })
            }));
        };
    }
    compression!("`bufread::GzipDecoder`, `write::GzipEncoder`", GzipDecoder, GzipEncoder);
    compression!("`bufread::ZstdDecoder`, `write::ZstdEncoder`", ZstdDecoder, ZstdEncoder);
    compression!("`bufread::BrotliDecoder`, `write::BrotliEncoder`", BrotliDecoder, BrotliEncoder);
    streams.push(row("`write::GzipDecoder` under `write::GzipEncoder`", &["async-compression"], || {
        crate::with_handshake().wrapper(|link| {
            let (read, write) = split(link);
            join(read, write::GzipEncoder::new(write::GzipDecoder::new(write)))
        })
    }));
    streams
}

#[expect(clippy::disallowed_methods, reason = "one thread polls, so that no lock is ever waited for")]
fn split(link: Transport) -> (ReadHalf<Transport>, WriteHalf<Transport>) {
    tokio::io::split(link)
}

fn simplex() -> Report {
    Check::new().one_way().pair(|_, _| {
        let (reader, writer) = tokio::io::simplex(64);
        (join(tokio::io::empty(), writer), join(reader, tokio::io::sink()))
    })
}

fn inspected() -> Report {
    check(|link| {
        let (read, write) = split(link);
        join(InspectReader::new(read, |_| {}), InspectWriter::new(write, |_| {}))
    })
}

fn stream_and_sink() -> Report {
    check(|link| {
        let (read, write) = split(link);
        let sink = CopyToBytes::new(FramedWrite::new(write, BytesCodec::new()));
        join(StreamReader::new(ReaderStream::new(read)), SinkWriter::new(sink))
    })
}

fn upgraded() -> Report {
    crate::with_handshake().pair_async(|left, right| (client(left), server(right)))
}

/// Asks for an upgrade; the connection lives on as what it became.
async fn client(link: Transport) -> io::Result<TokioIo<Upgraded>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(link)).await.map_err(io::Error::other)?;
    let request = Request::builder()
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "bytes")
        .body(Empty::<Bytes>::new())
        .expect("the request is well formed");
    let asking = async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(io::Error::other)
    };
    beside(asking, connection.with_upgrades()).await
}

async fn server(link: Transport) -> io::Result<TokioIo<Upgraded>> {
    let (give, given) = tokio::sync::oneshot::channel();
    let give = std::sync::Mutex::new(Some(give));
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let give = give.lock().expect("nobody panics with it").take().expect("one request comes");
        // Its receiver is below.
        let _ = give.send(hyper::upgrade::on(request));
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "bytes")
            .body(Empty::<Bytes>::new())
            .expect("the response is well formed");
        async { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(link), service);
    let upgrading = async {
        let upgrade = given.await.map_err(io::Error::other)?;
        upgrade.await.map(TokioIo::new).map_err(io::Error::other)
    };
    beside(upgrading, connection.with_upgrades()).await
}

/// What `wanted` gives, while `connection` is driven in the same task.
async fn beside<T>(
    wanted: impl Future<Output = io::Result<T>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> io::Result<T> {
    let driving = async {
        match connection.await {
            Ok(()) => pending().await,
            Err(error) => Err(io::Error::other(error)),
        }
    };
    let (mut wanted, mut driving) = (pin!(wanted), pin!(driving));
    poll_fn(|cx| {
        if let Poll::Ready(failed) = driving.as_mut().poll(cx) {
            return Poll::Ready(failed);
        }
        wanted.as_mut().poll(cx)
    })
    .await
}

fn tcp() -> Report {
    let runtime = runtime();
    let sockets = Rc::clone(&runtime);
    on(&runtime).pair(move |_, _| {
        let _context = sockets.enter();
        connected().expect("the loopback interface takes connections")
    })
}

fn unix() -> Report {
    let runtime = runtime();
    let sockets = Rc::clone(&runtime);
    on(&runtime).pair(move |_, _| {
        let _context = sockets.enter();
        UnixStream::pair().expect("a pair of sockets")
    })
}

fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let near = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    Ok((registered(near)?, registered(far)?))
}

fn registered(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

fn runtime() -> Rc<Runtime> {
    Rc::new(Builder::new_current_thread().enable_all().build().expect("a runtime of one thread"))
}

/// A check of sockets: the kernel leaves little to the schedule, and each rest takes time.
fn on(runtime: &Rc<Runtime>) -> Check {
    let runtime = Rc::clone(runtime);
    let park = move |woken| {
        // Past the bound nothing comes any more: on loopback, what was sent is there at once.
        let _waited = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(30), woken).await });
    };
    Check::new().depth(1).deviations(2).random_runs(2).fill_limit(32 << 20).step_bound(200_000).park(park)
}
