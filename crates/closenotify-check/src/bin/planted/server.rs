//! The planted server: HTTP/1.1 with one answer, `/` short and `/big` long.
//!
//! Whatever it does right stands in [`Session::serve`]; each fault is one `if` beside what it spoils.

use crate::server_faults::FAULTS;
use closenotify_probe::{Identity, Log, Peer, Piece, Received, ServerSetup, Stop, TcpEnd, TlsEnd, Version, alert};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// `planted server --listen ADDR --cert PEM --key PEM [--fault NAME]`
pub(crate) async fn run(words: &[String]) -> Result<ExitCode, String> {
    let get = |name: &str| crate::option(words, name).ok_or(format!("--{name} is missing"));
    let file = |name: &str| std::fs::read_to_string(get(name)?).map_err(|error| format!("--{name}: {error}"));
    let fault = crate::option(words, "fault").unwrap_or_default().to_owned();
    if !fault.is_empty() && !FAULTS.iter().any(|(name, _)| *name == fault) {
        return Err(format!("`{fault}` is no fault of the server"));
    }
    let identity = Identity::from_pem(&file("cert")?, &file("key")?).map_err(|error| error.to_string())?;
    let setup = ServerSetup::new(&identity, &Version::ALL, &["http/1.1"]).map_err(|error| error.to_string())?;
    let listener = listen(get("listen")?).map_err(|error| error.to_string())?;
    let server = Arc::new(Server { setup, fault });
    loop {
        let (io, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.connection(io).await });
    }
}

/// Listens, with a send buffer so small that a client who does not read is felt.
fn listen(addr: &str) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(32 * 1024)?;
    socket.bind(addr.parse().map_err(std::io::Error::other)?)?;
    socket.listen(128)
}

struct Server {
    setup: ServerSetup,
    fault: String,
}

impl Server {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    async fn connection(&self, io: TcpStream) {
        if self.has("spins-in-the-handshake") {
            tokio::spawn(spin());
        }
        let Ok(spare) = io.into_std() else { return };
        let (Ok(kept), Ok(io)) = (spare.try_clone(), TcpStream::from_std(spare)) else { return };
        let log = Log::new();
        let (peer, facts) = match Peer::server(io, &self.setup, Stop::Complete, &log, PATIENCE).await {
            Ok(done) => done,
            Err(error) => {
                if self.has("spins-on-a-failed-handshake") {
                    tokio::spawn(spin());
                }
                if self.has("handshakes-hang") {
                    tokio::time::sleep(PATIENCE).await;
                }
                if self.has("dies-of-a-reset") && error.fault == closenotify_probe::Fault::Reset {
                    crate::die();
                }
                return drop(kept);
            }
        };
        drop(kept);
        let tls13 = facts.is_some_and(|facts| facts.version == Version::Tls13);
        Session { server: self, peer, tls13, answered: 0, key_updates: 0 }.serve().await;
    }
}

/// A session after its handshake.
struct Session<'a> {
    server: &'a Server,
    peer: Peer,
    tls13: bool,
    /// How many bytes of requests are answered.
    answered: usize,
    /// How many KeyUpdates are answered.
    key_updates: u32,
}

/// What a look at the input says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    KeyUpdate,
    Request { end: usize, keep: bool },
    Violation(u8),
    CloseNotify,
    FatalAlert,
    Fin,
    Reset,
}

