//! tonic's `Connected`, which its server asks of each connection; it puts the value into the extensions of every request.

use crate::{CloseOnShutdown, SessionFacts, TlsStream, server};
use std::sync::Arc;
use tonic::transport::server::Connected;

/// What a tonic service finds in the extensions of a request: what is known of the transport, and of the TLS session.
///
/// tonic's own type of this name can only be made by tonic, so `Request::remote_addr` and `Request::peer_certs` return `None`
/// over our streams. This has both:
///
/// ```
/// use closenotify::TlsConnectInfo;
/// use tonic::transport::server::TcpConnectInfo;
///
/// fn who(request: &tonic::Request<()>) -> Option<String> {
///     let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>()?;
///     let certificates = info.facts().peer_certificates().map_or(0, <[_]>::len);
///     Some(format!("{:?} with {certificates} certificates", info.get_ref().remote_addr()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TlsConnectInfo<I> {
    transport: I,
    /// Shared, since every request gets a clone.
    facts: Arc<SessionFacts>,
}

impl<I> TlsConnectInfo<I> {
    /// What is known of the transport.
    pub fn get_ref(&self) -> &I {
        &self.transport
    }

    /// What the handshake agreed on: the client's certificates, among others.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    fn new<T: Connected<ConnectInfo = I>>((transport, facts): (&T, &SessionFacts)) -> Self {
        Self { transport: transport.connect_info(), facts: Arc::new(facts.clone()) }
    }
}

impl<T: Connected> Connected for server::TlsStream<T> {
    type ConnectInfo = TlsConnectInfo<T::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        TlsConnectInfo::new(self.get_ref())
    }
}

impl<T: Connected> Connected for TlsStream<T> {
    type ConnectInfo = TlsConnectInfo<T::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        TlsConnectInfo::new(self.get_ref())
    }
}

impl<T: Connected> Connected for CloseOnShutdown<T> {
    type ConnectInfo = TlsConnectInfo<T::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        TlsConnectInfo::new(self.get_ref())
    }
}
