//! The messages of a takeover: one packet each, JSON, with descriptors beside some.
//!
//! It never waits, and checks only the form of what arrives: a packet that is too long, or whose descriptors did not all arrive, is
//! an error.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// A message of either side.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Message {
    /// The first, from the successor.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// Some listening sockets, in the order of the descriptors beside them.
    Sockets {
        /// The address of each, as the settings have it.
        listen: Vec<String>,
    },
    /// No more sockets.
    End {
        /// How many there were.
        count: usize,
    },
    /// The successor accepts.
    Serving,
    /// The predecessor has left the path of the takeover socket to the successor, and drains.
    Released,
    /// The predecessor goes on, and the successor must not.
    Refused {
        /// For a person.
        why: String,
    },
}

/// Sends one packet.
///
/// # Errors
///
/// The system's error; [`io::ErrorKind::WouldBlock`] if a nonblocking socket is full.
pub(super) fn send(to: impl AsFd, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    if packet.len() > PACKET_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an address is too long to be handed over"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.len() <= SOCKETS_MAX;
    if !fits || !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more descriptors than a packet can have"));
    }
    // A packet is sent completely or not at all.
    sendmsg(to, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one packet; `None` at the end of the connection.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] if the packet is malformed or incomplete, with the reason as its text. Otherwise the system's
/// error.
pub(super) fn receive(from: impl AsFd) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut packet = [0; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(from, &mut [IoSliceMut::new(&mut packet)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    // The space is rounded up, so that one more may have come through.
    if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > SOCKETS_MAX {
        return Err(malformed("not all descriptors arrived; raise the limit of open files (LimitNOFILE=)"));
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(malformed("a message is too long"));
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    match serde_json::from_slice(&packet[..received.bytes]) {
        Ok(message) => Ok(Some((message, descriptors))),
        Err(_) => Err(malformed("a message cannot be read")),
    }
}

/// The process at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// `None` where it is in a PID namespace that we do not see.
    pub(super) pid: Option<u32>,
    /// Its user.
    pub(super) uid: u32,
}

/// Who is at the other end.
pub(super) fn peer(of: &impl AsFd) -> io::Result<Peer> {
    // Not rustix': its type has no room for the 0 that stands for a process of another namespace.
    let credentials = getsockopt(of, PeerCredentials)?;
    Ok(Peer { pid: u32::try_from(credentials.pid()).ok().filter(|&pid| pid != 0), uid: credentials.uid() })
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Goes up when an older process would misunderstand a newer one.
pub(super) const VERSION: u32 = 1;

/// Descriptors in one packet; the kernel allows 253.
pub(super) const SOCKETS_MAX: usize = 32;

/// Room for the addresses of one packet: a path has at most 108 bytes and a name 255, each six times as long when escaped.
const PACKET_MAX: usize = 64 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::net::TcpListener;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn messages_arrive_one_by_one_with_their_descriptors() {
        let (a, b) = pair();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = vec![socket.as_fd(); SOCKETS_MAX];
        let names = Message::Sockets { listen: vec!["unix:/\u{1}".repeat(20); SOCKETS_MAX] };
        send(&a, &names, &sockets).unwrap();
        send(&a, &Message::End { count: 32 }, &[]).unwrap();
        drop(a);
        let (message, descriptors) = receive(&b).unwrap().unwrap();
        assert_eq!((message, descriptors.len()), (names, SOCKETS_MAX));
        let again = TcpListener::from(descriptors.into_iter().next().unwrap());
        assert_eq!(again.local_addr().unwrap(), socket.local_addr().unwrap());
        assert_eq!(receive(&b).unwrap().unwrap().0, Message::End { count: 32 });
        assert!(receive(&b).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let long = vec![b'x'; PACKET_MAX + 1];
        for (packet, why) in [
            (&b"GET / HTTP/1.1\r\n"[..], "cannot be read"),
            (br#"{"hello":{"version":1,"more":2}}"#, "cannot be read"),
            (br#"{"hello":{"version":-1}}"#, "cannot be read"),
            (&[0xff; 9], "cannot be read"),
            (&long, "too long"),
        ] {
            let (a, b) = pair();
            rustix::net::send(&a, packet, SendFlags::NOSIGNAL).unwrap();
            let error = receive(&b).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn too_many_descriptors_are_an_error_on_either_side() {
        let (a, b) = pair();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = vec![socket.as_fd(); SOCKETS_MAX + 1];
        assert!(send(&a, &Message::Serving, &sockets).is_err());

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&sockets)));
        sendmsg(&a, &[IoSlice::new(b"\"serving\"")], &mut control, SendFlags::NOSIGNAL).unwrap();
        let error = receive(&b).unwrap_err();
        assert!(error.to_string().contains("not all descriptors"), "{error}");
    }

    #[test]
    fn peer_is_known() {
        let (a, _b) = pair();
        let own = Peer { pid: Some(std::process::id()), uid: rustix::process::geteuid().as_raw() };
        assert_eq!(peer(&a).unwrap(), own);
    }
}
