//! Futures are dropped while they are pending: what was not answered has not happened.

use crate::rules::Rule;
use crate::scenario::{Stage, Stop, bytes};

/// Pending reads, writes, flushes and shutdowns are dropped and other ones follow; the bytes are those accepted.
pub(crate) fn dropped_futures(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let chunk = stage.choose(&[700, 48, 9]);
    let fill = stage.fill;
    let (from, to) = (stage.from(), stage.to());
    let writing = from.clone();
    let writer = stage.spawn("writer", async move {
        // Until a write is pending, so that streams with room of their own are full as well.
        let mut at = 0;
        let enough = fill.min(TRIES * chunk);
        while at < enough && writing.try_write(&bytes(at, chunk)).transpose()?.is_some() {
            at += chunk;
        }
        for round in 0..ROUNDS {
            // Other bytes than those of the future that was dropped, and more or fewer of them.
            at += 1009;
            writing.try_write(&bytes(at, chunk)).transpose()?;
            writing.write_all(&bytes(at + 501, 17 + 40 * (round % 3))).await?;
        }
        writing.try_flush().transpose()?;
        writing.write_all(&bytes(at + 77, 23)).await?;
        writing.try_flush().transpose()?;
        writing.flush().await?;
        writing.write_all(&bytes(at + 99, 5)).await?;
        writing.try_shutdown().transpose()?;
        writing.shutdown().await
    });
    stage.run()?;
    stage.note("the reader starts");
    let reading = to.clone();
    let reader = stage.spawn("reader", async move {
        loop {
            if reading.try_read(4096).transpose()?.is_none() && reading.read(7).await?.is_empty() {
                break;
            }
            if reading.facts().ended {
                break;
            }
        }
        reading.read_to_end(64).await
    });
    if !stage.settle(&[&writer, &reader])? {
        let seen = format!("{} to {}: after futures were dropped, the rest never arrives", from.side(), to.side());
        return Err(stage.fail(Rule::BytesAlteredByDrop, seen));
    }
    stage.compare(&from, &to, Rule::BytesAlteredByDrop)
}

const ROUNDS: usize = 6;
const TRIES: usize = 2000;
