//! A configuration prepared for our sessions: made once for an acceptor or a connector, shared by its sessions.
//!
//! It changes nothing that a peer can see, but for early data, which a server takes only where it is asked to.

use crate::capture::Capture;
use rustls::{ClientConfig, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// What [servers](crate::Handshake::server) are made with: a [`ServerConfig`], prepared once.
///
/// Cheap to clone. A conversion from a configuration copies it, so make one and keep it, rather than one a connection.
#[derive(Clone)]
pub struct ServerSetup(Arc<Server>);

struct Server {
    original: Arc<ServerConfig>,
    plain: Arc<ServerConfig>,
    #[cfg(feature = "early-data")]
    early: Arc<ServerConfig>,
}

impl ServerSetup {
    /// The configuration that this was made from.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.0.original
    }

    /// What rustls gets. It accepts no early data.
    pub(crate) fn plain(&self) -> &Arc<ServerConfig> {
        &self.0.plain
    }

    /// What rustls gets where early data is accepted as far as the configuration allows.
    #[cfg(feature = "early-data")]
    pub(crate) fn early(&self) -> &Arc<ServerConfig> {
        &self.0.early
    }
}

impl From<Arc<ServerConfig>> for ServerSetup {
    fn from(original: Arc<ServerConfig>) -> Self {
        let mut config = ServerConfig::clone(&original);
        config.enable_secret_extraction = true;
        config.key_log = Arc::new(Capture(config.key_log));
        #[cfg(feature = "early-data")]
        let early = Arc::new(config.clone());
        config.max_early_data_size = 0;
        Self(Arc::new(Server {
            original,
            plain: Arc::new(config),
            #[cfg(feature = "early-data")]
            early,
        }))
    }
}

impl From<ServerConfig> for ServerSetup {
    fn from(config: ServerConfig) -> Self {
        Arc::new(config).into()
    }
}

impl fmt::Debug for ServerSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSetup").finish_non_exhaustive()
    }
}

/// What [clients](crate::Handshake::client) are made with: a [`ClientConfig`], prepared once.
///
/// Cheap to clone. A conversion from a configuration copies it, so make one and keep it, rather than one a connection.
#[derive(Clone)]
pub struct ClientSetup(Arc<Client>);

struct Client {
    original: Arc<ClientConfig>,
    plain: Arc<ClientConfig>,
    #[cfg(feature = "early-data")]
    early: Arc<ClientConfig>,
}

impl ClientSetup {
    /// The configuration that this was made from.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0.original
    }

    /// What rustls gets.
    pub(crate) fn plain(&self) -> &Arc<ClientConfig> {
        &self.0.plain
    }

    /// What rustls gets where there is early data to send.
    #[cfg(feature = "early-data")]
    pub(crate) fn early(&self) -> &Arc<ClientConfig> {
        &self.0.early
    }
}

impl From<Arc<ClientConfig>> for ClientSetup {
    fn from(original: Arc<ClientConfig>) -> Self {
        let mut config = ClientConfig::clone(&original);
        config.enable_secret_extraction = true;
        config.key_log = Arc::new(Capture(config.key_log));
        #[cfg(feature = "early-data")]
        let early = {
            let mut early = config.clone();
            early.enable_early_data = true;
            Arc::new(early)
        };
        // Without early data to send, to announce some would cost the server its trial decryption for nothing.
        config.enable_early_data = false;
        Self(Arc::new(Client {
            original,
            plain: Arc::new(config),
            #[cfg(feature = "early-data")]
            early,
        }))
    }
}

impl From<ClientConfig> for ClientSetup {
    fn from(config: ClientConfig) -> Self {
        Arc::new(config).into()
    }
}

impl fmt::Debug for ClientSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSetup").finish_non_exhaustive()
    }
}
