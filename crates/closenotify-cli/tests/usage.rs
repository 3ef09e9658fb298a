//! The command as a script sees it: exit codes, and what is said on stdout and stderr.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// How the command ended and what it said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A line of arguments, split at spaces.
fn run(line: &str) -> Said {
    run_args(&line.split_whitespace().collect::<Vec<_>>())
}

fn run_args(args: &[&str]) -> Said {
    finish(spawn(args, Stdio::piped()))
}

fn spawn(args: &[&str], stdout: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_closenotify"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end; a command that runs on is killed and fails the test.
fn finish(mut child: Child) -> Said {
    let pipes: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|pipe| Box::new(pipe) as _), child.stderr.take().map(|pipe| Box::new(pipe) as _)];
    let [stdout, stderr] = pipes.map(|pipe| {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            pipe.map(|mut pipe| pipe.read_to_string(&mut text));
            let _ = sender.send(text);
        });
        match receiver.recv_timeout(BOUND) {
            Ok(text) => text,
            Err(_) => {
                let _ = child.kill();
                panic!("the command runs on");
            }
        }
    });
    Said { code: child.wait().unwrap().code(), stdout, stderr }
}

/// The files of one pair in a directory.
fn write_pair(dir: &Path, name: &str, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let paths = ["crt", "key"].map(|kind| dir.join(format!("{name}.{kind}")).to_str().unwrap().to_owned());
    fs::write(&paths[0], params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&paths[1], key.serialize_pem()).unwrap();
    let [crt, key] = paths;
    (crt, key)
}

fn terminate(child: &Child) {
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
}

const BOUND: Duration = Duration::from_secs(30);

const OPTIONS: [&str; 17] = [
    "--config",
    "--check-config",
    "--demo",
    "--listen",
    "--cert",
    "--key",
    "--upstream",
    "--truncation",
    "--handshake-timeout",
    "--idle-timeout",
    "--half-close-timeout",
    "--connect-timeout",
    "--lifetime",
    "--drain",
    "--log",
    "--log-file",
    "--admin",
];

#[test]
fn bad_usage_is_2_and_names_the_slip() {
    let given = "proxy --cert c --key k --upstream localhost:1";
    for (line, named) in [
        (String::new(), "Usage: closenotify"),
        ("proxies".into(), "proxies"),
        ("proxy --demon".into(), "--demon"),
        ("proxy".into(), "missing: --cert, --key, --upstream"),
        ("proxy --listen localhost:0 --cert c --upstream localhost:1".into(), "missing: --key"),
        ("proxy --demo --cert c".into(), "'--cert <PEM>'"),
        ("proxy --demo --key k".into(), "'--key <PEM>'"),
        ("proxy --demo --upstream localhost:1".into(), "'--upstream <ADDR>'"),
        ("proxy --demo --listen localhost".into(), "the port is missing: write localhost:port"),
        ("proxy --demo --listen 127.0.0.1".into(), "the port is missing: write 127.0.0.1:port, as in 127.0.0.1:8443"),
        ("proxy --demo --listen 8443".into(), "the host is missing: write 127.0.0.1:8443, or 0.0.0.0:8443"),
        ("proxy --demo --listen /run/x".into(), "write unix:/run/x"),
        ("proxy --demo --admin unix:x".into(), "write unix:/path/to/socket"),
        ("proxy --demo --listen ::1:8443".into(), "needs brackets"),
        ("proxy --demo --listen localhost:70000".into(), "0 to 65535"),
        ("proxy --demo --listen :1".into(), "the host is missing"),
        ("proxy --cert c --key k --upstream localhost:0".into(), "port 0"),
        ("proxy --cert c --key k --upstream http://localhost:1/".into(), "without scheme"),
        (format!("{given} --truncation lax"), "strict, tolerant"),
        (format!("{given} --log xml"), "text, json"),
        (format!("{given} --drain 0s"), "zero"),
        (format!("{given} --idle-timeout 30"), "with its unit"),
        (format!("{given} --handshake-timeout soon"), "with its unit"),
        (format!("{given} --half-close-timeout 2years"), "365d is the longest"),
        (format!("{given} --lifetime 1us"), "1ms is the shortest"),
        (format!("{given} --connect-timeout 5"), "with its unit"),
        ("proxy --cert c --key k --upstream unix:x".into(), "write unix:/path/to/socket"),
        ("proxy --check-config".into(), "--config <FILE>"),
        ("proxy --check-config --demo".into(), "'--check-config' cannot be used with '--demo'"),
        ("proxy --check-config --cert c --key k --upstream localhost:1".into(), "'--check-config' cannot be used with"),
        ("proxy --config f --demo".into(), "'--config <FILE>' cannot be used with '--demo'"),
        ("proxy --config f --listen localhost:1".into(), "'--listen <ADDR>'"),
        ("proxy --config f --log json".into(), "'--log <FORMAT>'"),
        ("completions korn".into(), "bash, elvish, fish"),
    ] {
        let said = run(&line);
        assert_eq!(said.code, Some(2), "{line}: {said:?}");
        assert!(said.stderr.contains(named), "{line}: {}", said.stderr);
        assert!(said.stdout.is_empty(), "{line}: {}", said.stdout);
    }
}

