//! Listeners whose files change, met by real clients.

pub(super) mod bench;
mod choice;
mod clients;
mod directories;
mod reloads;
mod resumption;
mod settings;
mod staples;
mod upstream;
