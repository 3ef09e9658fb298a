//! gRPC by tonic: a unary and a streaming method, client and server over our streams, and what the feature `tonic` adds.

use crate::setup::{acceptor, assert_clean, authority, connector, within};
use ::tonic::transport::server::TcpConnectInfo;
use ::tonic::transport::{Endpoint, Server, Uri};
use ::tonic::{Request, Status};
use closenotify::{Linger, TlsAcceptor, TlsConnectInfo};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::certs::TlsVersion;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

const SERVICE: &str = "a.service";

#[tokio::test]
async fn unary_and_streaming_calls_of_tonic_work_and_both_sides_end_clean() {
    for tls in TlsVersion::EACH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, mut endings) = mpsc::unbounded_channel();

        let reporter = HealthReporter::new();
        reporter.set_service_status(SERVICE, ServingStatus::Serving).await;
        let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let (at_server, acceptor) = (told.clone(), acceptor(tls, &["h2"]));
        let incoming = futures_util::stream::unfold(listener, move |listener| {
            let (acceptor, told) = (acceptor.clone(), at_server.clone());
            async move {
                let (tcp, _) = listener.accept().await.unwrap();
                let stream = acceptor.accept(tcp).await.unwrap();
                let (io, ended) = stream.close_on_shutdown(Linger::default());
                told.send(("server", ended)).unwrap();
                Some((io::Result::Ok(io), listener))
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, stopped).await
        });

        let connect = tower::service_fn(move |_: Uri| {
            let told = told.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let stream = connector(tls, &["h2"]).connect("localhost".try_into().unwrap(), tcp).await?;
                let (io, ended) = stream.close_on_shutdown(Linger::default());
                told.send(("client", ended)).unwrap();
                io::Result::Ok(TokioIo::new(io))
            }
        });
        let channel = Endpoint::from_static("https://localhost").connect_with_connector(connect).await.unwrap();
        let mut client = HealthClient::new(channel);
        let asked = || HealthCheckRequest { service: SERVICE.to_owned() };
        let unary = within("the unary call", client.check(asked())).await.unwrap();
        assert_eq!(unary.into_inner().status, ServingStatus::Serving as i32);

        let mut stream = within("the stream", client.watch(asked())).await.unwrap().into_inner();
        for round in 0..100 {
            let status = if round % 2 == 0 { ServingStatus::Serving } else { ServingStatus::NotServing };
            if round > 0 {
                reporter.set_service_status(SERVICE, status).await;
            }
            let message = within("a message", stream.message()).await.unwrap().unwrap();
            assert_eq!(message.status, status as i32, "{tls:?} message {round}");
        }
        drop((stream, client));
        stop.send(()).unwrap();
        within("the server", serving).await.unwrap().unwrap();
        for _ in 0..2 {
            let (side, ended) = within("a session", endings.recv()).await.unwrap();
            assert_clean(side, &within("its ending", ended).await);
        }
    }
}

/// A service sees who called: the address, and the certificate.
#[tokio::test]
async fn a_tonic_service_finds_the_clients_address_and_certificate() {
    for tls in TlsVersion::EACH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(authority().server_config_requiring_client(tls));
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let leaf = authority().issue_client("client.test");
        let expected = leaf.chain();
        let check = move |request: Request<()>| {
            assert_eq!(request.remote_addr(), None, "only tonic can make what that looks for");
            let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
            let info = info.ok_or_else(|| Status::internal("nothing is known of the connection"))?;
            assert!(info.get_ref().remote_addr().is_some_and(|peer| peer.ip() == address.ip()), "{info:?}");
            assert_eq!(info.facts().peer_certificates().unwrap(), expected);
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(request)
        };
        let reporter = HealthReporter::new();
        let service = HealthServer::with_interceptor(HealthService::from_health_reporter(reporter), check);
        let incoming = futures_util::stream::unfold((listener, acceptor), async |(listener, acceptor)| {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await;
            Some((stream, (listener, acceptor)))
        });
        let serving = tokio::spawn(async move {
            Server::builder().add_service(service).serve_with_incoming(Box::pin(incoming)).await
        });
        let config = authority().client_config_with(tls, &leaf);
        let connect = tower::service_fn(move |_: Uri| {
            let connector = closenotify::TlsConnector::from(Arc::clone(&config));
            async move {
                let tcp = TcpStream::connect(address).await?;
                io::Result::Ok(TokioIo::new(connector.connect("localhost".try_into().unwrap(), tcp).await?))
            }
        });
        let channel = Endpoint::from_static("https://localhost").connect_with_connector(connect).await.unwrap();
        let asked = HealthCheckRequest { service: String::new() };
        within("the call", HealthClient::new(channel).check(asked)).await.unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        serving.abort();
    }
}
