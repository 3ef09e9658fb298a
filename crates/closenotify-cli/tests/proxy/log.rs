//! Nobody who reads the log can stop a session or a signal: readers that stall, disks that are full, files that move.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;
use testkit::certs::TlsVersion;

use crate::admin::get;
use crate::harness::Proxy;
use crate::site::{Client, Site, echo, metric, round_trip, until};
use crate::tls_client::TlsClient;

const ADMIN: &str = "admin.listen = '127.0.0.1:0'";

/// Makes so many sessions, which are refused and have a line each, and waits until they are over.
fn flood(proxy: &mut Proxy, count: usize) {
    let (address, admin) = (proxy.address, proxy.admin());
    let over = metric(&admin, "closenotify_sessions_total") + count as f64;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..count / 4 {
                    let socket = TcpStream::connect(address).unwrap();
                    // A reset leaves nothing behind in the kernel.
                    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                }
            });
        }
    });
    until("end of the flood", || (metric(&admin, "closenotify_sessions_total") >= over).then_some(()));
}

/// More lines than the pipe and the queue before it hold.
const MORE_THAN_FITS: usize = 12_000;

/// Where the log goes: a descriptor that blocks, or one that does not.
fn unread(blocking: bool) -> (Box<dyn Read + Send>, Stdio) {
    if blocking {
        let (reader, writer): (PipeReader, _) = pipe().unwrap();
        return (Box::new(reader), writer.into());
    }
    let (reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    (Box::new(reader), OwnedFd::from(writer).into())
}

fn ask(client: &Client, address: SocketAddr) {
    client.ask(address).unwrap();
}

#[test]
fn log_that_nobody_reads_delays_no_session_and_no_signal() {
    for blocking in [true, false] {
        let site = Site::web(&format!("{ADMIN}\nprocess.drain = '1h'"), echo());
        let (reader, stderr) = unread(blocking);
        let mut proxy = site.start_into(stderr);
        let admin = proxy.admin();
        let mut kept = TlsClient::connect(&proxy, TlsVersion::V13);
        round_trip(&mut kept);
        flood(&mut proxy, MORE_THAN_FITS);
        assert!(metric(&admin, "closenotify_ledger_lines_lost_total") > 0.0, "the log is full");
        (0..200).for_each(|_| round_trip(&mut kept));
        ask(&site.client(), proxy.address);

        proxy.terminate();
        until("draining", || (get(&admin, "/readyz").0 == 503).then_some(()));
        round_trip(&mut kept);
        proxy.terminate();
        assert_eq!(kept.read_to_end(), (Vec::new(), vec!["rst"]));
        assert_eq!(proxy.wait().code, Some(5));
        drop(reader);
    }
}

#[test]
fn reader_that_comes_back_gets_every_line_or_the_number_of_those_that_were_lost() {
    for blocking in [true, false] {
        let site = Site::web(ADMIN, echo());
        let (reader, stderr) = unread(blocking);
        let mut proxy = site.start_into(stderr);
        flood(&mut proxy, MORE_THAN_FITS);
        let reading = thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).collect::<Vec<_>>());
        let admin = proxy.admin();
        // There is room again.
        let written = metric(&admin, "closenotify_ledger_lines_total");
        until("written lines", || (metric(&admin, "closenotify_ledger_lines_total") > written).then_some(()));
        ask(&site.client(), proxy.address);
        let lost = metric(&admin, "closenotify_ledger_lines_lost_total");
        proxy.stop();

        let lines: Vec<Value> =
            reading.join().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: u64 = of(&lines, "lines_lost").map(|line| line["lines"].as_u64().unwrap()).sum();
        assert_eq!(said as f64, lost, "the metric counts the same");
        assert!(said > 0, "the log was full");
        assert_eq!(of(&lines, "session").count() as u64 + said, MORE_THAN_FITS as u64 + 1);
        assert_eq!(lines.last().unwrap()["event"], "drained");
    }
}

fn of<'a>(lines: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["event"] == event)
}

/// The lines of a file that is not complete until the number of each session up to `sessions` is there, once each.
fn sessions_in(path: &Path, sessions: u64) -> Vec<Value> {
    until(&format!("lines of {sessions} sessions"), || {
        let text = fs::read_to_string(path).ok()?;
        let lines: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let numbers: Vec<_> = of(&lines, "session").map(|line| line["session"].as_u64().unwrap()).collect();
        let all: BTreeSet<_> = numbers.iter().copied().collect();
        (all == (1..=sessions).collect() && numbers.len() as u64 == sessions).then_some(lines)
    })
}

