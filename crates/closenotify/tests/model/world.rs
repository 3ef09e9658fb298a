//! A stream, its peer, the transport between them, and what must hold after every operation.
//!
//! The model is two counts of bytes and an end each way: the bytes themselves are a [pattern](testkit::book::pattern). A
//! pending operation of ours is a task of its own: it is polled again only when its own waker was woken, and must not be
//! left asleep when it could go on.

use crate::link::{End, Link, Transport};
use crate::operations::{Finish, Operation};
use closenotify::{
    Ended, Linger, ReadError, ReadHalf, ReceivedEnding, SentEnding, TlsAcceptor, TlsConnector, TlsStream, TruncatedAt,
    Truncation, WriteError, WriteHalf,
};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use testkit::book::{Due, Peer, Sent, pattern};
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::plain::{Configs, Side};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// One session, from its handshake to its end.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) version: TlsVersion,
    pub(crate) side: Side,
    pub(crate) truncation: Truncation,
    pub(crate) operations: Vec<Operation>,
    pub(crate) finish: Finish,
}

impl Case {
    /// Runs it; panics where something does not hold. Needs a runtime with a clock around it.
    pub(crate) fn run(&self) {
        let mut world = World::new(self.version, self.side, self.truncation);
        for operation in &self.operations {
            world.apply(*operation);
            world.settle();
        }
        world.finish(self.finish);
    }
}

/// Our end: whole, or in halves, each of which may have been dropped.
enum Ours {
    Whole(Box<TlsStream<Transport>>),
    Halves(Option<Box<ReadHalf<Transport>>>, Option<WriteHalf<Transport>>),
}

trait Reader: AsyncBufRead + Unpin {}
impl<T: AsyncBufRead + Unpin> Reader for T {}
trait Writer: AsyncWrite + Unpin {}
impl<T: AsyncWrite + Unpin> Writer for T {}

impl Ours {
    fn reader(&mut self) -> Option<&mut dyn Reader> {
        match self {
            Self::Whole(stream) => Some(stream.as_mut()),
            Self::Halves(reader, _) => reader.as_mut().map(|reader| reader.as_mut() as &mut dyn Reader),
        }
    }

    fn writer(&mut self) -> Option<&mut dyn Writer> {
        match self {
            Self::Whole(stream) => Some(stream.as_mut()),
            Self::Halves(_, writer) => writer.as_mut().map(|writer| writer as &mut dyn Writer),
        }
    }

    fn received_ending(&self) -> Option<ReceivedEnding> {
        match self {
            Self::Whole(stream) => stream.received_ending().cloned(),
            Self::Halves(reader, _) => reader.as_ref()?.received_ending().cloned(),
        }
    }

