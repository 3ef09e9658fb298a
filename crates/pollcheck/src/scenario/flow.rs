//! Bytes go one way and arrive: writing, flushing, reading, and nobody ends.

use crate::endpoint::End;
use crate::rules::Rule;
use crate::scenario::{BUFFERS, SIZES, Stage, Stop, bytes};

/// Written and flushed bytes arrive, twice, while the reader waits for exactly these.
pub(crate) fn deliver(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let size = stage.choose(SIZES);
    let buffer = stage.choose(BUFFERS);
    let mut total = 0;
    for length in [size, 5] {
        let (from, to) = (stage.from(), stage.to());
        let payload = bytes(total, length);
        total += length;
        let wanted = total;
        let reader = stage.spawn("reader", async move { to.read_total(wanted, buffer).await });
        let writer = stage.spawn("writer", async move {
            from.write_all(&payload).await?;
            from.flush().await
        });
        if !stage.settle(&[&writer, &reader])? {
            return Err(undelivered(stage, writer.is_done(), Rule::HeldBack));
        }
    }
    stage.compare(&stage.from(), &stage.to(), Rule::BytesAltered)
}

/// Which rule it is when all is at rest and flushed bytes have not arrived; `held` if the receiver has them.
pub(crate) fn undelivered(stage: &Stage<'_>, flushed: bool, held: Rule) -> Stop {
    let (from, to) = (stage.from(), stage.to());
    let (accepted, received) = (from.facts().accepted.len(), to.facts().received.len());
    if let Err(stop) = prefix(stage, &from, &to) {
        return stop;
    }
    if !flushed {
        if !from.is_drained() {
            let seen = format!("{}: reading stays pending and leaves in the transport what has arrived", to.side());
            return stage.fail(if held == Rule::HeldBack { Rule::NeverReady } else { held }, seen);
        }
        let seen = format!("{}: writing stays pending, though the peer reads all that comes", from.side());
        return stage.fail(Rule::NeverReady, seen);
    }
    let (missing, sent) = (accepted - received.min(accepted), from.sent());
    if sent < accepted {
        let seen = format!("{}: flush is done, and {missing} of {accepted} bytes never arrive", from.side());
        return stage.fail(Rule::FlushWithBytesInside, seen);
    }
    let seen = format!("{}: {missing} flushed bytes have arrived, and reading stays pending", to.side());
    stage.fail(held, seen)
}

// What has arrived must be the beginning of what was accepted.
fn prefix(stage: &Stage<'_>, from: &End, to: &End) -> Result<(), Stop> {
    if from.facts().accepted.starts_with(&to.facts().received) {
        return Ok(());
    }
    stage.compare(from, to, Rule::BytesAltered)
}
