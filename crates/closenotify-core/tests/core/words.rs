//! The words of every ending: stable for machines, plain for people, and the ones that the documentation lists.

use closenotify_core::{
    AlertDescription, Deadline, HandshakeError, ReceivedEnding, SentEnding, TruncatedAt, io_kind_word,
};
use std::collections::BTreeSet;
use std::io::ErrorKind;

const DEADLINES: [(Deadline, &str); 5] = [
    (Deadline::Handshake, "handshake"),
    (Deadline::Idle, "idle"),
    (Deadline::HalfClose, "half_close"),
    (Deadline::Close, "close"),
    (Deadline::Drain, "drain"),
];

/// Every received ending but a violation, which only a peer can make: see `violations`.
fn received() -> Vec<(ReceivedEnding, &'static str, &'static str)> {
    vec![
        (ReceivedEnding::CloseNotify, "close_notify", "the peer closed cleanly (close_notify)"),
        (
            ReceivedEnding::Truncated { at: TruncatedAt::Boundary },
            "truncated_boundary",
            "the connection ended without close_notify, so data may be missing",
        ),
        (
            ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord },
            "truncated_inside_record",
            "the connection ended inside a TLS record, so data is missing",
        ),
        (ReceivedEnding::Reset, "reset", "the peer reset the connection"),
        (
            ReceivedEnding::Alert(AlertDescription::from(42)),
            "alert_bad_certificate",
            "the peer gave up with the fatal alert bad_certificate",
        ),
        (ReceivedEnding::TimedOut(Deadline::HalfClose), "timed_out_half_close", "the half-close deadline passed"),
        (
            ReceivedEnding::Failed(ErrorKind::HostUnreachable),
            "failed_host_unreachable",
            "reading from the connection failed: host unreachable",
        ),
        (ReceivedEnding::Abandoned, "abandoned", "reading was given up before the peer's end came"),
    ]
}

fn sent() -> Vec<(SentEnding, &'static str, &'static str)> {
    vec![
        (SentEnding::CloseNotify, "close_notify", "we closed cleanly (close_notify)"),
        (
            SentEnding::Alert(AlertDescription::DECODE_ERROR),
            "alert_decode_error",
            "we gave up with the fatal alert decode_error",
        ),
        (SentEnding::Aborted, "aborted", "we gave up without close_notify, so that the peer can tell"),
        (
            SentEnding::Failed(ErrorKind::BrokenPipe),
            "failed_broken_pipe",
            "writing to the connection failed: broken pipe",
        ),
        (SentEnding::TimedOut(Deadline::Close), "timed_out_close", "the close deadline passed before the end was sent"),
    ]
}

/// docs/cases.md L20
#[test]
fn endings_have_their_words_and_one_kind_is_clean() {
    for (ending, word, display) in received() {
        assert_eq!((ending.word().as_ref(), ending.to_string().as_str()), (word, display));
        assert_eq!(ending.is_clean(), word == "close_notify");
    }
    for (ending, word, display) in sent() {
        assert_eq!((ending.word().as_ref(), ending.to_string().as_str()), (word, display));
        assert_eq!(ending.is_clean(), word == "close_notify");
    }
    for (deadline, word) in DEADLINES {
        assert_eq!(deadline.word(), word);
        assert_eq!(deadline.to_string(), format!("the {} deadline", word.replace('_', "-")));
    }
}

/// The tables in the documentation of the two types list these words and no others.
#[test]
fn the_documented_tables_list_every_word() {
    let source = include_str!("../../src/ending.rs");
    let tables: Vec<BTreeSet<String>> = source
        .split("| ending | machine word |")
        .skip(1)
        .map(|table| {
            table
                .lines()
                .skip(2)
                .map_while(|line| line.split('|').nth(2))
                .map(|cell| cell.replace(['`', ' '], ""))
                .collect()
        })
        .collect();
    let general = |word: &str| match word.split_once('_') {
        Some(("alert", _)) => "alert_x".to_owned(),
        Some(("failed", _)) => "failed_kind".to_owned(),
        Some(("timed", _)) => "timed_out_d".to_owned(),
        _ => word.to_owned(),
    };
    let mut of_received: BTreeSet<String> = received().iter().map(|(_, word, _)| general(word)).collect();
    of_received.insert("violation".to_owned());
    let of_sent: BTreeSet<String> = sent().iter().map(|(_, word, _)| general(word)).collect();
    assert_eq!(tables, [of_received, of_sent]);
}

