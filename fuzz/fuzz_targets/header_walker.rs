//! The walker over record headers against one that is too plain to be wrong. Its file is part of this target, so that
//! nothing of it need be public.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/closenotify-core/src/record.rs"]
mod record;

use record::{HEADER, Walk, walk};

fuzz_target!(|input: &[u8]| {
    let expected = match input {
        [typ, major, _, high, low, rest @ ..] => {
            let length = usize::from(*high) * 256 + usize::from(*low);
            if *typ < 20 || *typ > 24 || *major != 3 || length > 16_384 + 2_048 {
                Walk::Malformed(5)
            } else if rest.len() >= length {
                Walk::Record(5 + length)
            } else {
                Walk::Incomplete
            }
        }
        _ => Walk::Incomplete,
    };
    assert_eq!(walk(input), expected);
    // More bytes never change an answer that was given.
    for cut in HEADER..input.len().min(64) {
        let before = walk(&input[..cut]);
        assert!(before == Walk::Incomplete || before == expected);
    }
});
