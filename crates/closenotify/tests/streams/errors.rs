//! What kind of failure an error is, row by row of the table on the crate's page, at hand and inside the errors of others.

use crate::peer::{self, Configs, EACH, Met, Side, by_hand};
use closenotify::{
    HandshakeError, ReadError, ReceivedEnding, TruncatedAt, WriteError, is_reset, is_truncation, is_write_after_close,
};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{ReadStep, WriteStep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Which of the three questions an error answers with yes.
fn verdict(error: &(dyn Error + 'static)) -> (bool, bool, bool) {
    (is_truncation(error), is_reset(error), is_write_after_close(error))
}

const TRUNCATION: (bool, bool, bool) = (true, false, false);
const RESET: (bool, bool, bool) = (false, true, false);
const AFTER_CLOSE: (bool, bool, bool) = (false, false, true);
const OTHER: (bool, bool, bool) = (false, false, false);

/// Another library's error.
#[derive(Debug)]
struct Foreign(Box<dyn Error + Send + Sync>);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed")
    }
}

impl Error for Foreign {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The error alone, in an `io::Error`, in another library's, and in all of them: the verdict is the same.
fn assert_verdict(row: &str, error: io::Error, kind: ErrorKind, expected: (bool, bool, bool)) {
    assert_eq!(error.kind(), kind, "{row}");
    assert_eq!(verdict(&error), expected, "{row}");
    let within = io::Error::other(error);
    assert_eq!(verdict(&within), expected, "{row}, in an io::Error");
    let within = Foreign(within.into());
    assert_eq!(verdict(&within), expected, "{row}, in a foreign error");
    let within = Foreign(io::Error::new(ErrorKind::InvalidData, Foreign(Box::new(within))).into());
    assert_eq!(verdict(&within), expected, "{row}, deep down");
}

/// docs/cases.md R20
#[test]
fn a_failed_read_is_known_for_what_it_is() {
    by_hand(|| {
        for (version, side) in EACH {
            let read = |give: &dyn Fn(&mut Met)| {
                let mut met = peer::meet(version, side);
                give(&mut met);
                peer::failed(peer::read(&CountingWaker::new(), &mut met.stream, 9))
            };
            let error = read(&|met| met.wire.push_read(ReadStep::Eof));
            assert_verdict("no close_notify", error, ErrorKind::UnexpectedEof, TRUNCATION);
            let error = read(&|met| {
                let record = peer::data(&mut met.peer, b"data");
                met.wire.push_data(&record[..record.len() - 1]);
                met.wire.push_read(ReadStep::Eof);
            });
            assert_eq!(
                ReadError::find(&Foreign(error.into())).map(ReadError::ending),
                Some(&ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord })
            );
            let error = read(&|met| met.wire.push_read(ReadStep::Error(ErrorKind::ConnectionReset)));
            assert_verdict("reset", error, ErrorKind::ConnectionReset, RESET);
            let error = read(&|met| {
                let alert = peer::fatal_alert(&mut met.peer);
                met.wire.push_data(alert);
            });
            assert_verdict("alert", error, ErrorKind::ConnectionAborted, OTHER);
            let error = read(&|met| {
                let broken = peer::broken(&mut met.peer);
                met.wire.push_data(broken);
            });
            assert_verdict("violation", error, ErrorKind::InvalidData, OTHER);
            let error = read(&|met| met.wire.push_read(ReadStep::Error(ErrorKind::TimedOut)));
            assert_verdict("other failure", error, ErrorKind::TimedOut, OTHER);
        }
    });
}

#[test]
fn a_failed_write_is_known_for_what_it_is() {
    by_hand(|| {
        for (version, side) in EACH {
            let waker = CountingWaker::new();
            let Met { mut stream, .. } = peer::meet(version, side);
            peer::done(peer::shutdown(&waker, &mut stream));
            let error = peer::failed(peer::write(&waker, &mut stream, b"late"));
            assert_verdict("after close", error, ErrorKind::BrokenPipe, AFTER_CLOSE);

            // The same kind, and not the program's mistake.
            for (kind, expected) in [(ErrorKind::BrokenPipe, OTHER), (ErrorKind::ConnectionReset, RESET)] {
                let Met { mut stream, wire, .. } = peer::meet(version, side);
                wire.push_write(WriteStep::Error(kind));
                let error = peer::failed(peer::write(&waker, &mut stream, b"data"));
                assert!(WriteError::find(&error).is_none(), "it is the transport's own");
                assert_verdict("transport", error, kind, expected);
            }
        }
    });
}

