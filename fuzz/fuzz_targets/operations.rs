//! Lists of operations on a stream against the naive model of the tests.

#![no_main]

use closenotify::Truncation;
use libfuzzer_sys::fuzz_target;
use operations::{Finish, Operation};
use testkit::plain;
use tokio::runtime::{Builder, Runtime};
use world::Case;

#[path = "../../crates/closenotify/tests/model/link.rs"]
mod link;
#[path = "../../crates/closenotify/tests/model/operations.rs"]
mod operations;
#[path = "../../crates/closenotify/tests/model/world.rs"]
mod world;

thread_local! {
    /// A clock for the deadlines; it stands still.
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
}

fuzz_target!(|input: &[u8]| {
    let [how, operations @ ..] = input else { return };
    let (operations, _) = operations.as_chunks::<3>();
    let (version, side) = plain::EACH[usize::from(how % 4)];
    let case = Case {
        version,
        side,
        truncation: if how & 4 == 0 { Truncation::Error } else { Truncation::AsEof },
        operations: operations
            .iter()
            .take(OPERATIONS_MAX)
            .map(|[kind, high, low]| Operation::of(*kind, u16::from_be_bytes([*high, *low])))
            .collect(),
        finish: Finish::EACH[usize::from(how / 8 % 4)],
    };
    RUNTIME.with(|runtime| {
        let _entered = runtime.enter();
        case.run();
    });
});

const OPERATIONS_MAX: usize = 200;
