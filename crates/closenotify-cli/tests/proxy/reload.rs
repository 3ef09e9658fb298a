//! SIGHUP and changed files under load: every question is answered, open sessions live on, and what is wrong changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::fs::symlink;

use testkit::certs::TlsVersion;

use crate::harness::Proxy;
use crate::site::{Load, Site, app, echo, listener, listening, metric, pem, round_trip, until, web};
use crate::tls_client::TlsClient;

const ADMIN: &str = "admin.listen = '127.0.0.1:0'";

/// Questions between two changes.
const BETWEEN: usize = 30;

fn load(site: &Site, proxy: &Proxy) -> Load {
    let (client, address) = (site.client(), proxy.address);
    let load = Load::start(2, move || client.ask(address).map(drop));
    load.more(BETWEEN);
    load
}

fn names(event: &serde_json::Value, field: &str) -> Vec<String> {
    event[field].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn listeners_come_change_and_go_while_every_question_is_answered() {
    let upstream = echo();
    let site = Site::web(ADMIN, upstream);
    let mut proxy = site.start();
    let admin = proxy.admin();
    let load = load(&site, &proxy);
    let with = |more: &str| site.configure(&format!("{}{more}", web(ADMIN, upstream)));

    with(&listener("extra", "127.0.0.1:0"));
    proxy.kill("-HUP");
    assert_eq!(names(&proxy.event("reloaded", 1), "added"), ["extra"]);
    let extra = listening(&mut proxy, "extra", 1);
    site.client().ask(extra).unwrap();
    let mut kept = TlsClient::of(TcpStream::connect(extra).unwrap(), &site.authority, TlsVersion::V13);
    round_trip(&mut kept);
    load.more(BETWEEN);

    // The same address under another name, and another address for the old name.
    with(&(listener("moved", &extra.to_string()) + &listener("extra", "127.0.0.2:0")));
    proxy.kill("-HUP");
    let event = proxy.event("reloaded", 2);
    assert_eq!((names(&event, "added"), names(&event, "changed")), (vec!["moved".into()], vec!["extra".into()]));
    assert_eq!(listening(&mut proxy, "moved", 1), extra);
    let other = listening(&mut proxy, "extra", 2);
    site.client().ask(extra).unwrap();
    site.client().ask(other).unwrap();
    round_trip(&mut kept);
    load.more(BETWEEN);

    let tolerant = web(ADMIN, upstream).replace("certificates", "truncation = 'tolerant'\ncertificates");
    site.configure(&tolerant);
    proxy.kill("-HUP");
    let event = proxy.event("reloaded", 3);
    let mut removed = names(&event, "removed");
    removed.sort_unstable();
    assert_eq!((removed, names(&event, "changed")), (vec!["extra".into(), "moved".into()], vec!["web".to_owned()]));
    for gone in [extra, other] {
        until("end of the listener", || {
            TcpStream::connect(gone).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused).then_some(())
        });
    }
    // Its listener is gone, and it lives on.
    round_trip(&mut kept);
    assert_eq!(metric(&admin, "closenotify_sessions_draining"), 1.0);
    load.more(BETWEEN);
    load.stop();
    let end = kept.close_notify();
    kept.write(&end);
    assert_eq!(kept.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
    drop(kept);
    assert_eq!(metric(&admin, "closenotify_reloads_total"), 3.0);
    proxy.stop();
}

#[test]
fn many_reloads_under_load_refuse_and_reset_nobody() {
    let upstream = echo();
    let site = Site::web("", upstream);
    let mut proxy = site.start();
    let load = load(&site, &proxy);
    for nth in 1..=20 {
        if nth % 2 == 0 {
            site.write("web.pem", &pem(&site.issue()));
        }
        site.configure(&(web("", upstream) + &listener(&format!("extra{nth}"), "127.0.0.1:0")));
        proxy.kill("-HUP");
        proxy.event("reloaded", nth);
        load.more(5);
    }
    load.stop();
    proxy.stop();
}

#[test]
fn certificate_is_replaced_and_the_last_good_one_is_kept_when_the_new_one_is_bad() {
    let upstream = echo();
    let site = Site::web(ADMIN, upstream);
    let mut proxy = site.start();
    let admin = proxy.admin();
    let load = load(&site, &proxy);
    let mut kept = TlsClient::connect(&proxy, TlsVersion::V12);

    let second = site.issue();
    site.write("web.pem", &pem(&second));
    proxy.kill("-HUP");
    proxy.event("tls_reloaded", 1);
    proxy.event("reloaded", 1);
    assert_eq!(site.client().ask(proxy.address).unwrap(), second.chain()[0]);
    load.more(BETWEEN);

    let third = site.issue();
    for (nth, bad) in [second.cert_pem().to_owned(), third.cert_pem().to_owned() + &second.key_pem(), String::new()]
        .into_iter()
        .enumerate()
    {
        site.write("web.pem", &bad);
        proxy.kill("-HUP");
        let event = proxy.event("certificate_rejected", nth + 1);
        assert!(event["path"].as_str().unwrap().ends_with("/web.pem"), "{event}");
        proxy.event("reloaded", nth + 2);
        assert_eq!(site.client().ask(proxy.address).unwrap(), second.chain()[0], "{event}");
        load.more(BETWEEN);
    }
    assert!(metric(&admin, "closenotify_certificate_rejections_total") >= 3.0);

    site.write("web.pem", &pem(&third));
    // Nobody says so: files are looked at.
    proxy.event("tls_reloaded", 2);
    assert_eq!(site.client().ask(proxy.address).unwrap(), third.chain()[0]);
    load.more(BETWEEN);
    load.stop();
    round_trip(&mut kept);
    drop(kept);
    proxy.stop();
}

#[test]
fn broken_settings_change_nothing() {
    let upstream = echo();
    let site = Site::web(ADMIN, upstream);
    let mut proxy = site.start();
    let admin = proxy.admin();
    let load = load(&site, &proxy);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener("second", &taken.local_addr().unwrap().to_string());
    let unreadable = listener("second", "127.0.0.1:0").replace("web.pem", "none.pem");
    let good = web(ADMIN, upstream);
    for (nth, (settings, why)) in [
        ("no = toml = at all".to_owned(), "proxy.toml:2"),
        (good.replace("listen = '127.0.0.1:0'\ncert", "lisen = '127.0.0.1:0'\ncert"), "lisen"),
        (good.clone() + &taken, "in use"),
        (good.clone() + &unreadable, "none.pem"),
        (good.clone() + "[process]\nworkers = 7\n", "workers"),
        (String::new(), "listener"),
    ]
    .into_iter()
    .enumerate()
    {
        site.configure(&settings);
        proxy.kill("-HUP");
        let event = proxy.event("reload_failed", nth + 1);
        assert!(event["error"].as_str().unwrap().contains(why), "{why}: {event}");
        load.more(BETWEEN);
    }
    fs::remove_file(site.path("proxy.toml")).unwrap();
    proxy.kill("-HUP");
    proxy.event("reload_failed", 7);
    assert_eq!(metric(&admin, "closenotify_reloads_total{result=\"failed\"}"), 7.0);
    assert_eq!(metric(&admin, "closenotify_config_last_reload_successful"), 0.0);
    site.configure(&good);
    proxy.kill("-HUP");
    proxy.event("reloaded", 1);
    assert_eq!(metric(&admin, "closenotify_config_last_reload_successful"), 1.0);
    load.more(BETWEEN);
    load.stop();
    proxy.stop();
}

#[test]
fn settings_whose_ca_file_is_missing_change_nothing_for_clients() {
    let upstream = echo();
    let site = Site::web("", upstream);
    let mut proxy = site.start();
    let load = load(&site, &proxy);
    let required = "client_auth = { mode = 'required', ca = 'none.pem' }\ncertificates";
    site.configure(&web("", upstream).replace("certificates", required));
    proxy.kill("-HUP");
    let event = proxy.event("reload_failed", 1);
    assert!(event["error"].as_str().unwrap().contains("none.pem"), "{event}");
    // Without a certificate.
    site.client().ask(proxy.address).unwrap();
    load.more(BETWEEN);
    load.stop();
    proxy.stop();
}

#[test]
fn settings_whose_ca_file_is_missing_change_nothing_for_an_upstream() {
    // Another proxy is the upstream with TLS.
    let behind = Site::web("", echo());
    let far = behind.start();
    let site = Site::new("");
    fs::copy(&far.files.ca, site.path("ca.pem")).unwrap();
    let configure = |name: &str, ca: &str| {
        let tls = format!("tls = {{ name = '{name}', ca = '{ca}' }}\naddresses");
        site.configure(&web("", far.address).replace("addresses", &tls));
    };
    configure("localhost", "ca.pem");
    let mut proxy = site.start();
    let load = load(&site, &proxy);
    // The upstream has no certificate for this name.
    configure("other.test", "none.pem");
    proxy.kill("-HUP");
    let event = proxy.event("reload_failed", 1);
    assert!(event["error"].as_str().unwrap().contains("none.pem"), "{event}");
    site.client().ask(proxy.address).unwrap();
    load.more(BETWEEN);
    load.stop();
    proxy.stop();
    far.stop();
}

/// As the kubelet mounts a secret: the files are links into `..data`, itself a link that is swapped by a rename.
#[test]
fn secret_that_kubernetes_swaps_is_read_again_without_a_signal() {
    let upstream = echo();
    let site = Site::new("");
    let put = |version: &str| {
        let leaf = site.issue();
        fs::create_dir(site.path(&format!("certs/{version}"))).unwrap();
        site.write(&format!("certs/{version}/tls.crt"), leaf.cert_pem());
        site.write(&format!("certs/{version}/tls.key"), &leaf.key_pem());
        symlink(version, site.path("certs/..data_tmp")).unwrap();
        fs::rename(site.path("certs/..data_tmp"), site.path("certs/..data")).unwrap();
        leaf.chain()[0].clone()
    };
    fs::create_dir(site.path("certs")).unwrap();
    let first = put("..2026_1");
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), site.path(&format!("certs/{file}"))).unwrap();
    }
    site.configure(&(listener("web", "127.0.0.1:0").replace("web.pem", "certs") + &app(upstream)));
    let mut proxy = site.start();
    let load = load(&site, &proxy);
    assert_eq!(site.client().ask(proxy.address).unwrap(), first);
    for nth in 1..=2 {
        let next = put(&format!("..2026_{}", nth + 1));
        fs::remove_dir_all(site.path(&format!("certs/..2026_{nth}"))).unwrap();
        proxy.event("tls_reloaded", nth);
        assert_eq!(site.client().ask(proxy.address).unwrap(), next);
        load.more(BETWEEN);
    }
    load.stop();
    let stopped = proxy.stop();
    assert!(!stopped.lines.iter().any(|line| line.contains("certificate_rejected")), "{stopped:?}");
}