#[test]
fn a_failed_handshake_is_no_truncated_session() {
    by_hand(|| {
        for (version, side) in EACH {
            for (step, kind, expected) in [
                (ReadStep::Eof, ErrorKind::UnexpectedEof, OTHER),
                (ReadStep::Error(ErrorKind::ConnectionReset), ErrorKind::ConnectionReset, RESET),
            ] {
                let (wire, handle) = peer::Wire::new();
                handle.push_read(step);
                let configs = Configs::of(version);
                let waker = CountingWaker::new();
                let error = match side {
                    Side::Client => {
                        let mut connecting = configs.connector().connect("localhost".try_into().unwrap(), wire);
                        peer::failed(waker.poll(std::pin::Pin::new(&mut connecting)))
                    }
                    Side::Server => peer::failed(waker.poll(std::pin::Pin::new(&mut configs.acceptor().accept(wire)))),
                };
                // The transport's own error is returned as it is.
                assert_eq!(HandshakeError::find(&error).is_some(), kind == ErrorKind::UnexpectedEof);
                assert_verdict("handshake", error, kind, expected);
            }
        }
    });
}

#[test]
fn errors_that_are_not_ours_are_none_of_these() {
    for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
        // A reset is one whoever found it: the transport's own error is returned as it is.
        let expected = if kind == ErrorKind::ConnectionReset { RESET } else { OTHER };
        assert_verdict("bare", kind.into(), kind, expected);
        assert_verdict("text", io::Error::new(kind, "close_notify"), kind, expected);
    }
}

/// `read_exact` has the kind of a truncation at a clean end, which is why the kind is not asked for.
#[tokio::test]
async fn too_little_data_in_front_of_a_clean_end_is_no_truncation() {
    let (mut client, mut server) = connected().await;
    client.write_all(b"abc").await.unwrap();
    client.shutdown().await.unwrap();
    let error = server.read_exact(&mut [0; 4]).await.unwrap_err();
    assert_verdict("read_exact", error, ErrorKind::UnexpectedEof, OTHER);
}

/// The answer has neither a length nor chunks, so its end is that of the connection, and a cut one is to be told from a
/// whole one (RFC 9112 section 9.8).
#[tokio::test]
async fn a_truncated_answer_is_found_inside_a_hyper_error() {
    for whole in [true, false] {
        let (client, mut server) = connected().await;
        let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
        let serving = async {
            let mut request = [0; 1000];
            assert_ne!(server.read(&mut request).await.unwrap(), 0);
            server.write_all(b"HTTP/1.1 200 OK\r\n\r\nan answer").await.unwrap();
            if whole {
                server.shutdown().await.unwrap();
            } else {
                server.flush().await.unwrap();
                server.get_mut().0.shutdown().await.unwrap();
            }
        };
        let asking = async {
            let request = hyper::Request::get("/").body(Empty::<&[u8]>::new()).unwrap();
            requests.send_request(request).await.unwrap().collect().await
        };
        let (answer, _, ()) = tokio::join!(asking, connection, serving);
        if whole {
            assert_eq!(answer.unwrap().to_bytes(), "an answer");
        } else {
            let error = answer.unwrap_err();
            assert_eq!(verdict(&error), TRUNCATION, "{error:?}");
            let ending = ReadError::find(&error).unwrap().ending();
            assert_eq!(ending, &ReceivedEnding::Truncated { at: TruncatedAt::Boundary });
        }
    }
}

async fn connected()
-> (closenotify::client::TlsStream<tokio::io::DuplexStream>, closenotify::server::TlsStream<tokio::io::DuplexStream>) {
    let configs = Configs::of(TlsVersion::V13);
    let (to_server, to_client) = tokio::io::duplex(4096);
    let (client, server) = tokio::join!(
        configs.connector().connect("localhost".try_into().unwrap(), to_server),
        configs.acceptor().accept(to_client)
    );
    (client.unwrap(), server.unwrap())
}
