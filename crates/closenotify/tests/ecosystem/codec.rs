//! Codecs of tokio-util over our streams: a close of theirs says goodbye, and a cut message is not handed out as a whole one.

use crate::setup::{BIG, assert_clean, message, sessions, within};
use closenotify::{Linger, Truncation, is_truncation};
use futures_util::{SinkExt, StreamExt as _};
use std::io::ErrorKind;
use testkit::certs::TlsVersion;
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec, LinesCodecError};

#[tokio::test]
async fn lines_arrive_whole_and_the_close_of_a_codec_is_a_close_notify() {
    for version in TlsVersion::EACH {
        let (client, server) = sessions(version).await;
        let (mut client, mut server) = (Framed::new(client, LinesCodec::new()), Framed::new(server, LinesCodec::new()));
        let talking = async {
            for number in 0..1000 {
                client.send(format!("line {number}")).await.unwrap();
            }
            SinkExt::<String>::close(&mut client).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), "1000 lines");
            assert!(client.next().await.is_none());
        };
        let listening = async {
            let mut lines = 0;
            while let Some(line) = server.next().await {
                assert_eq!(line.unwrap(), format!("line {lines}"));
                lines += 1;
            }
            server.send(format!("{lines} lines")).await.unwrap();
            SinkExt::<String>::close(&mut server).await.unwrap();
        };
        within("both sides", async { tokio::join!(talking, listening) }).await;
        let (client, server) = (client.into_inner(), server.into_inner());
        let (client, server) = tokio::join!(client.close(Linger::default()), server.close(Linger::default()));
        assert_clean("client", &client);
        assert_clean("server", &server);
    }
}

#[tokio::test]
async fn a_big_frame_arrives_whole() {
    for version in TlsVersion::EACH {
        let (client, server) = sessions(version).await;
        let mut client = Framed::new(client, LengthDelimitedCodec::new());
        let mut server = Framed::new(server, LengthDelimitedCodec::new());
        let (sent, got) = within("the frame", async { tokio::join!(client.send(message(BIG)), server.next()) }).await;
        sent.unwrap();
        assert!(got.unwrap().unwrap() == message(BIG));
    }
}

/// A line without its newline is handed out at an end, so an end without close_notify must not be one here: the default.
#[tokio::test]
async fn a_cut_line_is_no_line_unless_the_user_takes_every_end_for_one() {
    for version in TlsVersion::EACH {
        for truncation in [Truncation::Error, Truncation::AsEof] {
            let (mut client, mut server) = sessions(version).await;
            server.set_truncation(truncation);
            client.write_all(b"pay 10 to Ann\npay 10").await.unwrap();
            client.flush().await.unwrap();
            client.get_mut().0.shutdown().await.unwrap();
            let mut lines = Framed::new(server, LinesCodec::new());
            assert_eq!(lines.next().await.unwrap().unwrap(), "pay 10 to Ann");
            match (truncation, within("the rest", lines.next()).await.unwrap()) {
                (Truncation::Error, Err(LinesCodecError::Io(error))) => assert!(is_truncation(&error)),
                (Truncation::AsEof, Ok(line)) => assert_eq!(line, "pay 10"),
                (_, other) => panic!("{truncation:?}: {other:?}"),
            }
        }
    }
}

/// A frame has a length, so here every end may be taken for one: the codec notices what is missing.
#[tokio::test]
async fn a_cut_frame_is_an_error_whatever_an_end_is_taken_for() {
    for version in TlsVersion::EACH {
        for (truncation, kind) in [(Truncation::Error, ErrorKind::UnexpectedEof), (Truncation::AsEof, ErrorKind::Other)]
        {
            let (mut client, mut server) = sessions(version).await;
            server.set_truncation(truncation);
            client.write_all(b"\0\0\0\x03abc\0\0\0\x03ab").await.unwrap();
            client.flush().await.unwrap();
            client.get_mut().0.shutdown().await.unwrap();
            let mut frames = Framed::new(server, LengthDelimitedCodec::new());
            assert_eq!(&frames.next().await.unwrap().unwrap()[..], b"abc");
            let error = within("the rest", frames.next()).await.unwrap().unwrap_err();
            assert_eq!((error.kind(), is_truncation(&error)), (kind, truncation == Truncation::Error), "{error:?}");
        }
    }
}
