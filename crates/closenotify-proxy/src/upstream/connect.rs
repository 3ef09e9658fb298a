//! Connects to one address of an upstream: tries the IP addresses of a name with happy eyeballs (RFC 8305).
//!
//! Health and retries are the pool's. Nothing is sent here. Every socket is set to reset on close from the start.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socket2::SockRef;
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::sleep;

use crate::socket::Socket;

/// Opens connections.
pub(super) trait Dial: Send + Sync {
    fn tcp(&self, address: SocketAddr) -> Dialing;

    fn unix(&self, path: &Path) -> Dialing;
}

/// A connection attempt. Dropping it cancels it.
pub(super) type Dialing = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

/// Opens connections with the system's sockets.
#[derive(Debug)]
pub(super) struct System;

impl Dial for System {
    fn tcp(&self, address: SocketAddr) -> Dialing {
        Box::pin(async move {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // An attempt that is given up may have been established: its end must not look like that of an empty stream.
            SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
            socket.connect(address).await.map(Socket::from)
        })
    }

    /// Waits while the listener's queue is full: for a Unix socket the system reports that at once.
    fn unix(&self, path: &Path) -> Dialing {
        let path = PathBuf::from(path);
        Box::pin(async move {
            loop {
                match UnixStream::connect(&path).await {
                    Ok(unix) => return Ok(Socket::from(unix)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_FULL_PAUSE).await,
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

/// The addresses in the order to try them: the resolver's (RFC 6724), with the families alternating. RFC 8305, section 4.
pub(super) fn interleave(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_v4 = addresses.peek().is_some_and(IpAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    let mut order: Vec<_> = first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    order.extend(second);
    order
}

/// Connects to the first of `addresses` that answers: each is tried 250 ms after the one before it, or as soon as that one
/// fails, while the earlier ones go on. RFC 8305, section 5.
///
/// The other attempts are dropped when one succeeds; dropping the future drops them all. The caller sets the time limit.
///
/// # Errors
///
/// Why each address failed, in the order of `addresses`.
pub(super) async fn race(
    dial: &Arc<dyn Dial>,
    addresses: &[SocketAddr],
) -> Result<(Socket, SocketAddr), Vec<(SocketAddr, io::Error)>> {
    let mut waiting = addresses.iter().copied().enumerate();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some((at, address)) = waiting.next() {
            let dialing = dial.tcp(address);
            running.push(async move { (at, address, dialing.await) });
        }
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some((_, address, Ok(socket))) => return Ok((socket, address)),
                Some((at, address, Err(error))) => failures.push((at, address, error)),
                None => break,
            },
            () = sleep(ATTEMPT_DELAY), if waiting.len() > 0 => {}
        }
    }
    failures.sort_by_key(|(at, ..)| *at);
    Err(failures.into_iter().map(|(_, address, error)| (address, error)).collect())
}

/// How long after one address the next one is tried. RFC 8305, section 8.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The pause between attempts to connect to a Unix socket whose queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Fake};
    use super::*;
    use std::time::Duration;
    use tokio::time::Instant;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Races, and returns who answered, after how long, with who was tried.
    async fn raced(
        fake: &Fake,
        addresses: &[SocketAddr],
    ) -> (Result<SocketAddr, Vec<io::ErrorKind>>, Duration, Vec<String>) {
        let started = Instant::now();
        let dial: Arc<dyn Dial> = Arc::new(fake.clone());
        let result = race(&dial, addresses).await;
        let result = result.map(|(_, address)| address);
        let result = result.map_err(|failures| failures.iter().map(|(_, error)| error.kind()).collect());
        (result, started.elapsed(), fake.dialed())
    }

    const MS: Duration = Duration::from_millis(1);
    const A: &str = "192.0.2.1:1";
    const B: &str = "[2001:db8::1]:1";
    const C: &str = "192.0.2.2:1";

    #[test]
    fn families_take_turns() {
        let order = |texts: &[&str]| {
            let ips: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
            interleave(ips).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(order(&[]), [""; 0]);
        assert_eq!(order(&["::1", "::2", "::3", "1.1.1.1"]), ["::1", "1.1.1.1", "::2", "::3"]);
        assert_eq!(order(&["1.1.1.1", "::1", "::2", "::3"]), ["1.1.1.1", "::1", "::2", "::3"]);
        assert_eq!(order(&["1.1.1.1", "1.1.1.2", "::1", "::2"]), ["1.1.1.1", "::1", "1.1.1.2", "::2"]);
        assert_eq!(order(&["1.1.1.2", "1.1.1.1"]), ["1.1.1.2", "1.1.1.1"]);
    }

    /// docs/cases.md D14
    #[tokio::test(start_paused = true)]
    async fn a_black_hole_costs_one_delay() {
        let fake = Fake::new([(A, Answer::Never), (B, Answer::After(3 * MS))]);
        let (result, after, dialed) = raced(&fake, &addresses(&[A, B, C])).await;
        assert_eq!(result, Ok(B.parse().unwrap()));
        assert_eq!(after, 253 * MS);
        assert_eq!(dialed, [A, B]);
        assert_eq!(fake.open(), 0, "the attempt that lost is dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        let refused = Answer::Fails(io::ErrorKind::ConnectionRefused);
        let fake = Fake::new([(A, refused), (B, refused), (C, Answer::After(MS))]);
        let (result, after, _) = raced(&fake, &addresses(&[A, B, C])).await;
        assert_eq!((result, after), (Ok(C.parse().unwrap()), MS));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_address_may_still_win() {
        let fake = Fake::new([(A, Answer::After(300 * MS)), (B, Answer::Never)]);
        let (result, after, dialed) = raced(&fake, &addresses(&[A, B])).await;
        assert_eq!((result, after), (Ok(A.parse().unwrap()), 300 * MS));
        assert_eq!(dialed, [A, B]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_is_not_tried_while_the_first_answers_in_time() {
        let fake = Fake::new([(A, Answer::After(249 * MS)), (B, Answer::After(MS))]);
        let (result, _, dialed) = raced(&fake, &addresses(&[A, B])).await;
        assert_eq!((result, dialed), (Ok(A.parse().unwrap()), vec![A.to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_returned_in_the_order_of_the_addresses() {
        let late = Answer::FailsAfter(400 * MS, io::ErrorKind::HostUnreachable);
        let fake = Fake::new([(A, late), (B, Answer::Fails(io::ErrorKind::ConnectionRefused))]);
        let (result, after, _) = raced(&fake, &addresses(&[A, B])).await;
        assert_eq!(result, Err(vec![io::ErrorKind::HostUnreachable, io::ErrorKind::ConnectionRefused]));
        assert_eq!(after, 400 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_it_drops_every_attempt() {
        let fake = Fake::new([(A, Answer::Never), (B, Answer::Never)]);
        let dial: Arc<dyn Dial> = Arc::new(fake.clone());
        let both = addresses(&[A, B]);
        assert!(tokio::time::timeout(Duration::from_secs(1), race(&dial, &both)).await.is_err());
        assert_eq!((fake.dialed().len(), fake.open()), (2, 0));
    }

    #[tokio::test]
    async fn connecting_to_a_unix_socket_waits_for_room_in_its_queue() {
        use socket2::{Domain, SockAddr, Type};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let listener = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let _fills_the_queue = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let full = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);

        let mut dialing = System.unix(&path);
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(dialing.as_mut().poll(cx))).await.is_pending());
        let _accepted = listener.accept().unwrap();
        dialing.await.unwrap();
    }
}
