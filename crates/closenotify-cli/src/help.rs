//! The long texts of the help.
//!
//! What an option does stands beside the option, and what an exit code means beside the code; here is only the rest.

use std::fmt::Write;

use crate::exit::ExitCode;

pub(crate) const ABOUT: &str = "\
TLS whose every session ends right.

A TLS session is two one-way streams, and each ends on its own by its own close_notify. Everything else (a bare FIN, a \
reset, a fatal alert, a deadline) is some other ending and means something else. closenotify keeps them apart, and says \
how each session ended.";

pub(crate) const PROXY_USAGE: &str = "\
closenotify proxy --demo [OPTIONS]
       closenotify proxy --cert <PEM> --key <PEM> --upstream <ADDR> [OPTIONS]";

pub(crate) const PROXY_ABOUT: &str = "\
Terminates TLS (1.2 and 1.3), relays to a plain TCP upstream, and carries every ending through as what it was: a cut \
answer never looks whole, a whole answer never looks cut. Writes one line a session to stderr: how each direction \
ended, and who ended first.";

pub(crate) const PROXY_SHORT_AFTER: &str = "Try: closenotify proxy --demo";

/// What stands behind the options in the long help of `proxy`.
pub(crate) fn proxy_after() -> String {
    format!("{PROXY_AFTER}\n\n{}\n\n{PROXY_EXAMPLES}", exit_codes())
}

/// The exit codes as a list.
pub(crate) fn exit_codes() -> String {
    let mut text = "Exit codes:".to_owned();
    for code in ExitCode::ALL {
        write!(text, "\n  {}  {}", code.number(), code.meaning()).expect("a String takes all that is written");
    }
    text
}

const PROXY_AFTER: &str = "\
Times:
  A number with its unit: 500ms, 30s, 5m, 1h, 1d, or several: \"1m 30s\".

Endings:
  what happened                            what the other side gets
  client close_notify                      upstream FIN; the answer still flows
  client FIN without it, or fatal alert    upstream reset (tolerant: FIN)
  client reset                             upstream reset
  upstream FIN                             client close_notify, FIN; the client
                                           may go on sending
  upstream reset or timeout                what had arrived, no close_notify,
                                           then reset
  --drain over, or idle too long           both reset, no close_notify

Output:
  stdout  one line with the address bound; with --demo also what to paste
  stderr  the log and one ledger line a session; at the end, how many sessions
          finished and how many were aborted

Signals:
  SIGTERM, SIGINT  stop accepting, let sessions finish within --drain, abort
                   the rest and say how many
  a second one     abort at once";

const PROXY_EXAMPLES: &str = "\
Examples:
  closenotify proxy --demo
  closenotify proxy --cert chain.pem --key key.pem --upstream 127.0.0.1:8080
  closenotify proxy --listen [::]:443 --cert chain.pem --key key.pem \\
      --upstream app.internal:5432 --truncation tolerant --drain 2m --log json";
