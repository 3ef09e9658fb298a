//! The fidelity table for each kind of upstream: plain and TLS, over TCP and Unix sockets, with and without a PROXY protocol
//! header, in TLS 1.2 and 1.3 of the client. What one side did, what the other side got, and the line.
//!
//! A Unix socket knows no reset. A plain upstream at one sees the end of a truncated stream as any other end; only the line
//! tells. With TLS over it the close_notify is missing.

use crate::harness::Stopped;
use crate::scene::{STRICT, Scene, TOLERANT, each, each_silent};

/// The header of a record of 32 bytes, and two of them.
const PART_OF_A_RECORD: &[u8] = b"\x17\x03\x03\x00\x20\x01\x02";

#[test]
fn client_close_notify_completes_the_upload_and_the_answer_flows() {
    each(STRICT, |mut scene| {
        let records = [scene.client.seal(b" and more"), scene.client.close_notify()].concat();
        scene.client.write(&records);
        scene.upstream_gets(b" and more", scene.kind.sees_clean());
        scene.upstream.send(&[7; 100_000]);
        scene.upstream.end();
        scene.client_gets(&[7; 100_000], &["close_notify", "fin"]);
        let clean = scene.kind.clean();
        scene.line("complete", ["close_notify", "close_notify", clean, clean], "client").stop();
    });
}

#[test]
fn client_fin_without_close_notify_is_a_truncated_upload_if_strict() {
    each(STRICT, |mut scene| {
        scene.client.fin();
        scene.client_gets(b"", &["rst"]);
        scene.upstream_gets(b"", scene.kind.sees_cut());
        let cut = scene.kind.cut();
        scene.line("request_truncated", ["truncated_boundary", "aborted", "abandoned", cut], "client").stop();
    });
}

#[test]
fn client_fin_without_close_notify_is_an_end_if_tolerant_and_the_answer_flows() {
    each(TOLERANT, |mut scene| {
        scene.client.fin();
        scene.upstream_gets(b"", scene.kind.sees_clean());
        scene.upstream.send(b"answer");
        scene.upstream.end();
        scene.client_gets(b"answer", &["close_notify", "fin"]);
        let clean = scene.kind.clean();
        scene.line("request_truncated", ["truncated_boundary", "close_notify", clean, clean], "client").stop();
    });
}

#[test]
fn client_fin_inside_a_record_is_a_truncated_upload_even_if_tolerant() {
    for policy in [STRICT, TOLERANT] {
        each(policy, |mut scene| {
            let records = [&scene.client.seal(b"more"), PART_OF_A_RECORD].concat();
            scene.client.write(&records);
            scene.client.fin();
            scene.client_gets(b"", &["rst"]);
            scene.upstream_gets(b"more", scene.kind.sees_cut());
            let cut = scene.kind.cut();
            scene.line("request_truncated", ["truncated_inside_record", "aborted", "abandoned", cut], "client").stop();
        });
    }
}

#[test]
fn client_fatal_alert_is_a_truncated_upload_even_if_tolerant() {
    for policy in [STRICT, TOLERANT] {
        each(policy, |mut scene| {
            let records = [scene.client.seal(b"more"), scene.client.fatal_alert()].concat();
            scene.client.write(&records);
            assert_eq!(scene.client.end_of_tcp(), "rst", "{}", scene.kind);
            scene.upstream_gets(b"more", scene.kind.sees_cut());
            let cut = scene.kind.cut();
            scene.line("request_truncated", ["alert_decode_error", "aborted", "abandoned", cut], "client").stop();
        });
    }
}

#[test]
fn client_reset_is_a_truncated_upload_even_if_tolerant() {
    for policy in [STRICT, TOLERANT] {
        each(policy, |scene| {
            let Scene { mut served, client, mut upstream, kind } = scene;
            client.reset();
            assert_eq!(upstream.read_to_end(), (vec![], kind.sees_cut()), "{kind}");
            let endings = ["reset", "failed_connection_reset", "abandoned", kind.cut()];
            served.session(1).ended("request_truncated", endings, "client");
            served.stop();
        });
    }
}

#[test]
fn client_reset_after_its_close_notify_ends_a_silent_upstream() {
    each(STRICT, |mut scene| {
        let end = scene.client.close_notify();
        scene.client.write(&end);
        scene.upstream_gets(b"", scene.kind.sees_clean());
        let Scene { mut served, client, upstream, kind } = scene;
        client.reset();
        // The upstream is silent until the session is over.
        let line = served.session(1);
        let received = if kind.tls { "timed_out_close" } else { "abandoned" };
        line.ended("answer_truncated", ["close_notify", "failed_connection_reset", received, kind.clean()], "client");
        line.says(&["left before its answer was complete"]);
        drop(upstream);
        served.stop();
    });
}

