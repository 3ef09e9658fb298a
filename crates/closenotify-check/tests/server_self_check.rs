//! The checker checked: a right server meets every case, and each planted fault fails the cases that it must.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod planted;

#[path = "../src/bin/planted/server_faults.rs"]
mod server_faults;

use closenotify_check::process::{Started, Template};
use closenotify_check::{App, Options, Outcome, Server, Subject, Verdict, cases_of, check_server};
use closenotify_probe::{Identity, Version};
use futures_util::stream::{self, StreamExt as _};
use planted::{options, verdicts};
use server_faults::FAULTS;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

struct Running {
    process: Started,
    server: Server,
}

impl Running {
    async fn start(fault: Option<&str>) -> Self {
        let identity = Identity::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, &identity.cert_pem).unwrap();
        std::fs::write(&key, &identity.key_pem).unwrap();
        let addr: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut words: Vec<_> =
            [env!("CARGO_BIN_EXE_planted"), "server", "--listen", "{addr}", "--cert", "{cert}", "--key", "{key}"]
                .map(str::to_owned)
                .into();
        words.extend(fault.into_iter().flat_map(|fault| ["--fault".to_owned(), fault.to_owned()]));
        let text = addr.to_string();
        let places = [("addr", &*text), ("cert", cert.to_str().unwrap()), ("key", key.to_str().unwrap())];
        let mut process = Started::new(&Template::new(words).unwrap().fill(&places).unwrap()).unwrap();
        process.listens(addr, Duration::from_secs(30)).await.unwrap();
        let server = Server {
            addr,
            label: text,
            name: "localhost".to_owned(),
            trust: identity.trust(),
            app: App::Http1 { path: "/big".to_owned() },
            process: Some(process.id()),
        };
        Self { process, server }
    }

    async fn check(self, options: &Options) -> Vec<Outcome> {
        let run = check_server(&self.server, options).await.unwrap();
        self.process.stop().await;
        run.outcomes
    }
}

#[tokio::test]
async fn a_right_server_meets_every_case() {
    let patient = Options { timeout: Duration::from_secs(20), ..options(&[]) };
    let outcomes = Running::start(None).await.check(&patient).await;
    let odd: Vec<_> = outcomes.iter().filter(|outcome| *outcome.verdict() != Verdict::Met).map(verdicts).collect();
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    let expected: usize = cases_of(Subject::Server).iter().map(|case| case.versions.len()).sum();
    assert_eq!(outcomes.len(), expected);
}

#[tokio::test]
async fn every_planted_fault_fails_the_cases_that_it_must() {
    let pairs: Vec<_> =
        FAULTS.iter().flat_map(|(fault, cases)| cases.iter().map(move |case| (*fault, *case))).collect();
    // What watches CPU time must be alone.
    let (alone, together): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(_, case)| case.ends_with("-quiet"));
    let mut missed: Vec<_> =
        stream::iter(together).map(|(fault, case)| miss(fault, case)).buffer_unordered(4).collect().await;
    for (fault, case) in alone {
        missed.push(miss(fault, case).await);
    }
    let missed: Vec<_> = missed.into_iter().flatten().collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What was seen where a fault was not noticed. It may show in one version alone.
async fn miss(fault: &str, case: &str) -> Option<String> {
    let outcomes = Running::start(Some(fault)).await.check(&Options { jobs: 1, ..options(&[case]) }).await;
    let of: Vec<_> = outcomes.iter().filter(|outcome| outcome.case.id == case).collect();
    let noticed = of.iter().any(|outcome| matches!(outcome.verdict(), Verdict::NotMet(_)));
    (!noticed).then(|| format!("{fault}: {}", of.iter().map(|one| verdicts(one)).collect::<Vec<_>>().join("\n")))
}

#[test]
fn every_case_can_be_failed_by_a_planted_fault() {
    let named: BTreeSet<_> = FAULTS.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
    let cases: BTreeSet<_> = cases_of(Subject::Server).iter().map(|case| case.id).collect();
    assert_eq!(cases.difference(&named).collect::<Vec<_>>(), Vec::<&&str>::new(), "cases that no fault can fail");
    assert_eq!(named.difference(&cases).collect::<Vec<_>>(), Vec::<&&str>::new(), "faults of cases that do not exist");
    assert!(FAULTS.iter().all(|(_, cases)| !cases.is_empty()));
}

#[test]
fn there_are_enough_cases_and_each_says_where_it_comes_from() {
    let cases = cases_of(Subject::Server);
    assert!(cases.len() >= 45, "{}", cases.len());
    for version in Version::ALL {
        assert!(cases.iter().filter(|case| case.versions.contains(&version)).count() >= 45);
    }
    planted::assert_well_formed(&cases);
}
