//! Becoming an ordinary user once the ports are bound.
//!
//! Nothing of root is kept, capabilities neither: a port below 1024 that a reload adds cannot be bound afterwards. Who needs that
//! starts as an ordinary user with `CAP_NET_BIND_SERVICE`, as our systemd unit does, and sets no `user`.

use std::ffi::CString;
use std::{error, fmt, io};

use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getgroups, getresgid, getresuid, initgroups, setgroups, setresgid,
    setresuid, setuid,
};

/// A user and a group of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As in the user database; `None` for a number that is not in it.
    name: Option<CString>,
    uid: Uid,
    gid: Gid,
}

impl Identity {
    /// Looks a user up, and a group, by name or number. Without a group it is the user's own.
    ///
    /// # Errors
    ///
    /// [`PrivilegesError`] where the system knows no such user or group, or the user is root.
    pub(crate) fn find(user: &str, group: Option<&str>) -> Result<Self, PrivilegesError> {
        let failed = |what, name: &str, errno| PrivilegesError::Lookup { what, name: name.to_owned(), source: errno };
        let number = user.parse().ok().map(Uid::from_raw);
        let found = match number {
            Some(uid) => User::from_uid(uid),
            None => User::from_name(user),
        }
        .map_err(|errno| failed("user", user, errno))?;
        let gid = match group {
            Some(group) => {
                let number = group.parse().ok().map(Gid::from_raw);
                let found = match number {
                    Some(gid) => Ok(Some(gid)),
                    None => Group::from_name(group).map(|found| found.map(|group| group.gid)),
                };
                found
                    .map_err(|errno| failed("group", group, errno))?
                    .ok_or_else(|| PrivilegesError::Unknown { what: "group", name: group.to_owned() })?
            }
            None => match &found {
                Some(found) => found.gid,
                None if number.is_some() => return Err(PrivilegesError::GroupMissing { user: user.to_owned() }),
                None => return Err(PrivilegesError::Unknown { what: "user", name: user.to_owned() }),
            },
        };
        let unknown = || PrivilegesError::Unknown { what: "user", name: user.to_owned() };
        let uid = found.as_ref().map(|found| found.uid).or(number).ok_or_else(unknown)?;
        if uid.is_root() {
            return Err(PrivilegesError::Root);
        }
        let name = match found {
            Some(found) => Some(CString::new(found.name).map_err(|_| unknown())?),
            None => None,
        };
        Ok(Self { name, uid, gid })
    }

    /// The number of the user, for [`take`](crate::takeover::take).
    pub(crate) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Becomes the user and the group in all threads, with the user's supplementary groups, and makes sure that there is no way
    /// back. Does nothing where the process runs as both already.
    ///
    /// # Errors
    ///
    /// [`PrivilegesError`]; the process must not go on then.
    pub(crate) fn assume(&self) -> Result<(), PrivilegesError> {
        let shown = || match &self.name {
            Some(name) => name.to_string_lossy().into_owned(),
            None => self.uid.to_string(),
        };
        if self.is_ours() {
            return Ok(());
        }
        if !geteuid().is_root() {
            return Err(PrivilegesError::NotRoot { user: shown(), own: geteuid().as_raw() });
        }
        let groups = match &self.name {
            Some(name) => initgroups(name, self.gid),
            None => setgroups(&[self.gid]),
        };
        // Groups first: only root may change them.
        groups
            .and_then(|()| setresgid(self.gid, self.gid, self.gid))
            .and_then(|()| setresuid(self.uid, self.uid, self.uid))
            .map_err(|source| PrivilegesError::Change { user: shown(), source })?;
        let can_return = setuid(Uid::from_raw(0)).is_ok();
        let still_in_group_0 =
            !self.gid_is_root() && getgroups().is_ok_and(|groups| groups.contains(&Gid::from_raw(0)));
        if can_return || still_in_group_0 || !self.is_ours() {
            return Err(PrivilegesError::NotDropped { user: shown() });
        }
        Ok(())
    }

    fn gid_is_root(&self) -> bool {
        self.gid.as_raw() == 0
    }

    fn is_ours(&self) -> bool {
        let users = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.uid; 3]);
        let groups = getresgid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.gid; 3]);
        users && groups && getegid() == self.gid
    }
}

/// Why the process cannot run as the user of the settings.
#[derive(Debug)]
pub(crate) enum PrivilegesError {
    /// The system knows no such user or group.
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// As written.
        name: String,
    },
    /// The user is a number that the system has no entry for, so its group is not known.
    GroupMissing {
        /// As written.
        user: String,
    },
    /// The user database cannot be read.
    Lookup {
        /// `user` or `group`.
        what: &'static str,
        /// As written.
        name: String,
        /// What the system says.
        source: Errno,
    },
    /// The user is root.
    Root,
    /// Only root can become another user.
    NotRoot {
        /// The user to become.
        user: String,
        /// Who we are.
        own: u32,
    },
    /// The system refused.
    Change {
        /// The user to become.
        user: String,
        /// What the system says.
        source: Errno,
    },
    /// The system agreed, and yet root's rights are not gone.
    NotDropped {
        /// The user to become.
        user: String,
    },
}

