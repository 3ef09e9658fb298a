//! What the other end sent, record by record: events for the log, and what they amount to.
//!
//! Nothing that arrives is an error here. A record that cannot be opened, data behind an end and a FIN inside a record are
//! things that a subject may do, and are written down like all others.

use crate::alert;
use crate::event::{By, Link, Log, What};
use crate::keys::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Keys};
use crate::record::{KEY_UPDATE, kind_name};

/// What the other end of a connection sent so far.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The plaintext in front of the end, the first 64 MiB of it.
    pub data: Vec<u8>,
    /// How much plaintext there was in front of the end.
    pub data_bytes: u64,
    /// What ended the TLS direction first.
    pub tls_end: Option<TlsEnd>,
    /// What ended the TCP direction.
    pub tcp_end: Option<TcpEnd>,
    /// All alerts, level and description, in order.
    pub alerts: Vec<(u8, u8)>,
    /// Records of data with nothing in them.
    pub empty_records: u32,
    /// Plaintext bytes that came behind the end of the TLS direction.
    pub data_behind: u64,
    /// Whether the TCP direction ended inside a record.
    pub cut_inside_record: bool,
    /// Raw bytes that came behind the end of the TLS direction, those of records included.
    pub behind: u64,
    /// How many KeyUpdates came.
    pub key_updates: u32,
    /// How many of them asked for one in return.
    pub key_updates_requested: u32,
    /// How many tickets came.
    pub tickets: u32,
    /// Handshake flights that came after the probe had stopped in the middle of the handshake, in records.
    pub flights: u32,
    /// Records that could not be opened, or were none.
    pub unreadable: u32,
    /// The alert that a well-kept peer would answer the first violation with; one behind the end of the TLS direction is none.
    pub error: Option<u8>,
}

/// What ended the direction in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsEnd {
    /// A close_notify.
    CloseNotify,
    /// An alert that ends everything, by its description.
    Alert(u8),
}

/// What ended the direction in TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpEnd {
    /// A FIN.
    Fin,
    /// A reset.
    Reset,
}

impl Received {
    /// Whether both layers ended, or TCP alone did.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.tcp_end.is_some()
    }
}

/// How what arrives is wrapped.
pub(crate) enum Unwrap {
    /// Not at all.
    Nothing,
    /// In records that cannot be opened, since there are no keys.
    Records,
    /// In sealed records, under one of these keys. Keys that do not open a record are passed over for good when others do.
    Sealed(Vec<Keys>),
}

/// The reading side of one connection.
pub(crate) struct Reading {
    unwrap: Unwrap,
    pending: Vec<u8>,
    messages: Vec<u8>,
    received: Received,
    /// Records that are no TLS follow; nothing can be made of them any more.
    lost: bool,
    log: Log,
    link: Link,
}

impl Reading {
    pub(crate) fn new(unwrap: Unwrap, log: Log, link: Link) -> Self {
        Self {
            unwrap,
            pending: Vec::new(),
            messages: Vec::new(),
            received: Received::default(),
            lost: false,
            log,
            link,
        }
    }

    pub(crate) fn received(&self) -> &Received {
        &self.received
    }

