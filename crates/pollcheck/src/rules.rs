//! The rules of the poll contract, each with its id, the sentence it rests on, and its page.
//!
//! A rule here is a name and its reasons. How a breach is seen is written where it is seen, in `world` and in the
//! scenarios; `docs/rules.md` explains each rule to the author of a stream that broke it.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $source:ident, $sentence:literal;)*) => {
        /// A rule of the poll contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule, in the order of `docs/rules.md`.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The rule's name in words, such as `lost-wake`; stable between versions.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The sentence of the documentation that the rule rests on, word for word.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }

            /// Whose sentence it is, such as `tokio::io::AsyncRead::poll_read`.
            #[must_use]
            pub fn source(self) -> &'static str {
                match self { $(Self::$name => $source,)* }
            }
        }
    };
}

rules! {
    /// `Pending`, and nobody kept the waker of that poll.
    PendingWithoutWaker = "pending-without-waker", READ,
        "If no data is available for reading, the method returns `Poll::Pending` and arranges for the current task \
         (via `cx.waker()`) to receive a notification when the object becomes readable or is closed.";
    /// The waker was kept, the operation became possible, and nobody woke.
    LostWake = "lost-wake", READ_TRAIT,
        "Most importantly, the current future's task is scheduled to get unparked when the object is readable.";
    /// The waker of an earlier poll was woken, or kept, in place of the last one.
    StaleWake = "stale-wake", FUTURE,
        "Note that on multiple calls to `poll`, only the `Waker` from the `Context` passed to the most recent call \
         should be scheduled to receive a wakeup.";
    /// The stream woke the task that was polling it and moved nothing.
    SelfWake = "self-wake", FUTURE,
        "The `poll` function is not called repeatedly in a tight loop -- instead, it should only be called when the \
         future indicates that it is ready to make progress (by calling `wake()`).";
    /// The stream wakes a task again and again for nothing.
    WastedPolls = "wasted-polls", FUTURE,
        "The `poll` function is not called repeatedly in a tight loop -- instead, it should only be called when the \
         future indicates that it is ready to make progress (by calling `wake()`).";
    /// One poll that goes on calling its transport without end.
    PollDoesNotReturn = "poll-does-not-return", FUTURE,
        "An implementation of `poll` should strive to return quickly, and should not block.";
    /// `Pending` for ever, although everything that it can wait for has happened.
    NeverReady = "never-ready", READ_TRAIT,
        "The I/O object is not currently readable but may become readable in the future.";
    /// `Ready` with no byte, though the peer has not ended.
    EmptyReadBeforeEnd = "empty-read-before-end", READ,
        "If no data was read (`buf.filled().len()` is unchanged), it implies that EOF has been reached, or the output \
         buffer had zero capacity (i.e. `buf.remaining()` == 0).";
    /// The end, and then something else.
    EndDoesNotStay = "end-does-not-stay", READ,
        "If no data was read (`buf.filled().len()` is unchanged), it implies that EOF has been reached, or the output \
         buffer had zero capacity (i.e. `buf.remaining()` == 0).";
    /// The peer has ended and reading never says so.
    EndUnnoticed = "end-unnoticed", READ,
        "[…] arranges for the current task (via `cx.waker()`) to receive a notification when the object becomes \
         readable or is closed.";
    /// The peer is gone and writing never says so.
    GonePeerUnnoticed = "gone-peer-unnoticed", WRITE,
        "If the object is not ready for writing, the method returns `Poll::Pending` and arranges for the current task \
         (via `cx.waker()`) to receive a notification when the object becomes writable or is closed.";
    /// The end is told while bytes that came before it are still inside.
    EndBeforeBufferedBytes = "end-before-buffered-bytes", READ,
        "If no data was read (`buf.filled().len()` is unchanged), it implies that EOF has been reached, or the output \
         buffer had zero capacity (i.e. `buf.remaining()` == 0).";
    /// The transport failed, or reading told another error, and then reading tells an orderly end.
    ErrorBecomesEnd = "error-becomes-end", READ_TRAIT,
        "`Poll::Ready(Err(e))` for other errors are standard I/O errors coming from the underlying object.";
    /// The transport failed to write and everybody was told that all went well.
    WriteErrorSwallowed = "write-error-swallowed", WRITE_TRAIT,
        "`Poll::Ready(Err(e))` for other errors are standard I/O errors coming from the underlying object.";
    /// An error though nothing failed.
    ErrorFromNothing = "error-from-nothing", WRITE_TRAIT,
        "`Poll::Ready(Err(e))` for other errors are standard I/O errors coming from the underlying object.";
    /// `WouldBlock` handed to an async caller.
    WouldBlockLeaked = "would-block-leaked", READ_TRAIT,
        "[…] the `poll_read` method, unlike `Read::read`, will automatically queue the current task for wakeup and \
         return if data is not yet available, rather than blocking the calling thread.";
    /// `Pending`, with bytes in the buffer.
    PendingWithBytes = "pending-with-bytes", READ_TRAIT,
        "`Poll::Pending` means that no data was read into the buffer provided.";
    /// Bytes that were in the buffer before the read are changed.
    FilledPartTouched = "filled-part-touched", READ,
        "On success, returns `Poll::Ready(Ok(()))` and places data in the unfilled portion of `buf`.";
    /// `Ok(0)` for a write of something.
    ZeroWrite = "zero-write", WRITE,
        "A return value of `0` typically means that the underlying object is no longer able to accept bytes and will \
         likely not be able to in the future as well, or that the buffer provided is empty.";
    /// More bytes reported than were offered.
    WriteOvercount = "write-overcount", WRITE,
        "If successful, then it must be guaranteed that `n <= buf.len()`.";
    /// Bytes lost, doubled or reordered.
    BytesAltered = "bytes-altered", WRITE_TRAIT,
        "`Poll::Ready(Ok(n))` means that `n` bytes of data was immediately written.";
    /// Bytes lost, doubled or reordered because a future was dropped.
    BytesAlteredByDrop = "bytes-altered-by-drop", WRITE_TRAIT,
        "`Poll::Pending` means that no data was written from the buffer provided.";
    /// The flush is done and the bytes are still inside.
    FlushWithBytesInside = "flush-with-bytes-inside", FLUSH,
        "Attempts to flush the object, ensuring that any buffered data reach their destination.";
    /// Flushed bytes arrived at the stream, the reader waits for them, and they are held back.
    HeldBack = "held-back", READ_TRAIT,
        "`Poll::Ready(Ok(()))` means that data was immediately read and placed into the output buffer.";
    /// The shutdown is done and what was written before it never left.
    ShutdownWithoutFlush = "shutdown-without-flush", SHUTDOWN,
        "They can rely that by calling `shutdown` any pending buffered data will be written out.";
    /// The shutdown is done and the transport was never shut down.
    ShutdownNotForwarded = "shutdown-not-forwarded", SHUTDOWN,
        "After your wrapper's shutdown logic has been executed you should shut down the underlying stream.";
    /// A second shutdown does something else than the first had done.
    ShutdownNotIdempotent = "shutdown-not-idempotent", SHUTDOWN,
        "`Poll::Ready(Ok(()))` - indicates that the connection was successfully shut down and is now safe to \
         deallocate/drop/close resources associated with it.";
    /// A write after the shutdown succeeds, and so does the flush behind it.
    WriteAfterShutdown = "write-after-shutdown", SHUTDOWN,
        "Additionally this method may also render the underlying `Write::write` method no longer usable (e.g. will \
         return errors in the future).";
    /// Shutting the writer down ends the reading.
    ReadingEndsWithShutdown = "reading-ends-with-shutdown", SHUTDOWN,
        "Initiates or attempts to shut down this writer, returning success when the I/O connection has completely \
         shut down.";
    /// A poll of the writing half took the reader's waker away.
    ReadWakerLost = "read-waker-lost", READ_TRAIT,
        "This means that like `Future::poll` you'll receive a notification when the I/O object is readable again.";
    /// A poll of the reading half took the writer's waker away.
    WriteWakerLost = "write-waker-lost", WRITE_TRAIT,
        "This means that like `Future::poll` you'll receive a notification when the I/O object is writable again.";
    /// One half stands still while the other is blocked.
    DuplexStall = "duplex-stall", READ_TRAIT,
        "`Poll::Ready(Ok(()))` means that data was immediately read and placed into the output buffer.";
    /// The stream says that it writes vectored, and only ever takes the first slice.
    VectoredFirstSliceOnly = "vectored-first-slice-only", VECTORED,
        "Determines if this writer has an efficient `poll_write_vectored` implementation.";
    /// An empty buffer is taken for the end, for an error, or for data.
    EmptyBufferMishandled = "empty-buffer-mishandled", READ,
        "If no data was read (`buf.filled().len()` is unchanged), it implies that EOF has been reached, or the output \
         buffer had zero capacity (i.e. `buf.remaining()` == 0).";
    /// The stream panicked.
    Panicked = "panicked", READ_TRAIT,
        "The object may panic if used outside of a task.";
}

impl Rule {
    /// The rule's page.
    #[must_use]
    pub fn page(self) -> String {
        format!("docs/rules.md#{}", self.id())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

const READ_TRAIT: &str = "tokio::io::AsyncRead";
const READ: &str = "tokio::io::AsyncRead::poll_read";
const WRITE_TRAIT: &str = "tokio::io::AsyncWrite";
const WRITE: &str = "tokio::io::AsyncWrite::poll_write";
const FLUSH: &str = "tokio::io::AsyncWrite::poll_flush";
const SHUTDOWN: &str = "tokio::io::AsyncWrite::poll_shutdown";
const VECTORED: &str = "tokio::io::AsyncWrite::is_write_vectored";
const FUTURE: &str = "std::future::Future::poll";
