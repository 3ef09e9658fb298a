//! The proxy from end to end: the binary, real sockets, other people's TLS at both ends of it.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod admin;
mod bad_input;
mod bench;
mod clients;
mod config_file;
mod far;
mod fidelity;
mod haproxy;
mod harness;
mod http2;
mod incident;
mod limits;
mod matrix;
mod no_loss;
mod passthrough;
mod proxy_protocol;
mod routing;
mod scene;
mod tls_client;
mod unseen;
mod unix_listener;
mod upstreams;
mod volume;