#[test]
fn refused_certificate_or_key_is_3_and_names_the_file() {
    let dir = TempDir::new().unwrap();
    let (good, good_key) = write_pair(dir.path(), "good", 2120);
    let (other, _) = write_pair(dir.path(), "other", 2120);
    let (expired, expired_key) = write_pair(dir.path(), "expired", 2021);
    let gone = dir.path().join("gone.pem").to_str().unwrap().to_owned();
    for (cert, key, named, wrong) in [
        (&gone, &good_key, &gone, "cannot read the certificate file"),
        (&good, &gone, &gone, "cannot read the key file"),
        (&good_key, &good, &good_key, "swapped"),
        (&other, &good_key, &other, "is not the key of"),
        (&expired, &expired_key, &expired, "expired on 2021-01-01 00:00:00 UTC"),
    ] {
        let said =
            run_args(&["proxy", "--listen", "127.0.0.1:0", "--cert", cert, "--key", key, "--upstream", "127.0.0.1:1"]);
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.lines().count() == 1, "{}", said.stderr);
        assert!(said.stderr.contains(named.as_str()) && said.stderr.contains(wrong), "{}", said.stderr);
        assert!(said.stdout.is_empty(), "{}", said.stdout);
    }
}

#[test]
fn address_that_cannot_be_listened_on_is_4_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // 192.0.2.0/24 is for documentation: no machine has it.
    for (listen, why) in [(taken.as_str(), "in use"), ("192.0.2.1:8443", "no such address")] {
        let said = run_args(&["proxy", "--demo", "--listen", listen]);
        assert_eq!(said.code, Some(4), "{said:?}");
        assert!(said.stderr.contains(listen) && said.stderr.contains(why), "{}", said.stderr);
        assert!(said.stdout.is_empty(), "{}", said.stdout);
    }
}

#[test]
fn long_help_has_every_option_and_exit_code() {
    let said = run("proxy --help");
    assert_eq!(said.code, Some(0));
    for option in OPTIONS {
        assert!(said.stdout.contains(&format!("      {option}")), "{option} is not in {}", said.stdout);
    }
    let codes = said.stdout.split_once("Exit codes:\n").unwrap().1;
    for (code, meaning) in [
        (0, "finished"),
        (1, "internal"),
        (2, "usage"),
        (3, "certificate"),
        (4, "listen"),
        (5, "aborted"),
        (11, "configuration"),
    ] {
        let line = codes.lines().find(|line| line.starts_with(&format!("  {code}  "))).unwrap();
        assert!(line.contains(meaning), "{line}");
    }
    for part in [
        "Times:",
        "Endings:",
        "Files:",
        "Output:",
        "Signals:",
        "SIGTERM",
        "SIGHUP",
        "SIGUSR1",
        "Examples:",
        "[default: 127.0.0.1:8443]",
    ] {
        assert!(said.stdout.contains(part), "{part} is not in {}", said.stdout);
    }
    for default in ["10s", "5m", "1m", "30s", "strict", "text"] {
        assert!(said.stdout.contains(&format!("[default: {default}]")), "{default}");
    }
}

