//! The long texts of the help.
//!
//! What an option does stands beside the option, and what an exit code means beside the code; here is only the rest.

use std::fmt::Write;

use crate::exit::ExitCode;

pub(crate) const ABOUT: &str = "\
TLS tools that get connection shutdown right.

A TLS session is two one-way streams, and each ends with its own close_notify. A bare FIN, a reset, a fatal alert or a timeout is \
a different ending: the stream may be truncated. closenotify keeps them apart, and shows how each session ended.";

const PACKAGING: &str = "\
Packaging:
  closenotify man [DIR]          print the man page, or write all of them to DIR
  closenotify completions SHELL  print completions for bash, elvish, fish,
                                 powershell or zsh";

pub(crate) const PROXY_USAGE: &str = "\
closenotify proxy --config <FILE> [--check-config]
       closenotify proxy --cert <PEM> --key <PEM> --upstream <ADDR> [OPTIONS]
       closenotify proxy --demo [OPTIONS]";

pub(crate) const PROXY_ABOUT: &str = "\
Terminates TLS (1.2 and 1.3), relays the plaintext to an upstream, and passes each ending on as what it was: a truncated stream \
never looks complete, and data in flight is never reset away. Logs one line for each session: how each direction ended, and who \
ended first.

With --config it serves everything that a TOML file describes: several listeners and upstreams, certificates by name, client \
certificates, TLS to upstreams, the PROXY protocol, limits. The other options are for one listener and one plaintext upstream, both \
named \"default\".";

pub(crate) const PROXY_SHORT_AFTER: &str = "Try: closenotify proxy --demo";

/// What stands after the options in the long help of `closenotify`.
pub(crate) fn after(codes: &[ExitCode]) -> String {
    format!("{}\n\n{PACKAGING}", exit_codes(codes, None))
}

/// What stands after the options in the long help of `proxy`.
pub(crate) fn proxy_after() -> String {
    format!("{PROXY_AFTER}\n\n{}\n\n{PROXY_EXAMPLES}", exit_codes(ExitCode::PROXY, Some("proxy")))
}

/// What stands behind the options in the long help of `check`.
pub(crate) fn check_after() -> String {
    format!("{CHECK_AFTER}\n\n{}", exit_codes(ExitCode::CHECK, Some("check")))
}

/// What stands behind the options in the long help of `check server`.
pub(crate) fn check_server_after() -> String {
    format!("{CHECK_AFTER}\n\n{}\n\n{CHECK_SERVER_EXAMPLES}", exit_codes(ExitCode::CHECK, Some("check")))
}

/// What stands behind the options in the long help of `check client`.
pub(crate) fn check_client_after() -> String {
    format!("{CHECK_AFTER}\n\n{}\n\n{CHECK_CLIENT_EXAMPLES}", exit_codes(ExitCode::CHECK, Some("check")))
}

/// What stands behind the options in the long help of `check proxy`.
pub(crate) fn check_proxy_after() -> String {
    format!("{CHECK_AFTER}\n\n{}\n\n{CHECK_PROXY_EXAMPLES}", exit_codes(ExitCode::CHECK, Some("check")))
}

/// These exit codes as a list, with what each means of any command, or of `command` only.
fn exit_codes(codes: &[ExitCode], command: Option<&str>) -> String {
    let mut text = "Exit codes:".to_owned();
    for code in codes {
        let meaning = command.map_or(code.meaning(), |command| code.meaning_of(command));
        write!(text, "\n  {:<2}  {meaning}", code.number()).expect("a String takes all that is written");
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
  client: close_notify                     upstream: FIN; the response still flows
  client: FIN without it, or fatal alert   upstream: reset (see --truncation);
                                           a Unix socket cannot carry a reset
  client: reset                            upstream: reset
  upstream: FIN                            client: close_notify, FIN; the client
                                           may go on sending
  upstream: reset or timeout               client: what had arrived, no
                                           close_notify, reset
  a time limit, or --drain, is over        both: reset, no close_notify

Files:
  --config FILE  the settings, TOML; read at the start and on SIGHUP. Relative
                 paths in it begin at its directory
  docs/          config.md: every setting; example.toml: a file to start from;
                 running.md: signals, systemd, reload; ledger.md: the log;
                 operations.md: what to do about a line. The Debian package
                 installs them in /usr/share/doc/closenotify

Output:
  stdout  one line for each address bound; with --demo also a curl command; with
          --check-config the result
  stderr  the log, unless it goes to a file; errors and warnings about --config,
          as FILE:LINE:COLUMN: SETTING: MESSAGE

Signals:
  SIGTERM, SIGINT  stop accepting, let sessions finish within --drain, reset the
                   rest and log how many
  a second one     reset the rest at once
  SIGQUIT          reset all at once; no core is written
  SIGHUP           read the configuration and the certificates again; sessions
                   go on, and a file with errors changes nothing
  SIGUSR1          reopen the log file
  SIGUSR2          ignored";

const PROXY_EXAMPLES: &str = "\
Examples:
  closenotify proxy --demo
  closenotify proxy --cert chain.pem --key key.pem --upstream 127.0.0.1:8080
  closenotify proxy --listen [::]:443 --cert chain.pem --key key.pem \\
      --upstream unix:/run/app.sock --drain 2m --log json
  closenotify proxy --check-config --config /etc/closenotify/proxy.toml
  closenotify proxy --config /etc/closenotify/proxy.toml";
