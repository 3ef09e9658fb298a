use super::*;
use crate::outbox::Outbox;
use closenotify_core::{Handshake, Progress, Session};
use std::io::IoSlice;
use testkit::certs::{Authority, TlsVersion};
use testkit::executor::CountingWaker;
use testkit::transport::{ReadStep, Scripted};

fn sessions(version: TlsVersion) -> (Session, Session) {
    let authority = Authority::new();
    let name = "localhost".try_into().expect("a name");
    let mut client = Handshake::client(authority.client_config(version), name).expect("a configuration");
    let mut server = Handshake::server(authority.server_config(version)).expect("a configuration");
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    loop {
        client.take_output(&mut to_server);
        let at_server = server.advance(&mut to_server).expect("a good peer");
        server.take_output(&mut to_client);
        let at_client = client.advance(&mut to_client).expect("a good peer");
        if (at_client, at_server) == (Progress::Complete, Progress::Complete) {
            return (client.into_session(), server.into_session());
        }
    }
}

#[test]
fn a_session_at_rest_holds_no_buffers() {
    for version in TlsVersion::EACH {
        let (client, server) = sessions(version);
        let mut peer = client.sender;
        let (mut io, wire) = Scripted::new([]);
        let link = Link::new();
        let waker = CountingWaker::new();
        let mut reading = Reading::new(server.receiver, BytesMut::new(), Truncation::Error, BufferLimit::default());
        let mut outbox = Outbox::new();
        outbox.begin(server.sender, BufferLimit::default(), false).expect("nothing was written");
        let big = vec![1; 64 * 1024];
        for round in 0..3 {
            let mut bytes = BytesMut::new();
            peer.write(&[IoSlice::new(&big)], &mut bytes).expect("open");
            wire.push_data(bytes.to_vec());
            let mut got = 0;
            while got < big.len() {
                // One round each way of reading.
                let mut out = BytesMut::with_capacity(big.len()).limit(big.len());
                waker.with_context(|cx| {
                    if round == 1 {
                        assert!(reading.poll_fill_buf(&mut io, &link, cx).is_ready());
                        got += reading.buffer().len();
                        reading.consume(reading.buffer().len());
                    } else {
                        assert!(reading.poll_read(&mut io, &link, cx, &mut out).is_ready());
                        got += out.get_ref().len();
                    }
                });
            }
            waker.with_context(|cx| {
                assert!(reading.poll_fill_buf(&mut io, &link, cx).is_pending());
                assert!(outbox.poll_write(&mut io, &link, cx, &[IoSlice::new(&big)]).is_ready());
                assert!(outbox.poll_flush(&mut io, &link, cx).is_ready());
            });
            assert_eq!(reading.input.capacity(), 0, "{version:?} {round}");
            assert_eq!(outbox.held(), 0);
        }
        // The beginning of a record, and only that.
        let mut bytes = BytesMut::new();
        peer.write(&[IoSlice::new(b"hello")], &mut bytes).expect("open");
        wire.push_data(&bytes[..9]);
        waker.with_context(|cx| assert!(reading.poll_fill_buf(&mut io, &link, cx).is_pending()));
        assert_eq!(reading.input.len(), 9);
        assert!(reading.input.capacity() <= 64, "{}", reading.input.capacity());
        wire.push_read(ReadStep::Eof);
        waker.with_context(|cx| assert!(reading.poll_fill_buf(&mut io, &link, cx).is_ready()));
        assert_eq!(reading.input.capacity(), 0);
    }
}

/// Whatever a peer sends and however it is cut, the input holds one read of the transport and part of a record.
#[test]
fn the_input_is_bounded() {
    let (client, server) = sessions(TlsVersion::V13);
    let mut peer = client.sender;
    let (mut io, wire) = Scripted::new([]);
    let (link, waker) = (Link::new(), CountingWaker::new());
    let mut receiver = Some(server.receiver);
    for limit in [BufferLimit::default(), BufferLimit::new(0)] {
        let given = receiver.take().expect("given back by the round before");
        let mut reading = Reading::new(given, BytesMut::new(), Truncation::Error, limit);
        let mut bytes = BytesMut::new();
        for length in [64 * 1024, 1, 10_000, 20_000, 3].repeat(10) {
            peer.write(&[IoSlice::new(&vec![1; length])], &mut bytes).expect("open");
        }
        wire.push_data(bytes.to_vec());
        let mut polled = Poll::Ready(Ok(()));
        while polled.is_ready() {
            polled = waker.with_context(|cx| {
                let mut some = [0; 1000];
                reading.poll_read(&mut io, &link, cx, &mut &mut some[..])
            });
            assert!(reading.input.capacity() <= limit.input_max(), "{}", reading.input.capacity());
        }
        receiver = Some(reading.receiver);
    }
}