    fn sent_ending(&self) -> Option<SentEnding> {
        match self {
            Self::Whole(stream) => stream.sent_ending().cloned(),
            Self::Halves(_, writer) => writer.as_ref()?.sent_ending(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Read(usize),
    FillBuf(usize),
}

#[derive(Clone, Copy, Debug)]
enum Writing {
    Write(usize),
    Vectored(usize),
    Flush,
    Shutdown,
}

/// What is pending, and the waker that it waits with.
struct Task<T> {
    pending: Option<T>,
    waker: CountingWaker,
}

impl<T: Copy> Task<T> {
    fn new() -> Self {
        Self { pending: None, waker: CountingWaker::new() }
    }

    /// A new operation takes the place of a pending one, whose waker is nobody's any more.
    fn start(&mut self, operation: Option<T>) {
        *self = Self { pending: operation, waker: CountingWaker::new() };
    }
}

struct World {
    ours: Option<Ours>,
    truncation: Truncation,
    link: Link,
    peer: Peer,
    /// How many bytes of the wire were the handshake's.
    shaken: u64,
    /// How many bytes have arrived, all in all.
    arrived: u64,
    end: Option<End>,
    reading: Task<Reading>,
    writing: Task<Writing>,
    /// How much plaintext we have got.
    got: u64,
    /// How the first read behind the data answered: an end, or a kind of error.
    read_end: Option<Option<io::ErrorKind>>,
    received: Option<ReceivedEnding>,
    /// How much plaintext our writes have taken.
    written: u64,
    /// A shutdown was begun: nothing more may be taken.
    closing: bool,
    /// How a write, flush or shutdown failed because of the transport.
    sent: Option<SentEnding>,
    /// What lay in the bytes that the stream had read when a reader was last polled: it may have been met or not.
    read: Due,
    /// How many KeyUpdates our reader has met for certain: it was through with everything.
    key_updates: usize,
    /// How many bytes the peer had of us when it last asked for an answer.
    asked_at: u64,
}

impl World {
    fn new(version: TlsVersion, side: Side, truncation: Truncation) -> Self {
        let mut peer = Peer::of(version, side);
        let (transport, link) = Link::new();
        let configs = Configs::of(version);
        let mut stream: TlsStream<Transport> = match side {
            Side::Client => {
                let connector = TlsConnector::from(Arc::new(configs.client.clone()));
                shake(connector.connect("localhost".try_into().unwrap(), transport), &link, &mut peer).into()
            }
            Side::Server => {
                let acceptor = TlsAcceptor::from(Arc::new(configs.server.clone()));
                shake(acceptor.accept(transport), &link, &mut peer).into()
            }
        };
        stream.set_truncation(truncation);
        let read = peer.due(0);
        Self {
            ours: Some(Ours::Whole(Box::new(stream))),
            truncation,
            shaken: link.taken(),
            link,
            peer,
            arrived: 0,
            end: None,
            reading: Task::new(),
            writing: Task::new(),
            got: 0,
            read_end: None,
            received: None,
            written: 0,
            closing: false,
            sent: None,
            read,
            key_updates: 0,
            asked_at: 0,
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Read(size) => self.start_reading(Reading::Read(size)),
            Operation::FillBuf(size) => self.start_reading(Reading::FillBuf(size)),
            Operation::Write(size) => self.start_writing(Writing::Write(size)),
            Operation::WriteVectored(size) => self.start_writing(Writing::Vectored(size)),
            Operation::Flush => self.start_writing(Writing::Flush),
            Operation::Shutdown => self.start_writing(Writing::Shutdown),
            Operation::DropReading => self.reading.start(None),
            Operation::DropWriting => self.writing.start(None),
            Operation::Split => self.split(),
            Operation::Reunite => self.reunite(),
            Operation::DropReadHalf => {
                if let Some(Ours::Halves(reader, _)) = &mut self.ours {
                    *reader = None;
                    self.reading.pending = None;
                    assert_eq!(self.reading.waker.live(), 0, "a dropped half leaves no waker behind");
                }
            }
            Operation::DropWriteHalf => {
                if let Some(Ours::Halves(_, writer)) = &mut self.ours {
                    *writer = None;
                    self.writing.pending = None;
                    assert_eq!(self.writing.waker.live(), 0, "a dropped half leaves no waker behind");
                    assert!(self.link.is_write_dropped(), "a dropped half ends the transport's sending direction");
                }
            }
            Operation::PeerData(size) => self.peer.send_data(size),
            Operation::PeerKeyUpdate => {
                if self.peer.send_key_update() {
                    self.asked_at = self.peer.got_bytes;
                }
            }
            Operation::PeerClose => self.peer.send_close_notify(),
            Operation::PeerAlert => self.peer.send_alert(),
            Operation::PeerPlainHttp => self.peer.send_plain_http(),
            Operation::PeerBroken => self.peer.send_broken(),
            Operation::Arrive(size) => self.arrive(size),
            Operation::ArriveAll => self.arrive(usize::MAX),
            Operation::Eof => {
                self.arrive(usize::MAX);
                self.end(End::Eof);
            }
            Operation::Cut => self.end(End::Eof),
            Operation::Reset => self.end(End::Reset),
            Operation::Room(size) => self.link.set_room(size),
            Operation::Unblock => self.unblock(),
            Operation::HoldFlushes => self.link.set_flushes(false),
            Operation::HoldShutdowns => self.link.set_shuts(false),
            Operation::Piece(size) => self.link.set_piece(size),
            Operation::BreakWrites => self.link.break_writes(),
        }
    }

    /// Polls what was woken until nothing is, then looks whether all is as it must be.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "tasks wake each other without end");
            let reader_woken = self.reading.waker.take_wakes() > 0 && self.reading.pending.is_some();
            let writer_woken = self.writing.waker.take_wakes() > 0 && self.writing.pending.is_some();
            if reader_woken {
                self.poll_reading();
            }
            if writer_woken {
                self.poll_writing();
            }
            if !reader_woken && !writer_woken {
                break;
            }
        }
        self.peer.take(&self.link.take_written());
        self.check();
    }

    fn check(&mut self) {
        // Nobody sleeps who could go on.
        if let Some(operation) = self.reading.pending {
            let due = self.due();
            assert!(self.got == due.plaintext && self.end_due(&due).is_none(), "{operation:?} sleeps, due {due:?}");
        }
        if let Some(operation) = self.writing.pending {
            assert!(self.may_wait(operation), "{operation:?} sleeps though the transport goes on");
        }
        // While somebody reads, an answer to a KeyUpdate waits for nothing but the transport.
        let has_writer = self.ours.as_mut().is_some_and(|ours| ours.writer().is_some());
        let open = self.reading.pending.is_some()
            && has_writer
            && !self.closing
            && self.sent.is_none()
            && !self.may_have_failed();
        if open && self.key_updates > 0 && self.key_updates == self.peer.due(u64::MAX).key_updates {
            let held = self.link.holds_flushes() || self.link.is_broken();
            assert!(held || self.peer.got_bytes > self.asked_at, "a KeyUpdate was not answered");
        }
        // Endings are what they must be, and stay.
        let Some(ours) = &self.ours else { return };
        let (received, sent) = (ours.received_ending(), ours.sent_ending());
        if let Some(before) = &self.received
            && !matches!(ours, Ours::Halves(None, _))
        {
            assert_eq!(received.as_ref(), Some(before), "the ending of the receiving half changed");
        }
        if let Some(before) = &self.sent
            && !matches!(ours, Ours::Halves(_, None))
        {
            assert_eq!(sent.as_ref(), Some(before), "the ending of the sending half changed");
        }
        if let Some(received) = received {
            self.check_received(&received);
            self.received = Some(received);
        }
        if let Some(sent) = sent {
            self.check_sent(&sent);
            self.sent = Some(sent);
        }
        // Bytes and ends at the peer.
        assert!(self.peer.got <= self.written, "the peer has more than was written");
        if self.peer.closed {
            assert!(self.closing, "a close_notify that nobody asked for");
            assert_eq!(self.peer.got, self.written, "data is missing in front of our close_notify");
        }
        if self.peer.alerted {
            assert!(matches!(self.read.end, Some((Sent::Violation, _))), "an alert without a reason");
        }
    }

    fn check_received(&self, ending: &ReceivedEnding) {
        let due = self.due();
        assert_eq!(self.got, due.plaintext, "{ending:?} before all data was read");
        match (ending, self.end_due(&due)) {
            (ReceivedEnding::CloseNotify, Some(EndDue::CloseNotify)) => {}
            (ReceivedEnding::Alert(_), Some(EndDue::Alert)) => {}
            (ReceivedEnding::Violation(_), Some(EndDue::Violation)) => {}
            (ReceivedEnding::Truncated { at }, Some(EndDue::Truncated(due))) => assert_eq!(*at, due),
            // Where a write has found it out, a read that answers an end is known to be none.
            (ReceivedEnding::Reset, Some(EndDue::Truncated(_))) => assert!(self.link.is_broken()),
            (ReceivedEnding::Reset, Some(EndDue::Reset)) => {}
            (ending, due) => panic!("{ending:?} where {due:?} was due"),
        }
    }

    fn check_sent(&self, ending: &SentEnding) {
        match ending {
            SentEnding::CloseNotify => {
                assert!(self.closing && self.link.is_flushed());
                assert!(self.peer.closed || self.peer.deaf, "a close_notify that is not on the wire");
            }
            SentEnding::Alert(_) => {
                assert!(matches!(self.read.end, Some((Sent::Violation, _))));
                assert!(self.peer.alerted || self.peer.deaf, "an alert that is not on the wire");
            }
            SentEnding::Aborted => assert!(self.may_have_failed(), "aborted by nobody"),
            SentEnding::Failed(kind) => {
                assert!(self.link.is_broken());
                assert_eq!(*kind, io::ErrorKind::ConnectionReset);
            }
            _ => panic!("{ending:?} without a clock"),
        }
    }

    fn start_reading(&mut self, operation: Reading) {
        if self.ours.as_mut().is_some_and(|ours| ours.reader().is_some()) {
            self.reading.start(Some(operation));
            self.poll_reading();
        }
    }

    fn start_writing(&mut self, operation: Writing) {
        if self.ours.as_mut().is_some_and(|ours| ours.writer().is_some()) {
            self.writing.start(Some(operation));
            self.poll_writing();
        }
    }

    fn poll_reading(&mut self) {
        let operation = self.reading.pending.take().expect("there is one");
        let reader = self.ours.as_mut().and_then(Ours::reader).expect("only a reader reads");
        let before = self.reading.waker.wakes();
        let polled = self.reading.waker.with_context(|cx| poll_reading(reader, operation, cx));
        assert_eq!(self.reading.waker.wakes(), before, "{operation:?} wakes itself");
        let had = self.peer.due(self.taken());
        self.read = had;
        match polled {
            Poll::Pending => {
                let due = self.due();
                assert!(self.read_end.is_none(), "{operation:?} waits behind the end");
                assert!(self.got == due.plaintext && self.end_due(&due).is_none(), "{operation:?} waits for {due:?}");
                self.key_updates = due.key_updates;
                self.reading.pending = Some(operation);
            }
            Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                assert_eq!(self.read_end, None, "data behind the end");
                assert!(bytes == pattern(self.got, bytes.len()), "wrong bytes from {} on", self.got);
                self.got += bytes.len() as u64;
                assert!(self.got <= had.plaintext, "{} bytes where {had:?} was due", self.got);
            }
            Poll::Ready(ended) => {
                let end = ended.as_ref().err().map(io::Error::kind);
                if let Some(before) = self.read_end {
                    assert_eq!(end, before, "the end of reading changed");
                }
                assert_eq!(self.got, had.plaintext, "an end before all data was read");
                self.read_end = Some(end);
                let ending = self.ours.as_ref().and_then(Ours::received_ending).expect("an end has an ending");
                let clean = match &ending {
                    ReceivedEnding::CloseNotify => true,
                    ReceivedEnding::Truncated { at: TruncatedAt::Boundary } => self.truncation == Truncation::AsEof,
                    _ => false,
                };
                assert_eq!(ended.is_ok(), clean, "{ending:?}");
                if let Err(error) = ended {
                    let typed = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<ReadError>);
                    // The transport's own error is returned as it is.
                    assert!(typed || error.kind() == io::ErrorKind::ConnectionReset, "{error:?}");
                }
            }
        }
    }

    fn poll_writing(&mut self) {
        let operation = self.writing.pending.take().expect("there is one");
        let failed = self.has_failed();
        let writer = self.ours.as_mut().and_then(Ours::writer).expect("only a writer writes");
        let before = self.writing.waker.wakes();
        let written = self.written;
        let polled = self.writing.waker.with_context(|cx| poll_writing(writer, operation, written, cx));
        assert_eq!(self.writing.waker.wakes(), before, "{operation:?} wakes itself");
        self.peer.take(&self.link.take_written());
        match polled {
            Poll::Pending => {
                assert!(self.may_wait(operation), "{operation:?} waits though the transport goes on");
                self.closing |= matches!(operation, Writing::Shutdown);
                self.writing.pending = Some(operation);
            }
            Poll::Ready(Err(error)) => {
                match (error.kind(), WriteError::find(&error)) {
                    (io::ErrorKind::BrokenPipe, Some(WriteError::AfterClose)) => {
                        assert!(self.closing && self.is_write(operation), "{operation:?}");
                    }
                    (io::ErrorKind::ConnectionAborted, Some(WriteError::Send(_))) => {
                        assert!(self.may_have_failed() && self.is_write(operation), "{operation:?}");
                    }
                    (io::ErrorKind::ConnectionReset, None) => {
                        assert!(self.link.is_broken());
                        // Whatever it was, the half is over.
                        self.closing = true;
                    }
                    other => panic!("{operation:?} fails with {other:?}"),
                }
            }
            Poll::Ready(Ok(taken)) => match operation {
                Writing::Write(length) | Writing::Vectored(length) => {
                    assert!(!self.closing, "a write behind our close was taken");
                    assert!(!failed, "a write on a failed session was taken");
                    assert!((1..=length).contains(&taken), "{taken} of {length} bytes taken");
                    self.written += taken as u64;
                }
                Writing::Flush | Writing::Shutdown => {
                    let sent = self.ours.as_ref().and_then(Ours::sent_ending);
                    assert!(self.link.is_flushed(), "{operation:?} answered without a flush");
                    if !self.peer.deaf {
                        assert_eq!(self.peer.got, self.written, "{operation:?} answered before all was on the wire");
                    }
                    if matches!(operation, Writing::Shutdown) {
                        self.closing = true;
                        assert!(self.link.is_shut());
                        let sent = sent.expect("a shutdown that is through has an ending");
                        assert!(sent == SentEnding::CloseNotify || self.may_have_failed(), "{sent:?}");
                    }
                }
            },
        }
    }

    fn is_write(&self, operation: Writing) -> bool {
        matches!(operation, Writing::Write(_) | Writing::Vectored(_))
    }

    /// Whether an operation may be pending as the transport is.
    fn may_wait(&self, operation: Writing) -> bool {
        match operation {
            Writing::Write(_) | Writing::Vectored(_) => self.link.holds_writes() && !self.closing,
            Writing::Flush => self.link.holds_flushes(),
            Writing::Shutdown => self.link.holds_shutdowns(),
        }
    }

    /// Whether what our reader has met can have ended the sending half too.
    fn may_have_failed(&self) -> bool {
        matches!(self.read.end, Some((Sent::Alert | Sent::Violation, _)))
    }

    /// Whether the reader has been told so.
    fn has_failed(&self) -> bool {
        self.read_end.is_some() && self.may_have_failed()
    }

    /// How many bytes the stream has read from the transport since the handshake.
    fn taken(&self) -> u64 {
        self.link.taken() - self.shaken
    }

    /// What the reader is due: all that has arrived, or on a reset what it had read by then.
    fn due(&self) -> Due {
        self.peer.due(if self.end == Some(End::Reset) { self.taken() } else { self.arrived })
    }

    fn end_due(&self, due: &Due) -> Option<EndDue> {
        match (due.end, self.end) {
            (Some((Sent::CloseNotify, _)), _) => Some(EndDue::CloseNotify),
            (Some((Sent::Alert, _)), _) => Some(EndDue::Alert),
            (Some(_), _) => Some(EndDue::Violation),
            (None, Some(End::Eof)) if due.at_boundary => Some(EndDue::Truncated(TruncatedAt::Boundary)),
            (None, Some(End::Eof)) => Some(EndDue::Truncated(TruncatedAt::InsideRecord)),
            (None, Some(End::Reset)) => Some(EndDue::Reset),
            (None, None) => None,
        }
    }

    fn arrive(&mut self, size: usize) {
        let size = size.min(self.peer.on_the_way.len());
        let bytes: Vec<u8> = self.peer.on_the_way.drain(..size).collect();
        if self.end.is_none() && !bytes.is_empty() {
            self.arrived += size as u64;
            self.link.deliver(&bytes);
        }
    }

    fn end(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.link.end(end);
        }
    }

    fn unblock(&mut self) {
        self.link.set_room(usize::MAX);
        self.link.set_flushes(true);
        self.link.set_shuts(true);
    }

    fn split(&mut self) {
        self.ours = match self.ours.take() {
            Some(Ours::Whole(stream)) => {
                // Whoever waited with the whole stream has lost it.
                self.reading.start(None);
                self.writing.start(None);
                let (reader, writer) = stream.into_split();
                Some(Ours::Halves(Some(Box::new(reader)), Some(writer)))
            }
            other => other,
        };
    }

    fn reunite(&mut self) {
        self.ours = match self.ours.take() {
            Some(Ours::Halves(Some(reader), Some(writer))) => {
                self.reading.start(None);
                self.writing.start(None);
                Some(Ours::Whole(Box::new(reader.reunite(writer).expect("halves of one session"))))
            }
            other => other,
        };
    }

    fn finish(&mut self, finish: Finish) {
        match finish {
            Finish::Drop => {
                self.ours = None;
                self.peer.take(&self.link.take_written());
                assert!(!self.peer.closed || self.closing, "dropping says nothing");
                assert!(self.link.is_write_dropped());
                assert_eq!((self.reading.waker.live(), self.writing.waker.live()), (0, 0), "wakers are left behind");
                return;
            }
            Finish::Flush | Finish::Shutdown | Finish::Close => {}
        }
        self.unblock();
        self.settle();
        assert!(self.writing.pending.is_none(), "the transport takes all, and {:?} waits", self.writing.pending);
        if finish == Finish::Close {
            self.reunite();
            if matches!(self.ours, Some(Ours::Whole(_))) {
                return self.close();
            }
        }
        let last = if finish == Finish::Flush { Writing::Flush } else { Writing::Shutdown };
        self.start_writing(last);
        self.settle();
        assert!(self.writing.pending.is_none(), "{last:?} waits for nothing");
        self.arrive(usize::MAX);
        self.peer.send_close_notify();
        self.arrive(usize::MAX);
        self.end(End::Eof);
        self.settle();
        if self.ours.as_mut().is_some_and(|ours| ours.reader().is_some()) {
            let mut reads = 0;
            while self.read_end.is_none() {
                self.start_reading(Reading::Read(4000));
                self.settle();
                reads += 1;
                assert!(reads < READS_MAX, "reading does not come to an end");
            }
            // The end stays the end.
            for again in [Reading::Read(1), Reading::FillBuf(1)] {
                self.start_reading(again);
                self.settle();
            }
        }
    }

    /// `close` with a peer that ends when everything of ours has reached it.
    fn close(&mut self) {
        let Some(Ours::Whole(stream)) = self.ours.take() else { unreachable!("the caller looked") };
        let (received, sent) = (stream.received_ending().cloned(), stream.sent_ending().cloned());
        let waker = CountingWaker::new();
        let mut closing = pin!(stream.close(Linger { bytes: u64::MAX, ..Linger::default() }));
        let mut polled = waker.poll(closing.as_mut());
        self.closing = true;
        self.peer.take(&self.link.take_written());
        assert!(self.link.is_broken() || self.link.is_flushed());
        if polled.is_pending() {
            self.arrive(usize::MAX);
            self.peer.send_close_notify();
            self.arrive(usize::MAX);
            self.end(End::Eof);
            while waker.take_wakes() > 0 && polled.is_pending() {
                polled = waker.poll(closing.as_mut());
            }
        }
        let Poll::Ready(ended) = polled else { panic!("a close waits, though both ends have ended") };
        self.peer.take(&self.link.take_written());
        self.read = self.peer.due(self.taken());
        // What it threw away counts as read; what it did not wait for is not due.
        self.check_ended(&ended, received, sent);
        assert!(self.link.is_write_dropped());
        assert_eq!(waker.live(), 0, "a waker is left behind");
    }

    fn check_ended(&mut self, ended: &Ended, received: Option<ReceivedEnding>, sent: Option<SentEnding>) {
        if let Some(before) = received {
            assert_eq!(ended.received, before, "the ending of the receiving half changed");
        }
        if let Some(before) = sent {
            assert_eq!(ended.sent, before, "the ending of the sending half changed");
        }
        if ended.received == ReceivedEnding::Abandoned {
            assert!(self.link.is_broken(), "given up with nothing wrong");
        } else {
            self.got = self.due().plaintext;
            self.check_received(&ended.received);
        }
        self.check_sent(&ended.sent);
        assert!(ended.sent.is_clean() || self.link.is_broken() || self.may_have_failed(), "{:?}", ended.sent);
        if self.peer.closed {
            assert_eq!(self.peer.got, self.written, "data is missing in front of our close_notify");
        }
    }
}

