//! The planted proxy: takes TLS, passes plain TCP on, and carries every ending through.
//!
//! Whatever it does right stands in [`Session::relay`]; each fault is one `if` beside what it spoils. It holds back nobody: what
//! one side sends is queued for the other without bounds, which no proxy in earnest may do.

use crate::proxy_faults::FAULTS;
use closenotify_probe::{
    Fault, Identity, Link, Log, Pace, Peer, Piece, Received, ServerSetup, Stop, TcpEnd, TlsEnd, Version, alert,
};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// `planted proxy --listen ADDR --cert PEM --key PEM --upstream ADDR [--fault NAME]`
pub(crate) async fn run(words: &[String]) -> Result<ExitCode, String> {
    let get = |name: &str| crate::option(words, name).ok_or(format!("--{name} is missing"));
    let file = |name: &str| std::fs::read_to_string(get(name)?).map_err(|error| format!("--{name}: {error}"));
    let fault = crate::option(words, "fault").unwrap_or_default().to_owned();
    if !fault.is_empty() && !FAULTS.iter().any(|(name, _)| *name == fault) {
        return Err(format!("`{fault}` is no fault of the proxy"));
    }
    let identity = Identity::from_pem(&file("cert")?, &file("key")?).map_err(|error| error.to_string())?;
    let setup = ServerSetup::new(&identity, &Version::ALL, &[]).map_err(|error| error.to_string())?;
    let upstream = get("upstream")?.parse().map_err(|error| format!("--upstream: {error}"))?;
    let listener = TcpListener::bind(get("listen")?).await.map_err(|error| error.to_string())?;
    let proxy = Arc::new(Proxy { setup, upstream, fault });
    loop {
        let (io, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move { proxy.connection(io).await });
    }
}

struct Proxy {
    setup: ServerSetup,
    upstream: SocketAddr,
    fault: String,
}

impl Proxy {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    async fn connection(&self, io: TcpStream) {
        let _early = match self.has("connects-first-and-forgets") {
            true => TcpStream::connect(self.upstream).await.ok(),
            false => None,
        };
        let Ok(spare) = io.into_std() else { return };
        let (Ok(kept), Ok(io)) = (spare.try_clone(), TcpStream::from_std(spare)) else { return };
        let log = Log::new();
        let mut client = match Peer::server(io, &self.setup, Stop::Complete, &log, PATIENCE).await {
            Ok((client, _)) => client,
            Err(error) => {
                if self.has("dies-of-a-reset-in-the-handshake") && error.fault == Fault::Reset {
                    crate::die();
                }
                if self.has("handshakes-hang") {
                    tokio::time::sleep(PATIENCE).await;
                }
                drop(kept);
                if self.has("connects-first-and-forgets") {
                    tokio::time::sleep(PATIENCE).await;
                }
                return;
            }
        };
        drop(kept);
        if self.has("forgets-an-early-end") {
            client.until(Duration::from_millis(150), |received| received.tls_end.is_some()).await;
        }
        let ended = client.received(|received| received.tls_end.is_some());
        let Ok(io) = TcpStream::connect(self.upstream).await else {
            if self.has("refused-is-an-empty-answer") {
                client.send(&[Piece::CLOSE_NOTIFY], PATIENCE).await;
                client.fin();
                client.until(LINGER, Received::is_over).await;
            }
            return client.reset().await;
        };
        let mut upstream = Peer::plain(io, Link::Upstream, log.clone());
        // So that what is not passed on is there to be lost.
        let slow = Pace::Slow { bytes: 8 * 1024, every: Duration::from_millis(50) };
        if self.has("close-notify-ends-all") {
            upstream.set_pace(slow);
        }
        if self.has("upstream-fin-ends-all") {
            client.set_pace(slow);
        }
        let client_ended = ended && self.has("forgets-an-early-end");
        let mut session = Session {
            proxy: self,
            client,
            upstream,
            log,
            to_upstream: 0,
            to_client: 0,
            key_updates: 0,
            client_ended,
            upstream_ended: false,
            spun: false,
        };
        session.relay().await;
    }
}

/// A session with both its connections.
struct Session<'a> {
    proxy: &'a Proxy,
    client: Peer,
    upstream: Peer,
    log: Log,
    /// How many bytes of the client's are passed on.
    to_upstream: usize,
    /// How many bytes of the upstream's are passed on.
    to_client: usize,
    /// How many KeyUpdates are answered.
    key_updates: u32,
    /// Whether the end of the client's direction is passed on.
    client_ended: bool,
    /// Whether the end of the upstream's direction is passed on.
    upstream_ended: bool,
    /// Whether CPU time is burnt already.
    spun: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Upload,
    Answer,
    KeyUpdate,
    /// Nothing: CPU time is burnt.
    Spin,
    /// The client has ended, in an orderly way.
    ClientEnd,
    /// The client is gone, or has said that something is wrong.
    Cut(Cut),
    UpstreamEnd,
    UpstreamReset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Fin,
    Reset,
    Alert,
    Violation(u8),
}

