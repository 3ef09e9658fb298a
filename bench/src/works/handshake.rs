//! Sessions that do little more than a handshake: TCP connection, handshake, one byte from the server, and dropped.

use super::{Sample, accept, connect, on_one_core};
use crate::meter::Meter;
use crate::stacks::{Resumption, Stack};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Makes `count` sessions, one after the other.
///
/// # Errors
///
/// When a session fails, or the stack cannot resume.
pub fn run<S: Stack>(count: u64, resumption: Resumption) -> io::Result<Sample> {
    let resumed = resumption == Resumption::Tickets;
    on_one_core::<S>(
        resumption,
        async move |stack, address| {
            // The first makes the session that the others resume.
            session(stack, address, false).await?;
            for _ in 1..WARM_UP {
                session(stack, address, resumed).await?;
            }
            let before = Meter::now();
            for _ in 0..count {
                session(stack, address, resumed).await?;
            }
            Ok(Sample { count, used: Meter::now() - before, held: None })
        },
        async move |stack, listener| {
            for _ in 0..WARM_UP + count {
                let mut server = accept(stack, &listener).await?;
                server.write_u8(1).await?;
                server.flush().await?;
            }
            Ok(())
        },
    )
}

/// The byte comes after the ticket, so that reading it takes the ticket in.
async fn session<S: Stack>(stack: &S, address: SocketAddr, resumed: bool) -> io::Result<()> {
    let mut client = connect(stack, address, resumed).await?;
    client.read_u8().await?;
    Ok(())
}

const WARM_UP: u64 = 20;
