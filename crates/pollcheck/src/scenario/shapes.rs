//! Buffers of unusual shape: several at once, none at all, half filled.

use crate::rules::Rule;
use crate::scenario::ending::unended;
use crate::scenario::{Stage, Stop, bytes};

/// Several slices at once: all are used if the stream says that it can, and their bytes arrive in order.
pub(crate) fn vectored(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (from, to) = (stage.from(), stage.to());
    let (writing, reading) = (from.clone(), to.clone());
    let reader = stage.spawn("reader", async move { reading.read_to_end(4096).await });
    let writer = stage.spawn("writer", async move {
        for round in 0..VECTORED_WRITES {
            let payload = bytes(round * 15, 15);
            let (mut at, mut first) = (0, 3);
            while at < payload.len() {
                // The first write of each round offers three slices; what it leaves is offered as two.
                let cut = (at + first).min(payload.len());
                let (head, rest) = (&payload[at..cut], &payload[cut..]);
                let (middle, tail) = rest.split_at(rest.len().min(5));
                at += writing.write_vectored(&[head, middle, tail]).await?;
                first = 1;
            }
        }
        writing.flush().await?;
        writing.shutdown().await
    });
    if !stage.settle(&[&writer, &reader])? {
        return Err(unended(stage, writer.is_done()));
    }
    stage.compare(&from, &to, Rule::BytesAltered)?;
    if from.is_write_vectored() && used_first_slices_only(stage) {
        let seen = format!("{}: `is_write_vectored` is true, and each write took its first slice only", from.side());
        return Err(stage.fail(Rule::VectoredFirstSliceOnly, seen));
    }
    Ok(())
}

// Judged only when the schedule left every write its room.
fn used_first_slices_only(stage: &Stage<'_>) -> bool {
    use crate::history::{Event, Op, Seen};
    let state = stage.world().lock();
    if state.chooser.log().iter().any(|choice| !choice.setting && choice.picked > 0) {
        return false;
    }
    let side = stage.from().side();
    let mut offered = 0;
    let mut took_more = false;
    for event in state.history.events() {
        match event {
            Event::Poll { side: at, op: Op::Write, size, .. } if *at == side => offered = *size,
            Event::Answer { side: at, op: Op::Write, seen: Seen::Bytes(n), .. } if *at == side => {
                took_more |= offered == 15 && *n > 3;
            }
            _ => {}
        }
    }
    !took_more
}

/// Reads into nothing and writes of nothing change nothing.
pub(crate) fn empty_buffers(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (from, to) = (stage.from(), stage.to());
    let (writing, reading) = (from.clone(), to.clone());
    let rule = Rule::EmptyBufferMishandled;
    let reader = stage.spawn("reader", async move {
        reading.try_read(0);
        reading.read(7).await?;
        for size in [0, 4096, 0] {
            if size == 0 {
                reading.try_read(0);
            } else {
                reading.read_total(30, size).await?;
            }
        }
        reading.read_to_end(4096).await?;
        reading.try_read(0);
        Ok(())
    });
    let side = from.side();
    let world = stage.world().clone();
    let writer = stage.spawn("writer", async move {
        let nothing = |taken: Option<std::io::Result<usize>>| match taken {
            Some(Ok(n)) if n > 0 => world.fail(rule, format!("{side}: a write of nothing took {n} bytes")),
            _ => {}
        };
        nothing(writing.try_write(b""));
        let payload = bytes(0, 30);
        let (mut at, end) = (0, 20);
        while at < end {
            at += writing.write_vectored(&[b"", &payload[at..end]]).await?;
        }
        writing.flush().await?;
        nothing(writing.try_write(b""));
        writing.write_all(&payload[20..]).await?;
        writing.flush().await?;
        nothing(writing.try_write(b""));
        writing.shutdown().await
    });
    if !stage.settle(&[&writer, &reader])? {
        let seen = format!("{side}: with empty buffers between them, reads and writes never come to their end");
        return Err(stage.fail(rule, seen));
    }
    stage.compare(&from, &to, rule)
}

/// A read puts its bytes behind those that the buffer holds.
pub(crate) fn filled_buffers(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let room = stage.choose(&[64, 1, 5]);
    let (from, to) = (stage.from(), stage.to());
    let (writing, reading) = (from.clone(), to.clone());
    let reader = stage.spawn("reader", async move {
        while !reading.read_behind(3, room).await?.is_empty() {}
        Ok(())
    });
    let writer = stage.spawn("writer", async move {
        writing.write_all(&bytes(0, 48)).await?;
        writing.flush().await?;
        writing.shutdown().await
    });
    if !stage.settle(&[&writer, &reader])? {
        let seen = format!("{}: into buffers that hold bytes already, reading never comes to its end", to.side());
        return Err(stage.fail(Rule::FilledPartTouched, seen));
    }
    stage.compare(&from, &to, Rule::FilledPartTouched)
}

const VECTORED_WRITES: usize = 4;
