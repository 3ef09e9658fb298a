//! The fidelity table row by row: a TLS client and a plain upstream, both scripted, a paused clock, TLS 1.2 and 1.3, and the
//! TLS leg as the first and as the second argument.

use super::{First, Leg, Limits, Outcome, Relay, Report, TcpEnding, TcpLeg, TlsLeg};
use crate::config::TruncationPolicy;
use crate::socket::scripted::{Kernel, Script};
use closenotify::{AlertDescription, Deadline, ReceivedEnding, SentEnding, TlsAcceptor, TruncatedAt};
use pollcheck::meter::Metered;
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use testkit::certs::{Authority, TlsVersion};
use testkit::client::Client;
use testkit::executor::CountingWaker;
use testkit::transport::{ReadStep, WriteStep};
use tokio::time::Instant;

const LIMITS: Limits = Limits { idle: Duration::from_secs(60), half_close: Duration::from_secs(10), until: None };

struct Scene {
    client: Client,
    /// The client's connection, as the proxy's kernel has it.
    kernel: Script,
    upstream: Script,
    tls: TlsLeg<Kernel>,
    tcp: TcpLeg<Kernel>,
    tls_first: bool,
}

/// What a relay came to, in terms of client and upstream.
#[derive(Debug)]
struct Seen {
    first: Option<bool>,
    timed_out: Option<Deadline>,
    to_upstream: Option<Outcome>,
    to_client: Option<Outcome>,
}

impl Scene {
    /// Lets the relay run until `script` has nothing more to do: it is called between polls and answers whether it did
    /// something. Then the relay is done, or runs out of time on the paused clock.
    async fn play(&mut self, mut script: impl FnMut(&mut Client, &Script) -> bool) -> Seen {
        let Self { client, upstream, tls, tcp, tls_first, .. } = self;
        let report = match tls_first {
            true => drive(Relay::new(tls, tcp, LIMITS), || script(client, upstream)).await,
            false => drive(Relay::new(tcp, tls, LIMITS), || script(client, upstream)).await,
        };
        client.pump();
        let (to_upstream, to_client) = match tls_first {
            true => (report.a_to_b, report.b_to_a),
            false => (report.b_to_a, report.a_to_b),
        };
        let first = match report.first {
            Some(First::A) => Some(*tls_first),
            Some(First::B) => Some(!*tls_first),
            Some(First::Proxy) | None => None,
        };
        Seen { first, timed_out: report.timed_out, to_upstream, to_client }
    }
}

async fn drive<A: Leg, B: Leg>(mut relay: Relay<'_, A, B>, mut between: impl FnMut() -> bool) -> Report {
    let waker = CountingWaker::new();
    loop {
        let before = waker.wakes();
        if let Poll::Ready(report) = waker.poll(std::pin::Pin::new(&mut relay)) {
            return report;
        }
        assert_eq!(waker.wakes(), before, "a relay that pends has not woken itself");
        if !between() {
            // Only a deadline can end it now, and the paused clock goes there at once.
            return relay.await;
        }
        assert!(waker.wakes() > before, "what the peers did has woken the relay");
    }
}

/// Plays a row in every combination.
fn each(policy: TruncationPolicy, row: impl AsyncFn(Scene)) {
    let authority = Authority::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for version in TlsVersion::EACH {
        for tls_first in [true, false] {
            runtime.block_on(async {
                let (transport, wire) = Kernel::new([]);
                let mut client = Client::new(authority.client_config(version), wire.handle());
                let acceptor = TlsAcceptor::from(authority.server_config(version));
                let mut accept = pin!(acceptor.accept(Metered::new(transport)));
                let waker = CountingWaker::new();
                let stream = loop {
                    client.pump();
                    if let Poll::Ready(accepted) = waker.poll(accept.as_mut()) {
                        break accepted.unwrap();
                    }
                };
                client.pump();
                let (transport, upstream) = Kernel::new([]);
                let scene = Scene {
                    client,
                    kernel: wire,
                    upstream,
                    tls: TlsLeg::new(stream, policy),
                    tcp: TcpLeg::new(transport),
                    tls_first,
                };
                row(scene).await;
            });
        }
    }
}

/// Calls the steps of a script one by one.
fn steps<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> impl FnMut(&mut Client, &Script) -> bool {
    let mut steps = steps.into_iter();
    move |client, upstream| steps.next().map(|step| step(client, upstream)).is_some()
}

