//! The sending half: plaintext in, ciphertext out, until it is closed, which consumes it.
//!
//! Nothing can follow its `close_notify`, because the sender no longer exists, and nothing follows a fatal alert.

use crate::alert::AlertDescription;
use crate::ending::SentEnding;
use crate::error::SendError;
use crate::kernel::Kernel;
use crate::keys::Sealing;
use crate::limits::{PLAINTEXT_MAX, RECORDS_RESERVED, WRITE_MAX};
use crate::messages::KEY_UPDATE;
use crate::owes::{End, SenderOwes};
use crate::record::HEADER;
use bytes::{Bytes, BytesMut};
use rustls::crypto::cipher::OutboundChunks;
use rustls::{ContentType, SupportedCipherSuite};
use std::fmt;
use std::io::IoSlice;

/// The sending half of a session, open.
///
/// The peer's `close_notify` does not end it (RFC 9846 section 6.1). Dropping it aborts: no `close_notify` is sent, so the
/// peer can tell that the data is incomplete.
pub struct Sender {
    keys: Sealing,
    suite: SupportedCipherSuite,
    /// Makes the next keys, in TLS 1.3.
    kernel: Option<Kernel>,
    /// How many records of data one key may protect; a few more are reserved for alerts and KeyUpdates.
    records_max: u64,
    /// The most plaintext in a record.
    fragment: usize,
    write_max: usize,
    failed: Option<End>,
}

