//! What the library costs beside tokio-rustls, tokio-openssl, s2n-tls-tokio and raw TCP, in one run on one machine.
//!
//! Each measurement is a child process with both ends of its sessions in it: [`works`] holds what they do, [`stacks`] what
//! they do it with. [`runner`] starts them in turn, [`targets`] holds what the library must reach, and [`page`] writes
//! `docs/performance.md`. [`hot`] is apart from all that: the paths whose instructions callgrind counts.

pub mod certs;
pub mod hot;
pub mod meter;
pub mod page;
pub mod runner;
pub mod stacks;
pub mod subject;
pub mod targets;
pub mod works;
