//! The README's commands, run as a reader would run them.
//!
//! The demo is started, the curl line that it prints is run as it is, and SIGTERM must end it with exit code 0.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::shell::{self, Failure, Outcome, cargo};

/// Checks that the README names its two commands, then runs the first; the second is `cargo xtask test`.
pub(crate) fn run() -> Outcome {
    let readme = shell::root().join("README.md");
    let text = fs::read_to_string(&readme)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", readme.display())))?;
    for command in COMMANDS {
        if !text.contains(command) {
            return Err(Failure::new(format!("README.md does not say `{command}`")));
        }
    }
    // Built first, so that the limits below are those of the demo and not of the compiler.
    shell::run(cargo(&["build", "--release", "--locked"]))?;
    let arguments = ["run", "--release", "--locked", "--", "proxy", "--demo", "--listen", "127.0.0.1:0"];
    println!("$ cargo {}", arguments.join(" "));
    let mut demo = Demo::start(cargo(&arguments))?;
    let line = demo.curl_line()?;
    let page = curl(&line, ON_THE_PAGE)?;
    println!("readme: 200 and a page of {} bytes", page.len());
    demo.end_by("TERM")?;
    println!("readme: SIGTERM ended the demo with exit code 0");
    Ok(())
}

/// A running demo, or an example that serves as it does; killed when dropped.
pub(crate) struct Demo {
    child: Child,
    lines: Receiver<String>,
}

impl Demo {
    /// Starts `command`, whose process must be the demo itself: `cargo run` becomes what it runs.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| Failure::new(format!("the demo cannot be started: {error}")))?;
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let (say, lines) = mpsc::channel();
        // Reads to the end, so that the demo never writes into a closed pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("demo: {line}");
                let _ = say.send(line);
            }
        });
        Ok(Self { child, lines })
    }

    /// The line to paste, once the demo has printed it.
    pub(crate) fn curl_line(&self) -> Outcome<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|_| {
                Failure::new(format!("the demo ended, or {LIMIT:?} passed, without a line that starts with `curl `"))
            })?;
            if line.trim().starts_with("curl ") {
                return Ok(line.trim().to_owned());
            }
        }
    }

    /// This signal, `TERM` or `INT`, and exit code 0 within the limit.
    pub(crate) fn end_by(&mut self, signal: &str) -> Outcome {
        let pid = self.child.id().to_string();
        shell::run(shell::command("kill", &[&format!("-{signal}"), &pid]))?;
        self.ended(&format!("on SIG{signal}"))
    }

    /// Its end with exit code 0, within the limit.
    pub(crate) fn ended(&mut self, when: &str) -> Outcome {
        match shell::wait(&mut self.child, LIMIT)? {
            None => Err(Failure::new(format!("the demo did not end within {LIMIT:?} {when}"))),
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                Err(Failure::new(format!("the demo was to end with exit code 0 {when}, and did with: {status}")))
            }
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only on a process that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `line` as it is; its page, if the answer is 200 and says `on_the_page`.
///
/// What the line does not say comes from a configuration file: the status behind the page, and a limit of time.
pub(crate) fn curl(line: &str, on_the_page: &str) -> Outcome<String> {
    println!("$ {line}");
    let home = CurlHome::new()?;
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(shell::root());
    command.env("CURL_HOME", &home.0).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Failure::new(format!("`sh` cannot be started: {error}")))?;
    let mut stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).map(|_| all)
    });
    let status = shell::wait(&mut child, LIMIT)?;
    match status {
        None => return Err(Failure::new(format!("`{line}` did not end within {LIMIT:?}"))),
        Some(status) if !status.success() => return Err(Failure::new(format!("`{line}` failed: {status}"))),
        Some(_) => {}
    }
    let said = reader
        .join()
        .expect("reading a pipe does not panic")
        .map_err(|error| Failure::new(format!("the output of `{line}` cannot be read: {error}")))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let Some((page, code)) = said.rsplit_once(STATUS_MARK) else {
        return Err(Failure::new(format!("`{line}` did not say the status of its answer:\n{said}")));
    };
    if code.trim() != "200" {
        return Err(Failure::new(format!("`{line}` was answered with {}:\n{page}", code.trim())));
    }
    if !page.contains(on_the_page) {
        return Err(Failure::new(format!("the page of `{line}` does not say `{on_the_page}`:\n{page}")));
    }
    Ok(page.to_owned())
}

