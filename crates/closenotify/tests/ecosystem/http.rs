//! Requests and answers under hyper, HTTP/1.1 and HTTP/2: big bodies, half-closes, ends at once.

use crate::setup::{
    BIG, Body, CLEAN, Client, EACH, Stop, acceptor, assert_clean, body, connector, message, run, serve, sessions,
    within,
};
use closenotify::{Linger, is_truncation};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

/// docs/cases.md R52
#[tokio::test]
async fn big_bodies_go_both_ways_and_both_sides_end_clean() {
    for (http, version) in EACH {
        let (client, server) = sessions(version).await;
        let (io, at_server) = server.close_on_shutdown(Linger::default());
        let serving = tokio::spawn(async move {
            serve(http, io, &Stop::default(), async |request| request.into_body().boxed()).await
        });
        let (io, at_client) = client.close_on_shutdown(Linger::default());
        let mut client = Client::new(http, io).await;
        let sent = message(BIG);
        for round in 0..2 {
            let answer = within("the answer", client.send(body(sent.clone()))).await.unwrap();
            let received = within("its body", answer.into_body().collect()).await.unwrap().to_bytes();
            assert!(received == sent, "{http:?} {version:?} {round}: {} bytes", received.len());
        }
        client.done().await.unwrap();
        within("the server's connection", serving).await.unwrap().unwrap();
        assert_clean("client", &within("the client's ending", at_client).await);
        assert_clean("server", &within("the server's ending", at_server).await);
    }
}

/// hyper issue 3775: a client that closes at once must not make the server's own shutdown fail.
/// docs/cases.md R49
#[tokio::test]
async fn a_client_that_closes_at_once_is_no_error_at_the_server() {
    for (http, version) in EACH {
        for (round, whole_close) in [true, false].into_iter().cycle().take(20).enumerate() {
            let (client, server) = sessions(version).await;
            let (io, at_server) = server.close_on_shutdown(Linger::default());
            let serving =
                tokio::spawn(async move { serve(http, io, &Stop::default(), async |_| body(message(1000))).await });
            let at_client = if whole_close {
                let (io, at_client) = client.close_on_shutdown(Linger::default());
                let mut client = Client::new(http, io).await;
                assert_eq!(
                    client.send(body(message(10))).await.unwrap().collect().await.unwrap().to_bytes().len(),
                    1000
                );
                client.done().await.unwrap();
                Some(at_client)
            } else {
                let mut client = Client::new(http, client).await;
                assert_eq!(
                    client.send(body(message(10))).await.unwrap().collect().await.unwrap().to_bytes().len(),
                    1000
                );
                client.done().await.unwrap();
                None
            };
            let served = within("the server's connection", serving).await.unwrap();
            assert!(served.is_ok(), "{http:?} {version:?} {round}: {served:?}");
            assert_clean("server", &at_server.await);
            if let Some(at_client) = at_client {
                assert_clean("client", &at_client.await);
            }
        }
    }
}

/// hyper takes an end of reading for a client that is gone, unless it is told that half-closes are meant. Then a client that
/// ends its request by a close_notify gets its answer.
/// docs/cases.md R50
#[tokio::test]
async fn a_request_that_ends_by_a_half_close_is_answered_when_hyper_is_told_to() {
    for version in TlsVersion::EACH {
        for half_close in [true, false] {
            let (mut client, server) = sessions(version).await;
            let (io, at_server) = server.close_on_shutdown(Linger::default());
            let (asked, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let at_handler = (Arc::clone(&asked), Arc::clone(&closed));
            let serving = tokio::spawn(async move {
                let service = service_fn(|_| async {
                    at_handler.0.notify_one();
                    at_handler.1.notified().await;
                    Ok::<_, Infallible>(Response::new(body(message(BIG))))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .half_close(half_close)
                    .serve_connection(TokioIo::new(io), service);
                run(connection, &Stop::default()).await
            });
            client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
            client.flush().await.unwrap();
            within("the request", asked.notified()).await;
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            if half_close {
                closed.notify_one();
                within("the answer", client.read_to_end(&mut answer)).await.unwrap();
                assert!(answer.ends_with(&message(BIG)), "{} bytes", answer.len());
                within("the server", serving).await.unwrap().unwrap();
                assert_clean("client", &client.close(Linger::default()).await);
                assert_clean("server", &at_server.await);
            } else {
                let error = within("the server", serving).await.unwrap().unwrap_err();
                assert!(error.is_incomplete_message(), "{error:?}");
                let error = within("the end", client.read_to_end(&mut answer)).await.unwrap_err();
                assert!(
                    is_truncation(&error) && answer.is_empty(),
                    "an answer that never came is no clean end: {error:?}"
                );
                let ended = at_server.await;
                assert_eq!((ended.received.word(), ended.sent.word()), ("close_notify".into(), "aborted".into()));
            }
        }
    }
}

/// hyper issue 4085: a client that ends in the middle of its request's body. The connection's task is polled a few times.
/// docs/cases.md R47
#[tokio::test]
async fn a_body_that_is_cut_by_a_half_close_is_an_error_and_no_busy_loop() {
    for version in TlsVersion::EACH {
        for half_close in [true, false] {
            let (mut client, server) = sessions(version).await;
            let (io, at_server) = server.close_on_shutdown(Linger::default());
            client.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\ncut").await.unwrap();
            client.shutdown().await.unwrap();
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                request.into_body().collect().await.unwrap_err();
                Ok::<_, Infallible>(Response::new(body(message(3))))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .half_close(half_close)
                .serve_connection(TokioIo::new(io), service);
            let mut connection = pin!(connection);
            let mut polls = 0;
            let counted = poll_fn(|cx| {
                polls += 1;
                connection.as_mut().poll(cx)
            });
            let (result, ()) = tokio::join!(within("the end of the connection", counted), async {
                client.close(Linger::default()).await;
            });
            // What hyper makes of it is its own business; that it comes to an end is ours as well.
            assert!(polls <= 10, "{polls} polls: {result:?}");
            assert_eq!(at_server.await.received, CLEAN);
        }
    }
}

/// Why nobody should take the stream back from hyper in order to close it: what hyper had not written yet may stay with
/// hyper. When this fails, the page on `close_on_shutdown` needs another reason.
#[tokio::test]
async fn without_shutdown_hyper_gives_the_stream_back_without_what_it_had_not_written() {
    let (to_server, to_client) = tokio::io::duplex(1024);
    let connecting = connector(TlsVersion::V13).connect("localhost".try_into().unwrap(), to_server);
    let (client, server) = tokio::join!(connecting, acceptor(TlsVersion::V13).accept(to_client));
    let (mut client, server) = (client.unwrap(), server.unwrap());
    // An upload of which the handler wants to know nothing.
    let request = b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 9000\r\n\r\nupload";
    client.write_all(request).await.unwrap();
    client.shutdown().await.unwrap();
    let service = service_fn(|_| async { Ok::<_, Infallible>(Response::<Body>::new(body(message(300_000)))) });
    let connection =
        hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
    // Nobody reads meanwhile, so it cannot have written everything when it says that it is done.
    let parts = within("hyper", connection.without_shutdown()).await.unwrap();
    let mut answer = Vec::new();
    let closing = parts.io.into_inner().close(Linger::default());
    let (ended, read) = tokio::join!(closing, within("the answer", client.read_to_end(&mut answer)));
    read.unwrap();
    assert!(answer.len() < 300_000, "all of it has come, {} bytes", answer.len());
    assert_clean("though it looks whole, the server", &ended);
}