    /// Takes bytes that arrived.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if matches!(self.unwrap, Unwrap::Nothing) {
            self.data(bytes);
        } else if self.lost {
            self.received.unreadable += 1;
        } else {
            self.pending.extend_from_slice(bytes);
            self.records();
            if self.received.tls_end.is_some() {
                self.received.behind = self.received.behind.max(self.pending.len() as u64);
            }
        }
        self.log.stir();
    }

    /// Takes the end of the TCP direction.
    pub(crate) fn ended(&mut self, end: TcpEnd) {
        self.received.tcp_end = Some(end);
        self.received.cut_inside_record = !self.pending.is_empty();
        if self.received.cut_inside_record {
            self.note(What::Odd(format!("{} B of an unfinished record", self.pending.len())));
        }
        self.note(match end {
            TcpEnd::Fin => What::Fin,
            TcpEnd::Reset => What::Reset,
        });
    }

    fn records(&mut self) {
        while self.pending.len() >= HEADER {
            let length = HEADER + usize::from(u16::from_be_bytes([self.pending[3], self.pending[4]]));
            if !(20..=24).contains(&self.pending[0]) || self.pending[1] != 3 || length > LONGEST {
                self.odd(alert::UNEXPECTED_MESSAGE, format!("{} B that are no record", self.pending.len()));
                self.lost = true;
                if self.received.tls_end.is_some() {
                    self.received.behind += self.pending.len() as u64;
                }
                self.pending.clear();
                return;
            }
            if self.pending.len() < length {
                return;
            }
            let rest = self.pending.split_off(length);
            let record = std::mem::replace(&mut self.pending, rest);
            let behind = self.received.tls_end.is_some();
            self.record(&record);
            if behind {
                self.received.behind += record.len() as u64;
            }
        }
    }

    fn record(&mut self, record: &[u8]) {
        let (kind, body) = (record[0], &record[HEADER..]);
        match &mut self.unwrap {
            Unwrap::Nothing => {}
            Unwrap::Records => match (kind, body) {
                (ALERT, [level, code]) => self.alert(*level, *code),
                (CHANGE_CIPHER_SPEC, _) => {}
                (HANDSHAKE, [message, ..]) => self.flight(message_name(*message)),
                _ => self.flight(format!("a sealed record, {} B", body.len())),
            },
            Unwrap::Sealed(candidates) => {
                let tls13 = candidates.first().is_some_and(Keys::is_tls13);
                if kind == CHANGE_CIPHER_SPEC {
                    return;
                }
                let mut opened = None;
                if !tls13 || kind == APPLICATION_DATA {
                    let found = candidates.iter_mut().enumerate().find_map(|(at, keys)| Some((at, keys.open(record)?)));
                    opened = found.map(|(at, opened)| {
                        candidates.drain(..at);
                        opened
                    });
                }
                match opened {
                    Some((kind, content)) => self.content(kind, &content),
                    None => {
                        self.received.unreadable += 1;
                        let (error, unsealed) = match !tls13 || kind == APPLICATION_DATA {
                            true => (alert::BAD_RECORD_MAC, "that cannot be opened"),
                            false => (alert::UNEXPECTED_MESSAGE, "that is not sealed"),
                        };
                        let text = match body {
                            [level, code] if kind == ALERT => {
                                format!("{} {unsealed}", What::Alert { level: *level, code: *code })
                            }
                            _ => format!("a {} {unsealed}", kind_name(kind)),
                        };
                        self.odd(error, text);
                    }
                }
            }
        }
    }

    fn content(&mut self, kind: u8, content: &[u8]) {
        match (kind, content) {
            (APPLICATION_DATA, data) => self.data(data),
            (ALERT, [level, code]) => self.alert(*level, *code),
            (HANDSHAKE, part) => {
                self.messages.extend_from_slice(part);
                self.whole_messages();
            }
            (ALERT, []) => self.odd(alert::UNEXPECTED_MESSAGE, "an empty alert record".to_owned()),
            (ALERT, other) => self.odd(alert::DECODE_ERROR, format!("an alert record of {} B", other.len())),
            (kind, other) => {
                self.odd(alert::UNEXPECTED_MESSAGE, format!("a {}, {} B", kind_name(kind), other.len()));
            }
        }
    }

    fn whole_messages(&mut self) {
        while let [kind, high, middle, low, rest @ ..] = &self.messages[..] {
            let (kind, length) = (*kind, usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low));
            let Some(body) = rest.get(..length).map(<[u8]>::to_vec) else { return };
            self.messages.drain(..4 + length);
            match kind {
                KEY_UPDATE => {
                    if body != [0] && body != [1] {
                        self.odd(alert::ILLEGAL_PARAMETER, "a KeyUpdate with a bad value".to_owned());
                        continue;
                    }
                    let request = body == [1];
                    self.received.key_updates += 1;
                    self.received.key_updates_requested += u32::from(request);
                    if let Unwrap::Sealed(keys) = &mut self.unwrap {
                        keys.iter_mut().for_each(Keys::update);
                    }
                    self.note(What::KeyUpdate { request });
                }
                NEW_SESSION_TICKET => {
                    self.received.tickets += 1;
                    self.note(What::Ticket);
                }
                other => self.odd(alert::UNEXPECTED_MESSAGE, message_name(other)),
            }
        }
    }

    fn data(&mut self, data: &[u8]) {
        self.received.empty_records += u32::from(data.is_empty());
        if self.received.tls_end.is_some() {
            self.received.data_behind += data.len() as u64;
        } else {
            self.received.data_bytes += data.len() as u64;
            let room = KEPT.saturating_sub(self.received.data.len());
            self.received.data.extend_from_slice(&data[..data.len().min(room)]);
        }
        self.note(What::Data(data.len()));
    }

    fn alert(&mut self, level: u8, code: u8) {
        if self.received.alerts.len() < ALERTS_KEPT {
            self.received.alerts.push((level, code));
        }
        let what = match code {
            alert::CLOSE_NOTIFY => What::CloseNotify { level },
            _ => What::Alert { level, code },
        };
        // The level means nothing in TLS 1.3 (RFC 9846 section 6).
        let tls13 = matches!(&self.unwrap, Unwrap::Sealed(keys) if keys.first().is_some_and(Keys::is_tls13));
        let ends = what.is_end() || (tls13 && code != alert::USER_CANCELED);
        if ends && self.received.tls_end.is_none() {
            self.received.tls_end = Some(match code {
                alert::CLOSE_NOTIFY => TlsEnd::CloseNotify,
                _ => TlsEnd::Alert(code),
            });
        }
        self.note(what);
    }

    fn flight(&mut self, name: String) {
        self.received.flights += 1;
        self.note(What::Flight(name));
    }

    fn odd(&mut self, error: u8, text: String) {
        if self.received.tls_end.is_none() {
            self.received.error.get_or_insert(error);
        }
        self.note(What::Odd(text));
    }

    fn note(&mut self, what: What) {
        self.log.push(self.link, By::Subject, what);
    }
}

