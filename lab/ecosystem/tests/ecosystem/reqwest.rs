//! reqwest, whose TLS is tokio-rustls, as the client of a server of ours.

use crate::setup::{BIG, acceptor, authority, message, within};
use bytes::Bytes;
use closenotify::{Ended, Linger, SentEnding, Truncation, is_truncation};
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

fn client(tls: TlsVersion, alpn: &str) -> reqwest::Client {
    let mut config = closenotify::rustls::ClientConfig::clone(&authority().client_config(tls));
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_big_echo_arrives_complete_at_reqwest() {
    for (alpn, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        for tls in TlsVersion::EACH {
            let (address, serving) = echo_once(tls, alpn).await;
            let client = client(tls, alpn);
            let sending = client.post(format!("https://{address}/")).body(message(BIG)).send();
            let response = within("the response", sending).await.unwrap();
            assert_eq!(response.version(), version);
            assert!(within("its body", response.bytes()).await.unwrap() == message(BIG), "{alpn} {tls:?}");
            drop(client);
            let ended = within("the server", serving).await.unwrap();
            assert_eq!(ended.sent, SentEnding::CloseNotify, "{alpn} {tls:?}: {ended}");
        }
    }
}

/// A response without a length is complete at a close_notify alone, also for reqwest.
#[tokio::test]
async fn a_response_without_a_length_is_complete_for_reqwest_after_our_close_alone() {
    for tls in TlsVersion::EACH {
        for close in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serving = tokio::spawn(async move {
                let mut stream = acceptor(tls, &[]).accept(listener.accept().await.unwrap().0).await.unwrap();
                assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbody").await.unwrap();
                stream.flush().await.unwrap();
                if close {
                    stream.close(Linger::default()).await;
                }
            });
            let response = within("the response", client(tls, "http/1.1").get(format!("https://{address}/")).send())
                .await
                .unwrap();
            let body = within("its body", response.text()).await;
            assert_eq!(body.is_ok(), close, "{tls:?}: {body:?}");
            // Not an error of ours: reqwest reads by tokio-rustls.
            assert!(body.map_or_else(|error| !is_truncation(&error), |body| body == "body"));
            within("the server", serving).await.unwrap();
        }
    }
}

async fn echo_once(tls: TlsVersion, alpn: &'static str) -> (SocketAddr, JoinHandle<Ended>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = acceptor(tls, &[alpn]).truncation(Truncation::AsEof);
        let (io, ended) = acceptor.accept(tcp).await.unwrap().close_on_shutdown(Linger::default());
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().half_close(true);
        let _ = builder.serve_connection(TokioIo::new(io), service_fn(echo)).await;
        ended.await
    });
    (address, serving)
}

async fn echo(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}
