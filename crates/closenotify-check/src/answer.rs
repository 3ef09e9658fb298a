//! The answer that the probe gives to a client: one body, framed in each of the ways that HTTP has, and cut into parts.
//!
//! The parts of one answer put together are that answer, whatever the framing. A client that speaks no HTTP gets the bytes of
//! the body alone; nothing frames them but the end.

use crate::step::{Framing, Part};

/// The bytes of a part of an answer.
pub(crate) fn bytes(framing: Framing, part: Part, bare: bool) -> Vec<u8> {
    let head = if bare { Vec::new() } else { head(framing) };
    let (whole, end) = match framing {
        _ if bare => (body(), 1),
        Framing::Length | Framing::LengthLast | Framing::Close => (body(), 1),
        Framing::Chunked => (chunks(), LAST_CHUNK.len()),
    };
    let (half, unfinished) = (head.len() + whole.len() / 2, head.len() + whole.len() - end);
    let all = [&head[..], &whole].concat();
    match part {
        Part::Whole => all,
        Part::HalfHead => all[..head.len() / 2].to_vec(),
        Part::Half => all[..half].to_vec(),
        Part::OtherHalf => all[half..].to_vec(),
        Part::Unfinished => all[..unfinished].to_vec(),
        Part::Finish => all[unfinished..].to_vec(),
    }
}

/// The body of every answer: lines of text.
pub(crate) fn body() -> Vec<u8> {
    (1..=LINES).flat_map(|line| format!("line {line:3} of {LINES} of the answer\n").into_bytes()).collect()
}

fn head(framing: Framing) -> Vec<u8> {
    let length = body().len();
    let framing = match framing {
        Framing::Length => format!("Content-Length: {length}\r\n"),
        Framing::LengthLast => format!("Content-Length: {length}\r\nConnection: close\r\n"),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::Close => "Connection: close\r\n".to_owned(),
    };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n").into_bytes()
}

/// The body in two chunks, and the last one.
fn chunks() -> Vec<u8> {
    let body = body();
    let chunks = body.chunks(body.len().div_ceil(2));
    let chunks = chunks.flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    chunks.chain(LAST_CHUNK.iter().copied()).collect()
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const LINES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{App, Expected};
    use crate::case::DataSeen;

    #[test]
    fn parts_put_together_are_the_answer_and_only_all_of_it_is_whole() {
        for framing in [Framing::Length, Framing::LengthLast, Framing::Chunked, Framing::Close] {
            for bare in [false, true] {
                let part = |part| bytes(framing, part, bare);
                assert_eq!([part(Part::Half), part(Part::OtherHalf)].concat(), part(Part::Whole));
                assert_eq!([part(Part::Unfinished), part(Part::Finish)].concat(), part(Part::Whole));
            }
            let usual = Expected::new(App::Http1 { path: "/".to_owned() }, bytes(framing, Part::Whole, false));
            assert_eq!(usual.seen(&bytes(framing, Part::Whole, false)), DataSeen::Whole);
            for part in [Part::HalfHead, Part::Half, Part::Unfinished] {
                assert_eq!(usual.seen(&bytes(framing, part, false)), DataSeen::Cut, "{framing} {part}");
            }
        }
        assert_eq!(bytes(Framing::Chunked, Part::Whole, true), body());
    }
}
