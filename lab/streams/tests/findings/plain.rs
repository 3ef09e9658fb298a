//! Without TLS: tokio's `simplex`, tokio-util's adapters, async-compression's decoders.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio_util::io::{ReaderStream, StreamReader};

#[test]
fn tokio_simplex_reader_does_not_learn_that_the_writer_is_gone() {
    let (mut reader, writer) = tokio::io::simplex(64);
    drop(writer);
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    assert!(Pin::new(&mut reader).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf).is_pending());
}

#[test]
fn tokio_simplex_writer_does_not_learn_that_the_reader_is_gone() {
    let (reader, mut writer) = tokio::io::simplex(4);
    assert!(matches!(crate::transport::poll_write(&mut writer, b"full"), Poll::Ready(Ok(4))));
    drop(reader);
    assert!(crate::transport::poll_write(&mut writer, b"more").is_pending());
}

/// A transport that was reset: every read says so.
struct Reset;

impl AsyncRead for Reset {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

#[tokio::test]
async fn tokio_util_reader_stream_tells_an_error_once_and_then_an_end() {
    let mut reader = StreamReader::new(ReaderStream::new(Reset));
    let mut memory = [0; 8];
    assert_eq!(reader.read(&mut memory).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(reader.read(&mut memory).await.unwrap(), 0);
}

#[tokio::test]
async fn async_compression_decoders_tell_a_cut_once_and_then_an_end() {
    macro_rules! cut {
        ($encoder:ident, $decoder:ident) => {
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(&[7; 100]).await.unwrap();
            encoder.flush().await.unwrap();
            let cut = encoder.into_inner();
            let mut decoder = $decoder::new(&cut[..]);
            let mut read = Vec::new();
            let error = decoder.read_to_end(&mut read).await.unwrap_err();
            assert_eq!((error.kind(), &read[..]), (io::ErrorKind::UnexpectedEof, &[7; 100][..]));
            assert_eq!(decoder.read_to_end(&mut read).await.unwrap(), 0, "the second read calls it whole");
        };
    }
    cut!(GzipEncoder, GzipDecoder);
    cut!(ZstdEncoder, ZstdDecoder);
    cut!(BrotliEncoder, BrotliDecoder);
}
