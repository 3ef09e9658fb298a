//! A panic is a line of the log. Alone in its process: the hook is everybody's.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use std::thread;
use std::time::Duration;

use closenotify_proxy::Events;
use closenotify_proxy::config::{LogFormat, LogSettings};

#[test]
fn a_panic_is_an_event_and_not_a_write_to_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let settings = LogSettings { format: LogFormat::Json, file: Some(file.clone()), skip: Vec::new() };
    let events = Events::open(&settings).unwrap();
    events.report_panics();
    thread::spawn(|| panic!("on\npurpose")).join().unwrap_err();
    assert!(events.flush(Duration::from_secs(20)));
    let line = std::fs::read_to_string(&file).unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((event["result"].as_str(), event["event"].as_str()), (Some("failed"), Some("internal_error")));
    assert_eq!(event["message"], "on\npurpose");
    assert!(event["location"].as_str().unwrap().contains("tests/panics.rs:"), "{line}");
}
