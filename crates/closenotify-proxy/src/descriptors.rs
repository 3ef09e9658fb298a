//! How many sessions the limit of open files allows.
//!
//! A session that is accepted must be able to reach its upstream: one that would find no descriptor waits in the listen queue
//! instead. So sessions get what is left when everything else has its share.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and returns what is in force then. `None`: no limit.
///
/// The soft limit is low for the sake of programs that use `select`; this one does not.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    // Up to the hard limit it is allowed to everybody; where a sandbox forbids it all the same, the soft limit stays.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// How many sessions may run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionLimit {
    /// The number; never 0.
    pub(crate) sessions: u32,
    /// `limits.sessions` where that is more, and so not in force.
    pub(crate) wanted: Option<u32>,
    /// The limit of open files; `None`: no limit.
    pub(crate) files: Option<u64>,
}

/// From the limit of open files (`files`), `limits.sessions` and the descriptors that do not belong to sessions: `fixed`, for
/// listeners, workers and admin connections (see [`fixed`]).
///
/// # Errors
///
/// [`TooFewFiles`] where not even one session fits.
pub(crate) fn session_limit(
    files: Option<u64>,
    configured: Option<u32>,
    fixed: u32,
) -> Result<SessionLimit, TooFewFiles> {
    let kept = u64::from(fixed) + u64::from(KEPT);
    let possible = match files {
        Some(files) => files.saturating_sub(kept) / u64::from(PER_SESSION),
        None => u64::MAX,
    };
    let possible = u32::try_from(possible).unwrap_or(u32::MAX);
    if possible == 0 {
        return Err(TooFewFiles { files: files.unwrap_or_default(), needed: kept + u64::from(PER_SESSION) });
    }
    let sessions = configured.map_or(possible, |configured| configured.clamp(1, possible));
    Ok(SessionLimit { sessions, wanted: configured.filter(|&configured| configured > possible), files })
}

/// The descriptors of `listeners` sockets, `workers` runtimes and `admin` connections.
///
/// A listening socket has one descriptor of ours and one of a worker's, and twice that while a reload or a takeover replaces it.
/// A runtime has its queue of events, a way to wake it up and one for signals.
pub(crate) fn fixed(listeners: u32, workers: u32, admin: u32) -> u32 {
    listeners.saturating_mul(4).saturating_add(workers.saturating_mul(4)).saturating_add(admin)
}

/// A line for the start when `limits.sessions` is not in force.
impl fmt::Display for SessionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, wanted, files } = self;
        match (wanted, files) {
            (Some(wanted), Some(files)) => write!(
                f,
                "at most {sessions} sessions at a time, although [limits] sessions is {wanted}: the limit of open files is {files}, \
                 and a session takes {PER_SESSION}; raise it (LimitNOFILE= in the unit, ulimit -Hn in a shell)"
            ),
            _ => write!(f, "at most {sessions} sessions at a time"),
        }
    }
}

/// The limit of open files leaves no room for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFewFiles {
    files: u64,
    needed: u64,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, needed } = self;
        write!(
            f,
            "the limit of open files is {files}, and one session needs {needed} with all else that is open; raise it (LimitNOFILE= in \
             the unit, ulimit -Hn in a shell)"
        )
    }
}

impl std::error::Error for TooFewFiles {}

/// The connection of the client, and that to the upstream.
const PER_SESSION: u32 = 2;

/// What is kept for the rest: standard streams and log (4), the service manager and the takeover (6), certificates and settings
/// that are read again (8), lookups (16, for threads of the resolver), and second attempts to connect while the first still
/// tries (64).
const KEPT: u32 = 4 + 6 + 8 + 16 + 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::process::Command;

    use super::*;

    fn limit(files: u64, configured: Option<u32>) -> Result<u32, TooFewFiles> {
        session_limit(Some(files), configured, 10).map(|limit| limit.sessions)
    }

    #[test]
    fn sessions_get_what_is_left_two_descriptors_each() {
        let kept = u64::from(10 + KEPT);
        assert_eq!(limit(kept + 2, None), Ok(1));
        assert_eq!(limit(kept + 201, None), Ok(100));
        assert_eq!(limit(kept + 201, Some(7)), Ok(7));
        assert_eq!(limit(kept + 201, Some(101)), Ok(100));
        assert_eq!(limit(u64::MAX, None), Ok(u32::MAX));
        assert_eq!(session_limit(None, Some(9), u32::MAX).unwrap().sessions, 9);
        assert_eq!(session_limit(None, None, 0).unwrap().sessions, u32::MAX);
        for files in [0, 3, kept + 1] {
            let error = limit(files, Some(1)).unwrap_err().to_string();
            assert!(error.contains(&format!("is {files},")) && error.contains("LimitNOFILE"), "{error}");
        }
    }

    #[test]
    fn limit_that_is_not_in_force_is_said() {
        let limit = session_limit(Some(1024), Some(20_000), 24).unwrap();
        assert_eq!(
            limit.to_string(),
            "at most 451 sessions at a time, although [limits] sessions is 20000: the limit of open files is 1024, and a session \
             takes 2; raise it (LimitNOFILE= in the unit, ulimit -Hn in a shell)"
        );
        let limit = session_limit(Some(1024), Some(100), 24).unwrap();
        assert_eq!((limit.wanted, limit.to_string().as_str()), (None, "at most 100 sessions at a time"));
    }

    #[test]
    fn fixed_descriptors_do_not_overflow() {
        assert_eq!(fixed(4, 2, 16), 40);
        assert_eq!(fixed(u32::MAX, u32::MAX, 1), u32::MAX);
    }

    /// Not a test of its own: the process of the next one, whose limits are its own.
    #[test]
    fn child_raises_its_limit() {
        if std::env::var_os(CHILD).is_some() {
            println!("raised: {:?} then {:?}", raise(), getrlimit(Resource::Nofile).current);
        }
    }

    #[test]
    fn soft_limit_becomes_the_hard_one() {
        let test = std::env::current_exe().unwrap();
        let script = r#"ulimit -Sn 200 && ulimit -Hn 300 && exec "$0" --exact --nocapture descriptors::tests::child_raises_its_limit"#;
        let output = Command::new("sh").args(["-c", script]).arg(test).env(CHILD, "1").output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("raised: Some(300) then Some(300)"), "{shown}");
    }

    const CHILD: &str = "CLOSENOTIFY_TEST_DESCRIPTORS";
}
