//! What we make is held to every case that there is. What it does not meet stands in `ours.toml`, with a reason.

use crate::command::{Said, check};
use closenotify_check::{Subject, cases_of};

const EXPECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check/ours.toml");

#[test]
fn our_streams_under_hyper_are_a_right_server() {
    let command = example("tls_serve");
    let subject = ["server", "--app", "http1:/", "--timeout", "20s", "--expect", EXPECT, &free(), "--"];
    let said = check(&[&subject[..], &[&command, "{addr}", "{cert}", "{key}"]].concat());
    assert_all_met(&said, Subject::Server);
}

#[test]
fn our_streams_under_hyper_are_a_right_client() {
    let command = example("tls_get");
    let said =
        check(&["client", "--stdout-is-body", "--timeout", "20s", "--expect", EXPECT, "--", &command, "{url}", "{ca}"]);
    assert_all_met(&said, Subject::Client);
}

#[test]
fn our_proxy_is_a_right_proxy() {
    let (front, upstream) = (free(), free());
    let command = [env!("CARGO_BIN_EXE_closenotify"), "proxy", "--log", "json", "--listen", "{addr}"];
    let credentials = ["--upstream", "{upstream}", "--cert", "{cert}", "--key", "{key}"];
    let subject = ["proxy", "--timeout", "20s", "--expect", EXPECT, "--upstream", &upstream, &front, "--"];
    let said = check(&[&subject[..], &command, &credentials].concat());
    assert_all_met(&said, Subject::Proxy);
}

#[test]
fn our_proxy_is_a_right_server() {
    let ours = env!("CARGO_BIN_EXE_closenotify");
    let subject =
        ["server", "--app", "http1:/bytes/600000", "--insecure", "--timeout", "20s", "--expect", EXPECT, &free(), "--"];
    let said = check(&[&subject[..], &[ours, "proxy", "--demo", "--log", "json", "--listen", "{addr}"]].concat());
    assert_all_met(&said, Subject::Server);
}

/// Every case was judged, and met, but for what the file of known deviations says.
fn assert_all_met(said: &Said, subject: Subject) {
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let all: usize = cases_of(subject).iter().map(|case| case.versions.len()).sum();
    assert!(said.stdout.contains(&format!("\n{all} results in ")), "{}", said.stdout);
    let known = std::fs::read_to_string(EXPECT).unwrap().matches("[[deviation]]").count();
    let summary = said.stdout.lines().nth(1).unwrap();
    let met: usize = summary.rsplit(' ').nth(1).unwrap().parse().unwrap();
    // An entry is for both versions, or for one.
    assert!(met + 2 * known >= all && !said.stdout.contains("Not applicable"), "{}", said.stdout);
}

/// An example of this package, built if it is not there.
fn example(name: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = std::process::Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", env!("CARGO_PKG_NAME"), "--example", name])
        .status()
        .unwrap();
    assert!(built.success());
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(std::path::Path::parent).unwrap();
    target.join("examples").join(name).display().to_string()
}

/// An address on which nobody listens.
fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