#[test]
fn client_close_notify_is_fin_to_the_upstream_and_the_answer_still_flows() {
    let trailers: [&[u8]; 4] = [b"", b"\x17", b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\x00\x05abcde"];
    for trailer in trailers {
        for fin in [false, true] {
            each(TruncationPolicy::Strict, async |mut scene| {
                let seen = scene
                    .play(steps([
                        step(|client, _| {
                            let segment =
                                [client.records(b"request"), client.close_notify(), trailer.to_vec()].concat();
                            client.wire.push_data(segment);
                            if fin {
                                client.wire.push_read(ReadStep::Eof);
                            }
                        }),
                        step(|_, upstream| {
                            assert_eq!(upstream.written(), b"request");
                            assert!(upstream.is_shut_down());
                            upstream.push_data(*b"answer");
                        }),
                        step(|client, upstream| {
                            client.pump();
                            assert_eq!(client.plaintext, b"answer");
                            assert!(!client.closed);
                            upstream.push_read(ReadStep::Eof);
                        }),
                    ]))
                    .await;
                assert_eq!((seen.to_upstream, seen.to_client), (Some(Outcome::Whole), Some(Outcome::Whole)));
                assert_eq!(seen.first, Some(true));
                assert!(scene.client.closed && scene.client.wire.is_shut_down());
                assert_eq!(scene.tls.received(), Some(&ReceivedEnding::CloseNotify));
                assert_eq!(scene.tls.sent(), Some(&SentEnding::CloseNotify));
                assert!(!scene.kernel.is_armed() && !scene.upstream.is_armed(), "closing either destroys nothing");
                assert_eq!((scene.tcp.received(), scene.tcp.sent()), (Some(TcpEnding::Fin), Some(TcpEnding::Fin)));
                assert_eq!(scene.upstream.written(), b"request", "nothing from behind the close_notify");
            });
        }
    }
}

/// What a client does that is no clean end.
type Deed = fn(&mut Client);

const TRUNCATIONS: [(Deed, ReceivedEnding); 2] = [
    (
        |client| {
            let records = client.records(b"request");
            client.wire.push_data(records);
            client.wire.push_read(ReadStep::Eof);
        },
        ReceivedEnding::Truncated { at: TruncatedAt::Boundary },
    ),
    (
        |client| {
            let mut records = client.records(b"request");
            let cut = client.records(b"cut");
            records.extend_from_slice(&cut[..cut.len() - 1]);
            client.wire.push_data(records);
            client.wire.push_read(ReadStep::Eof);
        },
        ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord },
    ),
];

#[test]
fn client_truncation_cuts_the_upstream_when_strict() {
    for (deed, ending) in TRUNCATIONS {
        each(TruncationPolicy::Strict, async |mut scene| {
            let seen = scene.play(steps([act(deed)])).await;
            assert_eq!((seen.to_upstream, seen.to_client, seen.first), (Some(Outcome::Cut), None, Some(true)));
            assert_eq!(scene.upstream.written(), b"request");
            assert!(!scene.upstream.is_shut_down() && !scene.client.closed);
            assert!(scene.kernel.is_armed() && scene.upstream.is_armed(), "closing either is a reset");
            assert_eq!(scene.tls.received(), Some(&ending));
        });
    }
}

#[test]
fn client_fin_between_records_is_fin_to_the_upstream_when_tolerant_and_still_recorded() {
    let (deed, ending) = TRUNCATIONS[0].clone();
    each(TruncationPolicy::Tolerant, async |mut scene| {
        let seen = scene.play(steps([act(deed), answer()])).await;
        assert_eq!((seen.to_upstream, seen.to_client), (Some(Outcome::Whole), Some(Outcome::Whole)));
        assert_eq!(scene.upstream.written(), b"request");
        assert!(scene.upstream.is_shut_down() && scene.client.closed);
        assert_eq!(scene.client.plaintext, b"answer");
        assert_eq!(scene.tls.received(), Some(&ending));
    });
}

/// The client's host is gone: the error went to a write, and the read after it sees an end that is no FIN.
#[test]
fn an_end_after_a_write_that_failed_cuts_the_upstream_under_either_policy() {
    for policy in [TruncationPolicy::Strict, TruncationPolicy::Tolerant] {
        each(policy, async |mut scene| {
            let kernel = scene.kernel.clone();
            let seen = scene
                .play(steps([step(|client, upstream| {
                    let records = client.records(b"request");
                    client.wire.push_data(records);
                    kernel.push_write(WriteStep::Error(ErrorKind::TimedOut));
                    upstream.push_data(*b"answer");
                    client.wire.push_read(ReadStep::Eof);
                })]))
                .await;
            assert_eq!((seen.to_upstream, seen.first), (Some(Outcome::Cut), Some(true)), "{policy}");
            assert!(!scene.upstream.is_shut_down());
        });
    }
}

