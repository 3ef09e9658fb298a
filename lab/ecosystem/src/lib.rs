//! Runs closenotify's streams under crates that take a TLS stream over. The tests are all there is.
