//! What the halves give access to, and those of a transport that has none of its own.

use crate::peer::{self, Configs, EACH, Met, by_hand, done, failed, read};
use closenotify::{Linger, Splittable, TlsStream, Truncation, is_truncation};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::ReadStep;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn each_half_gives_the_address_of_its_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (client_address, server_address) = (tcp.local_addr().unwrap(), tcp.peer_addr().unwrap());
    let (accepted, _) = listener.accept().await.unwrap();
    let configs = Configs::of(TlsVersion::V13);
    let (client, server) = tokio::join!(
        configs.connector().connect("localhost".try_into().unwrap(), tcp),
        configs.acceptor().accept(accepted)
    );
    for (stream, expected) in
        [(TlsStream::from(client.unwrap()), server_address), (server.unwrap().into(), client_address)]
    {
        let (reader, writer) = stream.into_split();
        assert_eq!(reader.get_ref().peer_addr().unwrap(), expected);
        assert_eq!(writer.with_ref(tokio::net::tcp::OwnedWriteHalf::peer_addr).unwrap(), expected);
        assert!(reader.reunite(writer).unwrap().get_ref().0.peer_addr().unwrap() == expected);
    }
}

#[test]
fn a_read_half_takes_a_missing_close_notify_as_it_is_told() {
    by_hand(|| {
        for (version, side) in EACH {
            for truncation in [Truncation::Error, Truncation::AsEof] {
                let Met { stream, wire, .. } = peer::meet(version, side);
                let (mut reader, _writer) = stream.into_split();
                reader.set_truncation(truncation);
                wire.push_read(ReadStep::Eof);
                let polled = read(&CountingWaker::new(), &mut reader, 10);
                match truncation {
                    Truncation::AsEof => assert_eq!(done(polled), b""),
                    _ => assert!(is_truncation(&failed(polled))),
                }
            }
        }
    });
}

/// A type of another crate, with no halves, and something to know it again by.
struct Tunnel {
    io: DuplexStream,
    number: u32,
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

const MUCH: usize = 2 << 20;

/// Sends and receives at the same time, in two tasks, then puts the halves together and closes.
async fn both_ways(stream: TlsStream<Splittable<Tunnel>>, number: u32, byte: u8) {
    assert_eq!(stream.get_ref().0.get_ref().number, number);
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        writer.write_all(&vec![byte; MUCH]).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut got = Vec::new();
    reader.read_to_end(&mut got).await.unwrap();
    assert!(got == vec![byte ^ 1; MUCH], "{} bytes", got.len());
    let stream = reader.reunite(writing.await.unwrap()).unwrap();
    assert_eq!(stream.get_ref().0.get_ref().number, number, "the same transport as before");
    let ended = stream.close(Linger::default()).await;
    assert!(ended.is_clean(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_without_halves_carries_both_directions_in_tasks_of_their_own() {
    for version in TlsVersion::EACH {
        for room in [700, 64 * 1024] {
            let configs = Configs::of(version);
            let (to_server, to_client) = duplex(room);
            let (client, server) = tokio::join!(
                configs
                    .connector()
                    .connect("localhost".try_into().unwrap(), Splittable::new(Tunnel { io: to_server, number: 1 })),
                configs.acceptor().accept(Splittable::new(Tunnel { io: to_client, number: 2 }))
            );
            let client = tokio::spawn(both_ways(client.unwrap().into(), 1, 6));
            let server = tokio::spawn(both_ways(server.unwrap().into(), 2, 7));
            client.await.unwrap();
            server.await.unwrap();
        }
    }
}
