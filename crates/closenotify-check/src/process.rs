//! The subject's processes: started from a command with places to fill in, watched for what they ask of the processors, and stopped
//! with all their children.
//!
//! A command is run as it is, without a shell. What it writes goes to files that are shown when it dies.

use crate::error::CheckError;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A command line with places to fill in: `{addr}`, `{cert}` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<String>);

impl Template {
    /// A command and its arguments.
    ///
    /// # Errors
    ///
    /// When there is no command.
    pub fn new(words: Vec<String>) -> Result<Self, CheckError> {
        match words.first() {
            Some(command) if !command.is_empty() => Ok(Self(words)),
            _ => Err(CheckError::new(crate::error::CheckErrorKind::Usage, "no command after --")),
        }
    }

    /// The words with the places filled in.
    ///
    /// # Errors
    ///
    /// When a place in braces is none of those that are known.
    pub fn fill(&self, places: &[(&str, &str)]) -> Result<Vec<String>, CheckError> {
        self.0.iter().map(|word| fill(word, places)).collect()
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Fills in one word. Braces around anything but a lower-case name are left as they are, for commands that use them.
fn fill(word: &str, places: &[(&str, &str)]) -> Result<String, CheckError> {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        match behind.split_once('}') {
            Some((name, after)) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                let Some((_, value)) = places.iter().find(|(known, _)| *known == name) else {
                    let known: Vec<_> = places.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                    let message =
                        format!("the command has {{{name}}}, which is not known here; use {}", known.join(", "));
                    return Err(CheckError::new(crate::error::CheckErrorKind::Usage, message));
                };
                filled.push_str(value);
                rest = after;
            }
            _ => {
                filled.push('{');
                rest = behind;
            }
        }
    }
    Ok(filled + rest)
}

/// A process that the checker started, with its children. Dropping it kills them all.
#[derive(Debug)]
pub struct Started {
    child: Child,
    id: u32,
    stdout: File,
    stderr: File,
    command: String,
}