impl fmt::Display for PrivilegesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { what, name } => write!(
                f,
                "[process] {what}: this system has no {what} {name:?}; create it, or name another (`getent {} {name}` shows it)",
                if *what == "user" { "passwd" } else { "group" }
            ),
            Self::GroupMissing { user } => {
                write!(
                    f,
                    "[process] user: {user} has no entry on this system, so its group is not known; set `group` too"
                )
            }
            Self::Lookup { what, name, source } => {
                write!(f, "[process] {what}: cannot look {name:?} up: {}", io::Error::from(*source))
            }
            Self::Root => {
                f.write_str("[process] user: root cannot be the user to become; name an ordinary user, or leave it out")
            }
            Self::NotRoot { user, own } => write!(
                f,
                "[process] user: cannot become {user:?}, since this process runs as user {own} and not as root; start it as root, or \
                 leave `user` and `group` out"
            ),
            Self::Change { user, source } => write!(
                f,
                "[process] user: cannot become {user:?}: {}; the process needs CAP_SETUID and CAP_SETGID",
                io::Error::from(*source)
            ),
            Self::NotDropped { user } => {
                write!(f, "[process] user: became {user:?}, but could become root again; refusing to run like that")
            }
        }
    }
}

impl error::Error for PrivilegesError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Lookup { source, .. } | Self::Change { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::process::Command;
    use std::{env, fs};

    use super::*;

    fn error(user: &str, group: Option<&str>) -> String {
        Identity::find(user, group).unwrap_err().to_string()
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let nobody = Identity::find("nobody", None).unwrap();
        assert_eq!(Identity::find(&nobody.uid().to_string(), None).unwrap(), nobody);
        assert_eq!(Identity::find("nobody", Some("0")).unwrap().gid, Gid::from_raw(0));
        let number = Identity::find("54321", Some("54322")).unwrap();
        assert_eq!((number.uid(), number.gid.as_raw(), number.name), (54321, 54322, None));
    }

    #[test]
    fn what_cannot_be_become_is_said_with_its_setting() {
        for (user, group, hint) in [
            ("no-such-user", None, "[process] user: this system has no user \"no-such-user\""),
            ("no-such-user", Some("0"), "no user \"no-such-user\""),
            ("nobody", Some("no-such-group"), "[process] group: this system has no group \"no-such-group\""),
            ("54321", None, "set `group` too"),
            ("root", None, "root cannot be"),
            ("0", None, "root cannot be"),
            ("-1", None, "no user \"-1\""),
            ("", None, "no user \"\""),
            ("no\0body", None, "user"),
        ] {
            let shown = error(user, group);
            assert!(shown.contains(hint), "{shown}");
        }
    }

    /// Not a test of its own: the process of the next one, since there is no way back.
    #[test]
    fn child_becomes_nobody() {
        let Some(group) = env::var_os(CHILD) else { return };
        let identity = Identity::find("nobody", Some(group.to_str().unwrap())).unwrap();
        let (order, ordered) = std::sync::mpsc::channel::<()>();
        // A thread that was there before.
        let other = std::thread::spawn(move || {
            ordered.recv().unwrap();
            fs::read_to_string("/proc/thread-self/status").unwrap()
        });
        let outcome = identity.assume();
        order.send(()).unwrap();
        let status = other.join().unwrap();
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let outcome = outcome.map_err(|error| error.to_string());
        println!("outcome: {outcome:?} {} {} {} {}", line("Uid"), line("Gid"), line("CapPrm"), line("Groups"));
        if outcome.is_ok() {
            assert_eq!(identity.assume().map_err(|error| error.to_string()), Ok(()), "doing it twice is fine");
            assert!(fs::read("/etc/shadow").is_err());
        }
    }

    #[test]
    fn root_becomes_nobody_in_all_threads_and_others_cannot() {
        let group = Identity::find("nobody", None).unwrap().gid.to_string();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "privileges::tests::child_becomes_nobody"])
            .env(CHILD, &group)
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
        let (_, outcome) = shown.lines().find_map(|line| line.split_once("outcome: ")).unwrap();
        if geteuid().is_root() {
            let uid = Identity::find("nobody", None).unwrap().uid().to_string();
            let four = |id: &str| [id; 4].join("\t");
            let (uids, gids) = (four(&uid), four(&group));
            let expected = format!("Ok(()) Uid:\t{uids} Gid:\t{gids} CapPrm:\t0000000000000000 Groups:\t{group}");
            assert_eq!(outcome.trim_end(), expected);
        } else if Identity::find("nobody", None).unwrap().uid() == geteuid().as_raw() {
            assert!(outcome.starts_with("Ok(())"), "{outcome}");
        } else {
            assert!(outcome.contains("not as root"), "{outcome}");
        }
    }

    const CHILD: &str = "CLOSENOTIFY_TEST_PRIVILEGES";
}
