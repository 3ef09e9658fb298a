//! An HTTP/1.1 client of hyper that knows a whole answer from a cut one.
//!
//! `cargo run -p closenotify --example hyper_client`; it asks a server of its own, which ends its answers in four ways.
//!
//! An answer with a length is whole when it is all there, whatever comes then. One without a length ends where the
//! connection ends, and only a close_notify says that nothing was cut off (RFC 9112 section 9.8).

#![expect(clippy::print_stdout, reason = "an example talks")]

use closenotify::{Linger, TlsAcceptor, TlsConnector, is_truncation};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::net::SocketAddr;
use testkit::certs::{Authority, TlsVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(authority.server_config(TlsVersion::Both));
    let connector = TlsConnector::from(authority.client_config(TlsVersion::Both));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, acceptor));

    for (_, _, what) in ANSWERS {
        println!("{what}: {}", ask(address, &connector).await?);
    }
    Ok(server.await??)
}

/// Asks for the next answer, and says whether it is whole.
async fn ask(address: SocketAddr, connector: &TlsConnector) -> Result<String, Box<dyn Error>> {
    let tcp = TcpStream::connect(address).await?;
    let stream = connector.connect("localhost".try_into()?, tcp).await?;
    // The whole close is for this side, too: what we send last is not destroyed by what the server still sends.
    let (io, ended) = stream.close_on_shutdown(Linger::default());
    let (mut requests, connection) = http1::handshake(TokioIo::new(io)).await?;
    let connection = tokio::spawn(connection);

    let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = match requests.send_request(request).await?.collect().await {
        Ok(body) => format!("whole, {} bytes", body.to_bytes().len()),
        Err(error) if is_truncation(&error) => "perhaps not whole".to_owned(),
        Err(error) => return Err(error.into()),
    };
    drop(requests); // no more of them, so hyper shuts the stream down
    let _ = connection.await?; // an error here is about a connection that ends, too
    Ok(format!("{answer} ({})", ended.await))
}

/// What the server sends, whether a close_notify follows, and what that is.
const ANSWERS: [(&str, bool, &str); 4] = [
    ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nanswer", true, "with a length, close_notify"),
    ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nanswer", false, "with a length, no close_notify"),
    ("HTTP/1.1 200 OK\r\n\r\nanswer", true, "without a length, close_notify"),
    ("HTTP/1.1 200 OK\r\n\r\nanswer", false, "without a length, no close_notify"),
];

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> std::io::Result<()> {
    for (answer, close_notify, _) in ANSWERS {
        let (tcp, _) = listener.accept().await?;
        let mut stream = acceptor.accept(tcp).await?;
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await?; // what a client asks for in one record
        stream.write_all(answer.as_bytes()).await?;
        if close_notify {
            stream.close(Linger::default()).await;
        } else {
            stream.flush().await?;
        }
    }
    Ok(())
}
