//! The library's hot paths, for callgrind to count: one thread, one runtime, both ends in one task over memory.
//!
//! What is counted is what runs inside of [`measured`]; configurations, keys and the sessions that a path starts from are
//! made outside of it. Nothing here depends on time or on a socket, so that two runs count the same but for what is drawn:
//! keys, randoms, the lengths of signatures.

use crate::certs::Identity;
use crate::stacks::{Facts, Resumption, Stack};
use crate::works::round_trip;
use clap::ValueEnum;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

/// The paths by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Path {
    /// 1 MiB from client to server, in records of 16 KiB
    Bulk,
    /// 1000 round trips of 100 bytes
    RoundTrip,
    /// 50 full handshakes
    HandshakeFull,
    /// 50 handshakes that resume, each with a byte read after its ticket
    HandshakeResumed,
    /// 50 sessions closed by both sides
    Close,
}

impl Path {
    /// Runs it once outside of [`measured`], for what is set up once, and then once inside.
    ///
    /// # Errors
    ///
    /// When a session fails.
    pub fn run<S: Stack>(self) -> io::Result<()> {
        let resumption = if self == Self::HandshakeResumed { Resumption::Tickets } else { Resumption::Never };
        let at = Hot {
            stack: S::new(&Identity::new(), resumption)?,
            runtime: Builder::new_current_thread().enable_time().build()?,
        };
        match self {
            Self::Bulk => at.bulk(),
            Self::RoundTrip => at.round_trip(),
            Self::HandshakeFull | Self::HandshakeResumed => at.handshakes(resumption),
            Self::Close => at.close(),
        }
    }
}

struct Hot<S> {
    stack: S,
    runtime: Runtime,
}

type Ends<S> = (<S as Stack>::Client<DuplexStream>, <S as Stack>::Server<DuplexStream>);

impl<S: Stack> Hot<S> {
    async fn meet(&self) -> io::Result<Ends<S>> {
        let (to_server, to_client) = duplex(PIPE);
        tokio::try_join!(self.stack.connect(to_server), self.stack.accept(to_client))
    }

    fn bulk(&self) -> io::Result<()> {
        let (mut client, mut server) = self.runtime.block_on(self.meet())?;
        let (data, mut buffer) = (vec![0x5a; BULK], vec![0; PIPE]);
        let mut carry = || {
            let send = async {
                for record in data.chunks(RECORD) {
                    client.write_all(record).await?;
                }
                client.flush().await
            };
            let receive = async {
                let mut left = BULK;
                while left > 0 {
                    match server.read(&mut buffer).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        got => left -= got,
                    }
                }
                Ok(())
            };
            self.runtime.block_on(async { tokio::try_join!(send, receive) })
        };
        carry()?;
        measured(carry)?;
        Ok(())
    }

    fn round_trip(&self) -> io::Result<()> {
        let (mut client, mut server) = self.runtime.block_on(self.meet())?;
        let mut carry = |count| {
            let (ask, serve) = (round_trip::ask(&mut client, count, 100), round_trip::serve(&mut server, count, 100));
            self.runtime.block_on(async { tokio::try_join!(ask, serve) })
        };
        carry(10)?;
        measured(|| carry(1000))?;
        Ok(())
    }

    fn handshakes(&self, resumption: Resumption) -> io::Result<()> {
        let resumed = resumption == Resumption::Tickets;
        let shake = async || {
            let (mut client, mut server) = self.meet().await?;
            if resumed {
                server.write_u8(1).await?;
                server.flush().await?;
                client.read_u8().await?;
            }
            io::Result::Ok(S::facts(&client))
        };
        self.runtime.block_on(async { io::Result::Ok((shake().await?, shake().await?)) })?;
        let last = measured(|| {
            self.runtime.block_on(async {
                let mut last = None;
                for _ in 0..SESSIONS {
                    last = shake().await?;
                }
                io::Result::Ok(last)
            })
        })?;
        match last {
            Some(facts) if facts != (Facts { suite: true, resumed }) => {
                Err(io::Error::other(format!("the last handshake came to {facts:?}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn close(&self) -> io::Result<()> {
        let close = async |(client, server): Ends<S>| {
            tokio::try_join!(S::close_client(client), S::close_server(server))?;
            io::Result::Ok(())
        };
        let mut met = Vec::new();
        for _ in 0..=SESSIONS {
            met.push(self.runtime.block_on(self.meet())?);
        }
        let first = met.pop().expect("there is one more than is measured");
        self.runtime.block_on(close(first))?;
        measured(|| {
            self.runtime.block_on(async {
                for ends in met {
                    close(ends).await?;
                }
                Ok(())
            })
        })
    }
}

/// Callgrind counts from its first instruction to its last (`--toggle-collect`), so it must stay a function.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    std::hint::black_box(work())
}

const PIPE: usize = 64 << 10;
const BULK: usize = 1 << 20;
const RECORD: usize = 16 << 10;
const SESSIONS: usize = 50;
