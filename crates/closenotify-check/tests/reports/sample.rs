//! Runs made by hand.

use closenotify_check::{Allowed, Case, Deviations, Judged, Level, Need, Outcome, Run, Strictness, Subject, Verdict};
use closenotify_probe::{By, Event, Link, Version, What};
use std::time::{Duration, SystemTime};

pub(crate) const BOTH: &[Version] = &[Version::Tls12, Version::Tls13];

pub(crate) static SURVIVES: Case = case("server/half-close/answer-survives", Level::Must, BOTH);
pub(crate) static ONE: Case = case("server/end/one-close-notify", Level::Should, BOTH);
pub(crate) static QUIET: Case = case("server/end/quiet-after-trailing-byte", Level::Practice, &[Version::Tls13]);
pub(crate) static FIN: Case = case("server/end/fin-follows", Level::May, &[Version::Tls13]);
pub(crate) static PROXY: Case = case("proxy/upstream-reset/no-close-notify", Level::Practice, BOTH);
pub(crate) static ALL: &[&Case] = &[&SURVIVES, &ONE, &QUIET, &FIN, &PROXY];

const fn case(id: &'static str, level: Level, versions: &'static [Version]) -> Case {
    Case {
        id,
        requirement: "A server whose client has ended its own direction still sends its whole answer.",
        level,
        clauses: match level {
            Level::Practice => &[],
            _ => &["RFC 9846 6.1", "RFC 9112 9.8"],
        },
        origin: &["node-2"],
        versions,
        needs: Need::Answer,
        steps: &[],
        allowed: Allowed::ANYTHING,
        harm: "Clients that half-close get no answer, or one that is cut.",
        mend: "Go on writing after the client's close_notify; end with one of your own.",
    }
}

pub(crate) fn at(ms: u64, by: By, what: What) -> Event {
    Event { at: Duration::from_millis(ms), link: Link::Tls, by, what }
}

pub(crate) fn up(ms: u64, by: By, what: What) -> Event {
    Event { link: Link::Upstream, ..at(ms, by, what) }
}

pub(crate) fn outcome(case: &'static Case, version: Version, close: Verdict) -> Outcome {
    use By::{Probe, Subject};
    Outcome {
        case,
        version,
        data: None,
        close: Some(close),
        allowed: "the whole answer, then close_notify and FIN".to_owned(),
        seen: "no answer; FIN without close_notify".to_owned(),
        code: "data=nothing close=fin".to_owned(),
        events: vec![
            at(0, Probe, What::Connected),
            at(1, Probe, What::Flight("ClientHello".to_owned())),
            at(3, Subject, What::Flight("ServerHello, Certificate, Finished".to_owned())),
            at(4, Subject, What::Handshaken(format!("{version}, TLS13_AES_128_GCM_SHA256"))),
            at(4, Subject, What::Ticket),
            at(5, Probe, What::Data(57)),
            at(5, Probe, What::CloseNotify { level: 1 }),
            at(12, Subject, What::Fin),
        ],
        wrong_at: Some(7),
        took: Duration::from_millis(812),
    }
}

pub(crate) fn not_met() -> Verdict {
    Verdict::NotMet("it ended without a close_notify".to_owned())
}

pub(crate) fn unclear() -> Verdict {
    Verdict::Inconclusive("nothing came for 2 s".to_owned())
}

pub(crate) fn none() -> Verdict {
    Verdict::NotApplicable("no process is watched, so CPU time cannot be seen".to_owned())
}

pub(crate) fn run(outcomes: Vec<Outcome>) -> Run {
    Run {
        subject: Subject::Server,
        name: "127.0.0.1:8443".to_owned(),
        began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        took: Duration::from_millis(12_345),
        outcomes,
        notes: Vec::new(),
        interrupted: None,
    }
}

