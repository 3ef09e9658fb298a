//! `axum::serve` over TLS: a listener that hands it streams whose shutdown is a whole close.
//!
//! `cargo run -p closenotify --example axum_server`, then the curl lines that it prints, then Ctrl-C. The slow answer, asked
//! for before the Ctrl-C, arrives whole.

#![expect(clippy::print_stdout, reason = "an example talks")]

use axum::Router;
use axum::routing::get;
use axum::serve::Listener;
use closenotify::{CloseOnShutdown, Linger, TlsAcceptor, Truncation};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::certs::{Authority, TlsVersion};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Session = (CloseOnShutdown<TcpStream>, SocketAddr);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Yours comes from files; this one is made up and trusted by nobody.
    let mut config = rustls::ServerConfig::clone(&Authority::new().server_config(TlsVersion::Both));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A request has a length, so a client that leaves without close_notify, as curl does, cuts nothing off unnoticed.
    let acceptor = TlsAcceptor::from(Arc::new(config)).truncation(Truncation::AsEof);

    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let address = tcp.local_addr()?;
    println!("curl -k https://{address}/\ncurl -k https://{address}/slow");

    let slow = || async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        "slow and whole\n"
    };
    let router = Router::new().route("/", get(|| async { "hello\n" })).route("/slow", get(slow));

    // A handshake may take long, and the next one must not wait for it: each has a task, and axum gets what is done.
    let (to_axum, sessions) = mpsc::channel(1);
    let accepting = tokio::spawn(accept(tcp, acceptor, to_axum));
    let listener = TlsListener { sessions, address };
    axum::serve(listener, router).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    accepting.await?;
    Ok(())
}

/// What axum accepts from.
struct TlsListener {
    sessions: mpsc::Receiver<Session>,
    address: SocketAddr,
}

impl Listener for TlsListener {
    type Io = CloseOnShutdown<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Session {
        match self.sessions.recv().await {
            Some(session) => session,
            // Nobody accepts any more: the signal is on its way.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Accepts until axum has dropped its listener, then waits until every session has ended.
async fn accept(tcp: TcpListener, acceptor: TlsAcceptor, to_axum: mpsc::Sender<Session>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = tcp.accept() => match accepted {
                Ok((tcp, peer)) => drop(sessions.spawn(session(tcp, peer, acceptor.clone(), to_axum.clone()))),
                Err(error) => println!("no connection: {error}"),
            },
            Some(_done) = sessions.join_next() => {}
            () = to_axum.closed() => break,
        }
    }
    drop(tcp);
    while sessions.join_next().await.is_some() {}
}

async fn session(tcp: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, to_axum: mpsc::Sender<Session>) {
    match acceptor.accept(tcp).await {
        Ok(stream) => {
            let (io, ended) = stream.close_on_shutdown(Linger::default());
            // When axum takes no more, the stream is dropped, which is an ending as well.
            let _ = to_axum.send((io, peer)).await;
            println!("{peer}: {}", ended.await);
        }
        Err(error) => println!("{peer}: no session: {error}"),
    }
}
