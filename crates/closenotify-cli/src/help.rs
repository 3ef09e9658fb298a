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
    format!("{PROXY_AFTER}\n\n{}\n\n{PROXY_EXAMPLES}", exit_codes(ExitCode::PROXY))
}

/// What stands behind the options in the long help of `check`.
pub(crate) fn check_after() -> String {
    format!("{CHECK_AFTER}\n\n{}", exit_codes(ExitCode::CHECK))
}

/// What stands behind the options in the long help of `check server`.
pub(crate) fn check_server_after() -> String {
    format!("{CHECK_AFTER}\n\n{}\n\n{CHECK_SERVER_EXAMPLES}", exit_codes(ExitCode::CHECK))
}

/// What stands behind the options in the long help of `check client`.
pub(crate) fn check_client_after() -> String {
    format!("{CHECK_AFTER}\n\n{}\n\n{CHECK_CLIENT_EXAMPLES}", exit_codes(ExitCode::CHECK))
}

/// What stands behind the options in the long help of `check proxy`.
pub(crate) fn check_proxy_after() -> String {
    format!("{CHECK_AFTER}\n\n{}\n\n{CHECK_PROXY_EXAMPLES}", exit_codes(ExitCode::CHECK))
}

/// These exit codes as a list.
pub(crate) fn exit_codes(codes: &[ExitCode]) -> String {
    let mut text = "Exit codes:".to_owned();
    for code in codes {
        write!(text, "\n  {}  {}", code.number(), code.meaning()).expect("a String takes all that is written");
    }
    text
}

pub(crate) const CHECK_ABOUT: &str = "\
Drives a server, a client or a proxy through the ways in which a TLS session can end, in TLS 1.2 and 1.3, and says what it \
did wrong: which clause asks for what, what was seen, what harm it does and how to mend it. It tells data, close_notify, \
other alerts, FIN, RST, silence and CPU time burnt apart. It needs no access to the subject but its address or its command.";

pub(crate) const CHECK_SERVER_ABOUT: &str = "\
Checks a TLS server: connects to it some hundred times, and ends each session in another way.

With a COMMAND the server is started, watched for the CPU time that it takes, and stopped; else it must run already, and \
--pid names the process to watch. Do not point it at a server that is not yours.";

pub(crate) const CHECK_CLIENT_ABOUT: &str = "\
Checks a TLS client: runs its command once a case against a server of the checker's, which ends the session in another way \
each time. Looks at what the client put on the wire, at how it exited (with 0 it took the answer for whole), at how long it \
hung and at the CPU time that it took.";

pub(crate) const CHECK_PROXY_ABOUT: &str = "\
Checks a proxy that takes TLS and passes plain TCP on. The checker is its client and its upstream, and sees whether every \
ending is carried through as what it was: a cut answer must never look whole, a whole one never cut.";

const CHECK_AFTER: &str = "\
Verdicts:
  met             what was seen is allowed
  not met         it is not; the report says what harm that does and how to
                  mend it
  not applicable  the case says nothing about this subject, and why not
  inconclusive    what was seen does not tell, and why not; silence is no
                  failure unless the case is about time

Levels:
  MUST, SHOULD, MAY  as the RFC that is named says
  practice           no RFC says it, but users are hurt without it
  What is not met at MUST or practice fails the run; with --strict, at all.

Output:
  stdout  the report, or one that was asked for with -
  stderr  progress, on a terminal only; errors

Signals:
  SIGTERM, SIGINT  stop what was started, and report what is known
  a second one     stop at once";

const CHECK_SERVER_EXAMPLES: &str = "\
Examples:
  closenotify check server example.test:443
  closenotify check server --app http1:/big.iso --html report.html \\
      --ca ca.pem --sni app.internal 10.0.0.7:443
  closenotify check server --app http1 127.0.0.1:8443 -- \\
      my-server --listen {addr} --cert {cert} --key {key}
  closenotify check server --list --case server/behind --verbose";

const CHECK_CLIENT_EXAMPLES: &str = "\
Examples:
  closenotify check client --stdout-is-body -- curl -sS --cacert {ca} {url}
  closenotify check client -- my-client --trust {ca} --connect {addr}
  closenotify check client --list --case client/truncation";

const CHECK_PROXY_EXAMPLES: &str = "\
Examples:
  closenotify check proxy --upstream 127.0.0.1:9000 127.0.0.1:8443 -- \\
      closenotify proxy --listen {addr} --upstream {upstream} \\
      --cert {cert} --key {key}
  closenotify check proxy --upstream 127.0.0.1:9000 --pid 4711 \\
      --ca ca.pem --html report.html edge.internal:443";

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
