//! Why there is no session to probe.

use crate::alert;
use std::fmt;
use std::io;

/// A handshake that did not come about. What to do next is in its text.
#[derive(Debug)]
pub struct HandshakeError {
    /// What kind of failure it is.
    pub fault: Fault,
    /// The TLS library's or the system's own words, where there are any.
    pub detail: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection could not be made.
    Connect,
    /// The other end does not speak TLS.
    NotTls,
    /// It does not speak the version that was offered.
    Version,
    /// Its certificate is not good for the name.
    WrongName,
    /// Its certificate is bad for another reason.
    Certificate,
    /// It refused with this alert.
    Alert(u8),
    /// It ended the connection in the middle.
    Ended,
    /// It reset the connection in the middle.
    Reset,
    /// It did not answer in time.
    Silent,
    /// Something else.
    Other,
}

impl HandshakeError {
    pub(crate) fn new(fault: Fault, detail: impl ToString) -> Self {
        Self { fault, detail: detail.to_string() }
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Ended,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Fault::Reset,
            io::ErrorKind::TimedOut => Fault::Silent,
            _ => Fault::Other,
        };
        Self::new(fault, error)
    }

    pub(crate) fn tls(error: &rustls::Error) -> Self {
        use rustls::{CertificateError, Error};
        let fault = match error {
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Fault::NotTls,
            Error::AlertReceived(alert) if u8::from(*alert) == PROTOCOL_VERSION => Fault::Version,
            Error::AlertReceived(alert) => Fault::Alert((*alert).into()),
            Error::PeerIncompatible(
                rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13
                | rustls::PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | rustls::PeerIncompatible::Tls12NotOffered
                | rustls::PeerIncompatible::Tls12NotOfferedOrEnabled
                | rustls::PeerIncompatible::Tls13RequiredForQuic
                | rustls::PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Fault::Version,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Fault::WrongName,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Fault::Certificate,
            _ => Fault::Other,
        };
        Self::new(fault, error)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &self.detail;
        match self.fault {
            Fault::Connect => write!(f, "cannot connect: {detail}; is something listening there?"),
            Fault::NotTls => write!(f, "the other end does not speak TLS ({detail}); is it the right port?"),
            Fault::Version => write!(f, "the other end does not speak this version of TLS ({detail})"),
            Fault::WrongName => write!(f, "the certificate is for another name ({detail}); say which with --sni"),
            Fault::Certificate => {
                write!(f, "the certificate is not trusted ({detail}); name its authority with --ca, or use --insecure")
            }
            Fault::Alert(code) => write!(f, "the other end refused the handshake with alert {}", alert::name(code)),
            Fault::Ended => write!(f, "the other end closed the connection during the handshake"),
            Fault::Reset => write!(f, "the other end reset the connection during the handshake"),
            Fault::Silent => write!(f, "the other end did not answer during the handshake"),
            Fault::Other => write!(f, "the handshake failed: {detail}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

const PROTOCOL_VERSION: u8 = 70;
