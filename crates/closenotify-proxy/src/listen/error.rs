//! Why an address cannot be listened on, for the person who wrote it.

use std::{error, fmt, io};

use crate::address::Endpoint;

/// Why an address cannot be listened on.
#[derive(Debug)]
pub(crate) struct ListenError {
    /// The listener whose address it is, or what else wants it.
    pub(crate) name: String,
    /// The address as written.
    pub(crate) endpoint: Endpoint,
    /// What the system says.
    pub(crate) source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, endpoint, source } = self;
        write!(f, "cannot listen on {endpoint} ({name}): ")?;
        let unix = matches!(endpoint, Endpoint::Unix(_));
        match source.kind() {
            io::ErrorKind::AddrInUse if unix => {
                f.write_str("another process listens there; stop it, or choose another path")
            }
            io::ErrorKind::AddrInUse => f.write_str(
                "the address is in use; stop what listens there, or choose another (port 0 takes a free one). [::] covers IPv4 \
                 addresses too",
            ),
            io::ErrorKind::AlreadyExists if unix => {
                f.write_str("the file exists and is not a socket; remove it, or choose another path")
            }
            io::ErrorKind::NotFound if unix => f.write_str("its directory does not exist; create it"),
            io::ErrorKind::PermissionDenied if unix => {
                write!(f, "{source}; the directory must be writable for the user that binds it")
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{source}; ports below 1024 need root at the start, or CAP_NET_BIND_SERVICE (in a systemd unit: \
                 AmbientCapabilities=CAP_NET_BIND_SERVICE)"
            ),
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("this machine has no such address; choose one of its own, 0.0.0.0 or [::]")
            }
            io::ErrorKind::NotFound => write!(f, "{source}; write an address, or a name that the resolver knows"),
            _ => write!(f, "{source}; choose another address"),
        }
    }
}

impl error::Error for ListenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_listener_the_address_and_the_way_out() {
        for (endpoint, kind, hint) in [
            ("127.0.0.1:443", io::ErrorKind::AddrInUse, "port 0 takes a free one"),
            ("127.0.0.1:443", io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            ("192.0.2.1:443", io::ErrorKind::AddrNotAvailable, "0.0.0.0 or [::]"),
            ("nowhere.test:443", io::ErrorKind::NotFound, "resolver"),
            ("unix:/run/s", io::ErrorKind::AddrInUse, "another process"),
            ("unix:/run/s", io::ErrorKind::AlreadyExists, "not a socket"),
            ("unix:/run/s", io::ErrorKind::NotFound, "directory does not exist"),
            ("unix:/run/s", io::ErrorKind::PermissionDenied, "writable"),
            ("127.0.0.1:443", io::ErrorKind::Other, "choose another"),
        ] {
            let endpoint: Endpoint = endpoint.parse().expect("an endpoint");
            let start = format!("cannot listen on {endpoint} (listener \"web\"): ");
            let error = ListenError { name: "listener \"web\"".into(), endpoint, source: kind.into() };
            let shown = error.to_string();
            assert!(shown.starts_with(&start) && shown.contains(hint), "{shown}");
        }
    }
}
