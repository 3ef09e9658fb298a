//! Lines over TLS with `tokio_util::codec::Framed`, and what a missing close_notify is to them.
//!
//! `cargo run -p closenotify --example codec`; it has a server of its own.
//!
//! A line that has its newline is whole. What comes at the end without one may be a cut line, and the codec hands it out as
//! if it were whole: so here a missing close_notify must stay an error, or the last line must be mistrusted.

#![expect(clippy::print_stdout, reason = "an example talks")]

use closenotify::{Linger, TlsAcceptor, TlsConnector, is_truncation};
use futures_util::{SinkExt as _, StreamExt as _};
use std::error::Error;
use testkit::certs::{Authority, TlsVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(authority.server_config(TlsVersion::Both));
    let connector = TlsConnector::from(authority.client_config(TlsVersion::Both));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, acceptor));

    for end in ["close_notify", "no close_notify"] {
        let tcp = TcpStream::connect(address).await?;
        let stream = connector.connect("localhost".try_into()?, tcp).await?;
        let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(1024));
        println!("{end}:");
        loop {
            match lines.next().await {
                Some(Ok(line)) => println!("  {line}"),
                Some(Err(LinesCodecError::Io(error))) if is_truncation(&error) => {
                    println!("  cut off; what is left of a line: {:?}", lines.read_buffer());
                    break;
                }
                Some(Err(error)) => return Err(error.into()),
                None => break,
            }
        }
        // Not the close of `Framed`: that shuts the stream down, and does not wait for the peer.
        println!("  {}", lines.into_inner().close(Linger::default()).await);
    }
    server.await??;
    Ok(())
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> Result<(), Box<dyn Error + Send + Sync>> {
    for close_notify in [true, false] {
        let (tcp, _) = listener.accept().await?;
        let mut lines = Framed::new(acceptor.accept(tcp).await?, LinesCodec::new());
        lines.send("a line").await?;
        lines.send("another").await?;
        let mut stream = lines.into_inner();
        if close_notify {
            stream.close(Linger::default()).await;
        } else {
            stream.write_all(b"a line with").await?;
            stream.flush().await?;
        }
    }
    Ok(())
}
