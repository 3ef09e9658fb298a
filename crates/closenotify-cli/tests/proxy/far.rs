//! An upstream in the test's hands: plain or TLS, over TCP or a Unix socket, with or without a PROXY protocol header. rustls
//! does its TLS.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use testkit::net::reset_on_close;

use crate::harness::LIMIT;

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) tls: bool,
    pub(crate) unix: bool,
    /// A header of the PROXY protocol, version 2, comes first.
    pub(crate) header: bool,
}

impl Kind {
    pub(crate) const PLAIN: Self = Self { tls: false, unix: false, header: false };

    /// Every combination.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of = |bit: u8| move |bits: u8| bits & bit != 0;
        (0..8).map(move |bits| Self { tls: of(1)(bits), unix: of(2)(bits), header: of(4)(bits) })
    }

    /// A complete stream, in the words of the log.
    pub(crate) fn clean(self) -> &'static str {
        if self.tls { "close_notify" } else { "fin" }
    }

    /// A stream that we do not complete, in the words of the log.
    pub(crate) fn cut(self) -> &'static str {
        if self.tls { "aborted" } else { "reset" }
    }

    /// What the upstream sees of a complete stream.
    pub(crate) fn sees_clean(self) -> Vec<&'static str> {
        if self.tls { vec!["close_notify", "fin"] } else { vec!["fin"] }
    }

    /// What the upstream sees of a stream that is not complete. A Unix socket knows no reset.
    pub(crate) fn sees_cut(self) -> Vec<&'static str> {
        if self.unix { vec!["fin"] } else { vec!["rst"] }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = if self.unix { "Unix" } else { "TCP" };
        let (what, header) =
            (if self.tls { "TLS over " } else { "" }, if self.header { " after a PROXY header" } else { "" });
        write!(f, "{what}{over}{header}")
    }
}

/// A listening upstream.
pub(crate) struct Listening {
    kind: Kind,
    /// As the configuration writes it.
    pub(crate) address: String,
    tls: Option<Arc<ServerConfig>>,
    incoming: Receiver<Socket>,
}

impl Listening {
    /// Listens on a free port, or on a socket in `dir`. `tls` is used if `kind` says so.
    pub(crate) fn new(kind: Kind, dir: &Path, tls: Arc<ServerConfig>) -> Self {
        let (say, incoming) = mpsc::channel();
        let address = if kind.unix {
            let path = dir.join("upstream.sock");
            let listener = UnixListener::bind(&path).unwrap();
            thread::spawn(move || listener.incoming().try_for_each(|socket| say.send(Socket::Unix(socket.unwrap()))));
            format!("unix:{}", path.display())
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            thread::spawn(move || listener.incoming().try_for_each(|socket| say.send(Socket::Tcp(socket.unwrap()))));
            address.to_string()
        };
        Self { kind, address, tls: kind.tls.then_some(tls), incoming }
    }

    /// The next connection, its header read and its handshake done.
    pub(crate) fn accept(&self) -> Far {
        self.accept_within(LIMIT).expect("nobody connects")
    }

    /// The same; `None` if nobody connects within this time.
    pub(crate) fn accept_within(&self, limit: Duration) -> Option<Far> {
        let socket = self.incoming.recv_timeout(limit).ok()?;
        socket.set_timeouts(LIMIT);
        let mut far = Far { socket, tls: None, header: Vec::new() };
        if self.kind.header {
            far.header = far.socket.exactly(16);
            assert_eq!(far.header[..12], *b"\r\n\r\n\0\r\nQUIT\n");
            let length = u16::from_be_bytes([far.header[14], far.header[15]]);
            let rest = far.socket.exactly(length.into());
            far.header.extend(rest);
        }
        if let Some(config) = &self.tls {
            let mut tls = ServerConnection::new(Arc::clone(config)).unwrap();
            tls.set_buffer_limit(None);
            while tls.is_handshaking() {
                tls.complete_io(&mut far.socket).unwrap();
            }
            far.tls = Some(tls);
        }
        Some(far)
    }
}

/// A connection of an upstream.
pub(crate) struct Far {
    pub(crate) socket: Socket,
    tls: Option<ServerConnection>,
    /// The header of the PROXY protocol that came first.
    pub(crate) header: Vec<u8>,
}

impl Far {
    pub(crate) fn send(&mut self, data: &[u8]) {
        match &mut self.tls {
            None => self.socket.write_all(data).unwrap(),
            Some(tls) => {
                tls.writer().write_all(data).unwrap();
                flush(tls, &mut self.socket);
            }
        }
    }

