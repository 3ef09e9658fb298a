//! Takes the steps of a case, one after the other, on one connection of the probe.
//!
//! It knows no case and judges nothing.

use crate::answer;
use crate::proxy::Stream;
use crate::step::{Put, Step};
use closenotify_probe::{By, Log, Pace, Peer, Piece, Received, Sent, What};
use std::time::Duration;

/// What the application's part of the steps is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) request: Vec<u8>,
    pub(crate) kept_request: Vec<u8>,
    pub(crate) stream: Stream,
    pub(crate) token: Vec<u8>,
    /// Whether a client gets the bare bytes of an answer's body, without HTTP.
    pub(crate) bare: bool,
}

impl Words {
    fn pieces(&self, put: Put, stream: &mut Stream) -> Vec<Piece> {
        match put {
            Put::Request => data(&self.request),
            Put::KeptRequest => data(&self.kept_request),
            Put::HalfRequest => data(&self.request[..self.request.len() / 2]),
            Put::OtherHalf => data(&self.request[self.request.len() / 2..]),
            Put::Answer(framing, part) => data(&answer::bytes(framing, part, self.bare)),
            Put::CloseNotify => vec![Piece::CLOSE_NOTIFY],
            Put::Alert(level, code) => vec![Piece::Alert { level, code }],
            Put::Filler(bytes) => vec![Piece::Data(vec![b'x'; bytes])],
            Put::Stream(bytes) => data(&stream.take(bytes)),
            Put::Token => data(&self.token),
            Put::KeyUpdate(request) => vec![Piece::KeyUpdate { request }],
            Put::Record(kind, content) => vec![Piece::Record { kind, content: content.to_vec() }],
            Put::Clear(kind, content) => vec![Piece::Clear { kind, content: content.to_vec() }],
            Put::Garbled => vec![Piece::Garbled(b"garbled".to_vec())],
            Put::HalfRecord => vec![Piece::Data(vec![b'x'; 100]).part(60)],
            Put::Raw(bytes) => vec![Piece::Raw(bytes.to_vec())],
        }
    }

    /// The pieces of all of these.
    pub(crate) fn all(&self, puts: &[Put]) -> Vec<Piece> {
        let mut stream = self.stream.clone();
        puts.iter().flat_map(|put| self.pieces(*put, &mut stream)).collect()
    }
}

/// Takes the steps. `answered` says whether what was received is all that is expected.
pub(crate) async fn drive(
    peer: &mut Peer,
    log: &Log,
    steps: &[Step],
    words: &Words,
    timeout: Duration,
    answered: impl Fn(&Received) -> bool,
) {
    for step in steps {
        match *step {
            Step::Handshake(_) | Step::NoHandshake | Step::RefuseUpstream => {}
            // Who has an upstream takes these to it.
            Step::Upstream(_) => {}
            Step::Send(puts) => {
                let note = match peer.send(&words.all(puts), timeout).await {
                    Sent::Whole => continue,
                    Sent::Blocked(bytes) => format!("only {bytes} B were taken in {} ms", timeout.as_millis()),
                    Sent::Failed(kind) => format!("could not send: {kind}"),
                };
                log.push(peer.link(), By::Probe, What::Note(note));
            }
            Step::Pour(puts) => peer.send_in_background(&words.all(puts), timeout * 2),
            Step::Fin => peer.fin(),
            Step::Reset => peer.reset().await,
            Step::Close => peer.drop_socket().await,
            Step::Wait(time) => {
                log.push(peer.link(), By::Probe, What::Note(format!("waits {time} ms")));
                tokio::time::sleep(Duration::from_millis(time)).await;
            }
            Step::StopReading => peer.set_pace(Pace::Paused),
            Step::ReadOn => peer.set_pace(Pace::Full),
            Step::ReadSlowly(bytes) => peer.set_pace(Pace::Slow { bytes, every: Duration::from_millis(10) }),
            Step::AwaitAnswer | Step::AwaitRequest => {
                peer.until(timeout, |received| has_ended(received) || answered(received)).await;
            }
            Step::AwaitData => {
                peer.until(timeout, |received| has_ended(received) || received.data_bytes > 0).await;
            }
            Step::AwaitEnd => {
                peer.until(timeout, has_ended).await;
            }
        }
    }
}

/// Waits for the end of the connection: for one of TLS or TCP up to `timeout`, then for that of TCP a little longer.
pub(crate) async fn await_end(peer: &Peer, timeout: Duration) {
    if peer.is_open() && peer.until(timeout, has_ended).await {
        peer.until(GRACE.min(timeout), Received::is_over).await;
    }
}

/// Whether a direction has ended, in TLS or in TCP.
pub(crate) fn has_ended(received: &Received) -> bool {
    received.tls_end.is_some() || received.tcp_end.is_some()
}

fn data(bytes: &[u8]) -> Vec<Piece> {
    // A subject that speaks first is asked nothing, and an empty record is not nothing.
    if bytes.is_empty() { Vec::new() } else { vec![Piece::Data(bytes.to_vec())] }
}

/// For the FIN behind a close_notify.
const GRACE: Duration = Duration::from_millis(700);