#[test]
fn upstream_end_completes_the_answer_and_the_client_goes_on_sending() {
    each(STRICT, |mut scene| {
        scene.upstream.send(&[7; 100_000]);
        scene.upstream.end();
        scene.client_gets(&[7; 100_000], &["close_notify", "fin"]);
        scene.client.send(b" and more");
        assert_eq!(scene.upstream.read(9), b" and more", "{}", scene.kind);
        let end = scene.client.close_notify();
        scene.client.write(&end);
        scene.upstream_gets(b"", scene.kind.sees_clean());
        let clean = scene.kind.clean();
        scene.line("complete", ["close_notify", "close_notify", clean, clean], "upstream").stop();
    });
}

/// A Unix socket that is closed with unread bytes resets, too.
#[test]
fn upstream_reset_is_what_had_arrived_and_a_reset_without_close_notify() {
    each(STRICT, |mut scene| {
        scene.upstream.send(b"half an answer");
        assert_eq!(scene.client.read(14), b"half an answer");
        if scene.kind.unix {
            scene.client.send(b"unread");
            scene.upstream.socket.exactly(1);
        }
        let Scene { mut served, mut client, upstream, kind } = scene;
        upstream.reset();
        assert_eq!(client.read_to_end(), (vec![], vec!["rst"]), "{kind}");
        let sent = if kind.tls { "failed_connection_reset" } else { "reset" };
        served.session(1).ended("answer_truncated", ["abandoned", "aborted", "reset", sent], "upstream");
        served.stop();
    });
}

/// What no proxy can see without TLS to the upstream: a server that is killed ends with FIN.
#[test]
fn upstream_fin_without_close_notify_truncates_the_answer_of_a_tls_upstream() {
    each(STRICT, |mut scene| {
        scene.upstream.send(b"half an answer");
        scene.upstream.fin();
        if scene.kind.tls {
            scene.client_gets(b"half an answer", &["rst"]);
            scene.upstream_gets(b"", scene.kind.sees_cut());
            let endings = ["abandoned", "aborted", "truncated_boundary", "aborted"];
            scene.line("answer_truncated", endings, "upstream").stop();
        } else {
            assert_eq!(scene.client.read(14), b"half an answer");
            scene.client_gets(b"", &["close_notify", "fin"]);
            let end = scene.client.close_notify();
            scene.client.write(&end);
            scene.upstream_gets(b"", vec!["fin"]);
            scene.line("complete", ["close_notify", "close_notify", "fin", "fin"], "upstream").stop();
        }
    });
}

#[test]
fn idle_deadline_resets_both_sides_without_close_notify() {
    each_silent("", "timeouts = { idle = '300ms' }", |mut scene| {
        scene.client_gets(b"", &["rst"]);
        scene.upstream_gets(b"", scene.kind.sees_cut());
        scene.line("timed_out", ["timed_out_idle"; 4], "proxy").stop();
    });
}

#[test]
fn lifetime_resets_both_sides_without_close_notify() {
    each_silent("", "timeouts = { lifetime = '500ms' }", |mut scene| {
        scene.client_gets(b"", &["rst"]);
        scene.upstream_gets(b"", scene.kind.sees_cut());
        scene.line("timed_out", ["timed_out_lifetime"; 4], "proxy").stop();
    });
}

#[test]
fn half_close_deadline_leaves_what_is_complete() {
    each("timeouts = { half_close = '300ms' }", |mut scene| {
        let end = scene.client.close_notify();
        scene.client.write(&end);
        scene.upstream_gets(b"", scene.kind.sees_clean());
        scene.client_gets(b"", &["rst"]);
        let endings = ["close_notify", "timed_out_half_close", "timed_out_half_close", scene.kind.clean()];
        scene.line("timed_out", endings, "client").stop();
    });
}

#[test]
fn drain_deadline_resets_both_sides_without_close_notify() {
    each_silent("drain = '300ms'", STRICT, |mut scene| {
        let kind = scene.kind;
        scene.served.proxy.terminate();
        scene.client_gets(b"", &["rst"]);
        scene.upstream_gets(b"", kind.sees_cut());
        let served = scene.line("aborted", ["timed_out_drain"; 4], "proxy");
        let Stopped { code, .. } = served.proxy.wait();
        assert_eq!(code, Some(5), "{kind}");
    });
}

/// As by the OOM killer: nothing of ours runs any more, and nothing looks complete that is not.
#[test]
fn a_proxy_that_is_killed_resets_what_is_not_complete() {
    each(STRICT, |mut scene| {
        scene.served.proxy.kill("-KILL");
        scene.client_gets(b"", &["rst"]);
        scene.upstream_gets(b"", scene.kind.sees_cut());
    });
}
