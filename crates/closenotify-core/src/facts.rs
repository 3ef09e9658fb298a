//! What the handshake negotiated, in one struct that outlives the handshake.

use crate::reason::suite_name;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};
use std::fmt;

/// What the handshake negotiated.
///
/// Methods that rustls' connections also have use the same names.
#[derive(Clone)]
pub struct SessionFacts {
    pub(crate) version: ProtocolVersion,
    pub(crate) cipher_suite: CipherSuite,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) server_name: Option<String>,
    pub(crate) peer_certificates: Vec<CertificateDer<'static>>,
    pub(crate) resumed: bool,
    pub(crate) early_data: Option<u64>,
}

impl SessionFacts {
    /// The facts of a handshake that negotiated nothing.
    #[cfg(feature = "early-data")]
    pub(crate) fn nothing() -> Self {
        Self {
            version: ProtocolVersion::Unknown(0),
            cipher_suite: CipherSuite::Unknown(0),
            alpn: None,
            server_name: None,
            peer_certificates: Vec::new(),
            resumed: false,
            early_data: None,
        }
    }

    /// The protocol version: TLS 1.2 or TLS 1.3.
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.version
    }

    /// The version as text: `TLSv1.2` or `TLSv1.3`.
    pub fn version_name(&self) -> &'static str {
        match self.version {
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "unknown",
        }
    }

    /// The cipher suite.
    pub fn negotiated_cipher_suite(&self) -> CipherSuite {
        self.cipher_suite
    }

    /// The cipher suite's name in the IANA registry, such as `TLS_AES_256_GCM_SHA384`.
    pub fn cipher_suite_name(&self) -> String {
        suite_name(self.cipher_suite)
    }

    /// The protocol negotiated by ALPN (RFC 7301); `None` if none was offered or accepted.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// At a server, the name in the client's SNI extension (RFC 6066 section 3), `None` if it sent none. At a client, the name
    /// or address that it connected to.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The peer's certificate chain, end entity first; `None` if the peer sent none.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        (!self.peer_certificates.is_empty()).then_some(self.peer_certificates.as_slice())
    }

    /// Whether the handshake resumed an earlier session.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// How many bytes of early data the server accepted (RFC 9846 section 4.3.10); `None` if none was offered or accepted.
    ///
    /// At a server whose handshake is not complete, it is how many bytes have arrived so far.
    pub fn early_data(&self) -> Option<u64> {
        self.early_data
    }
}

/// Certificates are many bytes, and a log wants none of them: their number.
impl fmt::Debug for SessionFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFacts")
            .field("version", &format_args!("{}", self.version_name()))
            .field("cipher_suite", &format_args!("{}", self.cipher_suite_name()))
            .field("alpn", &self.alpn.as_deref().map(|alpn| alpn.escape_ascii().to_string()))
            .field("server_name", &self.server_name)
            .field("peer_certificates", &self.peer_certificates.len())
            .field("resumed", &self.resumed)
            .field("early_data", &self.early_data)
            .finish()
    }
}
