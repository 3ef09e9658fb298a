//! An axum router over TLS that meets every case of `closenotify check server`, HTTP/1.1 and HTTP/2.
//!
//! `cargo run -p closenotify --example axum_server [ADDR CERT KEY]`, then the curl lines that it prints, then Ctrl-C: the slow
//! response, requested before the Ctrl-C, arrives complete. It prints how each session ended.
//!
//! Not `axum::serve`: it has no way to set `half_close(true)`, and without that hyper drops the response to a client that
//! sends its close_notify right after the request. hyper-util serves the same router, and `hyper_server.rs` lists what
//! else matters.

#![expect(clippy::print_stdout, reason = "an example talks")]

mod shared;

use axum::Router;
use axum::routing::get;
use closenotify::{Linger, TlsAcceptor, Truncation};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a graceful shutdown waits for requests to finish.
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (addr, config) = shared::arguments()?;
    // An HTTP request frames itself, so a client that leaves without close_notify, as curl does, truncates nothing unnoticed.
    let acceptor = TlsAcceptor::from(Arc::new(config)).truncation(Truncation::AsEof);

    let listener = TcpListener::bind(addr).await?;
    let address = listener.local_addr()?;
    println!("curl -k https://{address}/\ncurl -k https://{address}/slow");

    let router = Router::new()
        .route("/", get(async || "hello\n"))
        .route("/big", get(async || "a".repeat(600_000)))
        .route("/slow", get(slow));

    let graceful = GracefulShutdown::new();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            (tcp, peer) = shared::accept(&listener, |error| println!("no connection: {error}")) => {
                // The handshake is part of the task, so that a slow one holds nobody up.
                sessions.spawn(session(tcp, peer, acceptor.clone(), router.clone(), graceful.watcher()));
            }
            Some(_done) = sessions.join_next() => {}
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    drop(listener); // connections that come now are refused and can go elsewhere

    let drained = async {
        graceful.shutdown().await;
        while sessions.join_next().await.is_some() {}
    };
    if timeout(DRAIN, drained).await.is_err() {
        println!("not everything finished within {DRAIN:?}; the rest is truncated, and its clients can tell");
    }
    Ok(())
}

async fn slow() -> &'static str {
    sleep(Duration::from_secs(5)).await;
    "slow and complete\n"
}

async fn session(tcp: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, router: Router, watcher: Watcher) {
    let stream = match acceptor.accept(tcp).lingering(Linger::default()).await {
        Ok(stream) => stream,
        Err(error) => return println!("{peer}: no session: {error}"),
    };
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().half_close(true);
    let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    // An error here is about a connection that ends, too, and the ending tells more.
    let _ = watcher.watch(connection.into_owned()).await;
    println!("{peer}: {}", ended.await);
}
