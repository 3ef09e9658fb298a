//! Bytes both ways at once, the two halves of each end in a thread of their own.
//!
//! Each direction has a core to itself, sender and receiver on it; so the two halves of a session run at once, on two cores,
//! and what keeps one waiting for the other shows in the throughput.

use super::{MB, Sample, accept, connect, listen, runtime};
use crate::certs::Identity;
use crate::meter::{self, Meter};
use crate::stacks::{Reader, Resumption, Stack, Writer};
use std::io;
use std::sync::Barrier;
use std::thread;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Carries `count` MB each way.
///
/// # Errors
///
/// When a session fails, or there are fewer than two cores.
pub fn run<S: Stack>(count: u64) -> io::Result<Sample> {
    let bytes = count as usize * MB;
    let [there, back] = meter::cores()[..] else {
        return Err(io::Error::other("two halves in two threads take two cores"));
    };
    let stack = S::new(&Identity::new(), Resumption::Never)?;
    let (listener, address) = listen()?;
    let (client, server) = thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let runtime = runtime()?;
            let accepted = async { accept(&stack, &TcpListener::from_std(listener)?).await };
            let server = runtime.block_on(accepted)?;
            io::Result::Ok((runtime, server))
        });
        let runtime = runtime()?;
        let client = runtime.block_on(connect(&stack, address, false))?;
        io::Result::Ok(((runtime, client), serving.join().expect("a panic of the server is a bug")?))
    })?;
    let (client_runtime, (client_reader, client_writer)) = (client.0, S::split_client(client.1));
    let (server_runtime, (server_reader, server_writer)) = (server.0, S::split_server(server.1));
    let (client_done, client_waits) = oneshot::channel();
    let (server_done, server_waits) = oneshot::channel();
    let start = Barrier::new(5);
    thread::scope(|scope| {
        let start = &start;
        let threads = [
            scope.spawn(move || send(client_writer, bytes, there, start, client_done)),
            scope.spawn(move || receive(server_reader, bytes, there, start, server_runtime, server_waits)),
            scope.spawn(move || send(server_writer, bytes, back, start, server_done)),
            scope.spawn(move || receive(client_reader, bytes, back, start, client_runtime, client_waits)),
        ];
        start.wait();
        let before = Meter::now();
        for thread in threads {
            thread.join().expect("a panic of a half is a bug")?;
        }
        Ok(Sample { count, used: Meter::now() - before, held: None })
    })
}

fn send(
    mut writer: impl Writer,
    bytes: usize,
    core: usize,
    start: &Barrier,
    done: oneshot::Sender<()>,
) -> io::Result<()> {
    meter::pin(core);
    let data = vec![0x5a; WRITE];
    start.wait();
    runtime()?.block_on(async {
        let mut left = bytes;
        while left > 0 {
            let now = left.min(WRITE);
            writer.write_all(&data[..now]).await?;
            left -= now;
        }
        writer.flush().await
    })?;
    // The reader may be gone if it failed; its error is the one that tells why.
    let _ = done.send(());
    Ok(())
}

/// Reads, and drives the runtime that both halves were registered with until the other half is done.
fn receive(
    mut reader: impl Reader,
    bytes: usize,
    core: usize,
    start: &Barrier,
    runtime: Runtime,
    other: oneshot::Receiver<()>,
) -> io::Result<()> {
    meter::pin(core);
    let mut buffer = vec![0; WRITE];
    start.wait();
    runtime.block_on(async {
        let mut left = bytes;
        while left > 0 {
            match reader.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => left -= got,
            }
        }
        other.await.map_err(io::Error::other)
    })
}

const WRITE: usize = 64 << 10;
