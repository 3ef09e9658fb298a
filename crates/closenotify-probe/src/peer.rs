//! One connection of the probe: sends what it is told, and reads in the background at the pace that it is told.
//!
//! It answers nothing by itself, not even a close_notify or a KeyUpdate: what a well-kept peer would do is the script's.

use crate::error::HandshakeError;
use crate::event::{By, Link, Log, What};
use crate::handshake::{self, ClientSetup, Facts, ServerSetup, Stop};
use crate::reading::{Reading, Received, TcpEnd, Unwrap};
use crate::record::{Piece, Wrap};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One end of a TLS or TCP connection, in the probe's hands.
///
/// Dropping it closes the socket as the system does: with a FIN, or with a reset where unread bytes wait.
pub struct Peer {
    io: Option<Arc<TcpStream>>,
    wrap: Wrap,
    held: Vec<u8>,
    reading: Arc<Mutex<Reading>>,
    reader: JoinHandle<()>,
    pace: watch::Sender<Pace>,
    background: Option<Sending>,
    log: Log,
    link: Link,
}

/// How fast the probe reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All that comes.
    Full,
    /// Nothing.
    Paused,
    /// At most so many bytes, then a pause.
    Slow {
        /// In one read.
        bytes: usize,
        /// Between two reads.
        every: Duration,
    },
}

/// What became of bytes that were to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The system took them all.
    Whole,
    /// The other end did not read, and time was up, after so many bytes.
    Blocked(usize),
    /// The connection was gone.
    Failed(io::ErrorKind),
}

impl Peer {
    /// A connection without TLS.
    #[must_use]
    pub fn plain(io: TcpStream, link: Link, log: Log) -> Self {
        Self::new(io, Wrap::Nothing, Unwrap::Nothing, Vec::new(), Vec::new(), link, log)
    }

    /// A connection on which TLS is due, and no handshake has been begun.
    #[must_use]
    pub fn without_keys(io: TcpStream, log: Log) -> Self {
        Self::new(io, Wrap::Records, Unwrap::Records, Vec::new(), Vec::new(), Link::Tls, log)
    }

