//! Much data, and peers that leave or stop reading in the middle of it, for each kind of upstream: nothing that is complete is
//! lost, and nothing that is not looks complete.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::harness::collect;
use crate::scene::{STRICT, Scene, each};

/// More than the buffers on the way hold at first.
const MUCH: usize = 3_000_000;

#[test]
fn an_upload_is_complete_though_its_client_has_left_and_the_upstream_reads_late() {
    each(STRICT, |scene| {
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        let records = [client.seal(&vec![7; MUCH]), client.close_notify()].concat();
        let (sent, wait) = mpsc::channel();
        let reading = thread::spawn(move || {
            // Until the kernels hold all of it, or probably what they can. This decides nothing.
            let _gone = wait.recv_timeout(Duration::from_millis(300));
            let (data, words) = upstream.read_to_end();
            upstream.end();
            (data.len(), words)
        });
        client.socket.write_all(&records).unwrap();
        drop(client);
        let _done = sent.send(());
        assert_eq!(reading.join().unwrap(), (MUCH, kind.sees_clean()), "{kind}");
        let line = served.session(1);
        assert_eq!(line.number("bytes_from_client"), 5 + MUCH as u64, "{kind}: {line}");
        assert_eq!(
            (line.text("client_received"), line.text("upstream_sent")),
            ("close_notify", kind.clean()),
            "{line}"
        );
        served.stop();
    });
}

#[test]
fn an_answer_is_complete_though_its_upstream_has_left_and_the_client_reads_late() {
    each(STRICT, |scene| {
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        let end = client.close_notify();
        client.write(&end);
        let writing = thread::spawn(move || {
            assert_eq!(upstream.read_to_end().1, kind.sees_clean());
            upstream.send(&vec![7; MUCH]);
            upstream.end();
        });
        // The kernels on the way are full, or the upstream is done, whichever comes first.
        assert_eq!(client.read(1), [7]);
        let (data, words) = client.read_to_end();
        assert_eq!((data.len(), words), (MUCH - 1, vec!["close_notify", "fin"]), "{kind}");
        writing.join().unwrap();
        drop(client);
        let line = served.session(1);
        line.ended("complete", ["close_notify", "close_notify", kind.clean(), kind.clean()], "client");
        assert_eq!(line.number("bytes_from_upstream"), 5 + MUCH as u64, "{kind}: {line}");
        served.stop();
    });
}

/// An early answer, as a 413 is, by an upstream that reads no more and does not wait.
#[test]
fn an_early_answer_reaches_a_client_that_still_uploads() {
    each(STRICT, |scene| {
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        let records = client.seal(&vec![7; MUCH]);
        let mut socket = client.socket.try_clone().unwrap();
        // Its end is open: the answer may come at any time.
        let uploading = thread::spawn(move || socket.write_all(&records));
        assert_eq!(upstream.read(1), [7]);
        upstream.send(b"too much");
        upstream.end();
        assert_eq!(client.read_to_end(), (b"too much".to_vec(), vec!["close_notify", "fin"]), "{kind}");
        drop(upstream);
        uploading.join().unwrap().unwrap();
        drop(client);
        let line = served.session(1);
        assert_eq!(
            (line.text("client_sent"), line.text("upstream_received")),
            ("close_notify", kind.clean()),
            "{line}"
        );
        served.stop();
    });
}

#[test]
fn a_client_that_leaves_in_its_answer_ends_the_upstream_that_still_sends() {
    each(STRICT, |scene| {
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        let writing = thread::spawn(move || {
            let much = vec![7; 64 * 1024];
            // More than the kernels hold; it fails when the client has gone.
            for _ in 0..1024 {
                if upstream.try_send(&much).is_err() {
                    return true;
                }
            }
            false
        });
        assert_eq!(client.read(100_000), vec![7; 100_000]);
        client.reset();
        assert!(writing.join().unwrap(), "{kind}: the upstream is to be ended");
        let line = served.session(1);
        assert_eq!(line.text("ended_first"), "client", "{kind}: {line}");
        assert!(["request_truncated", "answer_truncated"].contains(&line.text("result")), "{kind}: {line}");
        served.stop();
    });
}

#[test]
fn an_upstream_that_breaks_tls_truncates_the_answer() {
    each(STRICT, |scene| {
        if !scene.kind.tls {
            return;
        }
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        upstream.send(b"half an answer");
        // A record of 32 bytes that its keys have not made.
        upstream.send_raw(&[&[0x17, 3, 3, 0, 32][..], &[1; 32]].concat());
        assert_eq!(client.read_to_end(), (b"half an answer".to_vec(), vec!["rst"]), "{kind}");
        // It is told why before its connection ends.
        assert_eq!(upstream.end_of_socket(), "fin", "{kind}");
        drop((client, upstream));
        let endings = ["abandoned", "aborted", "violation", "alert_bad_record_mac"];
        served.session(1).ended("answer_truncated", endings, "upstream");
        served.stop();
    });
}

#[test]
fn a_fatal_alert_of_the_upstream_truncates_the_answer() {
    each(STRICT, |scene| {
        if !scene.kind.tls {
            return;
        }
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        upstream.send(b"half an answer");
        upstream.fatal_alert();
        assert_eq!(client.read_to_end(), (b"half an answer".to_vec(), vec!["rst"]), "{kind}");
        drop((client, upstream));
        let line = served.session(1);
        line.ended("answer_truncated", ["abandoned", "aborted", "alert_decode_error", "aborted"], "upstream");
        served.stop();
    });
}

#[test]
fn what_comes_after_the_close_notify_of_the_upstream_does_not_reach_the_client() {
    each(STRICT, |scene| {
        if !scene.kind.tls {
            return;
        }
        let Scene { kind, mut served, mut client, mut upstream } = scene;
        upstream.send(b"answer");
        upstream.close_notify_and(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.read_to_end(), (b"answer".to_vec(), vec!["close_notify", "fin"]), "{kind}");
        let end = client.close_notify();
        client.write(&end);
        assert_eq!(collect(&client.socket).1, "fin");
        assert_eq!(upstream.read_to_end().1[0], "close_notify", "{kind}");
        drop((client, upstream));
        let line = served.session(1);
        line.ended("complete", ["close_notify"; 4], "upstream");
        assert_eq!(line.number("bytes_from_upstream"), 11, "{line}");
        served.stop();
    });
}
