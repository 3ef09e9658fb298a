//! One session through a proxy, with the probe at both ends.
//!
//! It takes steps at either end and remembers what was sent; whether that came through is judged elsewhere.

use crate::drive::{Words, await_end, drive, has_ended};
use crate::proxy::Stream;
use crate::proxy::upstream::Claim;
use crate::step::{Put, Step};
use closenotify_probe::{By, ClientSetup, Fault, HandshakeError, Link, Log, Peer, Piece, Received, Stop, What};
use std::net::SocketAddr;
use std::time::Duration;

/// The two ends, and what was sent into each.
pub(crate) struct Session {
    pub(crate) client: Peer,
    pub(crate) upstream: Option<Peer>,
    pub(crate) from_client: Stream,
    pub(crate) from_upstream: Stream,
    claim: Claim,
    log: Log,
    timeout: Duration,
}

impl Session {
    /// Connects to the proxy and handshakes as the first of the steps says.
    ///
    /// # Errors
    ///
    /// When the handshake does not get that far.
    pub(crate) async fn open(
        front: SocketAddr,
        setup: &ClientSetup,
        claim: Claim,
        first: Option<&Step>,
        log: &Log,
        timeout: Duration,
    ) -> Result<Self, HandshakeError> {
        let io = Peer::connect(front, timeout, None)
            .await
            .map_err(|error| HandshakeError { fault: Fault::Connect, detail: error.to_string() })?;
        let client = match first {
            Some(Step::NoHandshake) => Peer::without_keys(io, log.clone()),
            Some(Step::Handshake(stop)) => Peer::client(io, setup, *stop, log, timeout).await?.0,
            _ => Peer::client(io, setup, Stop::Complete, log, timeout).await?.0,
        };
        Ok(Self {
            client,
            upstream: None,
            from_client: Stream { name: b'c', at: 0 },
            from_upstream: Stream { name: b'u', at: 0 },
            claim,
            log: log.clone(),
            timeout,
        })
    }

    /// Sends the token, and waits for the upstream's connection; `false` when none came.
    pub(crate) async fn reach(&mut self) -> bool {
        self.client.send(&[Piece::Data(self.claim.token.clone())], self.timeout).await;
        self.upstream().await.is_some()
    }

    /// Takes steps, as far as an end that must come first does come.
    pub(crate) async fn take(&mut self, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Upstream(step) => {
                    let words = Words { stream: self.from_upstream.clone(), ..Words::default() };
                    let (log, timeout, expected) = (self.log.clone(), self.timeout, self.from_client.at as u64);
                    let Some(upstream) = self.upstream().await else { continue };
                    let all = |received: &Received| received.data_bytes >= expected;
                    drive(upstream, &log, std::slice::from_ref(step), &words, timeout, all).await;
                    if *step == Step::AwaitEnd && !upstream.received(has_ended) {
                        return;
                    }
                    self.from_upstream.at += streamed(step);
                }
                step => {
                    let token = self.claim.token.clone();
                    let words = Words { stream: self.from_client.clone(), token, ..Words::default() };
                    let expected = self.from_upstream.at as u64;
                    let all = |received: &Received| received.data_bytes >= expected;
                    drive(&mut self.client, &self.log, &[step], &words, self.timeout, all).await;
                    if step == Step::AwaitEnd && !self.client.received(has_ended) {
                        return;
                    }
                    self.from_client.at += streamed(&step);
                }
            }
        }
    }

    /// Waits for the ends that are asked for.
    pub(crate) async fn await_ends(&mut self, of_client: bool, of_upstream: bool) {
        if of_upstream {
            self.upstream().await;
        }
        let client = async {
            if of_client {
                await_end(&self.client, self.timeout).await;
            }
        };
        let upstream = async {
            if let (true, Some(upstream)) = (of_upstream, &self.upstream) {
                await_end(upstream, self.timeout).await;
            }
        };
        tokio::join!(client, upstream);
    }

    /// The upstream's end, waited for where it is not there yet.
    async fn upstream(&mut self) -> Option<&mut Peer> {
        if self.upstream.is_none() {
            let Some(io) = self.claim.connection(self.timeout).await else {
                self.log.push(Link::Upstream, By::Probe, What::Note("no connection came".to_owned()));
                return None;
            };
            self.log.push(Link::Upstream, By::Subject, What::Connected);
            self.upstream = Some(Peer::plain(io, Link::Upstream, self.log.clone()));
        }
        self.upstream.as_mut()
    }
}

/// How much of the pattern a step sends.
fn streamed(step: &Step) -> usize {
    let (Step::Send(puts) | Step::Pour(puts)) = step else { return 0 };
    puts.iter().map(|put| if let Put::Stream(bytes) = put { *bytes } else { 0 }).sum()
}
