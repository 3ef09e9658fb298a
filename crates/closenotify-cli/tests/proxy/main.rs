//! The proxy from end to end: the binary, real sockets, other people's TLS at both ends of it.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod admin;
mod bad_input;
mod bench;
mod bounds;
mod clients;
mod config_file;
mod dies;
mod far;
mod fidelity;
mod gone;
mod haproxy;
mod harness;
mod http2;
mod incident;
mod limits;
mod log;
mod matrix;
mod no_loss;
mod passthrough;
mod privileges;
mod proxy_protocol;
mod reload;
mod routing;
mod scene;
mod site;
mod slow;
mod takeover;
mod tls_client;
mod unix_listener;
mod unseen;
mod upstreams;
mod volume;
