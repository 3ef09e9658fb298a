//! How sessions end, for the person who searched for *peer closed connection without sending TLS close_notify*.
//!
//! # What it means
//!
//! TLS says goodbye inside the encryption: an alert called `close_notify`, behind the last byte. TCP says goodbye outside
//! it, by a FIN, which anybody on the way can forge. So when the FIN comes and the alert did not, you do not know whether
//! you have everything (RFC 9846 section 6.1): perhaps the peer was lazy, perhaps it crashed, perhaps somebody cut the
//! message where it suited him. rustls words it as in the title, this crate as *the connection ended without close_notify,
//! so data may be missing*; its type is [`ReceivedEnding::Truncated`], its question [`is_truncation`], its kind
//! `UnexpectedEof` (`a_failed_read_is_known_for_what_it_is`).
//!
//! # When it is harmless
//!
//! It is the message's framing that decides, not the connection.
//!
//! | your protocol | where the end came | what it is |
//! |---|---|---|
//! | has lengths, chunks or terminators: HTTP with Content-Length or chunks, HTTP/2, SMTP, Redis, Postgres | between two messages | an ordinary end: the peer had nothing more to say |
//! | the same | inside a message | a cut message, which your parser notices by itself |
//! | the same, and a command of yours is unanswered | before the answer | an unknown result: the command may have been done, so do not repeat it blindly |
//! | ends its message by ending the connection: HTTP without a length, many line protocols, file transfers | anywhere | perhaps a cut message: only a `close_notify` says that it is whole (RFC 9112 section 9.8) |
//!
//! For the first kind say so once, on the connector, the acceptor or one stream, and read as if nothing were: an end
//! between two records is then an end. Inside a record it stays an error, since there data *is* missing
//! (`as_eof_is_an_end_between_records_and_nowhere_else`), and the ending is recorded either way:
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
//! Where the end of the stream is the end of the message, leave the default, and keep what came apart from what is whole:
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
//! #     stream.write_all(b"pay 100").await.unwrap(); // of "pay 1000", and the rest was cut off
//! #     stream.flush().await.unwrap();
//! # });
//! # let mut stream = TlsConnector::from(config).connect("localhost".try_into()?, tcp).await?;
//! let mut text = String::new();
//! let whole = match stream.read_to_string(&mut text).await {
//!     Ok(_) => true,
//!     Err(error) if is_truncation(&error) => false,
//!     Err(error) => return Err(error.into()),
//! };
//! # server.await?;
//! assert!(!whole, "the text may be cut: {text}");
//! # Ok(())
//! # }
//! ```
//!
//! An HTTP library wraps the error in its own; [`is_truncation`] looks through that
//! (`a_truncated_answer_is_found_inside_a_hyper_error`).
//!
//! # What each ending means to an application
//!
//! [`received_ending`](crate::TlsStream::received_ending) says how the peer's half ended:
//!
//! | ending | what you have | what to do |
//! |---|---|---|
//! | `CloseNotify` | everything that the peer sent; it may be waiting for your answer still | answer, then close |
//! | `Truncated` | perhaps everything, by the table above | decide by the framing |
//! | `Reset` | perhaps not everything; what you sent last may be lost, too | take what is unanswered for unknown |
//! | `Alert(x)` | the peer gave up, and says why: `certificate_required` right after a handshake is a missing client certificate (`a_refused_client_is_told_in_its_handshake_by_tls_1_2_and_in_its_first_read_by_tls_1_3`) | tell the operator; trying again will not help |
//! | `Violation` | the peer, or somebody on the way, broke the protocol | discard what is unfinished; look for a middlebox |
//! | `TimedOut(d)` | a deadline of ours passed | as `Reset` |
//! | `Failed(kind)` | the transport failed otherwise: no route, a cable | as `Reset` |
//! | `Abandoned` | we stopped reading; the peer did nothing wrong | nothing |
//!
//! [`sent_ending`](crate::TlsStream::sent_ending) says what the peer got from us. `CloseNotify` means that all data and the
//! alert were handed to the transport. It is no receipt; only an answer of the peer's is.
//!
//! # What sends a close_notify, and what does not
//!
//! | call | close_notify | test |
//! |---|---|---|
//! | [`shutdown`](tokio::io::AsyncWriteExt::shutdown) of a stream or a write half | yes, then the transport's FIN; reading goes on | `shutdown_is_alert_flush_fin_in_this_order_and_once`, `reading_goes_on_after_our_own_shutdown` |
//! | [`close`](crate::TlsStream::close) | yes, then FIN, then reads on for a bounded while so that nothing is lost | `a_linger_of_no_time_still_says_goodbye`, `close_loses_nothing_of_what_is_in_flight`, `a_slow_peer_that_reads_on_loses_nothing` |
//! | the shutdown of a [`CloseOnShutdown`](crate::CloseOnShutdown) | the same as `close`: for hyper, h2 and axum, which take the stream over | `its_shutdown_waits_for_the_peers_end_and_tells_how_it_was` |
//! | [`end_tls`](crate::TlsStream::end_tls) | yes, and waits for the peer's; the transport goes on | `both_alerts_are_exchanged_and_the_transport_goes_on` |
//! | **dropping** the stream | **no**: the peer sees a truncation | `dropping_the_stream_says_nothing` |
//! | dropping a `CloseOnShutdown` before its shutdown | no | `dropped_before_its_shutdown_it_says_nothing_to_the_peer_and_tells_the_owner` |
//! | dropping the write half | no | `dropping_the_write_half_aborts_and_reading_goes_on` |
//! | dropping the read half | no; the write half goes on | `dropping_the_read_half_leaves_the_writer_alone` |
//! | `into_inner` | no | `the_transport_is_in_reach_and_comes_back` |
//! | reading the peer's close_notify | no: our half is ours to end | `writing_goes_on_after_the_peers_close` |
//! | dropping an unfinished handshake | no, nor any other alert | `dropping_a_handshake_drops_the_transport_without_a_word` |
//! | anything, once a fatal alert was sent or received | no: that has ended the session | `a_received_fatal_alert_refuses_writes_and_says_nothing` |
//!
//! That dropping says nothing is on purpose. A program that panics or returns early drops its streams too, and half a message
//! must not look whole. So end what is finished by `close`. `shutdown` and then dropping is not enough where the peer may
//! still be sending: a socket that is closed over unread data is reset, and the reset destroys what was on its way
//! (`shutdown_and_drop_lose_what_is_in_flight`).
//!
//! # What dropping a future does
//!
//! | a future, dropped before it has answered | what becomes of it | test |
//! |---|---|---|
//! | of a read, of a stream or a read half | nothing is lost: the next read goes on where it was | `reads_may_be_dropped_after_any_poll` |
//! | of a write, a flush or a `shutdown` | what was taken is sent once, what was not is not; a shutdown that has begun has closed the half, and the next one goes on with it | `writes_flushes_and_shutdowns_may_be_dropped_after_any_poll` |
//! | of either, while it waited | it is not woken any more, the next one is | `a_wait_that_is_dropped_is_taken_over_by_the_next` |
//! | [`close`](crate::TlsStream::close) | it drops the stream where it stands: an abort, unless the close_notify is out | `a_close_that_is_dropped_drops_the_stream_where_it_stands` |
//! | [`end_tls`](crate::TlsStream::end_tls) | the same, and the transport is gone with it | `an_end_of_tls_that_is_dropped_drops_the_stream_and_the_transport` |
//! | [`Connect`](crate::Connect), [`Accept`](crate::Accept), [`Fallible`](crate::Fallible) | the transport is dropped, with no alert | `dropping_a_handshake_drops_the_transport_without_a_word` |
//! | [`LazyConfigAcceptor`](crate::LazyConfigAcceptor), or the [`StartHandshake`](crate::StartHandshake) that it answers | the same | `a_server_that_is_dropped_before_it_has_chosen_drops_the_transport_without_a_word` |
//! | [`AcceptEarly`](crate::AcceptEarly), [`finish`](crate::EarlyStream::finish), or the [`EarlyStream`](crate::EarlyStream) between them | the same; of `connect_early` too, whose bytes the server may have | `dropping_at_any_stage_drops_the_transport_without_a_word` |
//! | [`WhenEnded`](crate::WhenEnded) | nothing | `who_stops_waiting_for_an_ending_changes_nothing` |
//!
//! Tokio's `write_all` and `read_exact` are several writes or reads in one future: dropped midway they have done some, and do
//! not say how many.
//!
//! # Under hyper, h2 and axum
//!
//! Such a library takes the stream over, and ends it by a shutdown and a drop. Give it a
//! [`close_on_shutdown`](crate::TlsStream::close_on_shutdown): its shutdown is the whole close, and what it answers beside the
//! stream says how the session ended (`an_answer_that_begins_after_the_stop_arrives_whole`,
//! `a_graceful_shutdown_of_axum_delivers_the_answer_and_ends_clean`).
//!
//! - Do not take the stream back from hyper by `without_shutdown` or `into_parts` in order to close it yourself: what hyper had
//!   not written yet is lost, and the close makes the rest look whole
//!   (`without_shutdown_hyper_gives_the_stream_back_without_what_it_had_not_written`).
//! - A server of HTTP should set `Truncation::AsEof`: requests have lengths, and curl and others leave without a close_notify.
//!   With the default a hyper server over HTTP/2 ends no worse, but without a close_notify of its own
//!   (`an_idle_client_that_leaves_without_close_notify_is_an_ordinary_end_where_we_say_so`).
//! - A client of HTTP/1 should leave the default: an answer with a length is whole all the same
//!   (`an_answer_with_a_length_is_whole_though_its_server_leaves_without_close_notify`), and one without is not.
//! - hyper takes a client's half-close for a client that is gone, unless `half_close(true)` is set
//!   (`a_request_that_ends_by_a_half_close_is_answered_when_hyper_is_told_to`).
//! - h2 keeps the kind and the text of an error and loses its type, so over HTTP/2 [`is_truncation`] never finds one; the
//!   ending does (`an_http_2_answer_that_is_cut_is_an_error_and_the_ending_says_why`).
//!
//! # Who writes what receiving makes us owe
//!
//! Receiving can make us owe the peer bytes: the answer to a KeyUpdate, the fatal alert that tells it what it did wrong.
//! Nobody needs to ask for them, and there is no task for it. Who writes them:
//!
//! | who is polled | who writes | test |
//! |---|---|---|
//! | a joined stream, for reading | the very read that came to owe it | `our_fatal_alert_goes_out_with_the_read_that_finds_the_violation` |
//! | only the read half | the read half, on the transport's write half, unless the writer is at it | `a_reader_alone_pays_what_it_owes`, `a_reader_alone_sends_our_fatal_alert` |
//! | both halves | whoever comes first when the transport has room; both are woken, neither takes the other's place | `a_reader_that_owes_does_not_steal_the_writers_wake` |
//!
//! When the transport has no room at that moment, the bytes go with the next poll of either half. After a read has failed
//! there may be no other, so end the stream by `close` then, too: it sends the alert that is owed, in place of a
//! close_notify, and reads on so that it arrives (`an_alert_is_not_destroyed_by_what_the_peer_still_sends`).
//!
//! [`ReceivedEnding::Truncated`]: crate::ReceivedEnding::Truncated
//! [`is_truncation`]: crate::is_truncation
