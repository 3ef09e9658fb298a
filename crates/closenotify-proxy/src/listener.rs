//! A listener as its sessions see it: its settings, its TLS, and where its routes lead.
//!
//! It holds no socket and accepts nothing. A session keeps the listener that it began with; a reload makes another one for the
//! next sessions.

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::{ListenerSettings, ProxyProtocol, RouteTarget};
use crate::metrics::ListenerMetrics;
use crate::tls::ListenerTls;
use crate::upstream::Upstream;

/// A listener with one state of its settings.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) settings: Arc<ListenerSettings>,
    /// `None` where every route passes TLS through.
    pub(crate) tls: Option<Arc<ListenerTls>>,
    pub(crate) metrics: ListenerMetrics,
    /// Of the routes, in their order.
    destinations: Vec<Arc<Destination>>,
}

/// Where a route leads.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) name: Arc<str>,
    pub(crate) passthrough: bool,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    pub(crate) upstream: Arc<Slot<Upstream>>,
}

impl Listener {
    /// `upstream` returns the upstream with a name and the header that it is sent.
    pub(crate) fn new(
        settings: Arc<ListenerSettings>,
        tls: Option<Arc<ListenerTls>>,
        metrics: ListenerMetrics,
        upstream: impl Fn(&str) -> (Arc<Slot<Upstream>>, Option<ProxyProtocol>),
    ) -> Self {
        let lead = |target: &RouteTarget| {
            let (name, passthrough) = match target {
                RouteTarget::Terminate(name) => (name, false),
                RouteTarget::Passthrough(name) => (name, true),
            };
            let (upstream, proxy_protocol) = upstream(name);
            Arc::new(Destination { name: name.as_str().into(), passthrough, proxy_protocol, upstream })
        };
        let destinations = settings.routes.iter().map(|route| lead(&route.target)).collect();
        Self { settings, tls, metrics, destinations }
    }

    /// Whether some upstream is sent a PROXY header.
    pub(crate) fn sends_headers(&self) -> bool {
        self.destinations.iter().any(|destination| destination.proxy_protocol.is_some())
    }

    /// The destination for a client that asked for this name, or for none.
    pub(crate) fn route(&self, name: Option<&str>) -> Option<&Arc<Destination>> {
        let route = self.settings.route(name)?;
        let at = self.settings.routes.iter().position(|other| std::ptr::eq(other, route))?;
        Some(&self.destinations[at])
    }
}

/// A value that a reload replaces, for whoever comes next.
#[derive(Debug)]
pub(crate) struct Slot<T>(RwLock<Arc<T>>);

impl<T> Slot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value now.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the value.
    pub(crate) fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}
