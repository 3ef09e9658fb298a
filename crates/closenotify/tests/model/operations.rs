//! What can be done to a stream, its peer and the transport between them, as data that two small numbers make: a list of
//! any numbers is a list of operations.

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// We read through a buffer of this size. As every operation of ours, it drops a pending one of the same direction,
    /// and stays pending itself until it is woken.
    Read(usize),
    /// We ask for the buffer and consume up to so much of it.
    FillBuf(usize),
    /// We write so many bytes.
    Write(usize),
    /// We write so many bytes in three slices, one of them empty.
    WriteVectored(usize),
    Flush,
    Shutdown,
    /// A pending read is dropped.
    DropReading,
    /// A pending write, flush or shutdown is dropped.
    DropWriting,
    Split,
    Reunite,
    DropReadHalf,
    DropWriteHalf,
    /// The peer sends so many bytes of plaintext: they are on their way then.
    PeerData(usize),
    /// The peer changes its keys and asks for the same (TLS 1.3).
    PeerKeyUpdate,
    PeerClose,
    PeerAlert,
    /// Bytes that are no TLS are on their way.
    PeerPlainHttp,
    /// A record is on its way in which a bit was flipped.
    PeerBroken,
    /// So many bytes arrive.
    Arrive(usize),
    /// Everything on its way arrives.
    ArriveAll,
    /// Everything on its way arrives, then the transport's end.
    Eof,
    /// The transport ends; what was on its way is lost.
    Cut,
    Reset,
    /// The transport takes so many more bytes, or none, and then none.
    Room(usize),
    /// The transport takes all, flushes, shuts.
    Unblock,
    HoldFlushes,
    HoldShutdowns,
    /// The transport moves so many bytes at once.
    Piece(usize),
    /// The transport fails every write from now on.
    BreakWrites,
}

impl Operation {
    /// The operation of two numbers.
    pub(crate) fn of(kind: u8, amount: u16) -> Self {
        let size = size(amount);
        // What is common stands more than once; what ends a session, once in many.
        match (kind % 64, amount % 8) {
            (0..=7, _) => Self::Read(size),
            (8..=11, _) => Self::FillBuf(size),
            (12..=19, _) => Self::Write(size),
            (20..=21, _) => Self::WriteVectored(size),
            (22..=24, _) => Self::Flush,
            (25, _) => Self::Shutdown,
            (26, _) => Self::DropReading,
            (27, _) => Self::DropWriting,
            (28, _) => Self::Split,
            (29, _) => Self::Reunite,
            (30, 0) => Self::DropReadHalf,
            (30, _) => Self::Read(size),
            (31, 0) => Self::DropWriteHalf,
            (31, _) => Self::Write(size),
            (32..=39, _) => Self::PeerData(size),
            (40..=41, _) => Self::PeerKeyUpdate,
            (42, _) => Self::PeerClose,
            (43, 0 | 4) => Self::PeerAlert,
            (43, 1 | 5) => Self::PeerPlainHttp,
            (43, 2 | 6) => Self::PeerBroken,
            (43, _) => Self::PeerClose,
            (44..=48, _) => Self::Arrive(size),
            (49..=53, _) => Self::ArriveAll,
            (54, 0 | 4) => Self::Eof,
            (54, 1 | 5) => Self::Cut,
            (54, 2 | 6) => Self::Reset,
            (54, _) => Self::ArriveAll,
            (55, _) => Self::Room(0),
            (56..=57, _) => Self::Room(size),
            (58, _) => Self::Unblock,
            (59, _) => Self::HoldFlushes,
            (60, _) => Self::HoldShutdowns,
            (61, _) => Self::Piece(size),
            (62, 0) => Self::BreakWrites,
            _ => Self::Unblock,
        }
    }
}

/// How a session is brought to its end when the operations are through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// We flush and read; the peer closes, where it has not ended otherwise.
    Flush,
    /// The same with a shutdown of ours.
    Shutdown,
    /// `close` of the whole stream.
    Close,
    /// Everything of ours is dropped as it stands.
    Drop,
}

impl Finish {
    pub(crate) const EACH: [Self; 4] = [Self::Flush, Self::Shutdown, Self::Close, Self::Drop];
}

/// Mostly some bytes, at times some records.
fn size(amount: u16) -> usize {
    let amount = usize::from(amount);
    match amount % 8 {
        0..=4 => 1 + amount / 8 % 200,
        5 | 6 => 1 + amount / 8 % 5000,
        _ => 1 + amount / 8 * 5,
    }
}