impl Session<'_> {
    fn has(&self, fault: &str) -> bool {
        self.proxy.has(fault)
    }

    async fn relay(&mut self) {
        let half = match self.has("half-closed-for-half-a-second") {
            true => Duration::from_millis(500),
            false => PATIENCE,
        };
        loop {
            let patience = if self.client_ended != self.upstream_ended { half } else { PATIENCE };
            let Some(next) = self.next(patience).await else { return self.close_both().await };
            match next {
                Next::Upload => self.upload().await,
                Next::Answer => self.answer().await,
                Next::KeyUpdate => {
                    self.key_updates += 1;
                    self.client.send_in_background(&[Piece::KeyUpdate { request: false }], PATIENCE);
                }
                Next::Spin => self.spin(),
                Next::ClientEnd => self.client_end().await,
                Next::UpstreamEnd => self.upstream_end().await,
                Next::UpstreamReset if self.has("reset-becomes-close-notify") => {
                    self.client.send_in_background(&[Piece::CLOSE_NOTIFY], PATIENCE);
                    return self.close_both().await;
                }
                Next::UpstreamReset => {
                    // What had arrived goes first.
                    self.client.send(&[], PATIENCE).await;
                    return self.reset_both().await;
                }
                Next::Cut(cut) => return self.cut(cut).await,
            }
            let ended_by_one = (self.has("close-notify-ends-all") && self.client_ended)
                || (self.has("upstream-fin-ends-all") && self.upstream_ended);
            if ended_by_one || (self.client_ended && self.upstream_ended) {
                return self.close_both().await;
            }
        }
    }

    async fn upload(&mut self) {
        if self.has("no-linger") && self.upstream_ended {
            return self.reset_both().await;
        }
        let from = self.to_upstream;
        let data = self.client.received(|received| received.data[from..].to_vec());
        self.to_upstream += data.len();
        let data = self.what_fits(from, data);
        self.upstream.send_in_background(&[Piece::Data(data)], PATIENCE);
    }

    async fn answer(&mut self) {
        let from = self.to_client;
        if self.has("upstream-end-overtakes-data")
            && self.upstream.until(Duration::from_millis(100), Received::is_over).await
        {
            self.to_client = self.upstream.received(|received| received.data.len());
            return;
        }
        let data = self.upstream.received(|received| received.data[from..].to_vec());
        self.to_client += data.len();
        let data = self.what_fits(from, data);
        if !data.is_empty() {
            self.client.send_in_background(&[Piece::Data(data)], PATIENCE);
        }
        if self.has("ends-when-nothing-is-queued") && self.client_ended {
            self.client.send(&[Piece::CLOSE_NOTIFY], PATIENCE).await;
            self.client.fin();
            self.upstream.drop_socket().await;
            self.upstream_ended = true;
        }
    }

    /// The client has sent everything.
    async fn client_end(&mut self) {
        self.client_ended = true;
        if self.has("passes-on-data-behind") {
            let behind = self.client.received(|received| received.data_behind) as usize;
            self.upstream.send_in_background(&[Piece::Data(vec![b'x'; behind])], PATIENCE);
        }
        self.upstream.fin();
        if self.has("spins-half-closed") {
            self.spin();
        }
    }

    /// The upstream has sent everything.
    async fn upstream_end(&mut self) {
        self.upstream_ended = true;
        let level = if self.has("close-notify-at-level-fatal") { alert::FATAL } else { alert::WARNING };
        let close_notify = Piece::Alert { level, code: alert::CLOSE_NOTIFY };
        let mut pieces = Vec::new();
        if !self.has("no-close-notify") {
            pieces.push(close_notify.clone());
        }
        if self.has("two-close-notifies") {
            pieces.push(close_notify);
        }
        if self.has("data-behind-close-notify") {
            pieces.push(Piece::Data(b"late".to_vec()));
        }
        self.client.send_in_background(&pieces, PATIENCE);
        if !self.has("tcp-stays-open") {
            self.client.fin();
        }
        if self.has("spins-when-the-upstream-has-ended") {
            self.spin();
        }
    }

    /// The client's message is not whole, and the upstream must know.
    async fn cut(&mut self, cut: Cut) {
        let hidden = match cut {
            Cut::Fin => self.has("tolerates-fin"),
            Cut::Reset => self.has("reset-becomes-fin"),
            Cut::Alert => self.has("alert-becomes-fin"),
            Cut::Violation(_) => self.has("error-becomes-fin"),
        };
        match cut {
            Cut::Fin if self.has("spins-on-fin") => self.spin(),
            Cut::Reset if self.has("spins-on-reset") => self.spin(),
            Cut::Reset if self.has("dies-of-a-reset") => crate::die(),
            _ => {}
        }
        if hidden {
            self.upstream.fin();
            self.upstream.send(&[], PATIENCE).await;
        } else {
            self.upstream.reset().await;
        }
        match cut {
            Cut::Violation(code) => {
                self.client.send_in_background(&[Piece::fatal(code)], PATIENCE);
                self.client.fin();
                self.client.until(LINGER, Received::is_over).await;
                self.client.drop_socket().await;
            }
            Cut::Fin | Cut::Reset | Cut::Alert => self.client.reset().await,
        }
        self.upstream.until(LINGER, Received::is_over).await;
    }

    /// Both are told that nothing more comes, behind all that is queued.
    async fn close_both(&mut self) {
        self.upstream.fin();
        if !self.upstream_ended {
            // Nobody has said that the answer is whole, and still.
            self.client.send_in_background(&[Piece::CLOSE_NOTIFY], PATIENCE);
        }
        if self.has("tcp-stays-open") {
            return tokio::time::sleep(PATIENCE).await;
        }
        self.client.fin();
        self.upstream.send(&[], PATIENCE).await;
        self.client.send(&[], PATIENCE).await;
        self.upstream.drop_socket().await;
        self.client.until(LINGER, Received::is_over).await;
        self.client.drop_socket().await;
    }

    async fn reset_both(&mut self) {
        self.client.reset().await;
        self.upstream.reset().await;
        (self.client_ended, self.upstream_ended) = (true, true);
    }

    /// Burns CPU time beside what it does.
    fn spin(&mut self) {
        self.spun = true;
        std::thread::spawn(|| {
            let until = std::time::Instant::now() + SPIN;
            while std::time::Instant::now() < until {
                std::hint::spin_loop();
            }
        });
    }

    /// What of data behind so many bytes is passed on.
    fn what_fits(&self, from: usize, mut data: Vec<u8>) -> Vec<u8> {
        if self.has("loses-what-does-not-fit") {
            data.truncate((1024 * 1024_usize).saturating_sub(from));
        }
        data
    }

    async fn next(&self, patience: Duration) -> Option<Next> {
        let mut next = None;
        let look = || {
            next = self.look();
            next.is_some()
        };
        self.log.until(patience, look).await;
        next
    }

    /// What there is to do. Data in front of an end comes before the end.
    fn look(&self) -> Option<Next> {
        let client = self.client.received(|client| self.look_at_client(client));
        client.or_else(|| self.upstream.received(|upstream| self.look_at_upstream(upstream)))
    }

    fn look_at_client(&self, client: &Received) -> Option<Next> {
        let behind = has_more_behind(client);
        if client.tls_end == Some(TlsEnd::CloseNotify) && self.has("errs-on-bytes-behind") && behind {
            return Some(Next::Cut(Cut::Violation(alert::UNEXPECTED_MESSAGE)));
        }
        let canceled = client.alerts.iter().any(|(_, code)| *code == alert::USER_CANCELED);
        if canceled && self.has("user-canceled-is-an-error") {
            return Some(Next::Cut(Cut::Violation(alert::UNEXPECTED_MESSAGE)));
        }
        if client.key_updates_requested > self.key_updates && !self.has("does-not-answer-key-updates") {
            return Some(Next::KeyUpdate);
        }
        if client.tls_end.is_some() && !self.client_ended && self.has("end-overtakes-data") {
            return Some(Next::ClientEnd);
        }
        if client.data.len() > self.to_upstream {
            return Some(Next::Upload);
        }
        match (client.tls_end, client.tcp_end) {
            (_, Some(TcpEnd::Reset)) if self.has("sees-no-reset") => None,
            // Behind its close_notify too: there is nobody left to answer.
            (_, Some(TcpEnd::Reset)) => Some(Next::Cut(Cut::Reset)),
            (Some(TlsEnd::CloseNotify), Some(TcpEnd::Fin)) if self.has("fin-ends-all") => Some(Next::Cut(Cut::Fin)),
            (Some(TlsEnd::CloseNotify), _) if self.client_ended => {
                (behind && !self.spun && self.has("spins-on-bytes-behind")).then_some(Next::Spin)
            }
            (Some(TlsEnd::CloseNotify), _) => Some(Next::ClientEnd),
            (Some(TlsEnd::Alert(_)), _) => Some(Next::Cut(Cut::Alert)),
            (None, _) if client.error.is_some() => client.error.map(|code| Next::Cut(Cut::Violation(code))),
            (None, Some(TcpEnd::Fin)) => Some(Next::Cut(Cut::Fin)),
            (None, None) => None,
        }
    }

    fn look_at_upstream(&self, upstream: &Received) -> Option<Next> {
        if upstream.data.len() > self.to_client {
            return Some(Next::Answer);
        }
        match upstream.tcp_end {
            _ if self.upstream_ended => None,
            Some(TcpEnd::Fin) => Some(Next::UpstreamEnd),
            Some(TcpEnd::Reset) => Some(Next::UpstreamReset),
            None => None,
        }
    }
}

fn has_more_behind(received: &Received) -> bool {
    received.data_behind > 0 || received.behind > 0
}

const PATIENCE: Duration = Duration::from_secs(20);
const LINGER: Duration = Duration::from_secs(1);
const SPIN: Duration = Duration::from_secs(8);
