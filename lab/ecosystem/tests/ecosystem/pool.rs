//! hyper-util's pooling client over a connector of ours, and what the feature `hyper-util` adds: the client knows that HTTP/2
//! was negotiated.

use crate::setup::{acceptor, assert_clean, connector, within};
use bytes::Bytes;
use closenotify::{CloseOnShutdown, Linger, WhenEnded};
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::certs::TlsVersion;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, mpsc};

/// The barrier lets nobody pass before both requests are being served: over HTTP/1.1 that takes two connections, and over
/// HTTP/2 one does.
#[tokio::test]
async fn two_requests_at_a_time_share_a_connection_when_http_2_was_negotiated() {
    for (alpn, version, connections) in [("h2", Version::HTTP_2, 1), ("http/1.1", Version::HTTP_11, 2)] {
        for tls in TlsVersion::EACH {
            let (told, mut endings) = mpsc::unbounded_channel();
            let address = serve(tls, alpn, told.clone()).await;
            let connect = tower::service_fn(move |_: Uri| Box::pin(connect(address, tls, alpn, told.clone())));
            let client = Client::builder(TokioExecutor::new()).build(connect);
            let uri = format!("https://localhost:{}/", address.port());
            // Over HTTP/2 the pool lets the second wait for the first connection only when it knows that it will be HTTP/2.
            let warm = client.request(request(&uri, "alone")).await.unwrap();
            assert_eq!(
                (warm.version(), warm.into_body().collect().await.unwrap().to_bytes()),
                (version, "alone".into())
            );
            let both = async {
                tokio::try_join!(client.request(request(&uri, "pair")), client.request(request(&uri, "pair")))
            };
            let (one, two) = within("both responses", both).await.unwrap();
            for response in [one, two] {
                assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "pair");
            }
            drop(client);
            let mut sides = Vec::new();
            for _ in 0..2 * connections {
                let (side, ended): (&str, WhenEnded) = within("a session", endings.recv()).await.unwrap();
                assert_clean(side, &within("its ending", ended).await);
                sides.push(side);
            }
            assert_eq!(sides.iter().filter(|side| **side == "client").count(), connections, "{alpn} {tls:?}");
            assert!(endings.is_empty(), "{alpn} {tls:?}: there were more connections");
        }
    }
}

type Told = mpsc::UnboundedSender<(&'static str, WhenEnded)>;

fn request(uri: &str, what: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("{uri}{what}")).body(Empty::new()).unwrap()
}

/// A connector in the six lines that a user writes: the trait of the pool is implemented for what it returns.
async fn connect(
    address: SocketAddr,
    tls: TlsVersion,
    alpn: &str,
    told: Told,
) -> io::Result<TokioIo<CloseOnShutdown<TcpStream>>> {
    let tcp = TcpStream::connect(address).await?;
    let stream = connector(tls, &[alpn]).connect("localhost".try_into().unwrap(), tcp).await?;
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    told.send(("client", ended)).unwrap();
    Ok(TokioIo::new(io))
}

async fn serve(tls: TlsVersion, alpn: &str, told: Told) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (acceptor, pair) = (acceptor(tls, &[alpn]), Arc::new(Barrier::new(2)));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(tcp).await.unwrap();
            let (io, ended) = stream.close_on_shutdown(Linger::default());
            let pair = Arc::clone(&pair);
            let respond = move |request: Request<Incoming>| {
                let pair = Arc::clone(&pair);
                async move {
                    let what = request.uri().path().trim_start_matches('/').to_owned();
                    if what == "pair" {
                        pair.wait().await;
                    }
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(what))))
                }
            };
            // A client that ran out of senders has gone, and so has whom to tell.
            let _ = told.send(("server", ended));
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service_fn(respond)).await
            });
        }
    });
    address
}
