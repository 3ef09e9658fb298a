//! Peers that leave without a close_notify, which most HTTP clients and many servers do.

use crate::setup::{Client, EACH, Http, Stop, body, message, serve, sessions, within};
use bytes::Bytes;
use closenotify::{Linger, ReadError, ReceivedEnding, SentEnding, TlsStream, TruncatedAt, Truncation, is_truncation};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use testkit::certs::TlsVersion;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const TRUNCATED: ReceivedEnding = ReceivedEnding::Truncated { at: TruncatedAt::Boundary };

/// rustls issue 1635: a server that logs an error at every end of curl. With `AsEof` the server says its own goodbye over
/// HTTP/2, too. The ending says the truth in each case.
/// docs/cases.md R16, R60
#[tokio::test]
async fn an_idle_client_that_leaves_without_close_notify_is_an_ordinary_end_where_we_say_so() {
    for (http, version) in EACH {
        for truncation in [Truncation::AsEof, Truncation::Error] {
            let (client, mut server) = sessions(version).await;
            server.set_truncation(truncation);
            let (io, at_server) = server.close_on_shutdown(Linger::default());
            let serving =
                tokio::spawn(async move { serve(http, io, &Stop::default(), async |_| body(message(10))).await });
            let (rude, left) = Rude::new(client);
            let mut client = Client::new(http, rude).await;
            let answer = within("the answer", client.send(body(message(3)))).await.unwrap();
            assert_eq!(within("its body", answer.into_body().collect()).await.unwrap().to_bytes(), message(10));
            client.done().await.unwrap();
            let _still_open = within("the client", left).await.unwrap();
            let served = within("the server's connection", serving).await.unwrap();
            let ended = at_server.await;
            assert_eq!(ended.received, TRUNCATED, "{http:?} {truncation:?}");
            // Neither takes it for an error between two requests; but over HTTP/2 the stream is dropped after a failed read.
            assert!(served.is_ok(), "{http:?} {truncation:?}: {served:?}");
            let dropped = http == Http::Two && truncation == Truncation::Error;
            assert_eq!(ended.sent, if dropped { SentEnding::Aborted } else { SentEnding::CloseNotify });
        }
    }
}

/// reqwest issue 2802: an answer that is complete by its own framing is whole, whatever its server does then.
/// docs/cases.md R18, L16
#[tokio::test]
async fn an_answer_with_a_length_is_whole_though_its_server_leaves_without_close_notify() {
    for version in TlsVersion::EACH {
        for truncation in [Truncation::AsEof, Truncation::Error] {
            for answer in
                ["content-length: 6\r\n\r\nanswer", "transfer-encoding: chunked\r\n\r\n6\r\nanswer\r\n0\r\n\r\n"]
            {
                let (mut client, mut server) = sessions(version).await;
                client.set_truncation(truncation);
                let (io, at_client) = client.close_on_shutdown(Linger::default());
                let mut client = Client::new(Http::One, io).await;
                let serving = async {
                    assert_ne!(server.read(&mut [0; 1000]).await.unwrap(), 0);
                    server.write_all(format!("HTTP/1.1 200 OK\r\n{answer}").as_bytes()).await.unwrap();
                    server.flush().await.unwrap();
                    server.get_mut().0.shutdown().await.unwrap();
                };
                let asking = async { client.send(body(message(3))).await.unwrap().collect().await };
                let (whole, ()) = tokio::join!(within("the answer", asking), serving);
                assert_eq!(whole.unwrap().to_bytes(), "answer");
                let done = client.done().await;
                assert!(done.is_ok() || is_truncation(&done.unwrap_err()), "{truncation:?}");
                let mut rest = Vec::new();
                let end = within("the client's close", server.read_to_end(&mut rest)).await;
                drop(server);
                let ended = within("the client's ending", at_client).await;
                assert_eq!(ended.received, TRUNCATED);
                assert_eq!(end.is_ok(), ended.sent.is_clean(), "{end:?} {ended:?}");
            }
        }
    }
}

/// Over HTTP/2 the connection ends between two frames, and the answer's own end has not come.
#[tokio::test]
async fn an_http_2_answer_that_is_cut_is_an_error_and_the_ending_says_why() {
    for version in TlsVersion::EACH {
        for truncation in [Truncation::AsEof, Truncation::Error] {
            let (mut client, server) = sessions(version).await;
            client.set_truncation(truncation);
            let (io, at_client) = client.close_on_shutdown(Linger::default());
            let (rude, left) = Rude::new(server);
            let serving = tokio::spawn(async move {
                let endless = async |_| {
                    let chunks = futures_util::stream::pending::<Result<Frame<Bytes>, hyper::Error>>();
                    StreamBody::new(chunks).boxed()
                };
                serve(Http::Two, rude, &Stop::default(), endless).await
            });
            let mut client = Client::new(Http::Two, io).await;
            let answer = within("the answer", client.send(body(message(3)))).await.unwrap();
            serving.abort();
            let _still_open = within("the server", left).await.unwrap();
            let error = within("its body", answer.into_body().collect()).await.unwrap_err();
            // h2 copies the kind and the text of a failed read, so its type is lost, and the ending is what is left.
            assert!(ReadError::find(&error).is_none(), "{error:?}");
            let _ = client.done().await;
            assert_eq!(within("the client's ending", at_client).await.received, TRUNCATED);
        }
    }
}

/// A stream that leaves without a close_notify: its shutdown and its drop are a bare FIN. The socket stays open behind it, so
/// that no reset comes in between.
struct Rude {
    stream: Option<TlsStream<TcpStream>>,
    left: Option<oneshot::Sender<TlsStream<TcpStream>>>,
}

impl Rude {
    fn new(stream: impl Into<TlsStream<TcpStream>>) -> (Self, oneshot::Receiver<TlsStream<TcpStream>>) {
        let (left, receiver) = oneshot::channel();
        (Self { stream: Some(stream.into()), left: Some(left) }, receiver)
    }

    fn stream(&mut self) -> Pin<&mut TlsStream<TcpStream>> {
        Pin::new(self.stream.as_mut().unwrap())
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        let mut stream = self.stream.take().unwrap();
        let fin = Pin::new(stream.get_mut().0).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        assert!(fin.is_ready(), "a socket is shut down at once");
        let _ = self.left.take().unwrap().send(stream);
    }
}

impl AsyncRead for Rude {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Rude {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }
}
