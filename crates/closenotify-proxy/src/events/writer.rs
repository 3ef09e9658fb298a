//! The one thread that writes the log, and where it writes to.
//!
//! Only this thread meets a reader that stalls, a disk that is full or a pipe that is closed. It keeps what it has and tries
//! again; the queue bounds what that costs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::event::Event;
use super::queue::{Item, Queue, Work};
use super::style::Style;
use crate::config::LogFormat;

/// Where lines go.
pub(super) struct Sink {
    pub(super) out: Box<dyn Out>,
    /// The file to open anew. `None`: it is not a file of ours.
    pub(super) path: Option<PathBuf>,
}

impl Sink {
    /// Standard error, through a descriptor of its own: whoever else prints there must not wait for our reader.
    pub(super) fn stderr() -> io::Result<Self> {
        let descriptor = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Self { out: Box::new(Descriptor::from(File::from(descriptor))), path: None })
    }

    /// The file at `path`: appended to, created with mode 0640.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { out: Box::new(Descriptor::open(path)?), path: Some(path.to_owned()) })
    }
}

/// What takes bytes.
pub(super) trait Out: Send {
    /// As [`Write::write`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// After [`WouldBlock`](io::ErrorKind::WouldBlock): waits until a write may succeed, at most `limit`.
    fn wait(&mut self, limit: Duration);

    /// Whether what is there already ends inside a line.
    fn ends_inside_a_line(&self) -> bool {
        false
    }
}

/// A file, a pipe, a terminal, a socket.
pub(super) struct Descriptor {
    file: File,
    inside_a_line: bool,
}

impl Descriptor {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(MODE);
        // A named pipe that nobody reads must be an error, not a wait.
        options.custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default());
        let file = options.open(path)?;
        let inside_a_line = file.metadata()?.is_file() && ends_inside_a_line(path).unwrap_or(false);
        Ok(Self { file, inside_a_line })
    }
}

impl From<File> for Descriptor {
    fn from(file: File) -> Self {
        Self { file, inside_a_line: false }
    }
}

impl Out for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn wait(&mut self, limit: Duration) {
        let limit = Timespec::try_from(limit).unwrap_or_default();
        // Whatever it returns, the next write says more.
        let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&limit));
    }

    fn ends_inside_a_line(&self) -> bool {
        self.inside_a_line
    }
}

/// Whether a process that died left half a line at the end of the file.
fn ends_inside_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Writes what comes through the queue until the queue is over.
pub(super) fn run(queue: Arc<Queue>, mut sink: Sink, style: &Style) {
    let mut chunk = Chunk::default();
    if sink.out.ends_inside_a_line() {
        chunk.text.push(b'\n');
    }
    loop {
        match queue.next() {
            Work::Over => return,
            Work::Reopen => reopen(&queue, &mut sink, &mut chunk, style),
            Work::Write(items) => {
                chunk.take(items, style);
                if !write(&queue, &mut sink, &mut chunk, style) {
                    return;
                }
            }
        }
    }
}

/// Writes the chunk; returns false when it cannot be written and nobody is left who minds.
fn write(queue: &Queue, sink: &mut Sink, chunk: &mut Chunk, style: &Style) -> bool {
    while !chunk.rest().is_empty() {
        match sink.out.write(chunk.rest()) {
            Ok(written @ 1..) => chunk.done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !queue.is_closed() => {
                sink.out.wait(RETRY);
                // Whoever flushes at the end of the process waits for a reader, but a reopen comes through.
                if queue.wants_reopen() {
                    reopen(queue, sink, chunk, style);
                }
            }
            Ok(0) | Err(_) => {
                if queue.is_closed() {
                    queue.gave_up(chunk.lines, chunk.bytes);
                    return false;
                }
                if queue.failed(RETRY) {
                    reopen(queue, sink, chunk, style);
                }
            }
        }
    }
    queue.written(chunk.lines, chunk.bytes, chunk.lost);
    *chunk = Chunk::default();
    true
}

/// Opens the log anew where it is a file; says how that went, in the file that is open then.
fn reopen(queue: &Queue, sink: &mut Sink, chunk: &mut Chunk, style: &Style) {
    let Some(path) = sink.path.clone() else { return };
    let event = match Sink::file(&path) {
        Ok(new) => {
            chunk.restart_line();
            if new.out.ends_inside_a_line() {
                chunk.insert("\n");
            }
            *sink = new;
            Event::LogReopened { path }
        }
        Err(error) => Event::LogReopenFailed { path, reason: error.to_string() },
    };
    queue.push(render(&event, style));
}

fn render(event: &Event, style: &Style) -> String {
    match style.format() {
        LogFormat::Text => event.to_text(SystemTime::now(), None),
        LogFormat::Json => event.to_json(SystemTime::now(), None),
    }
}

/// What is being written.
#[derive(Default)]
struct Chunk {
    text: Vec<u8>,
    /// So many bytes of it are written.
    done: usize,
    /// What the queue counts of it.
    lines: usize,
    bytes: usize,
    /// So many lines it reports as lost.
    lost: u64,
}

impl Chunk {
    fn take(&mut self, items: Vec<Item>, style: &Style) {
        for item in items {
            match item {
                Item::Line(line) => {
                    self.lines += 1;
                    self.bytes += line.len();
                    self.text.extend(line.into_bytes());
                }
                Item::Lost(lines) => {
                    self.lost += lines;
                    self.text.extend(render(&Event::LinesLost { lines }, style).into_bytes());
                    self.text.push(b'\n');
                }
            }
        }
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.done..]
    }

    /// Goes back to the beginning of a line that is half written: its other half would go elsewhere.
    fn restart_line(&mut self) {
        let written = &self.text[..self.done];
        self.done = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    }

    /// Puts text before what is not yet written.
    fn insert(&mut self, text: &str) {
        self.text.splice(self.done..self.done, text.bytes());
    }
}

/// The mode of a log file that is created: for its owner, and a group that reads logs.
const MODE: u32 = 0o640;

/// How soon a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);
