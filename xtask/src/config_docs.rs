//! The page of every setting of the proxy, compared with docs/config.md or written to it.
//!
//! It makes no page itself: the list of settings is private to the proxy, so a test of the proxy does both.

use crate::shell::{self, Outcome, cargo};

/// Compares the page with its file; with `bless`, writes the file.
pub(crate) fn run(bless: bool) -> Outcome {
    let mut test = cargo(&["test", "--quiet", "--locked", "-p", "closenotify-proxy", "--lib", TEST, "--", "--exact"]);
    if bless {
        test.env("CLOSENOTIFY_BLESS", "1");
    }
    shell::run(test)
}

const TEST: &str = "config::reference::tests::page_of_the_docs_is_the_reference";