    /// Connects without TLS. A small `receive_buffer` in bytes makes the other end feel early that the probe does not read.
    ///
    /// # Errors
    ///
    /// When that cannot be done within `timeout`.
    pub async fn connect(to: SocketAddr, timeout: Duration, receive_buffer: Option<u32>) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        tokio::time::timeout(timeout, socket.connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Handshakes as a client, as far as `stop` says. The facts are there when the handshake is complete.
    ///
    /// # Errors
    ///
    /// When it does not get that far within `timeout`.
    pub async fn client(
        io: TcpStream,
        setup: &ClientSetup,
        stop: Stop,
        log: &Log,
        timeout: Duration,
    ) -> Result<(Self, Option<Facts>), HandshakeError> {
        let done = within(timeout, handshake::client(io, setup, stop, log)).await?;
        Ok(Self::from_handshake(done, log))
    }

    /// Handshakes as a server, as far as `stop` says. The facts are there when the handshake is complete.
    ///
    /// # Errors
    ///
    /// When it does not get that far within `timeout`.
    pub async fn server(
        io: TcpStream,
        setup: &ServerSetup,
        stop: Stop,
        log: &Log,
        timeout: Duration,
    ) -> Result<(Self, Option<Facts>), HandshakeError> {
        let done = within(timeout, handshake::server(io, setup, stop, log)).await?;
        Ok(Self::from_handshake(done, log))
    }

    /// Sends the pieces in one write, which on an idle connection with room is one segment; waits for room up to `timeout`.
    /// What an earlier [`send_in_background`](Self::send_in_background) still has to send goes first.
    pub async fn send(&mut self, pieces: &[Piece], timeout: Duration) -> Sent {
        if let Some(before) = self.background.take() {
            match tokio::time::timeout(timeout, before.done()).await {
                Ok(Sent::Whole) => {}
                Ok(other) => return other,
                Err(_) => return Sent::Blocked(0),
            }
        }
        let bytes = self.encode(pieces);
        let Some(io) = &self.io else { return Sent::Failed(io::ErrorKind::NotConnected) };
        write(io, &bytes, timeout).await
    }

    /// Starts to send the pieces, and goes on; at most one such sending is under way.
    pub fn send_in_background(&mut self, pieces: &[Piece], timeout: Duration) {
        let bytes = self.encode(pieces);
        let Some(io) = self.io.clone() else { return };
        let before = self.background.take();
        self.background = Some(Sending::new(async move {
            if let Some(before) = before
                && before.done().await != Sent::Whole
            {
                return Sent::Blocked(0);
            }
            write(&io, &bytes, timeout).await
        }));
    }

    /// Ends the TCP direction to the other end, behind what [`send_in_background`](Self::send_in_background) still has to send.
    pub fn fin(&mut self) {
        let Some(io) = self.io.clone() else { return };
        let (log, link) = (self.log.clone(), self.link);
        let fin = move || {
            log.push(link, By::Probe, What::Fin);
            // It fails where the other end has reset the connection, and that is in the log.
            let _ = socket2::SockRef::from(&*io).shutdown(Shutdown::Write);
        };
        match self.background.take() {
            Some(before) if !before.0.is_finished() => {
                self.background = Some(Sending::new(async move {
                    let sent = before.done().await;
                    fin();
                    sent
                }));
            }
            _ => fin(),
        }
    }

    /// Resets the connection.
    pub async fn reset(&mut self) {
        self.log.push(self.link, By::Probe, What::Reset);
        self.close(true).await;
    }

    /// Closes the socket as the system does: with a reset where unread bytes wait.
    pub async fn drop_socket(&mut self) {
        self.log.push(self.link, By::Probe, What::Note("closes its socket".to_owned()));
        self.close(false).await;
    }

    /// Sets how fast it reads from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        let note = match pace {
            Pace::Full => "reads on".to_owned(),
            Pace::Paused => "stops reading".to_owned(),
            Pace::Slow { bytes, every } => format!("reads {bytes} B every {} ms", every.as_millis()),
        };
        self.log.push(self.link, By::Probe, What::Note(note));
        self.pace.send_replace(pace);
    }

    /// Looks at what the other end sent so far.
    pub fn received<R>(&self, look: impl FnOnce(&Received) -> R) -> R {
        look(lock(&self.reading).received())
    }

    /// Waits until what the other end sent is as `done` says; `false` when `timeout` came first.
    pub async fn until(&self, timeout: Duration, mut done: impl FnMut(&Received) -> bool) -> bool {
        let reading = Arc::clone(&self.reading);
        self.log.until(timeout, move || done(lock(&reading).received())).await
    }

    /// Which connection it is.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// Whether the probe's own end of the socket is still there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.io.is_some()
    }

    async fn close(&mut self, reset: bool) {
        // The tasks hold the socket too.
        self.reader.abort();
        let _ = (&mut self.reader).await;
        if let Some(mut background) = self.background.take() {
            background.0.abort();
            let _ = (&mut background.0).await;
        }
        if let Some(io) = self.io.take()
            && reset
        {
            // What cannot be reset is gone already.
            let _ = io.set_zero_linger();
        }
    }

    fn encode(&mut self, pieces: &[Piece]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        for piece in pieces {
            self.log.push(self.link, By::Probe, piece.what());
            bytes.extend(self.wrap.encode(piece));
        }
        bytes
    }

    fn from_handshake(done: handshake::Done, log: &Log) -> (Self, Option<Facts>) {
        let handshake::Done { io, wrap, unwrap, held, unread, facts } = done;
        (Self::new(io, wrap, unwrap, held, unread, Link::Tls, log.clone()), facts)
    }

    fn new(io: TcpStream, wrap: Wrap, unwrap: Unwrap, held: Vec<u8>, unread: Vec<u8>, link: Link, log: Log) -> Self {
        // Without it the kernel may hold small records back; a connection that is gone needs none.
        let _ = io.set_nodelay(true);
        let io = Arc::new(io);
        let reading = Arc::new(Mutex::new(Reading::new(unwrap, log.clone(), link)));
        if !unread.is_empty() {
            lock(&reading).feed(&unread);
        }
        let (pace, paced) = watch::channel(Pace::Full);
        let reader = tokio::spawn(read_on(Arc::clone(&io), Arc::clone(&reading), paced));
        Self { io: Some(io), wrap, held, reading, reader, pace, background: None, log, link }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A sending under way. Dropping it ends it, with the one in front of it that it may be waiting for.
struct Sending(JoinHandle<Sent>);

impl Sending {
    fn new(work: impl Future<Output = Sent> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    async fn done(mut self) -> Sent {
        (&mut self.0).await.unwrap_or(Sent::Blocked(0))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn within<T>(
    timeout: Duration,
    handshake: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    match tokio::time::timeout(timeout, handshake).await {
        Ok(done) => done,
        Err(_) => Err(HandshakeError::io(&io::ErrorKind::TimedOut.into())),
    }
}

async fn write(io: &TcpStream, bytes: &[u8], timeout: Duration) -> Sent {
    let mut written = 0;
    let all = async {
        while written < bytes.len() {
            io.writable().await?;
            match io.try_write(&bytes[written..]) {
                Ok(taken) => written += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        io::Result::Ok(())
    };
    match tokio::time::timeout(timeout, all).await {
        Ok(Ok(())) => Sent::Whole,
        Ok(Err(error)) => Sent::Failed(error.kind()),
        Err(_) => Sent::Blocked(written),
    }
}

async fn read_on(io: Arc<TcpStream>, reading: Arc<Mutex<Reading>>, mut paced: watch::Receiver<Pace>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let pace = *paced.borrow_and_update();
        let most = match pace {
            Pace::Paused => match paced.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Pace::Full => buffer.len(),
            Pace::Slow { bytes, .. } => bytes.clamp(1, buffer.len()),
        };
        tokio::select! {
            ready = io.readable() => if ready.is_err() { return },
            changed = paced.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        match io.try_read(&mut buffer[..most]) {
            Ok(0) => return lock(&reading).ended(TcpEnd::Fin),
            Ok(length) => lock(&reading).feed(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return lock(&reading).ended(TcpEnd::Reset),
        }
        if let Pace::Slow { every, .. } = pace {
            tokio::time::sleep(every).await;
        }
    }
}

fn lock(reading: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}
