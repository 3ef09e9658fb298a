//! The planted client: `planted client --connect ADDR [--bare] [--distrust] [--fault NAME]`.
//!
//! Right, it makes one request (with `--bare`, none), prints the body, and exits with 0 only where the answer is whole. It believes
//! any certificate, or with `--distrust` none. [`FAULTS`] names what it can do wrong; each is one decision turned around.

use super::client_faults::FAULTS;
use super::option;
use closenotify_probe::{
    By, ClientSetup, Event, Identity, Log, Peer, Piece, Received, Stop, Trust, Version, What, alert,
};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) async fn run(words: &[String]) -> Result<ExitCode, String> {
    let addr = option(words, "connect").ok_or("--connect is missing")?;
    let addr = addr.parse().map_err(|error| format!("--connect {addr}: {error}"))?;
    let fault = match option(words, "fault") {
        Some(name) => match FAULTS.iter().find(|(known, _)| *known == name) {
            Some((known, _)) => Some(*known),
            None => return Err(format!("no fault `{name}`")),
        },
        None => None,
    };
    let flag = |name: &str| words.iter().any(|word| word == name);
    let trust = match flag("--distrust") {
        true => Identity::new().map_err(|error| error.to_string())?.trust(),
        false => Trust::Anyone,
    };
    let name = "localhost".try_into().map_err(|_| "no name")?;
    let setup = ClientSetup::in_any_version(name, &trust, &["http/1.1"]).map_err(|error| error.to_string())?;
    let log = Log::new();
    let io = Peer::connect(addr, LIMIT, None).await.map_err(|error| error.to_string())?;
    let has = |name: &str| fault == Some(name);

    let spin = has("spins-in-the-handshake").then(Spin::new);
    let (peer, facts) = match Peer::client(io, &setup, Stop::Complete, &log, LIMIT).await {
        Ok(done) => done,
        Err(error) => {
            if has("spins-at-errors") {
                Spin::new().for_ever().await;
            }
            if has("handshake-errors-are-success") {
                return Ok(ExitCode::SUCCESS);
            }
            return Err(error.to_string());
        }
    };
    drop(spin);
    let tls13 = facts.is_some_and(|facts| facts.version == Version::Tls13);
    Ok(Planted { peer, log, fault: fault.unwrap_or_default(), tls13, bare: flag("--bare") }.session().await)
}

struct Planted {
    peer: Peer,
    log: Log,
    fault: &'static str,
    tls13: bool,
    bare: bool,
}

/// How the server's direction ended, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    CloseNotify,
    Alert,
    BadRecord,
    Odd,
    Fin,
    Reset,
}

/// What the client makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Whole,
    Cut(End),
}

