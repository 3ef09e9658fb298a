//! What a session holds when it has carried traffic and rests, server and client each in a process of their own.
//!
//! The traffic is a small request with a large answer, and a large request with a small answer, both of several records. Then
//! each end waits for more, as a server does between requests: one read that is pending.

use super::{Sample, accept, connect, listen, runtime};
use crate::certs::Identity;
use crate::meter::{self, Meter};
use crate::stacks::{Resumption, Stack, Stream};
use serde::{Deserialize, Serialize};
use std::future::poll_fn;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Bytes a session, transport and stream object included.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Held {
    /// From the Rust allocator; 0 in a program that does not count.
    pub heap: [u64; 2],
    /// By which the process grew, as the kernel counts it.
    pub resident: [u64; 2],
}

/// Opens `count` sessions to a server that it starts; both sides' numbers, the client's first.
///
/// # Errors
///
/// When a session fails, or the server cannot be started.
pub fn run<S: Stack>(count: u64) -> io::Result<Sample> {
    let identity = Identity::new();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    for argument in &mut arguments {
        if argument == "at-rest" {
            "at-rest-server".clone_into(argument);
        }
    }
    let mut server =
        Command::new(std::env::current_exe()?).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let sample = open_and_measure::<S>(&identity, &mut server, count);
    if sample.is_err() {
        // It may be gone already, which is as good.
        let _ = server.kill();
    }
    // Without its standard input it ends, and its sessions with it.
    server.wait()?;
    sample
}

fn open_and_measure<S: Stack>(identity: &Identity, server: &mut Child, count: u64) -> io::Result<Sample> {
    let mut to_server = server.stdin.take().expect("it was asked for");
    let mut from_server = BufReader::new(server.stdout.take().expect("it was asked for"));
    serde_json::to_writer(&mut to_server, identity)?;
    to_server.write_all(b"\n")?;
    let address: SocketAddr = read_line(&mut from_server)?;

    let stack = S::new(identity, Resumption::Never)?;
    let before = Meter::now();
    let held = runtime()?.block_on(async {
        let open = async || {
            let mut client = Box::new(connect(&stack, address, false).await?);
            ask(client.as_mut(), SMALL, LARGE).await?;
            ask(client.as_mut(), LARGE, SMALL).await?;
            wait(client.as_mut()).await?;
            io::Result::Ok(client)
        };
        let mut sessions = Vec::with_capacity(count as usize + WARM_UP);
        let mut base = (0, 0);
        for number in 0..count as usize + WARM_UP {
            if number == WARM_UP {
                base = (meter::heap_in_use(), meter::resident());
            }
            sessions.push(open().await?);
        }
        let held = since(base, count);
        let server: (u64, u64) = read_line(&mut from_server)?;
        io::Result::Ok(Held { heap: [held.0, server.0], resident: [held.1, server.1] })
    })?;
    Ok(Sample { count, used: Meter::now() - before, held: Some(held) })
}

/// The server's side: the identity is the first line of standard input, the end of which ends it.
///
/// # Errors
///
/// When a session fails.
pub fn serve<S: Stack>(count: u64) -> io::Result<Sample> {
    let mut input = BufReader::new(io::stdin());
    let identity: Identity = read_line(&mut input)?;
    let stack = S::new(&identity, Resumption::Never)?;
    let before = Meter::now();
    let (listener, address) = listen()?;
    print_line(&address)?;
    let serving = async {
        let listener = TcpListener::from_std(listener)?;
        let mut sessions = Vec::with_capacity(count as usize + WARM_UP);
        let mut base = (0, 0);
        for number in 0..count as usize + WARM_UP {
            if number == WARM_UP {
                base = (meter::heap_in_use(), meter::resident());
            }
            let mut server = Box::new(accept(&stack, &listener).await?);
            answer(server.as_mut(), SMALL, LARGE).await?;
            answer(server.as_mut(), LARGE, SMALL).await?;
            wait(server.as_mut()).await?;
            sessions.push(server);
        }
        print_line(&since(base, count))?;
        io::Result::Ok(sessions)
    };
    // The client that started us may be gone.
    let sessions = runtime()?.block_on(async { timeout(LIMIT, serving).await })??;
    // The client measures before it closes this, which is all that it does with it.
    input.read_line(&mut String::new())?;
    drop(sessions);
    Ok(Sample { count, used: Meter::now() - before, held: None })
}

async fn ask(client: &mut impl Stream, request: usize, answer: usize) -> io::Result<()> {
    client.write_all(&vec![0x5a; request]).await?;
    client.flush().await?;
    client.read_exact(&mut vec![0; answer]).await?;
    Ok(())
}

async fn answer(server: &mut impl Stream, request: usize, answer: usize) -> io::Result<()> {
    server.read_exact(&mut vec![0; request]).await?;
    server.write_all(&vec![0x5a; answer]).await?;
    server.flush().await
}

/// Polls one read, which must be pending.
async fn wait(stream: &mut impl Stream) -> io::Result<()> {
    let mut space = [0; 16];
    poll_fn(|cx| match Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut space)) {
        Poll::Pending => Poll::Ready(Ok(())),
        Poll::Ready(Ok(())) => Poll::Ready(Err(io::Error::other("there was more to read"))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
    })
    .await
}

fn since(base: (u64, u64), count: u64) -> (u64, u64) {
    let grown = |now: u64, before: u64| now.saturating_sub(before) / count;
    (grown(meter::heap_in_use(), base.0), grown(meter::resident(), base.1))
}

fn read_line<T: serde::de::DeserializeOwned>(from: &mut impl io::BufRead) -> io::Result<T> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn print_line(value: &impl Serialize) -> io::Result<()> {
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, value)?;
    output.write_all(b"\n")?;
    output.flush()
}

const SMALL: usize = 1 << 10;
const LARGE: usize = 64 << 10;
/// For what the first sessions set up once.
const WARM_UP: usize = 16;
/// Far more than the sessions take.
const LIMIT: Duration = Duration::from_secs(120);
