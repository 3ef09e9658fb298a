//! The plain HTTP server behind a program that only ends TLS: it answers once, with a megabyte, and ends as it should: FIN, and
//! on until the other side has ended too.
//!
//! Nothing that is wrong with the pair is this one's doing: it waits for no time and closes nothing early.

use crate::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// Listens at `addr`, and only then starts the command that needs it. Ends with the command.
pub(crate) async fn run(addr: &str, command: &[&str]) -> Result<(), Failure> {
    let listener = TcpListener::bind(addr).await?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Err(error) = answer(tcp).await {
                    eprintln!("{error}");
                }
            });
        }
    });
    let (program, arguments) = command.split_first().ok_or("a command is missing")?;
    let status = Command::new(program).args(arguments).kill_on_drop(true).status().await?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
}

async fn answer(mut tcp: TcpStream) -> Result<(), Failure> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        if tcp.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n".to_vec();
    answer.resize(answer.len() + 1_000_000, b'x');
    tcp.write_all(&answer).await?;
    tcp.shutdown().await?;
    tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await?;
    Ok(())
}
