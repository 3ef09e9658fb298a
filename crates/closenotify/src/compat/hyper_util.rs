//! hyper-util's `Connection`, which its pooling client requires of the streams that a connector returns.
//!
//! It reports that HTTP/2 was negotiated, so that one connection carries many requests.

use crate::{CloseOnShutdown, SessionFacts, TlsStream, client};
use hyper_util::client::legacy::connect::{Connected, Connection};

impl<T: Connection> Connection for client::TlsStream<T> {
    fn connected(&self) -> Connected {
        connected(self.get_ref())
    }
}

impl<T: Connection> Connection for TlsStream<T> {
    fn connected(&self) -> Connected {
        connected(self.get_ref())
    }
}

impl<T: Connection> Connection for CloseOnShutdown<T> {
    fn connected(&self) -> Connected {
        connected(self.get_ref())
    }
}

fn connected<T: Connection>((transport, facts): (&T, &SessionFacts)) -> Connected {
    let connected = transport.connected();
    if facts.alpn_protocol() == Some(b"h2") { connected.negotiated_h2() } else { connected }
}
