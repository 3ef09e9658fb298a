//! The application on top of TLS: what a server is asked, and whether its answer is whole.
//!
//! HTTP is understood so far as the framing of one answer needs (RFC 9112 section 6); whether an answer makes sense is nobody's
//! business here.

use crate::case::DataSeen;
use std::fmt;

/// What a server does with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum App {
    /// HTTP/1.1; this path is asked for.
    Http1 {
        /// With its leading slash.
        path: String,
    },
    /// It sends back what it gets.
    Echo,
    /// It speaks first, unasked.
    Greeting,
    /// Nothing that is known.
    None,
}

/// What an answer must look like to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    app: App,
    /// What came in an undisturbed session, or what was sent to an echo.
    pattern: Vec<u8>,
}

impl App {
    /// Reads `http1`, `http1:/PATH`, `echo`, `greeting` or `none`.
    ///
    /// # Errors
    ///
    /// When it is none of these, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => match text {
                "http1" => Ok(Self::Http1 { path: "/".to_owned() }),
                "echo" => Ok(Self::Echo),
                "greeting" => Ok(Self::Greeting),
                "none" => Ok(Self::None),
                _ => Err(format!("`{text}` is not known; use http1, http1:/PATH, echo, greeting or none")),
            },
            Some(("http1", path)) if path.starts_with('/') && !path.contains(char::is_whitespace) => {
                Ok(Self::Http1 { path: path.to_owned() })
            }
            Some(("http1", path)) => Err(format!("the path `{path}` must begin with a slash and hold no spaces")),
            Some(_) => Err(format!("`{text}` is not known; only http1 takes a path")),
        }
    }

    /// What asks for an answer. With `keep` an HTTP connection is to stay open behind it; `long` makes an echo's long.
    pub(crate) fn request(&self, host: &str, keep: bool, long: bool) -> Vec<u8> {
        match self {
            Self::Http1 { path } => {
                let connection = if keep { "" } else { "Connection: close\r\n" };
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: closenotify-check\r\nAccept: */*\r\n{connection}\r\n")
                    .into_bytes()
            }
            // In lines, for an echo that waits for the end of one.
            Self::Echo if long => {
                (0..LONG_ANSWER * 2).map(|at| if at % 64 == 63 { b'\n' } else { b'a' + (at % 23) as u8 }).collect()
            }
            Self::Echo => b"closenotify check: the quick brown fox jumps over the lazy dog\n".to_vec(),
            Self::Greeting | Self::None => Vec::new(),
        }
    }

    /// Whether it answers at all.
    pub(crate) fn answers(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http1 { path } => write!(f, "http1:{path}"),
            Self::Echo => f.write_str("echo"),
            Self::Greeting => f.write_str("greeting"),
            Self::None => f.write_str("none"),
        }
    }
}

impl Expected {
    /// What is expected where this came undisturbed.
    pub(crate) fn new(app: App, pattern: Vec<u8>) -> Self {
        Self { app, pattern }
    }

    /// Why it cannot be what an answer of the application looks like, where it cannot.
    pub(crate) fn is_odd(&self) -> Option<String> {
        match self.app {
            App::Http1 { .. } | App::Greeting if self.pattern.is_empty() => Some("no answer".to_owned()),
            App::Http1 { .. } => match self.seen(&self.pattern) {
                DataSeen::Whole => None,
                DataSeen::Cut => Some("half an answer".to_owned()),
                DataSeen::More => Some("more than one answer".to_owned()),
                _ => Some("no HTTP answer".to_owned()),
            },
            App::Greeting | App::Echo | App::None => None,
        }
    }

    /// How long an answer is in all.
    pub(crate) fn length(&self) -> usize {
        self.pattern.len()
    }

    /// Whether an answer is longer than the buffers of two hosts that the probe makes small.
    pub(crate) fn is_long(&self) -> bool {
        self.app == App::Echo || self.pattern.len() >= LONG_ANSWER
    }

    /// The same for a request that an echo was sent.
    pub(crate) fn of_request(&self, request: &[u8]) -> Self {
        match self.app {
            App::Echo => Self { app: App::Echo, pattern: request.to_vec() },
            _ => self.clone(),
        }
    }

    /// What became of the answer.
    pub(crate) fn seen(&self, data: &[u8]) -> DataSeen {
        if data.is_empty() {
            return if self.pattern.is_empty() { DataSeen::Whole } else { DataSeen::Nothing };
        }
        match self.app {
            App::Http1 { .. } => self.http(data),
            App::Greeting => by_length(data.len(), self.pattern.len()),
            App::Echo | App::None if data.starts_with(&self.pattern) => by_length(data.len(), self.pattern.len()),
            App::Echo | App::None if self.pattern.starts_with(data) => DataSeen::Cut,
            App::Echo | App::None => DataSeen::Other,
        }
    }

    fn http(&self, data: &[u8]) -> DataSeen {
        let Some(answer) = Answer::parse(data) else {
            return if data.starts_with(b"HTTP/") { DataSeen::Cut } else { DataSeen::Other };
        };
        let usual = Answer::parse(&self.pattern);
        if usual.as_ref().is_some_and(|usual| usual.status != answer.status) {
            return DataSeen::Other;
        }
        match answer.framing {
            Framing::Length(length) => by_length(answer.body.len(), length),
            Framing::Chunked => chunked(answer.body),
            Framing::Close => by_length(answer.body.len(), usual.map_or(0, |usual| usual.body.len())),
        }
    }
}

/// The head of an HTTP answer, and what is behind it.
struct Answer<'a> {
    status: &'a [u8],
    framing: Framing,
    body: &'a [u8],
}

enum Framing {
    Length(usize),
    Chunked,
    Close,
}

impl<'a> Answer<'a> {
    fn parse(data: &'a [u8]) -> Option<Self> {
        let end = data.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, body) = (&data[..end], &data[end + 4..]);
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = lines.next()?.split(|byte| *byte == b' ').nth(1)?;
        let mut framing = Framing::Close;
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
            match &name[..] {
                b"content-length" => framing = Framing::Length(std::str::from_utf8(value).ok()?.parse().ok()?),
                b"transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => {
                    framing = Framing::Chunked;
                    break;
                }
                _ => {}
            }
        }
        Some(Self { status, framing, body })
    }
}

fn by_length(seen: usize, expected: usize) -> DataSeen {
    match seen.cmp(&expected) {
        std::cmp::Ordering::Less => DataSeen::Cut,
        std::cmp::Ordering::Equal => DataSeen::Whole,
        std::cmp::Ordering::Greater => DataSeen::More,
    }
}

/// Walks over chunks (RFC 9112 section 7.1).
fn chunked(mut body: &[u8]) -> DataSeen {
    loop {
        let Some(end) = body.windows(2).position(|two| two == b"\r\n") else { return DataSeen::Cut };
        let size = body[..end].split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return DataSeen::Other };
        body = &body[end + 2..];
        if size == 0 {
            // Trailers end with an empty line.
            return match body.windows(2).position(|two| two == b"\r\n") {
                Some(0) => by_length(body.len(), 2),
                Some(_) => match body.windows(4).position(|four| four == b"\r\n\r\n") {
                    Some(end) => by_length(body.len(), end + 4),
                    None => DataSeen::Cut,
                },
                None => DataSeen::Cut,
            };
        }
        match size.checked_add(2).and_then(|size| body.get(size..)) {
            Some(rest) => body = rest,
            None => return DataSeen::Cut,
        }
    }
}

/// What the small receive buffer of a probe, and what a kernel holds for a sender by default, do not hold together.
pub(crate) const LONG_ANSWER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(usual: &str, data: &str) -> DataSeen {
        Expected::new(App::Http1 { path: "/".to_owned() }, usual.as_bytes().to_vec()).seen(data.as_bytes())
    }

    #[test]
    fn an_answer_with_a_length_is_whole_when_it_is_that_long() {
        let usual = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(seen(usual, usual), DataSeen::Whole);
        assert_eq!(seen(usual, &usual[..usual.len() - 1]), DataSeen::Cut);
        assert_eq!(seen(usual, "HTTP/1.1 200 OK\r\n"), DataSeen::Cut);
        assert_eq!(seen(usual, &format!("{usual}{usual}")), DataSeen::More);
        assert_eq!(seen(usual, ""), DataSeen::Nothing);
        assert_eq!(seen(usual, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), DataSeen::Other);
        assert_eq!(seen(usual, "220 smtp\r\n"), DataSeen::Other);
    }

    #[test]
    fn a_chunked_answer_is_whole_at_its_last_chunk() {
        let usual = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(seen(usual, usual), DataSeen::Whole);
        for cut in 17..usual.len() {
            assert_eq!(seen(usual, &usual[..cut]), DataSeen::Cut, "cut at {cut}");
        }
        assert_eq!(seen(usual, &usual.replace("0\r\n\r\n", "0\r\nA: b\r\n\r\n")), DataSeen::Whole);
        assert_eq!(seen(usual, &format!("{usual}HTTP")), DataSeen::More);
    }

    #[test]
    fn an_answer_that_only_the_end_frames_is_measured_by_the_usual_one() {
        let usual = "HTTP/1.0 200 OK\r\n\r\nabcdef";
        assert_eq!(seen(usual, usual), DataSeen::Whole);
        assert_eq!(seen(usual, "HTTP/1.0 200 OK\r\n\r\nabc"), DataSeen::Cut);
    }

    #[test]
    fn an_echo_of_lines_can_answer_all_that_it_is_sent() {
        for long in [false, true] {
            let request = App::Echo.request("localhost", false, long);
            assert!(request.ends_with(b"\n"), "an echo waits for the rest of the last line");
            assert!(request.split(|byte| *byte == b'\n').all(|line| line.len() < 128), "some take no longer lines");
        }
    }

    #[test]
    fn apps_are_read_as_they_are_written() {
        for text in ["http1:/", "http1:/big?x=1", "echo", "greeting", "none"] {
            assert_eq!(App::parse(text).expect("it is one").to_string(), text);
        }
        for text in ["http", "http1:big", "http1:/a b", "echo:/", ""] {
            assert!(App::parse(text).is_err(), "{text}");
        }
    }
}
