//! Bytes into the receiver after a true handshake, raw and sealed with the peer's own keys.

#![no_main]

use inputs::Piece;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the handshakes are another target's")]
#[path = "../../crates/closenotify-core/tests/core/inputs.rs"]
mod inputs;
#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../../crates/closenotify-core/tests/core/peer.rs"]
mod peer;

fuzz_target!(|input: &[u8]| {
    let [how, first, second, rest @ ..] = input else { return };
    let mut rest = rest;
    let mut pieces = Vec::new();
    // Kind, length, payload.
    while let [kind, length, others @ ..] = rest {
        let (payload, others) = others.split_at(others.len().min(usize::from(*length)));
        pieces.push(Piece::of(*kind, payload));
        rest = others;
    }
    let (version, side) = peer::EACH[usize::from(how % 4)];
    inputs::receive(version, side, how & 4 != 0, &pieces, &[*first, *second]);
});
