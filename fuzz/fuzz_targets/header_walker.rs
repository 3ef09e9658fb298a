//! The walker over record headers against one that is too plain to be wrong. Its file is part of this target, so that
//! nothing of it need be public.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/closenotify-core/src/record.rs"]
#[expect(dead_code, reason = "the names of the types serve the core")]
mod record;

use record::{HEADER, Malformed, Walk, walk};

fuzz_target!(|input: &[u8]| {
    // The longest content of a record without protection, and of one of TLS 1.3 and 1.2.
    for most in [1 << 14, (1 << 14) + 256, (1 << 14) + 2048] {
        let expected = match input {
            [typ, ..] if *typ < 20 || *typ > 24 => Walk::Malformed(Malformed::Type(*typ)),
            [_, major, ..] if *major != 3 => Walk::Malformed(Malformed::Version(*major)),
            [_, _, _, high, low, rest @ ..] => match usize::from(*high) * 256 + usize::from(*low) {
                length if length > most => Walk::Malformed(Malformed::Length),
                length if rest.len() >= length => Walk::Record(HEADER + length),
                _ => Walk::Incomplete,
            },
            _ => Walk::Incomplete,
        };
        assert_eq!(walk(input, most), expected);
        // More bytes never change what was returned.
        for cut in 0..input.len().min(64) {
            let before = walk(&input[..cut], most);
            assert!(before == Walk::Incomplete || before == expected);
        }
    }
});
