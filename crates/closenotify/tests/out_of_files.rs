//! The accept loop of the server examples when the process has no free descriptor: one try a second, and none is lost.
//!
//! A program of its own, since the limit is the whole process's.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

#[path = "../examples/shared/accept.rs"]
mod accept;

use accept::accept;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn without_a_free_descriptor_it_tries_once_a_second_and_then_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let second = TcpStream::connect(address).await.unwrap();
    // After this the runtime knows that the queue is ready, and asks the kernel at once.
    let _accepted = accept(&listener, |error| panic!("{error}")).await;

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let mut failures = Vec::new();
    // On a paused clock: a loop without a pause would never get to the end of it.
    let failed = |error: std::io::Error| {
        failures.push(error.raw_os_error());
        assert!(failures.len() < 1000, "it spins");
    };
    let waited = timeout(Duration::from_millis(9500), accept(&listener, failed)).await;
    setrlimit(Resource::Nofile, limit).unwrap();

    assert!(waited.is_err(), "there was no descriptor for it");
    assert_eq!(failures, [Some(rustix::io::Errno::MFILE.raw_os_error()); 10]);
    let (_tcp, peer) = accept(&listener, |error| panic!("{error}")).await;
    assert_eq!(peer, second.local_addr().unwrap());
}