#[test]
fn log_file_without_space_keeps_its_lines_until_there_is_some() {
    let site = Site::web(&format!("{ADMIN}\nlog.file = 'DIR/log'"), echo());
    symlink("/dev/full", site.path("log")).unwrap();
    let mut proxy = site.start();
    flood(&mut proxy, 400);
    ask(&site.client(), proxy.address);
    let admin = proxy.admin();
    assert_eq!(metric(&admin, "closenotify_ledger_lines_total"), 0.0);
    fs::remove_file(site.path("log")).unwrap();
    proxy.kill("-USR1");
    let lines = sessions_in(&site.path("log"), 401);
    assert_eq!(lines[0]["event"], "started", "the oldest line was kept, too");
    assert_eq!(of(&lines, "lines_lost").count(), 0);
    proxy.stop();
}

/// A small file system of its own; only root can have one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).output().unwrap();
        mounted.status.success().then_some(Self(at))
    }

    fn remount(&self, options: &str) {
        let mut command = Command::new("mount");
        assert!(command.args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn disk_that_fills_up_inside_a_line_and_gets_space_again_has_every_line_complete() {
    let site = Site::web(&format!("{ADMIN}\nlog.file = 'DIR/disk/log'"), echo());
    // Without the right to mount, the test before this one is what there is.
    let Some(disk) = Disk::mount(site.path("disk"), "size=64k") else { return };
    let mut proxy = site.start();
    flood(&mut proxy, 400);
    ask(&site.client(), proxy.address);
    assert_eq!(fs::metadata(site.path("disk/log")).unwrap().len(), 64 * 1024, "it is full");
    disk.remount("size=4m");
    let lines = sessions_in(&site.path("disk/log"), 401);
    assert_eq!(of(&lines, "lines_lost").count(), 0);
    proxy.stop();
}

#[test]
fn disk_that_stays_full_does_not_keep_the_process_from_ending() {
    let site = Site::web(&format!("{ADMIN}\nlog.file = '/dev/full'"), echo());
    let mut proxy = site.start();
    flood(&mut proxy, 40);
    ask(&site.client(), proxy.address);
    proxy.stop();
}

#[test]
fn closed_stderr_is_nobodys_concern() {
    let site = Site::web(ADMIN, echo());
    let proxy = site.start_after("exec 2>&-");
    ask(&site.client(), proxy.address);
    ask(&site.client(), proxy.address);
    proxy.stop();
}

/// A supervisor that died: every write fails, and SIGPIPE with it.
#[test]
fn pipe_whose_reader_is_gone_is_nobodys_concern() {
    let site = Site::web(ADMIN, echo());
    let (reader, stderr) = unread(true);
    drop(reader);
    let mut proxy = site.start_into(stderr);
    flood(&mut proxy, 40);
    ask(&site.client(), proxy.address);
    proxy.stop();
}

#[test]
fn sigusr1_goes_on_in_a_new_file_after_the_old_one_was_renamed() {
    let site = Site::web("log.file = 'DIR/log'", echo());
    let proxy = site.start();
    let mut kept = TlsClient::connect(&proxy, TlsVersion::V13);
    ask(&site.client(), proxy.address);
    let before = until("line of session 2", || {
        let text = fs::read_to_string(site.path("log")).unwrap();
        text.contains("\"session\":2,").then_some(text)
    });
    fs::rename(site.path("log"), site.path("log.1")).unwrap();
    proxy.kill("-USR1");
    until("new file", || fs::read_to_string(site.path("log")).ok()?.contains("log_reopened").then_some(()));
    round_trip(&mut kept);
    ask(&site.client(), proxy.address);
    drop(kept);
    proxy.stop();
    assert_eq!(fs::read_to_string(site.path("log.1")).unwrap(), before, "nothing more came into the old file");
    let after = fs::read_to_string(site.path("log")).unwrap();
    let lines: Vec<Value> = after.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut numbers: Vec<_> = of(&lines, "session").map(|line| line["session"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 3], "{after}");
}
