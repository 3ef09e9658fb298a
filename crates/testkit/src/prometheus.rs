//! A real Prometheus that scrapes one address, loads our alert rules, and is asked what it has seen.
//!
//! It keeps nothing after it is dropped. It knows no metric by name.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A Prometheus at work; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` each second as the job `closenotify`, and loads the rules of this file.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start.
    pub fn start(target: &str, rules: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let rules = rules.canonicalize().expect("the rules are there");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\nscrape_configs:\n- \
             job_name: closenotify\n  static_configs: [{{targets: [{target:?}]}}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("the folder is ours");
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus is in the Debian package `prometheus`; `cargo xtask peers` installs it");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr was asked to be a pipe")).lines();
        let mut seen = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let _ = writeln!(seen, "{line}");
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            Some(address.split_whitespace().next()?.to_owned())
        });
        // Read on, so that it never waits for us.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let address = address.unwrap_or_else(|| panic!("it does not say where it listens:\n{seen}"));
        Self { process, address, _folder: folder }
    }

    /// Waits until the query has a result, and returns the value of its first series.
    ///
    /// # Panics
    ///
    /// If it has none within [`LIMIT`].
    pub fn wait(&self, query: &str) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(&format!("/api/v1/query?query={}", encode(query)));
            if let Some(value) = answer["data"]["result"][0]["value"][1].as_str() {
                return value.to_owned();
            }
            assert!(start.elapsed() < LIMIT, "no result of {query}: {answer}");
            thread::yield_now();
        }
    }

    /// The names of the alert rules that it has loaded; to be asked once a query had a result.
    pub fn alerts(&self) -> Vec<String> {
        let answer = self.get("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().expect("there are groups");
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("a group has rules"));
        rules.map(|rule| rule["name"].as_str().expect("a rule has a name").to_owned()).collect()
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("the limit is not zero");
        // 1.0, so that the body is not sent in chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in time");
        let body = answer.split_once("\r\n\r\n").expect("it speaks HTTP").1;
        // Plain text while it starts.
        serde_json::from_str(body).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => encoded.push(byte.into()),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
        encoded
    })
}

/// How long any one wait may be.
pub const LIMIT: Duration = Duration::from_secs(60);