/// The name of a handshake message.
pub(crate) fn message_name(kind: u8) -> String {
    let name = match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        NEW_SESSION_TICKET => "NewSessionTicket",
        8 => "EncryptedExtensions",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        KEY_UPDATE => "KeyUpdate",
        other => return format!("handshake message {other}"),
    };
    name.to_owned()
}

/// A record of TLS 1.2 may be 2 KiB longer than its content, of 16 KiB at most.
const LONGEST: usize = HEADER + 16 * 1024 + 2048;
const NEW_SESSION_TICKET: u8 = 4;
/// As much plaintext is kept; more is counted only.
const KEPT: usize = 64 * 1024 * 1024;
const ALERTS_KEPT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(unwrap: Unwrap) -> (Reading, Log) {
        let log = Log::new();
        (Reading::new(unwrap, log.clone(), Link::Tls), log)
    }

    #[test]
    fn a_flood_of_data_is_counted_and_not_kept() {
        let (mut reading, log) = reading(Unwrap::Nothing);
        let chunk = vec![0; 1024 * 1024];
        for _ in 0..70 {
            reading.feed(&chunk);
        }
        assert_eq!(reading.received().data.len(), KEPT);
        assert_eq!(reading.received().data_bytes, 70 * 1024 * 1024);
        assert!(log.events().len() < 70);
    }

    #[test]
    fn a_flood_of_alerts_is_counted_and_not_kept() {
        let (mut reading, log) = reading(Unwrap::Records);
        for _ in 0..10_000 {
            reading.feed(&[ALERT, 3, 3, 0, 2, 1, 100]);
        }
        assert_eq!(reading.received().alerts.len(), ALERTS_KEPT);
        assert_eq!(log.events().len(), 2000);
    }

    #[test]
    fn what_is_no_record_is_noticed_once_and_not_kept() {
        let (mut reading, log) = reading(Unwrap::Records);
        for _ in 0..1000 {
            reading.feed(b"HTTP/1.1 400 Bad Request\r\n");
        }
        reading.ended(TcpEnd::Fin);
        assert_eq!(reading.received().error, Some(alert::UNEXPECTED_MESSAGE));
        assert!(reading.pending.is_empty() && !reading.received().cut_inside_record);
        assert_eq!(log.events().len(), 2);
    }

    #[test]
    fn an_end_inside_a_record_is_told() {
        let (mut reading, _) = reading(Unwrap::Records);
        reading.feed(&[HANDSHAKE, 3, 3, 0, 50, 14]);
        reading.ended(TcpEnd::Reset);
        assert!(reading.received().cut_inside_record);
        assert_eq!(reading.received().tcp_end, Some(TcpEnd::Reset));
    }
}
