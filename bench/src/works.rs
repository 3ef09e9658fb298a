//! What is measured: each work is a bounded amount, done by both ends of a session in one process.
//!
//! Both ends share one core, a thread and a runtime each. So neither waits for the other on a core of its own: the CPU
//! time is what the work takes, without wakes of an idle core, and another load on the machine disturbs it least. Only
//! [`both_halves`] has two cores, since that is its subject.

pub mod at_rest;
pub mod both_halves;
pub mod bulk;
pub mod handshake;
pub mod round_trip;

use crate::certs::Identity;
use crate::meter::{self, Used};
use crate::stacks::{Resumption, Stack, Stream};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// The works by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Bytes from client to server in writes of 16 KiB; counted in MB.
    #[value(name = "bulk-16k")]
    Bulk16K,
    /// The same in writes of 64 KiB.
    #[value(name = "bulk-64k")]
    Bulk64K,
    /// 100 bytes there and back; counted in round trips.
    #[value(name = "round-trip-100")]
    RoundTrip100,
    /// The same of 1 KiB.
    #[value(name = "round-trip-1k")]
    RoundTrip1K,
    /// The same of 16 KiB.
    #[value(name = "round-trip-16k")]
    RoundTrip16K,
    /// Bytes both ways at once, each half of each end in a thread of its own; counted in MB each way.
    BothHalves,
    /// Handshakes without resumption; counted in handshakes.
    HandshakeFull,
    /// Handshakes that resume.
    HandshakeResumed,
    /// Sessions that have carried traffic and now rest; counted in sessions.
    AtRest,
    /// The server's side of the work before; only that work starts it.
    #[value(hide = true)]
    AtRestServer,
}

/// What a child process prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// How much was done.
    pub count: u64,
    /// What it took.
    pub used: Used,
    /// What sessions hold, if that is what was measured.
    pub held: Option<at_rest::Held>,
}

/// Does a work with a stack.
///
/// # Errors
///
/// When the stack cannot do it, or a session fails.
pub fn run<S: Stack>(work: Work, count: u64) -> io::Result<Sample> {
    match work {
        Work::Bulk16K => bulk::run::<S>(count, 16 << 10),
        Work::Bulk64K => bulk::run::<S>(count, 64 << 10),
        Work::RoundTrip100 => round_trip::run::<S>(count, 100),
        Work::RoundTrip1K => round_trip::run::<S>(count, 1 << 10),
        Work::RoundTrip16K => round_trip::run::<S>(count, 16 << 10),
        Work::BothHalves => both_halves::run::<S>(count),
        Work::HandshakeFull => handshake::run::<S>(count, Resumption::Never),
        Work::HandshakeResumed => handshake::run::<S>(count, Resumption::Tickets),
        Work::AtRest => at_rest::run::<S>(count),
        Work::AtRestServer => at_rest::serve::<S>(count),
    }
}

/// A million bytes.
pub const MB: usize = 1_000_000;

/// Runs both ends to their end, on one core; what the client measured.
fn on_one_core<S: Stack>(
    resumption: Resumption,
    client: impl AsyncFnOnce(&S, SocketAddr) -> io::Result<Sample> + Send,
    server: impl AsyncFnOnce(&S, TcpListener) -> io::Result<()> + Send,
) -> io::Result<Sample> {
    let stack = S::new(&Identity::new(), resumption)?;
    meter::pin(meter::cores()[0]);
    let (listener, address) = listen()?;
    thread::scope(|scope| {
        let stack = &stack;
        let serving = scope.spawn(move || {
            let runtime = runtime()?;
            runtime.block_on(async { server(stack, TcpListener::from_std(listener)?).await })
        });
        let sample = runtime()?.block_on(client(stack, address));
        let sample = sample?;
        serving.join().expect("a panic of the server is a bug")?;
        Ok(sample)
    })
}

fn listen() -> io::Result<(StdListener, SocketAddr)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn connect<S: Stack>(stack: &S, address: SocketAddr, resumed: bool) -> io::Result<S::Client<TcpStream>> {
    let transport = TcpStream::connect(address).await?;
    transport.set_nodelay(true)?;
    let client = stack.connect(transport).await?;
    check::<S, _>(&client, resumed)?;
    Ok(client)
}

async fn accept<S: Stack>(stack: &S, listener: &TcpListener) -> io::Result<S::Server<TcpStream>> {
    let (transport, _) = listener.accept().await?;
    transport.set_nodelay(true)?;
    stack.accept(transport).await
}

/// That the handshake is the one that all stacks are measured with.
fn check<S: Stack, T: Stream>(client: &S::Client<T>, resumed: bool) -> io::Result<()> {
    match S::facts(client) {
        Some(facts) if !facts.suite || facts.resumed != resumed => {
            Err(io::Error::other(format!("{facts:?}, and not TLS 1.3 with AES-128-GCM and resumed: {resumed}")))
        }
        Some(_) | None => Ok(()),
    }
}
