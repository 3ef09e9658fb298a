//! What the handshake agreed on, in one struct that outlives the handshake.

use crate::reason::suite_name;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};
use std::fmt;

/// What the handshake agreed on.
///
/// The methods that rustls' connections also have carry the same names.
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
    /// Those of a handshake in which nothing was agreed on.
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

    /// The version as people write it: `TLSv1.2`, `TLSv1.3`.
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

    /// The suite's name in the registry, as `TLS_AES_256_GCM_SHA384`.
    pub fn cipher_suite_name(&self) -> String {
        suite_name(self.cipher_suite)
    }

    /// The protocol agreed on by ALPN (RFC 7301); `None` when none was offered or accepted.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// At a server the name that the client asked for (SNI, RFC 6066 section 3), `None` when it sent none; at a client
    /// the name or address that it asked for.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The peer's certificate chain, the peer's own first; `None` when it showed none.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        (!self.peer_certificates.is_empty()).then_some(self.peer_certificates.as_slice())
    }

    /// Whether an earlier session was resumed.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// How many bytes the client sent as early data that the server accepted (RFC 9846 section 4.3.10); `None` when none
    /// was accepted, or none was offered.
    ///
    /// At a server that has not finished the handshake yet it is how many bytes were read so far.
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
