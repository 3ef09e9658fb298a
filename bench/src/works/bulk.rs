//! Bytes from client to server, as many as were asked for, in writes of one size.

use super::{MB, Sample, accept, connect, on_one_core};
use crate::meter::Meter;
use crate::stacks::{Resumption, Stack, Stream};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends `count` MB; measured until the server says that it has them.
///
/// # Errors
///
/// When a session fails.
pub fn run<S: Stack>(count: u64, write: usize) -> io::Result<Sample> {
    let bytes = count as usize * MB;
    on_one_core::<S>(
        Resumption::Never,
        async move |stack, address| {
            let mut client = connect(stack, address, false).await?;
            send(&mut client, WARM_UP, write).await?;
            let before = Meter::now();
            send(&mut client, bytes, write).await?;
            Ok(Sample { count, used: Meter::now() - before, held: None })
        },
        async move |stack, listener| {
            let mut server = accept(stack, &listener).await?;
            receive(&mut server, WARM_UP).await?;
            receive(&mut server, bytes).await
        },
    )
}

async fn send(client: &mut impl Stream, bytes: usize, write: usize) -> io::Result<()> {
    let data = vec![0x5a; write];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(write);
        client.write_all(&data[..now]).await?;
        left -= now;
    }
    client.flush().await?;
    client.read_u8().await?;
    Ok(())
}

async fn receive(server: &mut impl Stream, bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    let mut left = bytes;
    while left > 0 {
        match server.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => left -= got,
        }
    }
    server.write_u8(1).await?;
    server.flush().await
}

/// Enough for buffers, windows and caches to settle.
const WARM_UP: usize = 16 * MB;
/// What a server that reads in bulk gives the stream to fill.
const READ: usize = 64 << 10;