impl Session<'_> {
    async fn serve(mut self) {
        if self.server.has("spins") {
            tokio::spawn(spin());
        }
        let at_once = self.peer.received(|received| received.tls_end.is_some());
        if at_once && self.server.has("forgets-what-came-with-the-finished") {
            self.answered = self.peer.received(|received| received.data.len());
        }
        loop {
            let Some(next) = self.next().await else { return };
            match next {
                Next::KeyUpdate => {
                    self.key_updates += 1;
                    self.peer.send(&[Piece::KeyUpdate { request: false }], PATIENCE).await;
                }
                Next::Request { end, keep } => {
                    self.answered = end;
                    if !self.answer().await {
                        return;
                    }
                    if !keep {
                        return self.close().await;
                    }
                }
                Next::Violation(code) => {
                    let code = if self.server.has("wrong-alert") { alert::DECODE_ERROR } else { code };
                    let last = match self.server.has("close-notify-after-an-error") {
                        true => Piece::CLOSE_NOTIFY,
                        false => Piece::fatal(code),
                    };
                    self.peer.send(&[last], PATIENCE).await;
                    self.peer.fin();
                    return self.linger().await;
                }
                Next::CloseNotify => return self.close().await,
                Next::FatalAlert => {
                    if self.server.has("spins-on-alert") {
                        tokio::spawn(spin());
                    }
                    return;
                }
                Next::Fin => {
                    if self.server.has("spins-on-fin") {
                        tokio::spawn(spin());
                    }
                    if self.server.has("ignores-fin") {
                        tokio::time::sleep(PATIENCE).await;
                    }
                    return;
                }
                Next::Reset => return self.was_reset().await,
            }
        }
    }

    /// Waits for something to do. Data in front of an end comes before the end.
    async fn next(&mut self) -> Option<Next> {
        let mut next = None;
        let (answered, key_updates, tls13, server) = (self.answered, self.key_updates, self.tls13, self.server);
        let look = |received: &Received| {
            next = look(received, answered, key_updates, tls13, server);
            next.is_some()
        };
        self.peer.until(PATIENCE, look).await;
        if next == Some(Next::CloseNotify) && self.server.has("waits-behind-junk") {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.peer.received(has_more_behind) {
                tokio::time::sleep(PATIENCE).await;
            }
        }
        next
    }

    /// Sends the answer; `false` when the connection is over by that.
    async fn answer(&mut self) -> bool {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        let answer = Piece::Data([head.as_bytes(), &vec![b'a'; LENGTH]].concat());
        let patience = if self.server.has("short-write-deadline") { Duration::from_millis(500) } else { PATIENCE };
        if self.server.has("close-notify-ends-all") {
            // Half of it, then a look whether the client has ended.
            let Piece::Data(bytes) = answer else { return false };
            self.peer.send(&[Piece::Data(bytes[..LENGTH / 2].to_vec())], PATIENCE).await;
            let ended = |received: &Received| received.tls_end.is_some();
            if self.peer.until(Duration::from_millis(300), ended).await {
                return false;
            }
            self.peer.send(&[Piece::Data(bytes[LENGTH / 2..].to_vec())], PATIENCE).await;
            return true;
        }
        let more = |received: &Received| received.data.len() > self.answered;
        let unread = self.server.has("no-linger") && self.peer.until(Duration::from_millis(500), more).await;
        let half_closed = self.peer.received(|received| received.tls_end.is_some());
        if unread || (self.server.has("resets-on-late-bytes") && half_closed) {
            // How much of an answer a reset destroys is a matter of time; here it is all but the beginning.
            let Piece::Data(bytes) = answer else { return false };
            self.peer.send(&[Piece::Data(bytes[..1024].to_vec())], PATIENCE).await;
            if unread || self.peer.until(Duration::from_secs(2), has_more_behind).await {
                self.peer.reset().await;
                return false;
            }
            self.peer.send(&[Piece::Data(bytes[1024..].to_vec())], PATIENCE).await;
            return true;
        }
        match self.peer.send(&[answer], patience).await {
            closenotify_probe::Sent::Whole => true,
            closenotify_probe::Sent::Blocked(_) => {
                self.peer.reset().await;
                false
            }
            closenotify_probe::Sent::Failed(_) => {
                // The reading side tells it too, a moment later.
                self.was_reset().await;
                false
            }
        }
    }

    async fn was_reset(&self) {
        if self.server.has("dies-of-a-reset") {
            crate::die();
        }
        if self.server.has("spins-on-reset") {
            tokio::spawn(spin());
        }
    }

    /// Ends the own direction, and waits for the client's within bounds.
    async fn close(mut self) {
        let level = if self.server.has("close-notify-at-level-fatal") { alert::FATAL } else { alert::WARNING };
        let close_notify = Piece::Alert { level, code: alert::CLOSE_NOTIFY };
        if self.server.has("says-no-end") {
            return tokio::time::sleep(PATIENCE).await;
        }
        if !self.server.has("no-close-notify") {
            self.peer.send(std::slice::from_ref(&close_notify), PATIENCE).await;
        }
        if self.server.has("two-close-notifies") {
            self.peer.send(&[close_notify], PATIENCE).await;
        }
        if self.server.has("data-behind-close-notify") {
            self.peer.send(&[Piece::Data(b"late".to_vec())], PATIENCE).await;
        }
        if self.server.has("tcp-stays-open") {
            return tokio::time::sleep(PATIENCE).await;
        }
        self.peer.fin();
        self.linger().await;
    }

    async fn linger(mut self) {
        self.peer.until(LINGER, Received::is_over).await;
        if self.peer.received(|received| received.tcp_end == Some(TcpEnd::Reset)) {
            self.was_reset().await;
        }
        self.peer.drop_socket().await;
    }
}

