//! A real HAProxy beside the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use testkit::peers::{self, Running, run};

use crate::bench::Bench;
use crate::harness::LIMIT;

/// A HAProxy at work; killed when dropped.
pub(crate) struct Haproxy {
    pub(crate) address: SocketAddr,
    _running: Running,
}

impl Haproxy {
    /// With these proxies, in which `BIND` stands for a free address and `DIR` for the directory of `bench`.
    pub(crate) fn start(bench: &Bench, proxies: &str) -> Self {
        let [address, ready] = [free_address(), free_address()];
        let proxies = proxies.replace("BIND", &address.to_string()).replace("DIR", &bench.path("").to_string_lossy());
        let config = format!(
            "global\n maxconn 100\n tune.bufsize 262144\n\
             defaults\n timeout connect 20s\n timeout client 20s\n timeout server 20s\n\
             frontend ready\n mode http\n bind {ready}\n http-request return status 200\n\
             {proxies}\n"
        );
        let config = bench.write("haproxy.cfg", config);
        let checked = run(Command::new(peers::haproxy()).arg("-c").arg("-f").arg(&config), b"", LIMIT);
        assert!(checked.status.success(), "{checked}");
        let running = Running::start(Command::new(peers::haproxy()).arg("-db").arg("-f").arg(config));
        let deadline = Instant::now() + LIMIT;
        // All of its addresses are bound before it serves the first.
        while TcpStream::connect(ready).is_err() {
            if Instant::now() >= deadline {
                panic!("HAProxy does not listen: {}", running.finish(Duration::ZERO));
            }
            thread::park_timeout(Duration::from_millis(3));
        }
        Self { address, _running: running }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