#[test]
fn client_fin_inside_a_record_cuts_the_upstream_under_either_policy() {
    let (deed, ending) = TRUNCATIONS[1].clone();
    each(TruncationPolicy::Tolerant, async |mut scene| {
        let seen = scene.play(steps([act(deed)])).await;
        assert_eq!((seen.to_upstream, seen.to_client, seen.first), (Some(Outcome::Cut), None, Some(true)));
        assert_eq!(scene.upstream.written(), b"request");
        assert!(!scene.upstream.is_shut_down() && !scene.client.closed);
        assert_eq!(scene.tls.received(), Some(&ending));
    });
}

/// A record that cannot be read, which makes the TLS client itself send the alert `bad_record_mac`.
fn alert(client: &mut Client) {
    let records = client.records(b"request");
    client.wire.push_data(records);
    let alert = client.fatal_alert();
    client.wire.push_data(alert);
}

#[test]
fn client_fatal_alert_cuts_the_upstream_under_either_policy() {
    for policy in [TruncationPolicy::Strict, TruncationPolicy::Tolerant] {
        each(policy, async |mut scene| {
            let seen = scene.play(steps([act(alert)])).await;
            assert_eq!((seen.to_upstream, seen.first), (Some(Outcome::Cut), Some(true)));
            assert_eq!(scene.upstream.written(), b"request");
            assert!(!scene.upstream.is_shut_down());
            let ending = ReceivedEnding::Alert(AlertDescription::BAD_RECORD_MAC);
            assert_eq!(scene.tls.received(), Some(&ending));
        });
    }
}

#[test]
fn client_violation_cuts_the_upstream_and_is_answered_with_an_alert() {
    for policy in [TruncationPolicy::Strict, TruncationPolicy::Tolerant] {
        each(policy, async |mut scene| {
            let seen = scene
                .play(steps([act(|client| {
                    let mut records = client.records(b"request");
                    records.extend_from_slice(b"\x17\x03\x03\x00\x20................................");
                    client.wire.push_data(records);
                })]))
                .await;
            assert_eq!((seen.to_upstream, seen.first), (Some(Outcome::Cut), Some(true)));
            assert_eq!(scene.upstream.written(), b"request");
            assert!(!scene.upstream.is_shut_down());
            assert!(matches!(scene.tls.received(), Some(ReceivedEnding::Violation(_))));
            assert_eq!(scene.tls.sent(), Some(&SentEnding::Alert(AlertDescription::BAD_RECORD_MAC)));
            let told = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
            assert_eq!(scene.client.failed, Some(told), "the client is told why");
        });
    }
}

#[test]
fn client_reset_cuts_the_upstream_under_either_policy() {
    for policy in [TruncationPolicy::Strict, TruncationPolicy::Tolerant] {
        each(policy, async |mut scene| {
            let seen = scene
                .play(steps([act(|client| {
                    let records = client.records(b"request");
                    client.wire.push_data(records);
                    client.wire.push_read(ReadStep::Error(ErrorKind::ConnectionReset));
                })]))
                .await;
            assert_eq!((seen.to_upstream, seen.first), (Some(Outcome::Cut), Some(true)));
            assert_eq!(scene.upstream.written(), b"request");
            assert!(!scene.upstream.is_shut_down());
            assert_eq!(scene.tls.received(), Some(&ReceivedEnding::Reset));
        });
    }
}

#[test]
fn client_reset_behind_its_close_notify_is_seen_while_the_upstream_is_silent() {
    each(TruncationPolicy::Strict, async |mut scene| {
        let seen = scene
            .play(steps([
                act(|client| {
                    let alert = client.close_notify();
                    client.wire.push_data(alert);
                }),
                act(|client| client.wire.push_data(*b"late")),
                act(|client| client.wire.push_read(ReadStep::Error(ErrorKind::ConnectionReset))),
            ]))
            .await;
        assert_eq!((seen.timed_out, seen.first), (None, Some(true)));
        assert_eq!((seen.to_upstream, seen.to_client), (Some(Outcome::Whole), Some(Outcome::SinkGone)));
        let clean = ReceivedEnding::CloseNotify;
        assert_eq!(scene.tls.received(), Some(&clean), "a later fault does not overwrite it");
    });
}

