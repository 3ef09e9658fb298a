//! A writer ends: what it wrote arrives, then the end, and both stay as they are.

use crate::rules::Rule;
use crate::scenario::flow::undelivered;
use crate::scenario::{BUFFERS, SIZES, Stage, Stop, bytes};

/// Write, flush, shutdown; the reader gets every byte, then the end, then the end again.
pub(crate) fn end(stage: &mut Stage<'_>) -> Result<(), Stop> {
    ending(stage, true)
}

/// Write and shutdown, without a flush between them.
pub(crate) fn shutdown(stage: &mut Stage<'_>) -> Result<(), Stop> {
    ending(stage, false)
}

fn ending(stage: &mut Stage<'_>, flush: bool) -> Result<(), Stop> {
    stage.open();
    let size = stage.choose(SIZES);
    let buffer = stage.choose(BUFFERS);
    let late = stage.choose(&[false, true]) && size < SMALL;
    let (from, to) = (stage.from(), stage.to());
    let payload = bytes(0, size);
    let write = async move {
        from.write_all(&payload).await?;
        if flush {
            from.flush().await?;
        }
        from.shutdown().await
    };
    let read = async move { to.read_to_end(buffer).await };
    let (reader, writer) = if late {
        let writer = stage.spawn("writer", write);
        stage.run()?;
        stage.note("only now the reader starts");
        (stage.spawn("reader", read), writer)
    } else {
        (stage.spawn("reader", read), stage.spawn("writer", write))
    };
    if !stage.settle(&[&writer, &reader])? {
        return Err(unended(stage, writer.is_done()));
    }
    stage.compare(&stage.from(), &stage.to(), Rule::BytesAltered)
}

/// After a shutdown, another is as good as the first, and nothing more can be written.
pub(crate) fn after_shutdown(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (from, to) = (stage.from(), stage.to());
    let (first, second) = (from.clone(), from.clone());
    let reader = stage.spawn("reader", async move { to.read_to_end(4096).await });
    let writer = stage.spawn("writer", async move {
        first.write_all(&bytes(0, 48)).await?;
        first.flush().await?;
        first.shutdown().await
    });
    if !stage.settle(&[&writer, &reader])? {
        return Err(unended(stage, writer.is_done()));
    }
    stage.note("shut down once; once more");
    let sent = from.sent();
    let again = stage.spawn("second shutdown", async move { second.shutdown().await });
    if !stage.settle(&[&again])? {
        let seen = format!("{}: a second shutdown stays pending", from.side());
        return Err(stage.fail(Rule::ShutdownNotIdempotent, seen));
    }
    if from.sent() > sent {
        let seen = format!("{}: a second shutdown sends {} bytes more", from.side(), from.sent() - sent);
        return Err(stage.fail(Rule::ShutdownNotIdempotent, seen));
    }
    stage.note("and a write, which must fail, if not itself then at the flush");
    from.facts().may_fail = true;
    let writing = from.clone();
    let late_write = stage.spawn("late writer", async move {
        if writing.write(b"too late").await? == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        writing.flush().await
    });
    // Whether it is ever answered is not this scenario's question.
    stage.run()?;
    if matches!(late_write.take(), Some(Ok(()))) {
        let seen = format!("{}: after the shutdown a write is accepted, and the flush behind it succeeds", from.side());
        return Err(stage.fail(Rule::WriteAfterShutdown, seen));
    }
    Ok(())
}

/// One end is dropped without a shutdown after its bytes were flushed: they are there to be read, then it is over.
pub(crate) fn cut(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let size = stage.choose(&[48, 700]);
    let buffer = stage.choose(BUFFERS);
    let (from, to) = (stage.from(), stage.to());
    let writing = from.clone();
    let writer = stage.spawn("writer", async move {
        writing.write_all(&bytes(0, size)).await?;
        writing.flush().await
    });
    stage.run()?;
    if !writer.is_done() {
        // A stream that cannot take these bytes without a reader cannot be cut here.
        return Ok(());
    }
    from.drop_stream();
    to.facts().may_fail = true;
    let reading = to.clone();
    let reader = stage.spawn("reader", async move {
        while !reading.read(buffer).await?.is_empty() {}
        Ok(())
    });
    if !stage.settle(&[&reader])? {
        let seen = format!("{}: the peer is gone, and reading stays pending", to.side());
        return Err(stage.fail(Rule::EndUnnoticed, seen));
    }
    let missing = size - to.facts().received.len().min(size);
    if missing > 0 && to.facts().received[..] == bytes(0, size - missing) {
        let seen = format!("{}: reading is over {missing} bytes too early", to.side());
        return Err(stage.fail(Rule::EndBeforeBufferedBytes, seen));
    }
    stage.compare(&from, &to, Rule::BytesAltered)
}

/// A writer is blocked and its peer is dropped: there will never be room, and the writer is told.
pub(crate) fn gone_peer(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (from, to, fill) = (stage.from(), stage.to(), stage.fill);
    from.facts().may_fail = true;
    let writing = from.clone();
    let writer = stage.spawn("writer", async move {
        for at in (0..fill).step_by(4096) {
            writing.write_all(&bytes(at, 4096)).await?;
        }
        writing.flush().await
    });
    stage.run()?;
    to.drop_stream();
    if !stage.settle(&[&writer])? {
        let seen = format!("{}: the peer is gone, and writing stays pending", from.side());
        return Err(stage.fail(Rule::GonePeerUnnoticed, seen));
    }
    Ok(())
}

/// The writing half is shut down, and the reading half goes on.
pub(crate) fn reading_after_shutdown(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (here, there) = (stage.from(), stage.to());
    let closing = here.clone();
    let closer = stage.spawn("closer", async move { closing.shutdown().await });
    if !stage.settle(&[&closer])? {
        let seen = format!("{}: shutdown stays pending", here.side());
        return Err(stage.fail(Rule::NeverReady, seen));
    }
    let (reading, writing) = (here.clone(), there.clone());
    let reader = stage.spawn("reader", async move { reading.read_to_end(4096).await });
    let writer = stage.spawn("writer", async move {
        writing.write_all(&bytes(0, 48)).await?;
        writing.shutdown().await
    });
    if !stage.settle(&[&writer, &reader])? {
        let seen = format!("{}: after its shutdown it is not given what the peer sends", here.side());
        return Err(stage.fail(Rule::ReadingEndsWithShutdown, seen));
    }
    stage.compare(&there, &here, Rule::ReadingEndsWithShutdown)
}

/// Which rule it is when all is at rest and the reader has not come to the end.
pub(crate) fn unended(stage: &Stage<'_>, shut_down: bool) -> Stop {
    let (from, to) = (stage.from(), stage.to());
    if !shut_down {
        let seen = format!("{}: shutdown stays pending, though the peer reads all that comes", from.side());
        return stage.fail(Rule::NeverReady, seen);
    }
    let (accepted, received) = (from.facts().accepted.len(), to.facts().received.len());
    if received < accepted {
        if from.facts().flushed < accepted && from.sent() < accepted {
            let seen = format!("{}: shutdown is done, and {} bytes never arrive", from.side(), accepted - received);
            return stage.fail(Rule::ShutdownWithoutFlush, seen);
        }
        return undelivered(stage, true, Rule::EndBeforeBufferedBytes);
    }
    if from.is_closed() {
        return stage.fail(Rule::EndUnnoticed, format!("{}: the peer has ended, and reading stays pending", to.side()));
    }
    stage.fail(Rule::ShutdownNotForwarded, format!("{}: shutdown is done, and the peer never sees an end", from.side()))
}

// Fits into any link unread.
const SMALL: usize = 500;
