//! The log as a whole: readers that stall, disks that fill, files that come and go. Nothing here may wait for any of them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use super::writer::{Out, Sink};
use super::*;

/// Long enough for any machine; never waited for in full by a test that passes.
const LIMIT: Duration = Duration::from_secs(20);

fn listening(number: usize) -> Event {
    Event::Listening { listener: format!("l{number}"), address: "x".repeat(1000) }
}

fn json(file: Option<&Path>) -> LogSettings {
    LogSettings { format: LogFormat::Json, file: file.map(Into::into), skip: Vec::new() }
}

fn onto(file: File) -> Events {
    let out = Box::new(writer::Descriptor::from(file));
    Events::start(&json(None), Sink { out, path: None }).unwrap()
}

/// The events of a log, each line complete.
fn words(log: impl Read) -> Vec<String> {
    let word = |line: io::Result<String>| {
        let line = line.unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("half a line: {line}"));
        value["event"].as_str().unwrap().to_owned()
    };
    BufReader::new(log).lines().map(word).collect()
}

/// docs/cases.md D15
#[test]
fn a_reader_that_stalls_costs_lines_and_nothing_else() {
    let (mut reader, writer) = io::pipe().unwrap();
    let events = onto(File::from(std::os::fd::OwnedFd::from(writer)));
    // Several times what the pipe and the queue hold.
    let told = 12_000;
    for number in 0..told {
        events.tell(&listening(number));
    }
    let lost = events.lines().lost;
    assert!(lost > 1000, "{lost}");
    assert!(!events.flush(Duration::ZERO), "nobody reads");

    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all).unwrap()
    });
    assert!(events.flush(LIMIT));
    events.tell(&Event::Drained { finished: 1, aborted: 0 });
    assert!(events.flush(LIMIT));
    drop(events);
    let log = reading.join().unwrap();
    let words = words(&*log);
    assert_eq!(words.last().unwrap(), "drained");
    assert_eq!(words.iter().filter(|word| *word == "listening").count() as u64, told as u64 - lost);
    let reported: u64 = log
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|line| line["event"] == "lines_lost")
        .map(|line| line["lines"].as_u64().unwrap())
        .sum();
    assert_eq!(reported, lost);
}

#[test]
fn a_pipe_that_does_not_block_loses_no_half_line() {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let events = onto(File::from(std::os::fd::OwnedFd::from(writer)));
    for number in 0..1000 {
        events.tell(&listening(number));
    }
    let reading = thread::spawn(move || words(reader));
    assert!(events.flush(LIMIT));
    drop(events);
    assert_eq!(reading.join().unwrap().len(), 1000);
}

/// docs/cases.md D15
#[test]
fn a_log_that_cannot_be_written_does_not_hold_up_the_end() {
    for file in [File::options().write(true).open("/dev/full").unwrap(), {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        File::from(std::os::fd::OwnedFd::from(writer))
    }] {
        let events = onto(file);
        events.tell(&listening(1));
        // An hour, if it waited for the time to pass.
        assert!(!events.flush(Duration::from_secs(3600)));
        assert_eq!(events.lines(), LineCounts { waiting: 1, ..LineCounts::default() });
    }
}

#[test]
fn what_a_full_disk_did_not_take_is_counted_at_the_end() {
    let events = Events::open(&json(Some(Path::new("/dev/full")))).unwrap();
    assert_eq!(events.unwritten(), None);
    events.tell(&listening(1));
    assert!(!events.flush(LIMIT));
    let why = "its disk is full, or its reader does not read";
    assert_eq!(events.unwritten().unwrap(), format!("1 log line could not be written to /dev/full: {why}"));
    // More than wait at most.
    for number in 0..10_000 {
        events.tell(&listening(number));
    }
    assert!(!events.flush(LIMIT));
    assert_eq!(events.unwritten().unwrap(), format!("10001 log lines could not be written to /dev/full: {why}"));
}

