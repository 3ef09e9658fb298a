//! Handshakes in which a flight of the peer's is changed.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "what comes behind a handshake is another target's")]
#[path = "../../crates/closenotify-core/tests/core/inputs.rs"]
mod inputs;
#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../../crates/closenotify-core/tests/core/peer.rs"]
mod peer;

fuzz_target!(|input: &[u8]| {
    let [how, first, second, edits @ ..] = input else { return };
    let (edits, _) = edits.as_chunks::<4>();
    let edits: Vec<inputs::Edit> =
        edits.iter().map(|[kind, high, low, value]| (*kind, u16::from_be_bytes([*high, *low]), *value)).collect();
    let (version, side) = peer::EACH[usize::from(how % 4)];
    inputs::shake(version, side, how / 4, &edits, &[*first, *second]);
});
