//! A TLS-terminating relay with tokio's `copy_bidirectional`: what it carries through, and what it cannot.
//!
//! `cargo run -p closenotify --example proxy_copy_bidirectional`; it has a client and an upstream of its own.
//!
//! `copy_bidirectional` shuts the other side down when one ends, so a half-close goes through. It knows one clean end and
//! errors: how each direction ended is to be asked of the stream. A relay that carries every ending through as what it was
//! is `closenotify proxy`.

#![expect(clippy::print_stdout, reason = "an example talks")]

use closenotify::{Ended, Linger, TlsAcceptor, TlsConnector};
use std::error::Error;
use std::io;
use testkit::certs::{Authority, TlsVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(authority.server_config(TlsVersion::Both));
    let connector = TlsConnector::from(authority.client_config(TlsVersion::Both));
    let (relay, upstream) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let (relay_address, upstream_address) = (relay.local_addr()?, upstream.local_addr()?);

    // An upstream that answers when the request has ended.
    let answering = tokio::spawn(async move {
        let (mut tcp, _) = upstream.accept().await?;
        let mut request = Vec::new();
        tcp.read_to_end(&mut request).await?;
        tcp.write_all(format!("{} bytes\n", request.len()).as_bytes()).await
    });
    let relaying = tokio::spawn(async move {
        let (tcp, _) = relay.accept().await?;
        session(tcp, acceptor, TcpStream::connect(upstream_address).await?).await
    });

    let tcp = TcpStream::connect(relay_address).await?;
    let mut client = connector.connect("localhost".try_into()?, tcp).await?;
    client.write_all(&[b'x'; 100_000]).await?;
    client.shutdown().await?; // the request has ended, and the answer is waited for
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    client.close(Linger::default()).await;

    print!("the client got: {answer}");
    println!("the relay saw: {}", relaying.await??);
    Ok(answering.await??)
}

async fn session(tcp: TcpStream, acceptor: TlsAcceptor, mut upstream: TcpStream) -> io::Result<Ended> {
    let mut client = acceptor.accept(tcp).lingering(Linger::default()).await?;
    #[expect(clippy::disallowed_methods, reason = "this shows what it does")]
    let copied = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
    match copied {
        // Both directions have ended, and both ends were passed on. The close waits until the client has gone.
        Ok(_) => Ok(client.close(Linger::default()).await),
        Err(error) => {
            // A message is unfinished, and must look so: no close_notify, and for the upstream a reset instead of a FIN.
            println!("cut off: {error}; the client's half: {:?}", client.received_ending());
            upstream.set_zero_linger()?;
            Err(error)
        }
    }
}
