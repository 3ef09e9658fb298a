//! The faults that can be planted in the proxy, and the cases that each must fail.

/// By name.
pub(crate) const FAULTS: &[(&str, &[&str])] = &[
    (
        "close-notify-ends-all",
        &[
            "proxy/client-end/close-notify-is-fin",
            "proxy/client-end/close-notify-and-fin",
            "proxy/client-end/while-the-answer-flows",
            "proxy/upstream-end/slow-reader",
            "proxy/half-close/both-at-once",
        ],
    ),
    ("fin-ends-all", &["proxy/client-end/close-notify-and-fin", "proxy/client-end/in-the-first-segment"]),
    ("end-overtakes-data", &["proxy/client-end/one-byte-in-one-segment"]),
    ("forgets-an-early-end", &["proxy/client-end/in-the-first-segment"]),
    ("loses-what-does-not-fit", &["proxy/client-end/long-upload-slow-upstream", "proxy/upstream-end/late-reader"]),
    ("errs-on-bytes-behind", &["proxy/client-end/bytes-behind", "proxy/client-end/data-behind-keeps-the-answer"]),
    ("passes-on-data-behind", &["proxy/client-end/data-behind-is-not-passed-on"]),
    ("user-canceled-is-an-error", &["proxy/client-end/user-canceled"]),
    ("tolerates-fin", &["proxy/cut/fin-without-close-notify", "proxy/cut/fin-inside-a-record"]),
    ("reset-becomes-fin", &["proxy/cut/reset", "proxy/cut/reset-while-the-answer-flows"]),
    ("sees-no-reset", &["proxy/cut/reset-of-a-silent-session"]),
    ("alert-becomes-fin", &["proxy/cut/fatal-alert"]),
    ("error-becomes-fin", &["proxy/cut/broken-seal"]),
    ("dies-of-a-reset", &["proxy/cut/reset-while-the-answer-flows"]),
    ("dies-of-a-reset-in-the-handshake", &["proxy/connect/client-resets-in-the-handshake"]),
    ("no-close-notify", &["proxy/upstream-end/fin-is-close-notify", "proxy/upstream-end/no-byte"]),
    ("two-close-notifies", &["proxy/upstream-end/one-close-notify"]),
    ("data-behind-close-notify", &["proxy/upstream-end/one-close-notify"]),
    ("close-notify-at-level-fatal", &["proxy/upstream-end/one-close-notify"]),
    ("upstream-end-overtakes-data", &["proxy/upstream-end/one-byte-and-fin"]),
    (
        "upstream-fin-ends-all",
        &[
            "proxy/upstream-end/other-direction-stays-open",
            "proxy/upstream-end/answer-while-the-client-uploads",
            "proxy/half-close/upstream-first",
        ],
    ),
    ("no-linger", &["proxy/upstream-end/answer-of-a-gone-upstream"]),
    (
        "reset-becomes-close-notify",
        &[
            "proxy/upstream-end/reset",
            "proxy/upstream-end/reset-behind-unread-answer",
            "proxy/upstream-end/reset-of-a-half-closed-session",
        ],
    ),
    ("tcp-stays-open", &["proxy/upstream-end/tcp-ends-too"]),
    ("half-closed-for-half-a-second", &["proxy/half-close/answer-comes-late"]),
    ("ends-when-nothing-is-queued", &["proxy/half-close/answer-in-pieces"]),
    ("does-not-answer-key-updates", &["proxy/key-update/while-the-answer-flows"]),
    ("refused-is-an-empty-answer", &["proxy/connect/refused"]),
    (
        "connects-first-and-forgets",
        &[
            "proxy/connect/client-leaves-in-the-handshake",
            "proxy/connect/client-leaves-inside-its-hello",
            "proxy/connect/client-resets-in-the-handshake",
        ],
    ),
    (
        "handshakes-hang",
        &["proxy/connect/client-leaves-in-the-handshake", "proxy/connect/client-leaves-inside-its-hello"],
    ),
    (
        "spins-half-closed",
        &["proxy/quiet/half-closed", "proxy/quiet/half-closed-with-fin", "proxy/quiet/fin-while-the-answer-is-stuck"],
    ),
    ("spins-on-bytes-behind", &["proxy/quiet/one-byte-behind", "proxy/quiet/byte-behind-later"]),
    ("spins-on-fin", &["proxy/quiet/fin-inside-a-record"]),
    ("spins-when-the-upstream-has-ended", &["proxy/quiet/upstream-ended", "proxy/quiet/upload-is-stuck"]),
    ("spins-on-reset", &["proxy/quiet/reset-behind-close-notify"]),
];