#[test]
fn short_help_fits_a_screen_and_has_every_option() {
    let said = run("proxy -h");
    assert_eq!(said.code, Some(0));
    for option in OPTIONS {
        assert!(said.stdout.contains(option), "{option} is not in {}", said.stdout);
    }
    assert!(said.stdout.lines().count() <= 28, "{}", said.stdout);
}

#[test]
fn man_pages_have_the_texts_of_the_help() {
    let dir = TempDir::new().unwrap();
    let said = run_args(&["man", dir.path().to_str().unwrap()]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    let page = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    for name in ["closenotify.1", "closenotify-check.1", "closenotify-check-server.1", "closenotify-proxy.1"] {
        let page = page(name);
        assert!(page.contains(".TH ") && page.contains(".SH NAME") && page.contains(".SH \"EXIT STATUS\""), "{page}");
        assert_eq!(page.matches(".ds Aq").count(), 2, "{page}");
    }
    let proxy = page("closenotify-proxy.1");
    for option in OPTIONS {
        assert!(proxy.contains(&option.replace('-', "\\-")), "{option} is not in {proxy}");
    }
    assert!(proxy.contains(".SH SIGNALS\n.nf\n"), "{proxy}");
    let printed = run("man");
    assert_eq!((printed.code, printed.stdout), (Some(0), page("closenotify.1")));
    let nowhere = dir.path().join("none");
    let said = run_args(&["man", nowhere.to_str().unwrap()]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("give an existing, writable directory"), "{said:?}");
}

#[test]
fn completions_name_the_options_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = run(&format!("completions {shell}"));
        assert_eq!(said.code, Some(0));
        assert!(said.stdout.contains("check-config"), "{}", said.stdout);
    }
}

#[test]
fn version_is_the_packages() {
    let said = run("--version");
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), concat!("closenotify ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn demo_says_where_it_listens_and_what_to_paste_then_drains() {
    for (listen, curl) in [("127.0.0.1:0", "curl -k https://127.0.0.1:"), ("[::1]:0", "curl -k 'https://[::1]:")] {
        let mut child = spawn(&["proxy", "--demo", "--listen", listen], Stdio::piped());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut lines = [(); 3].map(|()| String::new());
        for line in &mut lines {
            stdout.read_line(line).unwrap();
        }
        let host = listen.strip_suffix('0').unwrap();
        assert!(lines[0].starts_with(&format!("listening on {host}")), "{lines:?}");
        assert!(lines[0].contains(", upstream 127.0.0.1:") && !lines[0].contains(":0,"), "{lines:?}");
        assert!(lines[2].starts_with(curl), "{lines:?}");
        terminate(&child);
        let said = finish(child);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.stderr.ends_with(" drained: 0 sessions finished, 0 aborted\n"), "{}", said.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn closed_stdout_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = spawn(&["proxy", "--demo", "--listen", "127.0.0.1:0"], writer.into());
    let status = format!("/proc/{}/status", child.id());
    let started = Instant::now();
    // Nothing it prints can be read, so the kernel is asked whether it catches SIGTERM (15) yet.
    while !fs::read_to_string(&status).unwrap().lines().any(|line| {
        line.strip_prefix("SigCgt:\t").is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() >> 14 & 1 == 1)
    }) {
        assert!(child.try_wait().unwrap().is_none() && started.elapsed() < BOUND);
        thread::yield_now();
    }
    terminate(&child);
    let said = finish(child);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.ends_with(" drained: 0 sessions finished, 0 aborted\n"), "{}", said.stderr);
}

#[test]
fn json_log_is_json_to_the_last_line() {
    let mut child = spawn(&["proxy", "--demo", "--listen", "127.0.0.1:0", "--log", "json"], Stdio::piped());
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    terminate(&child);
    let said = finish(child);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{}", said.stderr);
    let last = said.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("{\"result\":\"ok\",\"event\":\"drained\",")
            && last.ends_with(",\"finished\":0,\"aborted\":0}"),
        "{last}"
    );
}