/// A folder with a `.curlrc`; goes when dropped.
struct CurlHome(PathBuf);

impl CurlHome {
    fn new() -> Outcome<Self> {
        // Two in one process are told apart by the thread.
        let name = format!("closenotify-readme-{}-{:?}", std::process::id(), thread::current().id());
        let folder = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        let failed = |error| Failure::new(format!("{} cannot be written: {error}", folder.display()));
        fs::create_dir_all(&folder).map_err(failed)?;
        let settings = format!("silent\nshow-error\nmax-time = 20\nwrite-out = \"{STATUS_MARK}%{{http_code}}\"\n");
        fs::write(folder.join(".curlrc"), settings).map_err(failed)?;
        Ok(Self(folder))
    }
}

impl Drop for CurlHome {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const COMMANDS: [&str; 2] = ["cargo run --release -- proxy --demo", "cargo xtask test"];

const ON_THE_PAGE: &str = "closenotify";

const STATUS_MARK: &str = "|http-status|";

/// For the demo's first line, for the answer, and for the end after SIGTERM, each.
const LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::{Demo, curl};
    use crate::shell::command;

    /// Runs a curl line against a server that gives one answer.
    fn answered(status: &str, page: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("curl connects");
            let mut request = [0; 4096];
            assert!(socket.read(&mut request).is_ok_and(|n| n > 0), "curl sends a request");
            socket.write_all(format!("{head}{page}").as_bytes()).expect("curl reads");
        });
        let page = curl(&format!("curl http://{address}/"), "closenotify").map_err(|failure| failure.to_string());
        server.join().expect("the server does not panic");
        page
    }

    fn shell_demo(script: &str) -> Demo {
        Demo::start(command("sh", &["-c", script])).expect("there is a shell")
    }

    #[test]
    fn page_is_taken_with_status_200_only() {
        assert_eq!(answered("200 OK", "closenotify\n").as_deref(), Ok("closenotify\n"));
        let failed = answered("404 Not Found", "closenotify").expect_err("404 is refused");
        assert!(failed.contains("answered with 404"), "{failed}");
        let failed = answered("200 OK", "something else").expect_err("a page of another is refused");
        assert!(failed.contains("does not say"), "{failed}");
    }

    #[test]
    fn curl_that_fails_is_a_failure() {
        // Port 1 is kept for a service that nobody runs, and the kernel never gives it away.
        let failed = curl("curl http://127.0.0.1:1/", "").expect_err("nobody listens").to_string();
        assert!(failed.contains("exit status: 7"), "{failed}");
    }

    #[test]
    fn demo_says_its_line_and_ends_on_sigterm() {
        let loops = "while :; do sleep 0.05; done";
        let mut demo = shell_demo(&format!("trap 'exit 0' TERM; echo listening; echo ' curl -k x'; {loops}"));
        assert_eq!(demo.curl_line().expect("it is printed"), "curl -k x");
        demo.end_by("TERM").expect("it ends with 0");

        let mut demo = shell_demo(&format!("trap 'exit 4' TERM; echo curl x; {loops}"));
        demo.curl_line().expect("it is printed");
        let failed = demo.end_by("TERM").expect_err("4 is not 0").to_string();
        assert!(failed.contains("exit status: 4"), "{failed}");
    }

    #[test]
    fn demo_that_ends_without_its_line_is_a_failure() {
        let failed = shell_demo("echo listening").curl_line().expect_err("there is no line").to_string();
        assert!(failed.contains("without a line that starts with `curl `"), "{failed}");
    }
}
