//! What a write reports of a transport that takes nothing.

use crate::setup::{Mode, Spoiled, configs, name};
use closenotify::WriteError;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncWrite, duplex};

/// What one poll of a write, then another, then a flush return.
#[derive(Debug)]
struct Polled {
    first: Poll<io::Result<usize>>,
    second: Poll<io::Result<usize>>,
    flush: Poll<io::Result<()>>,
}

async fn poll(mut stream: impl AsyncWrite + Unpin) -> Polled {
    poll_fn(|cx| {
        let mut stream = Pin::new(&mut stream);
        let first = stream.as_mut().poll_write(cx, b"one");
        let second = stream.as_mut().poll_write(cx, b"two");
        Poll::Ready(Polled { first, second, flush: stream.poll_flush(cx) })
    })
    .await
}

/// The same polls on a stream of tokio-rustls and on one of ours, over a transport in this mode.
async fn both(tls: TlsVersion, mode: Mode) -> (Polled, Polled) {
    let (client, server) = configs(tls);
    let acceptor = tokio_rustls::TlsAcceptor::from(server);

    let (near, far) = duplex(1 << 16);
    let (near, set) = Spoiled::new(near);
    let connector = tokio_rustls::TlsConnector::from(client.clone());
    let (theirs, _peer) = tokio::try_join!(connector.connect(name(), near), acceptor.accept(far)).unwrap();
    set(mode);
    let theirs = poll(theirs).await;

    let (near, far) = duplex(1 << 16);
    let (near, set) = Spoiled::new(near);
    let connector = closenotify::TlsConnector::from(client);
    let (ours, _peer) = tokio::try_join!(connector.connect(name(), near), acceptor.accept(far)).unwrap();
    set(mode);
    (theirs, poll(ours).await)
}

#[tokio::test]
async fn a_second_small_write_pends_until_the_first_is_taken() {
    for tls in TlsVersion::EACH {
        let (theirs, ours) = both(tls, Mode::Stuck).await;
        assert!(matches!((&theirs.first, &theirs.second), (Poll::Ready(Ok(3)), Poll::Ready(Ok(3)))), "{theirs:?}");
        assert!(matches!((&ours.first, &ours.second), (Poll::Ready(Ok(3)), Poll::Pending)), "{ours:?}");
        assert!(theirs.flush.is_pending() && ours.flush.is_pending(), "{theirs:?} {ours:?}");
    }
}

#[tokio::test]
async fn a_transport_that_takes_no_byte_fails_the_write_and_not_only_the_flush() {
    for tls in TlsVersion::EACH {
        let (theirs, ours) = both(tls, Mode::Zero).await;
        assert!(matches!((&theirs.first, &theirs.second), (Poll::Ready(Ok(3)), Poll::Ready(Ok(3)))), "{theirs:?}");
        let Poll::Ready(Err(error)) = theirs.flush else { panic!("{theirs:?}") };
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);

        let Poll::Ready(Err(error)) = &ours.first else { panic!("{ours:?}") };
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        assert!(WriteError::find(error).is_some(), "{error:?}");
        assert!(matches!(ours.second, Poll::Ready(Err(_))), "{ours:?}");
    }
}