#[test]
fn other_settings_change_the_next_line_and_not_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("log"), folder.path().join("other"));
    let text = LogSettings { format: LogFormat::Text, file: Some(path.clone()), skip: Vec::new() };
    let events = Events::open(&text).unwrap();
    let entry = Entry::new(1, "web".into(), "127.0.0.1:5".into());
    events.session(&entry);
    events.reconfigure(&json(Some(&other)));
    events.session(&entry);
    events.reconfigure(&LogSettings { skip: vec![SessionResult::Refused], ..text.clone() });
    events.session(&entry);
    events.reconfigure(&text);
    events.session(&entry);
    assert!(events.flush(LIMIT));
    let log = fs::read_to_string(&path).unwrap();
    let firsts: Vec<_> = log.lines().map(|line| line.chars().next().unwrap()).collect();
    assert_eq!(firsts, ['r', '{', 'r'], "{log}");
    assert!(!other.exists());
}

/// Takes bytes as the test says, and hands them on.
struct Scripted {
    /// How many bytes each write takes; an error for those that fail.
    script: Receiver<io::Result<usize>>,
    taken: Sender<Vec<u8>>,
}

impl Out for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A test that has ended takes all.
        let take = self.script.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        let _ = self.taken.send(bytes[..take].to_vec());
        Ok(take)
    }

    fn wait(&mut self, _: Duration) {}
}

#[test]
fn a_disk_that_has_room_again_gets_the_rest_of_the_line() {
    let (script, steps) = mpsc::channel();
    let (taken, log) = mpsc::channel();
    let sink = Sink { out: Box::new(Scripted { script: steps, taken }), path: None };
    let events = Events::start(&json(None), sink).unwrap();
    events.tell(&listening(1));
    for step in [
        Ok(10),
        Err(io::ErrorKind::StorageFull.into()),
        Err(io::ErrorKind::Interrupted.into()),
        Err(io::ErrorKind::WouldBlock.into()),
        Err(io::ErrorKind::StorageFull.into()),
        Ok(0),
        Ok(7),
        Ok(usize::MAX),
    ] {
        script.send(step).unwrap();
    }
    let mut taken: Vec<Vec<u8>> = (0..2).map(|_| log.recv_timeout(LIMIT).unwrap()).collect();
    assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [10, 0]);
    drop(script);
    events.tell(&Event::Drained { finished: 1, aborted: 0 });
    assert!(events.flush(LIMIT));
    drop(events);
    taken.extend(log);
    assert_eq!(words(&*taken.concat()), ["listening", "drained"]);
}

#[test]
fn a_file_is_private_appended_to_and_never_glued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let events = Events::open(&json(Some(&path))).unwrap();
    events.tell(&listening(1));
    assert!(events.flush(LIMIT));
    drop(events);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o640, 0);
    // As a process that was killed in the middle of a write leaves it.
    let mut before = fs::read_to_string(&path).unwrap();
    before.truncate(before.len() - 5);
    fs::write(&path, &before).unwrap();
    let events = Events::open(&json(Some(&path))).unwrap();
    events.tell(&listening(2));
    assert!(events.flush(LIMIT));
    let after = fs::read_to_string(&path).unwrap();
    let rest = after.strip_prefix(&format!("{before}\n")).expect("it begins a line of its own");
    assert_eq!(words(rest.as_bytes()), ["listening"]);
}

#[test]
fn a_rotated_file_is_opened_anew_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
    let events = Events::open(&json(Some(&path))).unwrap();
    events.tell(&listening(1));
    assert!(events.flush(LIMIT));
    fs::rename(&path, &rotated).unwrap();
    events.reopen();
    // The order is carried out before what is told after it.
    events.tell(&Event::Drained { finished: 0, aborted: 0 });
    wait_for(&events, 3);
    assert_eq!(words(File::open(&rotated).unwrap()), ["listening"]);
    let mut new = words(File::open(&path).unwrap());
    new.sort();
    assert_eq!(new, ["drained", "log_reopened"]);
}