impl Planted {
    async fn session(mut self) -> ExitCode {
        if !self.bare {
            let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
            self.peer.send(&[Piece::Data(request)], LIMIT).await;
        }
        let spin = self.has("spins-while-waiting").then(Spin::new);
        self.peer.until(LIMIT, |received| received.data_bytes > 0 || self.end(received).is_some()).await;
        let came_together = self.peer.received(|received| self.end(received) == Some(End::CloseNotify));
        let mut verdict = None;
        self.peer
            .until(LIMIT, |received| {
                verdict = self.verdict(received);
                verdict.is_some()
            })
            .await;
        drop(spin);
        let Some(verdict) = verdict else { return ExitCode::from(3) };
        if self.has("spins-behind-the-answer") && verdict == Verdict::Whole {
            let spin = Spin::new();
            self.peer.until(LIMIT, |received| self.end(received).is_some()).await;
            drop(spin);
        }
        if let Verdict::Cut(end) = verdict {
            if self.has("spins-at-errors") {
                Spin::new().for_ever().await;
            }
            if self.has("stays-after-errors") && end == End::Alert {
                self.peer.until(LIMIT, Received::is_over).await;
            }
        }
        self.close(verdict).await;
        match verdict {
            Verdict::Whole => {
                use std::io::Write as _;
                let body = self.peer.received(|received| {
                    let mut body = Answer::parse(&received.data, self.bare).map_or(Vec::new(), |answer| answer.body);
                    if self.has("delivers-behind-the-end") {
                        body.extend(vec![b'x'; usize::try_from(received.data_behind).unwrap_or_default()]);
                    }
                    if self.has("end-overtakes-data") && came_together {
                        body.truncate(body.len().saturating_sub(10));
                    }
                    body
                });
                match std::io::stdout().write_all(&body) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(_) => ExitCode::from(4),
                }
            }
            Verdict::Cut(_) => ExitCode::FAILURE,
        }
    }

    /// What is to be made of what came so far; `None` while it must wait.
    fn verdict(&self, received: &Received) -> Option<Verdict> {
        let end = self.end(received);
        let waits = (self.has("waits-for-fin") || self.has("looks-behind-the-end")) && end == Some(End::CloseNotify);
        if (waits || self.has("resets-undo-answers")) && received.tcp_end.is_none() {
            return None;
        }
        let tcp_end = received.tcp_end;
        if self.has("resets-undo-answers") && tcp_end == Some(closenotify_probe::TcpEnd::Reset) {
            return Some(Verdict::Cut(End::Reset));
        }
        let answer = Answer::parse(&received.data, self.bare);
        if let Some(answer) = &answer
            && answer.is_framed
            && answer.is_whole
            && !self.has("close-notify-is-needed")
        {
            return Some(Verdict::Whole);
        }
        let end = end?;
        let cut = Some(Verdict::Cut(end));
        let whole = Some(Verdict::Whole);
        if received.data_bytes == 0 && !self.bare {
            return if self.has("no-answer-is-an-answer") { whole } else { cut };
        }
        let Some(answer) = answer else {
            return if self.has("half-a-head-is-an-answer") { whole } else { cut };
        };
        if answer.is_framed {
            let taken = answer.is_whole && end == End::CloseNotify
                || self.has("short-length-is-whole") && !answer.is_chunked
                || self.has("last-chunk-is-not-needed") && answer.is_chunked
                || self.has("delivers-behind-the-end") && received.data_behind > 0;
            return if taken { whole } else { cut };
        }
        match end {
            End::CloseNotify if self.has("close-notify-is-no-end") => cut,
            End::CloseNotify => whole,
            End::Fin | End::Reset if self.has("any-end-is-the-end") => whole,
            _ => cut,
        }
    }

    /// The first thing that ended the server's direction.
    fn end(&self, received: &Received) -> Option<End> {
        if self.has("empty-records-are-the-end") && received.empty_records > 0 {
            return Some(End::Fin);
        }
        let events = self.log.events();
        let mut events = events.iter().filter(|event| event.by == By::Subject);
        let mut data = false;
        let end = events.by_ref().find_map(|event| {
            data |= matches!(event.what, What::Data(_));
            self.ends(event, data)
        })?;
        // Behind the end only what has no place there.
        let odd = events.any(|event| !matches!(event.what, What::Fin | What::Reset));
        if end == End::CloseNotify && odd && self.has("looks-behind-the-end") {
            return Some(End::Odd);
        }
        Some(end)
    }

    fn ends(&self, event: &Event, data: bool) -> Option<End> {
        match &event.what {
            What::CloseNotify { level: alert::FATAL } if self.has("level-decides") => Some(End::Alert),
            What::CloseNotify { .. } => Some(End::CloseNotify),
            What::Alert { level, code } => match (*level, *code) {
                (_, alert::USER_CANCELED) if self.has("user-canceled-is-an-error") => Some(End::Alert),
                (_, alert::USER_CANCELED) if self.has("user-canceled-is-the-end") => Some(End::CloseNotify),
                (_, alert::USER_CANCELED) => None,
                (alert::FATAL, _) if self.has("fatal-alerts-are-ends") => Some(End::CloseNotify),
                (alert::FATAL, _) => Some(End::Alert),
                _ if self.tls13 && !self.has("level-decides") => Some(End::Alert),
                _ if self.has("warnings-are-errors") => Some(End::Alert),
                _ => None,
            },
            What::KeyUpdate { .. } if self.has("key-updates-are-errors") => Some(End::Odd),
            What::Ticket if self.has("late-tickets-are-errors") && data => Some(End::Odd),
            What::Odd(text) if text.contains("close_notify") && self.has("believes-unsealed-alerts") => {
                Some(End::CloseNotify)
            }
            // The end of TCP comes right behind, and says more.
            What::Odd(text) if text.contains("unfinished") => None,
            What::Odd(_) if self.has("passes-over-bad-seals") => None,
            What::Odd(_) => Some(End::BadRecord),
            What::Fin => Some(End::Fin),
            What::Reset => Some(End::Reset),
            _ => None,
        }
    }

    async fn close(&mut self, verdict: Verdict) {
        let has = |name: &str| self.fault == name;
        let close_notify = match has("close-notify-is-fatal") {
            true => Piece::fatal(alert::CLOSE_NOTIFY),
            false => Piece::CLOSE_NOTIFY,
        };
        let mut pieces = match verdict {
            _ if has("no-close-notify") => vec![],
            Verdict::Cut(End::Alert) if !has("close-notify-after-alerts") => vec![],
            Verdict::Cut(End::BadRecord | End::Odd) if has("no-alert-at-bad-seals") => vec![close_notify],
            Verdict::Cut(End::BadRecord | End::Odd) => vec![Piece::fatal(alert::BAD_RECORD_MAC)],
            Verdict::Cut(_) if has("no-close-notify-after-errors") => vec![],
            _ => vec![close_notify],
        };
        if has("two-close-notifies") {
            pieces.push(Piece::CLOSE_NOTIFY);
        }
        if has("data-behind-close-notify") {
            pieces.push(Piece::Data(b"and one more thing".to_vec()));
        }
        self.peer.send(&pieces, LIMIT).await;
        if has("resets") {
            return self.peer.reset().await;
        }
        self.peer.fin();
        // What the server still has to say is read, so that nothing of ours is lost to a reset.
        self.peer.until(LINGER, Received::is_over).await;
    }

    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }
}