#[test]
fn handshake_errors_have_their_words() {
    let boundary = TruncatedAt::Boundary;
    let cases = [
        (
            HandshakeError::Alert(AlertDescription::CLOSE_NOTIFY),
            "alert_close_notify",
            "the peer closed (close_notify) before the handshake was complete",
            ErrorKind::InvalidData,
        ),
        (
            HandshakeError::Alert(AlertDescription::HANDSHAKE_FAILURE),
            "alert_handshake_failure",
            "the peer refused the handshake with the alert handshake_failure",
            ErrorKind::InvalidData,
        ),
        (
            HandshakeError::NotTls { plain_http: true },
            "not_tls_plain_http",
            "the peer sent plain HTTP to a TLS port; it should use https://",
            ErrorKind::InvalidData,
        ),
        (
            HandshakeError::NotTls { plain_http: false },
            "not_tls",
            "what the peer sent is not TLS",
            ErrorKind::InvalidData,
        ),
        (
            HandshakeError::Refused(rustls::Error::NoApplicationProtocol),
            "refused",
            "the handshake was refused: no application protocol (ALPN) in common",
            ErrorKind::InvalidData,
        ),
        (
            HandshakeError::Truncated { at: boundary, silent: true },
            "truncated_boundary",
            "the peer disconnected without sending anything",
            ErrorKind::UnexpectedEof,
        ),
        (
            HandshakeError::Truncated { at: TruncatedAt::InsideRecord, silent: false },
            "truncated_inside_record",
            "the peer disconnected before the handshake was complete",
            ErrorKind::UnexpectedEof,
        ),
        (
            HandshakeError::Reset,
            "reset",
            "the peer reset the connection before the handshake was complete",
            ErrorKind::ConnectionReset,
        ),
        (
            HandshakeError::Failed(ErrorKind::BrokenPipe),
            "failed_broken_pipe",
            "the connection failed before the handshake was complete: broken pipe",
            ErrorKind::BrokenPipe,
        ),
        (
            HandshakeError::TimedOut(Deadline::Handshake),
            "timed_out_handshake",
            "the handshake deadline passed before the handshake was complete",
            ErrorKind::TimedOut,
        ),
        (
            HandshakeError::HelloTooLong,
            "hello_too_long",
            "the ClientHello is longer than 131072 bytes",
            ErrorKind::InvalidData,
        ),
        (
            HandshakeError::EarlyDataTooLong,
            "early_data_too_long",
            "the early data is more than the keys of a TLS 1.2 session may protect; send less of it early",
            ErrorKind::InvalidInput,
        ),
        (
            HandshakeError::NoKeyExtraction,
            "no_key_extraction",
            "the crypto provider does not hand out the keys of its cipher suites (extract_keys of its AEAD); use another provider",
            ErrorKind::Unsupported,
        ),
        (
            HandshakeError::NoClock,
            "no_clock",
            "a handshake timeout is set, but the Tokio runtime has no clock: call enable_time on its builder, or switch the timeout off",
            ErrorKind::Unsupported,
        ),
    ];
    for (error, word, display, kind) in cases {
        assert_eq!(format!("{error:?}"), display, "what `main` prints");
        assert_eq!((error.word().as_ref(), error.to_string().as_str(), error.io_kind()), (word, display, kind));
    }
}

#[test]
fn every_alert_has_a_word_made_of_small_letters() {
    for code in 0..=255 {
        let word = AlertDescription::from(code).word().into_owned();
        assert!(word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{word}");
    }
    assert_eq!(io_kind_word(ErrorKind::ConnectionReset), "connection_reset");
    assert_eq!(io_kind_word(ErrorKind::WouldBlock), "would_block");
    assert_eq!(io_kind_word(ErrorKind::Other), "other");
}
