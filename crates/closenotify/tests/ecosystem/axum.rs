//! `axum::serve` over a listener of ours: its graceful shutdown loses nothing and says goodbye.

use crate::setup::{BIG, Client, EACH, assert_clean, body, message, sessions, within};
use axum::Router;
use axum::routing::post;
use axum::serve::Listener;
use bytes::Bytes;
use closenotify::{CloseOnShutdown, Linger};
use http_body_util::BodyExt as _;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Has one session to give.
struct One(Option<CloseOnShutdown<TcpStream>>);

impl Listener for One {
    type Io = CloseOnShutdown<TcpStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        match self.0.take() {
            Some(io) => (io, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// docs/cases.md R39
#[tokio::test]
async fn a_graceful_shutdown_of_axum_delivers_the_answer_and_ends_clean() {
    for (http, version) in EACH {
        let (client, server) = sessions(version).await;
        let (io, at_server) = server.close_on_shutdown(Linger::default());
        let (asked, going, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let at_handler = (Arc::clone(&asked), Arc::clone(&going));
        let handler = move |upload: Bytes| {
            let (asked, going) = at_handler.clone();
            async move {
                asked.notify_one();
                going.notified().await;
                upload
            }
        };
        let router = Router::new().route("/", post(handler)).layer(axum::extract::DefaultBodyLimit::disable());
        let told = Arc::clone(&stop);
        let serving = tokio::spawn(async move {
            axum::serve(One(Some(io)), router).with_graceful_shutdown(async move { told.notified().await }).await
        });
        let (io, at_client) = client.close_on_shutdown(Linger::default());
        let mut client = Client::new(http, io).await;
        let stopping = async {
            within("the request", asked.notified()).await;
            stop.notify_one();
            going.notify_one();
        };
        let (answer, ()) = tokio::join!(within("the answer", client.send(body(message(BIG)))), stopping);
        let received = within("its body", answer.unwrap().into_body().collect()).await.unwrap().to_bytes();
        assert!(received == message(BIG), "{http:?} {version:?}: {} bytes", received.len());
        within("the client's connection", &mut client.connection).await.unwrap().unwrap();
        within("the server", serving).await.unwrap().unwrap();
        assert_clean("client", &within("the client's ending", at_client).await);
        assert_clean("server", &within("the server's ending", at_server).await);
    }
}
