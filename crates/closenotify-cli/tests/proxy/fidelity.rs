//! The fidelity table, row by row, in TLS 1.2 and 1.3: what one side did, what the other side got, and what the ledger says
//! of it. Endings stand in the order: received from and sent to the client, received from and sent to the upstream.

use std::io::Write;
use std::sync::mpsc;

use testkit::certs::TlsVersion;
use testkit::net::reset_on_close;

use crate::harness::{LIMIT, Play, Proxy, backend, collect};
use crate::tls_client::TlsClient;

/// `hello` to the backend, and `answer` back behind the client's end.
const ANSWERS: [&str; 3] = ["read-until-end", "send:answer", "close"];

const CLEAN: [&str; 4] = ["close_notify", "close_notify", "fin", "fin"];

/// docs/cases.md R62, J02, N10, V01, V04
#[test]
fn client_close_notify_is_upstream_fin_and_the_answer_flows() {
    let without_fin = ["send:hello", "close_notify", "read-until-end"];
    let with_fin = ["send:hello", "close_notify+fin", "read-until-end"];
    for client in [without_fin, with_fin] {
        Play::new(&client, &ANSWERS).in_each_version(|seen| {
            seen.ended(&["data 6", "close_notify", "fin"], &["data 5", "fin"], CLEAN, "client");
            assert_eq!((seen.client.text(), seen.backend.text()), ("answer".into(), "hello".into()));
            assert_eq!(seen.session.bytes(), (5, 6));
            assert_eq!((seen.session.trailing_bytes, &seen.session.reason), (0, &None));
        });
    }
}

#[test]
fn nothing_behind_a_close_notify_reaches_the_upstream() {
    // One byte; plain HTTP; the header and a third of a record.
    for (raw, trailing) in [("17", 1), ("474554202f20485454502f312e310d0a", 16), ("170303001e000102030405060708", 14)] {
        let glued = format!("send:hello+close_notify+raw:{raw}");
        Play::new(&[&glued, "read-until-end"], &ANSWERS).in_each_version(|seen| {
            seen.ended(&["data 6", "close_notify", "fin"], &["data 5", "fin"], CLEAN, "client");
            assert_eq!(seen.session.bytes(), (5, 6));
            assert_eq!((seen.session.trailing_bytes, &seen.session.reason), (trailing, &None));
        });
    }
}

/// docs/cases.md R41, C03, V08
#[test]
fn client_fin_without_close_notify_is_an_upstream_reset() {
    Play::new(&["send:hello+fin", "read-until-end"], &["read-until-end"]).in_each_version(|seen| {
        let endings = ["truncated_boundary", "aborted", "abandoned", "reset"];
        seen.ended(&["rst"], &["data 5", "rst"], endings, "client");
        assert_eq!(seen.session.bytes(), (5, 0));
        assert!(seen.session.reason.as_ref().is_some_and(|reason| reason.contains("without close_notify")));
    });
}

/// docs/cases.md V08
#[test]
fn client_fin_without_close_notify_is_an_upstream_fin_where_tolerated_and_still_told() {
    let play = Play::new(&["send:hello+fin", "read-until-end"], &ANSWERS).options(&["--truncation", "tolerant"]);
    play.in_each_version(|seen| {
        let endings = ["truncated_boundary", "close_notify", "fin", "fin"];
        seen.ended(&["data 6", "close_notify", "fin"], &["data 5", "fin"], endings, "client");
        assert_eq!(seen.session.bytes(), (5, 6));
        assert!(seen.session.reason.as_ref().is_some_and(|reason| reason.contains("without close_notify")));
    });
}

#[test]
fn client_fin_inside_a_record_is_told_from_one_between_records() {
    // The header of a record of 32 bytes, and two of them.
    let client = ["send:hello+raw:17030300200102+fin", "read-until-end"];
    Play::new(&client, &["read-until-end"]).in_each_version(|seen| {
        let endings = ["truncated_inside_record", "aborted", "abandoned", "reset"];
        seen.ended(&["rst"], &["data 5", "rst"], endings, "client");
    });
    Play::new(&client, &["read-until-end"]).options(&["--truncation", "tolerant"]).in_each_version(|seen| {
        let endings = ["truncated_inside_record", "aborted", "abandoned", "reset"];
        seen.ended(&["rst"], &["data 5", "rst"], endings, "client");
    });
}

#[test]
fn client_fatal_alert_is_an_upstream_reset_under_either_policy() {
    for (version, policy) in
        TlsVersion::EACH.into_iter().flat_map(|version| [(version, "strict"), (version, "tolerant")])
    {
        let (upstream, address) = backend(collect);
        let mut proxy = Proxy::start(address, &["--truncation", policy]);
        let mut client = TlsClient::connect(&proxy, version);
        let records = [client.seal(b"hello"), client.fatal_alert()].concat();
        client.write(&records);
        assert_eq!(client.end_of_tcp(), "rst");
        assert_eq!(upstream.join().unwrap(), (b"hello".to_vec(), "rst"));
        let session = proxy.session(1);
        assert_eq!(session.endings(), ["alert_decode_error", "aborted", "abandoned", "reset"], "{session:#?}");
        assert_eq!((session.first(), session.bytes()), ("client", (5, 0)), "{session:#?}");
        assert!(session.reason.as_ref().is_some_and(|reason| reason.contains("decode_error")), "{session:#?}");
        proxy.stop();
    }
}

