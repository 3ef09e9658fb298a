//! Streams with noise in them: whatever is flipped, lost, doubled or swapped, what is delivered is the beginning of what
//! was sent, an end is clean only if all of it was, and nothing panics.

use crate::peer::{self, EACH, Met};
use bytes::BytesMut;
use closenotify_core::{Read, SendError, TransportEnd};
use std::io::IoSlice;

/// A small generator: the cases are many, and the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[test]
fn noise_never_makes_a_clean_end_of_a_part() {
    let (mut clean, mut violations, mut truncations) = (0, 0, 0);
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let (version, side) = EACH[dice.roll(4)];
        let Met { mut ours, mut peer, mut input } = peer::meet(version, side);
        let mut sent = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..1 + dice.roll(4) {
            let plaintext: Vec<u8> = (0..1 + dice.roll(300)).map(|_| dice.roll(256) as u8).collect();
            bytes.extend(peer::data(&mut peer, &plaintext));
            sent.extend(plaintext);
        }
        bytes.extend(peer::close_notify(&mut peer));
        for _ in 0..dice.roll(3) {
            let at = dice.roll(bytes.len());
            match dice.roll(5) {
                0 => bytes[at] ^= 1 << dice.roll(8),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.drain(at..(at + 1 + dice.roll(40)).min(bytes.len()))),
                3 => bytes.insert(at, dice.roll(256) as u8),
                _ => {
                    // A record duplicated or moved.
                    let records: Vec<Vec<u8>> = peer::records(&bytes).into_iter().map(<[u8]>::to_vec).collect();
                    let record = records[dice.roll(records.len())].clone();
                    let mut shuffled = records;
                    shuffled.insert(dice.roll(shuffled.len() + 1), record);
                    bytes = shuffled.concat();
                }
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        let closed_first = dice.roll(4) == 0;
        let mut output = BytesMut::new();
        let mut sender = Some(ours.sender);
        if closed_first {
            sender.take().map(|sender| sender.close(&mut output)).unwrap();
        }
        let (mut plaintext, mut rest, mut owed) = (Vec::new(), bytes.as_slice(), peer::nothing());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + dice.roll(rest.len()));
            input.extend_from_slice(now);
            rest = later;
            let (read, owes) = peer::read_all(&mut ours.receiver, &mut input, 1 + dice.roll(400), &mut plaintext);
            owed.merge(owes);
            if read == Read::Ended {
                break;
            }
        }
        ours.receiver.transport_ended(TransportEnd::Eof, &input);
        let ending = ours.receiver.ending().unwrap();
        assert!(sent.starts_with(&plaintext), "seed {seed}");
        match ending.word().as_ref() {
            "close_notify" => {
                assert!(plaintext == sent, "seed {seed}");
                clean += 1;
            }
            "violation" => violations += 1,
            "truncated_boundary" | "truncated_inside_record" => truncations += 1,
            other => panic!("seed {seed}: {other}"),
        }
        let Some(mut sender) = sender else { continue };
        let violated = ending.word() == "violation";
        assert_eq!(!owed.is_nothing(), violated, "seed {seed}: {owed:?}");
        sender.take_owed(owed, &mut output);
        assert_eq!(sender.failed().is_some(), violated, "seed {seed}");
        assert_eq!(!output.is_empty(), violated, "seed {seed}: an alert");
        let written = sender.write(&[IoSlice::new(b"more")], &mut output);
        assert_eq!(written, if violated { Err(SendError::SessionOver) } else { Ok(4) }, "seed {seed}");
    }
    // The noise is worth its name.
    assert!(clean > 300 && violations > 300 && truncations > 100, "{clean} {violations} {truncations}");
}
