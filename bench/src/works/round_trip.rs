//! Messages of one size there and back, one after the other.

use super::{Sample, accept, connect, on_one_core};
use crate::meter::Meter;
use crate::stacks::{Resumption, Stack, Stream};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Carries `count` messages of `size` bytes there and back.
///
/// # Errors
///
/// When a session fails.
pub fn run<S: Stack>(count: u64, size: usize) -> io::Result<Sample> {
    on_one_core::<S>(
        Resumption::Never,
        async move |stack, address| {
            let mut client = connect(stack, address, false).await?;
            ask(&mut client, WARM_UP, size).await?;
            let before = Meter::now();
            ask(&mut client, count, size).await?;
            Ok(Sample { count, used: Meter::now() - before, held: None })
        },
        async move |stack, listener| {
            let mut server = accept(stack, &listener).await?;
            serve(&mut server, WARM_UP, size).await?;
            serve(&mut server, count, size).await
        },
    )
}

/// The client's part.
///
/// # Errors
///
/// When the session fails.
pub async fn ask(client: &mut impl Stream, count: u64, size: usize) -> io::Result<()> {
    let (request, mut answer) = (vec![0x5a; size], vec![0; size]);
    for _ in 0..count {
        client.write_all(&request).await?;
        client.flush().await?;
        client.read_exact(&mut answer).await?;
    }
    Ok(())
}

/// The server's part.
///
/// # Errors
///
/// When the session fails.
pub async fn serve(server: &mut impl Stream, count: u64, size: usize) -> io::Result<()> {
    let mut message = vec![0; size];
    for _ in 0..count {
        server.read_exact(&mut message).await?;
        server.write_all(&message).await?;
        server.flush().await?;
    }
    Ok(())
}

const WARM_UP: u64 = 200;
