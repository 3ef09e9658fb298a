//! Each finding of the page `docs/pollcheck-results.md`, seen without pollcheck: the polls by hand, and what they answer.
//!
//! A test here that fails is good news: the stream was mended, and the page has to be made anew.

#[cfg(feature = "heavy")]
mod heavy;
#[cfg(feature = "openssl")]
mod openssl;
mod plain;
#[cfg(any(feature = "heavy", feature = "openssl"))]
mod tls;
#[cfg_attr(not(any(feature = "heavy", feature = "openssl")), allow(dead_code, reason = "only TLS uses all of it"))]
mod transport;
