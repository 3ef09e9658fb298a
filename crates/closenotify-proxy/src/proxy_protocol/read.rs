//! Reads a header from a connection: it, and not one byte more.
//!
//! What follows, mostly TLS, belongs to another reader. So a read asks only for bytes that every complete header still has: the
//! first 12, and two more of a line whose CR has not arrived.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout_at};

use super::error::{HeaderError, Malformed};
use super::{Addresses, Header, v1, v2};
use crate::config::ProxyProtocol;

/// Reads the header that a connection must begin with.
///
/// When it returns a header, the next byte read from `stream` is the first one after it. When it fails, or the future is
/// dropped, part of the header may have been read: the connection is of no use any more.
///
/// # Errors
///
/// [`HeaderError`]: there is no header, it is malformed, the connection ended, or `deadline` passed.
pub(crate) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
    deadline: Instant,
) -> Result<Header, HeaderError> {
    timeout_at(deadline, read(stream)).await.unwrap_or(Err(HeaderError::TimedOut))
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, HeaderError> {
    let mut reader = Reader { stream, count: 0 };
    let mut start = [0; v2::PREFIX];
    let (first, rest) = start.split_at_mut(v2::SIGNATURE.len());
    let mut filled = 0;
    while filled < first.len() {
        filled += reader.some(&mut first[filled..]).await?;
        let seen = &first[..filled];
        if !begins_as(seen, v1::PREFIX) && !begins_as(seen, &v2::SIGNATURE) {
            return Err(HeaderError::Missing { tls: seen[0] == TLS_HANDSHAKE });
        }
    }
    if first.starts_with(v1::PREFIX) {
        let addresses = read_line(&mut reader, first.to_vec()).await?;
        return Ok(Header { version: ProxyProtocol::V1, addresses });
    }
    reader.all(rest).await?;
    let parsed = v2::Start::parse(start)?;
    let mut block = vec![0; parsed.length];
    reader.all(&mut block).await?;
    Ok(Header { version: ProxyProtocol::V2, addresses: parsed.finish(&start, &block)? })
}

/// Reads the rest of a header of version 1.
async fn read_line<S: AsyncRead + Unpin>(
    reader: &mut Reader<'_, S>,
    mut line: Vec<u8>,
) -> Result<Addresses, HeaderError> {
    loop {
        if let Some(end) = end_of_line(&line)? {
            let addresses = v1::parse(&line[v1::PREFIX.len()..end])?;
            // A line that parses is longer than the 12 bytes read first, so nothing follows its end.
            return if end + 2 == line.len() { Ok(addresses) } else { Err(Malformed::Fields.into()) };
        }
        let next = if line.last() == Some(&b'\r') { 1 } else { 2 };
        if line.len() + next > v1::LINE_MAX {
            return Err(Malformed::LineTooLong.into());
        }
        let at = line.len();
        line.resize(at + next, 0);
        reader.all(&mut line[at..]).await?;
    }
}

/// Where the CR LF is, if it has come.
fn end_of_line(line: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(at) = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return Ok(None) };
    match (line[at], line.get(at + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(at)),
        (b'\r', None) => Ok(None),
        _ => Err(Malformed::LineEnd),
    }
}

fn begins_as(seen: &[u8], expected: &[u8]) -> bool {
    seen.iter().zip(expected).all(|(a, b)| a == b)
}

/// Reads and counts, so that an error can say after how many bytes the stream ended.
struct Reader<'a, S> {
    stream: &'a mut S,
    count: usize,
}

impl<S: AsyncRead + Unpin> Reader<'_, S> {
    /// Reads at least one byte.
    async fn some(&mut self, into: &mut [u8]) -> Result<usize, HeaderError> {
        match self.stream.read(into).await {
            Ok(0) if self.count == 0 => Err(HeaderError::Silent),
            Ok(0) => Err(HeaderError::Truncated(self.count)),
            Ok(count) => {
                self.count += count;
                Ok(count)
            }
            Err(error) => Err(HeaderError::Failed(error.kind())),
        }
    }

    /// Fills `into`.
    async fn all(&mut self, into: &mut [u8]) -> Result<(), HeaderError> {
        let mut filled = 0;
        while filled < into.len() {
            filled += self.some(&mut into[filled..]).await?;
        }
        Ok(())
    }
}

/// The first byte of a ClientHello's record.
const TLS_HANDSHAKE: u8 = 0x16;

#[cfg(test)]
mod tests;