#[test]
fn corrupted_record_is_an_upstream_reset_and_the_client_is_told_why() {
    let client =
        ["send:hello+raw:1703030020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "read-until-end"];
    for policy in ["strict", "tolerant"] {
        let options = ["--truncation", policy];
        Play::new(&client, &["read-until-end"]).options(&options).in_each_version(|seen| {
            let endings = ["violation", "alert_bad_record_mac", "abandoned", "reset"];
            seen.ended(&["alert 20", "fin"], &["data 5", "rst"], endings, "client");
        });
    }
}

#[test]
fn client_reset_is_an_upstream_reset() {
    for policy in ["strict", "tolerant"] {
        let options = ["--truncation", policy];
        let play = Play::new(&["send:hello", "read:2", "rst"], &["read:5", "send:ok", "read-until-end"]);
        play.options(&options).in_each_version(|seen| {
            let endings = ["reset", "failed_connection_reset", "abandoned", "reset"];
            seen.ended(&["data 2"], &["data 5", "rst"], endings, "client");
            assert_eq!(seen.session.bytes(), (5, 2));
        });
    }
}

/// docs/cases.md R39, L15
#[test]
fn upstream_fin_is_close_notify_and_fin_and_the_client_goes_on_sending() {
    let client = ["send:hello", "read-until-end", "send: and more", "close_notify+fin"];
    let backend = ["read:5", "send-size:1000000", "fin", "read-until-end"];
    Play::new(&client, &backend).in_each_version(|seen| {
        seen.ended(&["data 1000000", "close_notify", "fin"], &["data 14", "fin"], CLEAN, "upstream");
        assert_eq!(seen.backend.text(), "hello and more");
        assert_eq!((seen.session.bytes(), seen.session.discarded_bytes), ((14, 1_000_000), 0));
        assert_eq!(seen.session.reason, None);
    });
}

/// docs/cases.md H20
#[test]
fn upstream_reset_is_what_had_arrived_and_a_reset_without_close_notify() {
    let client = ["send:hello", "read-until-end"];
    Play::new(&client, &["read:5", "send-size:1000", "rst"]).in_each_version(|seen| {
        let endings = ["abandoned", "aborted", "reset", "reset"];
        seen.ended(&["data 1000", "rst"], &["data 5"], endings, "upstream");
        assert_eq!(seen.session.bytes(), (5, 1000));
        assert!(seen.session.reason.as_ref().is_some_and(|reason| reason.contains("incomplete")), "{seen:#?}");
    });
}

#[test]
fn upstream_reset_behind_the_client_close_notify_does_not_look_like_an_end() {
    let client = ["send:hello", "close_notify", "read-until-end"];
    Play::new(&client, &["read-until-end", "send-size:1000", "rst"]).in_each_version(|seen| {
        let endings = ["close_notify", "aborted", "reset", "fin"];
        seen.ended(&["data 1000", "rst"], &["data 5", "fin"], endings, "client");
    });
}

/// docs/cases.md V03
#[test]
fn client_reset_behind_its_close_notify_is_an_upstream_reset_though_the_upstream_is_silent() {
    for version in TlsVersion::EACH {
        let (say_fin, fin) = mpsc::channel();
        let (say_over, over) = mpsc::channel();
        let (upstream, address) = backend(move |mut socket| {
            say_fin.send(collect(&socket)).unwrap();
            // It says nothing until the session is over.
            over.recv().unwrap();
            socket.write(b"answer").unwrap_err().kind()
        });
        let mut proxy = Proxy::start(address, &[]);
        let mut client = TlsClient::connect(&proxy, version);
        let records = [client.seal(b"hello"), client.close_notify()].concat();
        client.write(&records);
        assert_eq!(fin.recv_timeout(LIMIT).unwrap(), (b"hello".to_vec(), "fin"));
        reset_on_close(&client.socket);
        drop(client);
        let session = proxy.session(1);
        let endings = ["close_notify", "failed_connection_reset", "abandoned", "fin"];
        assert_eq!((session.endings(), session.first()), (endings, "client"), "{session:#?}");
        assert!(session.reason.as_ref().is_some_and(|reason| reason.contains("left before")), "{session:#?}");
        say_over.send(()).unwrap();
        assert_eq!(upstream.join().unwrap(), std::io::ErrorKind::BrokenPipe, "a reset behind a FIN");
        proxy.stop();
    }
}

/// docs/cases.md L17, V02
#[test]
fn client_reset_behind_its_close_notify_keeps_the_close_notify() {
    for version in TlsVersion::EACH {
        let (upstream, address) = backend(|mut socket| {
            let seen = collect(&socket);
            // More than the kernels between us hold, so that the proxy finds the client gone.
            let wrote = (0..1024).try_for_each(|_| socket.write_all(&[7; 64 * 1024]));
            (seen, wrote.unwrap_err().kind())
        });
        let mut proxy = Proxy::start(address, &[]);
        let mut client = TlsClient::connect(&proxy, version);
        let records = [client.seal(b"hello"), client.close_notify()].concat();
        client.write(&records);
        let some = client.read(1000);
        assert_eq!(some, vec![7; 1000]);
        reset_on_close(&client.socket);
        drop(client);
        let (seen, cut) = upstream.join().unwrap();
        assert_eq!(seen, (b"hello".to_vec(), "fin"));
        // A reset behind a FIN, in the words of the kernel.
        assert_eq!(cut, std::io::ErrorKind::BrokenPipe);
        let session = proxy.session(1);
        // Whichever finds the reset first: the write of the answer, or the look at what comes behind the close_notify.
        let endings = |sent| ["close_notify", sent, "abandoned", "fin"];
        let either = [endings("failed_connection_reset"), endings("aborted")];
        assert!(either.contains(&session.endings()), "{session:#?}");
        assert_eq!(session.first(), "client", "{session:#?}");
        proxy.stop();
    }
}
