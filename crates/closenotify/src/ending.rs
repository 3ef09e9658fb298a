//! How sessions end, for everyone who searched for *peer closed connection without sending TLS close_notify*.
//!
//! # What it means
//!
//! A TLS peer ends its direction with an encrypted alert, `close_notify`, after its last byte. TCP ends with a FIN, which is not
//! authenticated: anyone on the path can forge it. If the FIN arrives without the alert, you cannot know whether you have
//! everything (RFC 9846 section 6.1). The peer may have skipped the alert, it may have crashed, or an attacker may have truncated
//! the message. rustls reports it with the text above. This crate reports *the connection ended without close_notify, so data may
//! be missing*: a [`ReceivedEnding::Truncated`] in an error of kind `UnexpectedEof`, which [`is_truncation`] finds
//! (`a_failed_read_is_known_for_what_it_is`).
//!
//! # When it is harmless
//!
//! That depends on how your protocol frames its messages.
//!
//! | your protocol | the connection ended | what it means |
//! |---|---|---|
//! | has lengths, chunks or terminators: HTTP with Content-Length or chunks, HTTP/2, SMTP, Redis, Postgres | between two messages | an ordinary end: the peer had nothing more to send |
//! | the same | inside a message | a truncated message, which your parser detects |
//! | the same, with a request of yours outstanding | before the response | unknown: the request may have been processed, so do not repeat it blindly |
//! | ends its message by ending the connection: HTTP without a length, many line protocols, file transfers | anywhere | possibly truncated: only a `close_notify` shows that it is complete (RFC 9112 section 9.8) |
//!
//! For the first kind, set [`Truncation::AsEof`](crate::Truncation::AsEof) once, on the connector, the acceptor or a stream.
//! An end between two records is then an ordinary end of file. Inside a record it stays an error, because data *is* missing
//! (`as_eof_is_an_end_between_records_and_nowhere_else`). The ending is recorded either way:
//!
//! ```
//! use closenotify::{ReceivedEnding, TlsAcceptor, TlsConnector, Truncation};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let authority = testkit::certs::Authority::new();
//! # let server_config = authority.server_config(testkit::certs::TlsVersion::Both);
//! # let config = authority.client_config(testkit::certs::TlsVersion::Both);
//! # let (tcp, to_client) = tokio::io::duplex(4096);
//! # let server = tokio::spawn(async move {
//! #     let mut stream = TlsAcceptor::from(server_config).accept(to_client).await.unwrap();
//! #     stream.write_all(&[3, b'a', b'b', b'c', 1, b'd']).await.unwrap();
//! #     stream.flush().await.unwrap(); // and it is dropped, as many servers do
//! # });
//! let connector = TlsConnector::from(config).truncation(Truncation::AsEof);
//! let mut stream = connector.connect("localhost".try_into()?, tcp).await?;
//!
//! let mut messages = Vec::new();
//! let mut length = [0];
//! while stream.read(&mut length).await? != 0 {
//!     let mut message = vec![0; length[0].into()];
//!     stream.read_exact(&mut message).await?; // fails when the end is inside a message
//!     messages.push(message);
//! }
//! assert_eq!(messages, [b"abc".to_vec(), b"d".to_vec()]);
//! assert!(matches!(stream.received_ending(), Some(ReceivedEnding::Truncated { .. })));
//! # server.await?;
//! # Ok(())
//! # }
//! ```
//!
//! Where the end of the stream is the end of the message, keep the default, and tell truncated data from complete data:
//!
//! ```
//! # use closenotify::{TlsAcceptor, TlsConnector};
//! use closenotify::is_truncation;
//! use tokio::io::AsyncReadExt;
//! # use tokio::io::AsyncWriteExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let authority = testkit::certs::Authority::new();
//! # let server_config = authority.server_config(testkit::certs::TlsVersion::Both);
//! # let config = authority.client_config(testkit::certs::TlsVersion::Both);
//! # let (tcp, to_client) = tokio::io::duplex(4096);
//! # let server = tokio::spawn(async move {
//! #     let mut stream = TlsAcceptor::from(server_config).accept(to_client).await.unwrap();
//! #     stream.write_all(b"pay 100").await.unwrap(); // of "pay 1000"; the rest is lost
//! #     stream.flush().await.unwrap();
//! # });
//! # let mut stream = TlsConnector::from(config).connect("localhost".try_into()?, tcp).await?;
//! let mut text = String::new();
//! let complete = match stream.read_to_string(&mut text).await {
//!     Ok(_) => true,
//!     Err(error) if is_truncation(&error) => false,
//!     Err(error) => return Err(error.into()),
//! };
//! # server.await?;
//! assert!(!complete, "the text may be truncated: {text}");
//! # Ok(())
//! # }
//! ```
//!
//! HTTP libraries wrap the error in their own. [`is_truncation`] looks through it
//! (`a_truncated_answer_is_found_inside_a_hyper_error`).
//!
//! # What each ending means to an application
//!
//! [`received_ending`](crate::TlsStream::received_ending) returns how the peer's direction ended:
//!
//! | ending | what you have | what to do |
//! |---|---|---|
//! | `CloseNotify` | everything that the peer sent; it may still wait for your response | respond, then close |
//! | `Truncated` | possibly everything, see the table above | decide by the framing |
//! | `Reset` | possibly not everything; what you sent last may be lost as well | treat outstanding requests as unknown |
//! | `Alert(x)` | the peer gave up, and the alert is its reason: `certificate_required` right after a handshake is a missing client certificate (`a_refused_client_is_told_in_its_handshake_by_tls_1_2_and_in_its_first_read_by_tls_1_3`) | report it to the operator; retrying does not help |
//! | `Violation` | the peer, or someone on the path, broke the protocol | discard what is unfinished; look for a middlebox |
//! | `TimedOut(d)` | a deadline of ours passed | as for `Reset` |
//! | `Failed(kind)` | the transport failed in another way, such as an unreachable network | as for `Reset` |
//! | `Abandoned` | we stopped reading; the peer did nothing wrong | nothing |
//!
//! [`sent_ending`](crate::TlsStream::sent_ending) returns how our direction ended. `CloseNotify` means that all data and the
//! alert were passed to the transport. It is no proof of receipt; only a response from the peer is.
//!
//! # What sends a close_notify
//!
//! | call | close_notify | test |
//! |---|---|---|
//! | [`shutdown`](tokio::io::AsyncWriteExt::shutdown) of a stream or a write half | yes, then the transport's FIN; reading continues | `shutdown_is_alert_flush_fin_in_this_order_and_once`, `reading_goes_on_after_our_own_shutdown` |
//! | [`close`](crate::TlsStream::close) | yes, then the FIN, then it reads on within limits so that nothing is lost | `a_linger_of_no_time_still_says_goodbye`, `close_loses_nothing_of_what_is_in_flight`, `a_slow_peer_that_reads_on_loses_nothing` |
//! | the shutdown of a [`CloseOnShutdown`](crate::CloseOnShutdown) | the same as `close`, for hyper, h2 and axum, which own the stream | `its_shutdown_waits_for_the_peers_end_and_tells_how_it_was` |
//! | [`end_tls`](crate::TlsStream::end_tls) | yes, and waits for the peer's; the transport stays open | `both_alerts_are_exchanged_and_the_transport_goes_on` |
//! | **dropping** the stream | **no**: the peer sees a truncation | `dropping_the_stream_says_nothing` |
//! | dropping a `CloseOnShutdown` before its shutdown | no | `dropped_before_its_shutdown_it_says_nothing_to_the_peer_and_tells_the_owner` |
//! | dropping the write half | no | `dropping_the_write_half_aborts_and_reading_goes_on` |
//! | dropping the read half | no; the write half stays usable | `dropping_the_read_half_leaves_the_writer_alone` |
//! | `into_inner` | no | `the_transport_is_in_reach_and_comes_back` |
//! | reading the peer's close_notify | no: our direction is ours to end | `writing_goes_on_after_the_peers_close` |
//! | dropping an unfinished handshake | no, nor any other alert | `dropping_a_handshake_drops_the_transport_without_a_word` |
//! | anything after a fatal alert was sent or received | no: the session is over | `a_received_fatal_alert_refuses_writes_and_says_nothing` |
//!
//! A drop sends nothing on purpose. A program that panics or returns early drops its streams too, and half a message must not
//! look complete. End what is finished with `close`. `shutdown` followed by a drop is not enough while the peer may still be
//! sending: the kernel resets a socket that is closed with unread data, and the reset destroys data in flight
//! (`shutdown_and_drop_lose_what_is_in_flight`). For the same reason a server accepts with
//! [`lingering`](crate::Accept::lingering): a client that is refused then gets the alert that says why
//! (`a_refused_peer_gets_the_alert_and_an_end_though_much_of_it_was_not_read`).
//!
//! # What dropping a future does
//!
//! | future dropped before it is ready | effect | test |
//! |---|---|---|
//! | a read of a stream or a read half | nothing is lost: the next read continues where it was | `reads_may_be_dropped_after_any_poll` |
//! | a write, a flush or a `shutdown` | what was accepted is sent once, the rest is not sent; a shutdown that has begun has closed the half, and the next one continues it | `writes_flushes_and_shutdowns_may_be_dropped_after_any_poll` |
//! | any of these, while it waits | its task is not woken any more; that of the next call is | `a_wait_that_is_dropped_is_taken_over_by_the_next` |
//! | [`close`](crate::TlsStream::close) | drops the stream as it is: an abort, unless the close_notify was sent | `a_close_that_is_dropped_drops_the_stream_where_it_stands` |
//! | [`end_tls`](crate::TlsStream::end_tls) | the same, and the transport is dropped | `an_end_of_tls_that_is_dropped_drops_the_stream_and_the_transport` |
//! | [`Connect`](crate::Connect), [`Accept`](crate::Accept), [`Fallible`](crate::Fallible) | drops the transport, without an alert | `dropping_a_handshake_drops_the_transport_without_a_word` |
//! | [`LazyConfigAcceptor`](crate::LazyConfigAcceptor), or the [`StartHandshake`](crate::StartHandshake) that it returns | the same | `a_server_that_is_dropped_before_it_has_chosen_drops_the_transport_without_a_word` |
//! | `AcceptEarly`, `EarlyStream::finish`, or the `EarlyStream` between them (feature `early-data`) | the same; also `connect_early`, whose bytes the server may have | `dropping_at_any_stage_drops_the_transport_without_a_word` |
//! | [`WhenEnded`](crate::WhenEnded) | nothing | `who_stops_waiting_for_an_ending_changes_nothing` |
//!
//! Tokio's `write_all` and `read_exact` are several writes or reads in one future. Dropped midway, some of them are done, and
//! you cannot tell how many.
//!
//! # With hyper, h2 and axum
//!
//! Such a library owns the stream, and ends it with a shutdown and a drop. Pass it a
//! [`close_on_shutdown`](crate::TlsStream::close_on_shutdown): its shutdown is a complete close, and the future beside the
//! stream returns how the session ended (`an_answer_that_begins_after_the_stop_arrives_whole`,
//! `a_graceful_shutdown_of_axum_delivers_the_answer_and_ends_clean`).
//!
//! For a server, start from the examples `hyper_server` and `axum_server` of this crate. They meet every case of
//! `closenotify check server`. `axum::serve` and hyper's defaults do not: they never respond to a client that has half-closed.
//!
//! - Set `half_close(true)` on hyper's `http1` builder. By default hyper takes a client's half-close for a lost client
//!   (`a_request_that_ends_by_a_half_close_is_answered_when_hyper_is_told_to`).
//! - Do not take the stream back from hyper with `without_shutdown` or `into_parts` to close it yourself. What hyper had not
//!   written yet is lost, and the close makes the rest look complete
//!   (`without_shutdown_hyper_gives_the_stream_back_without_what_it_had_not_written`).
//! - In an HTTP server, set `Truncation::AsEof`: requests have lengths, and curl and others leave without a close_notify. With
//!   the default, a hyper server over HTTP/2 works the same but does not send its own close_notify
//!   (`an_idle_client_that_leaves_without_close_notify_is_an_ordinary_end_where_we_say_so`).
//! - In an HTTP/1 client, keep the default. A response with a length is complete without a close_notify
//!   (`an_answer_with_a_length_is_whole_though_its_server_leaves_without_close_notify`); one without a length is not.
//! - h2 keeps the kind and the text of an error and loses its type. Over HTTP/2, [`is_truncation`] never finds one, but the
//!   ending shows it (`an_http_2_answer_that_is_cut_is_an_error_and_the_ending_says_why`).
//!
//! # Who sends replies that reading requires
//!
//! A received record can require a reply: a KeyUpdate, or a fatal alert after a violation. The library sends it without a call
//! of yours and without a task of its own:
//!
//! | polled | who sends it | test |
//! |---|---|---|
//! | a joined stream, for reading | the read that received the record | `our_fatal_alert_goes_out_with_the_read_that_finds_the_violation` |
//! | only the read half | the read half, over the transport's write half, unless the writer is using it | `a_reader_alone_pays_what_it_owes`, `a_reader_alone_sends_our_fatal_alert` |
//! | both halves | whichever comes first when the transport has room; both are woken, and neither replaces the other's waker | `a_reader_that_owes_does_not_steal_the_writers_wake` |
//!
//! If the transport has no room, the bytes go out with the next poll of either half. After a failed read there may be no such
//! poll, so end the stream with `close` in that case, too. It sends the alert instead of a close_notify, and reads on so that
//! the alert arrives (`an_alert_is_not_destroyed_by_what_the_peer_still_sends`).
//!
//! [`ReceivedEnding::Truncated`]: crate::ReceivedEnding::Truncated
//! [`is_truncation`]: crate::is_truncation