/// The end that a reader is due.
#[derive(Debug)]
enum EndDue {
    CloseNotify,
    Alert,
    Violation,
    Truncated(TruncatedAt),
    Reset,
}

fn poll_reading(mut reader: &mut dyn Reader, operation: Reading, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
    match operation {
        Reading::Read(size) => {
            let mut buffer = vec![0; size];
            let mut buffer = ReadBuf::new(&mut buffer);
            AsyncRead::poll_read(Pin::new(&mut reader), cx, &mut buffer).map_ok(|()| buffer.filled().to_vec())
        }
        Reading::FillBuf(most) => {
            let polled = Pin::new(&mut reader).poll_fill_buf(cx);
            let bytes = polled.map_ok(|buffer| buffer[..buffer.len().min(most)].to_vec());
            if let Poll::Ready(Ok(bytes)) = &bytes {
                Pin::new(&mut reader).consume(bytes.len());
            }
            bytes
        }
    }
}

fn poll_writing(
    mut writer: &mut dyn Writer,
    operation: Writing,
    written: u64,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let writer = Pin::new(&mut writer);
    match operation {
        Writing::Write(length) => writer.poll_write(cx, &pattern(written, length)),
        Writing::Vectored(length) => {
            let bytes = pattern(written, length);
            let (front, back) = bytes.split_at(length / 3);
            writer.poll_write_vectored(cx, &[IoSlice::new(front), IoSlice::new(b""), IoSlice::new(back)])
        }
        Writing::Flush => writer.poll_flush(cx).map_ok(|()| 0),
        Writing::Shutdown => writer.poll_shutdown(cx).map_ok(|()| 0),
    }
}

/// Carries a handshake's bytes between a future of ours and the peer.
fn shake<S>(future: impl Future<Output = io::Result<S>>, link: &Link, peer: &mut Peer) -> S {
    let waker = CountingWaker::new();
    let mut future = pin!(future);
    for _ in 0..8 {
        let polled = waker.poll(future.as_mut());
        let answer = peer.shake(&link.take_written());
        link.deliver(&answer);
        if let Poll::Ready(stream) = polled {
            assert!(answer.is_empty(), "nothing is behind the handshake");
            return stream.unwrap();
        }
    }
    panic!("a handshake takes no more than eight rounds");
}

/// How often two tasks may be woken by one event. One wakes both; each may then have done what the other waited for.
const ROUNDS_MAX: usize = 8;

/// More reads than all that a case can send needs.
const READS_MAX: usize = 10_000;
