//! Our side of an alert's script: the core over a socket, as a careful owner drives it.

use super::{core_version, identity};
use bytes::{Buf as _, BytesMut};
use closenotify_core::{Handshake, HandshakeError, Progress, Read, ReceivedEnding, SentEnding, Session, TransportEnd};
use closenotify_probe::{Trust, Version};
use rustls::{ClientConfig, ServerConfig};
use std::future::Future;
use std::pin::Pin;
use testkit::plain::Configs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How it ended for us.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why there was no session.
    pub(super) handshake: Option<HandshakeError>,
    pub(super) received: Option<ReceivedEnding>,
    pub(super) sent: Option<SentEnding>,
}

type Run = Pin<Box<dyn Future<Output = Outcome>>>;

pub(super) fn client(io: TcpStream, config: ClientConfig) -> Run {
    let handshake = Handshake::client(config, "localhost".try_into().unwrap()).unwrap();
    Box::pin(run(io, handshake))
}

pub(super) fn server(io: TcpStream, config: ServerConfig) -> Run {
    Box::pin(run(io, Handshake::server(config).unwrap()))
}

/// A client that trusts the probe.
pub(super) fn client_config(version: Version) -> ClientConfig {
    let configs = Configs::of(core_version(version));
    let Trust::Roots(roots) = identity().trust() else {
        unreachable!("an identity that was made here has an authority")
    };
    ClientConfig::builder_with_provider(configs.client.crypto_provider().clone())
        .with_protocol_versions(&[match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        }])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn run(mut io: TcpStream, mut handshake: Handshake) -> Outcome {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        let progress = handshake.advance(&mut input);
        handshake.take_output(&mut output);
        write(&mut io, &mut output).await;
        match progress {
            Ok(Progress::Complete) => break,
            Ok(Progress::NeedInput) => {}
            Err(error) => {
                finish(io).await;
                return Outcome { handshake: Some(error), ..Outcome::default() };
            }
        }
        if io.read_buf(&mut input).await.unwrap_or(0) == 0 {
            let error = handshake.transport_ended(TransportEnd::Eof, &input);
            return Outcome { handshake: Some(error), ..Outcome::default() };
        }
    }
    let Session { mut receiver, mut sender, .. } = handshake.into_session();
    let mut plaintext = Vec::new();
    loop {
        let (read, owes) = receiver.read(&mut input, &mut plaintext);
        sender.take_owed(owes, &mut output);
        write(&mut io, &mut output).await;
        match read {
            Read::Data(_) => {}
            Read::Ended => break,
            Read::NeedInput => {
                if io.read_buf(&mut input).await.unwrap_or(0) == 0 {
                    receiver.transport_ended(TransportEnd::Eof, &input);
                }
            }
        }
    }
    let sent = sender.close(&mut output);
    write(&mut io, &mut output).await;
    finish(io).await;
    Outcome { handshake: None, received: receiver.ending().cloned(), sent: Some(sent) }
}

async fn write(io: &mut TcpStream, output: &mut BytesMut) {
    while output.has_remaining() {
        // Who is gone reads nothing; the script sees that it got nothing.
        if io.write_buf(output).await.is_err() {
            output.clear();
        }
    }
}

/// A FIN, and then what comes, so that no reset destroys what was sent.
async fn finish(mut io: TcpStream) {
    let _ = io.shutdown().await;
    let mut rest = Vec::new();
    let _ = io.read_to_end(&mut rest).await;
}
