//! Whatever bytes a peer sends, before the handshake is complete and after: nothing panics, and no error states that the
//! caller misused the crate or that the TLS library could not go on for reasons of its own.

use crate::drawn::hold;
use crate::inputs::{Piece, receive, shake};
use crate::peer::EACH;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let payload = proptest::prop_oneof![6 => vec(any::<u8>(), 0..60), 1 => vec(any::<u8>(), 0..2_000)];
    // Small numbers are the types, levels and lengths that mean something.
    let small = vec(0..25_u8, 0..8);
    let piece = (any::<u8>(), proptest::prop_oneof![payload, small]);
    vec(piece.prop_map(|(kind, payload)| Piece::of(kind, &payload)), 0..12)
}

/// docs/cases.md R07
#[test]
fn no_bytes_behind_a_handshake_panic_or_blame_the_caller() {
    let cases = (0..EACH.len(), any::<bool>(), pieces(), vec(any::<u8>(), 0..6));
    hold(1_000, &cases, |(session, closed_first, pieces, steps)| {
        let (version, side) = EACH[session];
        receive(version, side, closed_first, &pieces, &steps);
    });
}

#[test]
fn no_bytes_of_a_handshake_panic_or_blame_the_caller() {
    let edits = vec((any::<u8>(), any::<u16>(), any::<u8>()), 0..5);
    let cases = (0..EACH.len(), any::<u8>(), edits, vec(any::<u8>(), 0..6));
    hold(1_500, &cases, |(session, stage, edits, steps)| {
        let (version, side) = EACH[session];
        shake(version, side, stage, &edits, &steps);
    });
}
