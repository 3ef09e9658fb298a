//! tonic's `Connected`, which its server requires of each connection. It puts the value into the extensions of every request.

use crate::{CloseOnShutdown, SessionFacts, TlsStream, server};
use std::sync::Arc;
use tonic::transport::server::Connected;

/// The extension of a tonic request that describes its transport and its TLS session.
///
/// Only tonic can make its own type of this name, so `Request::remote_addr` and `Request::peer_certs` return `None` over our
/// streams. This type has both:
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
    /// The transport's own connection info.
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
