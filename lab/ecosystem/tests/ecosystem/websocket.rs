//! WebSockets by tokio-tungstenite. Its close ends the WebSocket and not the connection: the stream is to be taken back and
//! closed.

use crate::setup::{BIG, Sessions, assert_clean, message, sessions, within};
use closenotify::{Linger, ReceivedEnding, is_truncation};
use futures_util::{SinkExt as _, StreamExt as _};
use testkit::certs::TlsVersion;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

type Client = WebSocketStream<closenotify::client::TlsStream<TcpStream>>;
type Server = WebSocketStream<closenotify::server::TlsStream<TcpStream>>;

async fn websockets(version: TlsVersion) -> (Client, Server) {
    let (client, server): Sessions = sessions(version).await;
    let (client, server) = tokio::join!(
        tokio_tungstenite::client_async("wss://localhost/", client),
        tokio_tungstenite::accept_async(server)
    );
    (client.unwrap().0, server.unwrap())
}

#[tokio::test]
async fn after_a_websocket_close_the_stream_is_taken_back_and_ends_clean() {
    for version in TlsVersion::EACH {
        let (mut client, mut server) = websockets(version).await;
        let asking = async {
            client.send(Message::Binary(message(BIG))).await.unwrap();
            let echo = client.next().await.unwrap().unwrap();
            assert!(echo.into_data() == message(BIG));
            client.close(None).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().is_close());
            assert!(client.next().await.is_none());
            client.into_inner().close(Linger::default()).await
        };
        let echoing = async {
            while let Some(message) = server.next().await {
                match message.unwrap() {
                    Message::Close(_) => {} // tungstenite replies
                    other => server.send(other).await.unwrap(),
                }
            }
            // A WebSocket client waits for the end of the connection, which is the server's to begin (RFC 6455 section 7.1.1).
            assert!(server.get_ref().sent_ending().is_none(), "the WebSocket is closed, and the session is not");
            server.into_inner().close(Linger::default()).await
        };
        let (client, server) = within("both sides", async { tokio::join!(asking, echoing) }).await;
        assert_clean("client", &client);
        assert_clean("server", &server);
    }
}

/// What happens without the close of the stream: a drop is an abort, and the other side can tell.
#[tokio::test]
async fn a_websocket_that_is_dropped_after_its_close_leaves_the_session_truncated() {
    for version in TlsVersion::EACH {
        let (mut client, mut server) = websockets(version).await;
        client.close(None).await.unwrap();
        let close = within("the close", server.next()).await.unwrap().unwrap();
        assert!(close.is_close());
        within("the reply", server.flush()).await.unwrap();
        assert!(within("the reply", client.next()).await.unwrap().unwrap().is_close());
        drop(client);
        let ended = within("the end", server.into_inner().close(Linger::default())).await;
        assert!(matches!(ended.received, ReceivedEnding::Truncated { .. }), "{ended}");
    }
}

#[tokio::test]
async fn a_truncated_websocket_is_told_from_a_closed_one_through_tungstenites_error() {
    for version in TlsVersion::EACH {
        let (mut client, server) = websockets(version).await;
        drop(server);
        let error = within("the end", client.next()).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Io(_)) && is_truncation(&error), "{error:?}");
    }
}
