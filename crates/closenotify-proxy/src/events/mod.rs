//! The log: one line for each session and each event, for people or for machines, through one queue and one thread.
//!
//! Reporting never waits and never fails: a log that cannot be written loses lines, and counts them. What is reported is
//! formatted by whoever reports it; the thread only writes.

#[cfg(test)]
mod documented;
mod endings;
mod entry;
mod event;
mod queue;
mod result;
mod style;
#[cfg(test)]
mod tests;
mod text;
mod throttle;
mod writer;

pub(crate) use endings::{DIRECTIONS, Received, Sent, SessionEndings, label};
pub(crate) use entry::Entry;
#[cfg(test)]
pub(crate) use event::tests as event_tests;
pub use event::{Event, Limit};
pub(crate) use queue::LineCounts;
pub use result::SessionResult;
pub(crate) use result::Stop;
pub(crate) use result::{EndedFirst, Phase};
pub(crate) use text::timestamp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::{error, fmt, io, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::{LogFormat, LogSettings};
use queue::Queue;
use style::Style;
use throttle::Throttle;
use writer::Sink;

/// Where everything is reported. Clones report to the same log; the last one dropped ends the thread that writes.
#[derive(Clone, Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    style: Arc<Style>,
    /// `None`: standard error.
    file: Option<PathBuf>,
    queue: Arc<Queue>,
    throttle: Throttle,
}

impl Events {
    /// Opens the log that the settings name: a file, appended to and created with mode 0640, or standard error.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which names the file and why it cannot be opened.
    pub fn open(settings: &LogSettings) -> Result<Self, OpenError> {
        let failed = |source| OpenError { path: settings.file.clone(), source };
        let sink = match &settings.file {
            Some(path) => Sink::file(path),
            None => Sink::stderr(),
        };
        Self::start(settings, sink.map_err(failed)?).map_err(failed)
    }

    fn start(settings: &LogSettings, sink: Sink) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let style = Arc::new(Style::new(settings));
        let (writes, written) = (Arc::clone(&queue), Arc::clone(&style));
        thread::Builder::new().name("log".into()).spawn(move || writer::run(writes, sink, &written))?;
        let shared = Shared { style, file: settings.file.clone(), queue, throttle: Throttle::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Writes what is reported from now on in the format of other settings, and skips their results. Their file is not opened:
    /// the log stays where it is.
    pub fn reconfigure(&self, settings: &LogSettings) {
        self.shared.style.set(settings);
    }

    /// Writes the line of a session, unless lines of its result are skipped.
    pub(crate) fn session(&self, entry: &Entry) {
        if self.shared.style.skips(entry.result()) {
            return;
        }
        self.shared.queue.push(match self.shared.style.format() {
            LogFormat::Text => entry.to_string(),
            LogFormat::Json => entry.to_json(),
        });
    }

    /// Writes the line of an event; of those that can go on happening, one a second. Returns whether a line was written (or
    /// lost).
    pub fn tell(&self, event: &Event) -> bool {
        let times = match event.throttled() {
            None => None,
            Some(kind) => match self.shared.throttle.admit(kind, Instant::now()) {
                None => return false,
                times => times,
            },
        };
        let now = SystemTime::now();
        self.shared.queue.push(match self.shared.style.format() {
            LogFormat::Text => event.to_text(now, times),
            LogFormat::Json => event.to_json(now, times),
        });
        true
    }

    /// From now on a panic of any thread of this process is an event, and is not printed to standard error, whose reader might
    /// stall.
    pub fn report_panics(&self) {
        let events = self.clone();
        std::panic::set_hook(Box::new(move |info| {
            let message = info.payload_as_str().unwrap_or("a panic without a message").to_owned();
            let location = info.location().map_or_else(String::new, ToString::to_string);
            events.tell(&Event::InternalError { message, location });
        }));
    }

    /// Opens the log file anew, and says so in it. If that fails the file that is open stays, and the line says why. Returns
    /// at once. Does nothing where the log goes to standard error.
    pub fn reopen(&self) {
        self.shared.queue.reopen();
    }

    /// Waits until everything that was reported is written. Waits at most `limit`, and not for a log that cannot be written
    /// now. Returns whether everything is written.
    ///
    /// It blocks the thread: it is for the end of the process.
    pub fn flush(&self, limit: Duration) -> bool {
        self.shared.queue.flush(limit)
    }

    /// As [`flush`](Self::flush), and says on standard error how many lines are not written, if any. It does not wait for the
    /// reader of standard error either.
    pub fn finish(&self, limit: Duration) {
        if self.flush(limit) {
            return;
        }
        let mut stderr = io::stderr();
        let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
        // A pipe that is ready takes a short line at once.
        let takes = matches!(poll(&mut ready, Some(&Timespec::default())), Ok(1..));
        if let (true, Some(line)) = (takes, self.unwritten()) {
            let _ = io::Write::write_all(&mut stderr, (line + "\n").as_bytes());
        }
    }

    /// That lines are not written, for the person who looks at how the process ended.
    fn unwritten(&self) -> Option<String> {
        let lines = self.shared.queue.unwritten();
        let to = self.shared.file.as_ref().map_or("standard error".into(), |file| file.display().to_string());
        let noun = if lines == 1 { "line" } else { "lines" };
        (lines > 0).then(|| {
            format!("{lines} log {noun} could not be written to {to}: its disk is full, or its reader does not read")
        })
    }

    /// How many lines were written and lost, and how many wait.
    pub(crate) fn lines(&self) -> LineCounts {
        self.shared.queue.counts()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Why the log cannot be opened.
#[derive(Debug)]
pub struct OpenError {
    path: Option<PathBuf>,
    source: io::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, source } = self;
        let Some(path) = path else { return write!(f, "cannot write the log to standard error: {source}") };
        write!(f, "cannot open the log file {}: {source}", path.display())?;
        match source.kind() {
            io::ErrorKind::NotFound => f.write_str("; create its directory, or change [log] file"),
            io::ErrorKind::PermissionDenied => {
                f.write_str("; give the user of this process the right to write it, or change [log] file")
            }
            io::ErrorKind::IsADirectory => f.write_str("; [log] file names a file, not a directory"),
            _ if source.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                f.write_str("; it is a named pipe that nobody reads: start its reader first")
            }
            _ => f.write_str("; change [log] file"),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}