impl Sender {
    /// `record_max` is how long a record may be, header included, where the configuration sets it.
    pub(crate) fn new(
        keys: Sealing,
        suite: SupportedCipherSuite,
        kernel: Option<Kernel>,
        record_max: Option<usize>,
    ) -> Self {
        let limit = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            #[cfg(feature = "tls12")]
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
            #[cfg(not(feature = "tls12"))]
            #[allow(unreachable_patterns, reason = "another crate may switch on rustls' TLS 1.2")]
            _ => 0,
        };
        Self {
            keys,
            suite,
            kernel,
            records_max: limit.saturating_sub(RECORDS_RESERVED),
            fragment: fragment(record_max),
            write_max: WRITE_MAX,
            failed: None,
        }
    }

    /// Sets how much plaintext one [`write`](Self::write) takes at most, clamped to 1 byte to [`WRITE_MAX`]. This also limits
    /// the ciphertext that a write appends: this many bytes plus the overhead of the records.
    pub fn set_write_max(&mut self, bytes: usize) {
        self.write_max = bytes.clamp(1, WRITE_MAX);
    }

    /// Encrypts bytes of `plaintext`, at most [`WRITE_MAX`] or [the limit that was set](Self::set_write_max), and appends the
    /// records to `output`. Returns how many bytes it took; 0 only for empty input.
    ///
    /// If `output` is empty and has no room, a single record replaces it without a copy.
    ///
    /// # Errors
    ///
    /// [`SendError::SessionOver`] after a fatal alert in either direction; [`SendError::KeysExhausted`] when the keys of a
    /// TLS 1.2 session may not protect more records. Nothing is taken in either case.
    pub fn write(&mut self, plaintext: &[IoSlice<'_>], output: &mut BytesMut) -> Result<usize, SendError> {
        if plaintext.iter().all(|slice| slice.is_empty()) {
            return Ok(0);
        }
        if self.failed.is_some() {
            return Err(SendError::SessionOver);
        }
        let mut slices = plaintext.iter().map(|slice| &slice[..]).filter(|slice| !slice.is_empty());
        let first = slices.next().unwrap_or_default();
        let owner: Vec<&[u8]>;
        let chunks = if slices.next().is_none() {
            OutboundChunks::Single(first)
        } else {
            owner = plaintext.iter().map(|slice| &slice[..]).filter(|slice| !slice.is_empty()).collect();
            OutboundChunks::new(&owner)
        };
        let (mut rest, _) = chunks.split_at(self.write_max);
        let length = rest.len();
        let records = length.div_ceil(self.fragment);
        if !self.is_tls13() && self.records_left() < records as u64 {
            return Err(SendError::KeysExhausted);
        }
        if records > 1 || !output.is_empty() {
            // Reserve once and exactly: growing record by record copies, and leaves spare capacity.
            output.reserve(self.length_of(length));
        }
        while !rest.is_empty() {
            if self.records_left() == 0 && !self.change_keys(output) {
                return self.broken();
            }
            let (record, more) = rest.split_at(self.fragment);
            if !self.seal(ContentType::ApplicationData, record, output) {
                return self.broken();
            }
            rest = more;
        }
        Ok(length)
    }

    /// Appends what [receiving made us owe the peer](SenderOwes) to `output`. If that ends the session, nothing more can be
    /// sent: see [`failed`](Self::failed).
    pub fn take_owed(&mut self, owes: SenderOwes, output: &mut BytesMut) {
        if self.failed.is_some() {
            return;
        }
        if owes.key_update {
            let _ = self.change_keys(output);
        }
        if owes.no_renegotiation {
            self.alert(WARNING, AlertDescription::NO_RENEGOTIATION, output);
        }
        if let Some(end) = owes.end {
            self.failed = Some(end);
            if let End::Alert(alert) = end {
                self.alert(FATAL, alert, output);
            }
        }
    }

    /// How this half ended because the session failed: the fatal alert that we sent, or `Aborted` where no alert is due.
    /// `None` while the session is alive.
    pub fn failed(&self) -> Option<SentEnding> {
        self.failed.map(|end| match end {
            End::Alert(alert) => SentEnding::Alert(alert),
            End::Silent => SentEnding::Aborted,
        })
    }

    /// Ends the half: appends one `close_notify` (level warning) to `output`, after everything written before.
    ///
    /// Returns the ending that holds once `output` is on the wire: `CloseNotify`, or, if the session failed before, the
    /// ending that it has already. No `close_notify` follows a fatal alert.
    pub fn close(mut self, output: &mut BytesMut) -> SentEnding {
        if let Some(failed) = self.failed() {
            return failed;
        }
        if self.alert(WARNING, AlertDescription::CLOSE_NOTIFY, output) {
            SentEnding::CloseNotify
        } else {
            SentEnding::Aborted
        }
    }

    fn is_tls13(&self) -> bool {
        matches!(self.suite, SupportedCipherSuite::Tls13(_))
    }

    /// How many more records of data these keys may protect.
    fn records_left(&self) -> u64 {
        self.records_max.saturating_sub(self.keys.sequence())
    }

    /// The length of the records for this much plaintext.
    fn length_of(&self, plaintext: usize) -> usize {
        let (full, rest) = (plaintext / self.fragment, plaintext % self.fragment);
        let record = |plaintext| if plaintext > 0 { HEADER + self.keys.sealed_length(plaintext) } else { 0 };
        full * record(self.fragment) + record(rest)
    }

    /// Sends a KeyUpdate and switches to the next keys (RFC 9846 section 4.7.3). It does not request one in return: the peer
    /// knows its own limits.
    fn change_keys(&mut self, output: &mut BytesMut) -> bool {
        let Some(kernel) = self.kernel.clone() else { return false };
        if !self.seal(ContentType::Handshake, OutboundChunks::Single(&[KEY_UPDATE, 0, 0, 1, 0]), output) {
            return false;
        }
        match kernel.update_sending().ok().and_then(|secrets| Sealing::new(self.suite, secrets)) {
            Some(keys) => {
                self.keys = keys;
                true
            }
            // The peer has switched keys: it cannot read anything under the old ones.
            None => {
                self.failed = Some(End::Silent);
                false
            }
        }
    }

    fn alert(&mut self, level: u8, alert: AlertDescription, output: &mut BytesMut) -> bool {
        self.seal(ContentType::Alert, OutboundChunks::Single(&[level, alert.code()]), output)
    }

    /// Appends one record; `false` when the provider fails.
    fn seal(&mut self, typ: ContentType, payload: OutboundChunks<'_>, output: &mut BytesMut) -> bool {
        match self.keys.seal(typ, payload) {
            Some(record) if output.is_empty() && output.capacity() < record.len() => {
                *output = BytesMut::from(Bytes::from(record));
                true
            }
            Some(record) => {
                output.extend_from_slice(&record);
                true
            }
            None => false,
        }
    }

    /// A failure of the crypto provider ends the session; the peer gets the records sealed before it.
    fn broken(&mut self) -> Result<usize, SendError> {
        self.failed = Some(End::Silent);
        Err(SendError::SessionOver)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("failed", &self.failed()).finish_non_exhaustive()
    }
}

/// The most plaintext in a record, from the record size that the configuration sets.
pub(crate) fn fragment(record_max: Option<usize>) -> usize {
    record_max.map_or(PLAINTEXT_MAX, |record| record.saturating_sub(HEADER).max(1))
}

