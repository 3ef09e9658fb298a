//! The admin listener of the binary: scraped by a real Prometheus, watched in Chromium, probed while it drains.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use testkit::browser::Browser;
use testkit::certs::TlsVersion;
use testkit::prometheus::Prometheus;

use crate::harness::{LIMIT, Proxy, backend, collect};
use crate::tls_client::TlsClient;

/// Status and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn curl(proxy: &Proxy, path: &str) {
    let url = format!("https://{}{path}", proxy.address);
    let _done = Command::new("curl").args(["-sk", "--max-time", "20", "-o", "/dev/null", &url]).status().unwrap();
}

#[test]
fn prometheus_sees_how_the_sessions_of_a_proxy_ended() {
    let mut proxy = Proxy::demo(&["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    curl(&proxy, "/");
    curl(&proxy, "/reset/1000");
    proxy.session(2);
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/alerts.yml");
    let prometheus = Prometheus::start(&admin, &rules);
    assert_eq!(prometheus.wait("sum(closenotify_sessions_total{result=\"complete\"})"), "1");
    assert_eq!(prometheus.wait("sum(closenotify_sessions_total{result=\"answer_truncated\"})"), "1");
    let reset = "closenotify_endings_total{direction=\"upstream_received\",ending=\"reset\"}";
    assert_eq!(prometheus.wait(reset), "1");
    proxy.stop();
}

/// docs/cases.md D06
#[test]
fn the_page_shows_a_truncated_answer_with_its_line() {
    let mut proxy = Proxy::demo(&["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    curl(&proxy, "/reset/1000");
    proxy.session(1);
    let browser = Browser::start(1400, 1000, false);
    browser.open(&format!("http://{admin}/"));
    browser.wait("return document.querySelector('#stage').textContent === 'ready'");
    browser.click("[data-filter=answer_truncated]");
    browser.click("#unclean .entry");
    let line = browser.run("return document.querySelector('#unclean pre').innerText");
    assert!(line.as_str().unwrap().starts_with("answer_truncated "), "{line}");
    drop(browser);
    proxy.stop();
}

#[test]
fn a_live_session_is_listed_and_drains() {
    let (at_work, upstream) = backend(collect);
    let mut proxy = Proxy::start(upstream, &["--admin", "127.0.0.1:0"]);
    let admin = proxy.admin();
    assert_eq!(get(&admin, "/readyz").0, 200);
    let mut client = TlsClient::connect(&proxy, TlsVersion::V13);

    let start = Instant::now();
    let session = loop {
        let all: Value = serde_json::from_str(&get(&admin, "/sessions").1).unwrap();
        if all["sessions"][0]["phase"] == "relay" {
            break all["sessions"][0].clone();
        }
        assert!(start.elapsed() < LIMIT, "{all}");
    };
    assert_eq!((&session["session"], &session["upstream"]), (&1.into(), &upstream.to_string().into()), "{session}");
    for half in ["client_received", "client_sent", "upstream_received", "upstream_sent"] {
        assert_eq!(session[half], "open", "{session}");
    }

    proxy.terminate();
    proxy.wait_until_draining();
    assert_eq!(get(&admin, "/readyz"), (503, "draining\n".into()));
    assert_eq!(get(&admin, "/healthz").0, 200, "it still serves");
    assert!(get(&admin, "/metrics").1.contains("closenotify_sessions_draining 1\n"));
    let end = client.close_notify();
    client.write(&end);
    assert_eq!(at_work.join().unwrap().1, "fin");
    assert_eq!(proxy.wait().code, Some(0));
}
