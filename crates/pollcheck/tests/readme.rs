//! The README's report is the one that its example prints.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

struct Polite {
    io: pollcheck::Transport,
    early: Vec<u8>,
}

impl AsyncRead for Polite {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..n]);
        self.early.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Polite {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut memory = [0; 64];
        let mut buf = ReadBuf::new(&mut memory);
        if Pin::new(&mut self.io).poll_read(cx, &mut buf)?.is_ready() {
            // registers the writer as the reader
            self.early.extend_from_slice(buf.filled());
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[test]
fn readme_shows_the_report_of_its_example() {
    let report = pollcheck::check(|io| Polite { io, early: Vec::new() }).to_string();
    let readme = include_str!("../README.md");
    assert!(readme.contains(report.trim_end()), "README.md should show:\n{report}");
}
