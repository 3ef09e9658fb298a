//! What a script sends, turned into bytes: whole records, parts of records, and what is no record at all.
//!
//! Nothing is refused: whether a piece may be sent now is the script's affair.

use crate::alert;
use crate::event::What;
use crate::keys::{ALERT, APPLICATION_DATA, HANDSHAKE, Keys, header};

/// One thing to send. On a link without TLS only [`Data`](Self::Data) and [`Raw`](Self::Raw) mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Application data, in records of at most 16 KiB; of no bytes, one empty record.
    Data(Vec<u8>),
    /// One alert in one record.
    Alert {
        /// 1 is warning, 2 is fatal.
        level: u8,
        /// The description.
        code: u8,
    },
    /// A KeyUpdate; what follows is sealed with the next keys (TLS 1.3).
    KeyUpdate {
        /// Whether one is asked for in return.
        request: bool,
    },
    /// A record of any kind with any content: alerts in parts or in pairs, empty ones, messages that are not expected.
    Record {
        /// The content type.
        kind: u8,
        /// The content, at most 16 KiB.
        content: Vec<u8>,
    },
    /// A record that is not sealed, though the session is.
    Clear {
        /// The content type.
        kind: u8,
        /// The content, at most 16 KiB.
        content: Vec<u8>,
    },
    /// A record of application data whose seal is broken.
    Garbled(Vec<u8>),
    /// The first bytes of a piece; the rest is never sent.
    Part {
        /// What is cut.
        of: Box<Self>,
        /// How many bytes of it are sent.
        bytes: usize,
    },
    /// Bytes of the transport that are no record.
    Raw(Vec<u8>),
}

impl Piece {
    /// A close_notify as it must be.
    pub const CLOSE_NOTIFY: Self = Self::Alert { level: alert::WARNING, code: alert::CLOSE_NOTIFY };

    /// A fatal alert.
    #[must_use]
    pub fn fatal(code: u8) -> Self {
        Self::Alert { level: alert::FATAL, code }
    }

    /// The first bytes of this.
    #[must_use]
    pub fn part(self, bytes: usize) -> Self {
        Self::Part { of: Box::new(self), bytes }
    }

    /// A handshake message of a type with a body, alone in its record.
    #[must_use]
    pub fn message(kind: u8, body: &[u8]) -> Self {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self::Record { kind: HANDSHAKE, content: [&[kind][..], &length[1..], body].concat() }
    }

    /// What it is, for the log.
    pub(crate) fn what(&self) -> What {
        match self {
            Self::Data(data) if data.is_empty() => What::Odd("an empty data record".to_owned()),
            Self::Data(data) => What::Data(data.len()),
            Self::Alert { level, code: alert::CLOSE_NOTIFY } => What::CloseNotify { level: *level },
            Self::Alert { level, code } => What::Alert { level: *level, code: *code },
            Self::KeyUpdate { request } => What::KeyUpdate { request: *request },
            Self::Record { kind: ALERT, content } if content.is_empty() => {
                What::Odd("an empty alert record".to_owned())
            }
            Self::Record { kind: ALERT, content } if content.len() == 1 => What::Odd("half an alert".to_owned()),
            Self::Record { kind, content } => What::Odd(format!("{}, {} B", kind_name(*kind), content.len())),
            Self::Clear { kind, content } => What::Odd(format!("unsealed {}, {} B", kind_name(*kind), content.len())),
            Self::Garbled(_) => What::Odd("a record with a broken seal".to_owned()),
            Self::Part { of, bytes } => What::Odd(format!("the first {bytes} B of: {}", of.what())),
            Self::Raw(bytes) => What::Odd(format!("{} B that are no record", bytes.len())),
        }
    }
}

/// How what is sent is wrapped.
pub(crate) enum Wrap {
    /// Not at all: a link without TLS.
    Nothing,
    /// In records that are not sealed: a handshake without keys.
    Records,
    /// In sealed records.
    Sealed(Box<Keys>),
}

impl Wrap {
    /// The bytes of a piece.
    pub(crate) fn encode(&mut self, piece: &Piece) -> Vec<u8> {
        match piece {
            Piece::Data(data) if matches!(self, Self::Nothing) => data.clone(),
            Piece::Data(data) if data.is_empty() => self.record(APPLICATION_DATA, data),
            Piece::Data(data) => data.chunks(RECORD_MAX).flat_map(|part| self.record(APPLICATION_DATA, part)).collect(),
            Piece::Alert { level, code } => self.record(ALERT, &[*level, *code]),
            Piece::KeyUpdate { request } => {
                let record = self.record(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, u8::from(*request)]);
                if let Self::Sealed(keys) = self {
                    keys.update();
                }
                record
            }
            Piece::Record { kind, content } => self.record(*kind, content),
            Piece::Clear { kind, content } => [&header(*kind, content.len()), &content[..]].concat(),
            Piece::Garbled(data) => {
                let mut record = self.record(APPLICATION_DATA, data);
                if let Some(last) = record.last_mut() {
                    *last ^= 0xff;
                }
                record
            }
            Piece::Part { of, bytes } => {
                let mut whole = self.encode(of);
                whole.truncate(*bytes);
                whole
            }
            Piece::Raw(bytes) => bytes.clone(),
        }
    }

    fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Sealed(keys) => keys.seal(kind, content),
            Self::Nothing | Self::Records => [&header(kind, content.len()), content].concat(),
        }
    }
}

/// The name of a content type.
pub(crate) fn kind_name(kind: u8) -> String {
    match kind {
        20 => "change_cipher_spec".to_owned(),
        ALERT => "alert record".to_owned(),
        HANDSHAKE => "handshake message".to_owned(),
        APPLICATION_DATA => "data record".to_owned(),
        other => format!("record of unknown kind {other}"),
    }
}

pub(crate) const RECORD_MAX: usize = 16 * 1024;
pub(crate) const KEY_UPDATE: u8 = 24;
