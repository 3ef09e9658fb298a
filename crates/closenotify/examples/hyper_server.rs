//! An HTTP/1.1 and HTTP/2 server with hyper that meets every case of `closenotify check server`.
//!
//! `cargo run -p closenotify --example hyper_server [ADDR CERT KEY]`, then the curl line that it prints, then Ctrl-C: requests
//! that were being served get their complete responses. It prints how each session ended.
//!
//! Three things matter here:
//!
//! - `half_close(true)`: a client may send its close_notify right after the request (RFC 9846 section 6.1). By default hyper
//!   takes that for a disconnect and drops the response.
//! - `close_on_shutdown`: hyper ends a connection with a shutdown and a drop. With this stream the shutdown is a complete close,
//!   so that a reset cannot destroy the end of a response.
//! - `accept` pauses after an error, so that a process without free descriptors does not spin.

#![expect(clippy::print_stdout, reason = "an example talks")]

mod shared;

use closenotify::{Ended, Linger, TlsAcceptor, Truncation};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a graceful shutdown waits for requests to finish.
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (addr, config) = shared::arguments()?;
    // An HTTP request frames itself, so a client that leaves without close_notify, as curl does, truncates nothing unnoticed.
    let acceptor = TlsAcceptor::from(Arc::new(config)).truncation(Truncation::AsEof);

    let listener = TcpListener::bind(addr).await?;
    println!("curl -k https://{}/", listener.local_addr()?);

    let graceful = GracefulShutdown::new();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            (tcp, _) = shared::accept(&listener, |error| println!("no connection: {error}")) => {
                sessions.spawn(session(tcp, acceptor.clone(), graceful.watcher()));
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

async fn session(tcp: TcpStream, acceptor: TlsAcceptor, watcher: Watcher) {
    match serve(tcp, acceptor, watcher).await {
        Ok(ended) => println!("{ended}"),
        Err(error) => println!("no session: {error}"),
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, watcher: Watcher) -> std::io::Result<Ended> {
    let stream = acceptor.accept(tcp).lingering(Linger::default()).await?; // has a deadline of 10 s
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().half_close(true);
    let connection = builder.serve_connection(TokioIo::new(io), service_fn(respond));
    // An error here is about a connection that ends, too, and the ending tells more.
    let _ = watcher.watch(connection.into_owned()).await;
    Ok(ended.await)
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let page = match request.uri().path() {
        "/big" => "a".repeat(600_000),
        path => format!("{:?} {path}\n", request.version()),
    };
    Ok(Response::new(page.into()))
}