fn look(received: &Received, answered: usize, key_updates: u32, tls13: bool, server: &Server) -> Option<Next> {
    let request = request_end(&received.data, answered);
    let end = received.tls_end;
    if server.has("errs-on-bytes-behind") && end == Some(TlsEnd::CloseNotify) && has_more_behind(received) {
        return Some(Next::Violation(alert::UNEXPECTED_MESSAGE));
    }
    if server.has("spins-on-bytes-behind") && end == Some(TlsEnd::CloseNotify) && has_more_behind(received) {
        busy();
    }
    if server.has("spins-half-closed") && end == Some(TlsEnd::CloseNotify) {
        busy();
    }
    if server.has("obeys-records-behind") && received.data_behind > 0 {
        // It cannot see that data, and takes it for the rest of a request, or one more.
        return match request {
            Some(Next::Request { end, .. }) => Some(Next::Request { end, keep: true }),
            _ => Some(Next::Request { end: received.data.len(), keep: false }),
        };
    }
    let fatal = matches!(end, Some(TlsEnd::Alert(_)));
    let canceled = || received.alerts.iter().any(|(_, code)| *code == alert::USER_CANCELED);
    let warned =
        || received.alerts.iter().any(|(level, code)| *level == alert::WARNING && *code != alert::CLOSE_NOTIFY);
    let level_fatal = || received.alerts.contains(&(alert::FATAL, alert::CLOSE_NOTIFY));
    if (server.has("user-canceled-is-an-error") && canceled())
        || (server.has("warnings-are-errors") && !tls13 && warned())
        || (server.has("level-fatal-is-an-error") && level_fatal())
    {
        return Some(Next::Violation(alert::UNEXPECTED_MESSAGE));
    }
    if server.has("key-updates-are-errors") && received.key_updates > 0 {
        return Some(Next::Violation(alert::UNEXPECTED_MESSAGE));
    }
    if received.key_updates_requested > key_updates && !server.has("does-not-answer-key-updates") {
        return Some(Next::KeyUpdate);
    }
    if server.has("end-overtakes-data") && end.is_some() {
        return Some(Next::CloseNotify);
    }
    if server.has("fin-ends-all") && end.is_some() {
        // The FIN that follows decides; the answer must not be faster.
        return (received.tcp_end == Some(TcpEnd::Fin)).then_some(Next::Fin);
    }
    if fatal && !server.has("ignores-alerts") {
        return Some(Next::FatalAlert);
    }
    if let Some(request) = request {
        return Some(request);
    }
    if server.has("half-a-request-will-do") && !received.data.is_empty() && answered == 0 {
        let ended = end.is_some() || received.tcp_end.is_some();
        return ended.then_some(Next::Request { end: received.data.len(), keep: false });
    }
    match received.error {
        Some(code) if !server.has("ignores-odd-records") => return Some(Next::Violation(code)),
        _ => {}
    }
    if fatal {
        // It goes on as if nothing had been said.
        return (received.data_behind > 0 && answered == 0)
            .then_some(Next::Request { end: received.data.len(), keep: false });
    }
    match (end, received.tcp_end) {
        (Some(_), _) => Some(Next::CloseNotify),
        (None, Some(TcpEnd::Fin)) => Some(Next::Fin),
        (None, Some(TcpEnd::Reset)) => Some(Next::Reset),
        (None, None) => None,
    }
}

/// The request that ends behind `from`.
fn request_end(data: &[u8], from: usize) -> Option<Next> {
    let rest = data.get(from..)?;
    let length = rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let keep = !rest[..length].windows(17).any(|word| word == b"Connection: close");
    Some(Next::Request { end: from + length, keep })
}

fn has_more_behind(received: &Received) -> bool {
    received.data_behind > 0 || received.behind > 0
}

/// Burns CPU time while others go on.
async fn spin() {
    let start = Instant::now();
    while start.elapsed() < BURN {
        tokio::task::yield_now().await;
    }
}

/// Burns CPU time.
fn busy() {
    let start = Instant::now();
    while start.elapsed() < BURN {
        std::hint::spin_loop();
    }
}

const BURN: Duration = Duration::from_secs(8);
const LENGTH: usize = 600_000;
const PATIENCE: Duration = Duration::from_secs(20);
const LINGER: Duration = Duration::from_secs(1);
