//! The transport fails once, at a call that the search picks: the stream says so, and comes to rest.

use crate::rules::Rule;
use crate::scenario::{Stage, Stop, bytes};

/// Two writes with flushes and a shutdown, with one fault somewhere in the transport under it.
///
/// Without a scripted fault the same run tells how many calls there are to be made to fail.
pub(crate) fn transport_faults(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.open();
    let (from, to) = (stage.from(), stage.to());
    for end in [&from, &to] {
        end.facts().may_fail = true;
    }
    let (writing, reading) = (from.clone(), to.clone());
    let reader = stage.spawn("reader", async move {
        let answer = async {
            while !reading.read(64).await?.is_empty() {}
            Ok(())
        };
        let answer = answer.await;
        // After an error as after an end: asked again, it must not turn into something better.
        for _ in 0..2 {
            let again = reading.read(64).await;
            if again.is_ok_and(|bytes| !bytes.is_empty()) {
                break;
            }
        }
        answer
    });
    let writer = stage.spawn("writer", async move {
        for round in 0..2 {
            writing.write_all(&bytes(round * 48, 48)).await?;
            writing.flush().await?;
        }
        writing.shutdown().await
    });
    let written = stage.settle(&[&writer])?;
    if !written && from.is_drained() {
        let seen = format!("{}: its transport failed, and writing stays pending", from.side());
        return Err(stage.fail(Rule::NeverReady, seen));
    }
    let answer = writer.take();
    let complete = to.facts().received == from.facts().accepted && to.facts().ended;
    let at_writer = stage.world().lock().script.has_hit(|side, _, _| side == from.side());
    if at_writer && matches!(answer, Some(Ok(()))) && !complete {
        let seen = format!("{}: its transport failed, and write, flush and shutdown all succeeded", from.side());
        return Err(stage.fail(Rule::WriteErrorSwallowed, seen));
    }
    from.drop_stream();
    if !stage.settle(&[&reader])? {
        let seen = format!("{}: there is nothing more to come, and reading stays pending", to.side());
        return Err(stage.fail(Rule::EndUnnoticed, seen));
    }
    Ok(())
}