/// An answer whose head is whole.
struct Answer {
    is_framed: bool,
    is_chunked: bool,
    is_whole: bool,
    body: Vec<u8>,
}

impl Answer {
    fn parse(data: &[u8], bare: bool) -> Option<Self> {
        if bare {
            return Some(Self { is_framed: false, is_chunked: false, is_whole: false, body: data.to_vec() });
        }
        let end = data.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&data[..end]).to_ascii_lowercase();
        let rest = &data[end + 4..];
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("transfer-encoding:") == Some("chunked") {
            let (body, is_whole) = chunks(rest);
            return Some(Self { is_framed: true, is_chunked: true, is_whole, body });
        }
        let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
        let body = rest[..length.unwrap_or(rest.len()).min(rest.len())].to_vec();
        let is_whole = length.is_some_and(|length| rest.len() >= length);
        Some(Self { is_framed: length.is_some(), is_chunked: false, is_whole, body })
    }
}

/// The content of chunks, and whether the last one is there.
fn chunks(mut data: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = data.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&data[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return (body, false) };
        data = &data[end + 2..];
        if size == 0 {
            return (body, data.starts_with(b"\r\n"));
        }
        let Some(chunk) = data.get(..size) else { return (body, false) };
        body.extend_from_slice(chunk);
        data = data.get(size + 2..).unwrap_or_default();
    }
}

/// A thread that burns CPU time until it is dropped.
struct Spin(Arc<AtomicBool>);

impl Spin {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self(stop)
    }

    async fn for_ever(self) {
        tokio::time::sleep(LIMIT).await;
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const LIMIT: Duration = Duration::from_secs(60);
const LINGER: Duration = Duration::from_millis(100);
