//! The exit codes, once: the command, its help and `docs/exit-codes.md` all read this list.
//!
//! A code tells a supervisor what to do; why it happened is said on stderr, never by more codes.

use std::process;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// All is well: told to stop, and every session came to its own end; or every case was met.
    Fine = 0,
    /// Something failed that no argument can fix.
    Internal = 1,
    /// The arguments are wrong. The number is clap's.
    Usage = 2,
    /// The certificate or the key cannot be served.
    Credentials = 3,
    /// The address cannot be listened on.
    Listen = 4,
    /// Told to stop, and sessions were aborted.
    Aborted = 5,
    /// A case was not met.
    NotMet = 6,
    /// There was nothing to check.
    NoSubject = 7,
    /// No case was judged.
    NothingMatched = 8,
    /// No case failed, and some do not tell.
    Inconclusive = 9,
    /// Stopped before all cases were run.
    Interrupted = 10,
    /// The configuration file cannot be used.
    Config = 11,
}

impl ExitCode {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Fine,
        Self::Internal,
        Self::Usage,
        Self::Credentials,
        Self::Listen,
        Self::Aborted,
        Self::NotMet,
        Self::NoSubject,
        Self::NothingMatched,
        Self::Inconclusive,
        Self::Interrupted,
        Self::Config,
    ];

    /// What `closenotify proxy` can end with.
    pub(crate) const PROXY: &[Self] =
        &[Self::Fine, Self::Internal, Self::Usage, Self::Credentials, Self::Listen, Self::Aborted, Self::Config];

    /// What `closenotify check` can end with.
    pub(crate) const CHECK: &[Self] = &[
        Self::Fine,
        Self::Internal,
        Self::Usage,
        Self::Credentials,
        Self::Listen,
        Self::NotMet,
        Self::NoSubject,
        Self::NothingMatched,
        Self::Inconclusive,
        Self::Interrupted,
    ];

    /// The number that the process ends with.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// What it means, for the help and the docs.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "proxy: every session finished, or --check-config found no error; check: every case passed",
            Self::Internal => "internal error, named on stderr",
            Self::Usage => "bad usage",
            Self::Credentials => "bad certificate, key or CA file",
            Self::Listen => "cannot listen: address in use or unusable",
            Self::Aborted => {
                "proxy: sessions were aborted: the drain deadline passed, or a second signal or SIGQUIT came"
            }
            Self::NotMet => "check: a case failed, or a known deviation is not as --expect says",
            Self::NoSubject => "check: target unreachable, not TLS, certificate rejected, or its command died",
            Self::NothingMatched => "check: no case applied",
            Self::Inconclusive => "check: no case failed, but some are inconclusive",
            Self::Interrupted => "check: stopped by a signal before all cases had run; the report is partial",
            Self::Config => "proxy: bad configuration file; every error is on stderr",
        }
    }

    /// What it means when this command ends with it.
    pub(crate) fn meaning_of(self, command: &str) -> &'static str {
        let all = self.meaning();
        let own = all.split_once(CHECK).map_or(all, |(proxy, check)| if command == "check" { check } else { proxy });
        own.strip_prefix(command).and_then(|own| own.strip_prefix(": ")).unwrap_or(own)
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// An end that must be explained.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How to end.
    pub(crate) code: ExitCode,
    /// What to say.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

/// Where the meaning of a code that both commands have turns to the second one.
const CHECK: &str = "; check: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaning_of_a_command_is_its_own() {
        for (command, codes) in [("proxy", ExitCode::PROXY), ("check", ExitCode::CHECK)] {
            for code in codes {
                let meaning = code.meaning_of(command);
                assert!(
                    !meaning.contains("proxy: ") && !meaning.contains("check: ") && !meaning.is_empty(),
                    "{meaning}"
                );
            }
        }
        assert_eq!(ExitCode::Fine.meaning_of("check"), "every case passed");
        assert_eq!(ExitCode::Fine.meaning_of("proxy"), "every session finished, or --check-config found no error");
        assert_eq!(ExitCode::Usage.meaning_of("proxy"), "bad usage");
    }

    #[test]
    fn docs_list_the_same_codes() {
        let docs = include_str!("../../../docs/exit-codes.md");
        let listed: Vec<_> =
            docs.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code")).collect();
        let expected = ExitCode::ALL.map(|code| format!("| {} | {} |", code.number(), code.meaning()));
        assert_eq!(listed, expected, "write the right-hand lines into docs/exit-codes.md");
    }

    /// Settings that are wrong are wrong again; sessions that a drain reset are no failure of the unit.
    #[test]
    fn systemd_units_know_the_codes() {
        let codes =
            |codes: &[ExitCode]| codes.iter().map(|code| code.number().to_string()).collect::<Vec<_>>().join(" ");
        let prevent = codes(&[ExitCode::Usage, ExitCode::Credentials, ExitCode::Config]);
        let success = codes(&[ExitCode::Aborted]);
        for unit in
            [include_str!("../../../deploy/closenotify.service"), include_str!("../../../deploy/closenotify@.service")]
        {
            let set = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            assert_eq!(set("RestartPreventExitStatus"), Some(&*prevent));
            assert_eq!(set("SuccessExitStatus"), Some(&*success));
        }
    }

    #[test]
    fn numbers_ascend_without_gaps() {
        assert!(ExitCode::ALL.iter().enumerate().all(|(at, code)| usize::from(code.number()) == at));
    }
}