impl Started {
    /// Starts a command in a process group of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn new(words: &[String]) -> Result<Self, CheckError> {
        let command = words.join(" ");
        let failed = |error: std::io::Error| CheckError::subject(format!("cannot run `{command}`: {error}"));
        let stdout = tempfile::tempfile().map_err(failed)?;
        let stderr = tempfile::tempfile().map_err(failed)?;
        let (first, rest) = words.split_first().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
        let child = Command::new(first)
            .args(rest)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().map_err(failed)?)
            .stderr(stderr.try_clone().map_err(failed)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let id = child.id().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        Ok(Self { child, id, stdout, stderr, command })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits until it listens at `addr`.
    ///
    /// # Errors
    ///
    /// When it dies first, or does not listen within `timeout`.
    pub async fn listens(&mut self, addr: SocketAddr, timeout: Duration) -> Result<(), CheckError> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            if let Some(status) = self.ended()? {
                let said = self.said();
                return Err(CheckError::subject(format!(
                    "`{}` ended ({status}) before it listened on {addr}{said}",
                    self.command
                )));
            }
            if let Ok(Ok(_)) = tokio::time::timeout(POLL * 5, TcpStream::connect(addr)).await {
                // Whoever holds the port may be someone else while ours is about to die over it.
                tokio::time::sleep(POLL).await;
                if self.ended()?.is_none() {
                    return Ok(());
                }
                continue;
            }
            if tokio::time::Instant::now() >= deadline {
                let said = self.said();
                return Err(CheckError::subject(format!(
                    "`{}` does not listen on {addr} after {}{said}",
                    self.command,
                    humantime::format_duration(timeout)
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, CheckError> {
        self.child
            .try_wait()
            .map_err(|error| CheckError::system(format!("cannot wait for `{}`: {error}", self.command)))
    }

    /// Waits for its end; `None` when `timeout` came first.
    pub async fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(timeout, self.child.wait()).await.ok().and_then(Result::ok)
    }

    /// What it wrote to standard output so far, at most 64 MiB.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        written(&self.stdout)
    }

    /// Ends it and all its children: politely, then not.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        if self.wait(TERM_TIME).await.is_none() {
            self.signal(Signal::KILL);
            let _ = self.wait(TERM_TIME).await;
        }
        self.signal(Signal::KILL);
    }

    /// Its last lines on standard error, or on standard output where it has none, as an addition to a message.
    pub(crate) fn said(&self) -> String {
        let output = [&self.stderr, &self.stdout].into_iter().map(written).find(|output| !output.is_empty());
        let output = output.unwrap_or_default();
        let text = String::from_utf8_lossy(&output);
        let lines: Vec<_> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n  ");
        if last.is_empty() { "; it said nothing".to_owned() } else { format!("; it said:\n  {last}") }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
            // Who is gone needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// What is in a file, from its beginning.
fn written(file: &File) -> Vec<u8> {
    let mut output = Vec::new();
    if let Ok(mut file) = file.try_clone()
        && file.rewind().is_ok()
    {
        // What cannot be read is not shown.
        let _ = file.take(OUTPUT_MAX).read_to_end(&mut output);
    }
    output
}

/// What a process and all its descendants have asked of the processors since they were started: the time that they ran, and
/// the time that they could have run and waited for a processor.
///
/// A process that spins asks for all the time there is, however busy the machine is with others.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The time that they ran, those threads included that have ended.
    ran: Duration,
    /// The time that each thread ran or waited to.
    asked: HashMap<u32, Duration>,
}

impl Demand {
    /// Of a process; `None` when there is no such process.
    #[must_use]
    pub fn of(id: u32) -> Option<Self> {
        let mut processes: HashMap<u32, (u32, u64)> = HashMap::new();
        for process in numbers("/proc") {
            if let Some(stat) = fs::read_to_string(format!("/proc/{process}/stat")).ok().as_deref().and_then(parse_stat)
            {
                processes.insert(process, stat);
            }
        }
        let (_, mut ticks) = *processes.get(&id)?;
        let mut family = vec![id];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            next += 1;
            for (child, (of, taken)) in &processes {
                if *of == parent && !family.contains(child) {
                    family.push(*child);
                    ticks += taken;
                }
            }
        }
        let ran = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        let mut asked = HashMap::new();
        for process in family {
            for thread in numbers(&format!("/proc/{process}/task")) {
                let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat"));
                if let Some(time) = text.ok().as_deref().and_then(parse_schedstat) {
                    asked.insert(thread, time);
                }
            }
        }
        Some(Self { ran, asked })
    }

    /// What was asked since an earlier look. Where the kernel does not tell how long a thread waited, the time that it ran.
    #[must_use]
    pub fn since(&self, before: &Self) -> Duration {
        let asked: Duration = self
            .asked
            .iter()
            .map(|(thread, now)| now.saturating_sub(before.asked.get(thread).copied().unwrap_or_default()))
            .sum();
        asked.max(self.ran.saturating_sub(before.ran))
    }
}

/// How much a process asks for in a window of time in which it should be at rest, and how long that window was; `None` when it
/// is gone.
///
/// It is the quietest of several windows: what a process still has to do, however long that takes on a busy machine, is no
/// spin, and a process that spins is quiet in none.
pub async fn at_rest(id: u32, window: Duration) -> Option<(Duration, Duration)> {
    tokio::time::sleep(SETTLE).await;
    let mut quietest: Option<(Duration, Duration)> = None;
    for _ in 0..WINDOWS {
        let before = Demand::of(id)?;
        let start = Instant::now();
        tokio::time::sleep(window).await;
        let seen = (Demand::of(id)?.since(&before), start.elapsed());
        let part = |(asked, of): (Duration, Duration)| asked.as_secs_f64() / of.as_secs_f64();
        if quietest.is_none_or(|quietest| part(seen) < part(quietest)) {
            quietest = Some(seen);
        }
        if seen.0 * QUIET < seen.1 {
            break;
        }
    }
    quietest
}

/// The entries of a folder that are numbers.
fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The nanoseconds that a thread ran and waited to, of `/proc/PID/task/TID/schedstat`.
fn parse_schedstat(text: &str) -> Option<Duration> {
    let mut fields = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(Duration::from_nanos(ran.saturating_add(waited)))
}

/// The parent and the ticks of a line of `/proc/PID/stat`. The name in it may hold anything, so counting begins behind it.
fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = behind.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)?))
}