#[test]
fn a_file_that_cannot_be_opened_anew_leaves_the_old_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let events = Events::open(&json(Some(&path))).unwrap();
    events.tell(&listening(1));
    assert!(events.flush(LIMIT));
    let old = folder.path().join("old");
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    events.reopen();
    wait_for(&events, 2);
    assert_eq!(words(File::open(&old).unwrap()), ["listening", "log_reopen_failed"]);
}

/// Waits until so many lines are written.
fn wait_for(events: &Events, lines: u64) {
    let start = Instant::now();
    while events.lines().written < lines {
        assert!(start.elapsed() < LIMIT, "{:?}", events.lines());
        events.flush(LIMIT);
        thread::yield_now();
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    for (path, what) in [
        (folder.path().join("no/such/log"), "; create its directory, or change [log] file"),
        (folder.path().to_owned(), "; [log] file names a file, not a directory"),
        (pipe, "; it is a named pipe that nobody reads: start its reader first"),
    ] {
        let error = Events::open(&json(Some(&path))).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot open the log file {}: ", path.display())), "{error}");
        assert!(error.ends_with(what), "{error}");
    }
}

#[test]
fn skipped_results_get_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings = LogSettings { skip: vec![SessionResult::Refused], ..json(Some(&path)) };
    let events = Events::open(&settings).unwrap();
    let mut entry = Entry::new(1, "web".into(), "127.0.0.1:5".into());
    events.session(&entry);
    entry.phase = Phase::Relay;
    events.session(&entry);
    assert!(events.flush(LIMIT));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn each_word_of_an_ending_is_documented() {
    for word in ending_words() {
        assert!(documented::has(documented::LEDGER, &word), "docs/ledger.md does not list {word}");
        assert!(
            documented::has_row(documented::OPERATIONS, &word),
            "docs/operations.md does not say what to do about {word}"
        );
    }
}

#[test]
fn operations_says_what_to_do_about_each_result_and_event() {
    let results = SessionResult::ALL.map(|result| result.word().to_owned());
    let events = event_tests::one_of_each().into_iter().map(|event| event.word().to_owned());
    for word in results.into_iter().chain(events) {
        assert!(
            documented::has_row(documented::OPERATIONS, &word),
            "docs/operations.md does not say what to do about {word}"
        );
    }
}

/// Every word that a direction or a handshake can end with, read from the sources, so that none can be forgotten.
fn ending_words() -> Vec<String> {
    let ending = include_str!("../../../closenotify-core/src/ending.rs");
    let mut words: Vec<String> = [
        (ending, "pub fn word(&self)"),
        (include_str!("../../../closenotify-core/src/error.rs"), "pub fn word(&self)"),
        (include_str!("../relay/leg.rs"), "fn word(self)"),
        (include_str!("../proxy_protocol/error.rs"), "fn word(&self)"),
    ]
    .iter()
    .flat_map(|(source, function)| literals(source, function))
    .collect();
    words.extend(["passthrough".into(), "no_route".into(), Limit::SessionsPerAddress.word().into(), "tls_WORD".into()]);
    words.retain(|word| !NEVER_LOGGED.contains(&word.as_str()));
    words.extend(literals(ending, "const fn word(self)").iter().map(|deadline| format!("timed_out_{deadline}")));
    words.sort();
    words.dedup();
    assert!(words.len() >= 30, "{words:?}");
    words
}

/// The texts in the bodies of these functions, with capitals for what varies.
fn literals(source: &str, function: &str) -> Vec<String> {
    let body = |rest: &str| rest.split("\n    }\n").next().map(str::to_owned);
    let bodies: Vec<String> = source.split(function).skip(1).filter_map(body).collect();
    assert!(!bodies.is_empty(), "no {function}");
    let texts = bodies.iter().flat_map(|body| body.split('"').skip(1).step_by(2));
    texts.map(|text| text.replace("{alert}", "NAME").replace("failed_{}", "failed_KIND")).collect()
}

/// The words of what cannot happen to a session of the proxy, and what has a word for each deadline instead.
const NEVER_LOGGED: [&str; 5] =
    ["early_data_too_long", "no_key_extraction", "no_clock", "timed_out_{}", "proxy_header_timed_out"];
