//! Runs made by hand.

use closenotify_check::{Allowed, Case, Deviations, Level, Need, Outcome, Run, Subject, Verdict};
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

pub(crate) fn deviations(file: &str) -> Deviations {
    Deviations::parse("expect.toml", file, ALL).expect("the file is right")
}