const POLL: Duration = Duration::from_millis(20);
const TERM_TIME: Duration = Duration::from_secs(2);
/// For what the steps of a case cost by themselves.
const SETTLE: Duration = Duration::from_millis(100);
/// So many windows are looked at before a process is said to spin.
const WINDOWS: u32 = 8;
/// A window in which less than one part in so many was asked for is quiet for sure.
const QUIET: u32 = 10;
const OUTPUT_MAX: u64 = 64 * 1024 * 1024;
const LINES_SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_unknown_ones_are_named() {
        let places = [("addr", "127.0.0.1:1"), ("port", "1")];
        assert_eq!(fill("--listen={addr}:{port}", &places).as_deref(), Ok("--listen=127.0.0.1:1:1"));
        assert_eq!(fill("{ return; } {A} {}", &places).as_deref(), Ok("{ return; } {A} {}"));
        let error = fill("{adr}", &places).expect_err("it is unknown");
        assert_eq!(error.message, "the command has {adr}, which is not known here; use {addr}, {port}");
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse_the_count() {
        let stat = "12 (a ) b) S 7 1 1 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 1 1 1";
        assert_eq!(parse_stat(stat), Some((7, 42)));
    }

    #[tokio::test]
    async fn what_children_ask_of_the_processors_is_counted() {
        let words = ["sh", "-c", "sh -c 'while :; do :; done' & wait"].map(str::to_owned);
        let started = Started::new(&words).expect("there is a shell");
        let spun = async {
            let before = Demand::of(started.id()).expect("it runs");
            while Demand::of(started.id()).expect("it runs").since(&before) < Duration::from_millis(50) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), spun).await.expect("the child of the child burns CPU time");
        let id = started.id();
        started.stop().await;
        assert!(Demand::of(id).is_none());
    }

    #[test]
    fn what_a_thread_waited_for_counts_as_asked() {
        assert_eq!(parse_schedstat("1000 2000 7\n"), Some(Duration::from_nanos(3000)));
        assert_eq!(parse_schedstat("1000"), None);
        let look = |asked: &[(u32, u64)], ran| Demand {
            ran: Duration::from_millis(ran),
            asked: asked.iter().map(|(thread, time)| (*thread, Duration::from_millis(*time))).collect(),
        };
        // A thread that ended, one that went on, one that is new.
        let (before, after) = (look(&[(1, 50), (2, 10)], 60), look(&[(2, 30), (3, 5)], 70));
        assert_eq!(after.since(&before), Duration::from_millis(25));
        // Where threads are not told, the time that they ran stands.
        assert_eq!(look(&[], 70).since(&look(&[], 60)), Duration::from_millis(10));
    }

    #[tokio::test]
    async fn what_is_busy_only_for_a_while_does_not_spin() {
        // About a second of work, and then none.
        let work = "at=0; while [ $at -lt 600000 ]; do at=$((at + 1)); done; exec sleep 60";
        let words = ["sh", "-c", work].map(str::to_owned);
        let started = Started::new(&words).expect("there is a shell");
        let (asked, of) = at_rest(started.id(), Duration::from_secs(2)).await.expect("it runs");
        started.stop().await;
        assert!(asked * QUIET < of, "{asked:?} in {of:?}");
    }

    #[tokio::test]
    async fn what_spins_is_at_rest_in_no_window() {
        let words = ["sh", "-c", "while :; do :; done"].map(str::to_owned);
        let started = Started::new(&words).expect("there is a shell");
        let (asked, of) = at_rest(started.id(), Duration::from_millis(100)).await.expect("it runs");
        started.stop().await;
        assert!(asked * 3 > of, "{asked:?} in {of:?}");
    }

    #[tokio::test]
    async fn a_command_that_dies_is_told_with_what_it_said() {
        let words = ["sh", "-c", "echo no such certificate >&2; exit 3"].map(str::to_owned);
        let mut started = Started::new(&words).expect("there is a shell");
        let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let error = started.listens(nobody, Duration::from_secs(30)).await.expect_err("it never listens");
        assert!(error.message.contains("exit status: 3"), "{error}");
        assert!(error.message.contains("no such certificate"), "{error}");
    }
}
