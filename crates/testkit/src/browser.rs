//! Chromium, driven as a person would use it: through ChromeDriver, by the W3C WebDriver protocol.
//!
//! It knows no page. What a test waits for is asked until it is there, and fails after [`LIMIT`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A browser with one window; killed when dropped. There is one at a time in a process: each takes several cores.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _only: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts one with a window of this size. `dark`: its user prefers dark pages.
    ///
    /// # Panics
    ///
    /// If Chromium or ChromeDriver is not installed, or does not start.
    pub fn start(width: u32, height: u32, dark: bool) -> Self {
        let only = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is in the Debian package `chromium-driver`; `cargo xtask peers` installs it");
        let stdout = driver.stdout.take().expect("stdout was asked to be a pipe");
        let port = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .expect("ChromeDriver says on which port it was started");
        let mut browser = Self { driver, port, session: String::new(), _only: only };
        let mut arguments = FLAGS.to_vec();
        let size = format!("--window-size={width},{height}");
        arguments.push(&size);
        if dark {
            arguments.push("--blink-settings=preferredColorScheme=0");
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
        }}});
        let made = browser.call("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().expect("a session has an id").to_owned();
        browser
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// Makes the page as wide and high as a device of this size, whatever the window may be.
    pub fn resize(&self, width: u32, height: u32, scale: f64) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.command("goog/cdp/execute", &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}));
    }

    /// Runs a script in the page, and returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until a script returns something other than null and false, and returns that.
    ///
    /// # Panics
    ///
    /// If it does not within [`LIMIT`].
    pub fn wait(&self, script: &str) -> Value {
        let start = Instant::now();
        loop {
            let value = self.run(script);
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            assert!(start.elapsed() < LIMIT, "never: {script}\n{}", self.run("return document.body.innerText"));
        }
    }

    /// Clicks where the first element is that the selector finds; fails if something covers it.
    pub fn click(&self, selector: &str) {
        let found = self.command("element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().and_then(|found| found.values().next()?.as_str()).expect("elements have an id");
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    /// Writes what the window shows as PNG.
    pub fn screenshot(&self, path: &Path) {
        let shot = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        std::fs::write(path, decode(shot.as_str().expect("a screenshot is base64"))).expect("the folder is there");
    }

    fn command(&self, command: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}/{command}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("ChromeDriver listens");
        stream.set_read_timeout(Some(LIMIT)).expect("the limit is not zero");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("ChromeDriver reads");
        let body = read_body(stream).expect("ChromeDriver answers in time");
        let shown = || panic!("not JSON: {}", String::from_utf8_lossy(&body));
        let mut value: Value = serde_json::from_slice(&body).unwrap_or_else(|_| shown());
        let value = value["value"].take();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium too, which is a process of its own. A test that fails must not fail again here.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(LIMIT));
            let path = format!("/session/{}", self.session);
            let _ = write!(stream, "DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
            let _ = read_body(stream);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Reads the body of a response. It ends where its length says: ChromeDriver keeps connections open.
fn read_body(stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Decodes base64 with padding; RFC 4648, section 4.
fn decode(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("not base64: {other}"),
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let letters: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    for group in letters.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, letter| bits << 6 | u32::from(*letter)) << (6 * (4 - group.len()));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

static ONE: Mutex<()> = Mutex::new(());

/// How long any one wait may be.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Without a window, a sandbox (the tests may run as root) or anything that talks to the network by itself.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
];

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn base64_is_decoded_at_every_length() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmE=", b"fooba"),
            ("/+8=", &[255, 239]),
        ] {
            assert_eq!(decode(text), bytes);
        }
    }
}
