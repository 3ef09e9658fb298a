//! What is surveyed: programs as they come, each with the script that starts it.
//!
//! Nothing is tuned to look better or worse: a setting that is not a default is there because TLS, the port or the file needs
//! it, or because the subject is about that setting.

mod clients;
mod proxies;
mod servers;
mod terminators;

use std::fmt;

/// A program to check, and how.
#[derive(Debug)]
pub(crate) struct Subject {
    /// A word for files and anchors.
    pub(crate) id: &'static str,
    /// What people call it.
    pub(crate) name: &'static str,
    /// What is checked.
    pub(crate) kind: Kind,
    /// The Debian packages that it comes from; none for what is built here.
    pub(crate) packages: &'static [&'static str],
    /// A shell command that prints its version, in a line.
    pub(crate) version: &'static str,
    /// How it was run, for a reader: a sentence without its full stop.
    pub(crate) how: &'static str,
    /// More options for the checker.
    pub(crate) options: &'static [&'static str],
    /// Variables for the script.
    pub(crate) with: &'static [(&'static str, &'static str)],
    /// Files that the script needs in `$work`, by name.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// A shell script that ends by `exec`. Set are the [places](Kind::places) of the checker as `$addr` and so on, `$work`: a
    /// folder with the file `big`, `$peers`: the program of `lab/peers`, and `$closenotify`. For a server that only ends TLS,
    /// `$upstream` is a free address, and `$behind` the beginning of a command that starts a plain HTTP server there.
    pub(crate) start: &'static str,
    /// How the ids of its cases in the small survey begin; none where it is not in it.
    pub(crate) small: &'static [&'static str],
}

/// What a subject is to the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    Client,
    Proxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Proxy];

    /// What the checker fills in, in the order in which a script gets them.
    pub(crate) fn places(self) -> &'static [&'static str] {
        match self {
            Self::Server => &["addr", "host", "port", "cert", "key", "ca", "both", "dir"],
            Self::Client => &["addr", "host", "port", "url", "ca"],
            Self::Proxy => &["addr", "host", "port", "upstream", "cert", "key", "ca", "both", "dir"],
        }
    }

    /// In the plural, for a heading.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Server => "Servers",
            Self::Client => "Clients",
            Self::Proxy => "Proxies",
        }
    }

    /// The subjects of this kind, in the order of the tables.
    pub(crate) fn subjects(self) -> &'static [Subject] {
        match self {
            Self::Server => servers::SERVERS,
            Self::Client => clients::CLIENTS,
            Self::Proxy => proxies::PROXIES,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Proxy => "proxy",
        })
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Subject> {
    Kind::ALL.into_iter().flat_map(Kind::subjects)
}

/// The subject of this id.
pub(crate) fn find(id: &str) -> Option<&'static Subject> {
    all().find(|subject| subject.id == id)
}

#[cfg(test)]
mod tests {
    use super::all;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_words_and_no_two_are_the_same() {
        let mut ids = BTreeSet::new();
        for subject in all() {
            let is_word = subject.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            assert!(is_word, "{} is no word", subject.id);
            assert!(ids.insert(subject.id), "{} is there twice", subject.id);
        }
    }

    #[test]
    fn a_script_ends_by_becoming_the_program() {
        for subject in all() {
            let last = subject.start.trim_end().rsplit('\n').next().expect("a text has a last line");
            assert!(last.starts_with("exec "), "{}: {last}", subject.id);
        }
    }
}
