//! Over libraries that are built from source: tokio-boring and s2n-tls-tokio.

use crate::tls;
use crate::transport::{Knobs, Transport, pair, poll_write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use streams::tls::heavy::{boring_contexts, s2n_config};

type Boring = tokio_boring::SslStream<Transport>;
type S2n = s2n_tls_tokio::TlsStream<Transport>;

async fn boring() -> (Boring, Boring, Arc<Knobs>) {
    let (near, far, knobs) = pair();
    let (connector, acceptor) = boring_contexts();
    let configuration = connector.configure().unwrap();
    let (client, server) =
        tokio::join!(tokio_boring::connect(configuration, "localhost", near), tokio_boring::accept(&acceptor, far));
    (client.unwrap(), server.unwrap(), knobs)
}

async fn s2n() -> (S2n, S2n, Arc<Knobs>) {
    let (near, far, knobs) = pair();
    let config = s2n_config("default_tls13");
    let connector = s2n_tls_tokio::TlsConnector::new(config.clone());
    let acceptor = s2n_tls_tokio::TlsAcceptor::new(config);
    let (client, server) = tokio::try_join!(connector.connect("localhost", near), acceptor.accept(far)).unwrap();
    (client, server, knobs)
}

#[tokio::test]
async fn tokio_boring_does_not_shut_its_transport_down_until_the_peer_ends() {
    let (client, _server, knobs) = boring().await;
    tls::transport_is_not_shut_down_until_the_peer_ends(client, &knobs);
}

#[tokio::test]
async fn tokio_boring_second_shutdown_waits_for_the_peer() {
    let (client, _server, _) = boring().await;
    tls::second_shutdown_waits_for_the_peer(client);
}

#[tokio::test]
async fn tokio_boring_shorter_write_behind_a_dropped_one_fails() {
    let (client, server, _) = boring().await;
    tls::shorter_write_behind_a_dropped_one_fails(client, server).await;
}

#[tokio::test]
async fn tokio_boring_dropped_write_arrives_in_place_of_the_next() {
    let (client, server, _) = boring().await;
    tls::dropped_write_arrives_in_place_of_the_next(client, server).await;
}

#[tokio::test]
async fn s2n_shorter_write_behind_a_dropped_one_fails() {
    let (client, server, _) = s2n().await;
    tls::shorter_write_behind_a_dropped_one_fails(client, server).await;
}

#[tokio::test]
async fn s2n_dropped_write_arrives_in_place_of_the_next() {
    let (client, server, _) = s2n().await;
    tls::dropped_write_arrives_in_place_of_the_next(client, server).await;
}

#[tokio::test]
async fn s2n_asks_again_within_one_poll_as_long_as_a_write_takes_nothing() {
    let (mut client, _server, knobs) = s2n().await;
    knobs.zero_writes.store(1000, Relaxed);
    assert!(poll_write(&mut client, b"hello").is_ready(), "the last of the writes fails");
    assert_eq!(knobs.writes.load(Relaxed), 1000);
}
