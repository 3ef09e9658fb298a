//! A TLS client of plain rustls, driven by hand over the other side of a [scripted transport](crate::transport).
//!
//! It does nothing by itself: the test says when it takes what was written and what it sends, so that records and ends can
//! be put into one segment or apart.

use crate::plain::{self, output_of};
use crate::transport::Handle;
use rustls::{ClientConfig, ClientConnection, Connection};
use std::io::Read as _;
use std::sync::Arc;

/// A TLS client that is driven by hand.
#[derive(Debug)]
pub struct Client {
    tls: Connection,
    /// The handle of the transport that the server under test reads and writes.
    pub wire: Handle,
    /// What has been decrypted so far.
    pub plaintext: Vec<u8>,
    /// Whether the server's close_notify has come.
    pub closed: bool,
    /// The error that the TLS library ended with, if it has.
    pub failed: Option<rustls::Error>,
}

impl Client {
    /// A client of `localhost` that has done nothing yet.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, wire: Handle) -> Self {
        let name = "localhost".try_into().expect("a DNS name");
        let tls = ClientConnection::new(config, name).expect("the configuration is a right one").into();
        Self { tls, wire, plaintext: Vec::new(), closed: false, failed: None }
    }

    /// Takes what the server has written, and hands it what the client has to say for its own part: its flights.
    pub fn pump(&mut self) {
        let written = self.wire.take_written();
        let mut unread = &written[..];
        while !unread.is_empty() && self.tls.read_tls(&mut unread).expect("plaintext is taken out at once") > 0 {
            match self.tls.process_new_packets() {
                Ok(state) => self.closed |= state.peer_has_closed(),
                Err(error) => return self.failed = Some(error),
            }
            let _would_block = self.tls.reader().read_to_end(&mut self.plaintext);
        }
        let flight = output_of(&mut self.tls);
        if !flight.is_empty() {
            self.wire.push_data(flight);
        }
    }

    /// The records of some plaintext, not sent yet.
    pub fn records(&mut self, plaintext: &[u8]) -> Vec<u8> {
        plain::data(&mut self.tls, plaintext)
    }

    /// The record of a close_notify, not sent yet.
    pub fn close_notify(&mut self) -> Vec<u8> {
        plain::close_notify(&mut self.tls)
    }

    /// The record of the fatal alert `bad_record_mac`, not sent yet. The client is of no more use then.
    pub fn fatal_alert(&mut self) -> Vec<u8> {
        let mut junk: &[u8] = b"\x17\x03\x03\x00\x20................................";
        self.tls.read_tls(&mut junk).expect("there is room");
        self.tls.process_new_packets().expect_err("that is no record of this session");
        output_of(&mut self.tls)
    }
}

/// A rustls client that blocks, over a connection that is there.
pub type BlockingClient = rustls::StreamOwned<ClientConnection, std::net::TcpStream>;

/// Makes one; its handshake begins with the first read or write.
pub fn blocking(config: Arc<ClientConfig>, name: &str, tcp: std::net::TcpStream) -> BlockingClient {
    let name = name.to_owned().try_into().expect("the name of a test is a name");
    rustls::StreamOwned::new(ClientConnection::new(config, name).expect("the configuration of a test is good"), tcp)
}