/// docs/cases.md N05
#[test]
fn what_drips_behind_a_close_notify_is_bounded_and_puts_no_deadline_off() {
    each(TruncationPolicy::Strict, async |mut scene| {
        let Scene { client, tls, tcp, tls_first, .. } = &mut scene;
        let alert = client.close_notify();
        client.wire.push_data(alert);
        let start = Instant::now();
        let mut left = 3;
        // A byte every three seconds, under a half-close deadline of ten.
        let drip = async {
            while left > 0 {
                left -= 1;
                tokio::time::sleep(Duration::from_secs(3)).await;
                client.wire.push_data(*b"x");
            }
            std::future::pending::<()>().await;
        };
        let report = tokio::select! {
            report = async {
                match tls_first {
                    true => Relay::new(tls, tcp, LIMITS).await,
                    false => Relay::new(tcp, tls, LIMITS).await,
                }
            } => report,
            () = drip => unreachable!("it goes on for ever"),
        };
        assert_eq!((report.timed_out, start.elapsed()), (Some(Deadline::HalfClose), LIMITS.half_close));
    });
    each(TruncationPolicy::Strict, async |mut scene| {
        let seen = scene
            .play(steps([act(|client| {
                let alert = client.close_notify();
                client.wire.push_data(alert);
                for _ in 0..16 {
                    client.wire.push_data(*b"x");
                }
                client.wire.push_read(ReadStep::Error(ErrorKind::ConnectionReset));
            })]))
            .await;
        assert_eq!(seen.timed_out, Some(Deadline::HalfClose), "after sixteen looks it is not looked for any more");
    });
}

#[test]
fn upstream_fin_is_close_notify_and_fin_and_the_client_may_go_on_sending() {
    each(TruncationPolicy::Strict, async |mut scene| {
        let seen = scene
            .play(steps([
                answer(),
                step(|client, upstream| {
                    client.pump();
                    assert_eq!(client.plaintext, b"answer");
                    assert!(client.closed && client.wire.is_shut_down());
                    assert!(!upstream.is_shut_down());
                    let records = client.records(b"more");
                    client.wire.push_data(records);
                }),
                step(|client, upstream| {
                    assert_eq!(upstream.written(), b"more");
                    let alert = client.close_notify();
                    client.wire.push_data(alert);
                }),
            ]))
            .await;
        assert_eq!((seen.to_upstream, seen.to_client), (Some(Outcome::Whole), Some(Outcome::Whole)));
        assert_eq!(seen.first, Some(false));
        assert!(scene.upstream.is_shut_down());
    });
}

#[test]
fn upstream_reset_gives_the_client_what_had_arrived_and_no_close_notify() {
    each(TruncationPolicy::Strict, async |mut scene| {
        let seen = scene
            .play(steps([step(|_, upstream| {
                upstream.push_data(*b"half an answer");
                upstream.push_read(ReadStep::Error(ErrorKind::ConnectionReset));
            })]))
            .await;
        assert_eq!((seen.to_client, seen.first), (Some(Outcome::Cut), Some(false)));
        assert_eq!(scene.client.plaintext, b"half an answer");
        assert!(!scene.client.closed && !scene.client.wire.is_shut_down());
        assert_eq!((scene.tls.sent(), scene.tcp.received()), (None, Some(TcpEnding::Reset)));
    });
}

#[test]
fn our_deadlines_send_no_close_notify_on_unfinished_streams() {
    each(TruncationPolicy::Strict, async |mut scene| {
        let seen = scene.play(steps([])).await;
        assert_eq!((seen.timed_out, seen.first), (Some(Deadline::Idle), None));
        assert!(!scene.client.closed && !scene.client.wire.is_shut_down() && !scene.upstream.is_shut_down());
    });
    each(TruncationPolicy::Strict, async |mut scene| {
        let seen = scene
            .play(steps([act(|client| {
                let alert = client.close_notify();
                client.wire.push_data(alert);
            })]))
            .await;
        assert_eq!((seen.timed_out, seen.first), (Some(Deadline::HalfClose), Some(true)));
        assert!(scene.upstream.is_shut_down(), "the request was whole");
        assert!(!scene.upstream.is_armed() && scene.kernel.is_armed());
        assert!(!scene.client.closed && !scene.client.wire.is_shut_down(), "the answer was not");
    });
}

/// One thing that the peers do between two polls.
type Step<'a> = Box<dyn FnOnce(&mut Client, &Script) + 'a>;

fn step<'a>(step: impl FnOnce(&mut Client, &Script) + 'a) -> Step<'a> {
    Box::new(step)
}

fn act<'a>(deed: Deed) -> Step<'a> {
    step(move |client, _| deed(client))
}

fn answer<'a>() -> Step<'a> {
    step(|_, upstream| {
        upstream.push_data(*b"answer");
        upstream.push_read(ReadStep::Eof);
    })
}
