//! An HTTP/1.1 and HTTP/2 server of hyper whose graceful shutdown loses nothing, and that says how each session ended.
//!
//! `cargo run -p closenotify --example hyper_server`, then the curl line that it prints, then Ctrl-C.
//!
//! hyper takes the stream over and ends it by a shutdown and a drop. Its `without_shutdown` and `into_parts` would give the
//! stream back, but not what hyper had not written yet. So it gets a stream whose shutdown is a whole close.

#![expect(clippy::print_stdout, reason = "an example talks")]

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
use testkit::certs::{Authority, TlsVersion};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a graceful shutdown waits for requests to be done. The close behind them has a bound of its own.
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Yours comes from files; this one is made up and trusted by nobody.
    let mut config = rustls::ServerConfig::clone(&Authority::new().server_config(TlsVersion::Both));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A request has a length, so a client that leaves without close_notify, as curl does, cuts nothing off unnoticed.
    let acceptor = TlsAcceptor::from(Arc::new(config)).truncation(Truncation::AsEof);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("curl -k https://{}/", listener.local_addr()?);

    let graceful = GracefulShutdown::new();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => drop(sessions.spawn(session(tcp, acceptor.clone(), graceful.watcher()))),
                Err(error) => println!("no connection: {error}"),
            },
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
        println!("not everything was done after {DRAIN:?}; what is unfinished is cut off, and looks so to its clients");
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
    let stream = acceptor.accept(tcp).await?; // has a deadline of 10 s
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(io), service_fn(answer));
    // An error here is about a connection that ends, too, and the ending says more.
    let _ = watcher.watch(connection.into_owned()).await;
    Ok(ended.await)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(format!("{:?} {}\n", request.version(), request.uri().path()).into()))
}
