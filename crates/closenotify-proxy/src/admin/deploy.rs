//! What is shipped for Prometheus and Grafana, tested with Prometheus itself: names that exist, rules that fire, a scrape.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::prometheus::Prometheus;

use super::tests::{plant, served};
use crate::metrics::tests::busy;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

fn read(file: &str) -> String {
    let path = deploy(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All series that the proxy has, by name.
fn ours() -> BTreeSet<String> {
    let (metrics, now) = busy();
    let text = metrics.render(&now);
    let names = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(['{', ' ']).next().unwrap());
    names.map(str::to_owned).collect()
}

/// The metrics of ours that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c));
    words.filter(|word| word.starts_with("closenotify_") || word.starts_with("process_")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let ours = ours();
    for file in ["prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/dashboard.json"] {
        let unknown: Vec<_> = named(&read(file)).difference(&ours).cloned().collect();
        assert_eq!(unknown, [""; 0], "{file}");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = named(&read("grafana/dashboard.json"));
    let family = |name: &String| {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        bare.map_or(name.clone(), |bare| format!("{bare}_bucket"))
    };
    let missing: Vec<_> = ours().iter().map(family).filter(|name| !shown.contains(name)).collect();
    // Only a join or a restart asks for these.
    assert_eq!(missing, ["process_start_time_seconds"]);
}

#[test]
fn the_dashboard_is_one_that_grafana_can_load() {
    let board: serde_json::Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels {
        let place = &panel["gridPos"];
        let end = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(end <= 24 && !panel["targets"].as_array().unwrap().is_empty(), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "it is chosen, not fixed: {}", panel["title"]);
    }
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    for arguments in [
        ["check", "config", "prometheus/prometheus.yml"],
        ["check", "rules", "prometheus/alerts.yml"],
        ["test", "rules", "prometheus/alerts_test.yml"],
    ] {
        let output = Command::new("promtool")
            .args(&arguments[..2])
            .arg(deploy(arguments[2]))
            .output()
            .expect("promtool is in the Debian package `prometheus`; `cargo xtask peers` installs it");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
    }
    let tests = read("prometheus/alerts_test.yml");
    for alert in read("prometheus/alerts.yml").lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        for what in ["fires", "stays quiet"] {
            assert!(tests.contains(&format!("name: {alert} {what}\n")), "no test that {alert} {what}");
        }
        assert!(documented(alert), "docs/operations.md does not say what to do about {alert}");
    }
}

fn documented(alert: &str) -> bool {
    include_str!("../../../../docs/operations.md").contains(&format!("| `{alert}` |"))
}

#[test]
fn prometheus_scrapes_the_admin_listener_and_loads_the_alerts() {
    let served = served();
    plant(&served.telemetry);
    let prometheus = Prometheus::start(&served.address, &deploy("prometheus/alerts.yml"));
    assert_eq!(prometheus.wait("up{job=\"closenotify\"} == 1"), "1");
    assert_eq!(prometheus.wait("closenotify_sessions_total{listener=\"web\",result=\"answer_truncated\"}"), "4");
    assert!(prometheus.alerts().contains(&"ClosenotifyAnswersTruncated".to_owned()), "{:?}", prometheus.alerts());
}
