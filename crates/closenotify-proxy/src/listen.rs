//! The listening sockets: where they come from, and which worker accepts from which.
//!
//! A socket comes from the service manager, from the process before this one, from before a reload, or is bound here. Nothing is
//! accepted here, and nothing is read from the settings: [`open`] gets a list of addresses and returns their sockets.

mod bind;
mod error;
mod inherited;
mod listener;
mod pool;
mod socket_file;

pub(crate) use bind::BACKLOG;
pub(crate) use error::ListenError;
pub(crate) use inherited::{InheritedError, inherited};
pub(crate) use listener::{Listener, Listening};
pub(crate) use pool::{Pool, Wanted, open};
pub(crate) use socket_file::{SocketFile, clear_stale};
