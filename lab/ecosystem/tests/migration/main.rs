//! Holds docs/migration.md to what it claims about tokio-rustls and about our streams: each test does the same with both.

mod errors;
mod setup;
mod writes;
