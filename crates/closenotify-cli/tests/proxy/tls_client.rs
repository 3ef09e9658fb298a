//! A TLS client over a blocking socket that holds its records in its hands: what is sealed, and when which bytes go out,
//! are two things. rustls does the TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use testkit::certs::{Authority, TlsVersion};
use testkit::net::reset_on_close;

use crate::harness::{LIMIT, Proxy, collect};

/// A client whose handshake is done.
pub(crate) struct TlsClient {
    connection: ClientConnection,
    pub(crate) socket: TcpStream,
}

impl TlsClient {
    pub(crate) fn connect(proxy: &Proxy, version: TlsVersion) -> Self {
        let config = proxy.authority.client_config(version);
        Self::connect_to(proxy.address, config, ServerName::from(proxy.address.ip()))
    }

    /// A client of the server with this name, which it asks for if it is a DNS name.
    pub(crate) fn connect_to(address: SocketAddr, config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), config, name)
    }

    /// A client over a connection to a server of this authority.
    pub(crate) fn of(socket: TcpStream, authority: &Authority, version: TlsVersion) -> Self {
        let name = ServerName::from(socket.peer_addr().unwrap().ip());
        Self::over(socket, authority.client_config(version), name)
    }

    /// A client over a connection that is there.
    pub(crate) fn over(mut socket: TcpStream, config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut connection = ClientConnection::new(config, name).unwrap();
        connection.set_buffer_limit(None);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        Self { connection, socket }
    }

    /// The records of `data`, not sent.
    pub(crate) fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        self.connection.writer().write_all(data).unwrap();
        self.output()
    }

    /// The record of our close_notify, not sent.
    pub(crate) fn close_notify(&mut self) -> Vec<u8> {
        self.connection.send_close_notify();
        self.output()
    }

    /// The record of a fatal alert (decode_error), not sent. The session is over with it.
    pub(crate) fn fatal_alert(&mut self) -> Vec<u8> {
        // rustls makes one when it is given what is no TLS.
        self.connection.read_tls(&mut &b"no record"[..]).unwrap();
        self.connection.process_new_packets().unwrap_err();
        self.output()
    }

    /// Sends `bytes` in one write.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert_eq!(self.socket.write(bytes).unwrap(), bytes.len(), "the kernel takes a small write whole");
    }

    pub(crate) fn send(&mut self, data: &[u8]) {
        let records = self.seal(data);
        self.write(&records);
    }

    /// FIN alone.
    pub(crate) fn fin(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes by a reset.
    pub(crate) fn reset(self) {
        reset_on_close(&self.socket);
    }

    /// Reads exactly `length` bytes of data.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        let mut at = 0;
        while at < length {
            match self.connection.reader().read(&mut data[at..]) {
                Ok(0) => panic!("{} of {length} bytes, then close_notify", at),
                Ok(n) => at += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert_ne!(self.receive().unwrap(), 0, "{at} of {length} bytes");
                    self.connection.process_new_packets().unwrap();
                }
                Err(error) => panic!("{at} of {length} bytes, then {error}"),
            }
        }
        data
    }

    /// Reads data to the end of TCP; what else came is told in the words of the Python peer: `close_notify`, `fin`, `rst`.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, Vec<&'static str>) {
        let mut socket = self.socket.try_clone().unwrap();
        self.read_to_end_from(&mut socket)
    }

    /// As [`read_to_end`](Self::read_to_end), with the socket in other hands.
    pub(crate) fn read_to_end_from(&mut self, socket: &mut impl Read) -> (Vec<u8>, Vec<&'static str>) {
        let (mut data, mut words) = (Vec::new(), Vec::new());
        loop {
            match self.connection.reader().read_to_end(&mut data) {
                // All plaintext and then the close_notify.
                Ok(_) => words.push("close_notify"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.receive_from(socket) {
                    Ok(0) => {
                        words.push("fin");
                        return (data, words);
                    }
                    Ok(_) => {
                        self.connection.process_new_packets().unwrap();
                        continue;
                    }
                    Err(error) => return (data, reset(words, &error)),
                },
                Err(error) => panic!("{error}"),
            }
            match uninterrupted(|| socket.read(&mut [0; 64])) {
                Ok(0) => words.push("fin"),
                Ok(_) => words.push("trailing"),
                Err(error) => words = reset(words, &error),
            }
            return (data, words);
        }
    }

    /// Reads to the end of TCP past TLS, for a session that is over: `fin` or `rst`.
    pub(crate) fn end_of_tcp(&mut self) -> &'static str {
        collect(&self.socket).1
    }

    /// Reads until there is data, and keeps it for later.
    pub(crate) fn wait_for_data(&mut self) {
        let waiting =
            |client: &mut Self| client.connection.process_new_packets().unwrap().plaintext_bytes_to_read() == 0;
        while waiting(self) {
            assert_ne!(self.receive().unwrap(), 0, "FIN before any data");
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        uninterrupted(|| self.connection.read_tls(&mut self.socket))
    }

    fn receive_from(&mut self, socket: &mut impl Read) -> io::Result<usize> {
        uninterrupted(|| self.connection.read_tls(socket))
    }

    fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut output).unwrap();
        }
        output
    }
}

/// A socket with a time limit may be interrupted without a signal of ours.
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn reset(mut words: Vec<&'static str>, error: &io::Error) -> Vec<&'static str> {
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}, after {words:?}");
    words.push("rst");
    words
}
