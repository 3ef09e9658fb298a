//! The stream of a TLS server.

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

/// The server side of a TLS session over the transport `T`, made by [`TlsAcceptor`](crate::TlsAcceptor).
///
/// [The crate's page](crate) lists the errors of its reads and writes. [`TlsStream`](crate::TlsStream) holds either side.
///
/// Dropping it while its sending half is open is an abort: no close_notify is sent, so the peer can tell that the message is
/// unfinished. A drop never waits or blocks. It closes the transport, and the kernel resets a socket that is closed with unread
/// data, which may destroy what was sent last. To lose nothing, call [`close`](Self::close).
pub struct TlsStream<T>(pub(crate) Stream<T>);

stream_methods!(Server);
