//! The checker checked: a right proxy meets every case, and each planted fault fails the cases that it must.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod planted;

#[path = "../src/bin/planted/proxy_faults.rs"]
mod proxy_faults;

use closenotify_check::process::{Started, Template};
use closenotify_check::{CheckErrorKind, Options, Outcome, Proxy, Subject, Upstream, Verdict, cases_of, check_proxy};
use closenotify_probe::{Identity, Version};
use futures_util::StreamExt;
use planted::{options, verdicts};
use proxy_faults::FAULTS;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

struct Running {
    process: Started,
    proxy: Proxy,
}

impl Running {
    async fn start(fault: Option<&str>) -> Self {
        let identity = Identity::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, &identity.cert_pem).unwrap();
        std::fs::write(&key, &identity.key_pem).unwrap();
        let upstream = Upstream::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let front: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let line = "proxy --listen {front} --upstream {upstream} --cert {cert} --key {key}";
        let mut words = vec![env!("CARGO_BIN_EXE_planted").to_owned()];
        words.extend(line.split(' ').map(str::to_owned));
        words.extend(fault.into_iter().flat_map(|fault| ["--fault".to_owned(), fault.to_owned()]));
        let (at, to) = (front.to_string(), upstream.addr().to_string());
        let files = [cert.to_str().unwrap(), key.to_str().unwrap()];
        let places = [("front", &*at), ("upstream", &*to), ("cert", files[0]), ("key", files[1])];
        let mut process = Started::new(&Template::new(words).unwrap().fill(&places).unwrap()).unwrap();
        process.listens(front, Duration::from_secs(30)).await.unwrap();
        let (name, trust) = ("localhost".to_owned(), identity.trust());
        let proxy = Proxy { front, upstream, label: at, name, trust, process: Some(process.id()) };
        Self { process, proxy }
    }

    async fn check(self, options: &Options) -> Vec<Outcome> {
        let run = check_proxy(&self.proxy, options).await.unwrap();
        self.process.stop().await;
        run.outcomes
    }
}

#[tokio::test]
async fn a_right_proxy_meets_every_case() {
    // Nobody has to wait that long who is right.
    let options = Options { timeout: Duration::from_secs(20), ..options(&[]) };
    let outcomes = Running::start(None).await.check(&options).await;
    let odd: Vec<_> = outcomes.iter().filter(|outcome| *outcome.verdict() != Verdict::Met).map(verdicts).collect();
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    let expected: usize = cases_of(Subject::Proxy).iter().map(|case| case.versions.len()).sum();
    assert_eq!(outcomes.len(), expected);
}

#[tokio::test]
async fn every_planted_fault_fails_the_cases_that_it_must() {
    let missed = async |(fault, cases): &(&'static str, &'static [&'static str])| {
        let outcomes = Running::start(Some(fault))
            .await
            .check(&Options { timeout: Duration::from_secs(5), ..options(cases) })
            .await;
        let mut missed = Vec::new();
        for case in *cases {
            // A fault may show in one version alone.
            let of: Vec<_> = outcomes.iter().filter(|outcome| outcome.case.id == *case).collect();
            if !of.iter().any(|outcome| matches!(outcome.verdict(), Verdict::NotMet(_))) {
                missed.push(format!("{fault}: {}", of.iter().map(|one| verdicts(one)).collect::<Vec<_>>().join("\n")));
            }
        }
        missed
    };
    // Who burns CPU time takes it from others who are to be seen doing so.
    let (alone, together): (Vec<_>, Vec<_>) = FAULTS.iter().partition(|(fault, _)| fault.starts_with("spins"));
    let together = futures_util::stream::iter(together).map(&missed).buffer_unordered(4).concat();
    let missed = [together.await, futures_util::stream::iter(alone).then(&missed).concat().await].concat();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn a_proxy_that_goes_elsewhere_is_told_so() {
    let mut running = Running::start(None).await;
    running.proxy.upstream = Upstream::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = check_proxy(&running.proxy, &options(&[])).await.unwrap_err();
    running.process.stop().await;
    assert_eq!(error.kind, CheckErrorKind::Subject);
    assert!(error.message.contains(&running.proxy.upstream.addr().to_string()), "{error}");
}

#[test]
fn every_case_can_be_failed_by_a_planted_fault() {
    let named: BTreeSet<_> = FAULTS.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
    let cases: BTreeSet<_> = cases_of(Subject::Proxy).iter().map(|case| case.id).collect();
    assert_eq!(cases.difference(&named).collect::<Vec<_>>(), Vec::<&&str>::new(), "cases that no fault can fail");
    assert_eq!(named.difference(&cases).collect::<Vec<_>>(), Vec::<&&str>::new(), "faults of cases that do not exist");
    assert!(FAULTS.iter().all(|(_, cases)| !cases.is_empty()));
}

#[test]
fn there_are_enough_cases_and_each_says_where_it_comes_from() {
    let cases = cases_of(Subject::Proxy);
    for version in Version::ALL {
        assert!(cases.iter().filter(|case| case.versions.contains(&version)).count() >= 45, "{version}");
    }
    planted::assert_well_formed(&cases);
}
