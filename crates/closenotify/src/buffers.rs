//! The buffers of a session: how large they may grow, and where they are while nothing is read.
//!
//! A session at rest holds none. A read takes one from a small pool that each thread keeps, and gives it back with the last
//! byte. So nothing is allocated from poll to poll, and an idle session costs no buffer.

use bytes::BytesMut;
use std::cell::RefCell;

/// The limit of each direction, in bytes: the one that a user sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferLimit(usize);

impl BufferLimit {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(bytes.clamp(LEAST, MOST))
    }

    /// The most ciphertext that is held unread. One read of the transport can fill it. It is never less than the longest
    /// record, since a record is only opened when it is complete.
    pub(crate) fn input_max(self) -> usize {
        self.0.max(RECORD_MAX)
    }

    /// The most plaintext that a write takes: nothing more is taken before the transport has taken its ciphertext.
    pub(crate) fn write_max(self) -> usize {
        self.0
    }
}

impl Default for BufferLimit {
    fn default() -> Self {
        Self(MOST)
    }
}

/// An empty buffer with room for `capacity` bytes.
pub(crate) fn take(capacity: usize) -> BytesMut {
    let pooled = POOL.with_borrow_mut(|pool| {
        // None that is much larger: a session with a small limit holds little.
        let at = pool.iter().position(|buffer| (capacity..=capacity + capacity / 4).contains(&buffer.capacity()))?;
        Some(pool.swap_remove(at))
    });
    pooled.unwrap_or_else(|| BytesMut::with_capacity(capacity))
}

/// Gives a buffer back, for the next session of this thread.
pub(crate) fn give(mut buffer: BytesMut) {
    buffer.clear();
    // The room before its beginning, where bytes were consumed, comes back. It is empty, so nothing is moved.
    let _none_there = buffer.try_reclaim(buffer.capacity() + 1);
    if !(LEAST..=POOLED_MAX).contains(&buffer.capacity()) {
        return;
    }
    POOL.with_borrow_mut(|pool| {
        if pool.len() < POOL_MAX {
            pool.push(buffer);
        }
    });
}

/// Gives the buffer of an input back while nothing arrives. The beginning of a record is kept in a buffer of its own size.
pub(crate) fn rest(input: &mut BytesMut) {
    if input.len() > KEPT_AT_REST || input.capacity() <= KEPT_AT_REST {
        return;
    }
    let buffer = std::mem::take(input);
    if !buffer.is_empty() {
        *input = BytesMut::from(&buffer[..]);
    }
    give(buffer);
}

thread_local! {
    static POOL: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// How many buffers a thread keeps, and the largest of them in bytes: 256 KiB in all.
const POOL_MAX: usize = 4;
const POOLED_MAX: usize = MOST;

/// The longest record: header and ciphertext (RFC 5246 section 6.2.3), in bytes.
pub(crate) const RECORD_MAX: usize = 5 + (1 << 14) + 2048;

/// Up to this many bytes of a record's beginning are moved to a buffer of their own size while the rest is awaited.
const KEPT_AT_REST: usize = 4096;

/// How much is read at a time to be discarded, in bytes.
pub(crate) const SCRAP: usize = 16 * 1024;

/// A peer may send records of 16 KiB whatever we say, so less could not be kept.
const LEAST: usize = 16 * 1024;

/// Beyond this a read or a write is no faster: the transport takes and gives no more in a call.
const MOST: usize = closenotify_core::WRITE_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf as _;

    #[test]
    fn a_buffer_comes_back_with_all_of_its_room_and_none_of_its_bytes() {
        let mut buffer = take(MOST);
        buffer.extend_from_slice(&[7; MOST]);
        buffer.advance(MOST - 1);
        let (whole, at) = (MOST, buffer.as_ptr());
        give(buffer);
        let again = take(MOST);
        assert!(again.is_empty() && again.capacity() >= whole);
        assert!(at > again.as_ptr(), "the same memory from its beginning");
    }

    #[test]
    fn a_thread_keeps_few_buffers_and_no_large_ones() {
        for _ in 0..2 * POOL_MAX {
            let buffers: Vec<_> = (0..2 * POOL_MAX).map(|_| take(MOST)).collect();
            buffers.into_iter().for_each(give);
            assert_eq!(POOL.with_borrow(Vec::len), POOL_MAX);
        }
        POOL.with_borrow_mut(Vec::clear);
        give(BytesMut::with_capacity(POOLED_MAX + 1));
        give(BytesMut::new());
        assert_eq!(POOL.with_borrow(Vec::len), 0);
    }
}
