//! Nothing that was sent whole is lost, however the closing falls: 4 MiB each way, compared by their digest.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;

use testkit::certs::TlsVersion;

use crate::harness::{LIMIT, Play, Proxy, backend};
use crate::tls_client::TlsClient;

/// SHA-256 of what `send-size:4194304` of `tls_peer.py` sends: the bytes 0 to 255 over and over.
const FOUR_MIB: &str = "2b07811057df887086f06a67edc6ebf911de8b6741156e7a2eb1416a4b8b1b2e";

const CLEAN: [&str; 4] = ["close_notify", "close_notify", "fin", "fin"];

/// docs/cases.md N04
#[test]
fn answer_outlives_client_bytes_that_nobody_reads() {
    // 4 KiB behind the close_notify, in a segment of their own: they lie unread in the proxy's socket when it closes.
    let unread = format!("raw:{}", "17".repeat(4096));
    // The wait makes the client a slow one, so that most of the answer is still in the proxy's kernel then.
    let client = ["send:hello", "close_notify", &unread, "wait:0.3", "read-until-end"];
    let play = Play::new(&client, &["read-until-end", "send-size:4194304", "close"]);
    play.client_options(&["--rcvbuf", "16384"]).in_each_version(|seen| {
        seen.ended(&["data 4194304", "close_notify", "fin"], &["data 5", "fin"], CLEAN, "client");
        assert_eq!(seen.client.sha256, FOUR_MIB);
        assert_eq!(seen.session.bytes(), (5, 4 << 20));
    });
}

#[test]
fn answer_reaches_a_client_that_starts_to_read_late() {
    let client = ["send:hello", "wait:0.5", "read-until-end", "close_notify+fin"];
    let play = Play::new(&client, &["read:5", "send-size:4194304", "fin", "read-until-end"]);
    play.client_options(&["--rcvbuf", "16384"]).in_each_version(|seen| {
        seen.ended(&["data 4194304", "close_notify", "fin"], &["data 5", "fin"], CLEAN, "upstream");
        assert_eq!(seen.client.sha256, FOUR_MIB);
    });
}

/// docs/cases.md O09, D09
#[test]
fn upload_of_a_client_that_closes_at_once_arrives_whole() {
    // The answer's first bytes are read so that nothing lies unread in the client's socket, which its kernel would answer
    // with a reset.
    let client = ["read:2", "send-size:4194304", "close_notify", "close"];
    Play::new(&client, &["send:go", "read-until-end", "close"]).in_each_version(|seen| {
        seen.ended(&["data 2"], &["data 4194304", "fin"], CLEAN, "client");
        assert_eq!(seen.backend.sha256, FOUR_MIB);
        assert_eq!(seen.session.bytes(), (4 << 20, 2));
    });
}

/// docs/cases.md H03
#[test]
fn both_ways_at_once_arrive_whole() {
    let client = ["send-size:4194304", "close_notify", "read-until-end"];
    Play::new(&client, &["send-size:4194304", "fin", "read-until-end"]).in_each_version(|seen| {
        let both = (seen.client.sha256.as_str(), seen.backend.sha256.as_str());
        assert_eq!(both, (FOUR_MIB, FOUR_MIB), "{seen:#?}");
        assert_eq!(seen.session.endings(), CLEAN, "{seen:#?}");
        assert_eq!(seen.client.words(), ["data 4194304", "close_notify", "fin"]);
        assert_eq!(seen.backend.words(), ["data 4194304", "fin"]);
    });
}

#[test]
fn early_answer_ends_clean_while_its_upload_is_read_by_nobody() {
    for version in TlsVersion::EACH {
        let (arrived, has_arrived) = mpsc::channel();
        let (upstream, address) = backend(move |mut socket| {
            socket.read_exact(&mut [0; 5]).unwrap();
            socket.write_all(&[7; 200_000]).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            // Closed over unread bytes: the kernel resets.
            has_arrived.recv_timeout(LIMIT).unwrap();
        });
        let mut proxy = Proxy::start(address, &[]);
        let mut client = TlsClient::connect(&proxy, version);
        // More than all kernels on the way hold, and less than the proxy is ready to throw away.
        let upload = [client.seal(b"hello"), client.seal(&vec![1; 14 << 20]), client.close_notify()].concat();
        let mut sending = client.socket.try_clone().unwrap();
        let uploading = thread::spawn(move || {
            sending.write_all(&upload).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        let (data, end) = client.read_to_end();
        assert_eq!((data.len(), end), (200_000, vec!["close_notify", "fin"]));
        arrived.send(()).unwrap();
        upstream.join().unwrap();
        uploading.join().expect("the rest of the upload is taken and thrown away");
        let session = proxy.session(1);
        // The reset came behind the upstream's FIN: a broken pipe in the words of the kernel.
        let endings = ["close_notify", "close_notify", "fin", "failed_broken_pipe"];
        assert_eq!((session.endings(), session.first()), (endings, "upstream"), "{session:#?}");
        assert_eq!(session.bytes_from_upstream, 200_000);
        assert!(session.bytes_from_client < 14 << 20 && session.discarded_bytes > 0, "{session:#?}");
        proxy.stop();
    }
}

/// docs/cases.md N09
#[test]
fn answer_of_an_upstream_that_is_gone_ends_clean_while_the_client_uploads() {
    for version in TlsVersion::EACH {
        let (upstream, address) = backend(|mut socket| {
            socket.read_exact(&mut [0; 5]).unwrap();
            socket.write_all(&[7; 200_000]).unwrap();
            // Closed whole, with nothing unread: a FIN, and a reset for whatever comes later.
        });
        let mut proxy = Proxy::start(address, &[]);
        let mut client = TlsClient::connect(&proxy, version);
        client.send(b"hello");
        assert_eq!(client.read(200_000).len(), 200_000);
        upstream.join().unwrap();
        let upload = [client.seal(&vec![1; 1_600_000]), client.close_notify()].concat();
        let mut sending = client.socket.try_clone().unwrap();
        let uploading = thread::spawn(move || {
            sending.write_all(&upload).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(client.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
        uploading.join().expect("the rest of the upload is taken and thrown away");
        let session = proxy.session(1);
        let endings = ["close_notify", "close_notify", "fin", "failed_broken_pipe"];
        assert_eq!((session.endings(), session.first()), (endings, "upstream"), "{session:#?}");
        proxy.stop();
    }
}
