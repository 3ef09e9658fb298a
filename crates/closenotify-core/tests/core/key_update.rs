//! KeyUpdates (RFC 9846 section 4.7.3) in both directions, in every suite, by the thousand, and cut at every byte.

use crate::peer::{self, EACH, Met, Side};
use bytes::BytesMut;
use closenotify_core::{Read, ReceivedEnding, SentEnding};
use rustls::ClientConfig;
use std::io::IoSlice;
use testkit::certs::TlsVersion;

/// Our side and plain rustls, in each suite of a version that the server's certificate fits.
fn in_each_suite(version: TlsVersion, side: Side, mut run: impl FnMut(Met, &str)) {
    let configs = peer::Configs::of(version);
    let provider = configs.client.crypto_provider();
    let mut suites = 0;
    for suite in &provider.cipher_suites {
        let name = format!("{:?}", suite.suite());
        let wanted = if version == TlsVersion::V12 { "_ECDSA_" } else { "TLS13_" };
        if !name.contains(wanted) {
            continue;
        }
        let mut only = provider.as_ref().clone();
        only.cipher_suites = vec![*suite];
        let mut client = ClientConfig::builder_with_provider(only.into())
            .with_protocol_versions(&[suite.version()])
            .unwrap()
            .with_root_certificates(peer::roots())
            .with_no_client_auth();
        client.enable_secret_extraction = true;
        run(peer::meet_with(configs.server.clone(), client, side), &format!("{side:?} {name}"));
        suites += 1;
    }
    assert_eq!(suites, 3, "{version:?}");
}

#[test]
fn data_goes_both_ways_in_every_suite_read_byte_by_byte() {
    for (version, side) in EACH {
        in_each_suite(version, side, |Met { mut ours, mut peer, mut input }, case| {
            for round in 0..20_u32 {
                let payload: Vec<u8> = (0..round * 97).map(|at| (at % 251) as u8).collect();
                let mut output = BytesMut::new();
                ours.sender.write(&[IoSlice::new(&payload)], &mut output).unwrap();
                assert!(peer::read_at(&mut peer, &output) == (payload.clone(), Ok(false)), "{case}");
                let mut received = Vec::new();
                for byte in peer::data(&mut peer, &payload) {
                    input.extend_from_slice(&[byte]);
                    let _ = peer::read_all(&mut ours.receiver, &mut input, 1, &mut received);
                }
                assert!(received == payload && input.is_empty(), "{case}");
            }
        });
    }
}

#[test]
fn thousands_of_key_updates_with_data_between_are_followed_and_replied_to() {
    for side in [Side::Client, Side::Server] {
        in_each_suite(TlsVersion::V13, side, |Met { mut ours, mut peer, mut input }, case| {
            for round in 0..2_000_u32 {
                let payload = round.to_be_bytes();
                input.extend_from_slice(&peer::key_update(&mut peer));
                input.extend_from_slice(&peer::data(&mut peer, &payload));
                let (plaintext, read, owes) = peer::read(&mut ours, &mut input);
                assert_eq!((plaintext.as_slice(), read), (&payload[..], Read::NeedInput), "{case}, {round}");
                let mut output = peer::pay(&mut ours, owes);
                ours.sender.write(&[IoSlice::new(&payload)], &mut output).unwrap();
                assert_eq!(peer::read_at(&mut peer, &output), (payload.to_vec(), Ok(false)), "{case}, {round}");
            }
            input.extend_from_slice(&peer::close_notify(&mut peer));
            assert_eq!(peer::read(&mut ours, &mut input).1, Read::Ended);
            assert_eq!(ours.receiver.ending(), Some(&ReceivedEnding::CloseNotify));
        });
    }
}

/// Both ask before either has read; each replies under its old keys and goes on under new ones.
#[test]
fn key_updates_that_cross_are_both_followed() {
    for side in [Side::Client, Side::Server] {
        let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, side);
        for _ in 0..3 {
            // The peer asks twice, and we reply once, after data of ours that it has not read yet.
            let mut output = BytesMut::new();
            ours.sender.write(&[IoSlice::new(b"before")], &mut output).unwrap();
            input.extend_from_slice(&peer::key_update(&mut peer));
            input.extend_from_slice(&peer::data(&mut peer, b"one"));
            input.extend_from_slice(&peer::key_update(&mut peer));
            input.extend_from_slice(&peer::data(&mut peer, b"two"));
            let (plaintext, _, owes) = peer::read(&mut ours, &mut input);
            assert_eq!(plaintext, b"onetwo");
            ours.sender.take_owed(owes, &mut output);
            ours.sender.write(&[IoSlice::new(b"after")], &mut output).unwrap();
            assert_eq!(peer::records(&output).len(), 3, "one reply");
            assert_eq!(peer::read_at(&mut peer, &output), (b"beforeafter".to_vec(), Ok(false)));
        }
        let mut output = BytesMut::new();
        assert_eq!(ours.sender.close(&mut output), SentEnding::CloseNotify);
        assert_eq!(peer::read_at(&mut peer, &output), (Vec::new(), Ok(true)));
    }
}

/// The plaintext stays where it was decrypted, and is consumed in any steps.
#[test]
fn plaintext_is_opened_in_place_and_consumed_in_any_steps() {
    for (version, side) in EACH {
        for step in [1, 3, 100] {
            let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
            input.extend_from_slice(&peer::data(&mut peer, b"hello"));
            let second = peer::data(&mut peer, b"world");
            input.extend_from_slice(&second[..second.len() - 1]);
            let mut received = Vec::new();
            while let (Read::Data(length), owes) = ours.receiver.open(&mut input) {
                assert!(owes.is_nothing());
                assert_eq!(ours.receiver.open(&mut input).0, Read::Data(length), "nothing more is opened");
                let plaintext = ours.receiver.plaintext(&input);
                assert_eq!(plaintext.len(), length);
                assert_eq!(ours.receiver.unopened(&input).len(), if received.len() < 5 { second.len() - 1 } else { 0 });
                let step = step.min(length);
                received.extend_from_slice(&plaintext[..step]);
                ours.receiver.consume(&mut input, step);
                if received.len() == 5 {
                    assert_eq!(input, second[..second.len() - 1], "the tag is gone with the last byte");
                    input.extend_from_slice(&second[second.len() - 1..]);
                }
            }
            assert_eq!(received, b"helloworld");
            assert!(input.is_empty());
        }
    }
}

#[test]
#[should_panic(expected = "6 bytes consumed of 5 that are opened")]
fn to_consume_more_than_is_opened_is_a_fault_of_the_caller() {
    let Met { mut ours, mut peer, mut input } = peer::meet(TlsVersion::V13, Side::Client);
    input.extend_from_slice(&peer::data(&mut peer, b"hello"));
    assert_eq!(ours.receiver.open(&mut input).0, Read::Data(5));
    ours.receiver.consume(&mut input, 6);
}
