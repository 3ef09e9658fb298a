//! The streams under what most streams live under: hyper, axum, `copy_bidirectional` and codecs, as server and as client.
//! Each test looks at how the session ended on both sides.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod axum;
mod codec;
mod graceful;
mod http;
mod relay;
mod setup;
mod unclean;
