//! Started as root, the proxy runs as another user as soon as it listens. Only root can show it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::Proxy;
use crate::site::{Site, echo, listener, pem, status, until, web};

/// The user `nobody` of every system.
const NOBODY: u64 = 65_534;

/// Without root there is nothing to show. `port` is a low one at an address of its own.
fn site(port: u16, log: &str) -> Option<Site> {
    if status(std::process::id(), "Uid") != 0 {
        return None;
    }
    let settings = web(&format!("log.file = 'DIR/{log}'\nprocess.user = 'nobody'"), echo())
        .replace("127.0.0.1:0", &format!("127.77.1.1:{port}"));
    let site = Site::new(&settings);
    site.write("web.pem", &pem(&site.authority.issue(&["127.77.1.1"])));
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(site.path("log")).unwrap();
    assert!(Command::new("chown").arg("nobody").arg(site.path("log")).status().unwrap().success());
    Some(site)
}

/// Waits for the event in the log.
fn logged(log: &Path, event: &str) -> Value {
    until(event, || {
        let text = fs::read_to_string(log).ok()?;
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["event"] == event)
    })
}

fn has_dropped(proxy: &Proxy) {
    let id = proxy.id();
    assert_eq!((status(id, "Uid"), status(id, "CapEff"), status(id, "CapPrm")), (NOBODY, 0, 0));
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    for task in tasks {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let ids = text.lines().find(|line| line.starts_with("Uid:")).unwrap();
        assert!(ids.split_whitespace().skip(1).all(|uid| uid == "65534"), "every thread: {ids}");
    }
}

#[test]
fn low_port_is_bound_and_root_is_given_up_for_good() {
    let Some(site) = site(443, "log/proxy.log") else { return };
    let proxy = site.start();
    has_dropped(&proxy);
    site.client().ask(proxy.address).unwrap();
    let log = site.path("log/proxy.log");
    logged(&log, "session");
    // Its directory is the user's: it is opened anew.
    fs::rename(&log, site.path("log/proxy.log.1")).unwrap();
    proxy.kill("-USR1");
    logged(&log, "log_reopened");
    // Certificates that the user can read are replaced; a low port is out of reach.
    let next = site.authority.issue(&["127.77.1.1"]);
    site.write("web.pem", &pem(&next));
    logged(&log, "tls_reloaded");
    assert_eq!(site.client().ask(proxy.address).unwrap(), next.chain()[0]);
    let settings = fs::read_to_string(site.path("proxy.toml")).unwrap();
    site.write("proxy.toml", &(settings + &listener("low", "127.77.1.1:444")));
    proxy.kill("-HUP");
    let low = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if low.trim().parse::<u32>().unwrap() > 444 {
        let failed = logged(&log, "reload_failed");
        assert!(failed["error"].as_str().unwrap().contains("127.77.1.1:444"), "{failed}");
    }
    site.client().ask(proxy.address).unwrap();
    proxy.stop();
}

#[test]
fn log_that_only_root_can_create_stays_the_old_file_and_says_so_in_it() {
    let Some(site) = site(445, "proxy.log") else { return };
    let proxy = site.start();
    has_dropped(&proxy);
    let old = site.path("proxy.log.1");
    fs::rename(site.path("proxy.log"), &old).unwrap();
    proxy.kill("-USR1");
    let failed = logged(&old, "log_reopen_failed");
    assert!(failed["reason"].as_str().unwrap().contains("ermission denied"), "{failed}");
    site.client().ask(proxy.address).unwrap();
    logged(&old, "session");
    proxy.stop();
}
