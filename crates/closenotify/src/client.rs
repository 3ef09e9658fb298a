//! The stream of a TLS client.

use crate::close::{EndTlsError, Ended, Linger};
use crate::close_on_shutdown::{CloseOnShutdown, WhenEnded};
use crate::reading::Truncation;
use crate::split::{ReadHalf, SplitTransport, WriteHalf};
use crate::stream::{Stream, stream_methods};
use closenotify_core::{ReceivedEnding, SentEnding, SessionFacts};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// A TLS session over the transport `T`, as its client: made by [`TlsConnector`](crate::TlsConnector).
///
/// See [the crate's page](crate) for what its reads and writes answer, and [`TlsStream`](crate::TlsStream) for a type that
/// holds either side.
///
/// Dropping it while its sending half is open is an abort: no close_notify is sent, so that the peer can tell that the
/// message is unfinished. Dropping it never waits and never blocks; it closes the transport, and where the transport is a
/// socket with data unread, its kernel answers with a reset that may destroy what was sent last.
/// [`close`](Self::close) is the way to lose nothing.
pub struct TlsStream<T>(pub(crate) Stream<T>);

stream_methods!(Client);
