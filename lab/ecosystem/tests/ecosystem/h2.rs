//! h2 itself, without hyper.

use crate::setup::{BIG, assert_clean, message, sessions, within};
use bytes::Bytes;
use closenotify::Linger;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use std::future::poll_fn;
use testkit::certs::TlsVersion;

#[tokio::test]
async fn h2_carries_big_bodies_both_ways_and_both_sides_end_clean() {
    for version in TlsVersion::EACH {
        let (client, server) = sessions(version).await;
        let (client, at_client) = client.close_on_shutdown(Linger::default());
        let (server, at_server) = server.close_on_shutdown(Linger::default());
        let serving = tokio::spawn(async move {
            let mut connection = h2::server::handshake(server).await.unwrap();
            let mut echoes = Vec::new();
            while let Some(request) = connection.accept().await {
                let (request, mut respond) = request.unwrap();
                echoes.push(tokio::spawn(async move {
                    let body = receive(request.into_body()).await;
                    send(respond.send_response(Response::new(()), false).unwrap(), body).await;
                }));
            }
            for echo in echoes {
                echo.await.unwrap();
            }
        });
        let (requests, connection) = h2::client::handshake(client).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut requests = requests.ready().await.unwrap();
        let request = Request::post("https://localhost/").body(()).unwrap();
        let (response, upload) = requests.send_request(request, false).unwrap();
        let receiving = async { receive(response.await.unwrap().into_body()).await };
        let ((), echo) = within("the echo", async { tokio::join!(send(upload, message(BIG)), receiving) }).await;
        assert!(echo == message(BIG), "{version:?}: {} bytes", echo.len());
        drop(requests); // no more of them, so h2 says goodbye and shuts the stream down
        within("the client's connection", connection).await.unwrap().unwrap();
        within("the server", serving).await.unwrap();
        assert_clean("client", &within("the client's ending", at_client).await);
        assert_clean("server", &within("the server's ending", at_server).await);
    }
}

async fn send(mut stream: SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        let part = body.split_to(capacity.min(body.len()));
        stream.send_data(part, body.is_empty()).unwrap();
    }
}

async fn receive(mut stream: RecvStream) -> Bytes {
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part.unwrap();
        stream.flow_control().release_capacity(part.len()).unwrap();
        body.extend_from_slice(&part);
    }
    body.into()
}
