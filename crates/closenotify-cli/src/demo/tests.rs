//! Each route of the demo, and each ending of its connections, seen by a client on a bare socket.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::DemoUpstream;

const PATTERN_LINE: &[u8] = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n";

/// A client that fails rather than waits for ever.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// How the server's sending half ended.
#[derive(Debug, PartialEq)]
enum Ending {
    Fin,
    Reset,
}

impl Client {
    async fn connect(demo: &DemoUpstream) -> Self {
        Self { stream: TcpStream::connect(demo.addr()).await.unwrap(), read: Vec::new() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: demo\r\n\r\n")).await;
    }

    /// Reads on until `done` says of all that was read that it is enough.
    async fn read_until(&mut self, done: impl Fn(&[u8]) -> bool) {
        bounded(async {
            while !done(&self.read) {
                let n = self.stream.read_buf(&mut self.read).await.unwrap();
                assert_ne!(n, 0, "the end came early: {:?}", String::from_utf8_lossy(&self.read));
            }
        })
        .await;
    }

    async fn read_to_ending(&mut self) -> Ending {
        bounded(async {
            loop {
                match self.stream.read_buf(&mut self.read).await {
                    Ok(0) => return Ending::Fin,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                        return Ending::Reset;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await
    }

    /// One whole answer: reads its head and as many bytes as it promises, and nothing more.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        self.read_until(|read| split(read).is_some()).await;
        let promised = promised(&split(&self.read).unwrap().0);
        self.read_until(|read| split(read).unwrap().1.len() >= promised).await;
        let (head, body) = split(&self.read).unwrap();
        let answer = (head, body[..promised].to_vec());
        self.read.drain(..self.read.len() - (body.len() - promised));
        answer
    }

    fn split(&self) -> (String, &[u8]) {
        split(&self.read).unwrap()
    }
}

fn split(read: &[u8]) -> Option<(String, &[u8])> {
    let at = read.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((String::from_utf8(read[..at].to_vec()).unwrap(), &read[at + 4..]))
}

fn promised(head: &str) -> usize {
    let value = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    value.unwrap_or_else(|| panic!("no length in {head}")).parse().unwrap()
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("no end within 20 s")
}

#[tokio::test]
async fn front_page_lists_the_paths() {
    let demo = DemoUpstream::start().unwrap();
    assert!(demo.addr().ip().is_loopback());
    let mut client = Client::connect(&demo).await;
    client.get("/").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/html"), "{head}");
    let body = String::from_utf8(body).unwrap();
    for path in ["/bytes/N", "/slow/SECONDS", "/early", "/echo", "/reset/N"] {
        assert!(body.contains(path), "{body}");
    }
}

#[tokio::test]
async fn bytes_are_exactly_as_many_and_the_connection_is_kept() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    for n in [0, 1, 63, 65_536, 65_537, 3_000_000] {
        client.get(&format!("/bytes/{n}")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body.len(), n);
        let expected = PATTERN_LINE.iter().cycle().take(n);
        assert!(body.iter().eq(expected), "{n} bytes are not the pattern");
    }
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    assert!(client.read.is_empty());
}

#[tokio::test]
async fn large_answer_with_close_is_whole_for_a_slow_reader() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    let n = 16 * 1024 * 1024;
    client.send(&format!("GET /bytes/{n} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n")).await;
    // Both socket buffers are full before the first read.
    client.stream.readable().await.unwrap();
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    assert_eq!(client.split().1.len(), n);
}

#[tokio::test]
async fn slow_gives_one_line_at_once_and_the_rest_to_a_client_that_half_closed() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    let asked = Instant::now();
    client.get("/slow/1").await;
    client.stream.shutdown().await.unwrap();
    client.read_until(|read| read.ends_with(b"in 1 s\n")).await;
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    assert!(asked.elapsed() >= Duration::from_secs(1));
    let (head, body) = client.split();
    assert_eq!(body.len(), promised(&head));
    assert!(body.ends_with(b"this response is complete\n"));
}

#[tokio::test]
async fn echo_streams_while_the_request_is_still_coming() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    client.send("POST /echo HTTP/1.1\r\nhost: demo\r\ncontent-length: 10\r\n\r\nfirst").await;
    client.read_until(|read| read.ends_with(b"\r\n\r\nfirst")).await;
    client.send("-last").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, b"first-last");
}

#[tokio::test]
async fn early_answers_before_the_body_has_come() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    client.send("POST /early HTTP/1.1\r\nhost: demo\r\ncontent-length: 1000000\r\n\r\n").await;
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    let (head, body) = client.split();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close"), "{head}");
    assert_eq!(body.len(), promised(&head));
}

#[tokio::test]
async fn early_answer_survives_an_upload_that_goes_on() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    let upload = 8 * 1024 * 1024;
    client.send(&format!("POST /early HTTP/1.1\r\nhost: demo\r\ncontent-length: {upload}\r\n\r\n")).await;
    // All of it goes out before the first byte of the answer is read: a reset would have destroyed the answer.
    bounded(client.stream.write_all(&vec![b'u'; upload])).await.unwrap();
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    let (head, body) = client.split();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body.len(), promised(&head));
    // The connection was ended by both sides: there is no error behind the answer.
    assert!(client.stream.take_error().unwrap().is_none());
    client.stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn reset_follows_exactly_the_bytes_given() {
    let demo = DemoUpstream::start().unwrap();
    for n in [0, 1, 1000, 100_000] {
        let mut client = Client::connect(&demo).await;
        client.get(&format!("/reset/{n}")).await;
        assert_eq!(client.read_to_ending().await, Ending::Reset);
        let (head, body) = client.split();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(promised(&head), 2 * n + 1024);
        assert_eq!(body.len(), n);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn reset_waits_for_more_bytes_than_the_socket_buffers_hold() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    let n = 32 * 1024 * 1024;
    client.get(&format!("/reset/{n}")).await;
    assert_eq!(client.read_to_ending().await, Ending::Reset);
    assert_eq!(client.split().1.len(), n);
}

#[tokio::test]
async fn numbers_out_of_bounds_are_refused() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    for path in
        ["/bytes/x", "/bytes/-1", "/bytes/+1", "/bytes/", "/bytes/1073741825", "/slow/61", "/slow/1.5", "/reset/1e3"]
    {
        client.get(path).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{path}: {head}");
        assert!(String::from_utf8(body).unwrap().contains("whole number from 0 to"));
    }
}

#[tokio::test]
async fn unknown_paths_are_answered_with_the_list() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    for target in ["/nowhere", "/bytes", "/echo/1", "/early/", "//", "*"] {
        client.send(&format!("OPTIONS {target} HTTP/1.1\r\nhost: demo\r\n\r\n")).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 404"), "{target}: {head}");
        assert!(String::from_utf8(body).unwrap().contains("/slow/SECONDS"));
    }
    client.send("CONNECT demo:443 HTTP/1.1\r\nhost: demo\r\n\r\n").await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[tokio::test]
async fn what_is_not_http_is_answered_and_ended() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    client.send("\u{16}\u{3}\u{1} not HTTP\r\n\r\n").await;
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    assert!(client.split().0.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn dropping_it_stops_listening_and_cuts_what_is_open() {
    let demo = DemoUpstream::start().unwrap();
    let mut client = Client::connect(&demo).await;
    client.get("/slow/60").await;
    client.read_until(|read| read.ends_with(b"in 60 s\n")).await;
    let addr = demo.addr();
    drop(demo);
    assert_eq!(client.read_to_ending().await, Ending::Fin);
    let (head, body) = client.split();
    assert!(body.len() < promised(&head));
    assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