/// One of everything: not met, met, a warning, inconclusive, known, contradicted, not applicable.
pub(crate) fn everything() -> (Run, Deviations) {
    use By::{Probe, Subject};
    let mut slow = outcome(&QUIET, Version::Tls13, unclear());
    slow.data = Some(Verdict::Met);
    slow.events.pop();
    slow.events.extend([
        at(7, Probe, What::Note("stops reading".to_owned())),
        at(2307, Subject, What::Alert { level: 2, code: 80 }),
        at(2309, Subject, What::Reset),
    ]);
    slow.took = Duration::from_millis(7400);
    slow.wrong_at = None;
    let outcomes = vec![
        outcome(&SURVIVES, Version::Tls12, not_met()),
        outcome(&SURVIVES, Version::Tls13, not_met()),
        outcome(&ONE, Version::Tls12, not_met()),
        outcome(&ONE, Version::Tls13, Verdict::Met),
        slow,
        outcome(&FIN, Version::Tls13, Verdict::Met),
        outcome(&SURVIVES, Version::Tls12, none()),
    ];
    let file = r#"
[[deviation]]
id = "server/half-close/answer-survives"
version = "1.3"
seen = "data=nothing close=fin"
reason = "our framework; ticket 4711"

[[deviation]]
id = "server/end/one-close-notify"
version = "1.3"
seen = "data=whole close=reset"
reason = "mended in the next release"
"#;
    (Run { notes: vec!["no process is watched".to_owned()], ..run(outcomes) }, deviations(file))
}

/// A proxy that tells its client a clean end though its upstream has reset.
pub(crate) fn proxy() -> Run {
    use By::{Probe, Subject};
    let mut outcome = outcome(&PROXY, Version::Tls13, not_met());
    outcome.events = vec![
        at(0, Probe, What::Connected),
        at(4, Subject, What::Handshaken("TLS 1.3, TLS13_AES_128_GCM_SHA256".to_owned())),
        up(6, Subject, What::Connected),
        at(7, Probe, What::Data(57)),
        up(8, Subject, What::Data(57)),
        up(9, Probe, What::Data(65_536)),
        at(10, Subject, What::Data(65_536)),
        up(510, Probe, What::Note("waits 500 ms".to_owned())),
        up(511, Probe, What::Reset),
        at(512, Subject, What::Note("writes to its log".to_owned())),
        at(513, Subject, What::CloseNotify { level: 1 }),
        at(513, Subject, What::Fin),
        at(514, Subject, What::Odd("1 byte behind close_notify".to_owned())),
    ];
    outcome.wrong_at = Some(10);
    Run { subject: closenotify_check::Subject::Proxy, ..run(vec![outcome]) }
}

/// Text with everything that could do harm in a terminal, in XML, in HTML or in JSON.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script> \u{1b}[2J\u{7}\u{9b}31m \"quoted\" 'single' & ]]> \u{0} \u{202e}desrever\u{feff}\u{fffe}\r\nline";

/// A run in which every text that can come from outside is hostile.
pub(crate) fn hostile() -> Run {
    let text = || HOSTILE.to_owned();
    let mut bad = outcome(&SURVIVES, Version::Tls13, Verdict::NotMet(text()));
    bad.data = Some(Verdict::Inconclusive(text()));
    (bad.allowed, bad.seen, bad.code) = (text(), text(), text());
    bad.events = [What::Odd(text()), What::Note(text()), What::Flight(text()), What::Handshaken(text())]
        .map(|what| at(1, By::Subject, what))
        .to_vec();
    let other = outcome(&ONE, Version::Tls13, Verdict::NotApplicable(text()));
    Run { name: text(), notes: vec![text()], ..run(vec![bad, other]) }
}

/// A run with as many events as a log can hold, and a text as long as a peer may like.
pub(crate) fn endless() -> Run {
    let mut long = outcome(&SURVIVES, Version::Tls13, not_met());
    long.events = (0..2000).map(|ms| at(ms, By::Subject, What::Data(1))).collect();
    long.events[500].what = What::Odd("x".repeat(1_000_000));
    long.wrong_at = Some(1000);
    long.seen = "y".repeat(1_000_000);
    run(vec![long])
}

pub(crate) fn deviations(file: &str) -> Deviations {
    Deviations::parse("expect.toml", file, ALL).expect("the file is right")
}

pub(crate) fn judged<'a>(run: &'a Run, deviations: &'a Deviations) -> Judged<'a> {
    Judged::new(run, deviations, Strictness::Ordinary)
}
