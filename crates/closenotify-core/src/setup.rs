//! A configuration prepared for our sessions: made once for an acceptor or a connector, and shared by its sessions.
//!
//! A peer sees no difference, except for early data: it is accepted or offered only where the caller asks for it.

use crate::capture::Capture;
use rustls::{ClientConfig, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// A [`ServerConfig`] prepared for [servers](crate::Handshake::server).
///
/// Cloning it is cheap. Converting a configuration copies the configuration, so make one setup and keep it, instead of one
/// for each connection.
#[derive(Clone)]
pub struct ServerSetup(Arc<Server>);

struct Server {
    original: Arc<ServerConfig>,
    plain: Arc<ServerConfig>,
    #[cfg(feature = "early-data")]
    early: Arc<ServerConfig>,
}

impl ServerSetup {
    /// The configuration that this setup was made from.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.0.original
    }

    /// The configuration for rustls. It accepts no early data.
    pub(crate) fn plain(&self) -> &Arc<ServerConfig> {
        &self.0.plain
    }

    /// The configuration for rustls that accepts as much early data as the original allows.
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

/// A [`ClientConfig`] prepared for [clients](crate::Handshake::client).
///
/// Cloning it is cheap. Converting a configuration copies the configuration, so make one setup and keep it, instead of one
/// for each connection.
#[derive(Clone)]
pub struct ClientSetup(Arc<Client>);

struct Client {
    original: Arc<ClientConfig>,
    plain: Arc<ClientConfig>,
    #[cfg(feature = "early-data")]
    early: Arc<ClientConfig>,
}

impl ClientSetup {
    /// The configuration that this setup was made from.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0.original
    }

    /// The configuration for rustls. It offers no early data.
    pub(crate) fn plain(&self) -> &Arc<ClientConfig> {
        &self.0.plain
    }

    /// The configuration for rustls when there is early data to send.
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
        // Offering early data without sending any would only cost the server a trial decryption.
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