/// The levels of alerts.
const WARNING: u8 = 1;
const FATAL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Walk, walk};
    use crate::{Handshake, Progress, Read, Session};
    use rustls::ClientConfig;
    use testkit::certs::{Authority, TlsVersion};

    /// A client whose records are at most so long, and its server.
    fn sessions(version: TlsVersion, max_fragment_size: Option<usize>) -> (Session, Session) {
        let authority = Authority::new();
        let mut config = ClientConfig::clone(&authority.client_config(version));
        config.max_fragment_size = max_fragment_size;
        let mut client = Handshake::client(config, "localhost".try_into().unwrap()).unwrap();
        let mut server = Handshake::server(authority.server_config(version)).unwrap();
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        loop {
            client.take_output(&mut to_server);
            let at_server = server.advance(&mut to_server).unwrap();
            server.take_output(&mut to_client);
            if (client.advance(&mut to_client).unwrap(), at_server) == (Progress::Complete, Progress::Complete) {
                return (client.into_session(), server.into_session());
            }
        }
    }

    fn records(mut bytes: &[u8]) -> u64 {
        let mut records = 0;
        while let Walk::Record(length) = walk(bytes, usize::MAX) {
            bytes = &bytes[length..];
            records += 1;
        }
        assert!(bytes.is_empty());
        records
    }

    /// What rustls would do at the limit is to drop the data, report it as taken, and send a close_notify.
    #[test]
    fn exhausted_keys_refuse_data_instead_of_dropping_it() {
        let mut sender = sessions(TlsVersion::V12, None).0.sender;
        sender.records_max = sender.keys.sequence() + 1;
        let mut output = BytesMut::new();
        let two_records = vec![1; PLAINTEXT_MAX + 1];
        assert_eq!(sender.write(&[IoSlice::new(&two_records)], &mut output), Err(SendError::KeysExhausted));
        assert!(output.is_empty());
        assert_eq!(sender.write(&[IoSlice::new(b"last")], &mut output), Ok(4));
        let before = output.len();
        assert_eq!(sender.write(&[IoSlice::new(b"more")], &mut output), Err(SendError::KeysExhausted));
        assert_eq!(output.len(), before);
        assert_eq!(sender.failed(), None);
        assert_eq!(sender.close(&mut output), SentEnding::CloseNotify, "that much is reserved");
    }

    /// RFC 9846 sections 4.7.3, 5.5: in TLS 1.3 the keys are changed in time, as often as need be, also inside a write.
    #[test]
    fn keys_are_changed_before_they_have_protected_too_much() {
        let (mut client, mut server) = sessions(TlsVersion::V13, Some(64));
        client.sender.records_max = 10;
        let sent: Vec<u8> = (0..20_000).map(|at| (at % 251) as u8).collect();
        let (mut output, mut received) = (BytesMut::new(), Vec::new());
        for part in sent.chunks(3_000) {
            assert_eq!(client.sender.write(&[IoSlice::new(part)], &mut output), Ok(part.len()));
            assert!(client.sender.keys.sequence() <= 10);
        }
        let data = sent.chunks(3_000).map(|part| part.len().div_ceil(59)).sum::<usize>() as u64;
        assert_eq!(records(&output), data + data.div_ceil(10) - 1, "a KeyUpdate after each ten records");
        assert_eq!(client.sender.close(&mut output), SentEnding::CloseNotify);
        let (read, owes) = server.receiver.read(&mut output, &mut received);
        assert_eq!((read, owes.is_nothing()), (Read::Data(sent.len()), true), "no reply is asked for");
        assert!(received == sent);
        assert_eq!(server.receiver.read(&mut output, &mut received).0, Read::Ended);
    }

    #[test]
    fn every_record_counts_and_no_more() {
        let plaintext = vec![1; WRITE_MAX];
        for version in TlsVersion::EACH {
            for (max_fragment_size, length) in
                [(None, 1), (None, WRITE_MAX), (None, PLAINTEXT_MAX + 1), (Some(32), WRITE_MAX), (Some(4096), 8183)]
            {
                let mut sender = sessions(version, max_fragment_size).0.sender;
                let before = sender.keys.sequence();
                let mut output = BytesMut::new();
                let (left, right) = plaintext[..length].split_at(length / 3);
                assert_eq!(sender.write(&[IoSlice::new(left), IoSlice::new(right)], &mut output), Ok(length));
                let records = records(&output);
                assert_eq!(sender.keys.sequence() - before, records, "{max_fragment_size:?} {length}");
                assert_eq!(records, length.div_ceil(sender.fragment) as u64);
            }
        }
    }

    #[test]
    fn a_single_record_is_handed_over_and_a_buffer_with_room_is_filled() {
        let mut sender = sessions(TlsVersion::V13, None).0.sender;
        let mut output = BytesMut::new();
        sender.write(&[IoSlice::new(&[1; 100])], &mut output).unwrap();
        assert_eq!((output.len(), output.capacity()), (122, 122));
        let mut output = BytesMut::with_capacity(1000);
        let room = output.as_ptr();
        sender.write(&[IoSlice::new(&[1; 100])], &mut output).unwrap();
        assert_eq!((output.len(), output.as_ptr()), (122, room));
    }
}
