//! Both halves of both ends at once: neither may stand in the other's way, nor keep it busy.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::endpoint::End;
use crate::rules::Rule;
use crate::scenario::flow::undelivered;
use crate::scenario::{Stage, Stop, Task, bytes};

/// One end's reader waits for the peer while its writer works; then the peer speaks.
pub(crate) fn waiting_reader(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (here, there) = (stage.from(), stage.to());
    let reader = spawn_reader(stage, &here, 48);
    let far_reader = spawn_reader(stage, &there, 48);
    let writer = spawn_writer(stage, &here, 48);
    if !stage.settle(&[&writer, &far_reader])? {
        let seen = format!("{}: while its reader waits, what it writes does not arrive", here.side());
        return Err(stage.fail(Rule::DuplexStall, seen));
    }
    stage.note("now the peer speaks");
    let far_writer = spawn_writer(stage, &there, 48);
    if !stage.settle(&[&far_writer, &reader])? {
        let seen = format!("{}: after its writer worked, its reader is not given what the peer sends", here.side());
        return Err(stage.fail(Rule::DuplexStall, seen));
    }
    stage.compare(&here, &there, Rule::BytesAltered)?;
    stage.compare(&there, &here, Rule::BytesAltered)
}

/// One end's writer is blocked, because the peer does not read; its reader is given what the peer sends.
pub(crate) fn blocked_writer(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (here, there) = (stage.from(), stage.to());
    let (writer, stop) = spawn_filler(stage, &here);
    stage.run()?;
    stage.note(if writer.is_done() { "the writer never blocks" } else { "the writer is blocked; the peer speaks" });
    let far_writer = spawn_writer(stage, &there, 48);
    let reader = spawn_reader(stage, &here, 48);
    if !stage.settle(&[&far_writer, &reader])? {
        let seen = format!("{}: while its writer is blocked, its reader is not given what the peer sends", here.side());
        return Err(stage.fail(Rule::DuplexStall, seen));
    }
    stop.set(true);
    stage.note("the peer reads");
    let reading = there.clone();
    let far_reader = stage.spawn("far reader", async move { reading.read_to_end(4096).await });
    if !stage.settle(&[&writer, &far_reader])? {
        return Err(undelivered(stage, writer.is_done(), Rule::DuplexStall));
    }
    stage.compare(&here, &there, Rule::BytesAltered)?;
    stage.compare(&there, &here, Rule::BytesAltered)
}

/// A half that can do nothing is left alone while the other half works, byte by byte.
pub(crate) fn idle_halves(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (here, there) = (stage.from(), stage.to());
    let waiting = spawn_reader(stage, &here, 1);
    let far_reader = spawn_reader(stage, &there, SMALL_WRITES);
    let writing = here.clone();
    let writer = stage.spawn("writer", async move {
        for at in 0..SMALL_WRITES {
            writing.write_all(&bytes(at, 1)).await?;
            writing.flush().await?;
        }
        Ok(())
    });
    if !stage.settle(&[&writer, &far_reader])? {
        let seen = format!("{}: while its reader waits, what it writes does not arrive", here.side());
        return Err(stage.fail(Rule::DuplexStall, seen));
    }
    let first = spawn_writer(stage, &there, 1);
    if !stage.settle(&[&first, &waiting])? {
        let seen = format!("{}: after its writer worked, its reader is not given what the peer sends", here.side());
        return Err(stage.fail(Rule::DuplexStall, seen));
    }
    let (_blocked, _stop) = spawn_filler(stage, &here);
    stage.run()?;
    stage.note("the writer waits for room; the peer speaks, byte by byte");
    let reader = spawn_reader(stage, &here, 1 + SMALL_WRITES);
    let writing = there.clone();
    let far_writer = stage.spawn("far writer", async move {
        for at in 0..SMALL_WRITES {
            writing.write_all(&bytes(1 + at, 1)).await?;
            writing.flush().await?;
        }
        Ok(())
    });
    if !stage.settle(&[&far_writer, &reader])? {
        let seen = format!("{}: while its writer is blocked, its reader is not given what the peer sends", here.side());
        return Err(stage.fail(Rule::DuplexStall, seen));
    }
    stage.compare(&there, &here, Rule::BytesAltered)
}

fn spawn_reader(stage: &mut Stage<'_>, end: &Rc<End>, total: usize) -> Task {
    let end = Rc::clone(end);
    stage.spawn("reader", async move { end.read_total(total, 4096).await })
}

fn spawn_writer(stage: &mut Stage<'_>, end: &Rc<End>, length: usize) -> Task {
    let end = Rc::clone(end);
    stage.spawn("writer", async move {
        end.write_all(&bytes(0, length)).await?;
        end.flush().await
    })
}

/// A writer that goes on until it is told to stop, or has written enough; then it flushes and shuts down.
fn spawn_filler(stage: &mut Stage<'_>, end: &Rc<End>) -> (Task, Rc<Cell<bool>>) {
    let (end, stop, fill) = (Rc::clone(end), Rc::new(Cell::new(false)), stage.fill);
    let stopped = Rc::clone(&stop);
    let task = stage.spawn("filler", async move {
        let start = end.facts().accepted.len();
        loop {
            let at = end.facts().accepted.len();
            if stopped.get() || at - start >= fill {
                break;
            }
            if end.write(&bytes(at, FILL_WRITE)).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        end.flush().await?;
        end.shutdown().await
    });
    (task, stop)
}

const SMALL_WRITES: usize = 40;
const FILL_WRITE: usize = 4096;
