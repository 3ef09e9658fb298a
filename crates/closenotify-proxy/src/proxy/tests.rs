//! The proxy in a process of its own tests.
