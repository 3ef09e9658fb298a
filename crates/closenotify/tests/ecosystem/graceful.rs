//! A server that is told to stop while a request is being answered loses no byte of the answer.

use crate::setup::{BIG, Client, EACH, Http, Stop, assert_clean, body, message, serve, sessions, within};
use closenotify::Linger;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

/// hyper issue 3792: a TLS client got no answer at a graceful shutdown, where a plain one did.
/// docs/cases.md R48
#[tokio::test]
async fn an_answer_that_begins_after_the_stop_arrives_whole() {
    for (http, version) in EACH {
        let (client, server) = sessions(version).await;
        let (io, at_server) = server.close_on_shutdown(Linger::default());
        let (stop, asked) = (Arc::new(Stop::default()), Arc::new(Notify::new()));
        let (go, going) = (Arc::clone(&stop), Arc::new(Notify::new()));
        let at_handler = (Arc::clone(&asked), Arc::clone(&going));
        let serving = tokio::spawn(async move {
            serve(http, io, &go, move |_| {
                let (asked, going) = at_handler.clone();
                async move {
                    asked.notify_one();
                    going.notified().await;
                    body(message(BIG))
                }
            })
            .await
        });
        let (io, at_client) = client.close_on_shutdown(Linger::default());
        let mut client = Client::new(http, io).await;
        let stopping = async {
            within("the request", asked.notified()).await;
            stop.now.notify_one();
            within("the server to hear it", stop.heard.notified()).await;
            going.notify_one();
        };
        let (answer, ()) = tokio::join!(within("the answer", client.send(body(message(10)))), stopping);
        let received = within("its body", answer.unwrap().into_body().collect()).await.unwrap().to_bytes();
        assert!(received == message(BIG), "{http:?} {version:?}: {} bytes", received.len());
        // The server closes, so the client's connection is done though it could have had more requests.
        within("the client's connection", &mut client.connection).await.unwrap().unwrap();
        within("the server's connection", serving).await.unwrap().unwrap();
        assert_clean("client", &within("the client's ending", at_client).await);
        assert_clean("server", &within("the server's ending", at_server).await);
    }
}

/// docs/cases.md R53, V07
#[tokio::test]
async fn an_idle_client_is_told_goodbye_at_the_stop() {
    for (http, version) in EACH {
        let (client, server) = sessions(version).await;
        let (io, at_server) = server.close_on_shutdown(Linger::default());
        let stop = Arc::new(Stop::default());
        let go = Arc::clone(&stop);
        let serving = tokio::spawn(async move { serve(http, io, &go, async |_| body(message(3))).await });
        let (io, at_client) = client.close_on_shutdown(Linger::default());
        let mut client = Client::new(http, io).await;
        let answer = within("the answer", client.send(body(message(3)))).await.unwrap();
        within("its body", answer.into_body().collect()).await.unwrap();
        stop.now.notify_one();
        within("the client's connection", &mut client.connection).await.unwrap().unwrap();
        within("the server's connection", serving).await.unwrap().unwrap();
        assert_clean("client", &within("the client's ending", at_client).await);
        assert_clean("server", &within("the server's ending", at_server).await);
    }
}

/// The early answer: the handler does not read the upload, and the client sends all of it before it reads. A socket that was
/// closed over the unread upload would be reset, and the answer destroyed.
/// docs/cases.md N04
#[tokio::test]
async fn an_answer_given_without_reading_the_upload_arrives_whole() {
    for version in TlsVersion::EACH {
        let (mut client, server) = sessions(version).await;
        let (io, at_server) = server.close_on_shutdown(Linger::default());
        let serving =
            tokio::spawn(async move { serve(Http::One, io, &Stop::default(), async |_| body(message(100_000))).await });
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BIG}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        within("room for the upload", client.write_all(&message(BIG))).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within("the answer", client.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.ends_with(&message(100_000)), "{} bytes", answer.len());
        assert_clean("client", &client.close(Linger::default()).await);
        let ended = within("the server's ending", at_server).await;
        assert_clean("server", &ended);
        assert!(ended.discarded > 1 << 20, "the upload went by unread: {}", ended.discarded);
        within("the server's connection", serving).await.unwrap().unwrap();
    }
}
