//! `closenotify check` from end to end: the binary, and our own server, client and proxy as its subjects.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod command;
mod ours;
mod usage;
