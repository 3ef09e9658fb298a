//! tokio's `copy_bidirectional` with our streams on both sides: half-closes go through, and a cut does not look like an end.

use crate::setup::{BIG, Sessions, assert_clean, message, sessions, within};
use closenotify::{Ended, Linger, is_truncation};
use std::io;
use testkit::certs::TlsVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What the relay saw: the result of the copy, and on success how the sessions with the client and the upstream ended.
type Relayed = io::Result<[Ended; 2]>;

/// A client, an upstream, and a relay between them, with TLS on both of its sides.
async fn relay(version: TlsVersion) -> (Sessions, tokio::task::JoinHandle<Relayed>) {
    let (client, mut near) = sessions(version).await;
    let (mut far, upstream) = sessions(version).await;
    let relaying = tokio::spawn(async move {
        #[expect(clippy::disallowed_methods, reason = "it is what must work, too")]
        tokio::io::copy_bidirectional(&mut near, &mut far).await?;
        let (near, far) = tokio::join!(near.close(Linger::default()), far.close(Linger::default()));
        Ok([near, far])
    });
    ((client, upstream), relaying)
}

/// docs/cases.md R62
#[tokio::test]
async fn big_messages_and_half_closes_go_both_ways() {
    for version in TlsVersion::EACH {
        for client_first in [true, false] {
            let ((client, upstream), relaying) = relay(version).await;
            let (mut first, mut second) = (closenotify::TlsStream::from(client), upstream.into());
            if !client_first {
                std::mem::swap(&mut first, &mut second);
            }
            let asking = async {
                first.write_all(&message(BIG)).await.unwrap();
                first.shutdown().await.unwrap();
                let mut answer = Vec::new();
                first.read_to_end(&mut answer).await.unwrap();
                assert!(answer == message(BIG), "{} bytes", answer.len());
                first.close(Linger::default()).await
            };
            let answering = async {
                let mut request = Vec::new();
                second.read_to_end(&mut request).await.unwrap();
                assert!(request == message(BIG), "{} bytes", request.len());
                second.write_all(&request).await.unwrap();
                second.close(Linger::default()).await
            };
            let (first, second) = within("both sides", async { tokio::join!(asking, answering) }).await;
            let [near, far] = within("the relay", relaying).await.unwrap().unwrap();
            for (side, ended) in [("first", first), ("second", second), ("near", near), ("far", far)] {
                assert_clean(side, &ended);
            }
        }
    }
}

#[tokio::test]
async fn a_cut_message_is_an_error_of_the_relay_and_does_not_look_whole_behind_it() {
    for version in TlsVersion::EACH {
        let ((mut client, mut upstream), relaying) = relay(version).await;
        client.write_all(b"half a mess").await.unwrap();
        client.flush().await.unwrap();
        let mut head = [0; 4];
        within("the head", upstream.read_exact(&mut head)).await.unwrap();
        client.get_mut().0.shutdown().await.unwrap();
        let error = within("the relay", relaying).await.unwrap().unwrap_err();
        assert!(is_truncation(&error), "{error:?}");
        let mut rest = Vec::new();
        let error = within("the end", upstream.read_to_end(&mut rest)).await.unwrap_err();
        assert!(is_truncation(&error), "{error:?}");
        assert_eq!(rest, b" a mess");
    }
}
