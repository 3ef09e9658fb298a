//! Reassembles handshake messages from handshake records. A record may hold several messages or a part of one.
//!
//! At most one message is buffered, up to a limit, and only if its content matters.

use crate::limits::MESSAGE_MAX;
use crate::violation::Violation;

/// The types of handshake messages that are known here (RFC 9846 section 4, RFC 5246 section 7.4).
pub(crate) const HELLO_REQUEST: u8 = 0;
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const NEW_SESSION_TICKET: u8 = 4;
pub(crate) const KEY_UPDATE: u8 = 24;

/// Reassembles messages.
#[derive(Default)]
pub(crate) struct Messages {
    header: [u8; 4],
    /// How many bytes of the header are there.
    known: usize,
    /// How many bytes of the body are missing, once the header is there.
    missing: usize,
    body: Vec<u8>,
}

/// What to do with a message whose header is known.
pub(crate) enum Fate {
    /// Buffer its body.
    Keep,
    /// Skip its body.
    Skip,
}

impl Messages {
    /// Takes bytes from the front of `content`, up to the end of a message. Once a message's header is known, `judge` gets its
    /// type and length. Once the message is complete, its type is returned, and its body if that is kept.
    pub(crate) fn next(
        &mut self,
        content: &mut &[u8],
        judge: impl FnOnce(u8, usize) -> Result<Fate, Violation>,
    ) -> Result<Option<(u8, Vec<u8>)>, Violation> {
        if self.known < self.header.len() {
            let taken = content.len().min(self.header.len() - self.known);
            let (head, rest) = content.split_at(taken);
            self.header[self.known..][..taken].copy_from_slice(head);
            *content = rest;
            self.known += taken;
            if self.known < self.header.len() {
                return Ok(None);
            }
            let [kind, length @ ..] = self.header;
            self.missing = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let fate = judge(kind, self.missing)?;
            if self.missing > MESSAGE_MAX {
                return Err(Violation::message_too_long(kind));
            }
            self.header[1] = match fate {
                Fate::Keep => KEPT,
                Fate::Skip => SKIPPED,
            };
        }
        let taken = content.len().min(self.missing);
        let (part, rest) = content.split_at(taken);
        if self.header[1] == KEPT {
            self.body.extend_from_slice(part);
        }
        *content = rest;
        self.missing -= taken;
        if self.missing > 0 {
            return Ok(None);
        }
        self.known = 0;
        Ok(Some((self.header[0], std::mem::take(&mut self.body))))
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn is_partial(&self) -> bool {
        self.known > 0
    }

    /// How many bytes of a message are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.body.capacity()
    }
}

/// Replaces the first byte of the length once that is known.
const KEPT: u8 = 1;
const SKIPPED: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(_: u8, _: usize) -> Result<Fate, Violation> {
        Ok(Fate::Keep)
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let bytes = [&[4, 0, 0, 3][..], b"abc", &[24, 0, 0, 0, 0, 0, 1, 0], &[7; 256]].concat();
        let expected = [(4, b"abc".to_vec()), (24, Vec::new()), (0, vec![7; 256])];
        for cut in 1..bytes.len() {
            let (mut messages, mut met) = (Messages::default(), Vec::new());
            for mut content in bytes.chunks(cut) {
                while !content.is_empty() {
                    met.extend(messages.next(&mut content, keep).unwrap());
                    assert!(content.is_empty() || !messages.is_partial());
                }
            }
            assert_eq!(met, expected, "in pieces of {cut}");
            assert!(!messages.is_partial());
        }
    }

    #[test]
    fn a_message_is_held_up_to_its_bound_and_a_longer_one_is_refused_at_its_header() {
        let mut messages = Messages::default();
        let mut header: &[u8] = &[4, 0, 0xff, 0xff];
        assert_eq!(messages.next(&mut header, keep).unwrap(), None);
        for _ in 0..MESSAGE_MAX - 1 {
            assert_eq!(messages.next(&mut &[0][..], keep).unwrap(), None);
        }
        assert!(messages.held() <= 2 * MESSAGE_MAX, "{}", messages.held());
        let complete = messages.next(&mut &[0][..], keep).unwrap();
        assert_eq!(complete.map(|(kind, body)| (kind, body.len())), Some((4, MESSAGE_MAX)));
        assert_eq!(messages.held(), 0);
        let mut header: &[u8] = &[4, 1, 0, 0];
        assert_eq!(messages.next(&mut header, keep), Err(Violation::message_too_long(4)));
        assert_eq!(messages.held(), 0);
    }

    #[test]
    fn what_is_skipped_is_not_held() {
        let mut messages = Messages::default();
        let bytes = [&[1, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
        let mut content = &bytes[..60_000];
        assert_eq!(messages.next(&mut content, |_, _| Ok(Fate::Skip)), Ok(None));
        assert!(messages.is_partial() && messages.held() == 0);
        assert_eq!(messages.next(&mut &bytes[60_000..], |_, _| Ok(Fate::Skip)), Ok(Some((1, Vec::new()))));
    }
}
