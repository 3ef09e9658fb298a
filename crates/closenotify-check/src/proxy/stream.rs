//! What the probe sends through a proxy, and what became of it.
//!
//! Both directions have a pattern of their own, so that a byte that is lost, doubled, put in another order or sent back shows.
//! It does not say who lost it.

use crate::case::DataSeen;

/// A pattern in which every few bytes say where they belong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    /// Which of two.
    pub(crate) name: u8,
    /// How much of it was taken.
    pub(crate) at: usize,
}

impl Stream {
    /// The next `bytes` of it.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let from = self.at;
        self.at += bytes;
        let mut lines = Vec::with_capacity(bytes + 2 * LINE);
        for line in from / LINE..self.at.div_ceil(LINE) {
            lines.extend_from_slice(&(u128::from(self.name) << 120 | line as u128).to_be_bytes());
        }
        lines.drain(..from % LINE);
        lines.truncate(bytes);
        lines
    }

    /// What became of all that was taken of it, where this came.
    pub(crate) fn seen(&self, came: &[u8]) -> DataSeen {
        let sent = Self { name: self.name, at: 0 }.take(self.at);
        match came {
            _ if came == sent => DataSeen::Whole,
            [] => DataSeen::Nothing,
            _ if sent.starts_with(came) => DataSeen::Cut,
            _ if came.starts_with(&sent) => DataSeen::More,
            _ => DataSeen::Other,
        }
    }
}

/// How many bytes say where they belong.
const LINE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_swapped_or_added_shows() {
        let mut stream = Stream { name: b'c', at: 0 };
        let parts = [stream.take(1), stream.take(30), stream.take(0), stream.take(49)];
        let all = parts.concat();
        assert_eq!(all.len(), 80);
        assert_eq!(stream.seen(&all), DataSeen::Whole);
        assert_eq!(stream.seen(&[]), DataSeen::Nothing);
        assert_eq!(stream.seen(&all[..79]), DataSeen::Cut);
        assert_eq!(stream.seen(&[&all[..], b"x"].concat()), DataSeen::More);
        assert_eq!(stream.seen(&all[16..]), DataSeen::Other);
        assert_eq!(stream.seen(&[&all[..32], &all[16..]].concat()), DataSeen::Other);
        assert_eq!(stream.seen(&[&all[16..32], &all[..16], &all[32..]].concat()), DataSeen::Other);
        assert_eq!(Stream { name: b'u', at: 80 }.seen(&all), DataSeen::Other);
        assert_eq!(Stream { name: b'u', at: 0 }.seen(&[]), DataSeen::Whole);
    }
}
