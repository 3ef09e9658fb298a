//! The frame of a faulty stream: a right wrapper, but for what its fault does otherwise.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use pollcheck::{Check, Report, Rule, Transport, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Each method of a stream over its transport; what is not overridden is right.
pub(crate) trait Fault: Default + Unpin + 'static {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        io.poll_read(cx, buf)
    }

    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        io.poll_write(cx, bytes)
    }

    fn flush(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_flush(cx)
    }

    fn shutdown(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_shutdown(cx)
    }

    fn claims_vectored(&self) -> bool {
        false
    }
}

pub(crate) type Io<'a> = Pin<&'a mut Transport>;

/// A stream with a fault.
pub(crate) struct Faulty<F> {
    io: Transport,
    fault: F,
}

impl<F: Fault> Faulty<F> {
    pub(crate) fn new(io: Transport) -> Self {
        Self { io, fault: F::default() }
    }
}

impl<F: Fault> AsyncRead for Faulty<F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.fault.read(Pin::new(&mut this.io), cx, buf)
    }
}

impl<F: Fault> AsyncWrite for Faulty<F> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.fault.write(Pin::new(&mut this.io), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.fault.flush(Pin::new(&mut this.io), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.fault.shutdown(Pin::new(&mut this.io), cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &**slice);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.fault.claims_vectored()
    }
}

/// Asserts that a stream with this fault breaks `rule` and no other, as a wrapper and as a pair, and that the report is
/// short enough to read.
pub(crate) fn caught<F: Fault>(rule: Rule) {
    let report = pollcheck::check(Faulty::<F>::new);
    assert_eq!(broken(&report), [rule], "{report}");
    assert!(report.unused_faults().is_empty(), "{:?}", report.unused_faults());
    let text = report.to_string();
    assert!(text.contains(rule.sentence()) && text.lines().count() < 60, "{text}");

    let pair = |left, right| (Faulty::<F>::new(left), Faulty::<F>::new(right));
    let report = Check::new().depth(2).deviations(30).random_runs(10).pair(pair);
    assert_eq!(broken(&report), [rule], "as a pair: {report}");
}

fn broken(report: &Report) -> Vec<Rule> {
    report.violations().iter().map(Violation::rule).collect()
}

/// A list of faulty streams with the rule that each breaks: one test each, and `SHOWN`.
macro_rules! gallery {
    ($($test:ident: $fault:ty => $rule:ident;)*) => {
        pub(crate) const SHOWN: &[pollcheck::Rule] = &[$(pollcheck::Rule::$rule,)*];

        $(
            #[test]
            fn $test() {
                crate::faulty::caught::<$fault>(pollcheck::Rule::$rule);
            }
        )*
    };
}

pub(crate) use gallery;