    /// Ends its stream: close_notify where it is TLS, then FIN.
    pub(crate) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            flush(tls, &mut self.socket);
        }
        self.fin();
    }

    /// The same, and says whether the connection took it.
    pub(crate) fn try_send(&mut self, data: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.socket.write_all(data) };
        tls.writer().write_all(data)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Sends close_notify, and bytes after it in the same write.
    pub(crate) fn close_notify_and(&mut self, trailing: &[u8]) {
        let tls = self.tls.as_mut().expect("plain upstreams know no close_notify");
        tls.send_close_notify();
        let mut bytes = Vec::new();
        tls.write_tls(&mut bytes).unwrap();
        bytes.extend(trailing);
        self.socket.write_all(&bytes).unwrap();
    }

    /// Sends bytes that are no record of its session.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends a fatal alert (decode_error).
    pub(crate) fn fatal_alert(&mut self) {
        let tls = self.tls.as_mut().expect("plain upstreams know no alerts");
        // rustls makes one when it is given what is no TLS.
        tls.read_tls(&mut &b"no record"[..]).unwrap();
        tls.process_new_packets().unwrap_err();
        flush(tls, &mut self.socket);
    }

    /// FIN alone.
    pub(crate) fn fin(&self) {
        self.socket.fin();
    }

    /// Closes by a reset; a Unix socket is just closed.
    pub(crate) fn reset(self) {
        self.socket.reset_on_close();
    }

    /// Reads exactly `length` bytes of data.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let Some(tls) = &mut self.tls else { return self.socket.exactly(length) };
        let mut data = vec![0; length];
        let mut at = 0;
        while at < length {
            match tls.reader().read(&mut data[at..]) {
                Ok(0) => panic!("{at} of {length} bytes, then close_notify"),
                Ok(n) => at += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert_ne!(uninterrupted(|| tls.read_tls(&mut self.socket)).unwrap(), 0, "{at} of {length} bytes");
                    tls.process_new_packets().unwrap();
                }
                Err(error) => panic!("{at} of {length} bytes, then {error}"),
            }
        }
        data
    }

    /// Reads to the end of the connection what is no TLS any more: `fin` or `rst`.
    pub(crate) fn end_of_socket(&mut self) -> &'static str {
        end(self.socket.read_to_end(&mut Vec::new()))
    }

    /// Reads to the end of the connection: the data, and `close_notify`, `fin`, `rst` as they came.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, Vec<&'static str>) {
        let (mut data, mut words) = (Vec::new(), Vec::new());
        let Some(tls) = &mut self.tls else {
            words.push(end(self.socket.read_to_end(&mut data)));
            return (data, words);
        };
        loop {
            // What came with the handshake is there already.
            let closed = tls.process_new_packets().unwrap().peer_has_closed();
            let _would_block = tls.reader().read_to_end(&mut data);
            if closed {
                words.push("close_notify");
                words.push(end(uninterrupted(|| self.socket.read(&mut [0; 64]))));
                return (data, words);
            }
            match uninterrupted(|| tls.read_tls(&mut self.socket)) {
                Ok(1..) => {}
                last => {
                    words.push(end(last));
                    return (data, words);
                }
            }
        }
    }
}

/// The end of a connection as it was read.
fn end(last: io::Result<usize>) -> &'static str {
    match last {
        Ok(_) => "fin",
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            "rst"
        }
    }
}

fn flush(tls: &mut ServerConnection, socket: &mut Socket) {
    while tls.wants_write() {
        tls.write_tls(socket).unwrap();
    }
}

/// A socket with a time limit may be interrupted without a signal of ours.
fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A connected socket of either family.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn set_timeouts(&self, limit: Duration) {
        match self {
            Self::Tcp(tcp) => {
                tcp.set_nodelay(true).unwrap();
                tcp.set_read_timeout(Some(limit)).and_then(|()| tcp.set_write_timeout(Some(limit)))
            }
            Self::Unix(unix) => unix.set_read_timeout(Some(limit)).and_then(|()| unix.set_write_timeout(Some(limit))),
        }
        .unwrap();
    }

    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(tcp) = self {
            reset_on_close(tcp);
        }
    }

    fn fin(&self) {
        match self {
            Self::Tcp(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Unix(unix) => unix.shutdown(Shutdown::Write),
        }
        .unwrap();
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.read_exact(&mut data).unwrap();
        data
    }
}

impl Read for Socket {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.read(data),
            Self::Unix(unix) => unix.read(data),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.write(data),
            Self::Unix(unix) => unix.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
